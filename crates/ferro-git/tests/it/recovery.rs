//! Caches that lost something, and remotes that send much.

use std::fs;
use std::path::Path;

use ferro_git::Remote;
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

fn packs(cache: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(cache.join("objects/pack")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == "pack"))
        .collect()
}

/// As after a power cut: the state file knows a commit whose pack was never written out.
#[test]
fn pull_with_a_cache_that_lost_its_pack_fetches_anew() {
    let repository = Repository::new();
    repository.publish("a.yaml", &"text ".repeat(1000));
    let server = GitServer::start(&[("app", &repository)], Access::default());
    let remote = remote(&server.url("app"));
    for damage in ["empty", "gone", "newer commit"] {
        let cache = tempfile::tempdir().unwrap();
        pull(&remote, cache.path(), &branch("main")).unwrap();
        for pack in packs(cache.path()) {
            if damage == "gone" {
                fs::remove_file(pack.with_extension("idx")).unwrap();
                fs::remove_file(pack).unwrap();
            } else {
                // They are made read-only.
                fs::remove_file(&pack).unwrap();
                fs::write(pack, "").unwrap();
            }
        }
        if damage == "newer commit" {
            repository.publish("b.yaml", "b");
        }
        let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
        assert!(files.entries.contains_key("a.yaml"), "{damage}");
    }
}

/// A file that is not held in memory on its way, first as it is and then as a small difference.
#[test]
fn pull_of_a_large_file_brings_it_whole() {
    let repository = Repository::new();
    let mut text = "0123456789abcdef".repeat(1 << 20);
    repository.publish("large", &text);
    let server = GitServer::start(&[("app", &repository)], Access::default());
    let (remote, cache) = (remote(&server.url("app")), tempfile::tempdir().unwrap());
    for round in 0..2 {
        let files = pull(&remote, cache.path(), &branch("main")).unwrap().files();
        assert!(files.entries["large"] == format!("600 {text}"), "round {round}");
        text.push('!');
        repository.publish("large", &text);
    }
}
