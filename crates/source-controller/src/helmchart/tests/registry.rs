//! Charts from a registry.

use ferro_api::source::{HelmRepositoryType, RegistryProvider};
use ferro_oci::media_type::HELM_CHART;
use ferro_testkit::http::{Response, Server};
use ferro_testkit::registry::{Registry, refusal};
use ferro_testkit::tls::{Authority, server_config};

use super::*;

fn push(registry: &Registry, version: &str) -> Vec<u8> {
    let packed = chart("app", version, &[]);
    let tag = version.replace('+', "_");
    registry.put_artifact("charts/app", &tag, &[(HELM_CHART, &packed)], &[]);
    packed
}

fn source(registry: &Registry) -> HelmRepository {
    let mut source = repository(&format!("oci://{}/charts", registry.host()));
    source.spec.type_ = Some(HelmRepositoryType::Oci);
    source.spec.insecure = true;
    // Nothing of such a repository is ever written.
    source.status = None;
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_tag_of_the_range_is_pulled() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "1.0.0");
    let packed = push(&registry, "1.1.0+b.2");
    push(&registry, "2.0.0");
    registry.put_artifact("charts/app", "latest", &[], &[]);
    bench.add(&mut source(&registry)).await;
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    object.spec.version = Some("1.x".to_owned());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PULLED);
    assert_eq!(object.artifact().unwrap().revision, "1.1.0+b.2");
    assert!(std::fs::read(bench.stored(&object)).unwrap() == packed);
    assert_eq!(
        bench.events(),
        ["info ChartPullSucceeded pulled 'app' chart with version '1.1.0+b.2'"]
    );

    // Nothing new costs the list of tags.
    registry.take_seen();
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    assert_eq!(registry.take_seen(), ["GET /v2/charts/app/tags/list"]);

    // A whole version is taken as it is, and what is stored costs nothing.
    object.spec.version = Some("2.0.0".to_owned());
    object.metadata.generation = Some(2);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let seen = registry.take_seen();
    assert!(!seen.iter().any(|line| line.ends_with("/tags/list")), "{seen:?}");
    assert_eq!(object.artifact().unwrap().revision, "2.0.0");
    bench.pass(&mut object).await;
    assert_eq!(registry.take_seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_has_not_is_tried_again() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "1.0.0");
    registry.put_artifact("charts/app", "9.0.0", &[("application/x-other", b"x")], &[]);
    bench.add(&mut source(&registry)).await;
    for (version, cause) in [
        (
            "5.x",
            "failed to get chart version for remote reference: could not locate a version matching provided version string 5.x",
        ),
        ("5.0.0", "failed to download chart for remote reference: "),
        (
            "9.0.0",
            "failed to download chart for remote reference: manifest of '",
        ),
    ] {
        let mut object = object(ChartSourceKind::HelmRepository, "app");
        object.spec.version = Some(version.to_owned());
        let outcome = bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert_eq!(outcome, failed(&message));
        assert!(
            message.starts_with(&format!("chart pull error: {cause}")),
            "{message}"
        );
        assert_eq!(bench.events(), [format!("error ChartPullError {message}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_the_repository_are_used() {
    let registry = Registry::with(|request| {
        (request.header("authorization") != "Basic dTpodW50ZXIy").then(|| {
            refusal(401, "UNAUTHORIZED", "authentication required")
                .header("www-authenticate", "Basic realm=x")
        })
    });
    let mut bench = Bench::new();
    push(&registry, "1.0.0");
    let host = registry.host();
    let config = format!(r#"{{"auths":{{"{host}":{{"username":"u","password":"hunter2"}}}}}}"#);
    bench.secret("docker", &[(".dockerconfigjson", &config)]);
    bench.secret("basic", &[("username", "u"), ("password", "hunter2")]);
    bench.secret("half", &[("username", "u")]);
    let elsewhere = r#"{"auths":{"example.com":{"username":"u","password":"hunter2"}}}"#;
    bench.secret("elsewhere", &[(".dockerconfigjson", elsewhere)]);
    let unnamed = format!(
        "failed to configure login options: no auth config for '{host}' in the docker-registry Secret 'elsewhere'"
    );
    let cases = [
        (
            None,
            Some("failed to authenticate with the Helm repository: chart pull error: "),
        ),
        (Some("docker"), None),
        (Some("basic"), None),
        (
            Some("half"),
            Some(
                "failed to configure login options: invalid 'half' secret data: required fields 'username' and 'password'",
            ),
        ),
        (Some("elsewhere"), Some(unnamed.as_str())),
    ];
    for (secret, expected) in cases {
        let mut source = source(&registry);
        source.spec.secret_ref = secret.and_then(reference);
        bench.add(&mut source).await;
        let mut object = object(ChartSourceKind::HelmRepository, "app");
        let outcome = bench.pass(&mut object).await;
        let Some(expected) = expected else {
            assert_eq!(outcome, Outcome::Done, "{secret:?}");
            continue;
        };
        let message = message_of(&object, "FetchFailed");
        assert!(message.starts_with(expected), "{message}");
        assert!(!message.contains("hunter"), "{message}");
        assert_eq!(conditions_of(&object)[1], "Ready=False/AuthenticationFailed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chart_that_many_want_is_fetched_once_by_who_may() {
    let registry = Registry::with(|request| {
        (request.header("authorization") != "Basic dTpodW50ZXIy").then(|| {
            refusal(401, "UNAUTHORIZED", "authentication required")
                .header("www-authenticate", "Basic realm=x")
        })
    });
    let mut bench = Bench::new();
    let packed = push(&registry, "1.0.0");
    bench.secret("basic", &[("username", "u"), ("password", "hunter2")]);
    let mut source = source(&registry);
    source.spec.secret_ref = reference("basic");
    bench.add(&mut source).await;
    let pulled = async |bench: &mut Bench, registry: &Registry| {
        registry.take_seen();
        let mut object = object(ChartSourceKind::HelmRepository, "app");
        let outcome = bench.pass(&mut object).await;
        let (mut blobs, mut manifests) = (0, 0);
        for line in registry.take_seen() {
            blobs += usize::from(line.contains("/blobs/"));
            manifests += usize::from(line.contains("/manifests/"));
        }
        (object, outcome, blobs, manifests > 0)
    };
    let (first, outcome, blobs, _) = pulled(&mut bench, &registry).await;
    assert_eq!((outcome, blobs > 0), (Outcome::Done, true));
    // The next one asks what the version is, as whom it may, and has the rest.
    let (second, outcome, blobs, asked) = pulled(&mut bench, &registry).await;
    assert_eq!((outcome, blobs, asked), (Outcome::Done, 0, true));
    assert_eq!(
        second.artifact().unwrap().digest,
        first.artifact().unwrap().digest
    );
    assert!(std::fs::read(bench.stored(&second)).unwrap() == packed);

    // Who may not ask gets nothing of what is kept for others.
    source.spec.secret_ref = None;
    bench.add(&mut source).await;
    let (object, outcome, ..) = pulled(&mut bench, &registry).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(object.artifact(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_that_lies_keeps_the_last_good_chart() {
    let evil = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_evil = Arc::clone(&evil);
    let registry = Registry::with(move |request| {
        let lies = is_evil.load(std::sync::atomic::Ordering::Relaxed) && request.path.contains("/blobs/");
        lies.then(|| Response::new(200, vec![0; 64]))
    });
    let mut bench = Bench::new();
    push(&registry, "1.0.0");
    bench.add(&mut source(&registry)).await;
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();
    push(&registry, "1.1.0");
    evil.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    assert_eq!(
        conditions_of(&object),
        [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/ChartPullError",
            "ArtifactInStorage=True/ChartPullSucceeded",
            "FetchFailed=True/ChartPullError",
        ]
    );
    assert_eq!(object.artifact(), Some(&artifact));
    assert!(bench.stored(&object).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_of_a_cloud_is_logged_in_to_by_the_identity_of_the_machine() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let metadata = Server::start(|_| Response::new(200, r#"{"access_token":"aad","expires_in":"3600"}"#));
    let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":4102444800}"#);
    let token = format!("e30.{claims}.hunter2");
    let login = STANDARD.encode(format!("00000000-0000-0000-0000-000000000000:{token}"));
    let authority = Authority::new("the tests");
    let registry = Registry::with_tls(server_config(&authority.server(&[]), None), move |request| {
        if request.path == "/oauth2/exchange" {
            assert!(String::from_utf8_lossy(&request.body).contains("access_token=aad"));
            return Some(Response::new(200, format!(r#"{{"refresh_token":"{token}"}}"#)));
        }
        let is_known = request.header("authorization") == format!("Basic {login}");
        (!is_known).then(|| Response::new(401, "").header("www-authenticate", "Basic realm=\"r\""))
    });
    push(&registry, "1.0.0");
    // A cloud of the user's own, whose registries have this name.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cloud.json");
    let cloud = serde_json::json!({ "containerRegistryDNSSuffix": registry.host(), "resourceManagerEndpoint": "https://rm", "tokenAudience": "https://rm" });
    std::fs::write(&file, cloud.to_string()).unwrap();
    let address = metadata.url("");
    let environment = [
        ("AZURE_ENVIRONMENT_FILEPATH", file.to_str().unwrap()),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &address),
    ];
    let mut bench = Bench::within(Limits::default(), &environment);
    secret(&bench.api, "ca", &[("ca.crt", &authority.pem())]);
    let mut source = source(&registry);
    source.spec.insecure = false;
    source.spec.cert_secret_ref = reference("ca");
    source.spec.provider = Some(RegistryProvider::Azure);
    bench.add(&mut source).await;
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done, "{object:?}");
    assert_eq!(conditions_of(&object), PULLED);
    assert!(!bench.events().join("\n").contains("hunter2"));

    source.spec.provider = Some(RegistryProvider::Aws);
    bench.add(&mut source).await;
    let mut object = super::object(ChartSourceKind::HelmRepository, "app");
    let Outcome::Backoff { error } = bench.pass(&mut object).await else {
        panic!("{object:?}");
    };
    let host = registry.host();
    let expected =
        format!("failed to get credential from 'aws': invalid AWS registry: '{host}'. must match ");
    assert!(error.starts_with(&expected), "{error}");
    assert!(conditions_of(&object).contains(&"FetchFailed=True/AuthenticationFailed".to_owned()));
}
