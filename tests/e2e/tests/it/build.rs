//! What the spec of a Kustomization makes of the files.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Repository, Target, cases, condition, config_map, kustomization_yaml, text};
use serde_json::json;

use crate::apply::{applied, deployment};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["build":
        overlay_fields_of_the_spec_change_the_objects,
        substitution_uses_variables_of_all_sources,
        substitution_source_that_changes_triggers_a_reconcile,
        components_of_the_spec_are_built,
        older_api_versions_apply_verbatim_and_work,
        older_patch_fields_are_honoured,
        remote_base_is_built_and_followed,
        substitution_strategy_decides_without_variables,
        external_artifact_is_applied_with_its_origin,
    ]
}

async fn overlay_fields_of_the_spec_change_the_objects(case: Case) -> Result<()> {
    let more = json!({
        "namePrefix": "pre-",
        "nameSuffix": "-suf",
        "commonMetadata": {"labels": {"team": "e2e"}, "annotations": {"note": "hello"}},
        "images": [{"name": "none.invalid/none", "newName": "other.invalid/app", "newTag": "v2"}],
        "patches": [
            {"patch": "- op: replace\n  path: /spec/replicas\n  value: 0\n", "target": {"kind": "Deployment"}},
            {"patch": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {paused: true}\n"},
        ],
    });
    let manifest = deployment("app", "").replace("spec:\n  selector", "spec:\n  replicas: 1\n  selector");
    let (_, kustomization) = case.app(&[("app.yaml", &manifest)], more).await?;
    kustomization.ready().await?;
    let live = case.object("apps/v1", "Deployment", "pre-app-suf")?.get().await?;
    ensure!(
        live["spec"]["replicas"] == 0 && live["spec"]["paused"] == true,
        "{live}"
    );
    ensure!(
        live["spec"]["template"]["spec"]["containers"][0]["image"] == "other.invalid/app:v2",
        "{live}"
    );
    ensure!(
        live["metadata"]["labels"]["team"] == "e2e" && live["metadata"]["annotations"]["note"] == "hello",
        "{live}"
    );
    ensure!(
        live["spec"]["template"]["metadata"]["labels"] == json!({"app": "app"}),
        "{live}"
    );
    Ok(())
}

async fn substitution_uses_variables_of_all_sources(case: Case) -> Result<()> {
    case.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars}\ndata: {one: from-map, two: from-map}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: vars}\nstringData: {two: from-secret, three: from-secret}\n").await?;
    let data = [
        ("one", "${one}"),
        ("two", "${two}"),
        ("three", "${three}"),
        ("four", "${four:=default}"),
        ("five", "$${five}"),
    ];
    let plain = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: plain\n  annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}\ndata: {text: \"${one}\"}\n";
    let files = [
        ("a.yaml", config_map("a", &data)),
        ("plain.yaml", plain.to_owned()),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let more = json!({"postBuild": {
        "substitute": {"three": "inline"},
        "substituteFrom": [{"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "vars"}, {"kind": "ConfigMap", "name": "none", "optional": true}],
    }});
    let (repository, kustomization) = case.app(&files, more).await?;
    kustomization.ready().await?;
    let expected = json!({"one": "from-map", "two": "from-secret", "three": "inline", "four": "default", "five": "${five}"});
    let live = case.config_map("a")?.get().await?;
    ensure!(live["data"] == expected, "{}", live["data"]);
    ensure!(case.config_map("plain")?.get().await?["data"]["text"] == "${one}");

    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "${unknown}")]))])?;
    case.fetch("app", &commit).await?;
    kustomization
        .expect(
            "Ready",
            "False",
            "BuildFailed",
            "variable not set (strict mode): \"unknown\"",
        )
        .await?;
    ensure!(
        case.config_map("a")?.get().await?["data"] == expected,
        "half of the commit was applied"
    );
    Ok(())
}

async fn substitution_source_that_changes_triggers_a_reconcile(case: Case) -> Result<()> {
    let vars = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: vars\n  labels: {{reconcile.fluxcd.io/watch: Enabled}}\ndata: {{one: {value}}}\n"
        )
    };
    case.apply(&vars("first")).await?;
    let more = json!({"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}});
    let (_, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "${one}")]))], more)
        .await?;
    kustomization.ready().await?;
    case.apply(&vars("second")).await?;
    case.config_map("a")?
        .until("the new value is there", |it| it["data"]["key"] == "second")
        .await?;
    Ok(())
}

async fn components_of_the_spec_are_built(case: Case) -> Result<()> {
    let component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n    - {op: add, path: /data/added, value: by-component}\n";
    let files = [
        ("app/kustomization.yaml", kustomization_yaml(&["a.yaml"])),
        ("app/a.yaml", config_map("a", &[("key", "one")])),
        ("components/extra/kustomization.yaml", component.to_owned()),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let more = json!({"path": "./app", "components": ["../components/extra", "../components/none"], "ignoreMissingComponents": true});
    let (_, kustomization) = case.app(&files, more).await?;
    kustomization.ready().await?;
    let live = case.config_map("a")?.get().await?;
    ensure!(
        live["data"] == json!({"key": "one", "added": "by-component"}),
        "{live}"
    );
    kustomization
        .merge(&json!({"spec": {"ignoreMissingComponents": false}}))
        .await?;
    kustomization
        .expect("Ready", "False", "BuildFailed", "components/none")
        .await?;
    kustomization
        .merge(&json!({"spec": {"components": ["https://example.com/component"]}}))
        .await?;
    let message = "component path 'https://example.com/component' must be local and relative";
    kustomization
        .expect("Ready", "False", "BuildFailed", message)
        .await?;
    Ok(())
}

/// Applies the manifests of a user of the older versions, and waits for the commit with one ConfigMap.
async fn older(case: &Case, more: &str) -> Result<()> {
    let repository = case.repository("app")?;
    let commit = repository.commit(&[("deploy/a.yaml", &config_map("a", &[("key", "one")]))])?;
    let ns = case.namespace();
    let manifest = format!(
        "apiVersion: source.toolkit.fluxcd.io/v1beta2\nkind: GitRepository\nmetadata:\n  name: app\n  namespace: {ns}\nspec:\n  interval: 1m0s\n  \
         url: {url}\n  gitImplementation: go-git\n  timeout: 20s\n  ref:\n    branch: main\n---\n\
         apiVersion: kustomize.toolkit.fluxcd.io/v1beta2\nkind: Kustomization\nmetadata:\n  name: app\n  namespace: {ns}\nspec:\n  interval: 10m0s\n  \
         path: ./deploy\n  prune: true\n  validation: client\n  targetNamespace: {ns}\n  sourceRef:\n    kind: GitRepository\n    name: app\n  timeout: 80s\n{more}",
        url = repository.url()
    );
    let file = case.dir()?.join("older.yaml");
    std::fs::write(&file, manifest)?;
    // As users do: with kubectl, which refuses fields that the API does not know.
    case.blocking(move |world| world.kubectl(&["apply", "--validate=strict", "-f", &file.to_string_lossy()]))
        .await?;
    applied(&case.kustomization("app")?, &commit).await?;
    Ok(())
}

async fn older_api_versions_apply_verbatim_and_work(case: Case) -> Result<()> {
    older(&case, "").await?;
    let live = case.config_map("a")?.get().await?;
    ensure!(live["data"] == json!({"key": "one"}), "{live}");
    for (group, kind) in [("source", "GitRepository"), ("kustomize", "Kustomization")] {
        let version = format!("{group}.toolkit.fluxcd.io/v1beta2");
        let older = case.object(&version, kind, "app")?.get().await?;
        ensure!(
            condition(&older, "Ready").is_some_and(|it| it["status"] == "True"),
            "{older}"
        );
    }
    Ok(())
}

async fn older_patch_fields_are_honoured(case: Case) -> Result<()> {
    let patches = "  patchesStrategicMerge:\n  - apiVersion: v1\n    kind: ConfigMap\n    metadata:\n      name: a\n    data:\n      merged: \"yes\"\n  \
                   patchesJson6902:\n  - target:\n      version: v1\n      kind: ConfigMap\n      name: a\n    patch:\n    - op: add\n      path: /data/patched\n      value: \"yes\"\n";
    older(&case, patches).await?;
    let live = case.config_map("a")?.get().await?;
    ensure!(
        live["data"] == json!({"key": "one", "merged": "yes", "patched": "yes"}),
        "{}",
        live["data"]
    );
    Ok(())
}

/// A repository with a base, the base's URL, and an app that has nothing but the base.
pub(crate) async fn with_remote_base(case: &Case) -> Result<(Repository, String, Target)> {
    let base = case.repository("base")?;
    base.commit(&[
        ("deploy/kustomization.yaml", &kustomization_yaml(&["a.yaml"])),
        ("deploy/a.yaml", &config_map("a", &[("key", "one")])),
    ])?;
    let url = format!("{}//deploy?ref=main", base.url());
    let (_, kustomization) = case
        .app(&[("kustomization.yaml", &kustomization_yaml(&[&url]))], json!({}))
        .await?;
    Ok((base, url, kustomization))
}

async fn remote_base_is_built_and_followed(case: Case) -> Result<()> {
    let (base, url, kustomization) = with_remote_base(&case).await?;
    kustomization.ready().await?;
    let a = case.config_map("a")?;
    ensure!(a.get().await?["data"]["key"] == "one");
    // The base has moved on, and nothing else has: a reconcile sees it.
    base.commit(&[("deploy/a.yaml", &config_map("a", &[("key", "two")]))])?;
    kustomization.reconcile().await?;
    a.until("the base's new commit is applied", |it| {
        it["data"]["key"] == "two"
    })
    .await?;
    base.git(&["branch", "-m", "main", "gone"])?;
    kustomization.request().await?;
    kustomization
        .expect("Ready", "False", "BuildFailed", "couldn't find remote ref main")
        .await?;
    ensure!(url.contains("?ref=main") && a.get().await?["data"]["key"] == "two");
    Ok(())
}

/// Without variables, defaults are filled in only when they are to be always.
async fn substitution_strategy_decides_without_variables(case: Case) -> Result<()> {
    let manifest = config_map("a", &[("key", "${missing:=default}")]);
    let more = json!({"postBuild": {"substituteStrategy": "WithVariables"}});
    let (_, kustomization) = case.app(&[("a.yaml", &manifest)], more).await?;
    kustomization.ready().await?;
    let a = case.config_map("a")?;
    ensure!(a.get().await?["data"]["key"] == "${missing:=default}");
    kustomization
        .merge(&json!({"spec": {"postBuild": {"substituteStrategy": "Always"}}}))
        .await?;
    a.until("the default is filled in", |it| it["data"]["key"] == "default")
        .await?;
    Ok(())
}

/// An artifact of somebody else's, here one of source-controller's under another name, with the revision that it came from.
async fn external_artifact_is_applied_with_its_origin(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "one")]))])?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    let stored = |it: &serde_json::Value| text(it, "/status/artifact/revision").ends_with(&commit);
    let mut artifact = source.until("the artifact is stored", stored).await?["status"]["artifact"].clone();
    artifact["metadata"] = json!({"org.opencontainers.image.revision": "v1.2.3@sha1:0123"});
    let external = case.object("source.toolkit.fluxcd.io/v1", "ExternalArtifact", "made")?;
    let object = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact", "metadata": {"name": "made"}, "spec": {}});
    external.apply(&object).await?;
    external
        .merge_status(&json!({"status": {"artifact": artifact}}))
        .await?;
    let more = json!({"sourceRef": {"kind": "ExternalArtifact", "name": "made"}});
    let kustomization = case.kustomize("app", "app", more).await?;
    let object = kustomization.ready().await?;
    ensure!(
        object["status"]["lastAppliedOriginRevision"] == "v1.2.3@sha1:0123",
        "{}",
        object["status"]
    );
    ensure!(
        object["status"]["history"][0]["metadata"]["originRevision"] == "v1.2.3@sha1:0123",
        "{}",
        object["status"]
    );
    ensure!(case.config_map("a")?.get().await?["data"]["key"] == "one");
    Ok(())
}
