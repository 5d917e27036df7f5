//! `flux diff helmrelease` where the release goes to another cluster, or has a service account.

use std::fs;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_testkit::http::{Response, Server};
use serde_json::{Value, json};

use crate::script::{Outcome, Step, flux};

const HR: &str = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases/app";
const SECRET: &str = "/api/v1/namespaces/flux-system/secrets/remote";
const DESCRIPTION: &str = "/api/v1/namespaces/flux-system/configmaps/remote";
const ACCOUNT: &str = "/api/v1/namespaces/flux-system/serviceaccounts/deployer";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {key: \"{{ .Values.key }}\", kube: {{ .Capabilities.KubeVersion }}}\n";

fn chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    for (name, text) in [
        ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
        ("templates/map.yaml", MAP),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn release(more: &Value) -> Value {
    let mut spec = json!({ "interval": "1m", "chartRef": { "kind": "HelmChart", "name": "app" },
        "valuesFrom": [{ "kind": "ConfigMap", "name": "values" }] });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "metadata": { "name": "app", "namespace": "flux-system" }, "spec": spec })
}

/// The values, which are here wherever the release goes.
fn values() -> Step {
    let map = json!({ "metadata": { "name": "values" }, "data": { "values.yaml": "key: from-here" } });
    Step::get("/api/v1/namespaces/flux-system/configmaps/values", &map)
}

fn kubeconfig(server: &str, user: &str) -> Value {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {user}}}]\n"
    );
    json!({ "metadata": { "name": "remote" }, "data": { "value": STANDARD.encode(text) } })
}

/// A ConfigMap that describes a cluster.
fn description(data: &Value) -> Value {
    json!({ "metadata": { "name": "remote" }, "data": data })
}

/// Who asked for what.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A cluster with an older form of the release's ConfigMap.
fn remote() -> (Server, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let server = Server::start(move |request| {
        assert_eq!(request.header("authorization"), "Bearer there");
        let user = request.header("impersonate-user").to_owned();
        let line = format!("{} {}", request.method, request.path);
        seen.lock().unwrap().push((line.clone(), user));
        let map = |key: &str| {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "app", "namespace": "flux-system", "resourceVersion": "1" },
                "data": { "key": key, "kube": "v1.35.0" } })
        };
        let answer = match line.as_str() {
            "GET /version" => {
                json!({ "major": "1", "minor": "35", "gitVersion": "v1.35.0", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "" })
            }
            "GET /api" => {
                json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [{
                "metadata": { "name": "" }, "versions": [{ "version": "v1", "freshness": "Current", "resources": [{
                    "resource": "configmaps", "responseKind": { "group": "", "version": "v1", "kind": "ConfigMap" },
                    "scope": "Namespaced", "singularResource": "configmap", "verbs": ["get", "list", "patch", "watch"] }] }] }] })
            }
            "GET /apis" => {
                json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [] })
            }
            "GET /api/v1/namespaces/flux-system/secrets" => json!({ "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1", "metadata": { "resourceVersion": "1" }, "items": [] }),
            "GET /api/v1/namespaces/flux-system/configmaps/app" => map("old"),
            "PATCH /api/v1/namespaces/flux-system/configmaps/app" => {
                assert!(request.query.contains("dryRun=All"), "{}", request.query);
                map("from-here")
            }
            other => unreachable!("{other}"),
        };
        let kind = match line.starts_with("GET /api") && !line.contains("/v1/") {
            true => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            false => "application/json",
        };
        Response::new(200, answer.to_string()).header("content-type", kind)
    });
    (server, asked)
}

async fn diff(flags: &str, script: Vec<Step>) -> Outcome {
    let chart = chart();
    flux(
        &format!("diff hr app --chart-path={}{flags}", chart.path().display()),
        script,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn release_in_another_cluster_is_compared_with_what_is_there() {
    let (server, asked) = remote();
    let spec = json!({ "kubeConfig": { "secretRef": { "name": "remote" } }, "serviceAccountName": "tenant" });
    let script = || {
        vec![
            Step::get(HR, &release(&spec)),
            Step::get(SECRET, &kubeconfig(&server.url(""), "{token: there}")),
            values(),
        ]
    };
    let outcome = diff("", script()).await;
    assert!(
        outcome.out.starts_with("► ConfigMap/flux-system/app changed\n"),
        "{} {}",
        outcome.out,
        outcome.err
    );
    assert!(
        outcome.out.contains("-  key: old\n") && outcome.out.contains("+  key: from-here\n"),
        "{}",
        outcome.out
    );
    assert_eq!(outcome.code, 1);
    // Which kinds there are is no secret, and asked in the name of who asks.
    let users = || {
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let objects = asked.into_iter().filter(|(line, _)| line.contains("/v1/"));
        let mut users: Vec<String> = objects.map(|(_, user)| user).collect();
        users.dedup();
        users
    };
    assert_eq!(users(), [""]);
    // The account is taken on there, and not where the release is.
    let outcome = diff(" --as-service-account", script()).await;
    assert_eq!(outcome.code, 1, "{}", outcome.err);
    assert_eq!(users(), ["system:serviceaccount:flux-system:tenant"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_that_a_config_map_describes_is_asked_with_a_token_of_its_account() {
    let (server, asked) = remote();
    let spec =
        json!({ "kubeConfig": { "configMapRef": { "name": "remote" } }, "serviceAccountName": "tenant" });
    let url = server.url("");
    let data = json!({ "provider": "generic", "address": url, "serviceAccountName": "deployer" });
    let account = json!({ "metadata": { "name": "deployer", "namespace": "flux-system" } });
    let token = json!({ "metadata": {}, "spec": { "audiences": [] },
        "status": { "token": "there", "expirationTimestamp": "2999-01-01T00:00:00Z" } });
    let script = || {
        vec![
            Step::get(HR, &release(&spec)),
            Step::get(DESCRIPTION, &description(&data)),
            Step::get(ACCOUNT, &account),
            // Once for all requests there.
            Step::ask(&format!("{ACCOUNT}/token"), &token),
            values(),
        ]
    };
    for (flags, user) in [
        ("", ""),
        (
            " --as-service-account",
            "system:serviceaccount:flux-system:tenant",
        ),
    ] {
        let outcome = diff(flags, script()).await;
        assert!(
            outcome.out.contains("-  key: old\n") && outcome.out.contains("+  key: from-here\n"),
            "{} {}",
            outcome.out,
            outcome.err
        );
        assert_eq!(outcome.code, 1);
        assert_eq!(outcome.bodies[0]["spec"]["audiences"], json!([url]));
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let objects = asked.iter().filter(|(line, _)| line.contains("/v1/"));
        assert!(objects.map(|(_, user)| user).all(|it| it == user), "{asked:?}");
        assert!(!asked.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_that_cannot_be_looked_into_are_named() {
    let by_secret = json!({ "kubeConfig": { "secretRef": { "name": "remote" } } });
    let refused = async |flags: &str, spec: &Value, more: Vec<Step>| {
        let mut script = vec![Step::get(HR, &release(spec))];
        script.extend(more);
        let outcome = diff(flags, script).await;
        assert_eq!((outcome.code, outcome.out.as_str()), (2, ""));
        outcome.err
    };
    let program = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/false}}";
    let secret = Step::get(SECRET, &kubeconfig("https://127.0.0.1:1", program));
    let error = refused("", &by_secret, vec![secret]).await;
    assert!(
        error.contains("the kubeconfig runs a program to authenticate"),
        "{error}"
    );
    let error = refused("", &by_secret, vec![Step::missing(SECRET)]).await;
    assert!(
        error.contains("unable to read KubeConfig secret 'flux-system/remote' error: "),
        "{error}"
    );
    let described = json!({ "kubeConfig": { "configMapRef": { "name": "remote" } } });
    let error = refused("", &described, vec![Step::missing(DESCRIPTION)]).await;
    assert!(
        error.contains("unable to read KubeConfig ConfigMap 'flux-system/remote' error: "),
        "{error}"
    );
    let generic = json!({ "provider": "generic", "address": "https://127.0.0.1:1" });
    let error = refused(
        "",
        &described,
        vec![Step::get(DESCRIPTION, &description(&generic))],
    )
    .await;
    assert!(
        error.contains(
            "KubeConfig ConfigMap 'flux-system/remote': the ConfigMap has no key 'serviceAccountName': "
        ),
        "{error}"
    );
    let mut named = generic.clone();
    named["serviceAccountName"] = "deployer".into();
    let forbidden = Step::get(ACCOUNT, &Value::Null).failing(403, "Forbidden", "you may not");
    let script = vec![Step::get(DESCRIPTION, &description(&named)), forbidden];
    let error = refused("", &described, script).await;
    let expected =
        "no token for the cluster: it takes the right to create tokens of the ConfigMap's service account";
    assert!(error.contains(expected), "{error}");
    let expected = "failed to get service account 'flux-system/deployer': you may not";
    assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    let error = refused(" --as-service-account", &json!({}), vec![]).await;
    assert!(
        error.contains("--as-service-account: spec.serviceAccountName is not set"),
        "{error}"
    );
}
