//! References, caching and failures over HTTP, with `git http-backend` on the other side.

use ferro_git::{Auth, Error, PullOptions, Remote};
use ferro_http::{ClientOptions, ProxyOptions};
use ferro_testkit::git::{Access, GitServer, Repository};

use crate::support::{Outcome, branch, pull, reference};

pub(crate) fn remote(url: &str) -> Remote {
    let http = ClientOptions {
        proxy: ProxyOptions::Direct,
        ..ClientOptions::default()
    };
    Remote {
        http,
        ..Remote::new(url).unwrap()
    }
}

pub(crate) fn serve(repository: &Repository) -> GitServer {
    GitServer::start(&[("app", repository)], Access::default())
}

pub(crate) fn cache() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn pull_branch_brings_its_files() {
    let repository = Repository::new();
    repository
        .write("b.yaml", "b")
        .write("a/x.yaml", "x")
        .write("a.b", "dot")
        .write("run.sh", "#!");
    repository.git(&["add", "-A"]);
    repository.git(&["update-index", "--chmod=+x", "run.sh"]);
    std::os::unix::fs::symlink("b.yaml", repository.work().join("link.yaml")).unwrap();
    let hash = repository.commit("Subject\n\nBody");
    // `add -A` would reset the mode from the file system.
    repository.git(&["update-index", "--chmod=+x", "run.sh"]);
    repository.git(&["commit", "-q", "--amend", "--no-edit"]);
    let amended = repository.git(&["rev-parse", "HEAD"]);
    assert_ne!(hash, amended);
    repository.push();
    let (server, cache) = (serve(&repository), cache());
    let files = pull(&remote(&server.url("app")), cache.path(), &branch("main"))
        .unwrap()
        .files();
    assert_eq!(files.revision, format!("main@sha1:{amended}"));
    assert_eq!((files.message.as_str(), files.tag.as_ref()), ("Subject", None));
    assert_eq!(files.paths(), [".", "a", "a.b", "a/x.yaml", "b.yaml", "run.sh"]);
    assert_eq!(files.entries["a/x.yaml"], "600 x");
    assert_eq!(files.entries["run.sh"], "700 #!");
}

#[test]
fn pull_ignore_file_that_is_a_link_is_read() {
    let repository = Repository::new();
    repository
        .write("rules", "*.md\n")
        .write("apps/a.yaml", "a")
        .write("apps/notes.md", "n");
    std::os::unix::fs::symlink("../rules", repository.work().join("apps/.sourceignore")).unwrap();
    repository.commit("Subject");
    repository.push();
    let (server, cache) = (serve(&repository), cache());
    let files = pull(&remote(&server.url("app")), cache.path(), &branch("main"))
        .unwrap()
        .files();
    assert_eq!(files.paths(), [".", "apps", "apps/a.yaml", "rules"]);
}

#[test]
fn pull_unchanged_revision_fetches_nothing() {
    let repository = Repository::new();
    let first = repository.publish("a.yaml", "1");
    let (server, cache) = (serve(&repository), cache());
    let remote = remote(&server.url("app"));
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    server.take_seen();
    let again = PullOptions {
        last_revision: Some(files.revision.clone()),
        ..branch("main")
    };
    assert_eq!(
        pull(&remote, cache.path(), &again).unwrap(),
        Outcome::Unchanged(files.revision)
    );
    let seen = server.take_seen();
    assert_eq!(seen.len(), 1, "one round trip: {seen:?}");
    assert_eq!(seen[0].line, "POST /app/git-upload-pack?");
    // A cache that knows nothing yet learns it.
    let fresh = self::cache();
    for expected in [2, 1] {
        let unchanged = pull(&remote, fresh.path(), &again).unwrap();
        assert!(matches!(unchanged, Outcome::Unchanged(_)));
        assert_eq!(server.take_seen().len(), expected);
    }
    // A legacy revision means the same.
    let legacy = PullOptions {
        last_revision: Some(format!("main/{first}")),
        ..branch("main")
    };
    assert!(matches!(
        pull(&remote, cache.path(), &legacy).unwrap(),
        Outcome::Unchanged(_)
    ));
    let second = repository.publish("a.yaml", "2");
    let files = pull(&remote, cache.path(), &again).unwrap().files();
    assert_eq!(
        (files.revision, files.entries["a.yaml"].as_str()),
        (format!("main@sha1:{second}"), "600 2")
    );
}

#[test]
fn pull_change_sends_only_the_difference() {
    let repository = Repository::new();
    let noise: String = (0..40_000_u64)
        .map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    repository.write("big.txt", &noise);
    repository.publish("a.yaml", "1");
    let (server, cache) = (serve(&repository), cache());
    let remote = remote(&server.url("app"));
    pull(&remote, cache.path(), &branch("main")).unwrap().files();
    let size = || -> u64 {
        let packs = std::fs::read_dir(cache.path().join("objects/pack")).unwrap();
        packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let before = size();
    repository.publish("a.yaml", "2");
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(
        (files.entries["a.yaml"].as_str(), files.entries["big.txt"].len()),
        ("600 2", noise.trim_end().len() + 4)
    );
    assert!(size() < before + 20_000, "{before} -> {}", size());
}

#[test]
fn pull_every_kind_of_reference() {
    let repository = Repository::new();
    let first = repository.publish("a.yaml", "1");
    repository.git(&["tag", "light"]);
    repository.git(&["tag", "-a", "v1.0.0", "-m", "Release"]);
    repository.git(&["branch", "feature/x"]);
    let second = repository.publish("a.yaml", "2");
    repository.git_bare(&["update-ref", "refs/pull/420/head", &first]);
    let server = serve(&repository);
    let remote = remote(&server.url("app"));
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        (branch("feature/x"), format!("feature/x@sha1:{first}"), None),
        (
            reference(|it| it.tag = some("light")),
            format!("light@sha1:{first}"),
            None,
        ),
        (
            reference(|it| it.tag = some("v1.0.0")),
            format!("v1.0.0@sha1:{first}"),
            some("v1.0.0"),
        ),
        (
            reference(|it| it.name = some("refs/heads/main")),
            format!("refs/heads/main@sha1:{second}"),
            None,
        ),
        (
            reference(|it| it.name = some("refs/pull/420/head")),
            format!("refs/pull/420/head@sha1:{first}"),
            None,
        ),
        (
            reference(|it| it.name = some("refs/tags/v1.0.0")),
            format!("refs/tags/v1.0.0@sha1:{first}"),
            some("v1.0.0"),
        ),
        (
            reference(|it| it.commit = some(&first)),
            format!("sha1:{first}"),
            None,
        ),
        (
            reference(|it| (it.commit, it.branch) = (some(&first), some("main"))),
            format!("main@sha1:{first}"),
            None,
        ),
    ];
    for (options, revision, tag) in cases {
        let cache = cache();
        let files = pull(&remote, cache.path(), &options).unwrap().files();
        let content = if revision.ends_with(&first) {
            "600 1"
        } else {
            "600 2"
        };
        assert_eq!(
            (files.entries["a.yaml"].as_str(), &files.tag),
            (content, &tag),
            "{revision}"
        );
        assert_eq!(files.revision, revision);
        let again = PullOptions {
            last_revision: Some(revision.clone()),
            ..options
        };
        assert_eq!(
            pull(&remote, cache.path(), &again).unwrap(),
            Outcome::Unchanged(revision)
        );
    }
}

#[test]
fn pull_missing_references_are_named_as_upstream_does() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let server = serve(&repository);
    let remote = remote(&server.url("app"));
    let url = server.url("app");
    let some = |text: &str| Some(text.to_owned());
    let zeros = "1".repeat(40);
    let cases = [
        (
            branch("nope"),
            format!("unable to clone '{url}': couldn't find remote ref \"refs/heads/nope\""),
        ),
        (
            reference(|it| it.tag = some("nope")),
            format!("unable to clone '{url}': couldn't find remote ref \"refs/tags/nope\""),
        ),
        (
            reference(|it| it.name = some("refs/x/y")),
            "unable to resolve ref 'refs/x/y' to a specific commit".to_owned(),
        ),
        (
            reference(|it| it.commit = some(&zeros)),
            format!("unable to resolve commit object for '{zeros}': object not found"),
        ),
    ];
    for (options, expected) in cases {
        let error = pull(&remote, cache().path(), &options).unwrap_err();
        assert_eq!(error.upstream_message(remote.url.url(), false), expected);
    }
}

#[test]
fn pull_empty_repository_is_no_error_for_a_branch() {
    let repository = Repository::new();
    let server = serve(&repository);
    let remote = remote(&server.url("app"));
    assert_eq!(
        pull(&remote, cache().path(), &branch("main")).unwrap(),
        Outcome::Empty
    );
    let error = pull(
        &remote,
        cache().path(),
        &reference(|it| it.tag = Some("v1".into())),
    )
    .unwrap_err();
    assert!(matches!(error, Error::EmptyRemote), "{error:?}");
}

#[test]
fn pull_force_push_is_followed() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    repository.publish("b.yaml", "1");
    let (server, cache) = (serve(&repository), cache());
    let remote = remote(&server.url("app"));
    pull(&remote, cache.path(), &branch("main")).unwrap().files();
    repository.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let rewritten = repository.publish("c.yaml", "other");
    repository.git_bare(&["reflog", "expire", "--expire=now", "--all"]);
    repository.git_bare(&["gc", "-q", "--prune=now"]);
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(files.revision, format!("main@sha1:{rewritten}"));
    assert_eq!(files.paths(), [".", "a.yaml", "c.yaml"]);
}

#[test]
fn pull_from_a_server_of_the_first_protocol() {
    let repository = Repository::new();
    let first = repository.publish("a.yaml", "1");
    repository.publish("a.yaml", "2");
    let access = Access {
        is_old: true,
        ..Access::default()
    };
    let server = GitServer::start(&[("app", &repository)], access);
    let remote = remote(&server.url("app"));
    let cache = cache();
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(files.entries["a.yaml"], "600 2");
    repository.publish("a.yaml", "3");
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(files.entries["a.yaml"], "600 3");
    // It does not hand out commits that no ref points to, so the history is fetched.
    let options = reference(|it| it.commit = Some(first.clone()));
    let files = pull(&remote, cache.path(), &options).unwrap().files();
    assert_eq!(files.entries["a.yaml"], "600 1");
}

#[test]
fn pull_sha256_repository() {
    let repository = Repository::with_format("sha256");
    let hash = repository.publish("a/b.yaml", "1");
    let (server, cache) = (serve(&repository), cache());
    let remote = remote(&server.url("app"));
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!((hash.len(), files.revision), (64, format!("main@sha256:{hash}")));
    repository.publish("a/c.yaml", "2");
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(files.paths(), [".", "a", "a/b.yaml", "a/c.yaml"]);
}

#[test]
fn pull_credentials_are_checked() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let basic = ferro_http::Auth::Basic {
        username: "user".into(),
        password: "pw".into(),
    };
    let bearer = ferro_http::Auth::Bearer("token".into());
    for (auth, header) in [(basic, "Basic dXNlcjpwdw=="), (bearer, "Bearer token")] {
        let access = Access {
            authorization: Some(header.to_owned()),
            ..Access::default()
        };
        let server = GitServer::start(&[("app", &repository)], access);
        let remote = remote(&server.url("app"));
        pull(
            &remote.clone().with_auth(Auth::Http(auth)),
            cache().path(),
            &branch("main"),
        )
        .unwrap()
        .files();
        assert!(server.take_seen().iter().all(|seen| seen.authorization == header));
        let error = pull(&remote, cache().path(), &branch("main")).unwrap_err();
        assert!(matches!(error, Error::AuthenticationRequired), "{error:?}");
        let wrong = Auth::Http(ferro_http::Auth::Bearer("hunter2".into()));
        let error = pull(&remote.clone().with_auth(wrong), cache().path(), &branch("main")).unwrap_err();
        assert!(
            error.is_auth() && !format!("{error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[test]
fn pull_redirect_is_followed_without_credentials_to_other_hosts() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let target = serve(&repository);
    let base = target.url("app");
    let front = ferro_testkit::http::Server::start(move |request| {
        let rest = request.path.trim_start_matches("/old").to_owned();
        let location = format!("{base}{rest}?{}", request.query);
        ferro_testkit::http::Response::new(301, "").header("location", location)
    });
    let auth = Auth::Http(ferro_http::Auth::Bearer("token".into()));
    let remote = remote(&front.url("/old")).with_auth(auth);
    let files = pull(&remote, cache().path(), &branch("main")).unwrap().files();
    assert_eq!(files.paths(), [".", "a.yaml"]);
    assert!(
        target
            .take_seen()
            .iter()
            .all(|seen| seen.authorization.is_empty())
    );
}

#[test]
fn pull_sparse_checkout_has_only_the_listed_paths() {
    let repository = Repository::new();
    for name in [
        "root.yaml",
        "apps/a/x.yaml",
        "apps/b/x.yaml",
        "apps/y.yaml",
        "deploy/z.yaml",
    ] {
        repository.write(name, "1");
    }
    repository.commit("Files");
    repository.push();
    let server = serve(&repository);
    let remote = remote(&server.url("app"));
    let sparse = |paths: &[&str]| PullOptions {
        sparse: paths.iter().map(|path| (*path).to_owned()).collect(),
        ..branch("main")
    };
    let files = pull(&remote, cache().path(), &sparse(&["apps/a", "deploy"]))
        .unwrap()
        .files();
    assert_eq!(
        files.paths(),
        [".", "apps", "apps/a", "apps/a/x.yaml", "deploy", "deploy/z.yaml"]
    );
    let error = pull(&remote, cache().path(), &sparse(&["apps/c"])).unwrap_err();
    assert!(
        matches!(error, Error::SparseDirectoryNotFound { ref path } if path == "apps/c"),
        "{error:?}"
    );
}

#[test]
fn pull_semver_takes_the_highest_tag_and_the_newest_of_equals() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    repository.git(&["tag", "v0.9.0"]);
    let commit_at = |content: &str, date: &str, tag: &str| {
        repository.write("a.yaml", content);
        repository.git(&["add", "-A"]);
        repository.git(&["commit", "-q", "-m", content]);
        // The committer's date, which the environment would set, is rewritten in the object.
        let object = repository.git(&["cat-file", "commit", "HEAD"]);
        let lines: Vec<String> = object
            .lines()
            .map(|line| match line.strip_prefix("committer ") {
                Some(_) => format!("committer C <c@example.com> {date} +0000"),
                None => line.to_owned(),
            })
            .collect();
        repository.write("../object", &format!("{}\n", lines.join("\n")));
        let hash = repository.git(&["hash-object", "-t", "commit", "-w", "../object"]);
        repository.git(&["reset", "-q", "--hard", &hash]);
        repository.git(&["tag", tag]);
        hash
    };
    commit_at("2", "1700000002", "v1.0.0+b");
    let newest = commit_at("3", "1700000009", "v1.0.0+a");
    commit_at("4", "1700000003", "v1.0.0+c");
    repository.git(&["tag", "-a", "v2.0.0-rc.1", "-m", "x"]);
    repository.push();
    let (server, cache) = (serve(&repository), cache());
    let remote = remote(&server.url("app"));
    let range = |range: &str| reference(|it| it.semver = Some(range.to_owned()));
    let files = pull(&remote, cache.path(), &range("1.x")).unwrap().files();
    assert_eq!(files.revision, format!("v1.0.0+a@sha1:{newest}"));
    assert_eq!(files.entries["a.yaml"], "600 3");
    let again = PullOptions {
        last_revision: Some(files.revision.clone()),
        ..range("1.x")
    };
    assert_eq!(
        pull(&remote, cache.path(), &again).unwrap(),
        Outcome::Unchanged(files.revision)
    );
    let files = pull(&remote, cache.path(), &range("<1")).unwrap().files();
    assert!(files.revision.starts_with("v0.9.0@"), "{}", files.revision);
    let files = pull(&remote, cache.path(), &range(">=2.0.0-0")).unwrap().files();
    assert_eq!(files.tag.as_deref(), Some("v2.0.0-rc.1"));
    let error = pull(&remote, cache.path(), &range(">3")).unwrap_err();
    assert_eq!(
        error.upstream_message(remote.url.url(), false),
        "no match found for semver: >3"
    );
}

#[test]
fn pull_credentials_of_the_url_are_used() {
    let repository = Repository::new();
    repository.publish("a.yaml", "1");
    let access = Access {
        authorization: Some("Basic dXNlcjpwdw==".to_owned()),
        ..Access::default()
    };
    let server = GitServer::start(&[("app", &repository)], access);
    let remote = remote(&server.url("app").replace("http://", "http://user:pw@"));
    let cache = cache();
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    let again = PullOptions {
        last_revision: Some(files.revision),
        ..branch("main")
    };
    assert!(matches!(
        pull(&remote, cache.path(), &again).unwrap(),
        Outcome::Unchanged(_)
    ));
}
