//! Clusters that ConfigMaps describe: what is refused, and one that is reached.

use super::*;
use ferro_testkit::api::FakeApi;
use prometheus_client::registry::Registry;
use serde_json::json;

pub(super) fn broker(client: Client) -> Broker {
    Broker {
        client,
        environment: Environment::of(&[]),
        default_account: String::new(),
        has_own_account: false,
        has_object_identities: true,
        max_age: Duration::from_secs(3600),
    }
}

pub(super) fn parse(pairs: &[(&str, &str)], broker: &Broker) -> Result<Description, String> {
    let data = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Description::parse("apps", &data.collect(), broker).map_err(|error| error.to_string())
}

#[tokio::test]
async fn parse_says_what_is_missing() {
    let broker = broker_of_nobody();
    let refused = |pairs: &[(&str, &str)]| parse(pairs, &broker).unwrap_err();
    assert_eq!(refused(&[]), "the ConfigMap has no key 'provider'");
    assert_eq!(
        refused(&[("provider", "ibm")]),
        "the provider 'ibm' is none of aws, azure, gcp and generic"
    );
    assert_eq!(
        refused(&[("provider", "generic")]),
        "the ConfigMap has no key 'address'"
    );
    assert_eq!(
        refused(&[("provider", "aws"), ("address", "https://a")]),
        "the ConfigMap has no key 'cluster'"
    );
    let generic = [("provider", "generic"), ("address", "https://a")];
    assert_eq!(parse(&generic, &broker).unwrap().audiences, ["https://a"]);
    let audiences = [generic[0], generic[1], ("audiences", "x\n y \n\n")];
    assert_eq!(parse(&audiences, &broker).unwrap().audiences, ["x", "y"]);
    // A token is for the address as it is given, which need not have a scheme.
    let bare = parse(&[("provider", "generic"), ("address", "a:6443")], &broker).unwrap();
    assert_eq!(
        (bare.audiences[0].as_str(), bare.address.as_str()),
        ("a:6443", "https://a:6443")
    );
}

fn broker_of_nobody() -> Broker {
    broker(FakeApi::default().client())
}

#[tokio::test]
async fn accounts_of_objects_need_their_gate() {
    let mut broker = broker_of_nobody();
    let named = [
        ("provider", "generic"),
        ("address", "https://a"),
        ("serviceAccountName", "deployer"),
    ];
    assert_eq!(parse(&named, &broker).unwrap().account, "deployer");
    broker.default_account = "fallback".to_owned();
    assert_eq!(parse(&named[..2], &broker).unwrap().account, "fallback");
    broker.has_object_identities = false;
    assert!(
        parse(&named, &broker)
            .unwrap_err()
            .contains("ObjectLevelWorkloadIdentity")
    );
}

#[tokio::test]
async fn who_is_no_controller_has_no_account_of_its_own() {
    let broker = broker_of_nobody();
    let generic = [("provider", "generic"), ("address", "https://127.0.0.1:1")];
    let description = parse(&generic, &broker).unwrap();
    let error = broker.connect(description, "test", &Metrics::default()).await;
    let error = error.err().unwrap().to_string();
    assert!(
        error.starts_with("the ConfigMap has no key 'serviceAccountName': "),
        "{error}"
    );
}

#[test]
fn tokens_go_to_trustworthy_addresses_only() {
    let at = |address: &str, ca: &str| {
        let endpoint = Endpoint {
            address: address.to_owned(),
            ca: ca.to_owned(),
        };
        config(&endpoint).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(at("https://cluster.example.com:6443", ""), Ok(()));
    assert_eq!(at("http://127.0.0.1:8080", ""), Ok(()));
    let refused = "the address 'http://cluster.example.com' of the API server is no https URL";
    assert_eq!(at("http://cluster.example.com", ""), Err(refused.to_owned()));
    assert!(at("nonsense", "").is_err());
    assert_eq!(
        at("https://a", "nonsense"),
        Err("'ca.crt' holds no certificate".to_owned())
    );
}

#[test]
fn endpoint_is_read_from_a_kubeconfig() {
    let text = "apiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster: {server: 'https://aks', certificate-authority-data: Q0E=}\n";
    let endpoint = endpoint_of(text).unwrap();
    assert_eq!(
        (endpoint.address.as_str(), endpoint.ca.as_str()),
        ("https://aks", "CA")
    );
    assert!(endpoint_of("apiVersion: v1\nkind: Config\n").is_err());
}

/// The audiences for which tokens were asked.
pub(super) type Asked = Arc<std::sync::Mutex<Vec<serde_json::Value>>>;

/// A cluster with the ServiceAccount `apps/deployer`, which gets the token `hunter2`.
pub(super) fn cluster_with_account(annotations: &serde_json::Value) -> (Client, Asked) {
    let api = FakeApi::default();
    let metadata = json!({ "name": "deployer", "namespace": "apps", "annotations": annotations });
    api.put(
        "/api/v1/namespaces/apps/serviceaccounts/deployer",
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
    );
    let asked = Asked::default();
    let (seen, inner) = (Arc::clone(&asked), api.client());
    let tokens = service_fn(move |request: Request<Body>| {
        let (seen, inner) = (Arc::clone(&seen), inner.clone());
        async move {
            if !request.uri().path().ends_with("/token") {
                return inner.send(request).await;
            }
            let body = request.into_body().collect_bytes().await?;
            let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
            seen.lock().unwrap().push(asked["spec"]["audiences"].clone());
            let answer = json!({ "metadata": {}, "spec": { "audiences": [] },
                "status": { "token": "hunter2", "expirationTimestamp": "2999-01-01T00:00:00Z" } });
            Ok(http::Response::new(Body::from(answer.to_string().into_bytes())))
        }
    });
    (Client::new(tokens, "default"), asked)
}

#[tokio::test]
async fn generic_cluster_is_reached_with_the_token_of_an_account() {
    let (accounts, asked) = cluster_with_account(&json!({}));
    let broker = broker(accounts);
    let server = ferro_testkit::http::Server::start(|request| {
        let is_known = request.header("authorization") == "Bearer hunter2";
        let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "there" } });
        ferro_testkit::http::Response::new(if is_known { 200 } else { 401 }, body.to_string())
    });
    let address = server.url("");
    let description = parse(
        &[
            ("provider", "generic"),
            ("address", address.trim_end_matches('/')),
            ("audiences", "there"),
            ("serviceAccountName", "deployer"),
        ],
        &broker,
    )
    .unwrap();
    let (metrics, mut registry) = (Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    let counted = |line: &str| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.lines().any(|it| it == line), "{line} not in {text}");
    };
    let client = broker.connect(description, "test", &metrics).await.unwrap();
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(client, "x");
    for _ in 0..2 {
        let map = maps.get("there").await.unwrap();
        assert_eq!(map.metadata.name.as_deref(), Some("there"));
    }
    // One token was enough.
    assert_eq!(*asked.lock().unwrap(), [json!(["there"])]);
    counted(r#"gotk_token_cache_requests_total{status="success"} 1"#);
    counted("gotk_token_cached_items{} 1");
    drop(maps);
    // The worker of the client ends on its own.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    counted("gotk_token_cached_items{} 0");
    let nobody = [
        ("provider", "generic"),
        ("address", "https://a"),
        ("serviceAccountName", "nobody"),
    ];
    let description = parse(&nobody, &broker).unwrap();
    assert!(broker.connect(description, "test", &metrics).await.is_err());
    counted(r#"gotk_token_cache_requests_total{status="failure"} 1"#);
    counted("gotk_token_cached_items{} 0");
}
