//! Releases in other clusters.

use super::*;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

const VALUES: (&str, &str) = ("podinfo/values.yaml", "k: default\n");
const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  k: {{ .Values.k | quote }}\n",
);
const KUBECONFIG: &str = "/api/v1/namespaces/ns/secrets/remote";
const MAP_PATH: &str = "/api/v1/namespaces/ns/configmaps/app";

/// Another cluster, whose kubeconfig is in the Secret `remote`.
async fn remote(scenario: &Scenario) -> Server {
    let remote = Server::default();
    let url = remote.serve().await;
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{url}'}}}}]\n\
         users: [{{name: u, user: {{token: abc}}}}]\n"
    );
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "remote", "namespace": "ns" },
        "data": { "value": ByteString(kubeconfig.into_bytes()) } });
    scenario.server.api.put(KUBECONFIG, secret);
    remote
}

async fn forget_kubeconfig(scenario: &Scenario) {
    let api: kube::Api<Secret> = kube::Api::namespaced(scenario.server.client(), "ns");
    api.delete("remote", &kube::api::DeleteParams::default())
        .await
        .unwrap();
}

fn records(server: &Server) -> usize {
    let secrets = server.list(RECORDS);
    secrets
        .iter()
        .filter(|object| object["type"] == secret::TYPE)
        .count()
}

#[tokio::test]
async fn release_in_another_cluster_has_its_records_there() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let remote = remote(&scenario).await;
    let values = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "values", "namespace": "ns" },
        "data": { "values.yaml": "k: here\n" } });
    scenario
        .server
        .api
        .put("/api/v1/namespaces/ns/configmaps/values", values);
    let spec = json!({
        "kubeConfig": { "secretRef": { "name": "remote" } }, "serviceAccountName": "tenant",
        "valuesFrom": [{ "kind": "ConfigMap", "name": "values" }]
    });
    let (object, outcome) = scenario.run(&release(&spec)).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(remote.api.get(MAP_PATH).unwrap()["data"]["k"], "here");
    assert_eq!((records(&remote), records(&scenario.server)), (1, 0));
    assert_eq!(scenario.server.api.get(MAP_PATH), None);
    // All that is written there is written with the rights of the account there.
    assert_eq!(remote.users(), ["system:serviceaccount:ns:tenant"]);
    assert_eq!(scenario.server.users(), [""; 0]);

    // The account is one of that cluster: that there is none of its name here says nothing.
    scenario.finalize(&object).await.unwrap();
    assert_eq!(remote.api.get(MAP_PATH), None);
    assert_eq!(records(&remote), 0);
}

#[tokio::test]
async fn default_service_account_holds_in_other_clusters() {
    let mut scenario = Scenario::new(&["--default-service-account=default"]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let remote = remote(&scenario).await;
    let spec = json!({ "kubeConfig": { "secretRef": { "name": "remote" } } });
    let (_, outcome) = scenario.run(&release(&spec)).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(remote.users(), ["system:serviceaccount:ns:default"]);
}

#[tokio::test]
async fn release_whose_kubeconfig_is_gone_is_left_when_its_object_goes() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let remote = remote(&scenario).await;
    let spec = json!({ "kubeConfig": { "secretRef": { "name": "remote" } } });
    let (object, _) = scenario.run(&release(&spec)).await;
    forget_kubeconfig(&scenario).await;
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let (status, reason, message) = ready(&object);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "RESTClientError"));
    assert!(
        message.starts_with("could not get KubeConfig secret 'ns/remote': "),
        "{message}"
    );
    scenario.finalize(&object).await.unwrap();
    assert!(remote.api.get(MAP_PATH).is_some());
    assert_eq!(records(&remote), 1);
}

#[tokio::test]
async fn release_whose_kubeconfig_is_broken_keeps_its_object() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let remote = remote(&scenario).await;
    let spec = json!({ "kubeConfig": { "secretRef": { "name": "remote", "key": "value" } } });
    let (object, _) = scenario.run(&release(&spec)).await;
    let empty =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "remote", "namespace": "ns" } });
    scenario.server.api.put(KUBECONFIG, empty);
    let (object, outcome) = scenario.let_go(&object).await;
    let error = "KubeConfig secret 'ns/remote' does not contain a 'value' key with a kubeconfig";
    assert_eq!(outcome.unwrap_err(), error);
    assert_eq!(
        ready(&object),
        ("False".into(), "UninstallFailed".into(), error.into())
    );
    assert!(remote.api.get(MAP_PATH).is_some());
}

#[tokio::test]
async fn release_goes_to_the_cluster_that_a_config_map_describes() {
    let mut scenario = Scenario::new(&["--default-kubeconfig-service-account=deployer"]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let remote = Server::default();
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "remote", "namespace": "ns" },
        "data": { "provider": "generic", "address": remote.serve().await, "audiences": "there\nelsewhere" } });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "deployer", "namespace": "ns" } });
    let here = &scenario.server.api;
    here.put("/api/v1/namespaces/ns/configmaps/remote", map);
    here.put("/api/v1/namespaces/ns/serviceaccounts/deployer", account);
    let spec =
        json!({ "kubeConfig": { "configMapRef": { "name": "remote" } }, "serviceAccountName": "tenant" });
    let (object, outcome) = scenario.run(&release(&spec)).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert!(remote.api.get(MAP_PATH).is_some() && scenario.server.api.get(MAP_PATH).is_none());
    assert_eq!((records(&remote), records(&scenario.server)), (1, 0));
    // One account gets the token, the other's rights are taken on.
    assert_eq!(remote.credentials(), ["Bearer deployer-for-there"]);
    assert_eq!(remote.users(), ["system:serviceaccount:ns:tenant"]);
    scenario.finalize(&object).await.unwrap();
    assert_eq!(records(&remote), 0);
}
