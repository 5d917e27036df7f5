//! What fails: access, the registry, the content.

use ferro_api::source::{OCIRepositoryVerification, RegistryProvider};
use ferro_testkit::registry::refusal;
use ferro_testkit::tls::{Authority, server_config};

use super::*;

/// u:hunter2
const BASIC: &str = "Basic dTpodW50ZXIy";

/// Refuses whoever has not this `Authorization`.
fn guard(request: &Request) -> Option<Response> {
    (request.header("authorization") != BASIC).then(|| {
        refusal(401, "UNAUTHORIZED", "authentication required").header("www-authenticate", "Basic realm=x")
    })
}

fn docker_config(host: &str, password: &str) -> String {
    json!({ "auths": { host: { "username": "u", "password": password } } }).to_string()
}

fn failed(message: &str) -> Outcome {
    Outcome::Backoff {
        error: message.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_secrets_of_the_object_and_of_its_service_account() {
    let (registry, mut bench) = (Registry::with(guard), Bench::new());
    push(&registry, "latest", &[("a", "a")]);
    let host = registry.host();
    let right = docker_config(&host, "hunter2");
    bench.secret("auth", &[(".dockerconfigjson", &right)]);
    bench.secret(
        "wrong",
        &[(".dockerconfigjson", &docker_config(&host, "hunter3"))],
    );
    bench.service_account("puller", &["auth"]);
    let mut object = object(&registry);

    let denied = format!(
        "failed to determine artifact digest: GET http://{host}/v2/{APP}/manifests/latest: UNAUTHORIZED: authentication required"
    );
    assert_eq!(bench.pass(&mut object).await, failed(&denied));
    object.spec.service_account_name = Some("puller".to_owned());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let lines = bench.api.take_request_lines();
    assert_eq!(
        lines,
        [
            "GET /api/v1/namespaces/default/serviceaccounts/puller",
            "GET /api/v1/namespaces/default/secrets/auth"
        ]
    );

    // The object's own secret counts first.
    object.spec.secret_ref = reference("wrong");
    assert_eq!(bench.pass(&mut object).await, failed(&denied));
    object.spec.secret_ref = reference("auth");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let text = format!("{:?}", bench.events());
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_secrets_have_the_words_of_the_reference() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a", "a")]);
    bench.secret("empty", &[]);
    bench.secret("half", &[("tls.crt", "x")]);
    bench.secret(
        "garbage",
        &[(".dockerconfigjson", "hunter2"), ("ca.crt", "hunter2")],
    );
    bench.service_account("broken", &["gone"]);
    let url = object(&registry).spec.url;
    type Change = fn(&mut OCIRepositorySpec);
    let cases: [(Change, String); 9] = [
        (
            |spec| spec.secret_ref = reference("gone"),
            "failed to get credential: failed to get secret 'default/gone': secrets \"gone\" not found".to_owned(),
        ),
        (
            |spec| spec.secret_ref = reference("garbage"),
            "failed to get credential: secret 'default/garbage': invalid docker config: malformed JSON at line 1 column 1".to_owned(),
        ),
        (
            |spec| spec.service_account_name = Some("nobody".to_owned()),
            "failed to get credential: serviceaccount 'default/nobody' not found".to_owned(),
        ),
        (
            |spec| spec.service_account_name = Some("broken".to_owned()),
            "failed to get credential: failed to get image pull secret for serviceaccount 'default/broken': secret 'default/gone' not found".to_owned(),
        ),
        (
            |spec| spec.proxy_secret_ref = reference("gone"),
            "failed to get proxy address: secret 'default/gone' not found".to_owned(),
        ),
        (
            |spec| spec.proxy_secret_ref = reference("empty"),
            "failed to get proxy address: secret 'default/empty': key 'address' not found".to_owned(),
        ),
        (
            |spec| spec.cert_secret_ref = reference("gone"),
            format!("failed to generate transport for '{url}': secret 'default/gone' not found"),
        ),
        (
            |spec| spec.cert_secret_ref = reference("half"),
            format!("failed to generate transport for '{url}': secret 'default/half' contains 'tls.crt' but missing 'tls.key'"),
        ),
        (
            |spec| spec.cert_secret_ref = reference("empty"),
            format!("failed to generate transport for '{url}': secret 'default/empty' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'"),
        ),
    ];
    for (change, message) in cases {
        let mut object = object(&registry);
        change(&mut object.spec);
        assert_eq!(bench.pass(&mut object).await, failed(&message));
        let expected = [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/AuthenticationFailed",
            "FetchFailed=True/AuthenticationFailed",
        ];
        assert_eq!(conditions_of(&object), expected);
        let mut events = bench.events();
        assert_eq!(
            events.pop(),
            Some(format!("error AuthenticationFailed {message}"))
        );
        if object.spec.secret_ref == reference("gone") {
            assert_eq!(
                events,
                ["trace AuthenticationFailed auth secret 'gone' not found"]
            );
        }
    }
    let mut object = object(&registry);
    object.spec.cert_secret_ref = reference("garbage");
    bench.pass(&mut object).await;
    let message = message_of(&object, "FetchFailed");
    assert!(
        message.contains("invalid CA certificate") && !message.contains("hunter"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none_stall() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    for (url, cause) in [
        (
            "https://ghcr.io/a/b",
            "URL must be in format 'oci://<domain>/<org>/<repo>'",
        ),
        (
            "oci://ghcr.io/a/b:1.0",
            "URL must not contain a tag; remove ':1.0'",
        ),
        (
            "oci://gh cr.io/a/b",
            "registries must be valid RFC 3986 URI authorities: gh cr.io",
        ),
    ] {
        let mut object = object(&registry);
        object.spec.url = url.to_owned();
        let outcome = bench.pass(&mut object).await;
        let Outcome::Stalled { error } = outcome else {
            panic!("{outcome:?}");
        };
        let start = format!("URL validation failed for '{url}': ");
        assert!(error.starts_with(&start) && error.ends_with(cause), "{error}");
        let expected = [
            "Stalled=True/URLInvalid",
            "Ready=False/URLInvalid",
            "FetchFailed=True/URLInvalid",
        ];
        assert_eq!(conditions_of(&object), expected);
        assert_eq!(object.observed_generation(), Some(1));
        assert_eq!(bench.events(), [format!("error URLInvalid {error}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_cannot_do_is_refused() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a", "a")]);
    let mut signed = object(&registry);
    signed.spec.verify = Some(OCIRepositoryVerification::default());
    assert!(matches!(bench.pass(&mut signed).await, Outcome::Backoff { .. }));
    assert!(signed.artifact().is_none());
    let verified = signed.condition(condition::SOURCE_VERIFIED).unwrap();
    assert_eq!(
        (verified.status, verified.reason.as_str()),
        (ConditionStatus::False, "VerificationError")
    );
    signed.spec.verify = None;
    assert_eq!(bench.pass(&mut signed).await, Outcome::Done);
    assert_eq!(conditions_of(&signed), READY);

    let mut cloud = object(&registry);
    cloud.spec.provider = Some(RegistryProvider::Aws);
    assert!(matches!(bench.pass(&mut cloud).await, Outcome::Backoff { .. }));
    let (host, message) = (registry.host(), message_of(&cloud, "FetchFailed"));
    assert!(
        message.starts_with(&format!(
            "failed to get credential from aws: invalid AWS registry: '{host}'. must match "
        )),
        "{message}"
    );
    assert_eq!(conditions_of(&cloud)[1], "Ready=False/AuthenticationFailed");

    // With an identity of its own the gate is looked at first, and only Stalled says so.
    bench.service_account("cloud", &[]);
    cloud = object(&registry);
    cloud.spec.provider = Some(RegistryProvider::Gcp);
    cloud.spec.service_account_name = Some("cloud".to_owned());
    assert!(matches!(bench.pass(&mut cloud).await, Outcome::Stalled { .. }));
    assert_eq!(
        conditions_of(&cloud),
        [
            "Stalled=True/FeatureGateDisabled",
            "Ready=False/FeatureGateDisabled"
        ]
    );
    assert_eq!(
        message_of(&cloud, "Ready"),
        "to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller"
    );
    let mut gated = Bench::with_gates("ObjectLevelWorkloadIdentity=true");
    gated.service_account("cloud", &[]);
    gated.pass(&mut cloud).await;
    assert_eq!(conditions_of(&cloud)[1], "Ready=False/AuthenticationFailed");

    // Pull secrets take the place of a cloud identity.
    bench.secret("auth", &[(".dockerconfigjson", "{}")]);
    cloud.spec.secret_ref = reference("auth");
    assert_eq!(bench.pass(&mut cloud).await, Outcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_keeps_the_artifact_and_recovery_is_told() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let digest = push(&registry, "latest", &[("a", "a")]);
    let mut object = object(&registry);
    bench.pass(&mut object).await;
    bench.events();
    let artifact = object.artifact().unwrap().clone();

    // A new revision whose content is not what the manifest says.
    let bad = archive(&[("b", "b")]);
    registry.put_artifact(APP, "latest", &[(media_type::FLUX_CONTENT, &bad)], &[]);
    let lying = ferro_testkit::registry::digest(&bad);
    registry.put_blob(APP, b"placeholder");
    let hook_digest = lying.clone();
    let liar = Registry::with(move |request| {
        request
            .path
            .ends_with(&hook_digest)
            .then(|| Response::new(200, vec![0; 7]))
    });
    let fresh = liar.put_artifact(APP, "latest", &[(media_type::FLUX_CONTENT, &bad)], &[]);
    object.spec.url = format!("oci://{}/{APP}", liar.host());
    let message = format!(
        "failed to extract the first layer from artifact: GET http://{}/v2/{APP}/blobs/{lying}: Content-Length header 7 does not match expected size {}",
        liar.host(),
        bad.len()
    );
    assert_eq!(bench.pass(&mut object).await, failed(&message));
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/OCIArtifactLayerOperationFailed",
        "ArtifactInStorage=True/Succeeded",
        "ArtifactOutdated=True/NewRevision",
        "FetchFailed=True/OCIArtifactLayerOperationFailed",
    ];
    assert_eq!(conditions_of(&object), expected);
    let new = format!("latest@{fresh}");
    assert_eq!(
        message_of(&object, "ArtifactOutdated"),
        format!("new revision '{new}' for '{}/{APP}:latest'", liar.host())
    );
    assert_eq!(object.artifact(), Some(&artifact));
    assert!(bench.stored(&object).exists());
    assert_eq!(
        bench.events(),
        [format!("error OCIArtifactLayerOperationFailed {message}")]
    );
    // The next failure is the same, so there is nothing to write.
    let before = object.clone();
    bench.pass(&mut object).await;
    assert_eq!(object, before);
    bench.events();

    registry.put_artifact(APP, "other", &[], &[]);
    push(&registry, "latest", &[("a", "a")]);
    object.spec.url = format!("oci://{}/{APP}", registry.host());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let told = format!(
        "info Succeeded stored artifact with revision 'latest@{digest}' from '{}'",
        object.spec.url
    );
    assert_eq!(bench.events(), [told]);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_cannot_be_used_is_refused() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&[7; 4096]).unwrap();
    let no_tar = gzip.finish().unwrap();
    let cut = archive(&[("a", &"x".repeat(10_000))]);
    let cut = &cut[..cut.len() - 20];
    let extract = "failed to extract layer contents from artifact: ";
    let cases: [(&[u8], String); 3] = [
        (
            b"this is no gzip at all",
            format!("{extract}requires gzip-compressed body: invalid gzip header"),
        ),
        (&no_tar, format!("{extract}tar error: ")),
        (cut, format!("{extract}tar error: ")),
    ];
    let (registry, mut bench) = (Registry::start(), Bench::new());
    for (layer, start) in cases {
        registry.put_artifact(APP, "latest", &[("x", layer)], &[]);
        let mut object = object(&registry);
        bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(
            conditions_of(&object)[1],
            "Ready=False/OCIArtifactLayerOperationFailed"
        );
        assert!(object.artifact().is_none());
    }
    registry.put_artifact(APP, "latest", &[], &[]);
    let mut none = object(&registry);
    bench.pass(&mut none).await;
    assert_eq!(message_of(&none, "FetchFailed"), "no layers found in artifact");
    registry.put_manifest(APP, "latest", media_type::OCI_MANIFEST, b"no json");
    bench.pass(&mut none).await;
    let message = message_of(&none, "FetchFailed");
    assert!(
        message.starts_with("failed to parse artifact manifest: "),
        "{message}"
    );
    registry.put_manifest(APP, "latest", media_type::OCI_INDEX, br#"{"manifests":[]}"#);
    bench.pass(&mut none).await;
    let message = message_of(&none, "FetchFailed");
    let start = format!(
        "failed to pull artifact from '{}': no child with platform linux/amd64",
        none.spec.url
    );
    assert!(message.starts_with(&start), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_registry_ends_with_the_objects_time() {
    let registry = Registry::with(|request| {
        request.path.contains("/blobs/").then(|| {
            // Says its length and sends nothing.
            let (sender, receiver) = mpsc::channel(1);
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(30));
                drop(sender);
            });
            Response::stream(200, receiver)
        })
    });
    let mut bench = Bench::new();
    push(&registry, "latest", &[("a", "a")]);
    let mut object = object(&registry);
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(300_000_000));
    let message = "failed to extract layer contents from artifact: requires gzip-compressed body: context deadline exceeded";
    assert_eq!(bench.pass(&mut object).await, failed(message));
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_fails_is_told() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a", "a")]);
    // A file in the place of the object's directory.
    std::fs::create_dir_all(bench.data.join("ocirepository/default")).unwrap();
    std::fs::write(bench.data.join("ocirepository/default/app"), "").unwrap();
    let mut object = object(&registry);
    bench.pass(&mut object).await;
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/DirectoryCreationFailed",
        "StorageOperationFailed=True/DirectoryCreationFailed",
    ];
    assert_eq!(conditions_of(&object), expected);
    assert!(message_of(&object, "Ready").starts_with("failed to create artifact directory: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_insecure() {
    let authority = Authority::new("ours");
    let config = server_config(&authority.server(&[]), Some(&authority.pem()));
    let (registry, mut bench) = (Registry::with_tls(config, |_| None), Bench::new());
    push(&registry, "latest", &[("a", "a")]);
    let pair = authority.client("me");
    let entries = [
        ("ca.crt", authority.pem()),
        ("tls.crt", pair.certificate),
        ("tls.key", pair.key),
    ];
    let entries: Vec<(&str, &str)> = entries
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    bench.secret("tls", &entries);
    bench.secret("ca", &entries[..1]);
    let mut object = object(&registry);
    object.spec.insecure = false;
    bench.pass(&mut object).await;
    let message = message_of(&object, "FetchFailed").to_owned();
    assert!(message.contains("certificate"), "{message}");
    object.spec.cert_secret_ref = reference("tls");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);

    // Without client certificates, insecure means that any certificate will do.
    let stranger = server_config(&Authority::new("theirs").server(&[]), None);
    let registry = Registry::with_tls(stranger, |_| None);
    push(&registry, "latest", &[("a", "a")]);
    let mut insecure = super::object(&registry);
    assert_eq!(bench.pass(&mut insecure).await, Outcome::Done);
    // Unless certificates are given to check it with.
    insecure.spec.cert_secret_ref = reference("ca");
    push(&registry, "latest", &[("b", "b")]);
    assert_ne!(bench.pass(&mut insecure).await, Outcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_of_the_object_is_used() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a", "a")]);
    // A proxy gets the whole address; this one is the registry itself.
    let proxy = Registry::with(|request| {
        let is_authorized = request.header("proxy-authorization") == BASIC;
        Some(Response::new(
            if is_authorized { 418 } else { 407 },
            "the proxy was here",
        ))
    });
    let address = format!("http://{}", proxy.host());
    bench.secret(
        "proxy",
        &[("address", &address), ("username", "u"), ("password", "hunter2")],
    );
    let mut object = object(&registry);
    object.spec.url = "oci://registry.example.com/org/app".to_owned();
    object.spec.proxy_secret_ref = reference("proxy");
    bench.pass(&mut object).await;
    let message = message_of(&object, "FetchFailed");
    assert!(
        message.contains("418") && message.contains("the proxy was here"),
        "{message}"
    );
}
