//! Charts: what is in one, how it is read, and what makes it valid.
//!
//! A [`Chart`] is parsed once and then shared: it is never changed by a render. What values do to a chart
//! (disabled and renamed subcharts, imported values) is the business of [`crate::values::resolve`].

pub mod archive;
mod decode;
#[cfg(feature = "dir")]
mod dir;
mod directory;
mod head;
pub mod ignore;
mod load;
mod metadata;
mod plain;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use decode::decode_error;
#[cfg(feature = "dir")]
pub use dir::RealDirectory;
pub use directory::{Directory, Entry, EntryKind, load_directory, read_directory, read_directory_seeing};
pub(crate) use head::{Head, read_head};
pub use load::{Error, Loaded, load_archive, load_files, load_versioned};
pub use metadata::{Dependency, InvalidMetadata, Lock, Maintainer, Metadata, is_compatible_range};
use serde_json::{Map, Value as Json};

/// A file of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path in the chart, with slashes.
    pub name: String,
    /// Its content.
    pub data: Arc<[u8]>,
}

impl File {
    /// Makes a file; a byte order mark at its start is dropped.
    pub fn new(name: impl Into<String>, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        Self {
            name: name.into(),
            data: data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data).into(),
        }
    }

    /// Its content as text.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.data)
    }
}

/// A chart as it was written.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What `Chart.yaml` (and an old chart's `requirements.yaml`) says.
    pub metadata: Metadata,
    /// What `Chart.lock` says.
    pub lock: Option<Lock>,
    /// The files below `templates/`.
    pub templates: Vec<File>,
    /// The defaults in `values.yaml`; numbers are floating-point numbers, as everywhere in Helm.
    pub values: Map<String, Json>,
    /// `values.schema.json`.
    pub schema: Option<Arc<[u8]>>,
    /// Everything else: `crds/`, README, what templates read with `.Files`.
    pub files: Vec<File>,
    /// All files as they were in the archive or folder.
    pub raw: Vec<File>,
    /// The charts below `charts/`, in the order of their folders' or archives' names.
    pub dependencies: Vec<Arc<Self>>,
}

/// A file with custom resource definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crd {
    /// Its path in its chart.
    pub name: String,
    /// Its path from the root chart's name on.
    pub filename: String,
    /// Its content.
    pub data: Arc<[u8]>,
}

impl Chart {
    /// The chart's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Tells whether the chart only lends its definitions to others.
    pub fn is_library(&self) -> bool {
        self.metadata.kind.eq_ignore_ascii_case("library")
    }

    /// The dependencies that `Chart.yaml` names and `charts/` does not have.
    pub fn missing_dependencies(&self) -> Vec<&str> {
        let is_there = |name: &str| self.dependencies.iter().any(|subchart| subchart.name() == name);
        let names = self
            .metadata
            .dependencies()
            .map(|dependency| dependency.name.as_str());
        names.filter(|name| !is_there(name)).collect()
    }

    /// The chart's own files below `crds/`.
    pub fn crd_files(&self) -> impl Iterator<Item = &File> {
        self.files
            .iter()
            .filter(|file| file.name.starts_with("crds/") && is_manifest(&file.name))
    }

    /// The chart's files by name; of two with one name the later counts.
    pub fn files_by_name(&self) -> BTreeMap<&str, &Arc<[u8]>> {
        self.files
            .iter()
            .map(|file| (file.name.as_str(), &file.data))
            .collect()
    }
}

fn is_manifest(name: &str) -> bool {
    let extension = name.rsplit('/').next().and_then(|base| base.rsplit_once('.'));
    extension.is_some_and(|(_, extension)| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}
