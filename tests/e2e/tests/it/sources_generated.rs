//! ArtifactGenerators compose artifacts of others, which Kustomizations apply.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Repository, Target, cases, config_map, text};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["sources_generated":
        generated_artifact_is_applied_and_follows_its_source,
        generated_artifacts_come_back_and_go_with_their_generator,
    ]
}

fn external(case: &Case, name: &str) -> Result<Target> {
    case.object("source.toolkit.fluxcd.io/v1", "ExternalArtifact", name)
}

/// What a generator of two artifacts says.
const MADE: &str = "reconciliation succeeded, generated 2 artifact(s)";

/// The ExternalArtifact, once it is ready.
async fn has_artifact(external: &Target) -> Result<Value> {
    external
        .expect("Ready", "True", "Succeeded", "Artifact is ready")
        .await
}

/// A repository with a GitRepository `app`, and an ArtifactGenerator for it.
async fn generated(case: &Case, files: &[(&str, &str)], spec: Value) -> Result<(Repository, Target)> {
    let repository = case.repository("app")?;
    repository.commit(files)?;
    case.git_repository("app", repository.url(), json!({})).await?;
    let mut whole = json!({"sources": [{"alias": "git", "kind": "GitRepository", "name": "app"}]});
    for (field, value) in spec.as_object().into_iter().flatten() {
        whole[field] = value.clone();
    }
    let generator = case.object("source.extensions.fluxcd.io/v1beta1", "ArtifactGenerator", "app")?;
    let object = json!({"apiVersion": "source.extensions.fluxcd.io/v1beta1", "kind": "ArtifactGenerator", "metadata": {"name": "app"}, "spec": whole});
    generator.apply(&object).await?;
    Ok((repository, generator))
}

/// From a commit by way of a generator to the cluster. What the output does not have changes nothing.
async fn generated_artifact_is_applied_and_follows_its_source(case: Case) -> Result<()> {
    let map = |value| config_map("a", &[("key", value)]);
    let (one, two) = (map("one"), map("two"));
    let files = [("deploy/a.yaml", one.as_str()), ("README.md", "first")];
    let copy = json!([{"from": "@git/deploy/**", "to": "@artifact/"}]);
    let traced = json!({"name": "traced", "originRevision": "@git", "copy": copy});
    let outputs = json!({"artifacts": [{"name": "made", "copy": copy}, traced]});
    let (repository, generator) = generated(&case, &files, outputs).await?;
    generator.expect("Ready", "True", "Succeeded", MADE).await?;
    let source = json!({"sourceRef": {"kind": "ExternalArtifact", "name": "made"}});
    let kustomization = case.kustomize("app", "made", source).await?;
    let made = external(&case, "made")?;
    let object = has_artifact(&made).await?;
    let artifact = object["status"]["artifact"].clone();
    ensure!(
        text(&artifact, "/revision") == format!("latest@{}", text(&artifact, "/digest")),
        "{artifact}"
    );
    let applied = kustomization.ready().await?;
    ensure!(
        applied["status"]["lastAppliedRevision"] == artifact["revision"],
        "{}",
        applied["status"]
    );
    ensure!(case.config_map("a")?.get().await?["data"]["key"] == "one");

    let observed = |it: &Value| text(it, "/status/observedSourcesDigest");
    let before = observed(&generator.get().await?);
    let commit = repository.commit(&[("README.md", "second")])?;
    case.fetch("app", &commit).await?;
    generator
        .until("the new commit is observed", |it| {
            observed(it) != before && e2e::condition(it, "Ready").is_some_and(|it| it["status"] == "True")
        })
        .await?;
    ensure!(made.get().await? == object, "it was written for nothing");
    let origin = external(&case, "traced")?.get().await?["status"]["artifact"]["metadata"].clone();
    let origin = text(&origin, "/org.opencontainers.image.revision");
    ensure!(origin == format!("main@sha1:{commit}"), "{origin}");

    let commit = repository.commit(&[("deploy/a.yaml", two.as_str())])?;
    case.fetch("app", &commit).await?;
    case.config_map("a")?
        .until("the new content is applied", |it| it["data"]["key"] == "two")
        .await?;
    generator
        .expect_event("Normal", "Ready", "external artifacts reconciled: ")
        .await
}

/// Outputs of a path pattern are restored at once, removed with their directories, and with their generator.
async fn generated_artifacts_come_back_and_go_with_their_generator(case: Case) -> Result<()> {
    let files = [("apps/one/a", "1"), ("apps/two/a", "2")];
    let copy = json!([{"from": "@git/apps/{app}/**", "to": "@artifact/"}]);
    let spec = json!({"pathPattern": "@git/apps/{app}", "artifacts": [{"name": "app-{app}", "copy": copy}]});
    let (repository, generator) = generated(&case, &files, spec).await?;
    generator.expect("Ready", "True", "Succeeded", MADE).await?;
    let (one, two) = (external(&case, "app-one")?, external(&case, "app-two")?);
    let url = text(&has_artifact(&one).await?, "/status/artifact/url");
    ensure!(case.download(&url).await?.0 == 200, "{url}");
    let labelled = &has_artifact(&two).await?["metadata"]["labels"]["app"];
    ensure!(*labelled == "two", "{labelled}");

    one.delete().await?;
    let is_made = |it: &Value| text(it, "/status/artifact/url") == url;
    one.back("the artifact is there again", is_made).await?;

    let commit = repository.commit_removal(&["apps/two/a"])?;
    case.fetch("app", &commit).await?;
    two.gone().await?;

    generator.delete().await?;
    generator.gone().await?;
    one.gone().await?;
    ensure!(case.download(&url).await?.0 == 404, "{url}");
    Ok(())
}
