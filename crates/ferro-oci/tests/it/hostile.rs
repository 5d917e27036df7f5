//! Registries that lie, and worse.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ferro_http::{ClientOptions, Identity, ProxyOptions, TlsOptions};
use ferro_oci::{Access, Client, Credentials, Descriptor, Digest, Error, Identifier, Repository};
use ferro_testkit::http::{Response, Server};
use ferro_testkit::tls::{Authority, server_config};
use tokio::sync::mpsc;

use crate::registry::Registry;

fn latest() -> Identifier {
    Identifier::tag("latest").unwrap()
}

/// A registry that answers requests for blobs like this.
fn serving(answer: impl Fn() -> Response + Send + Sync + 'static) -> Registry {
    Registry::with(move |request| request.path.contains("/blobs/").then(&answer))
}

async fn pull(registry: &Registry, descriptor: &Descriptor) -> Result<Bytes, Error> {
    registry.client().blob(descriptor).await?.bytes(1 << 20).await
}

#[tokio::test]
async fn other_content_than_the_digest_says_is_refused() {
    let registry = serving(|| Response::new(200, "evil content"));
    let failed = pull(&registry, &Descriptor::of("x", b"good content"))
        .await
        .unwrap_err();
    let (got, want) = (Digest::of(b"evil content"), Digest::of(b"good content"));
    assert_eq!(
        failed.to_string(),
        format!("error verifying sha256 checksum after reading 12 bytes; got \"{got}\", want \"{want}\"")
    );
}

#[tokio::test]
async fn other_sizes_than_the_manifest_says_are_refused() {
    let registry = serving(|| Response::new(200, "longer than said"));
    let descriptor = Descriptor::of("x", b"short");
    let failed = pull(&registry, &descriptor).await.unwrap_err();
    let expected = "Content-Length header 16 does not match expected size 5";
    assert!(failed.to_string().ends_with(expected), "{failed}");

    // The same without saying so.
    for (sent, got) in [("longer than said", 16), ("s", 1)] {
        let registry = serving(move || {
            let (sender, receiver) = mpsc::channel(1);
            sender.try_send(Bytes::from(sent)).unwrap();
            Response::stream(200, receiver)
        });
        let failed = pull(&registry, &descriptor).await.unwrap_err();
        assert_eq!(
            failed.to_string(),
            format!("error verifying size; got {got}, want 5")
        );
    }
}

#[tokio::test]
async fn endless_content_is_read_no_further_than_said() {
    let sent = Arc::new(Mutex::new(0_usize));
    let count = Arc::clone(&sent);
    let registry = serving(move || {
        let (sender, receiver) = mpsc::channel(1);
        let count = Arc::clone(&count);
        std::thread::spawn(move || {
            while sender.blocking_send(Bytes::from(vec![0; 1024])).is_ok() {
                *count.lock().unwrap() += 1024;
            }
        });
        Response::stream(200, receiver)
    });
    let failed = pull(&registry, &Descriptor::of("x", &[0; 10_000]))
        .await
        .unwrap_err();
    assert!(matches!(failed, Error::Size { want: 10_000, .. }), "{failed}");
    assert!(*sent.lock().unwrap() < 16 << 20);
    // What is said to be too large is not even begun with.
    let huge = Descriptor::new("x", Digest::of(b""), 1 << 40);
    let failed = pull(&registry, &huge).await.unwrap_err();
    assert!(matches!(failed, Error::TooLarge { .. }), "{failed}");
}

#[tokio::test]
async fn manifest_is_bounded_and_checked() {
    let registry = Registry::with(|request| {
        if !request.path.contains("/manifests/") {
            return None;
        }
        if request.path.ends_with("latest") {
            return Some(Response::new(200, vec![b' '; 9 << 20]).header("content-type", "x"));
        }
        Some(Response::new(200, "{}").header("content-type", "x"))
    });
    let client = registry.client();
    let failed = client.manifest(&latest()).await.unwrap_err();
    assert!(
        failed.to_string().contains("larger than 8388608 bytes"),
        "{failed}"
    );
    let wanted = Digest::of(b"other");
    let failed = client
        .manifest(&Identifier::Digest(wanted.clone()))
        .await
        .unwrap_err();
    let (found, name) = (Digest::of(b"{}"), client.repository());
    assert_eq!(
        failed.to_string(),
        format!(
            "manifest digest: \"{found}\" does not match requested digest: \"{wanted}\" for \"{name}@{wanted}\""
        )
    );
}

#[tokio::test]
async fn redirect_to_another_host_gets_no_credentials() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let store = Server::start(move |request| {
        log.lock()
            .unwrap()
            .push(request.header("authorization").to_owned());
        Response::new(200, "content")
    });
    let target = store.url("/blob?X-Sig=hunter2");
    let registry = Registry::with(move |request| {
        if request.header("authorization").is_empty() {
            return Some(Response::new(401, "").header("www-authenticate", "Basic realm=x"));
        }
        request
            .path
            .contains("/blobs/")
            .then(|| Response::new(307, "").header("location", target.clone()))
    });
    let client = registry.client_as(Credentials::basic("u", "hunter2"));
    let blob = client.blob(&Descriptor::of("x", b"content")).await.unwrap();
    assert_eq!(blob.bytes(100).await.unwrap(), &b"content"[..]);
    assert_eq!(*seen.lock().unwrap(), [""]);
}

#[tokio::test]
async fn redirect_to_another_host_gets_no_client_certificate() {
    let authority = Authority::new("ours");
    let guarded = || server_config(&authority.server(&[]), Some(&authority.pem()));
    // Without a certificate nobody gets as far as a request.
    let store = Server::start_tls(guarded(), |_| Response::new(200, "content"));
    let target = store.url("/blob");
    let registry = Server::start_tls(guarded(), move |request| match request.path.as_str() {
        "/v2/" => Response::new(200, ""),
        _ => Response::new(307, "").header("location", target.clone()),
    });
    let pair = authority.client("me");
    let http = ClientOptions {
        tls: TlsOptions {
            ca: Some(authority.pem().into_bytes()),
            identity: Some(Identity {
                certificate: pair.certificate.into_bytes(),
                key: pair.key.into_bytes().into(),
            }),
            insecure_skip_verify: false,
        },
        proxy: ProxyOptions::Direct,
        ..ClientOptions::default()
    };
    let repository = Repository::parse(&format!("{}/org/app", registry.address()), false).unwrap();
    let access = Access {
        http,
        credentials: Credentials::Anonymous,
    };
    let client = Client::new(&repository, &access).unwrap();
    let error = client.blob(&Descriptor::of("x", b"content")).await.unwrap_err();
    let told = ferro_http::describe(&error);
    assert!(told.contains(&store.url("/blob")), "{told}");
}

#[tokio::test]
async fn redirects_into_the_network_and_in_circles_are_refused() {
    let cases = [
        (
            "http://169.254.169.254/latest/meta-data",
            "SSRF protection: redirect from \"127.0.0.1\" to private/link-local host \"169.254.169.254\" denied",
        ),
        (
            "http://[::1]/x",
            "SSRF protection: redirect from \"127.0.0.1\" to private/link-local host \"[::1]\" denied",
        ),
        (
            "file:///etc/passwd",
            "redirect to a location that is not HTTP at ",
        ),
        ("http://[", "redirect to a malformed location at "),
        ("/v2/org/app/blobs/again", "more than 10 redirects at "),
    ];
    for (target, expected) in cases {
        let registry = serving(move || Response::new(302, "").header("location", target));
        let failed = pull(&registry, &Descriptor::of("x", b"content"))
            .await
            .unwrap_err();
        assert!(failed.to_string().starts_with(expected), "{failed}");
    }
    let registry = serving(|| Response::new(302, ""));
    let failed = pull(&registry, &Descriptor::of("x", b"content"))
        .await
        .unwrap_err();
    assert!(
        failed.to_string().starts_with("redirect without a location"),
        "{failed}"
    );
}

#[tokio::test]
async fn next_page_at_another_host_is_refused_and_one_without_end_is_cut() {
    let elsewhere = Registry::with(|request| {
        request.path.ends_with("/tags/list").then(|| {
            Response::new(200, r#"{"tags":["a"]}"#).header("link", "<http://thief.example.com/v2/>; rel=next")
        })
    });
    let failed = elsewhere.client().tags().await.unwrap_err();
    assert!(
        failed
            .to_string()
            .ends_with("the next page of tags is at another host"),
        "{failed}"
    );

    let many = format!(r#"{{"tags":[{}"x"]}}"#, "\"tag\",".repeat(200_000));
    let endless = Registry::with(move |request| {
        let next: u64 = request
            .query
            .rsplit('=')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or(0);
        request.path.ends_with("/tags/list").then(|| {
            Response::new(200, many.clone()).header("link", format!("<?last={}>; rel=next", next + 1))
        })
    });
    let failed = endless.client().tags().await.unwrap_err();
    assert!(matches!(failed, Error::TooManyTags { .. }), "{failed}");
}

#[tokio::test]
async fn token_service_is_bounded_and_may_not_be_inside_the_network() {
    let inside = Registry::with(|request| {
        (request.header("authorization").is_empty()).then(|| {
            Response::new(401, "").header(
                "www-authenticate",
                "Bearer realm=\"http://169.254.169.254/token\"",
            )
        })
    });
    let failed = inside
        .client_as(Credentials::basic("u", "p"))
        .tags()
        .await
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "invalid realm in www-authenticate: realm host \"169.254.169.254\" is a private or link-local address"
    );
    for (answer, expected) in [
        (vec![b'x'; 1 << 20], "larger than 65536 bytes"),
        (b"{}".to_vec(), "no token in bearer response"),
        (b"no json".to_vec(), "no token in bearer response"),
    ] {
        let registry = Registry::with(move |request| {
            if request.path == "/token" {
                return Some(Response::new(200, answer.clone()));
            }
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host"));
            Some(Response::new(401, "").header("www-authenticate", realm))
        });
        let failed = registry.client().tags().await.unwrap_err();
        assert!(failed.to_string().contains(expected), "{failed}");
    }
}

#[tokio::test]
async fn dropped_transfer_ends_the_connection() {
    let (closed, mut is_closed) = mpsc::channel(1);
    let registry = serving(move || {
        let (sender, receiver) = mpsc::channel(1);
        let closed = closed.clone();
        std::thread::spawn(move || {
            while sender.blocking_send(Bytes::from(vec![0; 64 * 1024])).is_ok() {}
            let _nobody_listens = closed.blocking_send(());
        });
        Response::stream(200, receiver)
    });
    let huge = Descriptor::new("x", Digest::of(b""), 1 << 40);
    let mut blob = registry.client().blob(&huge).await.unwrap();
    assert!(blob.chunk().await.unwrap().is_some());
    drop(blob);
    let closed = tokio::time::timeout(Duration::from_secs(30), is_closed.recv()).await;
    assert_eq!(closed, Ok(Some(())));
}
