//! A private repository of Gitea, by each of the ways in which people give a controller access to it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Gitea, Repository, Target, cases, config_map};
use ferro_testkit::ssh::KeyPair;
use serde_json::{Value, json};

use super::sources::{failed_but_kept, stored};

pub(crate) fn cases() -> Vec<Entry> {
    let all = cases!["sources_gitea": private_repository_of_gitea_is_fetched_each_way];
    // The program may have to be built first.
    all.into_iter().map(|it| it.within(900)).collect()
}

/// Names of the GitRepositories, and what they are given.
struct Way {
    name: &'static str,
    url: String,
    secret: Value,
}

async fn private_repository_of_gitea_is_fetched_each_way(case: Case) -> Result<()> {
    let dir = case.dir()?;
    let gitea = case.blocking(move |world| Gitea::start(world, &dir)).await?;
    let Some(gitea) = gitea.map(Arc::new) else {
        case.skip("no go and cc to build Gitea with");
        return Ok(());
    };
    let repository = case.repository("app")?;
    repository.commit(&[("app.yaml", &config_map("app", &[("key", "one")]))])?;
    push(&repository, &gitea)?;
    let (key, server) = (KeyPair::generate("ed25519", "", &[]), Arc::clone(&gitea));
    let ways = case
        .blocking(move |_| {
            server.add_deploy_key("app", &key)?;
            ways(&server, &key)
        })
        .await?;

    // An object of Git LFS, which is asked for with the same credentials.
    let server = Arc::clone(&gitea);
    let pointer = case.blocking(move |_| server.put_object("app", b"large")).await?;
    let commit = repository.commit(&[("object.txt", &pointer)])?;
    push(&repository, &gitea)?;
    let revision = format!("main@sha1:{commit}");
    for way in &ways {
        let source = create(&case, way).await?;
        let found = stored(&case, &source, &revision).await?;
        ensure!(
            found[1] == ("object.txt".to_owned(), "large".to_owned()),
            "{}: {found:?}",
            way.name
        );
    }
    let commit = repository.commit(&[("app.yaml", "two\n")])?;
    push(&repository, &gitea)?;
    for way in &ways {
        case.fetch(way.name, &commit).await?;
    }
    refused(&case, &ways, &format!("main@sha1:{commit}")).await
}

fn ways(gitea: &Gitea, key: &KeyPair) -> Result<Vec<Way>> {
    let account = |password: &str| json!({"username": Gitea::USER, "password": password});
    let url = gitea.url("app");
    Ok(vec![
        Way {
            name: "password",
            url: url.clone(),
            secret: account(Gitea::PASSWORD),
        },
        Way {
            name: "token",
            url,
            secret: account(&gitea.token()?),
        },
        Way {
            name: "deploy-key",
            url: gitea.ssh_url("app"),
            secret: json!({"identity": key.private, "known_hosts": gitea.known_hosts()}),
        },
    ])
}

fn push(repository: &Repository, gitea: &Gitea) -> Result<()> {
    let url = gitea.push_url("app");
    repository
        .git(&["push", "--quiet", &url, "HEAD:refs/heads/main"])
        .map(drop)
}

async fn secret(case: &Case, name: &str, data: &Value) -> Result<()> {
    let metadata = json!({"name": name});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
    case.apply_object(&secret).await
}

async fn create(case: &Case, way: &Way) -> Result<Target> {
    secret(case, way.name, &way.secret).await?;
    let annotations = json!({"source.toolkit.fluxcd.io/lfs": "enabled"});
    let spec =
        json!({"interval": "1h", "url": way.url, "ref": {"branch": "main"}, "secretRef": {"name": way.name}});
    let object = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": way.name, "annotations": annotations}, "spec": spec,
    });
    case.apply_object(&object).await?;
    case.source(way.name)
}

/// Who has no access any more is told so, and keeps what there is.
async fn refused(case: &Case, ways: &[Way], revision: &str) -> Result<()> {
    let stranger = KeyPair::generate("ed25519", "", &[]);
    for (way, message) in ways.iter().zip([REFUSED_HTTP, REFUSED_HTTP, REFUSED_SSH]) {
        let mut data = way.secret.clone();
        match data.get_mut("password") {
            Some(password) => *password = json!("wrong"),
            None => data["identity"] = json!(stranger.private),
        }
        secret(case, way.name, &data).await?;
        let source = case.source(way.name)?;
        source.request().await?;
        failed_but_kept(case, &source, "GitOperationFailed", message, revision).await?;
    }
    Ok(())
}

const REFUSED_HTTP: &str = "authentication required";
const REFUSED_SSH: &str = "unable to authenticate";
