//! helm-controller and the API server end in the middle of what surrounds a release: corrections of drift, definitions of a chart, tests,
//! and what undoes a failure. Each test has a cluster for itself.

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Controller, Entry, Target, cases, condition};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::helm_killed::{
    BROKEN, Charts, LIMIT, blocked, bounce, ends, has_records, hook, lose_api_server, many, map, records,
    start, unblock,
};
use crate::helm_options::definition;
use crate::helm_releases::{has_history, history};

pub(crate) fn cases() -> Vec<Entry> {
    let all: Vec<Entry> = cases!["helm_interrupted":
        controller_killed_while_it_corrects_drift_goes_on,
        controller_killed_while_it_applies_definitions_goes_on,
        api_server_gone_during_remediation_and_tests_loses_nothing,
        api_server_gone_while_a_rollback_writes_has_it_done_again,
    ];
    all.into_iter().map(|it| it.alone().within(300)).collect()
}

/// Objects of the release that drifts: correcting all of them takes a while.
const MANY: usize = 200;
/// How often a moment is tried for that lies between the first correction and the last.
const TRIES: usize = 5;

fn part(name: &str, part: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{part: {part}}}}}\ndata: {{key: ours}}\n"
    )
}

/// A chart one half of whose objects is going to be deleted and the other one to be changed.
fn halves() -> String {
    let halves = (0..MANY).map(|index| match index % 2 {
        0 => part(&format!("drift-{index:03}"), "deleted"),
        _ => part(&format!("drift-{index:03}"), "changed"),
    });
    halves.collect::<Vec<_>>().join("---\n")
}

/// How many objects of the release are not as the chart has them.
async fn drifted(maps: &Api<ConfigMap>) -> Result<usize> {
    let found = maps.list(&ListParams::default().labels("part")).await?;
    let is_ours = |map: &&ConfigMap| {
        map.data
            .as_ref()
            .is_some_and(|data| data.get("key").is_some_and(|key| key == "ours"))
    };
    Ok(MANY - found.iter().filter(is_ours).count())
}

/// Deletes one half of the objects and changes the other.
async fn drift(case: &Case, maps: &Api<ConfigMap>) -> Result<()> {
    let deleted = ListParams::default().labels("part=deleted");
    maps.delete_collection(&DeleteParams::default(), &deleted).await?;
    let theirs = json!({ "data": { "key": "theirs" } });
    let changed = (1..MANY).step_by(2).map(|index| {
        let map = case.config_map(&format!("drift-{index:03}"));
        let theirs = &theirs;
        async move { map?.merge_as("somebody", theirs).await }
    });
    stream::iter(changed)
        .buffer_unordered(8)
        .try_collect::<Vec<()>>()
        .await?;
    ensure!(drifted(maps).await? == MANY, "something has not drifted");
    Ok(())
}

/// Has everything drift while the controller is away, and kills it when it has corrected something, and not all.
async fn killed_between_corrections(
    case: &Case,
    maps: &Api<ConfigMap>,
    mut controller: Controller,
) -> Result<Controller> {
    for _ in 0..TRIES {
        controller = tokio::task::spawn_blocking(move || {
            ensure!(controller.stop(), "the controller did not end well");
            anyhow::Ok(controller)
        })
        .await??;
        drift(case, maps).await?;
        controller.launch()?;
        // It is the first that is made again.
        case.config_map("drift-000")?
            .back("the correction has begun", |it| {
                it["metadata"]["deletionTimestamp"].is_null()
            })
            .await?;
        controller.kill();
        if drifted(maps).await? > 0 {
            return Ok(controller);
        }
        controller = bounce(controller).await?;
    }
    anyhow::bail!("{TRIES} times all was corrected before the controller was killed")
}

async fn controller_killed_while_it_corrects_drift_goes_on(case: Case) -> Result<()> {
    let charts = Charts::start(&case);
    let controller = start(&case).await?;
    let maps: Api<ConfigMap> = Api::namespaced(case.world().client().clone(), case.namespace());
    let enabled = [("driftDetection", json!({ "mode": "enabled" }))];
    let release = charts.release("drift", &halves(), &enabled).await?;
    release.ready_within(LIMIT).await?;
    let record = case.object("v1", "Secret", "sh.helm.release.v1.drift.v1")?;
    let before = record.get().await?["metadata"]["resourceVersion"].clone();

    let controller = killed_between_corrections(&case, &maps, controller).await?;
    let left = drifted(&maps).await?;
    let controller = bounce(controller).await?;
    let message = format!(
        "Cluster state of release {}/drift.v1 has been corrected:\nConfigMap/{}/drift-",
        case.namespace(),
        case.namespace()
    );
    release.expect_event("Normal", "DriftCorrected", &message).await?;
    ensure!(
        drifted(&maps).await? == 0,
        "of {left} that were left some still are"
    );
    let object = release.reconcile().await?;
    for (kind, status, reason) in [
        ("Ready", "True", "InstallSucceeded"),
        ("Drifted", "False", "NoDriftDetected"),
    ] {
        let found = condition(&object, kind).with_context(|| format!("no {kind}"))?;
        ensure!(found["status"] == status && found["reason"] == reason, "{found}");
    }
    ensure!(
        ["Reconciling", "Stalled"]
            .iter()
            .all(|kind| condition(&object, kind).is_none())
            && object["status"]["failures"].is_null(),
        "{}",
        object["status"]
    );
    // Drift is no matter of revisions: there is the one, which nobody has touched.
    has_history(&object, &["1 deployed"])?;
    has_records(&case, "drift", &["1 deployed"]).await?;
    let after = record.get().await?["metadata"]["resourceVersion"].clone();
    ensure!(before == after, "the record was written: {before} {after}");
    drop(controller);
    Ok(())
}

const HOLD: &str = "e2e.example.com/hold";

/// A definition of somebody else's that is on its way out, and stays on it until it is let go: to whoever applies it meanwhile, it is not
/// established.
async fn leaving(case: &Case, group: &str) -> Result<Target> {
    let name = format!("widgets.{group}");
    let target = case.object("apiextensions.k8s.io/v1", "CustomResourceDefinition", &name)?;
    case.apply(&definition(group, "theirs")).await?;
    target
        .merge(&json!({ "metadata": { "finalizers": [HOLD] } }))
        .await?;
    target.delete().await?;
    Ok(target)
}

/// The files of a chart with a definition in that group, and an object of its kind.
async fn offer_widget(charts: &Charts, name: &str, version: &str, group: &str) -> Result<()> {
    let widget = format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: {name}}}\n");
    let all = format!("{}---\n{widget}", map(name, "one"));
    let files = [
        ("crds/widget.yaml", definition(group, "ours")),
        ("templates/all.yaml", all),
    ];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    charts.offer_files(name, version, &files).await
}

async fn controller_killed_while_it_applies_definitions_goes_on(case: Case) -> Result<()> {
    let charts = Charts::start(&case);
    let controller = start(&case).await?;
    let groups = ["fresh", "next"].map(|name| format!("{name}.{}.example.com", case.namespace()));
    let definitions = [
        leaving(&case, &groups[0]).await?,
        leaving(&case, &groups[1]).await?,
    ];
    // One that is installed with its definition, and one that is upgraded to a chart that has one.
    let policy = json!({ "crds": "CreateReplace" });
    offer_widget(&charts, "fresh", "1.0.0", &groups[0]).await?;
    let fresh = charts
        .release_offered("fresh", &[("install", policy.clone())])
        .await?;
    let next = charts
        .release("next", &map("next", "one"), &[("upgrade", policy)])
        .await?;
    next.ready().await?;
    offer_widget(&charts, "next", "2.0.0", &groups[1]).await?;
    for definition in &definitions {
        definition
            .back("it is applied", |it| {
                it["metadata"]["annotations"]["note"] == "ours"
                    && !it["metadata"]["deletionTimestamp"].is_null()
            })
            .await?;
    }
    let controller = tokio::task::spawn_blocking(move || {
        let mut controller = controller;
        controller.kill();
        controller
    })
    .await?;
    // Definitions come before the revision that needs them.
    has_records(&case, "fresh", &[]).await?;
    has_records(&case, "next", &["1 deployed"]).await?;
    for definition in &definitions {
        let finalizers = json!({ "metadata": { "finalizers": null } });
        definition.merge(&finalizers).await?;
        definition.gone().await?;
    }

    let controller = bounce(controller).await?;
    for (release, reason, expected) in [
        (&fresh, "InstallSucceeded", &["1 deployed"][..]),
        (&next, "UpgradeSucceeded", &["2 deployed", "1 superseded"]),
    ] {
        let name = release.name();
        let object = ends(release, "Ready", reason, &format!("with chart {name}@")).await?;
        has_history(&object, expected)?;
        let mut records = expected.to_vec();
        records.reverse();
        has_records(&case, name, &records).await?;
        let status = &object["status"];
        ensure!(
            ["failures", "installFailures", "upgradeFailures"]
                .iter()
                .all(|counter| status[counter].is_null())
                && condition(&object, "Reconciling").is_none(),
            "{status}"
        );
    }
    for (definition, name) in definitions.iter().zip(["fresh", "next"]) {
        let found = definition.get().await?;
        let labels = &found["metadata"]["labels"];
        ensure!(
            labels["helm.toolkit.fluxcd.io/name"] == name && found["metadata"]["deletionTimestamp"].is_null(),
            "{}",
            found["metadata"]
        );
    }
    drop(controller);
    Ok(())
}

/// The chart's own object and a hook that blocks.
fn hooked(name: &str, event: &str) -> String {
    format!(
        "{}---\n{}",
        map(name, "one"),
        hook(&format!("{name}-hook"), event)
    )
}

async fn api_server_gone_during_remediation_and_tests_loses_nothing(case: Case) -> Result<()> {
    let charts = Charts::start(&case);
    let mut controller = start(&case).await?;
    let retries = json!({ "remediation": { "retries": 1 } });
    let tested = [("test", json!({ "enable": true }))];
    let rollback = charts
        .release(
            "rollback",
            &hooked("rollback", "pre-rollback"),
            &[("upgrade", retries.clone())],
        )
        .await?;
    let undone = charts
        .release(
            "undone",
            &(hooked("undone", "pre-delete") + BROKEN),
            &[("install", retries)],
        )
        .await?;
    let passes = charts
        .release("passes", &hooked("passes", "test"), &tested)
        .await?;
    let failing = hooked("fails", "test").replace("helm.sh/hook", "ends: Failed, helm.sh/hook");
    let fails = charts.release("fails", &failing, &tested).await?;
    rollback.ready().await?;
    charts.offer("rollback", "2.0.0", BROKEN).await?;
    for pod in ["rollback-hook", "undone-hook", "passes-hook", "fails-hook"] {
        blocked(&case, pod).await?;
    }
    lose_api_server(&case).await?;
    ensure!(
        controller.is_running(),
        "the controller ended with the API server"
    );
    let unblocking = unblock(&case);

    // The outage is no failure: what is counted is what the charts are guilty of.
    let counted = |object: &Value, counter: &str, count: u64| {
        let status = &object["status"];
        ensure!(
            status[counter] == count && status["failures"] == count,
            "{counter}: {status}"
        );
        Ok(())
    };
    let stalled = "Failed to upgrade after 2 attempt(s)";
    let object = ends(&rollback, "Stalled", "RetriesExceeded", stalled).await?;
    let expected = format!(
        "Helm rollback to previous release {}/rollback.v3 with chart rollback@1.0.0 succeeded",
        case.namespace()
    );
    let ready = condition(&object, "Ready").context("a condition")?;
    ensure!(
        ready["reason"] == "RollbackSucceeded" && ready["message"] == expected,
        "{ready}"
    );
    counted(&object, "upgradeFailures", 2)?;
    has_records(
        &case,
        "rollback",
        &[
            "1 superseded",
            "2 failed",
            "3 superseded",
            "4 failed",
            "5 deployed",
        ],
    )
    .await?;

    let stalled = "Failed to install after 2 attempt(s)";
    let object = ends(&undone, "Stalled", "RetriesExceeded", stalled).await?;
    counted(&object, "installFailures", 2)?;
    has_records(&case, "undone", &["1 failed"]).await?;

    let object = ends(&passes, "Ready", "TestSucceeded", "1 test hook completed").await?;
    let phase =
        |object: &Value, hook: &str| object["status"]["history"][0]["testHooks"][hook]["phase"].clone();
    ensure!(
        phase(&object, "passes-hook") == "Succeeded" && object["status"]["failures"].is_null(),
        "{}",
        object["status"]
    );
    let stalled = "Failed to install after 1 attempt(s)";
    let object = ends(&fails, "Stalled", "RetriesExceeded", stalled).await?;
    counted(&object, "installFailures", 1)?;
    let ready = condition(&object, "Ready").context("a condition")?;
    ensure!(
        ready["reason"] == "TestFailed" && phase(&object, "fails-hook") == "Failed",
        "{}",
        object["status"]
    );
    for release in ["passes", "fails"] {
        has_records(&case, release, &["1 deployed"]).await?;
    }
    ensure!(history(&object) == ["1 deployed"], "{}", object["status"]);
    unblocking.abort();
    drop(controller);
    Ok(())
}

async fn api_server_gone_while_a_rollback_writes_has_it_done_again(case: Case) -> Result<()> {
    let charts = Charts::start(&case);
    let mut controller = start(&case).await?;
    let retries = [("upgrade", json!({ "remediation": { "retries": 1 } }))];
    let release = charts.release("back", &many("one"), &retries).await?;
    release.ready_within(LIMIT).await?;
    // It is the hook that fails, when all objects have been written: the rollback has as many to write.
    let failing = hook("back-hook", "post-upgrade").replace("helm.sh/hook", "ends: Failed, helm.sh/hook");
    let upgraded = format!("{}---\n{failing}", many("two"));
    charts.offer("back", "2.0.0", &upgraded).await?;
    let unblocking = unblock(&case);
    let pending = case.object("v1", "Secret", "sh.helm.release.v1.back.v3")?;
    pending.back("the rollback has begun", |_| true).await?;
    case.blocking(move |world| {
        let mut cluster = world.cluster();
        cluster.stop_api_server(rustix::process::Signal::KILL);
        // What is written meanwhile fails, and so does the word of it.
        std::thread::sleep(std::time::Duration::from_secs(2));
        cluster.start_api_server()
    })
    .await?;

    // The upgrade has failed twice, and nothing else is counted as that.
    let stalled = "Failed to upgrade after 2 attempt(s)";
    let object = ends(&release, "Stalled", "RetriesExceeded", stalled).await?;
    ensure!(
        object["status"]["upgradeFailures"] == 2
            && condition(&object, "Ready").is_some_and(|it| it["reason"] == "RollbackSucceeded")
            && controller.is_running(),
        "{}",
        object["status"]
    );
    for index in [0, crate::helm_killed::MANY / 2, crate::helm_killed::MANY - 1] {
        let found = case.config_map(&format!("apply-{index}"))?.get().await?;
        ensure!(found["data"]["key"] == "one", "{found}");
    }
    let records = records(&case, "back").await?;
    let is = |status: &str| records.iter().filter(|it| it.ends_with(status)).count();
    ensure!(
        is("deployed") == 1
            && records.last().is_some_and(|newest| newest.ends_with("deployed"))
            && records.iter().all(|it| !it.contains("pending")),
        "{records:?}"
    );
    unblocking.abort();
    Ok(())
}
