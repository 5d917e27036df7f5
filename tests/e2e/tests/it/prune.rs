//! What is not wanted any more goes, and only that.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Repository, Target, cases, config_map, text};
use serde_json::{Value, json};

use crate::apply::{applied, inventory};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["prune":
        file_removed_deletes_its_object,
        file_removed_without_prune_keeps_its_object,
        object_with_prune_disabled_is_kept,
        object_of_another_owner_is_kept,
        object_renamed_is_replaced,
        deletion_mirroring_prune_deletes_the_objects,
        deletion_mirroring_no_prune_keeps_the_objects,
        deletion_with_policy_delete_deletes_without_prune,
        deletion_with_policy_orphan_keeps_the_objects,
        deletion_waiting_for_termination_waits,
        deletion_of_a_suspended_kustomization_keeps_the_objects,
    ]
}

/// Two ConfigMaps, applied.
async fn two(case: &Case, annotations: &str, more: Value) -> Result<(Repository, Target)> {
    let b = config_map("b", &[]).replace("name: b\n", &format!("name: b\n  annotations: {annotations}\n"));
    let (repository, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[])), ("b.yaml", &b)], more)
        .await?;
    kustomization.ready().await?;
    Ok((repository, kustomization))
}

async fn remove_b(case: &Case, repository: &Repository, kustomization: &Target) -> Result<Value> {
    let commit = repository.commit_removal(&["b.yaml"])?;
    case.fetch("app", &commit).await?;
    applied(kustomization, &commit).await
}

async fn file_removed_deletes_its_object(case: Case) -> Result<()> {
    let (repository, kustomization) = two(&case, "{}", json!({})).await?;
    let object = remove_b(&case, &repository, &kustomization).await?;
    ensure!(
        inventory(&object) == [format!("{}_a__ConfigMap", case.namespace())],
        "{}",
        object["status"]
    );
    case.config_map("b")?.gone().await?;
    case.config_map("a")?.get().await?;
    kustomization
        .expect_event(
            "Normal",
            "Progressing",
            &format!("ConfigMap/{}/b deleted", case.namespace()),
        )
        .await
}

async fn file_removed_without_prune_keeps_its_object(case: Case) -> Result<()> {
    let (repository, kustomization) = two(&case, "{}", json!({"prune": false})).await?;
    let object = remove_b(&case, &repository, &kustomization).await?;
    ensure!(inventory(&object).len() == 1, "{}", object["status"]);
    ensure!(case.config_map("b")?.get().await?["metadata"]["deletionTimestamp"].is_null());
    Ok(())
}

async fn object_with_prune_disabled_is_kept(case: Case) -> Result<()> {
    let (repository, kustomization) =
        two(&case, "{kustomize.toolkit.fluxcd.io/prune: disabled}", json!({})).await?;
    remove_b(&case, &repository, &kustomization).await?;
    case.config_map("b")?.get().await?;
    // Nor does the end of the Kustomization take it.
    kustomization.delete().await?;
    kustomization.gone().await?;
    case.config_map("a")?.gone().await?;
    case.config_map("b")?.get().await?;
    Ok(())
}

async fn object_of_another_owner_is_kept(case: Case) -> Result<()> {
    let (repository, kustomization) = two(&case, "{}", json!({})).await?;
    // While the first is suspended, so that the two do not fight.
    kustomization.merge(&json!({"spec": {"suspend": true}})).await?;
    let second = case.repository("second")?;
    second.commit(&[("b.yaml", &config_map("b", &[("by", "second")]))])?;
    case.git_repository("second", second.url(), json!({})).await?;
    case.kustomize("second", "second", json!({}))
        .await?
        .ready()
        .await?;
    let commit = repository.commit_removal(&["b.yaml"])?;
    case.fetch("app", &commit).await?;
    kustomization.merge(&json!({"spec": {"suspend": false}})).await?;
    applied(&kustomization, &commit).await?;
    let live = case.config_map("b")?.get().await?;
    ensure!(
        live["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "second"
            && live["metadata"]["deletionTimestamp"].is_null(),
        "{live}"
    );
    Ok(())
}

async fn object_renamed_is_replaced(case: Case) -> Result<()> {
    let (repository, kustomization) = two(&case, "{}", json!({})).await?;
    let commit = repository.commit(&[("b.yaml", &config_map("c", &[]))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    case.config_map("c")?.get().await?;
    case.config_map("b")?.gone().await
}

async fn deletion_mirroring_prune_deletes_the_objects(case: Case) -> Result<()> {
    let (_, kustomization) = two(&case, "{}", json!({})).await?;
    kustomization.delete().await?;
    kustomization.gone().await?;
    case.config_map("a")?.gone().await?;
    case.config_map("b")?.gone().await?;
    let ns = case.namespace();
    kustomization
        .expect_event(
            "Normal",
            "ReconciliationSucceeded",
            &format!("ConfigMap/{ns}/b deleted\nConfigMap/{ns}/a deleted"),
        )
        .await
}

async fn deletion_mirroring_no_prune_keeps_the_objects(case: Case) -> Result<()> {
    let (_, kustomization) = two(
        &case,
        "{}",
        json!({"prune": false, "deletionPolicy": "MirrorPrune"}),
    )
    .await?;
    deleted_and_kept(&case, &kustomization).await
}

async fn deletion_with_policy_delete_deletes_without_prune(case: Case) -> Result<()> {
    let (_, kustomization) = two(&case, "{}", json!({"prune": false, "deletionPolicy": "Delete"})).await?;
    kustomization.delete().await?;
    kustomization.gone().await?;
    case.config_map("a")?.gone().await?;
    case.config_map("b")?.gone().await
}

async fn deletion_with_policy_orphan_keeps_the_objects(case: Case) -> Result<()> {
    let (_, kustomization) = two(&case, "{}", json!({"prune": true, "deletionPolicy": "Orphan"})).await?;
    deleted_and_kept(&case, &kustomization).await
}

async fn deletion_of_a_suspended_kustomization_keeps_the_objects(case: Case) -> Result<()> {
    let (_, kustomization) = two(&case, "{}", json!({})).await?;
    kustomization.merge(&json!({"spec": {"suspend": true}})).await?;
    deleted_and_kept(&case, &kustomization).await
}

async fn deleted_and_kept(case: &Case, kustomization: &Target) -> Result<()> {
    kustomization.delete().await?;
    kustomization.gone().await?;
    for name in ["a", "b"] {
        ensure!(
            case.config_map(name)?.get().await?["metadata"]["deletionTimestamp"].is_null(),
            "{name} is being deleted"
        );
    }
    Ok(())
}

async fn deletion_waiting_for_termination_waits(case: Case) -> Result<()> {
    let more = json!({"prune": false, "deletionPolicy": "WaitForTermination", "timeout": "5m"});
    let (_, kustomization) = two(&case, "{}", more).await?;
    let b = case.config_map("b")?;
    b.merge(&json!({"metadata": {"finalizers": ["e2e.example.com/hold"]}}))
        .await?;
    kustomization.delete().await?;
    b.until("it is being deleted", |it| {
        !it["metadata"]["deletionTimestamp"].is_null()
    })
    .await?;
    case.config_map("a")?.gone().await?;
    let object = kustomization.get().await?;
    ensure!(
        text(&object, "/metadata/finalizers/0") == "finalizers.fluxcd.io",
        "it did not wait: {}",
        object["metadata"]
    );
    b.merge(&json!({"metadata": {"finalizers": null}})).await?;
    kustomization.gone().await
}
