//! Helm charts as Helm 4.2 renders them: loading, values, templates, manifests.

mod capabilities;
pub mod chart;
pub mod manifest;
mod notice;
pub mod release;
pub mod render;
pub mod strvals;
pub mod values;

pub use capabilities::{Capabilities, HelmVersion, InvalidKubeVersion, KubeVersion};
pub use notice::{Level, Notice};
