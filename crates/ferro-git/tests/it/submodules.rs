//! Submodules, over HTTP.

use ferro_git::{Auth, Error, PullOptions, Remote};
use ferro_http::{ClientOptions, ProxyOptions};
use ferro_testkit::git::{Access, GitServer, Repository};

use crate::support::{branch, pull};

fn remote(url: &str) -> Remote {
    let http = ClientOptions {
        proxy: ProxyOptions::Direct,
        ..ClientOptions::default()
    };
    Remote {
        http,
        ..Remote::new(url).unwrap()
    }
}

fn recursive() -> PullOptions {
    PullOptions {
        recurse_submodules: true,
        ..branch("main")
    }
}

/// Puts `commit` of a repository at `path`, with `url` in `.gitmodules`.
fn link(parent: &Repository, path: &str, url: &str, commit: &str) {
    let modules = parent.work().join(".gitmodules");
    let mut text = std::fs::read_to_string(&modules).unwrap_or_default();
    text.push_str(&format!(
        "[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n"
    ));
    std::fs::write(modules, text).unwrap();
    parent.git(&["add", ".gitmodules"]);
    parent.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},{path}"),
    ]);
    parent.git(&["commit", "-q", "-m", "Link"]);
    parent.push();
}

#[test]
fn pull_submodules_at_their_commits() {
    let (app, lib, base) = (Repository::new(), Repository::new(), Repository::new());
    let base_commit = base.publish("base.yaml", "base");
    lib.write("lib.yaml", "lib");
    lib.publish(".gitignore", "x");
    link(&lib, "nested/base", "../base", &base_commit);
    let lib_commit = lib.git(&["rev-parse", "HEAD"]);
    // The branch of the submodule moves on; the parent does not.
    lib.git(&["rm", "-q", "lib.yaml"]);
    lib.git(&["commit", "-q", "-m", "Later"]);
    lib.push();
    base.publish("base.yaml", "later");
    app.publish("app.yaml", "app");
    link(&app, "third/lib", "../lib", &lib_commit);
    link(&app, "again", "../lib", &lib_commit);
    let server = GitServer::start(
        &[("app", &app), ("lib", &lib), ("base", &base)],
        Access::default(),
    );
    let cache = tempfile::tempdir().unwrap();
    let remote = remote(&server.url("app"));
    let files = pull(&remote, cache.path(), &recursive()).unwrap().files();
    let expected = [
        ".",
        "again",
        "again/lib.yaml",
        "again/nested",
        "again/nested/base",
        "again/nested/base/base.yaml",
        "app.yaml",
        "third",
        "third/lib",
        "third/lib/lib.yaml",
        "third/lib/nested",
        "third/lib/nested/base",
        "third/lib/nested/base/base.yaml",
    ];
    assert_eq!(files.paths(), expected);
    assert_eq!(files.entries["again/nested/base/base.yaml"], "600 base");
    // Without recursion the places stay empty.
    let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
    assert_eq!(files.paths(), [".", "again", "app.yaml", "third", "third/lib"]);
    // A second pull of the same commits asks for the refs of the parent only.
    server.take_seen();
    pull(&remote, cache.path(), &recursive()).unwrap().files();
    assert!(server.take_seen().iter().all(|seen| seen.line.contains("/app/")));
    // Sparse checkouts leave out what lies elsewhere.
    let sparse = PullOptions {
        sparse: vec!["third".to_owned()],
        ..recursive()
    };
    let files = pull(&remote, cache.path(), &sparse).unwrap().files();
    assert_eq!(files.paths().len(), 7, "{:?}", files.paths());
}

#[test]
fn pull_submodule_credentials_stay_on_their_host() {
    let (app, near, far) = (Repository::new(), Repository::new(), Repository::new());
    let (near_commit, far_commit) = (near.publish("near.yaml", "1"), far.publish("far.yaml", "1"));
    let other = GitServer::start(&[("far", &far)], Access::default());
    app.publish("app.yaml", "1");
    link(&app, "near", "../near", &near_commit);
    link(&app, "far", &other.url("far"), &far_commit);
    let access = Access {
        authorization: Some("Bearer token".to_owned()),
        ..Access::default()
    };
    let server = GitServer::start(&[("app", &app), ("near", &near)], access);
    let auth = Auth::Http(ferro_http::Auth::Bearer("token".into()));
    let remote = remote(&server.url("app")).with_auth(auth);
    let cache = tempfile::tempdir().unwrap();
    let files = pull(&remote, cache.path(), &recursive()).unwrap().files();
    assert_eq!(
        files.paths(),
        [".", "app.yaml", "far", "far/far.yaml", "near", "near/near.yaml"]
    );
    let seen = other.take_seen();
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.authorization.is_empty()));
}

#[test]
fn pull_submodule_that_contains_itself_is_refused() {
    // A commit cannot hold its own hash, but two declarations of one place can chase each other: the chain
    // is cut by its depth at the latest.
    let (app, deep) = (Repository::new(), Repository::new());
    let mut commit = deep.publish("file.yaml", "0");
    for _ in 0..12 {
        deep.git(&[
            "rm",
            "-q",
            "-r",
            "--cached",
            "--ignore-unmatch",
            "self",
            ".gitmodules",
        ]);
        drop(std::fs::remove_file(deep.work().join(".gitmodules")));
        link(&deep, "self", "../deep", &commit);
        commit = deep.git(&["rev-parse", "HEAD"]);
    }
    app.publish("app.yaml", "1");
    link(&app, "deep", "../deep", &commit);
    let server = GitServer::start(&[("app", &app), ("deep", &deep)], Access::default());
    let cache = tempfile::tempdir().unwrap();
    let error = pull(&remote(&server.url("app")), cache.path(), &recursive()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Submodule { .. }), "{error:?}");
    assert!(
        text.ends_with("submodules nest more than 10 levels deep"),
        "{text}"
    );
}

#[test]
fn pull_submodule_failures_name_the_submodule() {
    let app = Repository::new();
    app.publish("app.yaml", "1");
    link(&app, "lib", "../gone", &"1".repeat(40));
    let server = GitServer::start(&[("app", &app)], Access::default());
    let cache = tempfile::tempdir().unwrap();
    let error = pull(&remote(&server.url("app")), cache.path(), &recursive()).unwrap_err();
    let text = ferro_http::describe(&error);
    assert!(matches!(error, Error::SubmoduleFetch { .. }), "{error:?}");
    assert_eq!(
        text,
        format!(
            "failed to fetch submodule 'lib' from '{}': repository not found",
            server.url("gone")
        )
    );
    let other = Repository::new();
    other.publish("app.yaml", "1");
    link(&other, "lib", "file:///etc", &"1".repeat(40));
    let server = GitServer::start(&[("app", &other)], Access::default());
    let error = pull(
        &remote(&server.url("app")),
        tempfile::tempdir().unwrap().path(),
        &recursive(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("scheme 'file' is not http, https or ssh"),
        "{error}"
    );
}

#[test]
fn pull_keeps_the_caches_of_the_submodules_that_are_there_only() {
    let (app, lib) = (Repository::new(), Repository::new());
    let first = lib.publish("lib.yaml", "1");
    app.publish("app.yaml", "app");
    link(&app, "lib", "../lib", &first);
    let server = GitServer::start(&[("app", &app), ("lib", &lib)], Access::default());
    let cache = tempfile::tempdir().unwrap();
    let remote = remote(&server.url("app"));
    let kept = || -> Vec<_> {
        let modules = std::fs::read_dir(cache.path().join("modules"))
            .into_iter()
            .flatten();
        let mut modules: Vec<_> = modules.map(|entry| entry.unwrap().file_name()).collect();
        modules.sort();
        modules
    };
    pull(&remote, cache.path(), &recursive()).unwrap();
    let mut seen = vec![kept()];
    for content in ["2", "3", "4"] {
        let commit = lib.publish("lib.yaml", content);
        app.git(&["update-index", "--cacheinfo", &format!("160000,{commit},lib")]);
        app.git(&["commit", "-q", "-m", "Move on"]);
        app.push();
        let files = pull(&remote, cache.path(), &recursive()).unwrap().files();
        assert!(files.paths().contains(&"lib/lib.yaml"), "{files:?}");
        assert_eq!(kept().len(), 1);
        assert!(!seen.contains(&kept()));
        seen.push(kept());
    }
    // What is still there is not fetched again.
    app.write("app.yaml", "changed");
    app.git(&["commit", "-q", "-m", "Change", "app.yaml"]);
    app.push();
    server.take_seen();
    pull(&remote, cache.path(), &recursive()).unwrap();
    assert_eq!(Some(&kept()), seen.last());
    assert!(server.take_seen().iter().all(|seen| seen.line.contains("/app/")));
}
