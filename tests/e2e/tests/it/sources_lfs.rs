//! Objects of Git LFS, from `git http-backend` with an LFS server beside it.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use e2e::{Case, Entry, Target, cases, config_map};
use ferro_testkit::git::{Access, Repository};
use ferro_testkit::http::Response;
use ferro_testkit::lfs::LfsServer;
use serde_json::json;

use super::sources::{failed_but_kept, stored};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["sources_lfs":
        lfs_object_of_a_private_repository_is_applied,
        lfs_object_with_another_digest_is_refused_and_the_artifact_kept,
    ]
}

/// A repository that is shown to those who know the password, and a GitRepository that does and asks for LFS objects.
async fn private(case: &Case) -> Result<(Repository, LfsServer, Target)> {
    let repository = Repository::new();
    let authorization = Some(format!("Basic {}", STANDARD.encode("reader:hunter2")));
    let access = Access {
        authorization,
        is_old: false,
    };
    let server = LfsServer::start(&[("app", &repository)], access);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "auth"},
        "stringData": {"username": "reader", "password": "hunter2"},
    });
    case.apply_object(&secret).await?;
    Ok((repository, server, case.source("app")?))
}

async fn ask(case: &Case, server: &LfsServer) -> Result<()> {
    let annotations = json!({"source.toolkit.fluxcd.io/lfs": "enabled"});
    let object = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "app", "annotations": annotations},
        "spec": {"interval": "1h", "url": server.url("app"), "ref": {"branch": "main"}, "secretRef": {"name": "auth"}},
    });
    case.apply_object(&object).await
}

/// From a pointer by way of the batch API to the cluster; the next commit downloads what is new in it.
async fn lfs_object_of_a_private_repository_is_applied(case: Case) -> Result<()> {
    let (repository, server, source) = private(&case).await?;
    let manifest = config_map("large", &[("key", "one")]);
    repository.write("large.yaml", &server.put(manifest.as_bytes()));
    let first = repository.publish("plain.yaml", &config_map("plain", &[("key", "one")]));
    ask(&case, &server).await?;
    let found = stored(&case, &source, &format!("main@sha1:{first}")).await?;
    ensure!(
        found[0] == ("large.yaml".to_owned(), manifest),
        "not the object: {found:?}"
    );
    case.kustomize("app", "app", json!({})).await?.ready().await?;
    for name in ["large", "plain"] {
        let applied = case.config_map(name)?.get().await?;
        ensure!(applied["data"]["key"] == "one", "{applied}");
    }
    let seen = server.take_seen();
    let words = seen.iter().map(|it| it.split(' ').collect::<Vec<_>>());
    let words: Vec<_> = words.collect();
    let is_asked = |it: &[&str]| it[..2] == ["POST", "/app.git/info/lfs/objects/batch"] && it.len() == 4;
    let is_sent = |it: &[&str]| it[0] == "GET" && it[1].starts_with("/lfs/");
    ensure!(
        words.len() == 2 && is_asked(&words[0]) && is_sent(&words[1]),
        "{seen:?}"
    );

    let changed = server.put(config_map("large", &[("key", "two")]).as_bytes());
    let second = repository.publish("large.yaml", &changed);
    case.fetch("app", &second).await?;
    let large = case.config_map("large")?;
    large
        .until("the new object is applied", |it| it["data"]["key"] == "two")
        .await?;
    server.take_seen();
    let third = repository.publish("plain.yaml", &config_map("plain", &[("key", "three")]));
    case.fetch("app", &third).await?;
    let seen = server.take_seen();
    ensure!(seen.is_empty(), "what is there was fetched again: {seen:?}");
    Ok(())
}

async fn lfs_object_with_another_digest_is_refused_and_the_artifact_kept(case: Case) -> Result<()> {
    let (repository, server, source) = private(&case).await?;
    let first = repository.publish("a.txt", &server.put(b"good"));
    ask(&case, &server).await?;
    let first = format!("main@sha1:{first}");
    stored(&case, &source, &first).await?;

    let pointer = server.put(b"next");
    server.transfer(|_, _| Response::new(200, Bytes::from_static(b"evil")));
    let second = repository.publish("a.txt", &pointer);
    source.request().await?;
    let digest = pointer.split("sha256:").nth(1).unwrap_or_default();
    let digest = digest.lines().next().unwrap_or_default();
    let message =
        format!("failed to fetch LFS objects: object {digest} of 'a.txt': the server sent another content");
    failed_but_kept(&case, &source, "GitOperationFailed", &message, &first).await?;

    // It is tried again without being asked.
    server.behave();
    let found = stored(&case, &source, &format!("main@sha1:{second}")).await?;
    ensure!(found == [("a.txt".to_owned(), "next".to_owned())], "{found:?}");
    Ok(())
}
