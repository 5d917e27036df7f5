//! Signatures, made by the program that `tests/data/signatures.json` of ferro-verify is recorded from.

use std::sync::Mutex;

use ferro_api::source::{OCIRepositoryVerification, OciVerificationProvider, OidcIdentityMatch};
use ferro_oci::Descriptor;
use ferro_testkit::registry::{digest, refusal};
use serde_json::Value;

use super::*;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A registry with an artifact that others have signed.
pub(super) struct Signed {
    registry: Registry,
    pub(super) fixtures: Value,
}

impl Signed {
    pub(super) fn new() -> Self {
        Self::within(Registry::start())
    }

    fn within(registry: Registry) -> Self {
        let text = include_str!("../../../../ferro-verify/tests/data/signatures.json");
        let fixtures: Value = serde_json::from_str(text).unwrap();
        registry.put_blob(APP, b"{}");
        registry.put_blob(APP, fixtures["layer"].as_str().unwrap().as_bytes());
        let manifest = fixtures["manifest"].as_str().unwrap().as_bytes();
        let digest = registry.put_manifest(APP, "latest", media_type::OCI_MANIFEST, manifest);
        assert_eq!(digest, fixtures["digest"]);
        Self { registry, fixtures }
    }

    fn digest(&self) -> &str {
        self.fixtures["digest"].as_str().unwrap()
    }

    fn public(&self, kind: &str) -> &str {
        self.fixtures["keys"][kind]["public"].as_str().unwrap()
    }

    /// The reference that messages name.
    fn reference(&self) -> String {
        format!("{}/{APP}@{}", self.registry.host(), self.digest())
    }

    /// The object, with signatures to be verified.
    pub(super) fn object(&self, verify: OCIRepositoryVerification) -> OCIRepository {
        let mut object = object(&self.registry);
        object.spec.layer_selector = Some(LayerSelector {
            operation: Some(OciLayerOperation::Copy),
            ..LayerSelector::default()
        });
        object.spec.verify = Some(verify);
        object
    }

    /// Puts signatures where cosign 2 does.
    fn put_simple(&self, signatures: &[&Value]) {
        let layer = |signature: &&Value| {
            let text = |key: &str| signature.get(key).and_then(Value::as_str).unwrap_or_default();
            let payload = decode(text("payload"));
            self.registry.put_blob(APP, &payload);
            let mut layer = Descriptor::of("application/vnd.dev.cosign.simplesigning.v1+json", &payload);
            for (annotation, key) in [
                ("dev.cosignproject.cosign/signature", "signature"),
                ("dev.sigstore.cosign/certificate", "certificate"),
                ("dev.sigstore.cosign/bundle", "bundle"),
            ] {
                layer
                    .annotations
                    .insert(annotation.to_owned(), text(key).to_owned());
            }
            layer
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::FLUX_CONFIG, b"{}"),
            "layers": signatures.iter().map(layer).collect::<Vec<_>>(),
        });
        let tag = self.digest().replace(':', "-") + ".sig";
        let bytes = manifest.to_string();
        self.registry
            .put_manifest(APP, &tag, media_type::OCI_MANIFEST, bytes.as_bytes());
    }

    /// Puts a bundle as cosign 3 does; what a list of referrers says of it.
    pub(super) fn put_bundle(&self, bundle: &[u8]) -> Value {
        self.put_referrer(BUNDLE, BUNDLE, bundle)
    }

    fn put_referrer(&self, kind: &str, layer: &str, content: &[u8]) -> Value {
        self.registry.put_blob(APP, content);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": kind,
            "config": Descriptor::of(media_type::EMPTY, b"{}"),
            "layers": [Descriptor::of(layer, content)],
            "subject": { "mediaType": media_type::OCI_MANIFEST, "digest": self.digest(), "size": 1 },
        });
        let bytes = manifest.to_string();
        let digest = self
            .registry
            .put_manifest(APP, "", media_type::OCI_MANIFEST, bytes.as_bytes());
        json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": bytes.len(), "artifactType": kind })
    }

    /// Puts the list of referrers where clients keep it for registries that have none.
    pub(super) fn put_referrers(&self, referrers: &[Value]) {
        let tag = self.digest().replace(':', "-");
        let index = index(referrers);
        self.registry
            .put_manifest(APP, &tag, media_type::OCI_INDEX, index.as_bytes());
    }

    pub(super) fn bundle(&self, name: &str) -> Vec<u8> {
        serde_json::to_vec(&self.fixtures["bundles"][name]).unwrap()
    }
}

fn index(referrers: &[Value]) -> String {
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": referrers }).to_string()
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn by_key() -> OCIRepositoryVerification {
    OCIRepositoryVerification {
        secret_ref: reference("keys"),
        ..OCIRepositoryVerification::default()
    }
}

fn keyless(identities: &[(&str, &str)]) -> OCIRepositoryVerification {
    let identity = |(issuer, subject): &(&str, &str)| OidcIdentityMatch {
        issuer: (*issuer).to_owned(),
        subject: (*subject).to_owned(),
    };
    OCIRepositoryVerification {
        match_oidc_identity: identities.iter().map(identity).collect(),
        trusted_root_secret_ref: reference("root"),
        ..OCIRepositoryVerification::default()
    }
}

pub(super) fn failed(provider: &str, cause: &str) -> Outcome {
    Outcome::Backoff {
        error: format!("failed to verify the signature using provider '{provider}': {cause}"),
    }
}

const VERIFIED: [&str; 3] = [
    "Ready=True/Succeeded",
    "ArtifactInStorage=True/Succeeded",
    "SourceVerified=True/Succeeded",
];

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_fetched_once_a_key_vouches_for_them() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    let keys = [
        ("a.pub", signed.public("p256")),
        ("b.pub", signed.public("ed25519")),
        ("c.txt", "no key"),
    ];
    bench.secret("keys", &keys);
    let mut object = signed.object(by_key());
    let unsigned = format!("no matching signatures were found for '{}'", signed.reference());
    assert_eq!(bench.pass(&mut object).await, failed("cosign", &unsigned));
    assert!(object.artifact().is_none());
    assert_eq!(
        conditions_of(&object),
        [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/VerificationError",
            "SourceVerified=False/VerificationError",
        ]
    );
    let message = format!("failed to verify the signature using provider 'cosign': {unsigned}");
    assert_eq!(message_of(&object, "SourceVerified"), message);
    assert_eq!(bench.events(), [format!("error VerificationError {message}")]);

    let made = |kind: &str| &signed.fixtures["keys"][kind]["simple"];
    signed.put_simple(&[made("rsa"), made("p521")]);
    assert_eq!(
        bench.pass(&mut object).await,
        failed("cosign", &unsigned),
        "others"
    );
    signed.put_simple(&[made("rsa"), made("ed25519")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), VERIFIED);
    let revision = format!("latest@{}", signed.digest());
    assert_eq!(
        message_of(&object, "SourceVerified"),
        format!("verified signature of revision {revision}")
    );
    assert_eq!(object.artifact().unwrap().revision, revision);
    assert_eq!(std::fs::read(bench.stored(&object)).unwrap(), b"content");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_good_is_not_verified_again_for_the_same_spec() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    bench.secret("keys", &[("a.pub", signed.public("rsa"))]);
    signed.put_simple(&[&signed.fixtures["keys"]["rsa"]["simple"]]);
    let mut object = signed.object(by_key());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    signed.registry.take_seen();
    bench.api.take_request_lines();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        signed.registry.take_seen(),
        [format!("HEAD /v2/{APP}/manifests/latest")]
    );
    assert!(bench.api.take_request_lines().is_empty());

    // Another spec may name other keys.
    bench.secret("keys", &[("a.pub", signed.public("p256"))]);
    object.metadata.generation = Some(2);
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    assert!(conditions_of(&object).contains(&"Ready=False/VerificationError".to_owned()));
    assert!(object.artifact().is_some(), "the last good artifact stays");
    bench.secret("keys", &[("a.pub", signed.public("rsa"))]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), VERIFIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_revisions_that_are_not_signed_leave_the_last_good_artifact() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    bench.secret("keys", &[("a.pub", signed.public("p384"))]);
    signed.put_simple(&[&signed.fixtures["keys"]["p384"]["simple"]]);
    let mut object = signed.object(by_key());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let good = object.artifact().unwrap().clone();

    let layer = (media_type::FLUX_CONTENT, &b"evil"[..]);
    let evil = signed.registry.put_artifact(APP, "latest", &[layer], &[]);
    // The good artifact's signature does not become one of the other by being put there.
    let tag = |digest: &str| digest.replace(':', "-") + ".sig";
    let of_good = signed.fixtures["keys"]["p384"]["simple"].clone();
    signed.put_simple(&[&of_good]);
    let moved = signed_manifest(&signed, &of_good);
    signed
        .registry
        .put_manifest(APP, &tag(&evil), media_type::OCI_MANIFEST, moved.as_bytes());
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    assert_eq!(object.artifact(), Some(&good));
    assert_eq!(std::fs::read(bench.stored(&object)).unwrap(), b"content");
    assert_eq!(
        conditions_of(&object),
        [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/VerificationError",
            "ArtifactInStorage=True/Succeeded",
            "ArtifactOutdated=True/NewRevision",
            "SourceVerified=False/VerificationError",
        ]
    );

    object.spec.verify = None;
    object.metadata.generation = Some(2);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(std::fs::read(bench.stored(&object)).unwrap(), b"evil");
}

/// A manifest with one signature whose payload the registry has.
fn signed_manifest(signed: &Signed, signature: &Value) -> String {
    let payload = decode(signature["payload"].as_str().unwrap());
    let mut layer = Descriptor::of("application/vnd.dev.cosign.simplesigning.v1+json", &payload);
    layer.annotations.insert(
        "dev.cosignproject.cosign/signature".to_owned(),
        signature["signature"].as_str().unwrap().to_owned(),
    );
    assert_eq!(signed.registry.put_blob(APP, &payload), digest(&payload));
    json!({ "schemaVersion": 2, "config": Descriptor::of(media_type::FLUX_CONFIG, b"{}"), "layers": [layer] })
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_count_before_signatures_of_the_older_form() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    bench.secret("keys", &[("a.pub", signed.public("p256"))]);
    let bundle = |kind: &str| serde_json::to_vec(&signed.fixtures["keys"][kind]["bundle"]).unwrap();
    signed.put_simple(&[&signed.fixtures["keys"]["p256"]["simple"]]);
    let (good, other) = (
        signed.put_bundle(&bundle("p256")),
        signed.put_bundle(&bundle("rsa")),
    );
    let (garbage, missing) = (
        signed.put_bundle(b"{"),
        json!({ "digest": digest(b"none"), "size": 4 }),
    );
    // Some registries have the type of the configuration for that of the artifact.
    let mut untold = other.clone();
    untold["artifactType"] = json!(media_type::EMPTY);
    for (referrers, is_good) in [
        (vec![other.clone()], false),
        (vec![untold], false),
        (vec![other, good], true),
        // What is no bundle does not count at all.
        (vec![garbage, missing], true),
        (vec![], true),
    ] {
        signed.put_referrers(&referrers);
        let mut object = signed.object(by_key());
        let outcome = bench.pass(&mut object).await;
        assert_eq!(outcome == Outcome::Done, is_good, "{referrers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_vouch_by_bundles_that_the_registry_lists() {
    let listed: Arc<Mutex<Option<Response>>> = Arc::default();
    let answer = Arc::clone(&listed);
    let registry = Registry::with(move |request| {
        let is_list = request.path.contains("/referrers/sha256:");
        is_list.then(|| answer.lock().unwrap().take()).flatten()
    });
    let (signed, mut bench) = (Signed::within(registry), Bench::new());
    bench.secret(
        "root",
        &[("trusted_root.json", &signed.fixtures["trustedRoot"].to_string())],
    );
    let mut pass = async |verify: OCIRepositoryVerification, bundle: &str| {
        let index = index(&[signed.put_bundle(&signed.bundle(bundle))]);
        let response = Response::new(200, index).header("content-type", media_type::OCI_INDEX);
        *listed.lock().unwrap() = Some(response);
        let mut object = signed.object(verify);
        let outcome = bench.pass(&mut object).await;
        assert!(listed.lock().unwrap().is_none(), "the list was asked for");
        outcome
    };
    let anyone = keyless(&[]);
    let right = keyless(&[("^nobody$", "."), ("^https://token", "^https://github.com/org/")]);
    let wrong = keyless(&[("^https://token", "^https://github.com/other/")]);
    for bundle in ["good", "stamped"] {
        assert_eq!(pass(anyone.clone(), bundle).await, Outcome::Done);
        assert_eq!(pass(right.clone(), bundle).await, Outcome::Done);
        let refused = "no matching signatures: none of the expected identities matched what was in the certificate, got subjects \
                       [\"https://github.com/org/app/.github/workflows/release.yml@refs/heads/main\"] with issuer \
                       https://token.actions.githubusercontent.com";
        assert_eq!(
            pass(wrong.clone(), bundle).await,
            failed("cosign keyless", refused)
        );
    }
    let refused = "no matching signatures: the certificate was not issued by a trusted authority at the time of signing, or is not logged";
    for bundle in [
        "late",
        "not-logged",
        "logged-elsewhere",
        "other-authority",
        "stamped-late",
    ] {
        assert_eq!(
            pass(anyone.clone(), bundle).await,
            failed("cosign keyless", refused),
            "{bundle}"
        );
    }
    let refused = format!(
        "no matching signatures: the signature is not about the artifact with digest {}",
        signed.digest()
    );
    assert_eq!(
        pass(anyone.clone(), "other-digest").await,
        failed("cosign keyless", &refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_vouch_by_signatures_of_the_older_form() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    bench.secret(
        "root",
        &[("trusted_root.json", &signed.fixtures["trustedRoot"].to_string())],
    );
    let mut object = signed.object(keyless(&[]));
    assert_eq!(
        bench.pass(&mut object).await,
        failed("cosign keyless", "no signatures found")
    );
    signed.put_simple(&[&signed.fixtures["keyless"]]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), VERIFIED);
    signed.put_simple(&[&signed.fixtures["keys"]["p256"]["simple"]]);
    let mut object = signed.object(keyless(&[]));
    assert_eq!(
        bench.pass(&mut object).await,
        failed(
            "cosign keyless",
            "no matching signatures: no certificate found on signature"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_settings_are_named() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    signed.put_simple(&[&signed.fixtures["keys"]["p256"]["simple"]]);
    bench.secret("empty", &[]);
    bench.secret(
        "broken",
        &[("a.pub", "hunter2"), ("trusted_root.json", "{\"tlogs\":[{}]}")],
    );
    bench.secret("mixed", &[("a.pub", "x"), ("b.pub", signed.public("p256"))]);
    bench.secret("root", &[("trusted_root.json", "{}")]);
    let keys = |name: &str| OCIRepositoryVerification {
        secret_ref: reference(name),
        ..OCIRepositoryVerification::default()
    };
    let root = |name: &str| OCIRepositoryVerification {
        trusted_root_secret_ref: reference(name),
        ..OCIRepositoryVerification::default()
    };
    let none = format!("no matching signatures were found for '{}'", signed.reference());
    let unread = "failed to read trusted root from secret 'default/";
    for (verify, provider, cause) in [
        (keys("gone"), "cosign", "secrets \"gone\" not found".to_owned()),
        (keys("empty"), "cosign", none),
        (keys("broken"), "cosign", "PEM decoding failed".to_owned()),
        (
            root("gone"),
            "cosign keyless",
            format!("{unread}gone': secrets \"gone\" not found"),
        ),
        (
            root("empty"),
            "cosign keyless",
            format!("{unread}empty': 'trusted_root.json' not found in secret 'default/empty'"),
        ),
        (
            root("broken"),
            "cosign keyless",
            "unable to parse trusted root: missing field `publicKey` at line 1 column 12".to_owned(),
        ),
        (
            keyless(&[("(", "")]),
            "cosign keyless",
            "invalid identity pattern '(': error parsing regexp: missing closing ): `(`".to_owned(),
        ),
    ] {
        let mut object = signed.object(verify);
        assert_eq!(bench.pass(&mut object).await, failed(provider, &cause));
        assert!(!message_of(&object, "SourceVerified").contains("hunter2"));
    }
    let mut object = signed.object(keys("mixed"));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done, "one key is enough");

    let lax = r#"{"version":"1.0","trustPolicies":[{"name":"p","registryScopes":["*"],"signatureVerification":{"level":"skip"}}]}"#;
    bench.secret("policy", &[("trustpolicy.json", lax)]);
    bench.secret("certificate", &[("trustpolicy.json", lax), ("a.crt", "x")]);
    bench.secret("malformed", &[("trustpolicy.json", "{}")]);
    let notation = |name: Option<&str>| OCIRepositoryVerification {
        provider: OciVerificationProvider::Notation,
        secret_ref: name.and_then(reference),
        ..OCIRepositoryVerification::default()
    };
    for (secret, cause) in [
        (
            None,
            format!("verification secret cannot be empty: '{}'", signed.reference()),
        ),
        (Some("gone"), "secrets \"gone\" not found".to_owned()),
        (
            Some("empty"),
            "'trustpolicy.json' not found in secret 'default/empty'".to_owned(),
        ),
        (
            Some("policy"),
            "no certificates found in secret 'default/policy'".to_owned(),
        ),
        (
            Some("certificate"),
            "failed to parse certificate 'a.crt' of secret 'default/certificate'".to_owned(),
        ),
        (
            Some("malformed"),
            "trust policy document has unsupported version \"\"".to_owned(),
        ),
    ] {
        let mut object = signed.object(notation(secret));
        assert_eq!(bench.pass(&mut object).await, failed("notation", &cause));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notation_vouches_by_certificates() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    let notation = &signed.fixtures["notation"];
    let trusted = notation["trusted"].as_array().unwrap();
    let trusted: String = trusted.iter().map(|it| it.as_str().unwrap()).collect();
    let put = |names: &[&str]| {
        let referrers: Vec<Value> = names
            .iter()
            .map(|name| {
                let envelope = notation["cases"][name]["envelope"].as_str().unwrap();
                signed.put_referrer(
                    "application/vnd.cncf.notary.signature",
                    "application/jose+json",
                    envelope.as_bytes(),
                )
            })
            .collect();
        signed.put_referrers(&referrers);
    };
    let object = || {
        signed.object(OCIRepositoryVerification {
            provider: OciVerificationProvider::Notation,
            secret_ref: reference("notation"),
            ..OCIRepositoryVerification::default()
        })
    };
    let policy = |level: &str| notation["policies"][level].as_str().unwrap();
    bench.secret(
        "notation",
        &[("trustpolicy.json", policy("strict")), ("a.crt", &trusted)],
    );
    let mut first = object();
    let reference = signed.reference();
    let none = format!(
        "no signature is associated with \"{reference}\", make sure the artifact was signed successfully"
    );
    assert_eq!(bench.pass(&mut first).await, failed("notation", &none));
    put(&["somebody-else"]);
    let Outcome::Backoff { error } = bench.pass(&mut first).await else {
        panic!("signed by somebody else")
    };
    let refused = "failed to verify the signature using provider 'notation': signature verification failed\nfailed to verify signature with digest sha256:";
    assert!(error.starts_with(refused), "{error}");
    assert!(first.artifact().is_none());
    put(&["somebody-else", "expired", "good"]);
    assert_eq!(bench.pass(&mut first).await, Outcome::Done);
    assert_eq!(conditions_of(&first), VERIFIED);
    put(&["somebody-else", "expired", "other-digest", "good"]);
    let limit =
        "signature evaluation stopped. The configured limit of 3 signatures to verify per artifact exceeded";
    assert_eq!(bench.pass(&mut object()).await, failed("notation", limit));

    // What the policy does not insist on is used, and not called verified.
    bench.secret(
        "notation",
        &[("trustpolicy.json", policy("audit")), ("a.crt", &trusted)],
    );
    put(&["p384"]);
    let mut audited = object();
    assert_eq!(bench.pass(&mut audited).await, Outcome::Done);
    assert_eq!(conditions_of(&audited), READY);
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_that_refuse_signatures_are_no_proof_of_absence() {
    let registry = Registry::with(|request| {
        let is_of_signature = request.path.ends_with(".sig") || request.path.contains("/referrers/");
        is_of_signature.then(|| refusal(403, "DENIED", "not for you"))
    });
    let (signed, mut bench) = (Signed::within(registry), Bench::new());
    bench.secret("keys", &[("a.pub", signed.public("p256"))]);
    let mut object = signed.object(by_key());
    let tag = signed.digest().replace(':', "-");
    let host = signed.registry.host();
    let denied = format!("GET http://{host}/v2/{APP}/manifests/{tag}.sig: DENIED: not for you");
    assert_eq!(bench.pass(&mut object).await, failed("cosign", &denied));
}
