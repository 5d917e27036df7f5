//! Git repositories become artifacts.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Repository, Target, TlsProxy, cases, condition, config_map, text};
use ferro_testkit::ssh::{KeyPair, SshServer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) fn cases() -> Vec<Entry> {
    let mut all = cases!["sources":
        branch_new_commit_replaces_the_artifact,
        default_branch_is_master,
        tag_given_is_stored,
        semver_range_takes_the_highest_tag,
        commit_given_is_stored_although_the_branch_moved,
        ref_name_given_keeps_the_full_name,
        private_https_with_token_and_own_ca_is_fetched,
        private_ssh_with_key_and_known_hosts_is_fetched,
        submodules_asked_for_are_in_the_artifact,
        sparse_checkout_leaves_other_directories_out,
        ignore_rules_keep_files_out_of_the_artifact,
        suspended_source_does_not_look_for_commits,
        deleted_source_takes_its_artifact_along,
    ];
    all.push(
        cases!["sources": repository_of_200_mb_is_stored_in_bounded_memory]
            .remove(0)
            .within(400),
    );
    all
}

/// The stored artifact, checked: its bytes are those that its digest and size say.
pub(crate) async fn artifact(case: &Case, object: &Value) -> Result<Vec<u8>> {
    let artifact = &object["status"]["artifact"];
    let (status, bytes) = case.download(&text(artifact, "/url")).await?;
    ensure!(status == 200, "{}: status {status}", artifact["url"]);
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    ensure!(
        artifact["digest"] == format!("sha256:{digest}"),
        "{artifact} has the digest {digest}"
    );
    ensure!(
        artifact["size"] == bytes.len(),
        "{artifact} has {} bytes",
        bytes.len()
    );
    Ok(bytes)
}

/// The paths in an artifact and the contents of its files.
pub(crate) fn files(artifact: &[u8]) -> Result<Vec<(String, String)>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(artifact));
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut content = String::new();
            std::io::Read::read_to_string(&mut entry, &mut content)?;
            files.push((entry.path()?.display().to_string(), content));
        }
    }
    Ok(files)
}

pub(crate) async fn stored(case: &Case, source: &Target, revision: &str) -> Result<Vec<(String, String)>> {
    let message = format!("stored artifact for revision '{revision}'");
    let object = source.expect("Ready", "True", "Succeeded", &message).await?;
    ensure!(
        object["status"]["artifact"]["revision"] == revision,
        "{}",
        object["status"]["artifact"]
    );
    let in_storage = condition(&object, "ArtifactInStorage");
    ensure!(
        in_storage.is_some_and(|it| it["status"] == "True" && it["reason"] == "Succeeded"),
        "{}",
        object["status"]
    );
    ensure!(
        condition(&object, "Reconciling").is_none() && condition(&object, "FetchFailed").is_none(),
        "{}",
        object["status"]
    );
    ensure!(
        object["status"]["observedGeneration"] == object["metadata"]["generation"],
        "{}",
        object["status"]
    );
    files(&artifact(case, &object).await?)
}

/// A repository with one commit.
pub(crate) fn one_commit(case: &Case) -> Result<(Repository, String)> {
    let repository = case.repository("app")?;
    let commit = repository.commit(&[("app.yaml", &config_map("app", &[("key", "one")]))])?;
    Ok((repository, commit))
}

/// The source says why it cannot fetch, and still has the artifact of `revision`, which is still served.
pub(crate) async fn failed_but_kept(
    case: &Case,
    source: &Target,
    reason: &str,
    message: &str,
    revision: &str,
) -> Result<()> {
    let object = source.expect("FetchFailed", "True", reason, message).await?;
    let object = match condition(&object, "Ready") {
        Some(ready) if ready["reason"] == reason => object,
        _ => source.expect("Ready", "False", reason, message).await?,
    };
    ensure!(
        object["status"]["artifact"]["revision"] == revision,
        "{}",
        object["status"]
    );
    ensure!(
        condition(&object, "ArtifactInStorage").is_some_and(|it| it["status"] == "True"),
        "{}",
        object["status"]
    );
    source
        .expect("Reconciling", "True", "ProgressingWithRetry", "")
        .await?;
    artifact(case, &object).await?;
    source.expect_event("Warning", reason, message).await
}

async fn branch_new_commit_replaces_the_artifact(case: Case) -> Result<()> {
    let (repository, first) = one_commit(&case)?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    let found = stored(&case, &source, &format!("main@sha1:{first}")).await?;
    ensure!(
        found == [("app.yaml".to_owned(), config_map("app", &[("key", "one")]))],
        "{found:?}"
    );
    source
        .expect_event(
            "Normal",
            "NewArtifact",
            "stored artifact for commit 'Change the files'",
        )
        .await?;

    let second = repository.commit(&[("app.yaml", "two\n"), ("run.sh", "#!/bin/sh\n")])?;
    case.fetch("app", &second).await?;
    let found = stored(&case, &source, &format!("main@sha1:{second}")).await?;
    ensure!(
        found
            == [
                ("app.yaml".to_owned(), "two\n".to_owned()),
                ("run.sh".to_owned(), "#!/bin/sh\n".to_owned())
            ],
        "{found:?}"
    );

    // Nothing new: nothing is written but the token.
    let before = source.get().await?;
    let after = source.reconcile().await?;
    ensure!(
        before["status"]["artifact"] == after["status"]["artifact"],
        "{}",
        after["status"]
    );
    ensure!(
        before["status"]["conditions"] == after["status"]["conditions"],
        "{}",
        after["status"]
    );
    Ok(())
}

async fn default_branch_is_master(case: Case) -> Result<()> {
    let (repository, _) = one_commit(&case)?;
    repository.git(&["checkout", "--quiet", "-b", "master"])?;
    let commit = repository.commit(&[("app.yaml", "on master\n")])?;
    let source = case
        .git_repository("app", repository.url(), json!({"ref": null}))
        .await?;
    stored(&case, &source, &format!("master@sha1:{commit}")).await?;
    Ok(())
}

async fn tag_given_is_stored(case: Case) -> Result<()> {
    let (repository, commit) = one_commit(&case)?;
    repository.git(&["tag", "--annotate", "--message=Release", "v1.0.0"])?;
    repository.commit(&[("app.yaml", "later\n")])?;
    let source = case
        .git_repository("app", repository.url(), json!({"ref": {"tag": "v1.0.0"}}))
        .await?;
    // An annotated tag stands for its commit.
    let found = stored(&case, &source, &format!("v1.0.0@sha1:{commit}")).await?;
    ensure!(found.iter().all(|(_, content)| content != "later\n"), "{found:?}");
    Ok(())
}

async fn semver_range_takes_the_highest_tag(case: Case) -> Result<()> {
    let (repository, _) = one_commit(&case)?;
    let mut commits = Vec::new();
    for tag in ["v1.2.0", "1.10.0", "1.9.0", "v2.0.0", "1.11.0-rc.1", "1.99"] {
        commits.push(repository.commit(&[("app.yaml", tag)])?);
        repository.git(&["tag", tag])?;
    }
    let source = case
        .git_repository(
            "app",
            repository.url(),
            json!({"ref": {"semver": ">=1.2.0 <2.0.0"}}),
        )
        .await?;
    stored(&case, &source, &format!("1.10.0@sha1:{}", commits[1])).await?;

    repository.git(&["tag", "1.10.1"])?;
    let latest = commits.pop().unwrap_or_default();
    source.request().await?;
    stored(&case, &source, &format!("1.10.1@sha1:{latest}")).await?;

    source
        .merge(&json!({"spec": {"ref": {"semver": ">=3.0.0"}}}))
        .await?;
    let message = "no match found for semver: >=3.0.0";
    failed_but_kept(
        &case,
        &source,
        "GitOperationFailed",
        message,
        &format!("1.10.1@sha1:{latest}"),
    )
    .await
}

async fn commit_given_is_stored_although_the_branch_moved(case: Case) -> Result<()> {
    let (repository, commit) = one_commit(&case)?;
    repository.commit(&[("app.yaml", "later\n")])?;
    let reference = json!({"ref": {"branch": "main", "commit": commit}});
    let source = case.git_repository("app", repository.url(), reference).await?;
    stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    source.merge(&json!({"spec": {"ref": {"branch": null}}})).await?;
    stored(&case, &source, &format!("sha1:{commit}")).await?;
    Ok(())
}

async fn ref_name_given_keeps_the_full_name(case: Case) -> Result<()> {
    let (repository, commit) = one_commit(&case)?;
    repository.git(&["update-ref", "refs/pull/420/head", &commit])?;
    repository.commit(&[("app.yaml", "later\n")])?;
    let reference = json!({"ref": {"name": "refs/pull/420/head"}});
    let source = case.git_repository("app", repository.url(), reference).await?;
    stored(&case, &source, &format!("refs/pull/420/head@sha1:{commit}")).await?;
    let reference = json!({"spec": {"ref": {"name": "refs/heads/none"}}});
    source.merge(&reference).await?;
    let message = "unable to resolve ref 'refs/heads/none' to a specific commit";
    failed_but_kept(
        &case,
        &source,
        "GitOperationFailed",
        message,
        &format!("refs/pull/420/head@sha1:{commit}"),
    )
    .await
}

pub(crate) async fn secret(case: &Case, data: &[(&str, &str)]) -> Result<()> {
    let data: serde_json::Map<String, Value> = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials"}, "stringData": data});
    case.apply_object(&secret).await
}

/// A server that wants a password, behind TLS with an authority of its own.
pub(crate) async fn private_server(case: &Case) -> Result<(xtask::gitserver::GitServer, TlsProxy)> {
    let root = case.dir()?.join("private");
    let server = xtask::gitserver::GitServer::start_private(&root, "flux", "right")?;
    let proxy = TlsProxy::start(server.address()).await?;
    Ok((server, proxy))
}

async fn private_https_with_token_and_own_ca_is_fetched(case: Case) -> Result<()> {
    let (server, proxy) = private_server(&case).await?;
    let repository = server.create("app")?;
    repository.write("app.yaml", "private\n")?;
    let commit = repository.commit("Begin")?;
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
    let found = stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    ensure!(
        found == [("app.yaml".to_owned(), "private\n".to_owned())],
        "{found:?}"
    );
    Ok(())
}

async fn private_ssh_with_key_and_known_hosts_is_fetched(case: Case) -> Result<()> {
    let Some(ssh) = Ssh::start(&case).await? else {
        return Ok(());
    };
    let (repository, commit) = one_commit(&case)?;
    secret(
        &case,
        &[("identity", &ssh.user.private), ("known_hosts", &ssh.known())],
    )
    .await?;
    let more = json!({"secretRef": {"name": "credentials"}});
    let source = case
        .git_repository("app", &ssh.server.url(repository.git_dir()), more)
        .await?;
    let revision = format!("main@sha1:{commit}");
    stored(&case, &source, &revision).await?;

    // Another key: the server does not let us in.
    let stranger = blocking(&case, || KeyPair::generate("ed25519", "", &[])).await?;
    secret(
        &case,
        &[("identity", &stranger.private), ("known_hosts", &ssh.known())],
    )
    .await?;
    source.request().await?;
    failed_but_kept(&case, &source, "GitOperationFailed", "authenticat", &revision).await
}

/// OpenSSH's server, with its key and the one of the user that it lets in.
pub(crate) struct Ssh {
    pub(crate) server: SshServer,
    pub(crate) host: KeyPair,
    pub(crate) user: KeyPair,
}

impl Ssh {
    /// None, and a word of it, where OpenSSH's server is not installed.
    pub(crate) async fn start(case: &Case) -> Result<Option<Self>> {
        if !ferro_testkit::ssh::is_available() {
            case.skip("no sshd, install OpenSSH's server");
            return Ok(None);
        }
        let start = || {
            let [host, user] = [(), ()].map(|()| KeyPair::generate("ed25519", "", &[]));
            let server = SshServer::start(&[&host], &[&user], &[]);
            Self { server, host, user }
        };
        blocking(case, start).await.map(Some)
    }

    /// The line of `known_hosts` that is right.
    pub(crate) fn known(&self) -> String {
        self.server.known_hosts(&self.host)
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    case: &Case,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    case.blocking(move |_| Ok(work())).await
}

async fn submodules_asked_for_are_in_the_artifact(case: Case) -> Result<()> {
    let library = case.repository("library")?;
    library.commit(&[("library.yaml", "from the submodule\n")])?;
    let (repository, _) = one_commit(&case)?;
    repository.git(&[
        "-c",
        "protocol.allow=always",
        "submodule",
        "--quiet",
        "add",
        library.url(),
        "vendor/library",
    ])?;
    let commit = repository.commit(&[])?;
    let source = case
        .git_repository("app", repository.url(), json!({"recurseSubmodules": true}))
        .await?;
    let found = stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    ensure!(found.iter().any(|(path, content)| path == "vendor/library/library.yaml" && content == "from the submodule\n"), "{found:?}");
    // A change of the setting alone makes a new artifact of the same revision.
    source
        .merge(&json!({"spec": {"recurseSubmodules": false}}))
        .await?;
    let object = source
        .until("the setting is observed", |it| {
            it["status"]["observedRecurseSubmodules"] != true
                && it["status"]["observedGeneration"] == it["metadata"]["generation"]
        })
        .await?;
    let found = files(&artifact(&case, &object).await?)?;
    ensure!(
        found
            .iter()
            .all(|(path, _)| path != "vendor/library/library.yaml"),
        "{found:?}"
    );
    Ok(())
}

async fn sparse_checkout_leaves_other_directories_out(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let commit = repository.commit(&[
        ("apps/a.yaml", "a\n"),
        ("infra/b.yaml", "b\n"),
        ("top.yaml", "top\n"),
    ])?;
    let source = case
        .git_repository("app", repository.url(), json!({"sparseCheckout": ["./apps"]}))
        .await?;
    let found = stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    ensure!(found.iter().any(|(path, _)| path == "apps/a.yaml"), "{found:?}");
    ensure!(found.iter().all(|(path, _)| path != "infra/b.yaml"), "{found:?}");
    source
        .merge(&json!({"spec": {"sparseCheckout": ["apps", "none"]}}))
        .await?;
    source
        .expect(
            "FetchFailed",
            "True",
            "GitOperationFailed",
            "failed to sparse checkout directories : ",
        )
        .await?;
    Ok(())
}

async fn ignore_rules_keep_files_out_of_the_artifact(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let files = [
        ("app.yaml", "app\n"),
        ("docs/read.md", "text\n"),
        (".github/ci.yaml", "ci\n"),
        ("logo.png", "png"),
    ];
    let commit = repository.commit(&files)?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    let paths = |found: Vec<(String, String)>| found.into_iter().map(|it| it.0).collect::<Vec<_>>();
    // Without rules of the user's: what is of no use in a cluster.
    let found = stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    let found = paths(found);
    ensure!(found == ["app.yaml", "docs/read.md"], "{found:?}");

    // One rule of the user's, and only that one holds.
    let commit = repository.commit(&[(".sourceignore", "docs/\n")])?;
    source.request().await?;
    let found = paths(stored(&case, &source, &format!("main@sha1:{commit}")).await?);
    ensure!(
        found == [".github/ci.yaml", ".sourceignore", "app.yaml", "logo.png"],
        "{found:?}"
    );

    // Those of the spec come last.
    let rules = "/*\n!/docs\n";
    source.merge(&json!({"spec": {"ignore": rules}})).await?;
    let object = source
        .until("the rules are observed", |it| {
            text(it, "/status/observedIgnore") == rules
        })
        .await?;
    let found = paths(self::files(&artifact(&case, &object).await?)?);
    ensure!(found == ["docs/read.md"], "{found:?}");
    Ok(())
}

async fn suspended_source_does_not_look_for_commits(case: Case) -> Result<()> {
    let (repository, first) = one_commit(&case)?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    stored(&case, &source, &format!("main@sha1:{first}")).await?;
    source.merge(&json!({"spec": {"suspend": true}})).await?;
    let second = repository.commit(&[("app.yaml", "later\n")])?;
    // The request is answered, and nothing else happens.
    let object = source.reconcile().await?;
    ensure!(
        object["status"]["artifact"]["revision"] == format!("main@sha1:{first}"),
        "{}",
        object["status"]
    );
    source.merge(&json!({"spec": {"suspend": false}})).await?;
    stored(&case, &source, &format!("main@sha1:{second}")).await?;
    Ok(())
}

async fn deleted_source_takes_its_artifact_along(case: Case) -> Result<()> {
    let (repository, commit) = one_commit(&case)?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    stored(&case, &source, &format!("main@sha1:{commit}")).await?;
    let url = text(&source.get().await?, "/status/artifact/url");
    source.delete().await?;
    source.gone().await?;
    let (status, _) = case.download(&url).await?;
    ensure!(status == 404, "{url}: status {status}");
    Ok(())
}

async fn repository_of_200_mb_is_stored_in_bounded_memory(case: Case) -> Result<()> {
    const MEGABYTE: usize = 1 << 20;
    let repository = case.repository("large")?;
    // Incompressible, so that nothing on the way can make it small.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for file in 0..50 {
        let mut bytes = Vec::with_capacity(4 * MEGABYTE);
        while bytes.len() < 4 * MEGABYTE {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        repository.write(&format!("blobs/{file}.bin"), &bytes)?;
    }
    let commit = repository.commit(&[("app.yaml", &config_map("app", &[]))])?;
    let source = case
        .git_repository("large", repository.url(), json!({"timeout": "5m"}))
        .await?;
    let message = format!("stored artifact for revision 'main@sha1:{commit}'");
    let object = source
        .expect_within(Duration::from_secs(300), "Ready", "True", "Succeeded", &message)
        .await?;
    let size = object["status"]["artifact"]["size"].as_u64().unwrap_or_default();
    ensure!(size > 200 << 20, "{}", object["status"]["artifact"]);
    let peak = case.world().peak_memory("source-controller")?;
    ensure!(peak < 300 << 20, "source-controller needed {} MiB", peak >> 20);
    Ok(())
}
