//! Chart archives as Helm writes them, the same bytes for the same chart.

use std::io::{self, Write};
use std::sync::Arc;

use ferro_gocompat::time::{RFC3339, RFC3339_NANO, Time};
use ferro_helm::chart::{Chart, InvalidMetadata, Lock, Metadata};
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value as Json, json};

use super::values::VALUES_FILE;
use crate::metadata;

/// What Helm notes in the header of an archive.
const EXTRA: &[u8] = b"rr\x28\x00aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=";
const COMMENT: &str = "Helm";
/// "Unknown", so that the bytes do not depend on where they are made.
const OS_UNKNOWN: u8 = 255;

/// Why a chart could not be packaged.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Its metadata are not valid.
    #[error("failed to package chart: chart validation: {0}")]
    Invalid(#[from] InvalidMetadata),
    /// Its schema is no JSON.
    #[error("failed to package chart: invalid JSON in values.schema.json")]
    Schema,
    /// Its metadata cannot be written.
    #[error("failed to package chart: {0}")]
    Metadata(String),
    /// The archive cannot be written.
    #[error("failed to write chart to file: {0}")]
    Io(#[from] io::Error),
}

/// A chart that is to be packaged, and what is changed of it.
#[derive(Clone, Debug)]
pub struct Package {
    /// The chart.
    pub chart: Arc<Chart>,
    /// Its version, if it is to have another one.
    pub version: Option<String>,
    /// Its `values.yaml`, if it is to have other defaults.
    pub values: Option<Vec<u8>>,
    /// Charts that go into it besides those that it has, and the names that they get.
    pub dependencies: Vec<(Arc<Chart>, Option<String>)>,
}

impl Package {
    /// A chart as it is.
    pub fn new(chart: Arc<Chart>) -> Self {
        Self {
            chart,
            version: None,
            values: None,
            dependencies: Vec::new(),
        }
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When the chart is not valid, or the archive cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), PackageError> {
        let gzip = GzBuilder::new()
            .mtime(0)
            .extra(EXTRA)
            .comment(COMMENT)
            .operating_system(OS_UNKNOWN)
            .write(out, Compression::new(6));
        let mut archive = Archive(tar::Builder::new(gzip));
        let mut metadata = self.chart.metadata.clone();
        if let Some(version) = &self.version {
            metadata.version.clone_from(version);
        }
        metadata.validate()?;
        archive.chart(&self.chart, metadata, self.values.as_deref(), "")?;
        let charts = format!("{}/charts", self.chart.name());
        for (chart, name) in &self.dependencies {
            let mut metadata = chart.metadata.clone();
            if let Some(name) = name {
                metadata.name.clone_from(name);
            }
            archive.chart(chart, metadata, None, &charts)?;
        }
        archive.0.into_inner()?.finish()?.flush()?;
        Ok(())
    }
}

struct Archive<W: Write>(tar::Builder<W>);

impl<W: Write> Archive<W> {
    fn chart(
        &mut self,
        chart: &Chart,
        metadata: Metadata,
        values: Option<&[u8]>,
        parent: &str,
    ) -> Result<(), PackageError> {
        let base = if parent.is_empty() {
            metadata.name.clone()
        } else {
            format!("{parent}/{}", metadata.name)
        };
        let is_v2 = metadata.api_version == "v2";
        self.file(&base, "Chart.yaml", chart_yaml(metadata)?.as_bytes())?;
        if let Some(lock) = chart.lock.as_ref().filter(|_| is_v2) {
            self.file(&base, "Chart.lock", chart_lock(lock)?.as_bytes())?;
        }
        for file in chart.raw.iter().filter(|file| file.name == VALUES_FILE) {
            self.file(&base, VALUES_FILE, values.unwrap_or(&file.data))?;
        }
        if let Some(schema) = &chart.schema {
            let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(schema);
            parsed.map_err(|_| PackageError::Schema)?;
            self.file(&base, "values.schema.json", schema)?;
        }
        for file in chart.templates.iter().chain(&chart.files) {
            self.file(&base, &file.name, &file.data)?;
        }
        let charts = format!("{base}/charts");
        for dependency in &chart.dependencies {
            self.chart(dependency, dependency.metadata.clone(), None, &charts)?;
        }
        Ok(())
    }

    fn file(&mut self, base: &str, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.0.append_data(&mut header, format!("{base}/{name}"), content)
    }
}

fn chart_yaml(mut metadata: Metadata) -> Result<String, PackageError> {
    // An old chart has them in a file of their own.
    if metadata.api_version == "v1" {
        metadata.dependencies = None;
    }
    let fields = metadata::fields(&metadata).into_iter();
    let object: Map<String, Json> = fields.map(|(name, value)| (name.to_owned(), value)).collect();
    to_yaml(&Json::Object(object))
}

fn chart_lock(lock: &Lock) -> Result<String, PackageError> {
    let generated = Time::parse(RFC3339, &lock.generated).map_or_else(
        |_| "0001-01-01T00:00:00Z".to_owned(),
        |time| time.format(RFC3339_NANO),
    );
    let dependencies: Vec<Json> = lock.dependencies.iter().map(metadata::dependency).collect();
    let dependencies = if dependencies.is_empty() {
        Json::Null
    } else {
        Json::from(dependencies)
    };
    to_yaml(&json!({ "generated": generated, "digest": lock.digest, "dependencies": dependencies }))
}

fn to_yaml(value: &Json) -> Result<String, PackageError> {
    ferro_yaml::sigs::to_string(value).map_err(|error| PackageError::Metadata(error.to_string()))
}
