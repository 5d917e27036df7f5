//! Signatures by certificates, as notation's libraries make them and judge them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ferro_verify::notation::{COSE, JWS, Outcome, Refusal, TrustPolicy, TrustStore, verify};
use ferro_verify::revocation::{List, RevocationError, Status};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::signed::{RECORDED, each};

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn store(fixtures: &Value) -> TrustStore {
    let mut store = TrustStore::default();
    for certificate in fixtures["notation"]["trusted"].as_array().unwrap() {
        store.add(certificate.as_str().unwrap().as_bytes()).unwrap();
    }
    store
}

fn policy(fixtures: &Value, name: &str) -> TrustPolicy {
    let text = fixtures["notation"]["policies"][name].as_str().unwrap();
    TrustPolicy::from_json(text.as_bytes()).unwrap()
}

fn envelope<'a>(fixtures: &'a Value, name: &str) -> &'a str {
    fixtures["notation"]["cases"][name]["envelope"].as_str().unwrap()
}

fn judge(fixtures: &Value, policy: &TrustPolicy, envelope: &str) -> Result<Outcome, Refusal> {
    judge_as(fixtures, policy, (JWS, envelope.as_bytes()))
}

fn judge_as(fixtures: &Value, policy: &TrustPolicy, envelope: (&str, &[u8])) -> Result<Outcome, Refusal> {
    let repository = fixtures["notation"]["repository"].as_str().unwrap();
    let digest = fixtures["digest"].as_str().unwrap();
    verify_alone(policy, &store(fixtures), repository, digest, envelope)
}

/// Where nobody can be asked whether certificates are revoked.
fn verify_alone(
    policy: &TrustPolicy,
    store: &TrustStore,
    repository: &str,
    digest: &str,
    envelope: (&str, &[u8]),
) -> Result<Outcome, Refusal> {
    let verdict = verify(policy, store, repository, digest, envelope, now())?;
    for inquiry in verdict.inquiries.iter().filter(|it| it.is_enforced()) {
        inquiry.conclude(&[])?;
    }
    Ok(verdict.outcome)
}

/// An envelope of COSE.
fn cose(fixtures: &Value, name: &str) -> Vec<u8> {
    let text = fixtures["notation"]["coseCases"][name]["envelope"].as_str();
    STANDARD.decode(text.unwrap()).unwrap()
}

#[test]
fn envelopes_are_judged_as_by_notation() {
    each(|fixtures| {
        envelopes_of_a_format_are_judged(fixtures, "cases", JWS, 17);
        envelopes_of_a_format_are_judged(fixtures, "coseCases", COSE, 33);
    });
}

fn envelopes_of_a_format_are_judged(fixtures: &Value, key: &str, format: &str, least: usize) {
    let cases = fixtures["notation"][key].as_object().unwrap();
    assert!(cases.len() > least);
    for (name, case) in cases {
        // There only plugins look at what is critical and unknown; the specification has everybody refuse it.
        if name == "critical" {
            let anybody = policy(fixtures, "anybody");
            let refused = judge_as(fixtures, &anybody, (format, &bytes(format, case)));
            assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
            continue;
        }
        for (level, verdict) in case["verdicts"].as_object().unwrap() {
            let policy = policy(fixtures, level);
            let found = judge_as(fixtures, &policy, (format, &bytes(format, case)));
            let found_text = match &found {
                Ok(Outcome::Verified) => "verified",
                Ok(Outcome::Ignored) => "ignored",
                Err(_) => "refused",
            };
            assert_eq!(found_text, verdict, "{name} by {level}: {found:?}");
        }
    }
}

/// The envelope of a case.
fn bytes(format: &str, case: &Value) -> Vec<u8> {
    let text = case["envelope"].as_str().unwrap();
    if format == JWS {
        return text.as_bytes().to_vec();
    }
    STANDARD.decode(text).unwrap()
}

#[test]
fn timestamps_are_judged_as_by_notation() {
    each(|fixtures| {
        let stamps = &fixtures["notation"]["stamps"];
        let mut store = TrustStore::default();
        for certificate in stamps["trusted"].as_array().unwrap() {
            store.add(certificate.as_str().unwrap().as_bytes()).unwrap();
        }
        let cases = stamps["cases"].as_object().unwrap();
        assert!(cases.len() >= 28);
        for (name, case) in cases {
            let envelope = STANDARD.decode(case["envelope"].as_str().unwrap()).unwrap();
            let format = case["format"].as_str().unwrap();
            for (asked, verdict) in case["verdicts"].as_object().unwrap() {
                let policy = stamps["policies"][asked].as_str().unwrap();
                let policy = TrustPolicy::from_json(policy.as_bytes()).unwrap();
                let repository = fixtures["notation"]["repository"].as_str().unwrap();
                let digest = fixtures["digest"].as_str().unwrap();
                let envelope = (format, envelope.as_slice());
                let found = verify_alone(&policy, &store, repository, digest, envelope);
                let is_good = verdict == "verified";
                assert_eq!(found.is_ok(), is_good, "{name}, asked {asked}: {found:?}");
            }
        }
    });
}

#[test]
fn what_responders_and_lists_say_cannot_be_changed() {
    let fixtures: Value = serde_json::from_str(RECORDED).unwrap();
    let recorded = &fixtures["notation"]["revocations"];
    let repository = fixtures["notation"]["repository"].as_str().unwrap();
    let digest = fixtures["digest"].as_str().unwrap();
    for name in [
        "online good",
        "online delegate good",
        "list empty",
        "list of others",
    ] {
        let case = &recorded["cases"][name];
        let policy =
            TrustPolicy::from_json(recorded["policies"]["strict"].as_str().unwrap().as_bytes()).unwrap();
        let mut store = TrustStore::default();
        store
            .add(case["trusted"][0].as_str().unwrap().as_bytes())
            .unwrap();
        let envelope = (JWS, case["envelope"].as_str().unwrap().as_bytes());
        let verdict = verify(&policy, &store, repository, digest, envelope, now()).unwrap();
        let [inquiry] = verdict.inquiries.as_slice() else {
            panic!("{verdict:?}");
        };
        let link = &inquiry.links()[0];
        let is_online = !link.responders().is_empty();
        let address = link.responders().iter().chain(link.lists()).next().unwrap();
        let host = address
            .strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        let body = STANDARD
            .decode(recorded["servers"][host]["body"].as_str().unwrap())
            .unwrap();
        let judge = |body: &[u8]| {
            if is_online {
                return link.judge_response(body, None, now());
            }
            List::parse(body).and_then(|list| link.judge_list(&list, None, None, now()))
        };
        assert_eq!(judge(&body), Ok(Status::Good), "{name}");
        assert_eq!(inquiry.conclude(&[Status::Good]), Ok(()));
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(judge(&changed).is_err(), "{name}: byte {at}");
            assert!(judge(&body[..at]).is_err(), "{name}: cut at {at}");
        }
        // Neither before nor after its time.
        for late in ["2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"] {
            let late = late.parse().unwrap();
            let found = if is_online {
                link.judge_response(&body, None, late)
            } else {
                List::parse(&body).and_then(|list| link.judge_list(&list, None, None, late))
            };
            // Who answers for the issuer is not valid then, either.
            assert!(
                matches!(found, Err(RevocationError::Time | RevocationError::Signature)),
                "{name}: {found:?}"
            );
        }
        let revoked = inquiry.conclude(&[Status::Revoked]).unwrap_err().to_string();
        let subject = "CN=signer,O=Example,ST=WA,C=US";
        assert_eq!(
            revoked,
            format!("signing certificate with subject \"{subject}\" is revoked")
        );
        let unknown = inquiry.conclude(&[]).unwrap_err().to_string();
        assert_eq!(
            unknown,
            format!("signing certificate with subject \"{subject}\" revocation status is unknown")
        );
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    each(|fixtures| {
        let strict = policy(fixtures, "strict");
        let refused = |name: &str| judge(fixtures, &strict, envelope(fixtures, name)).unwrap_err();
        assert_eq!(refused("p384"), Refusal::Untrusted);
        assert_eq!(refused("somebody-else"), Refusal::Identity("p".to_owned()));
        assert!(matches!(refused("expired"), Refusal::Expired(_)));
        assert_eq!(refused("old-certificate"), Refusal::Time);
        let digest = fixtures["digest"].as_str().unwrap();
        assert_eq!(refused("other-digest"), Refusal::Digest(digest.to_owned()));
    });
}

/// With one bit of the bytes changed that a Base64 text stands for.
fn flip(text: &str, at: usize, is_url: bool) -> String {
    let engine = if is_url { &URL_SAFE_NO_PAD } else { &STANDARD };
    let mut bytes = engine.decode(text).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    engine.encode(bytes)
}

#[test]
fn envelopes_cannot_be_changed() {
    let fixtures: Value = serde_json::from_str(RECORDED).unwrap();
    // Of these levels the second believes everybody.
    let (strict, audit) = (policy(&fixtures, "strict"), policy(&fixtures, "audit"));
    for name in ["good", "rsa2048", "p521"] {
        let good: Value = serde_json::from_str(envelope(&fixtures, name)).unwrap();
        let check = |path: &str, changed: Value| {
            let mut envelope = good.clone();
            *envelope.pointer_mut(path).unwrap() = changed;
            let envelope = envelope.to_string();
            assert!(judge(&fixtures, &strict, &envelope).is_err(), "{name}: {path}");
            assert!(judge(&fixtures, &audit, &envelope).is_err(), "{name}: {path}");
        };
        for path in ["/payload", "/protected", "/signature"] {
            let text = good.pointer(path).unwrap().as_str().unwrap();
            for at in (0..text.len()).step_by(37) {
                check(path, json!(flip(text, at, true)));
            }
        }
        for path in ["/header/x5c/0", "/header/x5c/1"] {
            let text = good.pointer(path).unwrap().as_str().unwrap();
            for at in (0..text.len()).step_by(37) {
                check(path, json!(flip(text, at, false)));
            }
        }
        let chain = good["header"]["x5c"].as_array().unwrap();
        check("/header/x5c", json!([]));
        check("/header/x5c", json!([chain[0]]));
        check("/header/x5c", json!([chain[1], chain[0]]));
        check("/header/x5c", json!([chain[0], chain[1], chain[1]]));
        check("/header/x5c", json!(vec![&chain[1]; 100]));
    }
    for garbage in [
        "",
        "{",
        "[]",
        r#"{"payload":"","protected":"","header":{},"signature":""}"#,
    ] {
        assert!(judge(&fixtures, &strict, garbage).is_err(), "{garbage}");
    }
}

#[test]
fn envelopes_of_cose_cannot_be_changed() {
    let fixtures: Value = serde_json::from_str(RECORDED).unwrap();
    let (strict, audit) = (policy(&fixtures, "strict"), policy(&fixtures, "audit"));
    for (name, step) in [("good", 3), ("rsa2048", 7), ("p521", 29)] {
        let good = cose(&fixtures, name);
        assert_eq!(judge_as(&fixtures, &strict, (COSE, &good)), Ok(Outcome::Verified));
        for length in 0..good.len() {
            assert!(
                judge_as(&fixtures, &audit, (COSE, &good[..length])).is_err(),
                "{name}: {length}"
            );
        }
        // Beside the signature there is the name of the program that signed, which nobody vouches for.
        let agent = good.windows(12).position(|it| it == b"signingAgent").unwrap();
        let unsigned = agent - 16..agent + 17;
        for at in (0..good.len()).step_by(step).filter(|at| !unsigned.contains(at)) {
            let mut changed = good.clone();
            changed[at] ^= 1 << (at % 8);
            let found = judge_as(&fixtures, &strict, (COSE, &changed));
            assert!(found.is_err(), "{name}: byte {at}: {found:?}");
        }
    }
}

#[test]
fn envelopes_are_read_as_what_they_are_said_to_be() {
    let fixtures: Value = serde_json::from_str(RECORDED).unwrap();
    let strict = policy(&fixtures, "strict");
    let (jws, cose) = (envelope(&fixtures, "good").as_bytes(), cose(&fixtures, "good"));
    for (format, bytes) in [(COSE, jws), (JWS, &cose)] {
        let found = judge_as(&fixtures, &strict, (format, bytes));
        assert!(matches!(found, Err(Refusal::Malformed(_))), "{found:?}");
    }
    let other = "application/xml".to_owned();
    assert_eq!(
        judge_as(&fixtures, &strict, (&other, jws)),
        Err(Refusal::MediaType(other.clone()))
    );
}

#[test]
fn statements_are_chosen_by_repository() {
    let fixtures: Value = serde_json::from_str(RECORDED).unwrap();
    let of = |scopes: [&str; 2]| {
        let statement = |name: &str, scope: &str, level: &str| {
            json!({
                "name": name, "registryScopes": [scope], "signatureVerification": { "level": level },
                "trustStores": ["ca:x"], "trustedIdentities": ["*"],
            })
        };
        let statements = [
            statement("a", scopes[0], "strict"),
            statement("b", scopes[1], "skip"),
        ];
        let text = json!({ "version": "1.0", "trustPolicies": statements }).to_string();
        TrustPolicy::from_json(text.as_bytes()).unwrap()
    };
    let own = fixtures["notation"]["repository"].as_str().unwrap();
    let good = envelope(&fixtures, "good");
    for (scopes, skips) in [
        ([own, "*"], false),
        (["*", own], true),
        (["other.example.com/x", "*"], true),
    ] {
        let policy = of(scopes);
        assert_eq!(policy.skips(own), Ok(skips), "{scopes:?}");
        let expected = if skips {
            Outcome::Ignored
        } else {
            Outcome::Verified
        };
        assert_eq!(judge(&fixtures, &policy, good), Ok(expected));
    }
    let elsewhere = of(["a.example.com/x", "b.example.com/x"]);
    let expected = Refusal::NoStatement(own.to_owned());
    assert_eq!(judge(&fixtures, &elsewhere, good), Err(expected.clone()));
    assert_eq!(elsewhere.skips(own), Err(expected));
}

#[test]
fn what_a_signature_lacks_and_what_is_no_certificate_is_refused() {
    let fixtures: Value = serde_json::from_str(RECORDED).unwrap();
    let stamped = |timestamp: &str| {
        let statement = json!({
            "name": "a", "registryScopes": ["*"],
            "signatureVerification": { "level": "strict", "verifyTimestamp": timestamp },
            "trustStores": ["ca:x", "tsa:y"], "trustedIdentities": ["*"],
        });
        let text = json!({ "version": "1.0", "trustPolicies": [statement] }).to_string();
        TrustPolicy::from_json(text.as_bytes()).unwrap()
    };
    let good = envelope(&fixtures, "good");
    assert_eq!(
        judge(&fixtures, &stamped("always"), good),
        Err(Refusal::NoTimestamp)
    );
    assert_eq!(
        judge(&fixtures, &stamped("afterCertExpiry"), good),
        Ok(Outcome::Verified)
    );
    let mut store = TrustStore::default();
    assert_eq!(store.add(b"no certificate"), Err(Refusal::Store));
    assert_eq!(
        store.add(b"-----BEGIN X-----\nAAAA\n-----END X-----\n"),
        Err(Refusal::Store)
    );
    assert!(store.is_empty());
}
