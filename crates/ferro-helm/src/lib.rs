//! Helm charts as Helm 4.2 renders them, byte for byte: loading, values, templates, manifests.
//!
//! A [`chart::Chart`] is parsed once and then shared by all threads; nothing changes it. What values make of
//! it is a [`values::Instance`]: the subcharts that are enabled, under the names that their parents give
//! them, with the defaults that were imported. A [`render::Renderer`] keeps the parsed templates, and
//! [`release::render`] goes all the way to sorted manifests and hooks.
//!
//! ```
//! use std::sync::Arc;
//! use ferro_helm::chart::{File, load_files};
//! use ferro_helm::render::{Engine, Release, Renderer};
//! use ferro_helm::{Capabilities, release};
//! use serde_json::Map;
//!
//! # struct Still;
//! # impl ferro_sprig::Environment for Still {
//! #     fn now(&self) -> ferro_gocompat::time::Time {
//! #         ferro_gocompat::time::Time::from_unix(0, 0)
//! #     }
//! #     fn fill_random(&self, bytes: &mut [u8]) {
//! #         bytes.fill(0);
//! #     }
//! # }
//! let loaded = load_files(vec![
//!     File::new("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
//!     File::new("values.yaml", "replicas: 2\n"),
//!     File::new("templates/a.yaml", "kind: App\nreplicas: {{ .Values.replicas }}\n"),
//! ])?;
//! let renderer = Renderer::new(Engine::new(Arc::new(Still)), loaded.chart);
//! let options = release::ReleaseOptions {
//!     release: Release {
//!         name: "my-app".to_owned(),
//!         namespace: "default".to_owned(),
//!         revision: 1,
//!         is_upgrade: false,
//!     },
//!     capabilities: Capabilities::default(),
//!     lookup: None,
//!     skip_schema_validation: false,
//!     sub_notes: false,
//! };
//! let rendered = release::render(&renderer, &Map::new(), &options, &mut Vec::new())?;
//! assert_eq!(
//!     rendered.manifest(false),
//!     "---\n# Source: app/templates/a.yaml\nkind: App\nreplicas: 2\n\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where Go's maps would make upstream's answer random, the order here is that of names. Where upstream takes
//! whatever memory, time or network a chart asks for, there are limits: the entries of an archive, the depth
//! of charts, values and assignments, the steps of schemas and templates; schemas are not loaded from
//! elsewhere. What upstream prints to standard error is returned as [`Notice`]s.
//!
//! [`record`] has what is kept of a release in the cluster, as Helm keeps it; [`plan`] what actions do, in which order.
//!
//! Not here: repositories, dependencies that are not in the chart yet, provenance, clusters.

mod capabilities;
pub mod chart;
pub mod manifest;
mod notice;
pub mod plan;
pub mod record;
pub mod release;
pub mod render;
pub mod strvals;
pub mod values;

pub use capabilities::{Capabilities, HelmVersion, InvalidKubeVersion, KubeVersion};
pub use notice::{Level, Notice};
