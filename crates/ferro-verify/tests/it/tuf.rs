//! Metadata of The Update Framework, signed by keys of the tests' own making; and that of Sigstore.

use std::collections::BTreeMap;

use ferro_verify::cosign::{TrustedRoot, public};
use ferro_verify::tuf::{Error, File, Repository};
use jiff::Timestamp;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const EXPIRES: &str = "2030-01-01T00:00:00Z";

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Key(SigningKey);

impl Key {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32].into()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()
    }

    fn id(&self) -> String {
        hex(&Sha256::digest(self.pem()))
    }
}

/// JSON as it is signed; the names of the tests need no escapes, and their maps are sorted here.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let parts: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("\"{key}\":{}", canonical(value)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(values) => {
            let parts: Vec<String> = values.iter().map(canonical).collect();
            format!("[{}]", parts.join(","))
        }
        // Line breaks stay as they are.
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    }
}

fn sign(signed: &Value, keys: &[&Key]) -> Vec<u8> {
    let signature = |key: &&Key| {
        let signature: DerSignature = key.0.sign(canonical(signed).as_bytes());
        json!({ "keyid": key.id(), "sig": hex(signature.as_bytes()) })
    };
    let signatures: Vec<Value> = keys.iter().map(signature).collect();
    serde_json::to_vec_pretty(&json!({ "signatures": signatures, "signed": signed })).unwrap()
}

fn root(version: u64, owners: &[&Key], threshold: usize, online: &Key) -> Value {
    let all = owners.iter().copied().chain([online]);
    let key = |key: &Key| json!({ "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": { "public": key.pem() } });
    let keys: BTreeMap<String, Value> = all.map(|it| (it.id(), key(it))).collect();
    let ids: Vec<String> = owners.iter().map(|key| key.id()).collect();
    let owned = json!({ "keyids": ids, "threshold": threshold });
    let other = json!({ "keyids": [online.id()], "threshold": 1 });
    json!({
        "_type": "root", "spec_version": "1.0", "version": version, "expires": EXPIRES, "consistent_snapshot": true, "keys": keys,
        "roles": { "root": owned, "targets": owned, "snapshot": other, "timestamp": other },
    })
}

fn listing(kind: &str, version: u64, expires: &str, name: &str, meta: &Value) -> Value {
    json!({ "_type": kind, "spec_version": "1.0", "version": version, "expires": expires, "meta": { name: meta } })
}

fn targets(version: u64, content: &[u8]) -> Value {
    let target = json!({ "length": content.len(), "hashes": { "sha256": hex(&Sha256::digest(content)) } });
    json!({ "_type": "targets", "spec_version": "1.0", "version": version, "expires": EXPIRES, "targets": { "a/trusted_root.json": target } })
}

struct Keys {
    owners: [Key; 3],
    online: Key,
}

impl Keys {
    fn new() -> Self {
        Self {
            owners: [Key::new(1), Key::new(2), Key::new(3)],
            online: Key::new(9),
        }
    }

    fn owners(&self) -> Vec<&Key> {
        self.owners.iter().collect()
    }

    fn repository(&self) -> Repository {
        let root = root(1, &self.owners(), 2, &self.online);
        Repository::new(&sign(&root, &self.owners()[..2])).unwrap()
    }

    fn timestamp(&self, version: u64, snapshot: u64) -> Vec<u8> {
        let meta = json!({ "version": snapshot });
        sign(
            &listing("timestamp", version, EXPIRES, "snapshot.json", &meta),
            &[&self.online],
        )
    }

    fn snapshot(&self, version: u64, targets: &[u8], targets_version: u64) -> Vec<u8> {
        let meta = json!({ "version": targets_version, "length": targets.len(), "hashes": { "sha256": hex(&Sha256::digest(targets)) } });
        sign(
            &listing("snapshot", version, EXPIRES, "targets.json", &meta),
            &[&self.online],
        )
    }
}

#[test]
fn root_of_sigstore_is_signed_as_it_says_and_its_trusted_root_can_be_read() {
    let repository = Repository::new(public::TUF_ROOT).unwrap();
    assert_eq!(repository.next_root().path, "15.root.json");
    let root = TrustedRoot::from_json(public::TRUSTED_ROOT).unwrap();
    assert_eq!(root.rekor_url(), Some("https://rekor.sigstore.dev"));
    let text = String::from_utf8(public::TUF_ROOT.to_vec()).unwrap();
    let forged = text.replacen("\"version\": 14", "\"version\": 15", 1);
    assert!(matches!(
        Repository::new(forged.as_bytes()),
        Err(Error::Unsigned {
            role: "root",
            found: 0,
            wanted: 3
        })
    ));
}

#[test]
fn target_is_found_by_way_of_all_roles() {
    let (keys, content) = (Keys::new(), b"{}".as_slice());
    let mut repository = keys.repository();
    let signed = sign(&targets(5, content), &keys.owners()[1..]);
    repository.take_timestamp(&keys.timestamp(7, 6), now()).unwrap();
    let named = |path: &str, limit: u64| File {
        path: path.to_owned(),
        limit,
    };
    assert_eq!(
        repository.snapshot().unwrap(),
        named("6.snapshot.json", 5_000_000)
    );
    repository
        .take_snapshot(&keys.snapshot(6, &signed, 5), now())
        .unwrap();
    assert_eq!(
        repository.targets().unwrap(),
        named("5.targets.json", signed.len() as u64)
    );
    repository.take_targets(&signed, now()).unwrap();
    let name = "a/trusted_root.json";
    let hash = hex(&Sha256::digest(content));
    let place = format!("targets/a/{hash}.trusted_root.json");
    assert_eq!(repository.target(name).unwrap(), named(&place, 2));
    assert_eq!(repository.check_target(name, content), Ok(()));
    assert!(matches!(
        repository.check_target(name, b"[]"),
        Err(Error::Content { .. })
    ));
    assert!(matches!(repository.target("other"), Err(Error::Missing(_))));
    // Nothing goes back.
    let error = repository
        .take_timestamp(&keys.timestamp(6, 6), now())
        .unwrap_err();
    assert_eq!(error.to_string(), "timestamp metadata has version 6, expected 7");
    let error = repository
        .take_timestamp(&keys.timestamp(8, 5), now())
        .unwrap_err();
    assert_eq!(error.to_string(), "snapshot metadata has version 5, expected 6");
    assert_eq!(repository.check_target(name, content), Ok(()));
}

#[test]
fn next_root_needs_the_signatures_of_both() {
    let keys = Keys::new();
    let (old, new) = (keys.owners(), [&Key::new(4), &Key::new(5)]);
    let next = root(2, &new, 2, &keys.online);
    let cases: [(&[&Key], usize); 4] = [
        (&[old[0], new[0], new[1]], 1),
        (&[old[0], old[1], new[0]], 1),
        (&new, 0),
        (&[], 0),
    ];
    for (signers, found) in cases {
        let mut repository = keys.repository();
        let error = repository.take_root(&sign(&next, signers)).unwrap_err();
        assert_eq!(
            error,
            Error::Unsigned {
                role: "root",
                found,
                wanted: 2
            }
        );
        assert_eq!(repository.next_root().path, "2.root.json");
    }
    let mut repository = keys.repository();
    let skipping = root(3, &new, 2, &keys.online);
    let all = [old[0], old[1], new[0], new[1]];
    assert!(matches!(
        repository.take_root(&sign(&skipping, &all)),
        Err(Error::Version {
            found: 3,
            expected: 2,
            ..
        })
    ));
    repository.take_root(&sign(&next, &all)).unwrap();
    assert_eq!(repository.next_root().path, "3.root.json");
    // Those who have left have no say.
    let error = repository
        .take_root(&sign(&root(3, &new, 2, &keys.online), &old))
        .unwrap_err();
    assert_eq!(
        error,
        Error::Unsigned {
            role: "root",
            found: 0,
            wanted: 2
        }
    );
}

#[test]
fn one_key_under_two_names_counts_once() {
    let (one, online) = (Key::new(1), Key::new(9));
    let mut root = root(1, &[&one], 2, &online);
    let twin = root["keys"][one.id()].clone();
    root["keys"]["twin"] = twin;
    root["roles"]["root"]["keyids"] = json!([one.id(), "twin"]);
    let mut text: Value = serde_json::from_slice(&sign(&root, &[&one])).unwrap();
    let mut copy = text["signatures"][0].clone();
    copy["keyid"] = "twin".into();
    text["signatures"].as_array_mut().unwrap().push(copy);
    let error = Repository::new(text.to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error,
        Error::Unsigned {
            role: "root",
            found: 1,
            wanted: 2
        }
    );
    let copy = text["signatures"][0].clone();
    text["signatures"].as_array_mut().unwrap().push(copy);
    let error = Repository::new(text.to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "malformed root metadata: a key has signed it twice"
    );
}

#[test]
fn forged_expired_and_mixed_up_metadata_is_refused() {
    let keys = Keys::new();
    let mut repository = keys.repository();
    assert!(matches!(repository.snapshot(), Err(Error::Missing(_))));
    let stale = listing(
        "timestamp",
        1,
        "2025-01-01T00:00:00Z",
        "snapshot.json",
        &json!({ "version": 1 }),
    );
    let stale = sign(&stale, &[&keys.online]);
    let forged = sign(
        &listing("timestamp", 1, EXPIRES, "snapshot.json", &json!({ "version": 1 })),
        &[&keys.owners[0]],
    );
    let snapshot = keys.snapshot(1, b"", 1);
    let deep = format!(
        "{{\"signed\":{}1{},\"signatures\":[]}}",
        "[".repeat(60),
        "]".repeat(60)
    );
    for (text, expected) in [
        (
            stale.as_slice(),
            "timestamp metadata has expired at 2025-01-01T00:00:00Z",
        ),
        (
            &forged,
            "timestamp metadata has 0 of the 1 signatures that it needs",
        ),
        (&snapshot, "malformed timestamp metadata: it is of another type"),
        (b"{}", "malformed timestamp metadata: missing field"),
        (
            br#"{"signed":1.5,"signatures":[]}"#,
            "malformed timestamp metadata: it holds a number with a fraction",
        ),
        (
            deep.as_bytes(),
            "malformed timestamp metadata: it is nested too deeply",
        ),
    ] {
        let error = repository.take_timestamp(text, now()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let late: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
    let error = repository
        .take_timestamp(&keys.timestamp(1, 1), late)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "root metadata has expired at 2030-01-01T00:00:00Z"
    );
    repository.take_timestamp(&keys.timestamp(1, 1), now()).unwrap();
    let announced = sign(&targets(1, b"{}"), &keys.owners()[..2]);
    let error = repository
        .take_snapshot(&keys.snapshot(2, &announced, 1), now())
        .unwrap_err();
    assert_eq!(error.to_string(), "snapshot metadata has version 2, expected 1");
    repository
        .take_snapshot(&keys.snapshot(1, &announced, 1), now())
        .unwrap();
    let other = sign(&targets(1, b"[]"), &keys.owners()[..2]);
    assert!(matches!(
        repository.take_targets(&other, now()),
        Err(Error::Content { .. })
    ));
    repository.take_targets(&announced, now()).unwrap();
}
