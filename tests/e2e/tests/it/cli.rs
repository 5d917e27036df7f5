//! The command line against the cluster.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, cases, config_map, text};
use serde_json::json;

pub(crate) fn cases() -> Vec<Entry> {
    cases!["cli":
        get_prints_the_columns_of_each_kind,
        get_without_match_fails,
        get_with_status_selector_prints_those_only,
        reconcile_waits_for_the_revision,
        reconcile_of_a_failing_object_fails,
        suspend_and_resume_change_the_object,
        check_and_version_look_at_the_cluster,
    ]
}

/// The rows of a table: cells padded with spaces, a tab after each.
fn rows(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let mut cells: Vec<_> = line.split('\t').map(|it| it.trim_end().to_owned()).collect();
        // The tab after the last cell leaves an empty one.
        if cells.last().is_some_and(String::is_empty) {
            cells.pop();
        }
        cells
    };
    table.lines().map(cells).collect()
}

async fn get_prints_the_columns_of_each_kind(case: Case) -> Result<()> {
    let (repository, kustomization) = case.app(&[("a.yaml", &config_map("a", &[]))], json!({})).await?;
    kustomization.ready().await?;
    let commit = repository.git(&["rev-parse", "HEAD"])?;
    let short = format!("main@sha1:{}", commit.get(..8).unwrap_or_default());
    let header = ["NAME", "REVISION", "SUSPENDED", "READY", "MESSAGE"];

    let output = case.flux(&["get", "sources", "git"]).await?.success()?;
    let message = format!("stored artifact for revision '{short}'");
    ensure!(
        rows(&output.stdout) == [header.to_vec(), vec!["app", &short, "False", "True", &message]],
        "{:?}",
        output.stdout
    );

    let output = case.flux(&["get", "kustomizations"]).await?.success()?;
    let message = format!("Applied revision: {short}");
    ensure!(
        rows(&output.stdout) == [header.to_vec(), vec!["app", &short, "False", "True", &message]],
        "{:?}",
        output.stdout
    );
    // A tab ends each row, but not the header.
    ensure!(
        output
            .stdout
            .lines()
            .map(|it| it.ends_with('\t'))
            .eq([false, true]),
        "{:?}",
        output.stdout
    );

    let output = case.flux(&["get", "ks", "app", "--no-header"]).await?.success()?;
    ensure!(
        rows(&output.stdout) == [vec!["app", &short, "False", "True", &message]],
        "{:?}",
        output.stdout
    );

    let output = case.flux(&["get", "kustomizations", "-A"]).await?.success()?;
    let table = rows(&output.stdout);
    let ours = table
        .iter()
        .find(|it| it.first().is_some_and(|it| it == case.namespace()));
    ensure!(
        table[0] == ["NAMESPACE", "NAME", "REVISION", "SUSPENDED", "READY", "MESSAGE"],
        "{:?}",
        output.stdout
    );
    ensure!(
        ours.is_some_and(|it| it[1] == "app" && it[2] == short),
        "{:?}",
        output.stdout
    );

    let output = case.flux(&["get", "all"]).await?.success()?;
    ensure!(
        output.stdout.contains("gitrepository/app\t") && output.stdout.contains("kustomization/app\t"),
        "{:?}",
        output.stdout
    );
    Ok(())
}

async fn get_without_match_fails(case: Case) -> Result<()> {
    let output = case.flux(&["get", "kustomizations"]).await?;
    let expected = format!(
        "✗ no Kustomization objects found in \"{}\" namespace",
        case.namespace()
    );
    ensure!(
        output.code == 1 && output.stderr.trim() == expected && output.stdout.is_empty(),
        "{output:?}"
    );
    let output = case.flux(&["get", "sources", "git", "none"]).await?;
    let expected = format!(
        "✗ GitRepository object 'none' not found in \"{}\" namespace",
        case.namespace()
    );
    ensure!(output.code == 1 && output.stderr.trim() == expected, "{output:?}");
    Ok(())
}

async fn get_with_status_selector_prints_those_only(case: Case) -> Result<()> {
    let (_, kustomization) = case.app(&[("a.yaml", &config_map("a", &[]))], json!({})).await?;
    kustomization.ready().await?;
    let bad = case.kustomize("bad", "app", json!({"path": "./none"})).await?;
    bad.expect("Ready", "False", "ArtifactFailed", "").await?;
    let output = case
        .flux(&["get", "ks", "--status-selector", "ready=true", "--no-header"])
        .await?
        .success()?;
    let names: Vec<_> = rows(&output.stdout).into_iter().map(|it| it[0].clone()).collect();
    ensure!(names == ["app"], "{names:?}");
    let output = case
        .flux(&["get", "ks", "--status-selector", "Ready!=True", "--no-header"])
        .await?
        .success()?;
    let names: Vec<_> = rows(&output.stdout).into_iter().map(|it| it[0].clone()).collect();
    ensure!(names == ["bad"], "{names:?}");
    Ok(())
}

async fn reconcile_waits_for_the_revision(case: Case) -> Result<()> {
    let (repository, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "one")]))], json!({}))
        .await?;
    kustomization.ready().await?;
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "two")]))])?;
    let output = case
        .flux(&["reconcile", "kustomization", "app", "--with-source"])
        .await?
        .success()?;
    let ns = case.namespace();
    let lines = [
        format!("► annotating GitRepository app in {ns} namespace"),
        "✔ GitRepository annotated".to_owned(),
        "◎ waiting for GitRepository reconciliation".to_owned(),
        format!("✔ fetched revision main@sha1:{commit}"),
        format!("► annotating Kustomization app in {ns} namespace"),
        "✔ Kustomization annotated".to_owned(),
        "◎ waiting for Kustomization reconciliation".to_owned(),
        format!("✔ applied revision main@sha1:{commit}"),
    ];
    ensure!(
        output.stderr.lines().eq(lines.iter().map(String::as_str)),
        "{}",
        output.stderr
    );
    ensure!(case.config_map("a")?.get().await?["data"]["key"] == "two");
    Ok(())
}

async fn reconcile_of_a_failing_object_fails(case: Case) -> Result<()> {
    let (_, kustomization) = case
        .app(
            &[("a.yaml", &config_map("a", &[]))],
            json!({"path": "./none", "retryInterval": "1h"}),
        )
        .await?;
    kustomization
        .expect("Ready", "False", "ArtifactFailed", "")
        .await?;
    let output = case
        .flux(&["reconcile", "kustomization", "app", "--timeout", "5s"])
        .await?;
    ensure!(
        output.code == 1
            && output
                .stderr
                .contains("✗ context deadline exceeded: kustomization path not found"),
        "{output:?}"
    );
    kustomization.merge(&json!({"spec": {"suspend": true}})).await?;
    let output = case.flux(&["reconcile", "kustomization", "app"]).await?;
    ensure!(
        output.code == 1 && output.stderr.contains("✗ resource is suspended"),
        "{output:?}"
    );
    let output = case.flux(&["reconcile", "kustomization", "none"]).await?;
    ensure!(
        output.code == 1 && output.stderr.contains("\"none\" not found"),
        "{output:?}"
    );
    Ok(())
}

async fn suspend_and_resume_change_the_object(case: Case) -> Result<()> {
    let (repository, kustomization) = case.app(&[("a.yaml", &config_map("a", &[]))], json!({})).await?;
    kustomization.ready().await?;
    let ns = case.namespace();
    let output = case.flux(&["suspend", "kustomization", "app"]).await?.success()?;
    let expected = format!("► suspending kustomization app in {ns} namespace\n✔ kustomization suspended\n");
    ensure!(output.stderr == expected, "{:?}", output.stderr);
    ensure!(kustomization.get().await?["spec"]["suspend"] == true);
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "two")]))])?;
    case.fetch("app", &commit).await?;

    let output = case.flux(&["resume", "kustomization", "app"]).await?.success()?;
    ensure!(
        output
            .stderr
            .contains(&format!("► resuming kustomization app in {ns} namespace")),
        "{:?}",
        output.stderr
    );
    ensure!(
        output
            .stderr
            .contains("✔ Kustomization app reconciliation completed"),
        "{:?}",
        output.stderr
    );
    ensure!(
        output
            .stderr
            .contains(&format!("✔ applied revision main@sha1:{commit}")),
        "{:?}",
        output.stderr
    );
    let object = kustomization.get().await?;
    ensure!(
        object["spec"]["suspend"] != true && text(&object, "/status/lastAppliedRevision").ends_with(&commit),
        "{object}"
    );

    let output = case.flux(&["suspend", "source", "git", "app", "none"]).await?;
    ensure!(
        output.code == 0
            && output
                .stderr
                .contains(&format!("✗ GitRepository none not found in {ns} namespace")),
        "{output:?}"
    );
    Ok(())
}

async fn check_and_version_look_at_the_cluster(case: Case) -> Result<()> {
    let output = case.flux(&["check", "--pre"]).await?.success()?;
    ensure!(
        output.stderr.starts_with("► checking prerequisites\n"),
        "{output:?}"
    );
    ensure!(
        output.stderr.contains("✔ Kubernetes 1.")
            && output.stderr.ends_with("✔ prerequisites checks passed\n"),
        "{output:?}"
    );
    // No Deployment is here: the controllers of this test run beside the cluster.
    let output = case.flux(&["check"]).await?;
    ensure!(
        output.code == 1 && output.stderr.contains("✗ check failed"),
        "{output:?}"
    );
    // The CRDs say of which distribution they are, and are found by that.
    for line in [
        "✔ distribution: flux-v",
        "✔ kustomizations.kustomize.toolkit.fluxcd.io/v1\n",
        "✔ gitrepositories.source.toolkit.fluxcd.io/v1\n",
    ] {
        ensure!(output.stderr.contains(line), "{output:?}");
    }
    let output = case.flux(&["version", "--client"]).await?.success()?;
    ensure!(output.stdout.starts_with("flux: v"), "{output:?}");
    let output = case.flux(&["no-such-command"]).await?;
    ensure!(output.code == 1 && output.stderr.starts_with("✗ "), "{output:?}");
    Ok(())
}
