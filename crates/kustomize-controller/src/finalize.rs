//! What happens to the objects of a Kustomization that is deleted (`spec/kustomize-and-notification.md` F.9).

use ferro_api::FluxObject;
use ferro_api::kustomize::{DeletionPolicy, Kustomization};
use ferro_apply::{Action, Entry};
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use kube::runtime::reflector::ObjectRef;

use crate::inventory::inventory;
use crate::notice::{of_last_applied, with_commit_status};
use crate::reconciler::{KustomizeReconciler, destination, finished, owner};

/// Deletes, or leaves, what the inventory names.
pub(crate) async fn finalize(env: &KustomizeReconciler, pass: &Pass<Kustomization>) -> Result<(), String> {
    remove(env, pass).await?;
    env.targets.forget(&owner(&pass.object));
    // As after each run that leaves the object ready.
    if pass.object.is_ready() && !pass.object.is_suspended() {
        let metadata = with_commit_status(of_last_applied(&pass.object));
        let reason = pass.ready_reason(Severity::Info);
        pass.event(Severity::Info, &reason, &finished(pass), metadata);
    }
    Ok(())
}

async fn remove(env: &KustomizeReconciler, pass: &Pass<Kustomization>) -> Result<(), String> {
    let kustomization = &pass.object;
    env.forget(&ObjectRef::from_obj(kustomization));
    let entries = inventory(kustomization);
    if entries.is_empty() || !deletes(kustomization) {
        // Where there is no way to the cluster, nothing is known of its objects either.
        if let Ok(cluster) = env.targets.of(&destination(kustomization)).await {
            entries.iter().for_each(|entry| cluster.live.release(&entry.id));
        }
        return Ok(());
    }
    let metadata = of_last_applied(kustomization);
    let lacks_account = env.targets.lacks_account(&destination(kustomization)).await;
    // Where that cannot be said it is tried, as if it were there.
    if lacks_account.unwrap_or_default() {
        let left: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
        let message = format!("unable to prune objects: \n{}", left.join("\n"));
        tracing::error!("the service account is gone, {message}");
        let reason = pass.ready_reason(Severity::Error);
        pass.event(Severity::Error, &reason, &message, metadata);
        return Ok(());
    }
    let cluster = env
        .targets
        .of(&destination(kustomization))
        .await
        .map_err(|error| error.to_string())?;
    let concurrency = usize::from(env.settings.kustomize.concurrent_ssa.max(1));
    let pruned = match cluster
        .prune(entries, &[], &owner(kustomization), concurrency)
        .await
    {
        Ok(pruned) => pruned,
        Err(error) => {
            let reason = pass.ready_reason(Severity::Error);
            pass.event(
                Severity::Error,
                &reason,
                "pruning for deleted resource failed",
                metadata,
            );
            return Err(error.to_string());
        }
    };
    let reason = pass.ready_reason(Severity::Info);
    if !pruned.is_empty() {
        pass.event(Severity::Info, &reason, &pruned.to_string(), metadata.clone());
    }
    if kustomization.spec.deletion_policy_or_default() == DeletionPolicy::WaitForTermination {
        let deleted = pruned
            .0
            .into_iter()
            .filter(|change| change.action == Action::Deleted);
        let entries: Vec<Entry> = deleted.map(|change| change.entry).collect();
        let timeout = kustomization.spec.timeout_or_default().to_std();
        let waited = tokio::select! {
            waited = cluster.wait_for_termination(&entries, timeout) => waited,
            // The next process waits for the rest.
            () = env.stop.cancelled() => return Err("the process stops".to_owned()),
        };
        if let Err(left) = waited {
            let names: Vec<String> = left.iter().map(ToString::to_string).collect();
            tracing::error!(
                left = names.join(", "),
                "failed to wait for resources termination"
            );
            let message = "failed to wait for resources termination";
            pass.event(Severity::Error, &reason, message, metadata);
        }
    }
    Ok(())
}

/// Whether the policy asks for deletion. A suspended object is let go without touching anything.
fn deletes(kustomization: &Kustomization) -> bool {
    if kustomization.is_suspended() {
        return false;
    }
    match kustomization.spec.deletion_policy_or_default() {
        DeletionPolicy::Orphan => false,
        DeletionPolicy::MirrorPrune => kustomization.spec.prune,
        DeletionPolicy::Delete | DeletionPolicy::WaitForTermination => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_follows_the_policy() {
        for (policy, prune, suspend, expected) in [
            (None, true, false, true),
            (None, false, false, false),
            (Some("Orphan"), true, false, false),
            (Some("Delete"), false, false, true),
            (Some("WaitForTermination"), false, false, true),
            (Some("Delete"), true, true, false),
        ] {
            let mut spec = serde_json::json!({ "prune": prune, "suspend": suspend });
            if let Some(policy) = policy {
                spec["deletionPolicy"] = policy.into();
            }
            let kustomization: Kustomization =
                serde_json::from_value(serde_json::json!({ "spec": spec })).unwrap();
            assert_eq!(deletes(&kustomization), expected, "{spec}");
        }
    }
}
