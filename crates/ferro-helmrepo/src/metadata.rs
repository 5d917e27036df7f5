//! What `Chart.yaml` says, as JSON.

use ferro_helm::chart::{Dependency, Maintainer, Metadata};
use serde_json::{Map, Value as Json, json};

/// The fields that are not empty, in the order in which Helm writes them as JSON.
pub(crate) fn fields(metadata: &Metadata) -> Vec<(&'static str, Json)> {
    let mut fields = Fields::default();
    fields.text("name", &metadata.name);
    fields.text("home", &metadata.home);
    fields.texts("sources", &metadata.sources);
    fields.text("version", &metadata.version);
    fields.text("description", &metadata.description);
    fields.texts("keywords", &metadata.keywords);
    if !metadata.maintainers.is_empty() {
        let maintainers = metadata
            .maintainers
            .iter()
            .map(|one| one.as_ref().map(maintainer));
        fields.push("maintainers", json!(maintainers.collect::<Vec<_>>()));
    }
    fields.text("icon", &metadata.icon);
    fields.text("apiVersion", &metadata.api_version);
    fields.text("condition", &metadata.condition);
    fields.text("tags", &metadata.tags);
    fields.text("appVersion", &metadata.app_version);
    if metadata.deprecated {
        fields.push("deprecated", json!(true));
    }
    if let Some(annotations) = metadata.annotations.as_ref().filter(|all| !all.is_empty()) {
        fields.push("annotations", json!(annotations));
    }
    fields.text("kubeVersion", &metadata.kube_version);
    let dependencies = metadata.dependencies.iter().flatten();
    let dependencies: Vec<Option<Json>> = dependencies.map(|one| one.as_ref().map(dependency)).collect();
    if !dependencies.is_empty() {
        fields.push("dependencies", json!(dependencies));
    }
    fields.text("type", &metadata.kind);
    fields.0
}

/// A dependency as JSON, in order of keys.
pub(crate) fn dependency(dependency: &Dependency) -> Json {
    let mut fields = Fields::default();
    fields.push("name", json!(dependency.name));
    fields.text("version", &dependency.version);
    fields.push("repository", json!(dependency.repository));
    fields.text("condition", &dependency.condition);
    fields.texts("tags", &dependency.tags);
    if dependency.enabled {
        fields.push("enabled", json!(true));
    }
    if !dependency.import_values.is_empty() {
        fields.push("import-values", json!(dependency.import_values));
    }
    fields.text("alias", &dependency.alias);
    fields.into_object()
}

fn maintainer(maintainer: &Maintainer) -> Json {
    let mut fields = Fields::default();
    fields.text("name", &maintainer.name);
    fields.text("email", &maintainer.email);
    fields.text("url", &maintainer.url);
    fields.into_object()
}

#[derive(Default)]
struct Fields(Vec<(&'static str, Json)>);

impl Fields {
    fn push(&mut self, name: &'static str, value: Json) {
        self.0.push((name, value));
    }

    fn text(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.push(name, Json::from(text));
        }
    }

    fn texts(&mut self, name: &'static str, texts: &[String]) {
        if !texts.is_empty() {
            self.push(name, json!(texts));
        }
    }

    fn into_object(self) -> Json {
        let fields = self.0.into_iter().map(|(name, value)| (name.to_owned(), value));
        Json::Object(fields.collect::<Map<_, _>>())
    }
}
