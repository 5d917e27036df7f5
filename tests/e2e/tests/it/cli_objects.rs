//! The command line writes objects: it creates, exports, suspends, resumes and deletes sources and releases.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, cases, config_map};
use serde_json::{Value, json};

use crate::helm_releases::{Charts, SOUND, has, release};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["cli_objects":
        sources_and_releases_are_created_and_updated,
        releases_are_shown_suspended_and_resumed,
        exports_are_applied_again_unchanged,
        deletion_asks_first,
        credentials_reach_the_cluster_and_come_back_only_when_asked_for,
        debug_shows_what_a_release_is_made_of,
    ]
}

const HELM: &str = "helm.toolkit.fluxcd.io/v2";
const SOURCE: &str = "source.toolkit.fluxcd.io/v1";

async fn sources_and_releases_are_created_and_updated(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", SOUND)?;
    let url = charts.url();
    let output = case
        .flux(&[
            "create",
            "source",
            "helm",
            "app",
            "--url",
            &url,
            "--interval=10m",
            "--label=team=a",
        ])
        .await?
        .success()?;
    let said = [
        "✚ generating HelmRepository source",
        "► applying HelmRepository source",
        "✔ source created",
        "◎ waiting for HelmRepository source reconciliation",
        "✔ HelmRepository source reconciliation completed",
    ];
    ensure!(output.stderr.starts_with(&said.join("\n")), "{}", output.stderr);
    ensure!(
        output.stderr.contains("\n✔ fetched revision: sha256:"),
        "{}",
        output.stderr
    );
    let repository = case.object(SOURCE, "HelmRepository", "app")?.get().await?;
    ensure!(
        repository["metadata"]["labels"]["team"] == "a" && repository["spec"]["interval"] == "10m0s",
        "{repository}"
    );

    let dir = case.dir()?;
    let values = dir.join("values.yaml");
    std::fs::write(&values, "key: one\n")?;
    let values = values.display().to_string();
    let create = [
        "create",
        "hr",
        "app",
        "--source=HelmRepository/app",
        "--chart=app",
        "--values",
        &values,
    ];
    let output = case.flux(&create).await?.success()?;
    let said = "✚ generating HelmRelease\n► applying HelmRelease\n✔ HelmRelease created\n\
                ◎ waiting for HelmRelease reconciliation\n✔ HelmRelease app is ready\n✔ applied revision 1.0.0\n";
    ensure!(output.stderr == said, "{}", output.stderr);
    has(&case, "key", "one").await?;

    std::fs::write(&values, "key: two\n")?;
    let output = case.flux(&create).await?.success()?;
    ensure!(
        output.stderr.contains("✔ HelmRelease updated\n"),
        "{}",
        output.stderr
    );
    has(&case, "key", "two").await?;

    let repository = case.repository("app")?;
    let commit = repository.commit(&[("app/a.yaml", &config_map("made", &[("key", "x")]))])?;
    let output = case
        .flux(&[
            "create",
            "source",
            "git",
            "app",
            "--url",
            repository.url(),
            "--branch=main",
        ])
        .await?
        .success()?;
    ensure!(
        output
            .stderr
            .contains("⚠️ insecure configuration: credentials configured for an HTTP URL\n")
            && output
                .stderr
                .ends_with(&format!("✔ fetched revision: main@sha1:{commit}\n")),
        "{}",
        output.stderr
    );
    let output = case
        .flux(&[
            "create",
            "kustomization",
            "app",
            "--source=app",
            "--path=./app",
            "--prune",
            "--target-namespace",
            case.namespace(),
        ])
        .await?
        .success()?;
    ensure!(
        output.stderr.ends_with(&format!(
            "✔ Kustomization app is ready\n✔ applied revision main@sha1:{commit}\n"
        )),
        "{}",
        output.stderr
    );
    ensure!(case.config_map("made")?.get().await?["data"]["key"] == "x");
    Ok(())
}

async fn releases_are_shown_suspended_and_resumed(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", SOUND)?;
    charts.source(&case).await?;
    let target = release(&case, &[]).await?;
    target.ready().await?;
    let output = case.flux(&["get", "helmreleases"]).await?.success()?;
    let rows: Vec<Vec<&str>> = output
        .stdout
        .lines()
        .map(|line| {
            line.split('\t')
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .collect()
        })
        .collect();
    ensure!(
        rows[0] == ["NAME", "REVISION", "SUSPENDED", "READY", "MESSAGE"],
        "{rows:?}"
    );
    ensure!(rows[1][..4] == ["app", "1.0.0", "False", "True"], "{rows:?}");
    ensure!(
        rows[1][4].starts_with("Helm install succeeded for release "),
        "{rows:?}"
    );

    let output = case.flux(&["suspend", "hr", "app"]).await?.success()?;
    let said = format!(
        "► suspending helmrelease app in {} namespace\n✔ helmrelease suspended\n",
        case.namespace()
    );
    ensure!(output.stderr == said, "{}", output.stderr);
    charts.publish("1.1.0", SOUND)?;
    let output = case.flux(&["reconcile", "hr", "app", "--with-source"]).await?;
    ensure!(
        output.code == 1 && output.stderr == "✗ resource is suspended\n",
        "{output:?}"
    );
    case.flux(&["reconcile", "source", "helm", "app"])
        .await?
        .success()?;

    let output = case.flux(&["resume", "helmrelease", "app"]).await?.success()?;
    ensure!(
        output
            .stderr
            .contains("✔ HelmRelease app reconciliation completed\n"),
        "{}",
        output.stderr
    );
    has(&case, "chart", "1.1.0").await?;
    charts.publish("1.2.0", SOUND)?;
    let output = case
        .flux(&["reconcile", "hr", "app", "--with-source", "--force"])
        .await?
        .success()?;
    let chart = format!(
        "► annotating HelmChart {0}-app in {0} namespace\n",
        case.namespace()
    );
    ensure!(
        output.stderr.contains(&chart) && output.stderr.ends_with("✔ applied revision 1.2.0\n"),
        "{}",
        output.stderr
    );
    let object = target.get().await?;
    ensure!(
        object["status"]["lastHandledForceAt"]
            == object["metadata"]["annotations"]["reconcile.fluxcd.io/forceAt"],
        "{object}"
    );
    Ok(())
}

async fn exports_are_applied_again_unchanged(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", SOUND)?;
    charts.source(&case).await?;
    let more = [("values", json!({"key": "kept"})), ("timeout", json!("90s"))];
    let target = release(&case, &more).await?;
    let ready = target.ready().await?;
    let mut exported = String::new();
    for args in [
        &["export", "source", "helm", "--all"][..],
        &["export", "hr", "app"],
    ] {
        exported.push_str(&case.flux(args).await?.success()?.stdout);
    }
    ensure!(
        exported.contains("  timeout: 1m30s\n") && !exported.contains("status:"),
        "{exported}"
    );
    ensure!(
        !exported.contains("resourceVersion") && !exported.contains("uid"),
        "{exported}"
    );
    case.apply(&exported).await?;
    let object = target.get().await?;
    ensure!(object["spec"]["values"] == ready["spec"]["values"], "{object}");
    has(&case, "key", "kept").await?;
    ensure!(case.config_map("app")?.get().await?["data"]["chart"] == "1.0.0");
    Ok(())
}

async fn deletion_asks_first(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", SOUND)?;
    let repository = charts.source(&case).await?;
    let target = release(&case, &[]).await?;
    target.ready().await?;
    // Nobody answers.
    let output = case.flux(&["delete", "hr", "app"]).await?;
    ensure!(
        output.code == 1
            && output
                .stdout
                .contains("Are you sure you want to delete this helmrelease")
            && output.stderr == "✗ aborting\n",
        "{output:?}"
    );
    ensure!(target.find().await?.is_some());
    let output = case.flux(&["delete", "hr", "app", "--silent"]).await?.success()?;
    let said = format!(
        "► deleting helmrelease app in {} namespace\n✔ helmrelease deleted\n",
        case.namespace()
    );
    ensure!(output.stderr == said, "{}", output.stderr);
    target.gone().await?;
    case.config_map("app")?.gone().await?;
    case.flux(&["delete", "source", "helm", "app", "-s"])
        .await?
        .success()?;
    repository.gone().await?;
    let output = case.flux(&["delete", "source", "helm", "app", "-s"]).await?;
    ensure!(
        output.code == 1 && output.stderr.contains("\"app\" not found"),
        "{output:?}"
    );
    Ok(())
}

async fn credentials_reach_the_cluster_and_come_back_only_when_asked_for(case: Case) -> Result<()> {
    let create = |password: &'static str| {
        [
            "create",
            "secret",
            "git",
            "auth",
            "--url=https://example.com/app",
            "--username=me",
            "--password",
            password,
        ]
    };
    let said = format!(
        "► git secret 'auth' created in '{}' namespace\n",
        case.namespace()
    );
    for password in ["first", "second"] {
        let output = case.flux(&create(password)).await?.success()?;
        ensure!(output.stderr == said && output.stdout.is_empty(), "{output:?}");
    }
    let secret = case.object("v1", "Secret", "auth")?.get().await?;
    // "me" and "second", as the API server keeps them.
    ensure!(
        secret["data"] == json!({"username": "bWU=", "password": "c2Vjb25k"}),
        "{secret}"
    );

    let spec = json!({"interval": "1h", "url": "https://127.0.0.1:1/app", "ref": {"branch": "main"}, "secretRef": {"name": "auth"}});
    let source =
        json!({"apiVersion": SOURCE, "kind": "GitRepository", "metadata": {"name": "app"}, "spec": spec});
    case.apply_object(&source).await?;
    let output = case.flux(&["export", "source", "git", "app"]).await?.success()?;
    ensure!(!output.stdout.contains("c2Vjb25k"), "{}", output.stdout);
    let output = case
        .flux(&["export", "source", "git", "app", "--with-credentials"])
        .await?
        .success()?;
    ensure!(
        output.stdout.contains("kind: Secret\n") && output.stdout.contains("  password: c2Vjb25k\n"),
        "{}",
        output.stdout
    );
    Ok(())
}

async fn debug_shows_what_a_release_is_made_of(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", SOUND)?;
    charts.source(&case).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values"}, "stringData": {"values.yaml": "key: secret\nother: 1\n"},
    });
    case.apply_object(&secret).await?;
    let from = json!([{"kind": "Secret", "name": "values"}]);
    let target = release(&case, &[("valuesFrom", from), ("values", json!({"other": 2}))]).await?;
    target.ready().await?;
    let output = case
        .flux(&["debug", "hr", "app", "--show-values"])
        .await?
        .success()?;
    ensure!(output.stdout == "key: secret\nother: 2\n", "{}", output.stdout);
    let output = case
        .flux(&["debug", "hr", "app", "--show-status"])
        .await?
        .success()?;
    ensure!(
        output.stdout.contains("\nobservedGeneration: 1\n")
            && output.stdout.contains("  chartVersion: 1.0.0\n"),
        "{}",
        output.stdout
    );
    let output = case.flux(&["debug", "hr", "app"]).await?;
    ensure!(output.code == 1, "{output:?}");
    let object: Value = case.object(HELM, "HelmRelease", "app")?.get().await?;
    ensure!(
        object["status"]["history"][0]["chartVersion"] == "1.0.0",
        "{object}"
    );
    Ok(())
}
