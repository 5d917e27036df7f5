//! The APIs of Flux 2.9 as Rust types: what users write, what controllers report, and the CRDs that
//! describe both.
//!
//! The crate holds three things and nothing that acts:
//!
//! * **Types**, one module per API group and one file per kind. A type has the fields of the reference
//!   API with Go's rules for absence: an optional field that is absent is not written, a field that
//!   Flux 2.9 does not know is ignored, and every missing field reads as its zero value, so that an
//!   object stored by any version of Flux decodes.
//! * **Vocabulary** ([`vocabulary`]): every condition type, reason, annotation, label, finalizer and
//!   field manager that leaves the process, as a constant.
//! * **Schemas** ([`crd`]): the CustomResourceDefinitions, generated from the types. Doc comments
//!   become the descriptions that `kubectl explain` shows. The shapes are those of controller-gen (no
//!   `nullable`, `required` exactly where Go writes a field always), which no derive macro for Rust
//!   produces; [`crd`] says how they come about.
//!
//! [`object::FluxObject`] is what the kinds have in common for a controller: interval, suspension,
//! conditions, generations, the reconcile request.
//!
//! ```
//! use ferro_api::{FluxObject, kustomize::Kustomization};
//!
//! let ks: Kustomization = serde_json::from_value(serde_json::json!({
//!     "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
//!     "kind": "Kustomization",
//!     "metadata": {"name": "podinfo", "namespace": "default"},
//!     "spec": {
//!         "interval": "10m",
//!         "prune": true,
//!         "sourceRef": {"kind": "GitRepository", "name": "podinfo"},
//!     },
//! }))?;
//! assert_eq!(ks.interval().unwrap().to_string(), "10m0s");
//! assert_eq!(ks.spec.timeout_or_default().to_string(), "9m30s");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Defaults that the CRD declares are filled in by the API server; defaults that only the reference
//! controllers know are methods next to the field (`timeout_or_default`, `retry_interval`, …).

mod macros;

pub mod crd;
pub mod helm;
pub mod image;
pub mod kustomize;
pub mod meta;
pub mod notification;
pub mod object;
pub mod source;
pub mod source_extensions;
pub mod vocabulary;

pub use meta::{Condition, ConditionStatus, Duration};
pub use object::{FluxObject, Kind, KindInfo};
pub use vocabulary::{
    annotation, condition, controller, event, field_manager, finalizer, group, label, reason, secret_key,
};
