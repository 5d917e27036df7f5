//! Signatures whose certificates may be revoked, judged as notation's libraries judge them, with servers on the loopback interface.

use std::time::Duration;

use ferro_artifact::storage::{Storage, StorageOptions};
use ferro_http::{ClientOptions, ProxyOptions};
use ferro_testkit::http::{Response, Server};
use ferro_verify::notation::{self, JWS, TrustPolicy, TrustStore, Verdict};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::auth::testing::Accounts;

/// What upstream takes, against the RFCs: who answers for an issuer without being made for it, answers and lists from the future, and changes in
/// the place of a list.
const STRICTER: [&str; 6] = [
    "online by the signer",
    "online delegate for something else",
    "online delegate too old",
    "online from the future",
    "list from the future",
    "list of changes alone",
];

fn recorded() -> Value {
    let text = include_str!("../../../../ferro-verify/tests/data/signatures.json");
    serde_json::from_str(text).unwrap()
}

/// All servers behind one proxy, which tells what cannot be reached.
fn proxy(servers: &Value) -> Server {
    let servers = servers.clone();
    Server::start(move |request| {
        let served = &servers[request.header("host")];
        let Some(status) = served["status"].as_u64() else {
            return Response::new(502, "");
        };
        let body = STANDARD
            .decode(served["body"].as_str().unwrap_or_default())
            .unwrap();
        let response = Response::new(u16::try_from(status).unwrap(), body);
        match served["location"].as_str() {
            Some(location) => response.header("location", location),
            None => response,
        }
    })
}

fn client(proxy: &Server) -> Client {
    let address = SafeUrl::parse(&proxy.url("")).unwrap();
    let proxy = ProxyOptions::Proxy {
        address,
        credentials: None,
    };
    let options = ClientOptions {
        proxy,
        ..ClientOptions::default()
    };
    Client::new(&options).unwrap()
}

fn shared(root: &std::path::Path) -> Shared {
    let options = StorageOptions::new(root, "source-controller.flux-system.svc.");
    Shared {
        client: Accounts::default().client(),
        storage: Storage::open(options).unwrap(),
        requeue_dependency: Duration::from_secs(30),
        stop: CancellationToken::new(),
        workers: Arc::new(Semaphore::new(2)),
    }
}

/// What somebody who asks needs.
struct Bench {
    _root: tempfile::TempDir,
    shared: Shared,
    client: Client,
}

impl Bench {
    fn new(proxy: &Server) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            shared: shared(root.path()),
            client: client(proxy),
            _root: root,
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            shared: &self.shared,
            client: &self.client,
            what: "registry.example.com/org/app",
        }
    }
}

/// What the envelope alone tells.
fn judge(fixtures: &Value, name: &str, policy: &str) -> Verdict {
    let recorded = &fixtures["notation"]["revocations"];
    let case = &recorded["cases"][name];
    let policy = TrustPolicy::from_json(recorded["policies"][policy].as_str().unwrap().as_bytes()).unwrap();
    let mut store = TrustStore::default();
    for certificate in case["trusted"].as_array().unwrap() {
        store.add(certificate.as_str().unwrap().as_bytes()).unwrap();
    }
    let repository = fixtures["notation"]["repository"].as_str().unwrap();
    let digest = fixtures["digest"].as_str().unwrap();
    let envelope = (JWS, case["envelope"].as_str().unwrap().as_bytes());
    notation::verify(&policy, &store, repository, digest, envelope, Timestamp::now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_are_judged_as_by_notation() {
    let fixtures = recorded();
    let recorded = &fixtures["notation"]["revocations"];
    let proxy = proxy(&recorded["servers"]);
    let bench = Bench::new(&proxy);
    let asker = bench.asker();
    let cases = recorded["cases"].as_object().unwrap();
    assert!(cases.len() >= 119);
    let mut count = 0;
    for (name, case) in cases {
        for (policy, verdict) in case["verdicts"].as_object().unwrap() {
            let mut found = Ok(());
            for inquiry in judge(&fixtures, name, policy).inquiries {
                if found.is_ok() {
                    found = asker.settle(inquiry).await;
                }
            }
            let is_stricter = policy == "strict" && STRICTER.contains(&name.as_str());
            assert_eq!(
                found.is_ok(),
                verdict == "verified" && !is_stricter,
                "{name} by {policy}: {found:?}"
            );
            assert!(!is_stricter || verdict == "verified", "{name} is no difference");
            count += 1;
        }
    }
    assert!(count >= 363, "{count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_asked_as_the_rfc_has_it_and_only_where_that_matters() {
    let fixtures = recorded();
    let asked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    let proxy = Server::start(move |request| {
        log.lock()
            .unwrap()
            .push(format!("{} {}", request.method, request.path));
        Response::new(302, "").header("location", "http://169.254.169.254/latest")
    });
    let bench = Bench::new(&proxy);
    let asker = bench.asker();
    let asks = async |name: &str, policy: &str| {
        let mut found = Ok(());
        for inquiry in judge(&fixtures, name, policy).inquiries {
            found = asker.settle(inquiry).await;
        }
        (found, std::mem::take(&mut *asked.lock().unwrap()))
    };
    // Not followed: what is asked is not who is at the inner address.
    let (found, requests) = asks("online asks path", "strict").await;
    assert!(
        matches!(found, Err(Refusal::RevocationUnknown { .. })),
        "{found:?}"
    );
    let [request] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert!(request.starts_with("GET /a/b/M"), "{request}");
    let (found, requests) = asks("list empty", "strict").await;
    assert!(
        matches!(found, Err(Refusal::RevocationUnknown { .. })),
        "{found:?}"
    );
    assert_eq!(requests, ["GET /crl"]);
    // It is told in the log only.
    let (found, requests) = asks("list empty", "permissive").await;
    assert_eq!((found, requests.len()), (Ok(()), 1));
    let (found, requests) = asks("list empty", "unasked").await;
    assert_eq!((found, requests.len()), (Ok(()), 0));
}
