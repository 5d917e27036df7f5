//! The chart within a record: its metadata, defaults and files, without its subcharts.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_gocompat::time::{RFC3339, Time};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::json::{Object, dependency, list, map, metadata};
use super::read::Invalid;
use crate::chart::{File, Lock, Metadata};
use crate::values::{Instance, with_float_numbers};

/// Go's zero time, as JSON has it.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A chart as a record has it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoredChart {
    metadata: Arc<Metadata>,
    json: Arc<str>,
}

impl Default for StoredChart {
    fn default() -> Self {
        Self {
            metadata: Arc::default(),
            json: "null".into(),
        }
    }
}

impl PartialEq for StoredChart {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl From<&Instance> for StoredChart {
    /// The root chart as values have made it, which is what upstream stores.
    fn from(instance: &Instance) -> Self {
        let chart = instance.chart();
        let listed = instance
            .listed()
            .map(|listed| listed.iter().cloned().map(Some).collect());
        let shown = Metadata {
            dependencies: listed,
            ..chart.metadata.clone()
        };
        let mut json = String::new();
        let mut object = Object::begin(&mut json);
        metadata(object.field("metadata"), &shown);
        match &chart.lock {
            Some(chart_lock) => lock(object.field("lock"), chart_lock),
            None => object.field("lock").push_str("null"),
        }
        files(object.field("templates"), &chart.templates);
        match instance.has_values() {
            true => map(object.field("values"), instance.values()),
            false => object.field("values").push_str("null"),
        }
        match &chart.schema {
            Some(schema) => object.text("schema", &STANDARD.encode(schema)),
            None => object.field("schema").push_str("null"),
        }
        object.text("schemamodtime", NO_TIME);
        files(object.field("files"), &chart.files);
        object.end();
        Self {
            metadata: Arc::new(shown),
            json: json.into(),
        }
    }
}

/// What is read of a chart at once.
#[derive(Deserialize)]
struct Head<'j> {
    #[serde(borrow, default)]
    metadata: Option<&'j RawValue>,
}

/// What is read of a chart when it is asked for.
#[derive(Deserialize)]
struct Defaults {
    #[serde(default)]
    values: Option<Map<String, Json>>,
}

impl StoredChart {
    /// Takes the JSON text of a chart.
    pub(super) fn read(json: &str) -> Result<Self, Invalid> {
        let head: Option<Head<'_>> = serde_json::from_str(json)?;
        let metadata = match head.and_then(|head| head.metadata) {
            Some(raw) => {
                let document = serde_json::from_str(raw.get())?;
                Metadata::from_document(document, raw.get().as_bytes()).map_err(Invalid::Metadata)?
            }
            None => Metadata::default(),
        };
        Ok(Self {
            metadata: Arc::new(metadata),
            json: json.into(),
        })
    }

    /// What `Chart.yaml` said.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The chart's defaults.
    ///
    /// # Errors
    /// When they are no table.
    pub fn values(&self) -> Result<Map<String, Json>, Invalid> {
        let defaults: Option<Defaults> = serde_json::from_str(&self.json)?;
        let values = defaults.and_then(|defaults| defaults.values).unwrap_or_default();
        Ok(values
            .into_iter()
            .map(|(key, value)| (key, with_float_numbers(value)))
            .collect())
    }

    /// Its JSON text.
    pub(super) fn json(&self) -> &str {
        &self.json
    }
}

fn files(out: &mut String, files: &[File]) {
    // Go's loader makes no list where there is nothing to put in.
    if files.is_empty() {
        return out.push_str("null");
    }
    list(out, files, |out, file| {
        let mut object = Object::begin(out);
        object.text("name", &file.name);
        object.text("data", &STANDARD.encode(&file.data));
        object.end();
    });
}

fn lock(out: &mut String, lock: &Lock) {
    let mut object = Object::begin(out);
    let generated = Time::parse(RFC3339, &lock.generated).ok();
    let generated = generated.and_then(|time| time.to_rfc3339());
    object.text("generated", generated.as_deref().unwrap_or(NO_TIME));
    object.text("digest", &lock.digest);
    let dependencies = object.field("dependencies");
    match lock.dependencies.is_empty() {
        true => dependencies.push_str("null"),
        false => list(dependencies, &lock.dependencies, dependency),
    }
    object.end();
}
