//! A native `kustomize build`.
//!
//! The engine does what the kustomize library 5.8.1 (api v0.21.1) does, to the byte, without Go, without a
//! child process and without global state: a build reads files through [`Files`], and everything it knows
//! lives in values of its own, so builds may run in parallel.
//!
//! ```
//! use ferro_kustomize::{MemoryFiles, Options, build};
//!
//! let files = MemoryFiles::from([
//!     ("/app/kustomization.yaml", "namePrefix: dev-\nresources: [pod.yaml]\n"),
//!     ("/app/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n"),
//! ]);
//! let resources = build(&files, "/app", &Options::default())?;
//! assert_eq!(resources.to_yaml()?, "apiVersion: v1\nkind: Pod\nmetadata:\n  name: dev-web\n");
//! # Ok::<(), ferro_kustomize::Error>(())
//! ```
//!
//! The way of a build: [`build`] reads the kustomization file of a directory; each *layer* accumulates its
//! resources, generates, takes in components and transforms; at the root, generated objects get their
//! hashes, references are repaired and variables resolved. Objects are [`ferro_yaml::Node`] trees, and what
//! a build remembers of them (former names, prefixes, generator behaviour) is kept beside the tree.
//!
//! What it does not do: run plugins, fetch anything itself (see [`RemoteSource`]), render charts itself (see
//! [`ChartEngine`]).
//!
//! Where upstream loses data without a word, a build fails instead; [`Quirks::Upstream`] restores upstream's
//! behaviour.

mod accumulate;
#[cfg(feature = "archive")]
mod archive;
mod config;
#[cfg(feature = "dir")]
mod dir;
mod emit;
mod error;
mod field;
mod fieldspec;
mod files;
pub mod flux_overlay;
mod generate;
mod giturl;
mod helm;
mod id;
mod layer;
mod loader;
mod local;
mod nameref;
mod options;
mod order;
mod origin;
mod patch;
mod path;
mod pattern;
mod place;
mod plugin;
mod read;
mod remote;
mod resmap;
mod resource;
mod scalar;
mod schema;
mod selector;
mod shared;
mod transform;
mod types;
mod validate;
mod vars;

#[cfg(feature = "archive")]
pub use archive::{ArchiveError, ArchiveLimits};
#[cfg(feature = "dir")]
pub use dir::DirFiles;
pub use error::{Error, ErrorKind, Location, Result};
pub use files::{DirEntry, FileError, Files, MemoryFiles, OverlaidFiles, Resolved};
pub use giturl::GitUrl;
#[cfg(feature = "helm")]
pub use helm::HelmEngine;
pub use helm::{ChartEngine, ChartError, ChartRelease, ChartSource, Charts, NoChartEngine};
pub use id::{Gvk, ResourceId};
pub use loader::LoadRestrictions;
pub use options::{Options, Quirks, Resources, SchemaMode, build, build_with};
pub use order::Reorder;
pub use remote::{Checkout, RemoteError, RemoteSource};
pub use resource::Resource;
pub use types::{
    ConfigMapArgs, FieldOptions, FieldSelector, FieldSpec, GeneratorOptions, HelmChart, HelmChartArgs,
    HelmGlobals, Image, Kustomization, Label, LegacySortOptions, ObjectMeta, Patch, PatchOptions,
    Replacement, ReplacementField, Replica, SecretArgs, Selector, SortOptions, SourceSelector,
    TargetSelector, Var, VarTarget,
};
