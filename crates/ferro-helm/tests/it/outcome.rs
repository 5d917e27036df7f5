//! What becomes of a chart, as the oracle's `helm.release` tells it.

use ferro_helm::manifest::Hook;
use ferro_helm::release::{self, ReleaseOptions};
use ferro_helm::render::{Release, Renderer};
use ferro_helm::{Capabilities, KubeVersion};
use serde_json::{Map, Value as Json, json};

use crate::oracle::{Answer, Oracle};

/// What charts are rendered for.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) kube_version: &'static str,
    pub(crate) api_versions: Vec<&'static str>,
    pub(crate) is_upgrade: bool,
}

impl Setting {
    /// Adds what the oracle needs to know.
    pub(crate) fn describe(&self, fields: &mut Json) {
        fields["kubeVersion"] = json!(self.kube_version);
        fields["apiVersions"] = json!(self.api_versions);
        fields["isUpgrade"] = json!(self.is_upgrade);
    }

    fn options(&self) -> ReleaseOptions {
        let mut capabilities = Capabilities {
            kube_version: KubeVersion::parse(self.kube_version).unwrap(),
            ..Capabilities::default()
        };
        let added = self.api_versions.iter().map(|&version| version.to_owned());
        capabilities.api_versions.extend(added);
        ReleaseOptions {
            release: Release {
                name: "rel".to_owned(),
                namespace: "ns1".to_owned(),
                revision: 1,
                is_upgrade: self.is_upgrade,
            },
            capabilities,
            lookup: None,
            skip_schema_validation: false,
            sub_notes: false,
        }
    }
}

pub(crate) fn ours(renderer: &Renderer, user: &Map<String, Json>, setting: &Setting) -> Result<Json, String> {
    let rendered = release::render(renderer, user, &setting.options(), &mut Vec::new())
        .map_err(|error| error.to_string())?;
    let manifests: Vec<Json> = rendered
        .manifests
        .iter()
        .map(|it| json!([it.path, it.content]))
        .collect();
    let mut crds: Vec<_> = rendered
        .crds
        .iter()
        .map(|it| (it.filename.as_str(), String::from_utf8_lossy(&it.data)))
        .collect();
    crds.sort_by_key(|(name, _)| *name);
    let hooks: Vec<Json> = rendered.hooks.iter().map(hook).collect();
    Ok(json!({"manifests": manifests, "hooks": hooks, "notes": rendered.notes, "crds": crds}))
}

/// A hook as Go writes it.
pub(crate) fn hook(hook: &Hook) -> Json {
    let mut object = Map::new();
    let mut add = |key: &str, value: Json| {
        let is_zero = [json!(""), json!(0), json!([])].contains(&value);
        if !is_zero {
            object.insert(key.to_owned(), value);
        }
    };
    add("name", json!(hook.name));
    add("kind", json!(hook.kind));
    add("path", json!(hook.path));
    add("manifest", json!(hook.manifest));
    add(
        "events",
        hook.events.iter().map(|event| json!(event.name())).collect(),
    );
    add("last_run", json!({"phase": ""}));
    add("weight", json!(hook.weight));
    add(
        "delete_policies",
        hook.delete_policies.iter().map(|it| json!(it.name())).collect(),
    );
    add(
        "output_log_policies",
        hook.output_log_policies
            .iter()
            .map(|it| json!(it.name()))
            .collect(),
    );
    Json::Object(object)
}

/// How a comparison ended.
pub(crate) enum Verdict {
    Rendered,
    Failed,
    /// Upstream answers now so and now so.
    Unstable,
    Different(String),
}

/// Compares with upstream, which goes through Go's maps in random order: only what it says always counts.
pub(crate) fn judge(oracle: &mut Oracle, fields: &Json, ours: &Result<Json, String>) -> Verdict {
    let first = oracle.ask("helm.release", fields.clone());
    let theirs = match &first {
        Answer::Output(output) => Ok(told(output)),
        Answer::Error(error) => Err(error.clone()),
        Answer::Crash => return Verdict::Unstable,
    };
    match (ours, &theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => return Verdict::Rendered,
        (Err(ours), Err(theirs)) if lines(ours) == lines(theirs) => return Verdict::Failed,
        _ => {}
    }
    if (0..12).any(|_| oracle.ask("helm.release", fields.clone()) != first) {
        return Verdict::Unstable;
    }
    Verdict::Different(difference(ours, &theirs))
}

fn told(output: &Json) -> Json {
    let mut told = output.clone();
    let notes = told["notes"].as_array().cloned().unwrap_or_default();
    let notes: Vec<&str> = notes.iter().filter_map(Json::as_str).collect();
    told["notes"] = json!(notes.join("\n"));
    if told["hooks"].is_null() {
        told["hooks"] = json!([]);
    }
    told
}

/// A schema's complaints come in any order, and their names, too.
fn lines(error: &str) -> Vec<Vec<&str>> {
    fn words(line: &str) -> Vec<&str> {
        let mut words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words
    }
    if !error.starts_with("values don't meet the specifications of the schema(s)") {
        return vec![vec![error]];
    }
    let mut lines: Vec<Vec<&str>> = error.lines().map(words).collect();
    lines.sort_unstable();
    lines
}

fn difference(ours: &Result<Json, String>, theirs: &Result<Json, String>) -> String {
    let (Ok(ours), Ok(theirs)) = (ours, theirs) else {
        let shown = |it: &Result<Json, String>| it.as_ref().map(|_| "renders").map_err(Clone::clone);
        return format!("ours:   {:?}\ntheirs: {:?}", shown(ours), shown(theirs));
    };
    for part in ["notes", "crds", "hooks", "manifests"] {
        if ours[part] != theirs[part] {
            let text = |it: &Json| {
                serde_json::to_string_pretty(&it[part])
                    .unwrap()
                    .replace("\\n", "\n")
            };
            let (ours, theirs) = (text(ours), text(theirs));
            let mut pairs = ours.lines().zip(theirs.lines()).enumerate();
            let found = pairs.find(|(_, (ours, theirs))| ours != theirs);
            return format!("{part}: {found:#?}");
        }
    }
    "nothing".to_owned()
}
