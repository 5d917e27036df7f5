//! The data of a template: `.Chart`, `.Values`, `.Release` and their like.

use ferro_template::types::STRING_MAP;
use ferro_template::{Map, Value};
use serde_json::Value as Json;

use super::object::{self, strings};
use super::{Environment, files};
use crate::chart::{Dependency, Maintainer};
use crate::values::{Instance, table_at, to_value};

/// Makes the data of all charts of a tree, in the order of [`Instance`]s from the root down.
pub(super) fn contexts(root: &Instance, values: &Map, environment: &Environment) -> Vec<Map> {
    let release = &environment.release;
    let release = Map::from_iter([
        ("Name", Value::from(release.name.as_str())),
        ("Namespace", Value::from(release.namespace.as_str())),
        ("IsUpgrade", Value::Bool(release.is_upgrade)),
        ("IsInstall", Value::Bool(!release.is_upgrade)),
        ("Revision", Value::int(release.revision)),
        ("Service", Value::from("Helm")),
    ]);
    let shared = Shared {
        release: Value::Map(release),
        capabilities: object::capabilities(&environment.capabilities),
    };
    let mut contexts = Vec::new();
    shared.add(root, values, &mut contexts);
    contexts
}

struct Shared {
    release: Value,
    capabilities: Value,
}

impl Shared {
    fn add(&self, chart: &Instance, values: &Map, contexts: &mut Vec<Map>) -> Map {
        let subcharts = Map::new();
        let context = Map::from_iter([
            ("Chart", Value::Map(metadata(chart))),
            ("Files", files::files(chart.chart())),
            ("Release", self.release.clone()),
            ("Capabilities", self.capabilities.clone()),
            ("Values", object::values(values)),
            ("Subcharts", Value::Map(subcharts.clone())),
        ]);
        contexts.push(context.clone());
        for subchart in chart.dependencies() {
            // A name with dots in it is taken for a path, at which there is nothing.
            let inner = table_at(values, subchart.name()).unwrap_or_default();
            let inner = self.add(subchart, &inner, contexts);
            subcharts.insert(subchart.name(), Value::Map(inner));
        }
        context
    }
}

/// `.Chart`: the metadata under the names of Go's fields.
fn metadata(chart: &Instance) -> Map {
    let metadata = &chart.chart().metadata;
    let text = |text: &str| Value::from(text);
    let maintainers = metadata.maintainers.iter().flatten().map(maintainer).collect();
    let listed = chart.listed().unwrap_or_default();
    let annotations = match &metadata.annotations {
        Some(annotations) => Map::of_strings(
            annotations
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        ),
        None => Map::nil(STRING_MAP),
    };
    Map::from_iter([
        ("Name", text(chart.name())),
        ("Home", text(&metadata.home)),
        ("Sources", strings(&metadata.sources)),
        ("Version", text(&metadata.version)),
        ("Description", text(&metadata.description)),
        ("Keywords", strings(&metadata.keywords)),
        ("Maintainers", Value::list(maintainers)),
        ("Icon", text(&metadata.icon)),
        ("APIVersion", text(&metadata.api_version)),
        ("Condition", text(&metadata.condition)),
        ("Tags", text(&metadata.tags)),
        ("AppVersion", text(&metadata.app_version)),
        ("Deprecated", Value::Bool(metadata.deprecated)),
        ("Annotations", Value::Map(annotations)),
        ("KubeVersion", text(&metadata.kube_version)),
        (
            "Dependencies",
            Value::list(listed.iter().map(dependency).collect()),
        ),
        ("Type", text(&metadata.kind)),
        ("IsRoot", Value::Bool(chart.is_root())),
    ])
}

fn maintainer(maintainer: &Maintainer) -> Value {
    Value::Map(Map::from_iter([
        ("Name", Value::from(maintainer.name.as_str())),
        ("Email", Value::from(maintainer.email.as_str())),
        ("URL", Value::from(maintainer.url.as_str())),
    ]))
}

fn dependency(dependency: &Dependency) -> Value {
    let text = |text: &str| Value::from(text);
    let imports = dependency.import_values.iter().map(import).collect();
    Value::Map(Map::from_iter([
        ("Name", text(&dependency.name)),
        ("Version", text(&dependency.version)),
        ("Repository", text(&dependency.repository)),
        ("Condition", text(&dependency.condition)),
        ("Tags", strings(&dependency.tags)),
        ("Enabled", Value::Bool(dependency.enabled)),
        ("ImportValues", Value::list(imports)),
        ("Alias", text(&dependency.alias)),
    ]))
}

/// An import, which is a `map[string]string` once it was looked at.
fn import(import: &Json) -> Value {
    match import {
        Json::Object(pair) => Value::Map(Map::of_strings(
            pair.iter()
                .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())),
        )),
        other => to_value(other),
    }
}
