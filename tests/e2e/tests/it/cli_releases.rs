//! `flux build helmrelease` and `flux diff helmrelease`: what is printed is what helm-controller then does.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Case, Entry, cases};
use serde_json::{Value, json};

use crate::helm_releases::{Charts, HELM, SOUND, has, release};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["cli_releases":
        build_prints_what_is_applied,
        build_of_a_local_chart_needs_no_source,
        diff_tells_what_an_upgrade_does,
        diff_masks_secrets_and_names_what_would_be_refused,
        diff_of_a_client_side_release_takes_fields_away,
        release_in_a_cluster_that_a_config_map_describes_is_compared,
    ]
}

/// The chart with a Secret and a ConfigMap that only some values bring.
const RICH: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  key: {{ .Values.key | quote }}\n  \
    chart: {{ .Chart.Version | quote }}\n  lookup: {{ (lookup \"v1\" \"Namespace\" \"\" \"default\").metadata.name }}\n{{- if .Values.extra }}\n---\n\
    apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-extra\n{{- end }}\n---\napiVersion: v1\nkind: Secret\n\
    metadata:\n  name: {{ .Release.Name }}\nstringData:\n  same: unchanged\n  password: {{ .Values.key }}-password\n";

/// The object of a kind and name in a text of several documents.
fn document(text: &str, kind: &str, name: &str) -> Result<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let found = documents
        .into_iter()
        .find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.ok_or_else(|| anyhow::anyhow!("no {kind} {name} in {text}"))
}

async fn build_prints_what_is_applied(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", RICH)?;
    charts.source(&case).await?;
    let secret = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "values"}, "data": {"k": "from-map"}});
    case.apply_object(&secret).await?;
    let more = [
        (
            "valuesFrom",
            json!([{"kind": "ConfigMap", "name": "values", "valuesKey": "k", "targetPath": "key"}]),
        ),
        ("commonMetadata", json!({"labels": {"team": "a"}})),
        (
            "postRenderers",
            json!([{"kustomize": {"patches": [{
                "target": {"kind": "ConfigMap"}, "patch": "- {op: add, path: /data/patched, value: \"yes\"}",
            }]}}]),
        ),
    ];
    release(&case, &more).await?.ready().await?;
    let built = case
        .flux(&["build", "helmrelease", "app"])
        .await?
        .success()?
        .stdout;
    let printed = document(&built, "ConfigMap", "app")?;
    let live = case.config_map("app")?.get().await?;
    ensure!(printed["data"] == live["data"], "{printed} is not {live}");
    ensure!(printed["metadata"]["namespace"] == case.namespace(), "{printed}");
    ensure!(
        printed["data"]["key"] == "from-map" && printed["data"]["lookup"] == "default",
        "{printed}"
    );
    for field in ["labels", "annotations"] {
        ensure!(
            printed["metadata"][field] == live["metadata"][field],
            "{printed} is not {live}"
        );
    }
    // What would be applied is there already.
    let output = case.flux(&["diff", "helmrelease", "app"]).await?;
    ensure!(
        output.code == 0 && output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    Ok(())
}

async fn build_of_a_local_chart_needs_no_source(case: Case) -> Result<()> {
    let dir = case.dir()?;
    std::fs::create_dir_all(dir.join("chart/templates"))?;
    std::fs::write(
        dir.join("chart/Chart.yaml"),
        "apiVersion: v2\nname: app\nversion: 3.0.0\n",
    )?;
    std::fs::write(dir.join("chart/values.yaml"), "key: default\n")?;
    std::fs::write(dir.join("chart/templates/map.yaml"), SOUND)?;
    let manifest = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: app}\n\
                    spec: {interval: 1h, chartRef: {kind: OCIRepository, name: none}}\n";
    std::fs::write(dir.join("hr.yaml"), manifest)?;
    let path = |name: &str| dir.join(name).display().to_string();
    let file = format!("--helmrelease-file={}", path("hr.yaml"));
    let chart = format!("--chart-path={}", path("chart"));
    for more in [&[][..], &["--dry-run"]] {
        let args = [&["build", "hr", "app", &file, &chart][..], more].concat();
        let built = case.flux(&args).await?.success()?.stdout;
        let map = document(&built, "ConfigMap", "app")?;
        ensure!(
            map["data"] == json!({"key": "default", "chart": "3.0.0"}),
            "{map}"
        );
        ensure!(map["metadata"]["namespace"] == case.namespace(), "{map}");
    }
    // A release that is not there yet would be installed.
    let output = case.flux(&["diff", "hr", "app", &file, &chart]).await?;
    let created = format!("► ConfigMap/{}/app created\n@@ -0,0 +1,", case.namespace());
    ensure!(
        output.code == 1 && output.stdout.starts_with(&created),
        "{output:?}"
    );
    ensure!(output.stdout.contains("\n+  key: default\n"), "{output:?}");
    let output = case.flux(&["build", "hr", "app", &file]).await?;
    ensure!(
        output.code == 1 && output.stderr.contains("OCIRepository/") && output.stderr.contains("not found"),
        "{output:?}"
    );
    Ok(())
}

async fn diff_tells_what_an_upgrade_does(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", RICH)?;
    charts.source(&case).await?;
    let target = release(&case, &[("values", json!({"key": "one", "extra": true}))]).await?;
    target.ready().await?;
    case.flux(&["suspend", "hr", "app"]).await?.success()?;
    let before = case.config_map("app")?.get().await?;
    target
        .merge(&json!({"spec": {"values": {"key": "two", "extra": null}}}))
        .await?;
    let output = case.flux(&["diff", "hr", "app"]).await?;
    let ns = case.namespace();
    ensure!(output.code == 1, "{output:?}");
    let change = format!("► ConfigMap/{ns}/app changed\n@@ ");
    ensure!(output.stdout.contains(&change), "{}", output.stdout);
    ensure!(
        output.stdout.contains("\n-  key: one\n+  key: two\n"),
        "{}",
        output.stdout
    );
    ensure!(
        output
            .stdout
            .contains(&format!("► ConfigMap/{ns}/app-extra deleted\n")),
        "{}",
        output.stdout
    );
    ensure!(
        output.stderr == "⚠️ identified at least one change, exiting with non-zero exit code\n",
        "{}",
        output.stderr
    );
    // Nothing was written.
    let after = case.config_map("app")?.get().await?;
    ensure!(
        before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"],
        "{after}"
    );

    case.flux(&["resume", "hr", "app"]).await?.success()?;
    has(&case, "key", "two").await?;
    case.config_map("app-extra")?.gone().await?;
    target.ready().await?;
    let output = case.flux(&["diff", "hr", "app"]).await?;
    ensure!(output.code == 0 && output.stdout.is_empty(), "{output:?}");
    let output = case.flux(&["diff", "hr", "none"]).await?;
    ensure!(
        output.code == 2
            && output.stderr == format!("✗ HelmRelease object 'none' not found in \"{ns}\" namespace\n"),
        "{output:?}"
    );
    Ok(())
}

async fn diff_masks_secrets_and_names_what_would_be_refused(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", RICH)?;
    charts.source(&case).await?;
    let target = release(&case, &[("values", json!({"key": "one"}))]).await?;
    target.ready().await?;
    let dir = case.dir()?;
    let values = dir.join("values.yaml");
    std::fs::write(&values, "key: two\n")?;
    let over = format!("--values={}", values.display());
    let output = case.flux(&["diff", "hr", "app", &over]).await?;
    ensure!(output.code == 1, "{output:?}");
    ensure!(
        output
            .stdout
            .contains("-  password: '*** (before)'\n+  password: '*** (after)'\n"),
        "{}",
        output.stdout
    );
    ensure!(
        !output.stdout.contains("cGFzc3dvcmQ") && !output.stdout.contains("-password"),
        "{}",
        output.stdout
    );

    std::fs::create_dir_all(dir.join("chart/templates"))?;
    std::fs::write(
        dir.join("chart/Chart.yaml"),
        "apiVersion: v2\nname: app\nversion: 1.0.0\n",
    )?;
    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  key: [one]\n";
    std::fs::write(dir.join("chart/templates/map.yaml"), bad)?;
    let chart = format!("--chart-path={}", dir.join("chart").display());
    let output = case.flux(&["diff", "hr", "app", &chart]).await?;
    let ns = case.namespace();
    ensure!(
        output.code == 2
            && output.stderr.contains(&format!("✗ ConfigMap/{ns}/app: "))
            && output
                .stderr
                .ends_with("✗ the upgrade would fail for 1 object(s)\n"),
        "{output:?}"
    );
    Ok(())
}

async fn diff_of_a_client_side_release_takes_fields_away(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", SOUND)?;
    charts.source(&case).await?;
    let more = [
        ("install", json!({"serverSideApply": false})),
        ("values", json!({"key": "one"})),
    ];
    release(&case, &more).await?.ready().await?;
    let map = case.config_map("app")?;
    map.merge(&json!({"data": {"foreign": "stays"}})).await?;
    let output = case.flux(&["diff", "hr", "app"]).await?;
    ensure!(output.code == 0 && output.stdout.is_empty(), "{output:?}");

    let dir = case.dir()?;
    std::fs::create_dir_all(dir.join("chart/templates"))?;
    std::fs::write(
        dir.join("chart/Chart.yaml"),
        "apiVersion: v2\nname: app\nversion: 1.0.0\n",
    )?;
    let less = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  chart: \"1.0.0\"\n";
    std::fs::write(dir.join("chart/templates/map.yaml"), less)?;
    let chart = format!("--chart-path={}", dir.join("chart").display());
    let output = case.flux(&["diff", "hr", "app", &chart]).await?;
    ensure!(output.code == 1, "{output:?}");
    ensure!(output.stdout.contains("\n-  key: one\n"), "{}", output.stdout);
    ensure!(
        output.stdout.contains("\n   foreign: stays\n"),
        "{}",
        output.stdout
    );
    Ok(())
}

/// The API server's address and authority from the kubeconfig of the tests.
fn api_server(case: &Case) -> Result<(String, String)> {
    let kubeconfig: Value = serde_saphyr::from_str(&std::fs::read_to_string(case.world().kubeconfig())?)?;
    let cluster = &kubeconfig["clusters"][0]["cluster"];
    let text = |key: &str| cluster[key].as_str().unwrap_or_default().to_owned();
    let authority = STANDARD.decode(text("certificate-authority-data"))?;
    Ok((text("server"), String::from_utf8(authority)?))
}

async fn release_in_a_cluster_that_a_config_map_describes_is_compared(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.publish("1.0.0", RICH)?;
    charts.source(&case).await?;
    release(&case, &[("values", json!({"key": "one"}))])
        .await?
        .ready()
        .await?;
    // The same release as of another cluster, which is this one by another way.
    let (address, authority) = api_server(&case)?;
    let mut described = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "remote"}, "data": {
        "provider": "generic", "address": address, "ca.crt": authority,
        "audiences": "https://kubernetes.default.svc", "serviceAccountName": "deployer",
    }});
    case.apply_object(&described).await?;
    let manifest = json!({"apiVersion": HELM, "kind": "HelmRelease", "metadata": {"name": "app"}, "spec": {
        "interval": "1h", "values": {"key": "two"}, "kubeConfig": {"configMapRef": {"name": "remote"}},
        "chart": {"spec": {"chart": "app", "sourceRef": {"kind": "HelmRepository", "name": "app"}}},
    }});
    let dir = case.dir()?;
    let file = dir.join("hr.yaml");
    std::fs::write(&file, manifest.to_string())?;
    std::fs::create_dir_all(dir.join("chart/templates"))?;
    for (name, text) in [
        ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
        ("templates/map.yaml", RICH),
    ] {
        std::fs::write(dir.join("chart").join(name), text)?;
    }
    let file = format!("--helmrelease-file={}", file.display());
    let chart = format!("--chart-path={}", dir.join("chart").display());
    let args = ["diff", "hr", "app", &file, &chart];
    let refused = async |expected: &str| -> Result<()> {
        let output = case.flux(&args).await?;
        ensure!(
            output.code == 2 && output.stderr.contains(expected),
            "{expected}: {output:?}"
        );
        Ok(())
    };
    let ns = case.namespace();
    refused(&format!(
        "failed to get service account '{ns}/deployer': serviceaccounts \"deployer\" not found"
    ))
    .await?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer"}});
    case.apply_object(&account).await?;
    // There with the rights of the account, which has none yet.
    refused(&format!("\"system:serviceaccount:{ns}:deployer\" cannot list")).await?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("{ns}-deployer")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": ns}]});
    case.apply_object(&binding).await?;
    let output = case.flux(&args).await?;
    ensure!(
        output.code == 1 && output.stdout.contains("\n-  key: one\n+  key: two\n"),
        "{output:?}"
    );
    let built = case
        .flux(&["build", "hr", "app", &file, &chart])
        .await?
        .success()?
        .stdout;
    let map = document(&built, "ConfigMap", "app")?;
    ensure!(
        map["data"]["key"] == "two" && map["data"]["lookup"] == "default",
        "{map}"
    );
    // A token is got for whom the ConfigMap names; nobody stands in on a workstation.
    described["data"]["serviceAccountName"] = "".into();
    case.apply_object(&described).await?;
    refused("the ConfigMap has no key 'serviceAccountName'").await
}
