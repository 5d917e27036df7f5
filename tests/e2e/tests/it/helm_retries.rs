//! Obstacles that go away: releases that were given up and are asked for again by annotations, those that are tried again by themselves,
//! and a release that cannot be unlocked. What stands in the way is that the account of the release lacks a right.

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, Target, cases, condition};
use serde_json::{Value, json};

use crate::helm_releases::{Charts, SOUND, has, has_history, record, release};
use crate::helm_waits::pending_after_first;

pub(crate) fn cases() -> Vec<Entry> {
    cases!["helm_retries":
        release_that_cannot_be_unlocked_is_told_and_unlocked_when_it_can,
        records_that_cannot_be_read_or_written_are_told_in_helms_words,
        exhausted_release_is_tried_again_when_it_is_reset,
        exhausted_release_is_upgraded_once_when_it_is_forced,
        failed_install_is_retried_at_its_interval_until_it_succeeds,
        failed_upgrade_is_retried_and_not_rolled_back,
    ]
}

/// All that a release with a ConfigMap needs.
const ALL: [(&str, &[&str]); 2] = [("secrets", &["*"]), ("configmaps", &["*"])];
/// The same without the ConfigMap.
const RECORDS_ONLY: [(&str, &[&str]); 1] = [("secrets", &["*"])];

/// The records after an install and an upgrade that have failed and an upgrade that has not: as Helm has it, it takes the place of the
/// newest.
const AFTER_FAILURES: [&str; 3] = ["1 failed", "2 superseded", "3 deployed"];

/// Lets the account `tenant` of the case's namespace do this there, and nothing else.
async fn allow(case: &Case, rights: &[(&str, &[&str])]) -> Result<()> {
    let rules: Vec<Value> = rights
        .iter()
        .map(|(resource, verbs)| json!({ "apiGroups": [""], "resources": [resource], "verbs": verbs }))
        .collect();
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    case.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: tenant}\n")
        .await?;
    case.apply_object(
        &json!({ "apiVersion": version, "kind": "Role", "metadata": { "name": "tenant" }, "rules": rules }),
    )
    .await?;
    let subject = json!({ "kind": "ServiceAccount", "name": "tenant", "namespace": case.namespace() });
    let role = json!({ "apiGroup": group, "kind": "Role", "name": "tenant" });
    case.apply_object(
        &json!({ "apiVersion": version, "kind": "RoleBinding", "metadata": { "name": "tenant" },
        "roleRef": role, "subjects": [subject] }),
    )
    .await?;
    for (resource, verbs) in rights {
        for verb in verbs.iter().filter(|verb| **verb != "*") {
            is_allowed(case, verb, resource, true).await?;
        }
    }
    for (verb, resource) in [
        ("update", "secrets"),
        ("list", "secrets"),
        ("patch", "configmaps"),
    ] {
        let granted = rights
            .iter()
            .any(|(name, verbs)| *name == resource && (verbs.contains(&verb) || verbs.contains(&"*")));
        is_allowed(case, verb, resource, granted).await?;
    }
    Ok(())
}

/// Waits until the API server's authorizer knows whether the account may do that.
async fn is_allowed(case: &Case, verb: &str, resource: &str, expected: bool) -> Result<()> {
    let account = format!("--as=system:serviceaccount:{}:tenant", case.namespace());
    let end = tokio::time::Instant::now() + e2e::PATIENCE;
    loop {
        let (verb, resource, account) = (verb.to_owned(), resource.to_owned(), account.clone());
        let namespace = case.namespace().to_owned();
        let asked = case
            .blocking(move |world| {
                let args = ["auth", "can-i", &verb, &resource, "-n", &namespace, &account];
                // It fails where the answer is no.
                Ok(world.kubectl(&args).is_ok())
            })
            .await?;
        if asked == expected {
            return Ok(());
        }
        ensure!(
            tokio::time::Instant::now() < end,
            "the account's rights have not changed"
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// What the API server says of a request of the account that it has no right to.
fn forbidden(case: &Case, verb: &str, resource: &str, name: &str) -> String {
    let namespace = case.namespace();
    let name = match name {
        "" => String::new(),
        name => format!(" \"{name}\""),
    };
    format!(
        "{resource}{name} is forbidden: User \"system:serviceaccount:{namespace}:tenant\" cannot {verb} resource \"{resource}\" in API group \"\" in the namespace \"{namespace}\""
    )
}

/// Asks for a reconcile, and for more than that, as users do; the token.
async fn annotate(case: &Case, names: &[&str]) -> Result<String> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let token = format!("asked-{count}");
    let namespace = case.namespace().to_owned();
    let values: Vec<String> = names
        .iter()
        .map(|name| format!("reconcile.fluxcd.io/{name}={token}"))
        .collect();
    case.blocking(move |world| {
        let mut args = vec!["annotate", "--overwrite", "-n", &namespace, "helmrelease/app"];
        args.extend(values.iter().map(String::as_str));
        world.kubectl(&args)
    })
    .await?;
    Ok(token)
}

/// Waits until a request is answered and its reconcile is over.
async fn answered(release: &Target, token: &str) -> Result<Value> {
    let is_over = |it: &Value| {
        it["status"]["lastHandledReconcileAt"] == token
            && condition(it, "Ready").is_some_and(|ready| ready["status"] != "Unknown")
            && condition(it, "Reconciling").is_none_or(|it| it["reason"] == "ProgressingWithRetry")
    };
    release.until("the request is answered", is_over).await
}

/// The counters of failures: of all, of installs and of upgrades.
fn counters(object: &Value) -> [u64; 3] {
    ["failures", "installFailures", "upgradeFailures"]
        .map(|name| object["status"][name].as_u64().unwrap_or_default())
}

fn counted(object: &Value, expected: [u64; 3]) -> Result<()> {
    ensure!(counters(object) == expected, "{}", object["status"]);
    Ok(())
}

fn has_condition(object: &Value, kind: &str, expected: (&str, &str, &str)) -> Result<()> {
    let found = condition(object, kind).with_context(|| format!("no {kind}: {}", object["status"]))?;
    let (status, reason, message) = expected;
    ensure!(
        found["status"] == status && found["reason"] == reason && found["message"] == message,
        "{found}"
    );
    Ok(())
}

fn lacks(object: &Value, kinds: &[&str]) -> Result<()> {
    for kind in kinds {
        ensure!(condition(object, kind).is_none(), "{}", object["status"]);
    }
    Ok(())
}

fn stalled(object: &Value, message: &str) -> Result<()> {
    lacks(object, &["Reconciling"])?;
    has_condition(object, "Stalled", ("True", "RetriesExceeded", message))
}

/// What an action on the release says.
fn told(case: &Case, action: &str, outcome: &str, revision: &str) -> String {
    let namespace = case.namespace();
    format!("Helm {action} {outcome} for release {namespace}/app{revision} with chart app@1.0.0")
}

/// What an action says that may not write the chart's object.
fn refused(case: &Case, action: &str) -> String {
    let problem = forbidden(case, "patch", "configmaps", "app");
    let object = format!("{}/app /v1, Kind=ConfigMap", case.namespace());
    format!(
        "{}: server-side apply failed for object {object}: {problem}",
        told(case, action, "failed", "")
    )
}

/// No reason of an event speaks of remediation.
async fn was_never_remediated(release: &Target) -> Result<()> {
    for event in release.events().await? {
        let is_remediation = event.reason.starts_with("Rollback") || event.reason.starts_with("Uninstall");
        ensure!(!is_remediation, "{event:?}");
    }
    Ok(())
}

/// `revision status` of each of Helm's records, the oldest first.
async fn has_records(case: &Case, expected: &[&str]) -> Result<()> {
    crate::helm_killed::has_records(case, "app", expected).await
}

/// Applies the HelmRelease with the rights of the account.
async fn release_as_tenant(case: &Case, more: &[(&str, Value)]) -> Result<Target> {
    let account = ("serviceAccountName", json!("tenant"));
    let more: Vec<_> = std::iter::once(account).chain(more.iter().cloned()).collect();
    release(case, &more).await
}

async fn release_that_cannot_be_unlocked_is_told_and_unlocked_when_it_can(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    allow(&case, &ALL).await?;
    let release = release_as_tenant(&case, &[]).await?;
    release.ready().await?;
    allow(
        &case,
        &[
            ("secrets", &["get", "list", "create", "delete"]),
            ("configmaps", &["*"]),
        ],
    )
    .await?;
    // As a process leaves it that was killed during an upgrade.
    pending_after_first(&case, "helm-controller").await?;
    release.request().await?;
    let secret = "sh.helm.release.v1.app.v2";
    let message = format!(
        "Unlock of Helm release {}/app.v2 with chart app@1.0.0 in pending-upgrade state failed: update: failed to update: {}",
        case.namespace(),
        forbidden(&case, "update", "secrets", secret)
    );
    let object = release
        .expect("Ready", "False", "PendingRelease", &message)
        .await?;
    for kind in ["Ready", "Released"] {
        has_condition(&object, kind, ("False", "PendingRelease", &message))?;
    }
    lacks(&object, &["Stalled"])?;
    release
        .expect_event("Warning", "PendingRelease", &message)
        .await?;
    // It is tried again and again, and counts as no failure of an upgrade.
    let object = release
        .until("it was tried again", |it| counters(it)[0] >= 2)
        .await?;
    ensure!(counters(&object)[1..] == [0, 0], "{}", object["status"]);
    has_history(&object, &["1 deployed"])?;
    has_records(&case, &["1 deployed", "2 pending-upgrade"]).await?;

    allow(&case, &ALL).await?;
    let object = release
        .expect(
            "Ready",
            "True",
            "UpgradeSucceeded",
            &told(&case, "upgrade", "succeeded", ".v3"),
        )
        .await?;
    let message = format!(
        "Unlocked Helm release {}/app.v2 with chart app@1.0.0 in pending-upgrade state",
        case.namespace()
    );
    release.expect_event("Normal", "PendingRelease", &message).await?;
    ensure!(counters(&object)[1..] == [0, 0], "{}", object["status"]);
    lacks(&object, &["Stalled"])?;
    has_records(&case, &["1 superseded", "2 failed", "3 deployed"]).await
}

async fn records_that_cannot_be_read_or_written_are_told_in_helms_words(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    allow(&case, &[("configmaps", &["*"])]).await?;
    let release = release_as_tenant(&case, &[]).await?;
    let message = format!(
        "Could not determine release state: failed to retrieve last release from storage: query: failed to query with labels: {}",
        forbidden(&case, "list", "secrets", "")
    );
    let object = release.expect("Ready", "False", "StateError", &message).await?;
    has_condition(&object, "Ready", ("False", "StateError", &message))?;
    counted(&object, [0, 0, 0])?;

    allow(
        &case,
        &[("secrets", &["get", "list", "delete"]), ("configmaps", &["*"])],
    )
    .await?;
    let message = format!(
        "{}: create: failed to create: {}",
        told(&case, "install", "failed", ""),
        forbidden(&case, "create", "secrets", "")
    );
    let object = release
        .expect("Ready", "False", "InstallFailed", &message)
        .await?;
    has_condition(&object, "Released", ("False", "InstallFailed", &message))?;
    // Without a record nothing was begun that could have failed.
    ensure!(counters(&object)[1..] == [0, 0], "{}", object["status"]);
    lacks(&object, &["Stalled"])?;
    release.expect_event("Warning", "InstallFailed", &message).await?;

    // Somebody has a Secret of that name that is no record.
    let taken = record(&case, 1)?;
    let name = json!({ "name": taken.name() });
    taken
        .create(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": name }))
        .await?;
    allow(&case, &ALL).await?;
    let message = format!(
        "{}: release: already exists",
        told(&case, "install", "failed", "")
    );
    release
        .expect("Ready", "False", "InstallFailed", &message)
        .await?;
    taken.delete().await?;
    let message = told(&case, "install", "succeeded", ".v1");
    let object = release
        .expect("Ready", "True", "InstallSucceeded", &message)
        .await?;
    has_history(&object, &["1 deployed"])?;
    has_records(&case, &["1 deployed"]).await
}

/// A release that was given up because its account may not write the chart's object.
async fn given_up(case: &Case) -> Result<Target> {
    allow(case, &RECORDS_ONLY).await?;
    let release = release_as_tenant(case, &[]).await?;
    let attempts = "Failed to install after 1 attempt(s)";
    let object = release
        .expect("Stalled", "True", "RetriesExceeded", attempts)
        .await?;
    let refused = refused(case, "install");
    has_condition(&object, "Ready", ("False", "InstallFailed", &refused))?;
    counted(&object, [1, 1, 0])?;
    // Asked for nothing but a look, it stays so.
    let token = annotate(case, &["requestedAt"]).await?;
    let object = answered(&release, &token).await?;
    stalled(&object, attempts)?;
    counted(&object, [1, 1, 0])?;
    has_records(case, &["1 failed"]).await?;
    Ok(release)
}

async fn exhausted_release_is_tried_again_when_it_is_reset(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    let release = given_up(&case).await?;

    // What came without a request to reconcile is used up, and not followed.
    let alone = annotate(&case, &["resetAt"]).await?;
    let token = annotate(&case, &["requestedAt"]).await?;
    let object = answered(&release, &token).await?;
    counted(&object, [1, 1, 0])?;
    ensure!(
        object["status"]["lastHandledResetAt"] == *alone,
        "{}",
        object["status"]
    );

    // The failures are forgotten, so that it is tried once more: by an upgrade, as there is a revision.
    let token = annotate(&case, &["requestedAt", "resetAt"]).await?;
    let object = answered(&release, &token).await?;
    stalled(&object, "Failed to upgrade after 1 attempt(s)")?;
    let refused = refused(&case, "upgrade");
    has_condition(&object, "Ready", ("False", "UpgradeFailed", &refused))?;
    counted(&object, [1, 0, 1])?;
    let status = &object["status"];
    ensure!(
        status["lastHandledResetAt"] == *token && status["lastHandledForceAt"].is_null(),
        "{status}"
    );
    has_history(&object, &["2 failed", "1 failed"])?;
    has_records(&case, &["1 failed", "2 failed"]).await?;

    allow(&case, &ALL).await?;
    let token = annotate(&case, &["requestedAt", "resetAt"]).await?;
    let object = answered(&release, &token).await?;
    let succeeded = told(&case, "upgrade", "succeeded", ".v3");
    for kind in ["Ready", "Released"] {
        has_condition(&object, kind, ("True", "UpgradeSucceeded", &succeeded))?;
    }
    lacks(&object, &["Stalled", "Reconciling", "Remediated"])?;
    counted(&object, [0, 0, 0])?;
    ensure!(
        object["status"]["lastHandledResetAt"] == *token,
        "{}",
        object["status"]
    );
    has_records(&case, &AFTER_FAILURES).await?;
    has(&case, "chart", "1.0.0").await?;

    // Of one that is as it should be there is nothing to reset.
    let token = annotate(&case, &["requestedAt", "resetAt"]).await?;
    let object = answered(&release, &token).await?;
    ensure!(
        object["status"]["lastHandledResetAt"] == *token,
        "{}",
        object["status"]
    );
    has_records(&case, &AFTER_FAILURES).await?;
    was_never_remediated(&release).await
}

async fn exhausted_release_is_upgraded_once_when_it_is_forced(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    let release = given_up(&case).await?;

    // Nothing is forgotten: the next failure counts on.
    let token = annotate(&case, &["requestedAt", "forceAt"]).await?;
    let object = answered(&release, &token).await?;
    stalled(&object, "Failed to upgrade after 1 attempt(s)")?;
    counted(&object, [2, 1, 1])?;
    let status = &object["status"];
    ensure!(
        status["lastHandledForceAt"] == *token && status["lastHandledResetAt"].is_null(),
        "{status}"
    );
    has_records(&case, &["1 failed", "2 failed"]).await?;
    // Forced it was, and is no more.
    let request = annotate(&case, &["requestedAt"]).await?;
    let object = answered(&release, &request).await?;
    counted(&object, [2, 1, 1])?;
    ensure!(
        object["status"]["lastHandledForceAt"] == *token,
        "{}",
        object["status"]
    );
    has_records(&case, &["1 failed", "2 failed"]).await?;

    allow(&case, &ALL).await?;
    let token = annotate(&case, &["requestedAt", "forceAt"]).await?;
    let object = answered(&release, &token).await?;
    let succeeded = told(&case, "upgrade", "succeeded", ".v3");
    has_condition(&object, "Ready", ("True", "UpgradeSucceeded", &succeeded))?;
    lacks(&object, &["Stalled", "Reconciling", "Remediated"])?;
    // As upstream has it, a success by force ends no counting.
    counted(&object, [2, 1, 1])?;
    has_records(&case, &AFTER_FAILURES).await?;

    // One that is as it should be is upgraded all the same, once.
    let token = annotate(&case, &["requestedAt", "forceAt"]).await?;
    let object = release
        .expect(
            "Ready",
            "True",
            "UpgradeSucceeded",
            &told(&case, "upgrade", "succeeded", ".v4"),
        )
        .await?;
    ensure!(
        object["status"]["lastHandledForceAt"] == *token,
        "{}",
        object["status"]
    );
    let request = annotate(&case, &["requestedAt"]).await?;
    let object = answered(&release, &request).await?;
    has_history(&object, &["4 deployed", "3 superseded"])?;
    has_records(&case, &["1 failed", "2 superseded", "3 superseded", "4 deployed"]).await?;
    was_never_remediated(&release).await
}

/// The strategy of an action.
fn retrying(interval: &str) -> Value {
    json!({ "strategy": { "name": "RetryOnFailure", "retryInterval": interval } })
}

async fn failed_install_is_retried_at_its_interval_until_it_succeeds(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    allow(&case, &RECORDS_ONLY).await?;
    let more = [("install", retrying("1s")), ("upgrade", retrying("1s"))];
    let release = release_as_tenant(&case, &more).await?;
    let refused_install = refused(&case, "install");
    let object = release
        .expect("Reconciling", "True", "ProgressingWithRetry", "retrying after 1s")
        .await?;
    has_condition(&object, "Ready", ("False", "InstallFailed", &refused_install))?;
    counted(&object, [1, 1, 0])?;
    lacks(&object, &["Stalled", "Remediated"])?;
    ensure!(
        object["status"]["observedGeneration"] == object["metadata"]["generation"],
        "{}",
        object["status"]
    );
    // By upgrades, and nobody has to ask.
    let object = release
        .until("it was retried twice", |it| {
            counters(it)[2] >= 2 && condition(it, "Ready").is_some_and(|it| it["status"] == "False")
        })
        .await?;
    let [failures, installs, upgrades] = counters(&object);
    ensure!(
        installs == 1 && failures == installs + upgrades,
        "{}",
        object["status"]
    );
    let refused_upgrade = refused(&case, "upgrade");
    has_condition(&object, "Ready", ("False", "UpgradeFailed", &refused_upgrade))?;
    lacks(&object, &["Stalled", "Remediated"])?;
    let first = record(&case, 1)?.get().await?;
    ensure!(
        first["metadata"]["labels"]["status"] == "failed",
        "{}",
        first["metadata"]
    );

    allow(&case, &ALL).await?;
    let object = release.ready().await?;
    let ready = condition(&object, "Ready").context("a condition")?;
    ensure!(ready["reason"] == "UpgradeSucceeded", "{ready}");
    lacks(&object, &["Stalled", "Reconciling", "Remediated"])?;
    counted(&object, [0, 0, 0])?;
    has(&case, "chart", "1.0.0").await?;
    // One attempt is one revision, and not more than five are kept.
    let history = object["status"]["history"].as_array().context("a history")?;
    let versions: Vec<u64> = history.iter().filter_map(|it| it["version"].as_u64()).collect();
    ensure!(
        history.len() <= 5
            && versions.windows(2).all(|pair| pair[0] == pair[1] + 1)
            && history[0]["status"] == "deployed"
            && history[1]["status"] == "superseded"
            && history[2..].iter().all(|it| it["status"] == "failed"),
        "{history:?}"
    );
    was_never_remediated(&release).await
}

async fn failed_upgrade_is_retried_and_not_rolled_back(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    allow(&case, &ALL).await?;
    // Remediation is asked for too, and has no say.
    let mut upgrade = retrying("1h");
    upgrade["remediation"] = json!({ "retries": 3 });
    let release = release_as_tenant(&case, &[("upgrade", upgrade)]).await?;
    release.ready().await?;
    allow(&case, &RECORDS_ONLY).await?;
    release
        .merge(&json!({ "spec": { "values": { "key": "two" } } }))
        .await?;
    let refused = refused(&case, "upgrade");
    let object = release
        .expect(
            "Reconciling",
            "True",
            "ProgressingWithRetry",
            "retrying after 1h0m0s",
        )
        .await?;
    has_condition(&object, "Ready", ("False", "UpgradeFailed", &refused))?;
    counted(&object, [1, 0, 1])?;
    has_history(&object, &["2 failed", "1 deployed"])?;

    // Whoever asks need not wait for the hour.
    let token = annotate(&case, &["requestedAt"]).await?;
    let object = answered(&release, &token).await?;
    let reconciling = ("True", "ProgressingWithRetry", "retrying after 1h0m0s");
    has_condition(&object, "Reconciling", reconciling)?;
    has_condition(&object, "Ready", ("False", "UpgradeFailed", &refused))?;
    counted(&object, [2, 0, 2])?;
    lacks(&object, &["Stalled", "Remediated"])?;
    has_history(&object, &["3 failed", "2 failed", "1 deployed"])?;
    has_records(&case, &["1 deployed", "2 failed", "3 failed"]).await?;
    has(&case, "key", "default").await?;

    allow(&case, &ALL).await?;
    let token = annotate(&case, &["requestedAt"]).await?;
    let object = answered(&release, &token).await?;
    let succeeded = told(&case, "upgrade", "succeeded", ".v4");
    has_condition(&object, "Ready", ("True", "UpgradeSucceeded", &succeeded))?;
    counted(&object, [0, 0, 0])?;
    lacks(&object, &["Stalled", "Reconciling", "Remediated"])?;
    has_records(&case, &["1 superseded", "2 failed", "3 failed", "4 deployed"]).await?;
    has(&case, "key", "two").await?;
    was_never_remediated(&release).await
}
