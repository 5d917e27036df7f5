//! Objects of Git LFS, from a server that does as it should and from one that does not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferro_artifact::archive::{ArchiveLimits, archive_blocking};
use ferro_artifact::ignore::{Matcher, parse_patterns};
use ferro_git::{Auth, Context, Error, PullOptions, Pulled, Remote, SshAuth};
use ferro_testkit::git::{Access, Repository};
use ferro_testkit::http::{Response, Server};
use ferro_testkit::lfs::{LfsServer, oid, pointer};
use ferro_testkit::ssh::{self, KeyPair, SshServer};
use serde_json::json;

use crate::http::{cache, remote};
use crate::support::{branch, entries, runtime};

const MAX_BYTES: u64 = 1 << 20;

/// Pulls the branch and fetches the objects of all files but those in `ignored/`; the files as they would be archived.
fn pull(remote: &Remote, cache: &Path) -> Result<Vec<(String, String)>, Error> {
    pull_within(remote, cache, &branch("main"), Duration::from_secs(60))
}

fn pull_within(
    remote: &Remote,
    cache: &Path,
    options: &PullOptions,
    timeout: Duration,
) -> Result<Vec<(String, String)>, Error> {
    let runtime = runtime();
    let _guard = runtime.enter();
    let context = Context::with_timeout(timeout);
    let pulled = ferro_git::pull_blocking(remote, cache, options, context.clone())?;
    let Pulled::Checkout(checkout) = pulled else {
        panic!("nothing new: {pulled:?}");
    };
    let matcher = Matcher::new(parse_patterns(b"ignored/", &[]));
    let is_wanted = |path: &[&[u8]]| !matcher.is_excluded(path, false);
    let objects = checkout.fetch_lfs_blocking(is_wanted, MAX_BYTES, context)?;
    let root = checkout.root_with(&objects);
    let limits = ArchiveLimits::default();
    let (archive, _) = archive_blocking(&root, &matcher, limits, &Default::default(), Vec::new()).unwrap();
    let files = entries(&archive).into_iter();
    Ok(files.filter(|(_, content)| content.len() > 4).collect())
}

/// A repository with one object, and the server of both.
fn fixture(access: Access) -> (Repository, LfsServer, tempfile::TempDir) {
    let repository = Repository::new();
    let server = LfsServer::start(&[("app", &repository)], access);
    repository.publish("a.bin", &server.put(b"large"));
    (repository, server, cache())
}

fn reason(remote: &Remote, cache: &Path) -> String {
    match pull(remote, cache) {
        Err(Error::Lfs { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn objects_take_the_place_of_their_pointers_and_are_kept() {
    let (repository, server, cache) = fixture(Access::default());
    repository.write("plain.yaml", "a: 1");
    repository.write("dir/same.bin", &server.put(b"large"));
    repository.write("empty.bin", &pointer(&oid(b""), 0));
    repository.write("ignored/b.bin", &pointer(&oid(b"nowhere"), 7));
    repository.write("run.sh", &server.put(b"#!/bin/sh"));
    repository.git(&["add", "-A"]);
    repository.git(&["update-index", "--chmod=+x", "run.sh"]);
    repository.git(&["commit", "-q", "-m", "More"]);
    repository.push();
    let remote = remote(&server.url("app"));
    let files = pull(&remote, cache.path()).unwrap();
    let expected = [
        ("a.bin", "600 large"),
        ("dir/same.bin", "600 large"),
        ("plain.yaml", "600 a: 1"),
        ("run.sh", "700 #!/bin/sh"),
    ];
    let shown: Vec<_> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    assert_eq!(shown, expected);
    let batch = "POST /app.git/info/lfs/objects/batch".to_owned();
    let get = |content: &[u8]| format!("GET /lfs/{}", oid(content));
    let mut seen = server.take_seen();
    seen.sort_unstable();
    let mut requests = [get(b"large"), get(b"#!/bin/sh"), batch.clone()];
    requests.sort_unstable();
    assert_eq!(seen, requests);

    // What is here is not asked for again, and what is no longer needed does not stay.
    pull(&remote, cache.path()).unwrap();
    assert!(server.take_seen().is_empty());
    repository.write("dir/same.bin", "x: small");
    repository.write("a.bin", "y: small");
    repository.publish("c.bin", &server.put(b"third"));
    pull(&remote, cache.path()).unwrap();
    assert_eq!(server.take_seen(), [batch, get(b"third")]);
    let kept = std::fs::read_dir(cache.path().join("lfs")).unwrap().count();
    assert_eq!(kept, 2, "the new object and the script");

    // A sparse checkout fetches what belongs to it.
    let sparse = PullOptions {
        sparse: vec!["dir".to_owned()],
        ..branch("main")
    };
    pull_within(&remote, cache.path(), &sparse, Duration::from_secs(60)).unwrap();
    assert_eq!(std::fs::read_dir(cache.path().join("lfs")).unwrap().count(), 0);
}

#[test]
fn faulty_servers_are_refused_and_the_next_try_works() {
    let (_repository, server, cache) = fixture(Access::default());
    let remote = remote(&server.url("app"));
    let object = format!("object {} of 'a.bin': ", oid(b"large"));
    type Transfer = fn() -> Response;
    let streamed = |pieces: &'static [&'static str]| {
        move || {
            let (sender, pieces_of) = tokio::sync::mpsc::channel(16);
            for piece in pieces {
                sender.try_send(Bytes::from_static(piece.as_bytes())).unwrap();
            }
            Response::stream(200, pieces_of)
        }
    };
    let plain: [(Transfer, &str); 6] = [
        (
            || Response::new(200, "LARGE"),
            "the server sent another content, with digest sha256:",
        ),
        (
            || Response::new(200, "larger"),
            "the server announces 6 bytes in place of its 5",
        ),
        (|| Response::new(404, ""), "it is not where the server says"),
        (
            || Response::new(500, ""),
            "the server answers 500 Internal Server Error",
        ),
        (|| Response::new(302, ""), "redirect without location"),
        (
            || Response::new(302, "").header("location", "file:///etc/passwd"),
            "redirect to a location that is not HTTP",
        ),
    ];
    for (transfer, expected) in plain {
        server.transfer(move |_, _| transfer());
        let reason = reason(&remote, cache.path());
        assert!(reason.starts_with(&format!("{object}{expected}")), "{reason}");
    }
    let long = streamed(&["larg", "e and ", "longer"]);
    server.transfer(move |_, _| long());
    assert_eq!(
        reason(&remote, cache.path()),
        format!("{object}the server sends more than its 5 bytes")
    );
    let short = streamed(&["lar"]);
    server.transfer(move |_, _| short());
    assert_eq!(
        reason(&remote, cache.path()),
        format!("{object}the server sent 3 of its 5 bytes")
    );
    server.transfer(|request, _| Response::new(302, "").header("location", request.path.clone()));
    let reason = reason(&remote, cache.path());
    assert!(
        reason.starts_with(&format!("{object}more than 5 redirects")),
        "{reason}"
    );
    assert_eq!(std::fs::read_dir(cache.path().join("lfs")).unwrap().count(), 0);

    server.behave();
    assert_eq!(pull(&remote, cache.path()).unwrap().len(), 1);
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let (repository, server, cache) = fixture(Access::default());
    let remote = remote(&server.url("app"));
    let object = format!("object {} of 'a.bin': ", oid(b"large"));
    let refused = |expected: &str| {
        let reason = reason(&remote, cache.path());
        assert!(reason.starts_with(expected), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    };
    server.answer(|oid, size, _| json!({ "oid": oid, "size": size }));
    refused(&format!("{object}the server does not say how to get it"));
    server.answer(|_, _, _| json!("hunter2"));
    refused("the answer of 'http://");
    server.answer(|oid, _, _| json!({ "oid": oid, "error": { "code": 410, "message": "gone\u{7}" } }));
    refused(&format!("{object}the server answers 410: gone"));
    server.answer(|oid, _, _| json!({ "oid": oid, "actions": { "download": { "href": "http://" } } }));
    refused(&format!("{object}the server names a malformed address"));
    server.answer(
        |oid, _, _| json!({ "oid": oid, "actions": { "download": { "href": "http://10.0.0.1/x" } } }),
    );
    refused(&format!("{object}'http://127.0.0.1"));
    server.answer(|oid, _, href| {
        json!({ "oid": oid, "actions": { "download": { "href": href, "header": { "a b": "hunter2" } } } })
    });
    refused(&format!(
        "{object}failed to fetch LFS objects: the LFS server asks for a malformed header"
    ));
    server.behave();
    // Nothing is asked for when it is too much.
    repository.publish("huge.bin", &pointer(&oid(b"huge"), 1 << 40));
    server.take_seen();
    refused("the objects have more than the 1048576 bytes that are allowed for one revision");
    assert!(server.take_seen().is_empty());
    repository.publish("huge.bin", &pointer(&oid(b"gone"), 4));
    refused(&format!(
        "object {} of 'huge.bin': the server answers 404: Object does not exist",
        oid(b"gone")
    ));
}

#[test]
fn credentials_go_to_the_host_that_they_are_for() {
    let access = Access {
        authorization: Some("Bearer hunter2".to_owned()),
        ..Access::default()
    };
    let (_repository, server, cache) = fixture(access);
    let with = |token: &str| {
        let auth = Auth::Http(ferro_http::Auth::Bearer(token.to_owned().into()));
        remote(&server.url("app")).with_auth(auth)
    };
    // On the server itself the repository's credentials are sent, unless the action has its own.
    pull(&with("hunter2"), cache.path()).unwrap();
    let large = oid(b"large");
    let batch = "POST /app.git/info/lfs/objects/batch Bearer hunter2".to_owned();
    assert_eq!(
        server.take_seen(),
        [batch.clone(), format!("GET /lfs/{large} Bearer hunter2")]
    );
    server.answer(|oid, _, href| {
        let header = json!({ "Authorization": "Basic own" });
        json!({ "oid": oid, "actions": { "download": { "href": href, "header": header } } })
    });
    pull(&with("hunter2"), crate::http::cache().path()).unwrap();
    assert_eq!(server.take_seen(), [batch, format!("GET /lfs/{large} Basic own")]);

    // Elsewhere only what the action names is, and not beyond the place that it names.
    let third = LfsServer::start(&[], Access::default());
    third.put(b"large");
    let other = LfsServer::start(&[], Access::default());
    let target = third.url_of(&format!("/lfs/{large}"));
    other.transfer(move |_, _| Response::new(307, "").header("location", target.clone()));
    let href = other.url_of("/lfs/");
    server.answer(move |oid, _, _| {
        let header = json!({ "X-Token": "token" });
        json!({ "oid": oid, "actions": { "download": { "href": format!("{href}{oid}"), "header": header } } })
    });
    pull(&with("hunter2"), crate::http::cache().path()).unwrap();
    assert_eq!(other.take_seen(), [format!("GET /lfs/{large} token")]);
    assert_eq!(third.take_seen(), [format!("GET /lfs/{large}")]);
}

#[test]
fn token_that_expires_during_the_transfer_is_asked_for_again_once() {
    let (_repository, server, cache) = fixture(Access::default());
    let remote = remote(&server.url("app"));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    server.transfer(move |_, content| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Response::new(403, "expired"),
        _ => Response::new(200, content.unwrap()),
    });
    pull(&remote, cache.path()).unwrap();
    assert_eq!(server.take_seen().len(), 4, "two questions, two downloads");
    server.transfer(|_, _| Response::new(401, "expired"));
    assert!(reason(&remote, crate::http::cache().path()).ends_with("the server answers 401 Unauthorized"),);
    assert_eq!(server.take_seen().len(), 4);
}

#[test]
fn slow_server_ends_with_the_deadline() {
    let (_repository, server, cache) = fixture(Access::default());
    let senders = Arc::new(std::sync::Mutex::new(Vec::new()));
    server.transfer(move |_, _| {
        let (sender, pieces) = tokio::sync::mpsc::channel(1);
        sender.try_send(Bytes::from_static(b"l")).unwrap();
        // The rest never comes.
        senders.lock().unwrap().push(sender);
        Response::stream(200, pieces)
    });
    let remote = remote(&server.url("app"));
    let error = pull_within(&remote, cache.path(), &branch("main"), Duration::from_millis(700)).unwrap_err();
    assert!(matches!(error, Error::Timeout), "{error:?}");
}

#[test]
fn lfsconfig_names_another_path_and_no_other_host() {
    let (repository, server, cache) = fixture(Access::default());
    let other = Server::start(|_| Response::new(500, ""));
    let address = server.url_of("/else/info/lfs");
    repository.publish(".lfsconfig", &format!("[lfs]\n\turl = {address}\n"));
    let remote = remote(&server.url("app"));
    pull(&remote, cache.path()).unwrap();
    assert_eq!(
        server.take_seen().first().map(String::as_str),
        Some("POST /else/info/lfs/objects/batch")
    );
    repository.publish(".lfsconfig", &format!("[lfs]\n\turl = {}\n", other.url("/lfs")));
    let reason = reason(&remote, crate::http::cache().path());
    assert!(
        reason.ends_with("which is not at the repository's host: it is not asked"),
        "{reason}"
    );
}

#[test]
fn ssh_server_says_where_the_objects_are() {
    if !ssh::is_available() {
        println!("skipped: OpenSSH is not installed");
        return;
    }
    let (repository, server, cache) = fixture(Access {
        authorization: Some("Basic own".to_owned()),
        ..Access::default()
    });
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("git-lfs-authenticate");
    let href = server.url_of("/app.git/info/lfs");
    let answer = json!({ "href": href, "header": { "Authorization": "Basic own" }, "expires_in": 60 });
    let bare = repository.bare();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = '{} download' ] || exit 1\nprintf '%s' '{answer}'\n",
        bare.display()
    );
    std::fs::write(&program, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let (user, host) = (
        KeyPair::generate("ed25519", "", &[]),
        KeyPair::generate("ed25519", "", &[]),
    );
    let path = format!(
        "SetEnv PATH={}:{}",
        programs.path().display(),
        std::env::var("PATH").unwrap()
    );
    for (options, works) in [(&[path.as_str()][..], true), (&[], false)] {
        let sshd = SshServer::start(&[&host], &[&user], options);
        let auth = SshAuth {
            identity: user.private.clone().into(),
            passphrase: None,
            known_hosts: sshd.known_hosts(&host),
        };
        let mut remote = remote(&sshd.url(&bare)).with_auth(Auth::Ssh(auth));
        remote.http.proxy = ferro_http::ProxyOptions::Direct;
        if works {
            assert_eq!(pull(&remote, cache.path()).unwrap().len(), 1);
            assert_eq!(server.take_seen().len(), 2);
        } else {
            let error = pull(&remote, crate::http::cache().path()).unwrap_err();
            assert!(error.to_string().contains("git-lfs-authenticate"), "{error}");
        }
    }
}
