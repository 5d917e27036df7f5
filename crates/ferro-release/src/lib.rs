//! What a HelmRelease consists of: which release it stands for, its chart, its values, and the objects that come of them.
//!
//! helm-controller releases these, and the command line shows what helm-controller would release: both go through here, so that what is
//! shown is what is applied. Nothing here writes to a cluster. The behaviour is that of Flux 2.9 (`spec/helm.md` parts A, B and D).
//!
//! [`source`] says where the chart of a release is, [`chart`] makes it ready, [`values`] composes what it is rendered with, also from
//! [`files`] of sources,
//! [`capabilities`] is what templates see of the cluster, [`render`] puts these together and has the result changed by [`postrender`],
//! and [`objects`] reads the manifests that come out of it. [`release`] names the target.

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        clippy::redundant_clone,
        reason = "tests pass JSON around"
    )
)]

pub mod capabilities;
pub mod chart;
pub mod files;
pub mod objects;
pub mod postrender;
pub mod release;
pub mod render;
pub mod source;
pub mod values;
