//! What happens to rendered manifests before they are released: Kustomize's changes, common metadata, labels of the origin
//! (`spec/helm.md` D.4, F.2).

use std::collections::BTreeMap;

use ferro_api::helm::{HelmRelease, KustomizePostRenderer, PostRenderStrategy};
use ferro_api::{label, meta};
use ferro_helm::manifest::{self, Hook, INSTALL_ORDER, Manifest, Sorted};
use ferro_helm::release::Rendered;
use ferro_kustomize::{LoadRestrictions, MemoryFiles, Options, Resource, Resources, build};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

/// The folder, in memory, that Kustomize builds.
const FOLDER: &str = "/release";

/// The rendered manifests cannot be post-rendered.
#[derive(Debug, thiserror::Error)]
pub enum PostRenderError {
    /// Kustomize refuses them.
    #[error("error while running post render on {stream}: {problem}")]
    Run {
        /// Which manifests.
        stream: &'static str,
        /// Why.
        problem: String,
    },
    /// What came out of it is no manifest.
    #[error("error while parsing post rendered output: {0}")]
    Parse(String),
}

/// What is done to each release.
pub struct PostRender {
    kustomize: Vec<KustomizePostRenderer>,
    common: meta::CommonMetadata,
    origin: [(&'static str, String); 2],
    strategy: PostRenderStrategy,
}

impl PostRender {
    /// What a HelmRelease asks for; `default` says how, where it does not.
    #[must_use]
    pub fn of(release: &HelmRelease, default: PostRenderStrategy) -> Self {
        let spec = &release.spec;
        Self {
            kustomize: spec
                .post_renderers
                .iter()
                .filter_map(|renderer| renderer.kustomize.clone())
                .collect(),
            common: spec.common_metadata.clone().unwrap_or_default(),
            origin: [
                (label::HELM_NAME, release.name_any()),
                (label::HELM_NAMESPACE, release.namespace().unwrap_or_default()),
            ],
            strategy: spec.post_render_strategy.unwrap_or(default),
        }
    }

    /// The manifests and hooks as they are released.
    ///
    /// # Errors
    /// When Kustomize refuses them, or what comes out of it is no manifest.
    pub fn run(&self, rendered: &Rendered) -> Result<Sorted, PostRenderError> {
        let manifests = || rendered.manifests.iter().map(Piece::of_manifest);
        let hooks = || rendered.hooks.iter().map(Piece::of_hook);
        match self.strategy {
            PostRenderStrategy::Combined => self.stream(manifests().chain(hooks()).collect(), "files", ""),
            PostRenderStrategy::NoHooks => {
                let sorted = self.stream(manifests().collect(), "files", "")?;
                Ok(Sorted {
                    hooks: rendered.hooks.clone(),
                    ..sorted
                })
            }
            PostRenderStrategy::Separate => {
                let hooks = self.stream(hooks().collect(), "hooks", "hooks-")?;
                let manifests = self.stream(manifests().collect(), "manifests", "manifests-")?;
                // Either may have become the other.
                let mut all = manifests;
                all.hooks.extend(hooks.hooks);
                all.manifests.extend(hooks.manifests);
                all.hooks.sort_by(|a, b| INSTALL_ORDER.compare(&a.kind, &b.kind));
                all.manifests
                    .sort_by(|a, b| INSTALL_ORDER.compare(&a.kind, &b.kind));
                Ok(all)
            }
        }
    }

    fn stream(
        &self,
        mut pieces: Vec<Piece>,
        stream: &'static str,
        infix: &str,
    ) -> Result<Sorted, PostRenderError> {
        pieces.sort_by(|a, b| a.path.cmp(&b.path));
        // Every release goes this way, so that all are taken for the same YAML; the empty change is part of it.
        let plain = [KustomizePostRenderer::default()];
        let changes = match self.kustomize.as_slice() {
            [] => plain.as_slice(),
            changes => changes,
        };
        let mut values = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            let failed = |problem| PostRenderError::Run { stream, problem };
            let resources = kustomized(&pieces, change).map_err(failed)?;
            if index + 1 < changes.len() {
                pieces = again(&resources, &pieces).map_err(failed)?;
            } else {
                values = finished(&resources, &pieces).map_err(failed)?;
            }
        }
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for (index, (path, mut object)) in values.into_iter().enumerate() {
            self.label(&mut object);
            let path = path.unwrap_or_else(|| format!("generated-by-postrender-{infix}{index}.yaml"));
            let text = ferro_yaml::sigs::to_string(&object)
                .map_err(|error| PostRenderError::Parse(error.to_string()))?;
            let file = files.entry(path).or_default();
            file.push_str("---\n");
            file.push_str(&text);
        }
        let files = files
            .into_iter()
            .map(|(path, text)| (path, text.into()))
            .collect();
        manifest::sort(&files, &INSTALL_ORDER).map_err(|error| PostRenderError::Parse(error.to_string()))
    }

    fn label(&self, object: &mut Value) {
        let common = self
            .common
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        // Last, so that nobody takes the origin from an object.
        let origin = self.origin.iter().map(|(key, value)| (*key, value.as_str()));
        add(object, "labels", common.chain(origin));
        let annotations = self.common.annotations.iter();
        add(
            object,
            "annotations",
            annotations.map(|(key, value)| (key.as_str(), value.as_str())),
        );
    }
}

/// Adds the labels of the origin to an object that is not post-rendered.
pub fn label_origin(object: &mut Value, release: &HelmRelease) {
    let (name, namespace) = (release.name_any(), release.namespace().unwrap_or_default());
    let origin = [
        (label::HELM_NAME, name.as_str()),
        (label::HELM_NAMESPACE, namespace.as_str()),
    ];
    add(object, "labels", origin.into_iter());
}

fn add<'a>(object: &mut Value, field: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut entries = entries.peekable();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    if entries.peek().is_none() {
        return;
    }
    let map = metadata.entry(field).or_insert(Value::Null);
    if !map.is_object() {
        *map = Value::Object(Map::new());
    }
    if let Some(map) = map.as_object_mut() {
        map.extend(entries.map(|(key, value)| (key.to_owned(), value.into())));
    }
}

/// A document and where it comes from.
struct Piece {
    path: String,
    text: String,
}

impl Piece {
    fn of_manifest(manifest: &Manifest) -> Self {
        Self {
            path: manifest.path.clone(),
            text: manifest.content.clone(),
        }
    }

    fn of_hook(hook: &Hook) -> Self {
        Self {
            path: hook.path.clone(),
            text: hook.manifest.clone(),
        }
    }

    /// Whether it only has comments.
    fn is_blank(&self) -> bool {
        self.text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        })
    }
}

/// Builds a folder with a file for each document, so that each object tells by its file where it comes from.
fn kustomized(pieces: &[Piece], change: &KustomizePostRenderer) -> Result<Resources, String> {
    let mut files = MemoryFiles::new();
    let mut names = Vec::new();
    for (index, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.is_blank()) {
        let name = format!("{index}.yaml");
        files.insert(&format!("{FOLDER}/{name}"), piece.text.as_bytes());
        names.push(name);
    }
    if names.is_empty() {
        return Ok(Resources::default());
    }
    let merges: Vec<String> = change
        .patches_strategic_merge
        .iter()
        .map(Value::to_string)
        .collect();
    let operations: Vec<Value> = change
        .patches_json6902
        .iter()
        .map(|patch| json!({ "target": patch.target, "patch": json!(patch.patch).to_string() }))
        .collect();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": names,
        "patches": change.patches,
        "patchesStrategicMerge": merges,
        "patchesJson6902": operations,
        "images": change.images,
    });
    files.insert(&format!("{FOLDER}/kustomization.yaml"), kustomization.to_string());
    let options = Options {
        load_restrictions: LoadRestrictions::None,
        ..Options::default()
    };
    build(&files, FOLDER, &options).map_err(|error| format!("{error:#}").replace(&format!("{FOLDER}/"), ""))
}

/// The file that an object comes from.
fn path_of(resource: &Resource, pieces: &[Piece]) -> Option<String> {
    let location = resource.location()?;
    let name = location.file.rsplit('/').next()?;
    let index: usize = name.strip_suffix(".yaml")?.parse().ok()?;
    pieces.get(index).map(|piece| piece.path.clone())
}

/// The objects as documents, for the next change.
fn again(resources: &Resources, pieces: &[Piece]) -> Result<Vec<Piece>, String> {
    let piece = |resource: &Resource| {
        Ok(Piece {
            path: path_of(resource, pieces).unwrap_or_default(),
            text: resource.to_yaml().map_err(|error| error.to_string())?,
        })
    };
    resources.iter().map(piece).collect()
}

fn finished(resources: &Resources, pieces: &[Piece]) -> Result<Vec<(Option<String>, Value)>, String> {
    let value = |resource: &Resource| {
        let value = resource.node().to_json().map_err(|error| error.to_string())?;
        Ok((path_of(resource, pieces).filter(|path| !path.is_empty()), value))
    };
    resources.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_helm::chart::{File, load_files};
    use ferro_helm::render::{Engine, Release, Renderer};
    use ferro_helm::{Capabilities, release};
    use std::sync::Arc;

    struct Still;
    impl ferro_sprig::Environment for Still {
        fn now(&self) -> ferro_gocompat::time::Time {
            ferro_gocompat::time::Time::from_unix(0, 0)
        }
        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn rendered(files: &[(&str, &str)]) -> Rendered {
        let mut all = vec![File::new(
            "Chart.yaml",
            "apiVersion: v2\nname: app\nversion: 1.0.0\n",
        )];
        all.extend(files.iter().map(|(name, text)| File::new(*name, text)));
        let loaded = load_files(all).unwrap();
        let renderer = Renderer::new(Engine::new(Arc::new(Still)), loaded.chart);
        let options = release::ReleaseOptions {
            release: Release {
                name: "app".into(),
                namespace: "ns".into(),
                revision: 1,
                is_upgrade: false,
            },
            capabilities: Capabilities::default(),
            lookup: None,
            skip_schema_validation: false,
            sub_notes: false,
        };
        release::render(&renderer, &Map::new(), &options, &mut Vec::new()).unwrap()
    }

    fn of(spec: Value) -> PostRender {
        let release: HelmRelease =
            serde_json::from_value(json!({ "metadata": { "name": "hr", "namespace": "ns" }, "spec": spec }))
                .unwrap();
        PostRender::of(&release, PostRenderStrategy::Combined)
    }

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: \"yes\"}\n";
    const HOOK: &str =
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\n";

    #[test]
    fn objects_get_common_metadata_and_the_labels_of_their_origin() {
        let rendered = rendered(&[
            ("templates/a.yaml", MAP),
            ("templates/h.yaml", HOOK),
            ("templates/c.yaml", "# none\n"),
        ]);
        let common = json!({ "commonMetadata": { "labels": { "helm.toolkit.fluxcd.io/name": "mine", "team": "t" }, "annotations": { "n": "1" } } });
        let sorted = of(common).run(&rendered).unwrap();
        assert_eq!((sorted.manifests.len(), sorted.hooks.len()), (1, 1));
        assert_eq!(
            sorted.manifests[0].content,
            "apiVersion: v1\ndata:\n  k: \"yes\"\nkind: ConfigMap\nmetadata:\n  annotations:\n    \"n\": \"1\"\n  labels:\n    helm.toolkit.fluxcd.io/name: hr\n    helm.toolkit.fluxcd.io/namespace: ns\n    team: t\n  name: a\n"
        );
        assert_eq!(sorted.manifests[0].path, "app/templates/a.yaml");
        assert!(
            sorted.hooks[0]
                .manifest
                .contains("helm.toolkit.fluxcd.io/name: hr")
        );
    }

    #[test]
    fn strategy_says_whether_hooks_are_changed() {
        let rendered = rendered(&[("templates/a.yaml", MAP), ("templates/h.yaml", HOOK)]);
        let patched = |strategy: &str| {
            let spec = json!({ "postRenderStrategy": strategy, "postRenderers": [
                { "kustomize": { "patches": [{ "target": { "kind": "Job|ConfigMap" },
                    "patch": "- {op: add, path: /metadata/labels, value: {patched: \"1\"}}" }] } },
                { "kustomize": { "patches": [{ "target": { "kind": "ConfigMap" },
                    "patch": "- {op: add, path: /data/twice, value: x}" }] } }] });
            let sorted = of(spec).run(&rendered).unwrap();
            assert!(sorted.manifests[0].content.contains("twice: x"));
            assert_eq!(sorted.manifests[0].path, "app/templates/a.yaml");
            sorted.hooks[0].manifest.contains("patched")
        };
        assert!(patched("combined") && patched("separate") && !patched("nohooks"));
    }

    #[test]
    fn patches_of_older_versions_are_applied() {
        let rendered = rendered(&[("templates/a.yaml", MAP)]);
        let spec = json!({ "postRenderers": [{ "kustomize": {
            "patchesStrategicMerge": [{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "m": "1" } }],
            "patchesJson6902": [{ "target": { "version": "v1", "kind": "ConfigMap", "name": "a" },
                "patch": [{ "op": "remove", "path": "/data/k" }, { "op": "add", "path": "/data/j", "value": "2" }] }] } }] });
        let sorted = of(spec).run(&rendered).unwrap();
        let text = &sorted.manifests[0].content;
        assert!(text.contains("data:\n  j: \"2\"\n  m: \"1\"\n"), "{text}");
    }

    #[test]
    fn one_object_twice_is_refused() {
        let rendered = rendered(&[("templates/a.yaml", MAP), ("templates/b.yaml", MAP)]);
        let error = of(json!({})).run(&rendered).unwrap_err().to_string();
        assert!(
            error.contains("may not add resource with an already registered id"),
            "{error}"
        );
    }
}
