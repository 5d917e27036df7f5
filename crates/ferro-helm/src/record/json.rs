//! Records as Go's `encoding/json` writes them: fields in the order of upstream's structs, empty ones left out.

use ferro_gocompat::json;
use ferro_gocompat::time::Time;
use serde_json::{Map, Value as Json};

use super::{Execution, Info, Record, StoredHook};
use crate::chart::{Dependency, Maintainer, Metadata};

/// An object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> Object<'o> {
    pub(super) fn begin(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }

    /// Begins a field, whose value the caller appends.
    pub(super) fn field(&mut self, name: &str) -> &mut String {
        if !self.is_empty {
            self.out.push(',');
        }
        self.is_empty = false;
        json::escape_into(self.out, name, true);
        self.out.push(':');
        self.out
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        json::escape_into(self.field(name), text, true);
    }

    pub(super) fn text_if_any(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    fn texts_if_any(&mut self, name: &str, texts: &[String]) {
        self.list_if_any(name, texts, |out, text| json::escape_into(out, text, true));
    }

    fn time_if_any(&mut self, name: &str, time: Option<&Time>) {
        let time = time.filter(|time| !time.is_zero()).and_then(Time::to_rfc3339);
        self.text_if_any(name, &time.unwrap_or_default());
    }

    fn int_if_any(&mut self, name: &str, number: i64) {
        if number != 0 {
            self.field(name).push_str(&number.to_string());
        }
    }

    fn true_if_so(&mut self, name: &str, is_so: bool) {
        if is_so {
            self.field(name).push_str("true");
        }
    }

    pub(super) fn list_if_any<T>(&mut self, name: &str, items: &[T], item: impl FnMut(&mut String, &T)) {
        if !items.is_empty() {
            list(self.field(name), items, item);
        }
    }
}

/// Writes a list.
pub(super) fn list<T>(out: &mut String, items: &[T], mut item: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        item(out, value);
    }
    out.push(']');
}

/// Writes a map, whose keys come in the order of their bytes.
pub(super) fn map(out: &mut String, values: &Map<String, Json>) {
    let mut keys: Vec<_> = values.iter().collect();
    keys.sort_unstable_by_key(|(key, _)| *key);
    let mut object = Object::begin(out);
    for (key, value) in keys {
        object.field(key).push_str(&json::to_string(value));
    }
    object.end();
}

impl Record {
    /// The record as JSON, as upstream stores it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.text_if_any("name", &self.name);
        info(object.field("info"), &self.info);
        object.field("chart").push_str(self.chart.json());
        if !self.config.is_empty() {
            map(object.field("config"), &self.config);
        }
        object.text_if_any("manifest", &self.manifest);
        object.list_if_any("hooks", &self.hooks, hook);
        object.int_if_any("version", self.version);
        object.text_if_any("namespace", &self.namespace);
        object.text_if_any("apply_method", &self.apply_method);
        object.end();
        out
    }
}

/// What of a release its digest is taken of (`spec/helm.md` A.4.2): JSON with a line break at its end. Tests and their
/// outcomes are not part of it. `oci_digest` is that of the chart's artifact, if it has one.
#[must_use]
pub fn observation(record: &Record, oci_digest: &str) -> String {
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    object.text("name", &record.name);
    object.field("version").push_str(&record.version.to_string());
    info(object.field("info"), &record.info);
    metadata(object.field("chartMetadata"), record.chart.metadata());
    match record.config.is_empty() {
        true => object.field("config").push_str("null"),
        false => map(object.field("config"), &record.config),
    }
    object.text("manifest", &record.manifest);
    let hooks: Vec<_> = record.hooks.iter().filter(|hook| !hook.is_test()).collect();
    match hooks.is_empty() {
        true => object.field("hooks").push_str("null"),
        false => list(object.field("hooks"), &hooks, |out, stored| hook(out, stored)),
    }
    object.text("namespace", &record.namespace);
    object.text_if_any("ociDigest", oci_digest);
    object.end();
    out.push('\n');
    out
}

/// What of the values of a release their digest is taken of (`spec/helm.md` A.4.2): nothing if there are none, or else YAML.
///
/// # Errors
/// When there is no YAML for a value.
pub fn observed_config(values: &Map<String, Json>) -> Result<String, ferro_yaml::Error> {
    match values.is_empty() {
        true => Ok(String::new()),
        false => ferro_yaml::sigs::to_string_by_bytes(&Json::Object(values.clone())),
    }
}

fn info(out: &mut String, info: &Info) {
    let mut object = Object::begin(out);
    object.time_if_any("first_deployed", info.first_deployed.as_ref());
    object.time_if_any("last_deployed", info.last_deployed.as_ref());
    object.time_if_any("deleted", info.deleted.as_ref());
    object.text_if_any("description", &info.description);
    object.text_if_any("status", info.status.as_str());
    object.text_if_any("notes", &info.notes);
    object.end();
}

fn hook(out: &mut String, hook: &StoredHook) {
    let mut object = Object::begin(out);
    object.text_if_any("name", &hook.name);
    object.text_if_any("kind", &hook.kind);
    object.text_if_any("path", &hook.path);
    object.text_if_any("manifest", &hook.manifest);
    object.texts_if_any("events", &hook.events);
    execution(object.field("last_run"), &hook.last_run);
    object.int_if_any("weight", hook.weight);
    object.texts_if_any("delete_policies", &hook.delete_policies);
    object.texts_if_any("output_log_policies", &hook.output_log_policies);
    object.end();
}

fn execution(out: &mut String, run: &Execution) {
    let mut object = Object::begin(out);
    object.time_if_any("started_at", run.started_at.as_ref());
    object.time_if_any("completed_at", run.completed_at.as_ref());
    object.text("phase", &run.phase);
    object.end();
}

pub(super) fn metadata(out: &mut String, metadata: &Metadata) {
    let mut object = Object::begin(out);
    object.text_if_any("name", &metadata.name);
    object.text_if_any("home", &metadata.home);
    object.texts_if_any("sources", &metadata.sources);
    object.text_if_any("version", &metadata.version);
    object.text_if_any("description", &metadata.description);
    object.texts_if_any("keywords", &metadata.keywords);
    object.list_if_any("maintainers", &metadata.maintainers, |out, item| {
        or_null(out, item.as_ref(), maintainer);
    });
    object.text_if_any("icon", &metadata.icon);
    object.text_if_any("apiVersion", &metadata.api_version);
    object.text_if_any("condition", &metadata.condition);
    object.text_if_any("tags", &metadata.tags);
    object.text_if_any("appVersion", &metadata.app_version);
    object.true_if_so("deprecated", metadata.deprecated);
    if let Some(annotations) = metadata.annotations.as_ref().filter(|map| !map.is_empty()) {
        let mut inner = Object::begin(object.field("annotations"));
        annotations.iter().for_each(|(key, value)| inner.text(key, value));
        inner.end();
    }
    object.text_if_any("kubeVersion", &metadata.kube_version);
    let dependencies = metadata.dependencies.as_deref().unwrap_or_default();
    object.list_if_any("dependencies", dependencies, |out, item| {
        or_null(out, item.as_ref(), dependency);
    });
    object.text_if_any("type", &metadata.kind);
    object.end();
}

fn or_null<T>(out: &mut String, item: Option<&T>, write: impl FnOnce(&mut String, &T)) {
    match item {
        Some(item) => write(out, item),
        None => out.push_str("null"),
    }
}

fn maintainer(out: &mut String, maintainer: &Maintainer) {
    let mut object = Object::begin(out);
    object.text_if_any("name", &maintainer.name);
    object.text_if_any("email", &maintainer.email);
    object.text_if_any("url", &maintainer.url);
    object.end();
}

pub(super) fn dependency(out: &mut String, dependency: &Dependency) {
    let mut object = Object::begin(out);
    object.text("name", &dependency.name);
    object.text_if_any("version", &dependency.version);
    object.text("repository", &dependency.repository);
    object.text_if_any("condition", &dependency.condition);
    object.texts_if_any("tags", &dependency.tags);
    object.true_if_so("enabled", dependency.enabled);
    object.list_if_any("import-values", &dependency.import_values, |out, value| {
        out.push_str(&json::to_string(value));
    });
    object.text_if_any("alias", &dependency.alias);
    object.end();
}
