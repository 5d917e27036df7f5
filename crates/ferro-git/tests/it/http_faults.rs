//! Servers over HTTP that fail, are silent, or say what is not so.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferro_git::{Context, Error, PullOptions};
use ferro_http::{ClientOptions, Identity, ProxyOptions, TlsOptions};
use ferro_testkit::git::{Access, GitServer, Repository};
use ferro_testkit::tls::{Authority, server_config};

use crate::http::{cache, remote, serve};
use crate::support::{Outcome, branch, pull, pull_with, reference};

#[test]
fn pull_missing_repository_is_reported() {
    let server = GitServer::start(&[], Access::default());
    let remote = remote(&server.url("gone"));
    let error = pull(&remote, cache().path(), &branch("main")).unwrap_err();
    assert!(matches!(error, Error::RepositoryNotFound), "{error:?}");
}

#[test]
fn pull_unreachable_server_is_reported() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let remote = remote(&format!("http://user:hunter2@127.0.0.1:{port}/app"));
    let error = pull(&remote, cache().path(), &branch("main")).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let text = error.upstream_message(remote.url.url(), false);
    assert!(
        text.starts_with(&format!("unable to clone 'http://127.0.0.1:{port}/app': ")),
        "{text}"
    );
    assert!(text.contains("refused") && !text.contains("hunter2"), "{text}");
}

#[test]
fn pull_from_a_web_page_is_reported() {
    let server = ferro_testkit::http::Server::start(|_| {
        ferro_testkit::http::Response::new(200, "<html>").header("content-type", "text/html")
    });
    let error = pull(&remote(&server.url("/app")), cache().path(), &branch("main")).unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[test]
fn pull_silent_server_ends_at_the_deadline_and_at_cancellation() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = remote(&format!("http://{}/app", listener.local_addr().unwrap()));
    let context = Context::with_timeout(Duration::from_millis(50));
    let error = pull_with(&remote, cache().path(), &branch("main"), context).unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error:?}");
    let context = Context::with_timeout(Duration::from_secs(600));
    let cancel = context.cancel.clone();
    let server = std::thread::spawn(move || {
        // The first connection is the one that timed out.
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        // Once the request is here, the pull is on its way.
        stream.read_exact(&mut [0; 3]).unwrap();
        cancel.cancel();
        // Ends when the client closes.
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let error = pull_with(&remote, cache().path(), &branch("main"), context).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error:?}");
    server.join().unwrap();
}

#[test]
fn pull_over_tls_with_a_client_certificate() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let authority = Authority::new("ours");
    let config = server_config(&authority.server(&[]), Some(&authority.pem()));
    let server = GitServer::start_tls(config, &[("app", &repository)], Access::default());
    let mut remote = remote(&server.url("app"));
    let error = pull(&remote, cache().path(), &branch("main")).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let client = authority.client("me");
    remote.http.tls = TlsOptions {
        ca: Some(authority.pem().into_bytes()),
        identity: Some(Identity {
            certificate: client.certificate.into_bytes(),
            key: client.key.into_bytes().into(),
        }),
        insecure_skip_verify: false,
    };
    let files = pull(&remote, cache().path(), &branch("main")).unwrap().files();
    assert_eq!(files.paths(), [".", "a.yaml"]);
}

#[test]
fn pull_too_large_pack_is_refused() {
    let repository = Repository::new();
    let noise: String = (0..20_000_u64)
        .map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    repository.publish("big.txt", &noise);
    let server = serve(&repository);
    let mut options = branch("main");
    options.limits.max_pack = 10_000;
    let error = pull(&remote(&server.url("app")), cache().path(), &options).unwrap_err();
    assert!(
        matches!(error, Error::PackTooLarge { limit: 10_000 }),
        "{error:?}"
    );
}

#[test]
fn pull_unchanged_revision_on_a_server_that_was_replaced_by_an_old_one() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let old = Arc::new(AtomicBool::new(false));
    let (is_old, new_server) = (old.clone(), serve(&repository));
    let old_server = GitServer::start(
        &[("app", &repository)],
        Access {
            is_old: true,
            ..Access::default()
        },
    );
    let (to_new, to_old) = (new_server.url("app"), old_server.url("app"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    let client = ferro_http::Client::new(&ClientOptions {
        proxy: ProxyOptions::Direct,
        ..Default::default()
    });
    let client = client.unwrap();
    // A front that passes everything on, to one server first and to the other later.
    let front = ferro_testkit::http::Server::start(move |request| {
        let base = if is_old.load(Ordering::SeqCst) {
            &to_old
        } else {
            &to_new
        };
        let rest = request.path.trim_start_matches("/app");
        let mut passed =
            ferro_http::Request::new(request.method.clone(), &format!("{base}{rest}?{}", request.query))
                .unwrap();
        for name in ["content-type", "git-protocol", "accept"] {
            if let Some(value) = request.headers.get(name) {
                passed = passed.header(name.parse().unwrap(), value.clone());
            }
        }
        let passed = passed.body(request.body.clone());
        handle.block_on(async {
            let response = client.send(&passed).await.unwrap();
            let content_type = response
                .headers()
                .get("content-type")
                .map(|value| value.to_str().unwrap().to_owned());
            let status = response.status().as_u16();
            let body = response.bytes(1 << 20).await.unwrap();
            let answer = ferro_testkit::http::Response::new(status, body);
            match content_type {
                Some(content_type) => answer.header("content-type", content_type),
                None => answer,
            }
        })
    });
    let remote = remote(&front.url("/app"));
    let cache = cache();
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    let again = PullOptions {
        last_revision: Some(files.revision),
        ..branch("main")
    };
    for is_old in [false, true, true] {
        old.store(is_old, Ordering::SeqCst);
        assert!(matches!(
            pull(&remote, cache.path(), &again).unwrap(),
            Outcome::Unchanged(_)
        ));
    }
    assert!(!old_server.take_seen().is_empty());
}

#[test]
fn pull_tag_that_leads_elsewhere_than_the_server_says_is_refused() {
    let repository = Repository::new();
    let first = repository.publish("a.yaml", "1");
    repository.git(&["tag", "-a", "v1", "-m", "One"]);
    // A tag of the tag leads to the same commit.
    repository.git(&["tag", "-a", "again", "-m", "Again", "v1"]);
    let second = repository.publish("a.yaml", "2");
    let server = serve(&repository);
    let remote = remote(&server.url("app"));
    for tag in ["v1", "again"] {
        let files = pull(
            &remote,
            cache().path(),
            &reference(|it| it.tag = Some(tag.to_owned())),
        );
        assert_eq!(files.unwrap().files().entries["a.yaml"], "600 1");
    }
    // Git tells clients what its list of packed refs says.
    repository.git_bare(&["pack-refs", "--all"]);
    let packed = repository.bare().join("packed-refs");
    let lies = std::fs::read_to_string(&packed)
        .unwrap()
        .replace(&format!("^{first}"), &format!("^{second}"));
    std::fs::write(&packed, lies).unwrap();
    // With the other commit at hand, only the tag itself can tell.
    let cache = cache();
    pull(&remote, cache.path(), &branch("main")).unwrap().files();
    for tag in ["v1", "again"] {
        let error = pull(
            &remote,
            cache.path(),
            &reference(|it| it.tag = Some(tag.to_owned())),
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&format!("means commit {second}, but it points to commit {first}")),
            "{error}"
        );
    }
}
