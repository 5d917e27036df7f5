//! Makes a cluster hold exactly the objects it is given, and keeps watch over them.
//!
//! The field's terms: objects are *applied* by server-side apply under one field manager, in *stages*; what was applied is the *inventory*;
//! an object that somebody else changed has *drifted*; what left the inventory is *pruned*; an object is *current* when it is ready
//! by the rules of its kind. The behaviour is that of Flux 2.9 (`spec/kustomize-and-notification.md` parts F and G).
//!
//! What makes it fast is the [`live::LiveIndex`]: one watch a kind, selected by the owner's label, reduces each object on arrival to its
//! resource version, a fingerprint of the fields that are ours, and its readiness. With that, an apply of what is there already
//! costs no request, a wait costs none, and drift announces itself.
//!
//! | module | what is in it |
//! |---|---|
//! | [`object`], [`order`], [`inventory`], [`changeset`] | objects, their order, what was applied, what was done |
//! | [`normalise`], [`fields`], [`managed_fields`], [`drift`], [`jsondiff`], [`merge`], [`ignore`], [`immutable`] | pure functions on objects |
//! | [`cluster`], [`mapper`], [`observe`], [`live`], [`contention`], [`targets`] | a cluster, what is known of it, and which one it is |
//! | [`apply`], [`client_side`], [`detect`], [`prune`], [`wait`] | what is done to it |
//!
//! Nothing here is global: a [`cluster::Cluster`] is a value, so that a tenant's rights or a remote cluster are another value.

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        clippy::redundant_clone,
        reason = "tests pass JSON around"
    )
)]

pub mod apply;
pub mod changeset;
pub mod client_side;
pub mod cluster;
pub mod contention;
pub mod detect;
pub mod drift;
pub mod error;
pub mod fields;
pub mod ignore;
pub mod immutable;
pub mod inventory;
pub mod jsondiff;
pub mod live;
pub mod managed_fields;
pub mod mapper;
pub mod merge;
pub mod normalise;
pub mod object;
pub mod observe;
pub mod order;
mod plan;
pub mod prune;
pub mod targets;
mod undeclared;
pub mod wait;
mod write;

pub use apply::ApplyOptions;
pub use changeset::{Action, ChangeSet};
pub use cluster::Cluster;
pub use error::ApplyError;
pub use inventory::Entry;
pub use live::{Drift, LiveIndex};
pub use mapper::Mapper;
pub use object::{Object, ObjectId};
pub use observe::{Owner, Ownership};
pub use wait::{WaitError, WaitOptions};
