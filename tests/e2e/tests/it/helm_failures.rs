//! Rollbacks and uninstalls that fail: what is told of them, and how it goes on.

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, cases, condition};
use serde_json::json;

use crate::helm_options::job;
use crate::helm_releases::{BROKEN, Charts, SOUND, has, history, record, release};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["helm_failures":
        rollback_that_fails_is_told_and_mended_by_the_next_chart,
        uninstall_that_does_not_end_is_told_and_leaves_what_clings,
        uninstall_that_was_to_undo_an_upgrade_and_fails_is_done_again,
    ]
}

/// Objects that are not deleted as long as they have it.
const FINALIZER: &str = "e2e.example.com/keep";

/// The chart's ConfigMap, which stays until somebody lets it go.
fn clinging() -> String {
    SOUND.replace(
        "metadata:\n",
        &format!("metadata:\n  finalizers: [{FINALIZER}]\n"),
    )
}

async fn let_go(case: &Case) -> Result<()> {
    let patch = json!({"metadata": {"finalizers": null}});
    case.config_map("app")?.merge(&patch).await
}

async fn rollback_that_fails_is_told_and_mended_by_the_next_chart(case: Case) -> Result<()> {
    let hooked = SOUND.to_owned() + &job("back", "helm.sh/hook: pre-rollback", "fail");
    let (charts, source) = Charts::offered(&case, &hooked).await?;
    let upgrade = json!({"remediation": {"retries": 1}});
    let release = release(&case, &[("upgrade", upgrade)]).await?;
    release.ready().await?;
    charts.offer(&source, "1.1.0", BROKEN).await?;
    let message = format!(
        "Helm rollback to previous release {}/app.v1 with chart app@1.0.0 failed: ",
        case.namespace()
    );
    let object = release
        .expect("Ready", "False", "RollbackFailed", &message)
        .await?;
    let remediated = condition(&object, "Remediated").context("a condition")?;
    let failed = format!("Job/{}/back status: 'Failed'", case.namespace());
    ensure!(
        remediated["reason"] == "RollbackFailed"
            && remediated["message"]
                .as_str()
                .is_some_and(|it| it.contains(&failed)),
        "{remediated}"
    );
    release
        .expect_event("Warning", "RollbackFailed", &message)
        .await?;
    // It is not given up, nor counted: the upgrade has failed once.
    ensure!(
        object["status"]["upgradeFailures"] == 1 && condition(&object, "Stalled").is_none(),
        "{}",
        object["status"]
    );
    let first = record(&case, 1)?.get().await?;
    ensure!(
        first["metadata"]["labels"]["status"] == "deployed",
        "{}",
        first["metadata"]
    );

    charts.offer(&source, "1.2.0", SOUND).await?;
    let object = release
        .expect("Ready", "True", "UpgradeSucceeded", "app@1.2.0")
        .await?;
    ensure!(
        condition(&object, "Remediated").is_none() && object["status"]["upgradeFailures"].is_null(),
        "{}",
        object["status"]
    );
    has(&case, "chart", "1.2.0").await
}

async fn uninstall_that_does_not_end_is_told_and_leaves_what_clings(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, &clinging()).await?;
    let release = release(&case, &[("uninstall", json!({"timeout": "2s"}))]).await?;
    release.ready().await?;
    release.delete().await?;
    let message = format!(
        "Helm uninstall failed for release {}/app.v1 with chart app@1.0.0: ",
        case.namespace()
    );
    release
        .expect("Ready", "False", "UninstallFailed", &message)
        .await?;
    release
        .expect_event("Warning", "UninstallFailed", &message)
        .await?;
    // As Helm has it the records are gone all the same, so that there is nothing to uninstall the next time.
    release.gone().await?;
    ensure!(record(&case, 1)?.find().await?.is_none());
    let map = case.config_map("app")?;
    let left = map.get().await?;
    ensure!(!left["metadata"]["deletionTimestamp"].is_null(), "{left}");
    let_go(&case).await?;
    map.gone().await
}

async fn uninstall_that_was_to_undo_an_upgrade_and_fails_is_done_again(case: Case) -> Result<()> {
    let (charts, source) = Charts::offered(&case, &clinging()).await?;
    let more = [
        (
            "upgrade",
            json!({"remediation": {"retries": 1, "strategy": "uninstall"}}),
        ),
        ("uninstall", json!({"timeout": "2s"})),
    ];
    let release = release(&case, &more).await?;
    release.ready().await?;
    charts.offer(&source, "1.1.0", BROKEN).await?;
    let message = format!(
        "Helm uninstall remediation for release {}/app.v2 with chart app@1.1.0 failed: ",
        case.namespace()
    );
    release
        .expect("Remediated", "False", "UninstallFailed", &message)
        .await?;
    charts.publish("1.2.0", SOUND)?;
    let_go(&case).await?;
    source.reconcile().await?;
    // What could not be undone is, and then the next chart is installed.
    let object = release
        .until("the next chart is released", |it| {
            it["status"]["lastAttemptedRevision"] == "1.2.0"
                && condition(it, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await?;
    ensure!(
        history(&object)
            .first()
            .is_some_and(|newest| newest.ends_with(" deployed")),
        "{}",
        object["status"]
    );
    has(&case, "chart", "1.2.0").await
}
