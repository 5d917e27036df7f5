//! A TUF repository on the loopback interface.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_testkit::http::{Response, Server};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

const EXPIRES: &str = "2999-01-01T00:00:00Z";
/// What stands before the point of a key on P-256 in the DER form of public keys.
const SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";

/// A TUF repository with one key for all roles.
pub(crate) struct Tuf {
    server: Server,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    key: EcdsaKeyPair,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON as it is signed; what the tests sign needs no escapes.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let part = |(key, value): (&String, &Value)| format!("\"{key}\":{}", canonical(value));
            let parts: Vec<String> = sorted.into_iter().map(part).collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    }
}

impl Tuf {
    pub(crate) fn start() -> Self {
        let files: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (content, log) = (Arc::clone(&files), Arc::clone(&asked));
        let server = Server::start(move |request| {
            log.lock().unwrap().push(request.path.clone());
            match content.lock().unwrap().get(request.path.trim_start_matches('/')) {
                Some(file) => Response::new(200, file.clone()),
                None => Response::new(404, ""),
            }
        });
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            pkcs8.as_ref(),
            &SystemRandom::new(),
        );
        Self {
            server,
            files,
            asked,
            key: key.unwrap(),
        }
    }

    fn pem(&self) -> String {
        let mut der = STANDARD.decode(SPKI).unwrap();
        // The prefix ends with the first byte of the point.
        der.extend_from_slice(&self.key.public_key().as_ref()[1..]);
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    fn sign(&self, kind: &str, version: u64, rest: &Value) -> Vec<u8> {
        let mut signed =
            json!({ "_type": kind, "spec_version": "1.0", "version": version, "expires": EXPIRES });
        for (key, value) in rest.as_object().unwrap() {
            signed[key] = value.clone();
        }
        let text = canonical(&signed);
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        let signatures = json!([{ "keyid": "one", "sig": hex(signature.as_ref()) }]);
        json!({ "signed": signed, "signatures": signatures })
            .to_string()
            .into_bytes()
    }

    pub(crate) fn root(&self, version: u64) -> Vec<u8> {
        let role = json!({ "keyids": ["one"], "threshold": 1 });
        let key = json!({ "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": { "public": self.pem() } });
        self.sign(
            "root",
            version,
            &json!({
                "consistent_snapshot": true, "keys": { "one": key },
                "roles": { "root": role, "timestamp": role, "snapshot": role, "targets": role },
            }),
        )
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("/")
    }

    /// The paths that were asked for since the last call.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Publishes a trusted root, all metadata in this version.
    pub(crate) fn publish(&self, version: u64, trusted: &str) {
        let hash = hex(digest(&SHA256, trusted.as_bytes()).as_ref());
        let target = json!({ "length": trusted.len(), "hashes": { "sha256": hash } });
        let meta = |name: &str| json!({ "meta": { name: { "version": version } } });
        let mut files = self.files.lock().unwrap();
        let targets = json!({ "targets": { "trusted_root.json": target } });
        files.insert("2.root.json".to_owned(), self.root(2));
        files.insert(
            "timestamp.json".to_owned(),
            self.sign("timestamp", version, &meta("snapshot.json")),
        );
        files.insert(
            format!("{version}.snapshot.json"),
            self.sign("snapshot", version, &meta("targets.json")),
        );
        files.insert(
            format!("{version}.targets.json"),
            self.sign("targets", version, &targets),
        );
        files.insert(
            format!("targets/{hash}.trusted_root.json"),
            trusted.as_bytes().to_vec(),
        );
    }
}
