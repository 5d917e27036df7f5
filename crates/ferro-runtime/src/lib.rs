//! The chassis of every Ferroflux controller.
//!
//! A controller is a [`reconcile::Reconciler`] per kind; everything around it lives here once:
//!
//! * [`process`]: start, signals, leases, the grace period; [`flags`], [`logging`], [`server`], [`metrics`], [`client`].
//! * [`controller`]: watch → store → queue → pass. A pass takes the freshest object, adds the finalizer, runs the
//!   reconciler, catches its panics, writes the status once and only if it changed, and says when to come again.
//! * [`watch`], [`conditions`], [`status`], [`events`], [`backoff`]: the parts of a pass, usable and tested on their own.
//! * [`sources`], [`configs`]: what objects refer to, followed so that they are reconciled when it changes.
//! * [`workers`]: threads for work that blocks. With the feature `artifacts`, the store of artifacts, its server and its sweep.
//!
//! It knows nothing of manifests, and of sources only that they have artifacts, and it never polls: what a reconciler waits for reaches it as a trigger.
//! The rules are those of upstream's shared runtime (`spec/sources-and-images.md` sections 3, 4, 20, 21;
//! `spec/kustomize-and-notification.md` parts B and I), except where noted: events are sent in the background, and progress
//! is written only when a pass lasts, so that a pass without news costs one write or none.

#[cfg(feature = "artifacts")]
pub mod artifacts;
pub mod backoff;
pub mod client;
pub mod conditions;
pub mod configs;
pub mod controller;
pub mod events;
pub mod flags;
#[cfg(feature = "cloud")]
pub mod identity;
pub mod leader;
pub mod logging;
pub mod metrics;
mod pass;
mod pprof;
pub mod process;
pub mod reconcile;
pub mod server;
pub mod sources;
pub mod status;
pub mod watch;
pub mod workers;

/// The name of the host, which in a cluster is that of the pod.
#[must_use]
pub fn hostname() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map_or_else(|| "localhost".to_owned(), |name| name.trim().to_owned())
}
