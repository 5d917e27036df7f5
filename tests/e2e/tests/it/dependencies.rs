//! Kustomizations that wait for others.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Repository, cases, config_map, text};
use serde_json::json;

use crate::apply::{applied, deployment};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["dependencies":
        dependency_in_another_namespace_is_looked_for_there,
        chain_of_three_applies_in_order,
        dependency_missing_is_reported_and_recovers,
        dependency_failing_holds_the_dependent_back,
        dependency_of_the_same_source_must_have_the_same_revision,
        cycle_is_reported_and_ends_when_broken,
        ready_expression_decides,
        ready_expression_malformed_stalls,
    ]
}

/// A repository with a directory and a ConfigMap of each name.
async fn repository(case: &Case, names: &[&str]) -> Result<(Repository, String)> {
    let repository = case.repository("app")?;
    let files: Vec<_> = names
        .iter()
        .map(|it| (format!("{it}/{it}.yaml"), config_map(it, &[("key", "one")])))
        .collect();
    let files: Vec<_> = files.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
    let commit = repository.commit(&files)?;
    case.git_repository("app", repository.url(), json!({})).await?;
    Ok((repository, commit))
}

async fn chain_of_three_applies_in_order(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let files = [
        ("a/a.yaml", deployment("a", "delayed")),
        ("b/b.yaml", deployment("b", "delayed")),
        ("c/c.yaml", config_map("c", &[])),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let commit = repository.commit(&files)?;
    case.git_repository("app", repository.url(), json!({})).await?;
    let on = |name: &str| json!([{"name": name}]);
    // Made in the wrong order.
    let c = case
        .kustomize("c", "app", json!({"path": "./c", "dependsOn": on("b")}))
        .await?;
    let b = case
        .kustomize(
            "b",
            "app",
            json!({"path": "./b", "wait": true, "dependsOn": on("a")}),
        )
        .await?;
    let message = format!("dependency '{}/b' ", case.namespace());
    c.expect("Ready", "False", "DependencyNotReady", &message).await?;
    c.expect_event(
        "Normal",
        "DependencyNotReady",
        "Dependencies do not meet ready condition, retrying in 1s",
    )
    .await?;
    let a = case
        .kustomize("a", "app", json!({"path": "./a", "wait": true}))
        .await?;
    for it in [&a, &b, &c] {
        applied(it, &commit).await?;
    }
    // Each was made when the Deployment of the one before was available.
    let available = |name: &'static str| {
        let case = case.clone();
        async move {
            let object = case.object("apps/v1", "Deployment", name)?.get().await?;
            let condition = e2e::condition(&object, "Available").map(|it| text(it, "/lastTransitionTime"));
            anyhow::Ok((
                text(&object, "/metadata/creationTimestamp"),
                condition.unwrap_or_default(),
            ))
        }
    };
    let (a, b) = (available("a").await?, available("b").await?);
    let c = text(&case.config_map("c")?.get().await?, "/metadata/creationTimestamp");
    ensure!(a.1 <= b.0 && b.1 <= c, "a {a:?}, b {b:?}, c {c}");
    Ok(())
}

async fn dependency_missing_is_reported_and_recovers(case: Case) -> Result<()> {
    let (_, commit) = repository(&case, &["a", "b"]).await?;
    let b = case
        .kustomize("b", "app", json!({"path": "./b", "dependsOn": [{"name": "a"}]}))
        .await?;
    let message = format!("dependency '{}/a' not found: ", case.namespace());
    b.expect("Ready", "False", "DependencyNotReady", &message).await?;
    ensure!(case.config_map("b")?.find().await?.is_none(), "it did not wait");
    case.kustomize("a", "app", json!({"path": "./a"})).await?;
    applied(&b, &commit).await?;
    Ok(())
}

async fn dependency_failing_holds_the_dependent_back(case: Case) -> Result<()> {
    let (_, commit) = repository(&case, &["a", "b"]).await?;
    let a = case.kustomize("a", "app", json!({"path": "./none"})).await?;
    a.expect("Ready", "False", "ArtifactFailed", "").await?;
    let b = case
        .kustomize("b", "app", json!({"path": "./b", "dependsOn": [{"name": "a"}]}))
        .await?;
    b.expect(
        "Ready",
        "False",
        "DependencyNotReady",
        &format!("dependency '{}/a' is not ready", case.namespace()),
    )
    .await?;
    ensure!(case.config_map("b")?.find().await?.is_none(), "it did not wait");
    a.merge(&json!({"spec": {"path": "./a"}})).await?;
    applied(&b, &commit).await?;
    Ok(())
}

async fn dependency_of_the_same_source_must_have_the_same_revision(case: Case) -> Result<()> {
    let (repository, first) = repository(&case, &["a", "b"]).await?;
    let a = case.kustomize("a", "app", json!({"path": "./a"})).await?;
    let b = case
        .kustomize("b", "app", json!({"path": "./b", "dependsOn": [{"name": "a"}]}))
        .await?;
    applied(&b, &first).await?;
    a.merge(&json!({"spec": {"suspend": true}})).await?;
    let second = repository.commit(&[("b/b.yaml", &config_map("b", &[("key", "two")]))])?;
    case.fetch("app", &second).await?;
    b.expect("Ready", "False", "DependencyNotReady", "").await?;
    ensure!(
        case.config_map("b")?.get().await?["data"]["key"] == "one",
        "it did not wait"
    );
    a.merge(&json!({"spec": {"suspend": false}})).await?;
    applied(&b, &second).await?;
    Ok(())
}

async fn cycle_is_reported_and_ends_when_broken(case: Case) -> Result<()> {
    let (_, commit) = repository(&case, &["a", "b", "c"]).await?;
    let a = case
        .kustomize("a", "app", json!({"path": "./a", "dependsOn": [{"name": "b"}]}))
        .await?;
    let b = case
        .kustomize("b", "app", json!({"path": "./b", "dependsOn": [{"name": "a"}]}))
        .await?;
    let ns = case.namespace();
    for it in [&a, &b] {
        // Upstream leaves the user to find out; we name the cycle.
        it.expect("Ready", "False", "DependencyNotReady", "cycle").await?;
    }
    let message = e2e::condition(&a.get().await?, "Ready")
        .map(|it| text(it, "/message"))
        .unwrap_or_default();
    ensure!(
        message.contains(&format!("{ns}/a")) && message.contains(&format!("{ns}/b")),
        "the cycle is not named: {message}"
    );
    // One without dependencies is not held up.
    let c = case.kustomize("c", "app", json!({"path": "./c"})).await?;
    applied(&c, &commit).await?;
    a.merge(&json!({"spec": {"dependsOn": null}})).await?;
    applied(&a, &commit).await?;
    applied(&b, &commit).await?;
    Ok(())
}

async fn ready_expression_decides(case: Case) -> Result<()> {
    let (_, commit) = repository(&case, &["a", "b"]).await?;
    let expression = "dep.metadata.labels['stage'] == self.metadata.labels['stage'] && dep.status.conditions.exists(it, it.type == 'Ready')";
    let a = case.kustomize("a", "app", json!({"path": "./a"})).await?;
    a.merge(&json!({"metadata": {"labels": {"stage": "one"}}}))
        .await?;
    applied(&a, &commit).await?;
    let spec = json!({"path": "./b", "suspend": true, "dependsOn": [{"name": "a", "readyExpr": expression}]});
    let b = case.kustomize("b", "app", spec).await?;
    b.merge(&json!({"metadata": {"labels": {"stage": "two"}}, "spec": {"suspend": false}}))
        .await?;
    let message = format!(
        "dependency '{}/a' is not ready according to readyExpr eval",
        case.namespace()
    );
    b.expect("Ready", "False", "DependencyNotReady", &message).await?;
    a.merge(&json!({"metadata": {"labels": {"stage": "two"}}}))
        .await?;
    applied(&b, &commit).await?;
    Ok(())
}

async fn ready_expression_malformed_stalls(case: Case) -> Result<()> {
    let (_, commit) = repository(&case, &["a", "b"]).await?;
    case.kustomize("a", "app", json!({"path": "./a"})).await?;
    let b = case
        .kustomize(
            "b",
            "app",
            json!({"path": "./b", "dependsOn": [{"name": "a", "readyExpr": "dep.status."}]}),
        )
        .await?;
    let message = "Reconciliation failed terminally due to configuration error: ";
    b.expect("Ready", "False", "InvalidCELExpression", message)
        .await?;
    let object = b
        .expect("Stalled", "True", "InvalidCELExpression", message)
        .await?;
    ensure!(
        object["status"]["observedGeneration"] == object["metadata"]["generation"],
        "{}",
        object["status"]
    );
    b.merge(
        &json!({"spec": {"dependsOn": [{"name": "a", "readyExpr": "dep.status.observedGeneration > 0"}]}}),
    )
    .await?;
    applied(&b, &commit).await?;
    Ok(())
}

async fn dependency_in_another_namespace_is_looked_for_there(case: Case) -> Result<()> {
    let more = json!({"dependsOn": [{"name": "app", "namespace": "default"}]});
    // One of that name is here, itself even, and does not count.
    let (_, kustomization) = case.app(&[("a.yaml", &config_map("a", &[]))], more).await?;
    kustomization
        .expect(
            "Ready",
            "False",
            "DependencyNotReady",
            "dependency 'default/app' not found",
        )
        .await?;
    kustomization.merge(&json!({"spec": {"dependsOn": null}})).await?;
    kustomization.ready().await?;
    Ok(())
}
