//! Git repositories that cannot be fetched: the reason is told, and the last good artifact is kept and served.

use anyhow::{Result, ensure};
use base64::Engine as _;
use e2e::{Case, Entry, cases};
use ferro_testkit::ssh::KeyPair;
use serde_json::json;

use crate::sources::{Ssh, blocking, failed_but_kept, one_commit, private_server, secret, stored};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["sources_failing":
        wrong_token_keeps_and_serves_the_last_artifact,
        unknown_authority_fails_to_fetch,
        host_key_mismatch_keeps_and_serves_the_last_artifact,
        missing_secret_is_an_authentication_failure,
        missing_branch_keeps_and_serves_the_last_artifact,
        missing_tag_and_empty_repository_are_reported,
        unreachable_server_keeps_and_serves_the_last_artifact,
    ]
}

async fn wrong_token_keeps_and_serves_the_last_artifact(case: Case) -> Result<()> {
    let (server, proxy) = private_server(&case).await?;
    let commit = server.create("app")?.commit("Begin")?;
    secret(
        &case,
        &[
            ("username", "flux"),
            ("password", "right"),
            ("ca.crt", proxy.authority()),
        ],
    )
    .await?;
    let source = case
        .git_repository(
            "app",
            &proxy.url("/app.git"),
            json!({"secretRef": {"name": "credentials"}}),
        )
        .await?;
    let revision = format!("main@sha1:{commit}");
    stored(&case, &source, &revision).await?;

    secret(
        &case,
        &[
            ("username", "flux"),
            ("password", "wrong-pAssw0rd"),
            ("ca.crt", proxy.authority()),
        ],
    )
    .await?;
    source.request().await?;
    failed_but_kept(&case, &source, "GitOperationFailed", "authentication", &revision).await?;
    let object = source.get().await?.to_string();
    ensure!(
        !object.contains("wrong-pAssw0rd"),
        "the password is in the status"
    );
    let encoded = base64::engine::general_purpose::STANDARD.encode("flux:wrong-pAssw0rd");
    ensure!(
        !object.contains(&encoded),
        "the encoded password is in the status"
    );

    secret(
        &case,
        &[
            ("username", "flux"),
            ("password", "right"),
            ("ca.crt", proxy.authority()),
        ],
    )
    .await?;
    stored(&case, &source, &revision).await?;
    source
        .expect_event("Normal", "Succeeded", "stored artifact for commit")
        .await
}

async fn unknown_authority_fails_to_fetch(case: Case) -> Result<()> {
    let (server, proxy) = private_server(&case).await?;
    server.create("app")?.commit("Begin")?;
    secret(&case, &[("username", "flux"), ("password", "right")]).await?;
    let source = case
        .git_repository(
            "app",
            &proxy.url("/app.git"),
            json!({"secretRef": {"name": "credentials"}}),
        )
        .await?;
    let object = source
        .expect("Ready", "False", "GitOperationFailed", "certificate")
        .await?;
    ensure!(object["status"]["artifact"].is_null(), "{}", object["status"]);
    Ok(())
}

async fn host_key_mismatch_keeps_and_serves_the_last_artifact(case: Case) -> Result<()> {
    let Some(ssh) = Ssh::start(&case).await? else {
        return Ok(());
    };
    let (repository, commit) = one_commit(&case)?;
    let identity = ssh.user.private.as_str();
    secret(&case, &[("identity", identity), ("known_hosts", &ssh.known())]).await?;
    let more = json!({"secretRef": {"name": "credentials"}});
    let source = case
        .git_repository("app", &ssh.server.url(repository.git_dir()), more)
        .await?;
    let revision = format!("main@sha1:{commit}");
    stored(&case, &source, &revision).await?;

    let other = blocking(&case, || KeyPair::generate("ed25519", "", &[])).await?;
    let other = ssh.server.known_hosts(&other);
    secret(&case, &[("identity", identity), ("known_hosts", &other)]).await?;
    source.request().await?;
    failed_but_kept(
        &case,
        &source,
        "GitOperationFailed",
        "knownhosts: key mismatch",
        &revision,
    )
    .await
}

async fn missing_secret_is_an_authentication_failure(case: Case) -> Result<()> {
    let (repository, commit) = one_commit(&case)?;
    let source = case
        .git_repository(
            "app",
            repository.url(),
            json!({"secretRef": {"name": "credentials"}}),
        )
        .await?;
    let message = format!("failed to get secret '{}/credentials'", case.namespace());
    source
        .expect("FetchFailed", "True", "AuthenticationFailed", &message)
        .await?;
    source
        .expect("Ready", "False", "AuthenticationFailed", &message)
        .await?;
    // It recovers by itself.
    secret(&case, &[("username", "flux"), ("password", "any")]).await?;
    stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    Ok(())
}

async fn missing_branch_keeps_and_serves_the_last_artifact(case: Case) -> Result<()> {
    let (repository, commit) = one_commit(&case)?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    let revision = format!("main@sha1:{commit}");
    stored(&case, &source, &revision).await?;
    source
        .merge(&json!({"spec": {"ref": {"branch": "none"}}}))
        .await?;
    failed_but_kept(
        &case,
        &source,
        "GitOperationFailed",
        "failed to checkout and determine revision: ",
        &revision,
    )
    .await?;
    source
        .merge(&json!({"spec": {"ref": {"branch": "main"}}}))
        .await?;
    stored(&case, &source, &revision).await?;
    Ok(())
}

async fn missing_tag_and_empty_repository_are_reported(case: Case) -> Result<()> {
    let (repository, _) = one_commit(&case)?;
    let tagged = case
        .git_repository("tagged", repository.url(), json!({"ref": {"tag": "v9"}}))
        .await?;
    tagged
        .expect(
            "Ready",
            "False",
            "GitOperationFailed",
            "failed to checkout and determine revision: ",
        )
        .await?;

    let empty = case.repository("empty")?;
    let source = case.git_repository("empty", empty.url(), json!({})).await?;
    source
        .expect(
            "FetchFailed",
            "True",
            "EmptyGitRepository",
            "git repository is empty",
        )
        .await?;
    let commit = empty.commit(&[("app.yaml", "first\n")])?;
    stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    Ok(())
}

async fn unreachable_server_keeps_and_serves_the_last_artifact(case: Case) -> Result<()> {
    let root = case.dir()?.join("gone");
    let server = xtask::gitserver::GitServer::start(&root)?;
    let repository = server.create("app")?;
    let commit = repository.commit("Begin")?;
    let source = case
        .git_repository("app", repository.url(), json!({"timeout": "5s"}))
        .await?;
    let revision = format!("main@sha1:{commit}");
    stored(&case, &source, &revision).await?;
    drop(server);
    source.request().await?;
    failed_but_kept(
        &case,
        &source,
        "GitOperationFailed",
        "failed to checkout and determine revision: ",
        &revision,
    )
    .await
}
