//! Records read from JSON, with the tolerance of upstream: fields that are not known are passed over, null is as good as
//! nothing, and an empty text is no time.

use ferro_gocompat::time::{RFC3339, Time};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::{Execution, Info, Record, Status, StoredChart, StoredHook};
use crate::values::with_float_numbers;

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It is no JSON, or not that of a release.
    #[error("not the JSON of a release: {0}")]
    Json(#[from] serde_json::Error),
    /// It is not an object.
    #[error("not the JSON of a release: not an object")]
    NoObject,
    /// What it says of its chart is malformed.
    #[error("malformed chart metadata: {0}")]
    Metadata(String),
    /// It is not base64.
    #[error("not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// It cannot be unpacked.
    #[error("cannot be unpacked: {0}")]
    Gzip(#[from] std::io::Error),
    /// It unpacks to more than any release has.
    #[error("unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}

#[derive(Deserialize)]
struct RecordJson<'j> {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    info: InfoJson,
    #[serde(borrow, default)]
    chart: Option<&'j RawValue>,
    #[serde(default, deserialize_with = "or_default")]
    config: Map<String, Json>,
    #[serde(default, deserialize_with = "or_default")]
    manifest: String,
    #[serde(default, deserialize_with = "or_default")]
    hooks: Vec<Option<HookJson>>,
    #[serde(default, deserialize_with = "or_default")]
    version: i64,
    #[serde(default, deserialize_with = "or_default")]
    namespace: String,
    #[serde(default, deserialize_with = "or_default")]
    apply_method: String,
}

#[derive(Default, Deserialize)]
struct InfoJson {
    #[serde(default, deserialize_with = "time")]
    first_deployed: Option<Time>,
    #[serde(default, deserialize_with = "time")]
    last_deployed: Option<Time>,
    #[serde(default, deserialize_with = "time")]
    deleted: Option<Time>,
    #[serde(default, deserialize_with = "or_default")]
    description: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    notes: String,
}

#[derive(Default, Deserialize)]
struct HookJson {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    path: String,
    #[serde(default, deserialize_with = "or_default")]
    manifest: String,
    #[serde(default, deserialize_with = "or_default")]
    events: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    last_run: ExecutionJson,
    #[serde(default, deserialize_with = "or_default")]
    weight: i64,
    #[serde(default, deserialize_with = "or_default")]
    delete_policies: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    output_log_policies: Vec<String>,
}

#[derive(Default, Deserialize)]
struct ExecutionJson {
    #[serde(default, deserialize_with = "time")]
    started_at: Option<Time>,
    #[serde(default, deserialize_with = "time")]
    completed_at: Option<Time>,
    #[serde(default, deserialize_with = "or_default")]
    phase: String,
}

/// As Go has it, null leaves a field as it is.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Time>, D::Error> {
    let text: String = or_default(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let time = Time::parse(RFC3339, &text).map_err(|error| D::Error::custom(error.to_string()))?;
    Ok((!time.is_zero()).then_some(time))
}

impl Record {
    /// Reads a record from its JSON.
    ///
    /// # Errors
    /// When it is not that of a release.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        // Lists would be taken for structs, field by field.
        if !text.trim_start().starts_with('{') {
            return Err(Invalid::NoObject);
        }
        let json: RecordJson<'_> = serde_json::from_str(text)?;
        let chart = json.chart.map(|chart| StoredChart::read(chart.get()));
        let floats = |(key, value): (String, Json)| (key, with_float_numbers(value));
        Ok(Self {
            name: json.name,
            info: json.info.into(),
            chart: chart.transpose()?.unwrap_or_default(),
            config: json.config.into_iter().map(floats).collect(),
            manifest: json.manifest,
            hooks: json.hooks.into_iter().flatten().map(Into::into).collect(),
            version: json.version,
            namespace: json.namespace,
            apply_method: json.apply_method,
            ..Self::default()
        })
    }
}

impl From<InfoJson> for Info {
    fn from(json: InfoJson) -> Self {
        Self {
            first_deployed: json.first_deployed,
            last_deployed: json.last_deployed,
            deleted: json.deleted,
            description: json.description,
            status: Status::parse(&json.status),
            notes: json.notes,
        }
    }
}

impl From<HookJson> for StoredHook {
    fn from(json: HookJson) -> Self {
        Self {
            name: json.name,
            kind: json.kind,
            path: json.path,
            manifest: json.manifest,
            events: json.events,
            last_run: Execution {
                started_at: json.last_run.started_at,
                completed_at: json.last_run.completed_at,
                phase: json.last_run.phase,
            },
            weight: json.weight,
            delete_policies: json.delete_policies,
            output_log_policies: json.output_log_policies,
        }
    }
}
