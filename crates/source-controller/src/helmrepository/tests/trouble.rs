//! What fails: access, the server, the index.

use ferro_api::source::RegistryProvider;
use ferro_testkit::tls::{Authority, server_config};

use super::*;

/// u:hunter2
const BASIC: &str = "Basic dTpodW50ZXIy";

const FETCH: &str = "failed to fetch Helm repository index: failed to cache index to temporary file: ";

fn failing(reason: &str) -> [String; 3] {
    [
        "Reconciling=True/ProgressingWithRetry".to_owned(),
        format!("Ready=False/{reason}"),
        format!("FetchFailed=True/{reason}"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sent_and_never_told() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    server.guard(BASIC);
    bench.secret("right", &[("username", "u"), ("password", "hunter2")]);
    bench.secret("wrong", &[("username", "u"), ("password", "hunter3")]);
    let mut object = repository(&server.url());
    let index = server.url() + "/index.yaml";
    let denied = format!("{FETCH}failed to fetch {index} : 401 Unauthorized");
    assert_eq!(bench.pass(&mut object).await, failed(&denied));
    assert_eq!(conditions_of(&object), failing("Failed"));
    assert_eq!(message_of(&object, "FetchFailed"), denied);
    assert_eq!(bench.events(), [format!("error Failed {denied}")]);
    object.spec.secret_ref = reference("wrong");
    assert_eq!(bench.pass(&mut object).await, failed(&denied));
    object.spec.secret_ref = reference("right");
    bench.events();
    server.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(
        server.seen(),
        [format!("GET /charts/index.yaml authorization={BASIC}")]
    );
    let text = format!("{:?} {object:?}", bench.events());
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_to_another_host_gets_no_credentials() {
    let (server, elsewhere, mut bench) = (HelmServer::start(), HelmServer::start(), Bench::new());
    elsewhere.serve(&[("app", "1.0.0")]);
    let target = elsewhere.url() + "/index.yaml";
    server.instead(move |_| Some(Response::new(302, "").header("location", &target)));
    bench.secret("auth", &[("username", "u"), ("password", "hunter2")]);
    for passes in [false, true] {
        let mut object = repository(&server.url());
        object.spec.secret_ref = reference("auth");
        object.spec.pass_credentials = passes;
        bench.pass(&mut object).await;
        assert_eq!(
            server.seen(),
            [format!("GET /charts/index.yaml authorization={BASIC}")]
        );
        let told = elsewhere.seen();
        assert!(!told.iter().any(|line| line.contains("Basic")), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_secrets_are_named() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    bench.secret("half", &[("username", "u")]);
    bench.secret("nobody", &[("password", "hunter2")]);
    bench.secret("tls", &[("tls.crt", "x")]);
    bench.secret("empty", &[]);
    type Change = fn(&mut HelmRepositorySpec);
    let cases: [(Change, &str); 6] = [
        (
            |spec| spec.secret_ref = reference("gone"),
            "failed to get authentication secret 'default/gone': ",
        ),
        (
            |spec| spec.secret_ref = reference("half"),
            "failed to detect authentication methods: secret 'default/half': key 'password' not found",
        ),
        (
            |spec| spec.secret_ref = reference("nobody"),
            "failed to detect authentication methods: secret 'default/nobody': key 'username' not found",
        ),
        (
            |spec| spec.cert_secret_ref = reference("gone"),
            "failed to get TLS authentication secret 'default/gone': ",
        ),
        (
            |spec| spec.cert_secret_ref = reference("tls"),
            "failed to construct Helm client's TLS config: secret 'default/tls' contains 'tls.crt' but missing 'tls.key'",
        ),
        (
            |spec| spec.cert_secret_ref = reference("empty"),
            "failed to construct Helm client's TLS config: secret 'default/empty' must contain either 'ca.crt' or both",
        ),
    ];
    for (change, start) in cases {
        let mut object = repository(&server.url());
        change(&mut object.spec);
        let outcome = bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert_eq!(outcome, failed(&message));
        assert!(message.starts_with(start), "{message}");
        assert_eq!(conditions_of(&object), failing("AuthenticationFailed"));
        assert_eq!(bench.events(), [format!("error AuthenticationFailed {message}")]);
    }
    assert_eq!(server.seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_come_from_their_secret_or_as_of_old_from_the_other() {
    let authority = Authority::new("test");
    let pair = authority.server(&["127.0.0.1"]);
    let client = authority.client("source-controller");
    let config = server_config(&pair, Some(&authority.pem()));
    let (server, mut bench) = (HelmServer::start_tls(config), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let pem = authority.pem();
    let keys = [
        ("ca.crt", pem.as_str()),
        ("tls.crt", client.certificate.as_str()),
        ("tls.key", client.key.as_str()),
    ];
    bench.secret("certificates", &keys);
    bench.secret("authority", &keys[..1]);
    let old = [
        ("caFile", pem.as_str()),
        ("certFile", client.certificate.as_str()),
        ("keyFile", client.key.as_str()),
    ];
    bench.secret("old", &old);
    let mut untrusting = repository(&server.url());
    assert!(matches!(
        bench.pass(&mut untrusting).await,
        Outcome::Backoff { .. }
    ));
    let message = message_of(&untrusting, "FetchFailed").to_lowercase();
    assert!(message.contains("certificate"), "{message}");
    let mut unknown = repository(&server.url());
    unknown.spec.cert_secret_ref = reference("authority");
    assert!(matches!(bench.pass(&mut unknown).await, Outcome::Backoff { .. }));

    let mut object = repository(&server.url());
    object.spec.cert_secret_ref = reference("certificates");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let mut object = repository(&server.url());
    object.spec.secret_ref = reference("old");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none_stall() {
    let mut bench = Bench::new();
    let cases = [
        (
            "oci://ghcr.io/charts",
            "URLInvalid",
            "invalid Helm repository URL: 'oci' URL scheme cannot be used with 'default' HelmRepository type",
        ),
        (
            "http://exa mple.com/",
            "URLInvalid",
            "invalid Helm repository URL: ",
        ),
        (
            "ftp://example.com/",
            "Failed",
            "failed to construct Helm client: scheme \"ftp\" not supported",
        ),
    ];
    for (url, reason, start) in cases {
        let mut object = repository(url);
        let outcome = bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert_eq!(outcome, stalled(&message));
        assert!(message.starts_with(start), "{message}");
        let expected = [
            format!("Stalled=True/{reason}"),
            format!("Ready=False/{reason}"),
            format!("FetchFailed=True/{reason}"),
        ];
        assert_eq!(conditions_of(&object), expected);
        assert_eq!(object.observed_generation(), Some(1));
        assert_eq!(bench.events(), [format!("error {reason} {message}")]);
    }
    // What is for registries does not count here.
    let server = HelmServer::start();
    server.serve(&[]);
    let mut object = repository(&server.url());
    object.spec.provider = Some(RegistryProvider::Aws);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_index_keeps_the_artifact_and_recovery_is_told() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    let index = server.serve(&[("app", "1.0.0")]);
    let mut object = repository(&server.url());
    bench.pass(&mut object).await;
    bench.events();
    let artifact = object.artifact().unwrap().clone();
    let load = "failed to load Helm repository from index YAML: failed to load index: ";
    for (faulty, cause) in [
        ("", "empty index.yaml file"),
        ("entries: {}\n", "no API version specified"),
        ("<html>not found</html>", ""),
        ("apiVersion: v1\nentries: [", ""),
    ] {
        server.put("index.yaml", faulty);
        let outcome = bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert_eq!(outcome, failed(&message));
        assert!(message.starts_with(&format!("{load}{cause}")), "{message}");
        let expected = [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/IndexationFailed",
            "ArtifactInStorage=True/Succeeded",
            "FetchFailed=True/IndexationFailed",
        ];
        assert_eq!(conditions_of(&object), expected);
        assert_eq!(object.artifact(), Some(&artifact));
        assert!(bench.stored(&object).exists());
        assert_eq!(bench.events(), [format!("error IndexationFailed {message}")]);
    }
    // The next failure is the same, so there is nothing to write.
    let before = object.clone();
    bench.pass(&mut object).await;
    assert_eq!(object, before);
    bench.events();

    server.put("index.yaml", index);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert!(bench.events()[0].starts_with("info Succeeded stored fetched index of size "));
}

#[tokio::test(flavor = "multi_thread")]
async fn index_beyond_the_limit_is_refused_announced_or_not() {
    let limits = Limits {
        index: 4096,
        ..Limits::default()
    };
    let (server, mut bench) = (HelmServer::start(), Bench::with(limits, Algorithm::Sha256, 0));
    let mut object = repository(&server.url());
    server.serve(&[("app", "1.0.0")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();
    let message = format!("{FETCH}index exceeds the maximum index file size of 4096 bytes");
    server.put("index.yaml", " ".repeat(4097));
    assert_eq!(bench.pass(&mut object).await, failed(&message));

    // One that never ends and does not say how long it is.
    server.instead(|_| {
        let (pieces, body) = mpsc::channel(1);
        std::thread::spawn(move || while pieces.blocking_send(vec![b' '; 1024].into()).is_ok() {});
        Some(Response::stream(200, body))
    });
    assert_eq!(bench.pass(&mut object).await, failed(&message));
    assert_eq!(object.artifact(), Some(&artifact));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_never_answers_is_given_up() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.instead(|_| {
        let (pieces, body) = mpsc::channel(1);
        // Held for ever: the body neither goes on nor ends.
        std::mem::forget(pieces);
        Some(Response::stream(200, body))
    });
    let mut object = repository(&server.url());
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(50_000_000));
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    let message = message_of(&object, "FetchFailed");
    assert!(message.contains("timed out fetching"), "{message}");
    assert_eq!(conditions_of(&object), failing("Failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn index_that_drips_keeps_the_artifact() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let mut object = repository(&server.url());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();
    server.instead(|_| Some(Response::stream(200, ferro_testkit::http::drip(b" "))));
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(300_000_000));
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    let message = message_of(&object, "FetchFailed");
    assert!(message.contains("timed out fetching"), "{message}");
    assert_eq!(object.artifact(), Some(&artifact));
}

#[tokio::test(flavor = "multi_thread")]
async fn access_from_is_kept_and_decides_nothing_as_upstream() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let selectors = json!({ "namespaceSelectors": [{ "matchLabels": { "team": "a" } }] });
    let mut object = repository(&server.url());
    object.spec.access_from = Some(serde_json::from_value(selectors.clone()).unwrap());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let kept = serde_json::to_value(&object).unwrap();
    assert_eq!(kept["spec"]["accessFrom"], selectors);
}
