//! Signatures of images and charts, as sigstore's libraries make them and judge them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferro_verify::PublicKey;
use ferro_verify::cosign::{
    Error, Identity, Policy, Refusal, Signature, SimpleSignature, TrustedRoot, verify,
};
use serde_json::{Value, json};

use crate::signed::{RECORDED, each};

const KINDS: [&str; 5] = ["p256", "p384", "p521", "rsa", "ed25519"];

fn text<'a>(fixtures: &'a Value, path: &str) -> &'a str {
    fixtures.pointer(path).and_then(Value::as_str).unwrap()
}

fn key(fixtures: &Value, kind: &str) -> PublicKey {
    PublicKey::from_pem(text(fixtures, &format!("/keys/{kind}/public"))).unwrap()
}

fn simple(json: &Value) -> SimpleSignature {
    let annotation = |name: &str| json.get(name).map(|text| text.as_str().unwrap().to_owned());
    SimpleSignature {
        payload: STANDARD.decode(text(json, "/payload")).unwrap(),
        signature: text(json, "/signature").to_owned(),
        certificate: annotation("certificate"),
        chain: None,
        bundle: annotation("bundle"),
    }
}

fn bundle(json: &Value) -> Signature {
    Signature::Bundle(serde_json::to_vec(json).unwrap())
}

fn root(fixtures: &Value) -> TrustedRoot {
    TrustedRoot::from_json(&serde_json::to_vec(&fixtures["trustedRoot"]).unwrap()).unwrap()
}

fn keyless(fixtures: &Value, identities: &[(&str, &str)]) -> Policy {
    keyless_by(root(fixtures), identities)
}

fn keyless_by(root: TrustedRoot, identities: &[(&str, &str)]) -> Policy {
    let identity = |(issuer, subject): &(&str, &str)| Identity::new(issuer, subject).unwrap();
    Policy::Keyless {
        root: Box::new(root),
        identities: identities.iter().map(identity).collect(),
    }
}

/// Why the one signature is refused; nothing if it is not.
fn verdict(policy: &Policy, digest: &str, signature: Signature) -> Option<Refusal> {
    match verify(policy, digest, &[signature]) {
        Ok(()) => None,
        Err(Error::NoMatch(refusals)) => {
            assert_eq!(refusals.len(), 1);
            refusals.into_iter().next()
        }
        Err(Error::None) => panic!("a signature was there"),
    }
}

fn set(json: &Value, path: &str, value: Value) -> Value {
    let mut changed = json.clone();
    *changed.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
    changed
}

/// With one bit of the bytes changed which this Base64 text stands for.
fn flip(json: &Value, path: &str) -> Value {
    let mut bytes = STANDARD.decode(text(json, path)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    set(json, path, json!(STANDARD.encode(bytes)))
}

fn other_digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

#[test]
fn signatures_by_keys_count_for_their_key_and_artifact() {
    each(|fixtures| {
        let digest = text(fixtures, "/digest");
        for kind in KINDS {
            let made = &fixtures["keys"][kind];
            let own = Policy::Keys(vec![key(fixtures, kind)]);
            let layer = simple(&made["simple"]);
            for signature in [Signature::Simple(layer.clone()), bundle(&made["bundle"])] {
                assert_eq!(verdict(&own, digest, signature.clone()), None, "{kind}");
                let refused = verdict(&own, &other_digest(), signature.clone());
                assert_eq!(refused, Some(Refusal::Digest(other_digest())), "{kind}");
                for other in KINDS.iter().filter(|it| **it != kind) {
                    let stranger = Policy::Keys(vec![key(fixtures, other)]);
                    let refused = verdict(&stranger, digest, signature.clone());
                    assert_eq!(refused, Some(Refusal::Invalid), "{kind} by {other}");
                }
                let all = Policy::Keys(KINDS.iter().map(|kind| key(fixtures, kind)).collect());
                assert_eq!(verdict(&all, digest, signature), None, "any key may match");
            }
        }
    });
}

#[test]
fn what_a_key_signed_cannot_be_changed() {
    each(|fixtures| {
        let digest = text(fixtures, "/digest");
        for kind in KINDS {
            let made = &fixtures["keys"][kind];
            let own = Policy::Keys(vec![key(fixtures, kind)]);
            let simple = |json: &Value| Signature::Simple(simple(json));
            for changed in [
                simple(&flip(&made["simple"], "/payload")),
                simple(&flip(&made["simple"], "/signature")),
                simple(&set(&made["simple"], "/signature", json!(""))),
                bundle(&flip(&made["bundle"], "/dsseEnvelope/payload")),
                bundle(&flip(&made["bundle"], "/dsseEnvelope/signatures/0/sig")),
            ] {
                assert_eq!(verdict(&own, digest, changed), Some(Refusal::Invalid), "{kind}");
            }
            let damaged = simple(&set(&made["simple"], "/signature", json!("%")));
            let refused = verdict(&own, digest, damaged).unwrap();
            assert_eq!(refused.to_string(), "malformed signature annotation");
        }
    });
}

#[test]
fn no_signatures_is_an_error_of_its_own() {
    each(|fixtures| {
        let policy = Policy::Keys(vec![key(fixtures, "p256")]);
        let error = verify(&policy, text(fixtures, "/digest"), &[]).unwrap_err();
        assert_eq!(error, Error::None);
        assert_eq!(error.to_string(), "no signatures found");
    });
}

#[test]
fn one_good_signature_among_others_suffices() {
    each(|fixtures| {
        let made = |kind: &str| Signature::Simple(simple(&fixtures["keys"][kind]["simple"]));
        let policy = Policy::Keys(vec![key(fixtures, "rsa")]);
        let digest = text(fixtures, "/digest");
        let garbage = Signature::Bundle(b"{".to_vec());
        let signatures = [garbage.clone(), made("p256"), made("rsa"), made("ed25519")];
        assert_eq!(verify(&policy, digest, &signatures), Ok(()));
        let error = verify(&policy, digest, &[garbage, made("p256")]).unwrap_err();
        assert!(
            matches!(&error, Error::NoMatch(refusals) if refusals.len() == 2),
            "{error}"
        );
    });
}

#[test]
fn keyless_bundles_are_judged_as_by_sigstore() {
    const LOG: Refusal = Refusal::Log("no time is vouched for");
    let verdicts = [
        ("good", None),
        ("late", Some(Refusal::Certificate)),
        ("not-logged", Some(Refusal::Certificate)),
        ("logged-elsewhere", Some(Refusal::Certificate)),
        ("other-authority", Some(Refusal::Certificate)),
        ("stamped", None),
        ("stamped-late", Some(Refusal::Certificate)),
        ("stamped-elsewhere", Some(LOG)),
        ("stamped-for-another", Some(LOG)),
        ("not-stamped", Some(LOG)),
        ("in-toto", None),
        (
            "in-toto-other",
            Some(Refusal::Log("the entry is about another signature")),
        ),
    ];
    each(|fixtures| {
        let digest = text(fixtures, "/digest");
        let policy = keyless(fixtures, &[("^https://token", "^https://github.com/org/")]);
        for (name, expected) in &verdicts {
            let found = verdict(&policy, digest, bundle(&fixtures["bundles"][name]));
            assert_eq!(&found, expected, "{name}");
        }
        let other = verdict(&policy, digest, bundle(&fixtures["bundles"]["other-digest"]));
        assert_eq!(other, Some(Refusal::Digest(digest.to_owned())));
        let all = fixtures["bundles"].as_object().unwrap();
        assert_eq!(all.len(), verdicts.len() + 1, "a bundle that is not tested");
    });
}

#[test]
fn keyless_simple_signatures_need_certificate_and_log_entry() {
    each(|fixtures| {
        let digest = text(fixtures, "/digest");
        let policy = keyless(fixtures, &[]);
        let good = simple(&fixtures["keyless"]);
        let judge = |signature: SimpleSignature| verdict(&policy, digest, Signature::Simple(signature));
        assert_eq!(judge(good.clone()), None);
        let mut changed = good.clone();
        changed.certificate = None;
        assert_eq!(judge(changed), Some(Refusal::NoCertificate));
        let mut changed = good.clone();
        changed.bundle = None;
        assert_eq!(judge(changed), Some(Refusal::Log("no log entry is enclosed")));
        let mut changed = good.clone();
        changed.payload.push(b' ');
        assert_eq!(judge(changed), Some(Refusal::Invalid));
        let by_key = simple(&fixtures["keys"]["p256"]["simple"]);
        assert_eq!(judge(by_key.clone()), Some(Refusal::NoCertificate));
        // Somebody else's signature does not become good by this certificate and entry.
        let mut changed = good.clone();
        changed.signature = by_key.signature;
        assert_eq!(judge(changed), Some(Refusal::Invalid));
        let entry: Value = serde_json::from_str(good.bundle.as_deref().unwrap()).unwrap();
        let promise = Some(Refusal::Log("the signed entry timestamp is invalid"));
        for (changed, expected) in [
            (flip(&entry, "/SignedEntryTimestamp"), promise.clone()),
            (set(&entry, "/Payload/logIndex", json!(2)), promise.clone()),
            (
                set(&entry, "/Payload/integratedTime", json!(1_767_323_046)),
                promise.clone(),
            ),
            (flip(&entry, "/Payload/body"), promise),
            (
                set(&entry, "/Payload/logID", json!("00")),
                Some(Refusal::Log("the log is not trusted")),
            ),
            (
                set(&entry, "/Payload", json!({})),
                Some(Refusal::Malformed("bundle annotation".to_owned())),
            ),
        ] {
            let mut signature = good.clone();
            signature.bundle = Some(changed.to_string());
            assert_eq!(judge(signature), expected, "{changed}");
        }
    });
}

#[test]
fn log_entries_cannot_be_changed() {
    const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
    let at = |path: &str| format!("{ENTRY}{path}");
    each(|fixtures| {
        let digest = text(fixtures, "/digest");
        let policy = keyless(fixtures, &[]);
        for name in ["good", "stamped"] {
            let good = &fixtures["bundles"][name];
            let judge = |changed: Value| verdict(&policy, digest, bundle(&changed));
            let proof = Some(Refusal::Log("the inclusion proof is invalid"));
            let checkpoint = Some(Refusal::Log("the checkpoint is invalid"));
            assert_eq!(judge(flip(good, &at("/inclusionProof/hashes/0"))), proof);
            assert_eq!(judge(flip(good, &at("/inclusionProof/hashes/1"))), proof);
            assert_eq!(judge(set(good, &at("/inclusionProof/hashes"), json!([]))), proof);
            for number in ["0", "2", "3"] {
                let changed = set(good, &at("/inclusionProof/logIndex"), json!(number));
                assert_eq!(judge(changed), proof);
            }
            let changed = set(good, &at("/inclusionProof/treeSize"), json!("4"));
            assert_eq!(judge(changed), proof);
            let path = at("/inclusionProof/checkpoint/envelope");
            let note = text(good, &path);
            for changed in [
                note.replacen("example", "exemple", 1),
                note.replacen("\n3\n", "\n4\n", 1),
                note.split_once("\n\n").unwrap().0.to_owned() + "\n\n",
                String::new(),
            ] {
                assert_eq!(judge(set(good, &path, json!(changed))), checkpoint);
            }
            let unknown = flip(good, &at("/logId/keyId"));
            assert_eq!(judge(unknown), Some(Refusal::Log("the log is not trusted")));
            let none = set(good, "/verificationMaterial/tlogEntries", json!([]));
            assert_eq!(judge(none), Some(Refusal::Log("no log entry is enclosed")));
            // The entry of another signature holds by itself, and is about something else.
            let other = fixtures["bundles"]["not-logged"].pointer(ENTRY).unwrap();
            let expected = Refusal::Log("the entry is about another signature");
            assert_eq!(judge(set(good, ENTRY, other.clone())), Some(expected));
        }
        let good = &fixtures["bundles"]["good"];
        let promise = Some(Refusal::Log("the signed entry timestamp is invalid"));
        for changed in [
            flip(good, &at("/inclusionPromise/signedEntryTimestamp")),
            set(good, &at("/logIndex"), json!("2")),
            set(good, &at("/integratedTime"), json!("1767323046")),
            flip(good, &at("/canonicalizedBody")),
        ] {
            assert_eq!(verdict(&policy, digest, bundle(&changed)), promise);
        }
    });
}

#[test]
fn identities_match_issuer_and_subject_as_patterns() {
    each(|fixtures| {
        let digest = text(fixtures, "/digest");
        let (issuer, subject) = (text(fixtures, "/issuer"), text(fixtures, "/subject"));
        for (identities, is_accepted) in [
            (&[][..], true),
            (&[("", "")], true),
            (&[(issuer, subject)], true),
            (
                &[(
                    r"^https://token\.actions\.githubusercontent\.com$",
                    r"release\.yml@refs/heads/.+$",
                )],
                true,
            ),
            (&[("^token", "")], false),
            (&[("", "refs/tags")], false),
            // Both must be of one entry.
            (&[(issuer, "^nobody$"), ("^nowhere$", subject)], false),
            (&[("^nowhere$", "^nobody$"), (issuer, subject)], true),
            (&[("(?i)^HTTPS://TOKEN", "ORG")], false),
            (&[("(?i)^HTTPS://TOKEN", "(?i)ORG")], true),
        ] {
            let policy = keyless(fixtures, identities);
            for signature in [
                bundle(&fixtures["bundles"]["good"]),
                Signature::Simple(simple(&fixtures["keyless"])),
            ] {
                let refused = verdict(&policy, digest, signature);
                let expected = (!is_accepted).then(|| Refusal::Identity {
                    issuer: issuer.to_owned(),
                    subjects: vec![subject.to_owned()],
                });
                assert_eq!(refused, expected, "{identities:?}");
            }
        }
    });
    let error = Identity::new("(", "").unwrap_err().to_string();
    assert!(error.starts_with("invalid identity pattern '(': "), "{error}");
}

#[test]
fn roots_without_what_is_needed_trust_nothing() {
    const START: &str = "2026-01-02T03:04:06Z";
    each(|fixtures| {
        let digest = text(fixtures, "/digest");
        for (name, path, value, expected) in [
            (
                "good",
                "/tlogs",
                json!([]),
                Refusal::Log("the log is not trusted"),
            ),
            ("good", "/ctlogs", json!([]), Refusal::Certificate),
            ("good", "/certificateAuthorities", json!([]), Refusal::Certificate),
            (
                "good",
                "/tlogs/0/publicKey/validFor/start",
                json!(START),
                Refusal::Log("the log was not trusted at that time"),
            ),
            (
                "stamped",
                "/tlogs/0/publicKey/validFor/start",
                json!(START),
                Refusal::Log("the log was not trusted at that time"),
            ),
            (
                "good",
                "/ctlogs/0/publicKey/validFor/start",
                json!(START),
                Refusal::Certificate,
            ),
            (
                "good",
                "/certificateAuthorities/0/validFor/start",
                json!(START),
                Refusal::Certificate,
            ),
            (
                "stamped",
                "/timestampAuthorities/0/validFor/start",
                json!(START),
                Refusal::Log("no time is vouched for"),
            ),
            (
                "stamped",
                "/timestampAuthorities",
                json!([]),
                Refusal::Log("no time is vouched for"),
            ),
        ] {
            let changed = set(&fixtures["trustedRoot"], path, value);
            let root = TrustedRoot::from_json(changed.to_string().as_bytes()).unwrap();
            let policy = keyless_by(root, &[]);
            let refused = verdict(&policy, digest, bundle(&fixtures["bundles"][name]));
            assert_eq!(refused, Some(expected), "{name}: {path}");
        }
    });
}

#[test]
fn roots_say_where_the_log_is_and_what_is_malformed() {
    each(|fixtures| {
        assert_eq!(root(fixtures).rekor_url(), Some("https://rekor.example.com"));
        let trusted = &fixtures["trustedRoot"];
        for (path, value, expected) in [
            ("/tlogs/0/publicKey/rawBytes", json!("AA=="), "tlogs 0: "),
            ("/ctlogs/0/logId/keyId", json!("%"), "ctlogs 0: "),
            (
                "/certificateAuthorities/0/certChain/certificates",
                json!([]),
                "certificateAuthorities 0: the chain has no certificates",
            ),
        ] {
            let changed = set(trusted, path, value).to_string();
            let error = TrustedRoot::from_json(changed.as_bytes())
                .unwrap_err()
                .to_string();
            let expected = format!("unable to parse trusted root: {expected}");
            assert!(error.starts_with(&expected), "{error}");
        }
    });
    assert_eq!(TrustedRoot::from_json(b"{}").unwrap().rekor_url(), None);
    assert!(TrustedRoot::from_json(b"[").is_err());
}

#[test]
fn damaged_bundles_are_refused_whole() {
    let fixtures: Value = serde_json::from_str(RECORDED).unwrap();
    let digest = text(&fixtures, "/digest");
    let policy = keyless(&fixtures, &[]);
    let stamped = &fixtures["bundles"]["stamped"];
    let certificate = "/verificationMaterial/certificate/rawBytes";
    let bytes = STANDARD.decode(text(stamped, certificate)).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x01;
        let changed = set(stamped, certificate, json!(STANDARD.encode(&bytes)));
        assert!(verdict(&policy, digest, bundle(&changed)).is_some(), "byte {at}");
        let cut = set(stamped, certificate, json!(STANDARD.encode(&bytes[..at])));
        assert!(verdict(&policy, digest, bundle(&cut)).is_some(), "cut at {at}");
    }
    let stamp = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
    let bytes = STANDARD.decode(text(stamped, stamp)).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let cut = set(stamped, stamp, json!(STANDARD.encode(&bytes[..at])));
        assert!(verdict(&policy, digest, bundle(&cut)).is_some(), "cut at {at}");
    }
    let text = stamped.to_string();
    for at in (0..text.len()).step_by(97) {
        let cut = Signature::Bundle(text.as_bytes()[..at].to_vec());
        assert!(matches!(
            verdict(&policy, digest, cut),
            Some(Refusal::Malformed(_))
        ));
    }
}
