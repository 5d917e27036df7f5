//! Managed objects that somebody changes are put right at once. Every Kustomization here has an interval of an hour.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Repository, Target, cases, config_map, text};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::apply::applied;

pub(crate) fn cases() -> Vec<Entry> {
    cases!["drift":
        field_changed_is_restored,
        object_deleted_is_recreated,
        label_added_by_kubectl_is_removed,
        field_added_by_kubectl_is_removed,
        suspended_kustomization_leaves_drift_alone,
        object_with_reconcile_disabled_is_left_alone,
        object_to_be_merged_keeps_added_fields,
        object_to_be_created_only_is_left_alone,
        ignored_field_is_left_alone_and_others_are_restored,
        unmanaged_change_writes_nothing,
        fight_with_another_writer_slows_down_and_is_reported,
    ]
}

/// A ConfigMap called `a`, managed, with these annotations, beside one called `other`.
async fn managed(case: &Case, annotations: &str, more: Value) -> Result<(Repository, Target)> {
    let a = config_map("a", &[("key", "ours"), ("second", "ours")])
        .replace("name: a\n", &format!("name: a\n  annotations: {annotations}\n"));
    let (repository, kustomization) = case.app(&[("a.yaml", &a)], more).await?;
    kustomization.ready().await?;
    Ok((repository, kustomization))
}

fn hacked() -> Value {
    json!({"data": {"key": "theirs"}})
}

/// Drift in another Kustomization is repaired: what was to be repaired before that would be by now.
async fn others_are_repaired(case: &Case) -> Result<()> {
    let repository = case.repository("other")?;
    repository.commit(&[("other.yaml", &config_map("other", &[("key", "ours")]))])?;
    case.git_repository("other", repository.url(), json!({})).await?;
    case.kustomize("other", "other", json!({})).await?.ready().await?;
    let other = case.config_map("other")?;
    for _ in 0..2 {
        let version = other.get().await?["metadata"]["resourceVersion"].clone();
        other.merge(&hacked()).await?;
        other
            .until("it is restored", |it| {
                it["data"]["key"] == "ours" && it["metadata"]["resourceVersion"] != version
            })
            .await?;
    }
    Ok(())
}

async fn field_changed_is_restored(case: Case) -> Result<()> {
    let (_, kustomization) = managed(&case, "{}", json!({})).await?;
    let a = case.config_map("a")?;
    // Again and again, and by whoever.
    for manager in ["e2e", "kubectl-edit", "somebody-else"] {
        a.merge_as(manager, &hacked()).await?;
        a.until("it is restored", |it| it["data"]["key"] == "ours")
            .await?;
    }
    let message = format!("ConfigMap/{}/a configured", case.namespace());
    kustomization
        .expect_event("Normal", "Progressing", &message)
        .await?;
    kustomization.ready().await?;
    Ok(())
}

async fn object_deleted_is_recreated(case: Case) -> Result<()> {
    let (_, kustomization) = managed(&case, "{}", json!({})).await?;
    let a = case.config_map("a")?;
    let uid = a.get().await?["metadata"]["uid"].clone();
    a.delete().await?;
    a.back("it is back", |it| {
        it["metadata"]["uid"] != uid && it["data"]["key"] == "ours"
    })
    .await?;
    kustomization.ready().await?;
    Ok(())
}

async fn label_added_by_kubectl_is_removed(case: Case) -> Result<()> {
    managed(&case, "{}", json!({})).await?;
    let namespace = case.namespace().to_owned();
    case.blocking(move |world| {
        world.kubectl(&["label", "-n", &namespace, "configmap", "a", "added=by-hand"])
    })
    .await?;
    case.config_map("a")?
        .until("the label is gone", |it| {
            it["metadata"]["labels"]["added"].is_null()
        })
        .await?;
    Ok(())
}

async fn field_added_by_kubectl_is_removed(case: Case) -> Result<()> {
    managed(&case, "{}", json!({})).await?;
    let a = case.config_map("a")?;
    a.merge_as("kubectl-edit", &json!({"data": {"added": "by-hand"}}))
        .await?;
    a.until("the field is gone", |it| {
        it["data"] == json!({"key": "ours", "second": "ours"})
    })
    .await?;
    Ok(())
}

async fn suspended_kustomization_leaves_drift_alone(case: Case) -> Result<()> {
    let (_, kustomization) = managed(&case, "{}", json!({})).await?;
    kustomization.merge(&json!({"spec": {"suspend": true}})).await?;
    // Answered, so seen.
    let token = kustomization.request().await?;
    kustomization
        .until("the request is answered", |it| {
            text(it, "/status/lastHandledReconcileAt") == token
        })
        .await?;
    let a = case.config_map("a")?;
    a.merge(&hacked()).await?;
    others_are_repaired(&case).await?;
    ensure!(
        a.get().await?["data"]["key"] == "theirs",
        "a suspended Kustomization wrote"
    );
    kustomization.merge(&json!({"spec": {"suspend": false}})).await?;
    a.until("it is restored", |it| it["data"]["key"] == "ours")
        .await?;
    Ok(())
}

async fn object_with_reconcile_disabled_is_left_alone(case: Case) -> Result<()> {
    let (_, kustomization) = managed(&case, "{}", json!({})).await?;
    let a = case.config_map("a")?;
    // Written on the live object only, as in an emergency.
    let annotations = json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled"});
    a.merge_as(
        "kubectl-annotate",
        &json!({"metadata": {"annotations": annotations}, "data": {"key": "theirs"}}),
    )
    .await?;
    others_are_repaired(&case).await?;
    kustomization.reconcile().await?;
    ensure!(
        a.get().await?["data"]["key"] == "theirs",
        "a frozen object was written"
    );
    a.merge_as(
        "kubectl-annotate",
        &json!({"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/reconcile": null}}}),
    )
    .await?;
    a.until("it is restored", |it| it["data"]["key"] == "ours")
        .await?;
    Ok(())
}

async fn object_to_be_merged_keeps_added_fields(case: Case) -> Result<()> {
    managed(&case, "{kustomize.toolkit.fluxcd.io/ssa: Merge}", json!({})).await?;
    let a = case.config_map("a")?;
    a.merge_as(
        "kubectl-edit",
        &json!({"data": {"key": "theirs", "added": "by-hand"}}),
    )
    .await?;
    a.until("ours is restored, theirs is kept", |it| {
        it["data"] == json!({"key": "ours", "second": "ours", "added": "by-hand"})
    })
    .await?;
    Ok(())
}

async fn object_to_be_created_only_is_left_alone(case: Case) -> Result<()> {
    let (_, kustomization) = managed(
        &case,
        "{kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}",
        json!({}),
    )
    .await?;
    let a = case.config_map("a")?;
    a.merge(&hacked()).await?;
    others_are_repaired(&case).await?;
    kustomization.reconcile().await?;
    ensure!(a.get().await?["data"]["key"] == "theirs", "it was written");
    a.delete().await?;
    a.back("it is back", |it| it["data"]["key"] == "ours").await?;
    Ok(())
}

async fn ignored_field_is_left_alone_and_others_are_restored(case: Case) -> Result<()> {
    let ignore = json!([{"paths": ["/data/key"], "target": {"kind": "ConfigMap", "name": "a"}}, {"paths": ["/data/none"]}]);
    let (repository, kustomization) = managed(&case, "{}", json!({"ignore": ignore})).await?;
    let a = case.config_map("a")?;
    a.merge(&hacked()).await?;
    others_are_repaired(&case).await?;
    ensure!(
        a.get().await?["data"]["key"] == "theirs",
        "an ignored field was restored"
    );
    // What else drifts is restored, and theirs is still left alone.
    a.merge(&json!({"data": {"second": "theirs"}})).await?;
    a.until("the other field is restored", |it| it["data"]["second"] == "ours")
        .await?;
    ensure!(
        a.get().await?["data"]["key"] == "theirs",
        "an ignored field was restored"
    );
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "new"), ("second", "new")]))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    ensure!(
        a.get().await?["data"] == json!({"key": "theirs", "second": "new"}),
        "{}",
        a.get().await?["data"]
    );
    Ok(())
}

async fn unmanaged_change_writes_nothing(case: Case) -> Result<()> {
    managed(&case, "{}", json!({})).await?;
    let a = case.config_map("a")?;
    a.merge_as(
        "somebody-else",
        &json!({"metadata": {"annotations": {"e2e/note": "theirs"}}, "data": {"extra": "theirs"}}),
    )
    .await?;
    let version = a.get().await?["metadata"]["resourceVersion"].clone();
    others_are_repaired(&case).await?;
    let live = a.get().await?;
    ensure!(
        live["metadata"]["resourceVersion"] == version,
        "fields of another manager were written: {live}"
    );
    Ok(())
}

async fn fight_with_another_writer_slows_down_and_is_reported(case: Case) -> Result<()> {
    let (_, kustomization) = managed(&case, "{}", json!({})).await?;
    let a = case.config_map("a")?;
    // The other writer answers every repair at once.
    let mut repairs = 0_u32;
    let fight = async {
        a.merge(&hacked()).await?;
        let mut stream = a.stream().boxed();
        while let Some(object) = stream.try_next().await? {
            if object["data"]["key"] == "ours" {
                repairs += 1;
                a.merge(&hacked()).await?;
            }
        }
        anyhow::Ok(())
    };
    // Not over before the time is: a window to count in.
    let fought = tokio::time::timeout(Duration::from_secs(20), fight).await;
    ensure!(fought.is_err(), "the watch ended: {fought:?}");
    ensure!(repairs >= 2, "nothing was repaired");
    ensure!(repairs <= 20, "{repairs} repairs in 20 s are a tight loop");
    // Both the event and the metric tell of it.
    let message = format!(
        "ConfigMap/{}/a was changed again by field manager '",
        case.namespace()
    );
    let events = kustomization.events().await?;
    let is_told = events.iter().any(|it| {
        it.kind == "Warning"
            && it.reason == "DriftDetected"
            && it.message.starts_with(&message)
            && it.message.contains(", next correction in ")
    });
    ensure!(is_told, "no event tells of the fight: {events:#?}");
    let metrics = case
        .blocking(|world| world.metrics("kustomize-controller"))
        .await?;
    for name in ["ferroflux_drift_contended_total", "ferroflux_drift_repairs_total"] {
        let count = counter(&metrics, name, case.namespace());
        ensure!(count > Some(0.0), "{name} is {count:?}:\n{metrics}");
    }
    // The fight is over: the last word is ours.
    a.until("it is restored", |it| it["data"]["key"] == "ours")
        .await?;
    Ok(())
}

/// The value of a counter for the Kustomization called `app`.
fn counter(metrics: &str, name: &str, namespace: &str) -> Option<f64> {
    let labels = [
        "kind=\"Kustomization\"",
        "name=\"app\"",
        &format!("namespace=\"{namespace}\""),
    ];
    let is_ours = |line: &&str| line.starts_with(name) && labels.iter().all(|it| line.contains(*it));
    let line = metrics.lines().find(is_ours)?;
    line.rsplit(' ').next()?.parse().ok()
}
