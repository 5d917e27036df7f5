use std::fmt::Write as _;

use ferro_api::kustomize::Kustomization;
use ferro_testkit::git::{Access, GitServer, Repository};
use ferro_testkit::http::{Response, Server};

use super::*;
use crate::build::{BuildError, BuildOptions, Built, build};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  key: one\n";

struct Place {
    directory: tempfile::TempDir,
    bases: Arc<RemoteBases>,
}

impl Place {
    fn new(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bases = RemoteBases::new(directory.path().join("remote"), limits).unwrap();
        Self {
            directory,
            bases: Arc::new(bases),
        }
    }

    /// Builds an artifact whose kustomization has these resources.
    async fn build(&self, resources: &[&str]) -> Result<Built, BuildError> {
        self.build_until(resources, CancellationToken::new()).await
    }

    async fn build_until(&self, resources: &[&str], cancel: CancellationToken) -> Result<Built, BuildError> {
        let root = self.directory.path().join("artifact");
        std::fs::create_dir_all(&root).unwrap();
        let mut file = "resources:\n".to_owned();
        for resource in resources {
            writeln!(file, "- \"{resource}\"").unwrap();
        }
        std::fs::write(root.join("kustomization.yaml"), file).unwrap();
        let options = BuildOptions {
            remote: Some((Arc::clone(&self.bases), cancel)),
            variables: None,
            strict: true,
        };
        let built =
            tokio::task::spawn_blocking(move || build(&root, &root, &Kustomization::default(), &options));
        built.await.unwrap()
    }

    async fn error(&self, resource: &str) -> String {
        self.build(&[resource]).await.unwrap_err().to_string()
    }

    fn trees(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("remote"))
            .unwrap()
            .count()
    }
}

fn key(built: &Built) -> &str {
    built.objects[0].value()["data"]["key"].as_str().unwrap()
}

/// A repository with a base, and what serves it.
fn repository() -> (Repository, GitServer) {
    let repository = Repository::new();
    repository.write("base/kustomization.yaml", "resources: [../common]\n");
    repository.write("common/kustomization.yaml", "resources: [cm.yaml]\n");
    repository.publish("common/cm.yaml", CONFIG_MAP);
    let server = GitServer::start(&[("base.git", &repository)], Access::default());
    (repository, server)
}

fn fetches(server: &GitServer) -> usize {
    let fetches = |line: &str| line.starts_with("POST") && line.contains("git-upload-pack");
    let seen = server.take_seen();
    seen.iter()
        .filter(|seen| fetches(&seen.line) && seen.body.windows(13).any(|text| text == b"command=fetch"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn base_in_a_repository_is_built_and_fetched_once_a_commit() {
    let (repository, server) = repository();
    let place = Place::new(Limits::default());
    let url = format!("{}//base?ref=main", server.url("base.git"));
    for _ in 0..2 {
        let built = place.build(&[&url]).await.unwrap();
        assert_eq!(key(&built), "one");
        assert!(built.uses_remote_bases);
    }
    assert_eq!(fetches(&server), 1);
    repository.publish("common/cm.yaml", &CONFIG_MAP.replace("one", "two"));
    assert_eq!(key(&place.build(&[&url]).await.unwrap()), "two");
    assert_eq!(fetches(&server), 1);
    assert_eq!(place.trees(), 2, "objects are not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn reference_is_a_tag_a_branch_a_commit_or_the_head() {
    let (repository, server) = repository();
    let place = Place::new(Limits::default());
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "-a", "-m", "one", "v1"]);
    repository.publish("common/cm.yaml", &CONFIG_MAP.replace("one", "two"));
    for (query, expected) in [
        ("", "two"),
        ("?ref=v1", "one"),
        ("?ref=refs/tags/v1", "one"),
        ("?ref=heads/main", "two"),
        ("?version=main", "two"),
        (format!("?ref={first}&submodules=false").as_str(), "one"),
    ] {
        let url = format!("{}//base{query}", server.url("base.git"));
        let built = place.build(&[&url]).await.unwrap();
        assert_eq!(key(&built), expected, "{query}");
    }
    server.take_seen();
    let url = format!("{}//base?ref={first}&submodules=false", server.url("base.git"));
    place.build(&[&url]).await.unwrap();
    // The engine tries the URL as a file; the repository is not asked for a commit that is there.
    let seen = server.take_seen();
    assert!(
        seen.iter().all(|seen| !seen.line.contains("git-upload-pack")),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_was_fetched() {
    let (_repository, server) = repository();
    let place = Place::new(Limits::default());
    let base = server.url("base.git");
    let error = place.error(&format!("{base}//base?ref=nope")).await;
    let expected =
        format!("failed to run 'git fetch --depth=1 {base} nope': fatal: couldn't find remote ref nope");
    assert!(
        error.contains("URL is a git repository") && error.contains(&expected),
        "{error}"
    );
    let error = place.error(&format!("{}//base", server.url("none.git"))).await;
    assert!(error.contains("failed to run 'git fetch --depth=1"), "{error}");
    let error = place.error(&format!("{base}//nowhere")).await;
    assert!(
        error.contains("nowhere") && !error.contains("/remote/tree"),
        "{error}"
    );
    let error = place.error("file:///etc//passwd").await;
    assert!(
        error.contains("scheme 'file' is not http, https or ssh"),
        "{error}"
    );
    let error = place.error("git@127.0.0.1:org/repo").await;
    assert!(error.contains("ssh://"), "{error}");
}

/// What one may read with credentials is not there for those without.
#[tokio::test(flavor = "multi_thread")]
async fn private_base_is_not_shared_with_those_without_credentials() {
    let repository = Repository::new();
    repository.write("kustomization.yaml", "resources: [cm.yaml]\n");
    let commit = repository.publish("cm.yaml", CONFIG_MAP);
    let access = Access {
        authorization: Some("Basic dXNlcjpodW50ZXIy".to_owned()),
        ..Access::default()
    };
    let server = GitServer::start(&[("base.git", &repository)], access);
    let place = Place::new(Limits::default());
    let public = format!("{}?ref={commit}", server.url("base.git"));
    let private = public.replace("http://", "http://user:hunter2@");
    assert_eq!(key(&place.build(&[&private]).await.unwrap()), "one");
    let error = place.error(&public).await;
    assert!(error.contains("failed to run 'git fetch"), "{error}");
    let error = place.error(&private.replace("hunter2", "hunter3")).await;
    assert!(!error.contains("hunter3"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_over_http_is_read_and_bounded() {
    let server = Server::start(|request| match request.path.as_str() {
        "/cm.yaml" => Response::new(200, CONFIG_MAP),
        _ => Response::new(404, ""),
    });
    let place = Place::new(Limits::default());
    let built = place.build(&[&server.url("/cm.yaml")]).await.unwrap();
    assert_eq!(key(&built), "one");
    assert!(built.uses_remote_bases);
    let error = place.error(&server.url("/none.yaml")).await;
    assert!(
        error.contains("HTTP Error: status code 404 (Not Found)"),
        "{error}"
    );
    let small = Place::new(Limits {
        max_file: 8,
        ..Limits::default()
    });
    let error = small.error(&server.url("/cm.yaml")).await;
    assert!(error.contains("is larger than 8 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_is_bounded_in_size_and_count() {
    let (_repository, server) = repository();
    let url = format!("{}//base", server.url("base.git"));
    for (limits, expected) in [
        (
            Limits {
                max_bytes: 50,
                ..Limits::default()
            },
            "the files of the repository are larger than 50 bytes",
        ),
        (
            Limits {
                max_entries: 2,
                ..Limits::default()
            },
            "the repository has more than 2 files and directories",
        ),
        (
            Limits {
                max_pack: 10,
                ..Limits::default()
            },
            "failed to run 'git fetch",
        ),
    ] {
        let place = Place::new(limits);
        let error = place.error(&url).await;
        assert!(error.contains(expected), "{error}");
        assert_eq!(place.trees(), 0, "what was written of it is gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_does_not_answer_ends_with_the_time_or_the_build() {
    // Accepts, and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/org/base.git?timeout=1", listener.local_addr().unwrap());
    let place = Place::new(Limits {
        max_time: Duration::from_millis(50),
        ..Limits::default()
    });
    let error = place.error(&url).await;
    assert!(error.contains("hit 50ms timeout"), "{error}");

    let place = Place::new(Limits::default());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = place.build_until(&[&url], cancel).await.unwrap_err().to_string();
    assert!(error.contains("called off"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_not_used_for_long_make_room() {
    let (repository, server) = repository();
    let place = Place::new(Limits {
        max_kept: 200,
        ..Limits::default()
    });
    for value in ["x", "y", "z"] {
        repository.publish("common/cm.yaml", &CONFIG_MAP.replace("one", value));
        let built = place
            .build(&[&format!("{}//base", server.url("base.git"))])
            .await
            .unwrap();
        assert_eq!(key(&built), value);
    }
    assert_eq!(place.trees(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_repository_lead_nowhere() {
    let (repository, server) = repository();
    std::os::unix::fs::symlink("/etc/passwd", repository.work().join("base/secret.yaml")).unwrap();
    repository.write("base/kustomization.yaml", "resources: [secret.yaml]\n");
    repository.commit("link");
    repository.push();
    let place = Place::new(Limits::default());
    let error = place.error(&format!("{}//base", server.url("base.git"))).await;
    assert!(
        error.contains("secret.yaml") && !error.contains("root:"),
        "{error}"
    );
}

#[test]
fn names_of_entries_are_one_step_down() {
    struct Entries(&'static [u8]);
    impl ferro_artifact::tree::Directory for Entries {
        fn entries(&self) -> Result<Vec<ferro_artifact::tree::Entry<'_>>, ferro_artifact::tree::TreeError> {
            let kind =
                ferro_artifact::tree::EntryKind::Directory(Box::new(ferro_artifact::tree::EmptyDirectory));
            Ok(vec![ferro_artifact::tree::Entry {
                name: self.0.to_vec(),
                kind,
            }])
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &'static [u8]| {
        let path = directory.path().join("tree");
        Tree::write(
            path,
            &Entries(name),
            &Limits::default(),
            &CancellationToken::new(),
        )
        .map(|_| ())
    };
    for name in [&b""[..], b".", b"..", b"a/b", b"/etc", b"a\0b"] {
        assert!(write(name).is_err(), "{name:?}");
    }
    for name in [&b"a"[..], b"...", b"\xff", b"a\\b"] {
        assert!(write(name).is_ok(), "{name:?}");
    }
}
