//! Tokens and passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferro_http::{ClientOptions, Identity, ProxyOptions, TlsOptions};
use ferro_oci::{Access, Client, Credentials, Identifier, Pool, Repository};
use ferro_testkit::http::{Request, Response, Server};
use ferro_testkit::tls::{Authority, server_config};

use ferro_testkit::registry::refusal as error;

use crate::registry::{Registry, client};

fn latest() -> Identifier {
    Identifier::tag("latest").unwrap()
}

/// A registry that wants tokens of its own service, each of which is good for `uses` requests.
fn guarded(uses: usize, expires_in: u64) -> (Registry, Arc<AtomicUsize>) {
    let issued = Arc::new(AtomicUsize::new(0));
    let left = AtomicUsize::new(0);
    let count = Arc::clone(&issued);
    let registry = Registry::with(move |request| {
        if request.path == "/token" {
            return Some(token(request, &count, &left, uses, expires_in));
        }
        let expected = format!("Bearer t{}", count.load(Ordering::SeqCst));
        let is_good = request.header("authorization") == expected
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"registry\",scope=\"repository:org/app:pull\"",
            request.header("host")
        );
        (!is_good).then(|| {
            error(401, "UNAUTHORIZED", "authentication required").header("www-authenticate", challenge)
        })
    });
    (registry, issued)
}

fn token(
    request: &Request,
    count: &AtomicUsize,
    left: &AtomicUsize,
    uses: usize,
    expires_in: u64,
) -> Response {
    let is_identity = request.method == "POST"
        && String::from_utf8_lossy(&request.body).contains("grant_type=refresh_token&refresh_token=id");
    // u:hunter2
    let is_basic = request.method == "GET" && request.header("authorization") == "Basic dTpodW50ZXIy";
    if !is_identity && !is_basic {
        return error(401, "UNAUTHORIZED", "wrong password");
    }
    if is_basic {
        assert_eq!(
            request.query,
            "scope=repository%3Aorg%2Fapp%3Apull&service=registry"
        );
    }
    left.store(uses, Ordering::SeqCst);
    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
    Response::new(
        200,
        format!(r#"{{"token":"t{number}","expires_in":{expires_in}}}"#),
    )
}

#[tokio::test]
async fn token_is_asked_for_once_and_replaced_when_it_expires() {
    let (registry, issued) = guarded(3, 300);
    let (digest, manifest) = registry.put("latest", b"content");
    let client = registry.client_as(Credentials::basic("u", "hunter2"));
    assert_eq!(client.resolve(&latest()).await.unwrap(), digest);
    assert_eq!(
        registry.take_seen(),
        ["GET /v2/", "GET /token", "HEAD /v2/org/app/manifests/latest"]
    );
    assert_eq!(client.resolve(&latest()).await.unwrap(), digest);
    assert_eq!(registry.take_seen(), ["HEAD /v2/org/app/manifests/latest"]);
    // The token expires in the midst of a pull.
    let found = client.image(&Identifier::Digest(digest)).await.unwrap();
    assert_eq!(found, manifest);
    registry.take_seen();
    let content = client
        .blob(&found.layers[0])
        .await
        .unwrap()
        .bytes(100)
        .await
        .unwrap();
    assert_eq!(content, &b"content"[..]);
    let blob = format!("GET /v2/org/app/blobs/{}", found.layers[0].digest);
    assert_eq!(
        registry.take_seen(),
        [blob.clone(), "GET /token".to_owned(), blob]
    );
    assert_eq!(issued.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn token_whose_time_is_up_is_not_sent() {
    let (registry, _) = guarded(100, 0);
    registry.put("latest", b"content");
    let client = registry.client_as(Credentials::basic("u", "hunter2"));
    client.resolve(&latest()).await.unwrap();
    registry.take_seen();
    client.resolve(&latest()).await.unwrap();
    assert_eq!(
        registry.take_seen(),
        ["GET /token", "HEAD /v2/org/app/manifests/latest"]
    );
}

#[tokio::test]
async fn token_that_is_never_good_enough_ends_in_a_refusal() {
    let (registry, issued) = guarded(0, 300);
    let client = registry.client_as(Credentials::basic("u", "hunter2"));
    let failed = client.manifest(&latest()).await.unwrap_err();
    assert!(failed.is_denied(), "{failed}");
    assert!(
        failed
            .to_string()
            .ends_with("UNAUTHORIZED: authentication required"),
        "{failed}"
    );
    assert_eq!(issued.load(Ordering::SeqCst), 2, "one refresh");
}

#[tokio::test]
async fn wrong_password_is_told_without_being_shown() {
    let (registry, _) = guarded(1, 300);
    let client = registry.client_as(Credentials::basic("u", "hunter3"));
    let failed = client.resolve(&latest()).await.unwrap_err();
    let text = format!("{failed} {failed:?} {client:?}");
    assert!(failed.is_denied() && !text.contains("hunter3"), "{text}");
    assert!(
        failed.to_string().contains("UNAUTHORIZED: wrong password"),
        "{failed}"
    );
}

#[tokio::test]
async fn identity_is_exchanged_for_tokens() {
    let (registry, _) = guarded(5, 300);
    let (digest, _) = registry.put("latest", b"content");
    let client = registry.client_as(Credentials::Identity("id".into()));
    assert_eq!(client.resolve(&latest()).await.unwrap(), digest);
    let seen = registry.take_seen();
    assert_eq!(seen[1], "POST /token");
}

#[tokio::test]
async fn password_is_sent_where_the_registry_wants_it() {
    let registry = Registry::with(|request| {
        (request.header("authorization") != "Basic dTpodW50ZXIy").then(|| {
            error(401, "UNAUTHORIZED", "authentication required")
                .header("www-authenticate", "Basic realm=\"Registry\"")
        })
    });
    let (digest, _) = registry.put("latest", b"content");
    let client = registry.client_as(Credentials::basic("u", "hunter2"));
    assert_eq!(client.resolve(&latest()).await.unwrap(), digest);
    let failed = registry.client().resolve(&latest()).await.unwrap_err();
    assert!(failed.is_denied(), "{failed}");
}

#[tokio::test]
async fn registry_that_answers_the_probe_and_then_wants_a_token_gets_it() {
    let registry = Registry::with(|request| match request.path.as_str() {
        "/v2/" => None,
        "/token" => Some(Response::new(200, r#"{"access_token":"t"}"#)),
        _ if request.header("authorization") == "Bearer t" => None,
        _ => {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host"));
            Some(Response::new(401, "").header("www-authenticate", realm))
        }
    });
    let (digest, _) = registry.put("latest", b"content");
    let client = registry.client();
    assert_eq!(client.resolve(&latest()).await.unwrap(), digest);
    registry.take_seen();
    assert_eq!(client.resolve(&latest()).await.unwrap(), digest);
    assert_eq!(registry.take_seen(), ["HEAD /v2/org/app/manifests/latest"]);
}

#[tokio::test]
async fn pool_shares_tokens_among_equals_only() {
    let (registry, issued) = guarded(100, 300);
    registry.put("latest", b"content");
    let pool = Pool::default();
    let access = |password: &str| Access {
        http: ClientOptions {
            proxy: ProxyOptions::Direct,
            ..ClientOptions::default()
        },
        credentials: Credentials::basic("u", password),
    };
    let repository = registry.repository();
    for _ in 0..3 {
        let client = pool.client(&repository, &access("hunter2")).unwrap();
        client.resolve(&latest()).await.unwrap();
    }
    assert_eq!(issued.load(Ordering::SeqCst), 1);
    assert_eq!(
        registry.take_seen().len(),
        5,
        "the probe, the token, three times the tag"
    );
    let other = pool.client(&repository, &access("wrong")).unwrap();
    assert!(other.resolve(&latest()).await.unwrap_err().is_denied());
}

#[tokio::test]
async fn client_certificate_is_presented() {
    let authority = Authority::new("ours");
    let config = server_config(&authority.server(&[]), Some(&authority.pem()));
    let server = Server::start_tls(config, |request| {
        if request.path == "/v2/" {
            return Response::new(200, "");
        }
        Response::new(200, r#"{"tags":["a"]}"#)
    });
    let repository = Repository::parse(&format!("{}/org/app", server.address()), false).unwrap();
    let pair = authority.client("me");
    let tls = |identity| TlsOptions {
        ca: Some(authority.pem().into_bytes()),
        identity,
        insecure_skip_verify: false,
    };
    let make = |tls| {
        let http = ClientOptions {
            tls,
            proxy: ProxyOptions::Direct,
            ..ClientOptions::default()
        };
        Client::new(
            &repository,
            &Access {
                http,
                credentials: Credentials::Anonymous,
            },
        )
        .unwrap()
    };
    let identity = Identity {
        certificate: pair.certificate.into_bytes(),
        key: pair.key.into_bytes().into(),
    };
    assert_eq!(make(tls(Some(identity))).tags().await.unwrap(), ["a"]);
    assert!(make(tls(None)).tags().await.is_err());
}

#[tokio::test]
async fn plain_http_is_spoken_where_it_is_allowed_and_tls_is_not_spoken() {
    let registry = Registry::start();
    registry.put("latest", b"content");
    // An address of this machine, not declared insecure: as with go-containerregistry.
    let local = Repository::parse(&format!("{}/org/app", registry.host()), false).unwrap();
    client(&local, Credentials::Anonymous)
        .resolve(&latest())
        .await
        .unwrap();
}

#[tokio::test]
async fn certificate_that_is_not_trusted_is_no_reason_for_plain_http() {
    let authority = Authority::new("theirs");
    let server = Server::start_tls(server_config(&authority.server(&[]), None), |_| {
        Response::new(200, "")
    });
    let repository = Repository::parse(&format!("{}/org/app", server.address()), true).unwrap();
    let failed = client(&repository, Credentials::Anonymous)
        .tags()
        .await
        .unwrap_err();
    let text = ferro_http::describe(&failed);
    assert!(
        text.contains("certificate") && !text.contains("http://"),
        "{text}"
    );
}
