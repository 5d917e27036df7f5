//! What a run does to the cluster: apply and prune (`spec/kustomize-and-notification.md` part F).

use std::sync::Arc;

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::Artifact;
use ferro_api::reason;
use ferro_apply::changeset::Change;
use ferro_apply::ignore::Rules;
use ferro_apply::inventory::{stale, union};
use ferro_apply::{Action, ApplyError, ApplyOptions, ChangeSet, Entry, Object};
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use kube::runtime::reflector::ObjectRef;

use crate::args::gate;
use crate::health;
use crate::inventory::{announce_objects, inventory, set_inventory};
use crate::lock;
use crate::notice::{change_log, labels, of_artifact};
use crate::reconciler::{KustomizeReconciler, Work, owner};
use crate::refusal::refuse_encrypted;
use crate::stop::Stop;

/// Time within which definitions and classes must become current before the rest is applied.
const STAGE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

impl KustomizeReconciler {
    pub(crate) async fn apply(
        &self,
        pass: &mut Pass<Kustomization>,
        work: &Work,
        mut objects: Vec<Object>,
    ) -> Result<ChangeSet, Stop> {
        refuse_encrypted(&objects)?;
        let rules = compile_ignore(&pass.object)?;
        let options = ApplyOptions {
            owner: owner(&pass.object),
            force: pass.object.spec.force,
            concurrency: usize::from(self.settings.kustomize.concurrent_ssa.max(1)),
            custom_stage_kinds: self.settings.kustomize.custom_apply_stage_kinds.clone(),
            migrate_version: self.gates.enabled(gate::MIGRATE_API_VERSION),
            dry_runs: true,
            is_strict: false,
            ignore: Arc::new(rules),
            exprs: Arc::clone(&work.exprs),
            stage_timeout: STAGE_TIMEOUT,
            cancel: work.cancel.clone(),
        };
        let old = inventory(&pass.object);
        work.cluster.settle_namespaces(&mut objects).await;
        announce_objects(pass, &objects, &old).await?;
        match work.cluster.apply(objects, &options).await {
            Ok(changes) => {
                self.count_repairs(&pass.object, &changes);
                self.announce(pass, &changes, &work.artifact);
                Ok(changes)
            }
            Err(error) => {
                self.count_repairs(&pass.object, &error.applied);
                // Unlike upstream, what was created before the failure, or may have been, is not lost from the inventory.
                let there = union(error.applied.entries(), &error.uncertain);
                set_inventory(&mut pass.object, &union(there, &old));
                if is_cancelled(&error) {
                    return Err(Stop::Interrupted(self.cause(pass)));
                }
                Err(Stop::failed(reason::RECONCILIATION_FAILED, error))
            }
        }
    }

    /// Counts the objects that had drifted and were written.
    fn count_repairs(&self, kustomization: &Kustomization, changes: &ChangeSet) {
        let mut contention = lock(&self.contention);
        let repaired = |change: &&Change| {
            matches!(change.action, Action::Created | Action::Configured)
                && contention.repaired(&change.entry.id)
        };
        let repairs = changes.0.iter().filter(repaired).count();
        if repairs > 0 {
            let labels = labels(&ObjectRef::from_obj(kustomization));
            let repairs = u64::try_from(repairs).unwrap_or(u64::MAX);
            self.metrics.drift_repaired(&labels, repairs);
        }
    }

    /// Tells users what an apply did.
    fn announce(&self, pass: &Pass<Kustomization>, changes: &ChangeSet, artifact: &Artifact) {
        if !changes.is_empty() {
            let is_grouped = self.gates.enabled(gate::GROUP_CHANGE_LOG);
            let output = change_log(changes, is_grouped).to_string();
            tracing::info!(
                revision = artifact.revision,
                json.output = output,
                "server-side apply completed"
            );
        }
        let notable = changes.notable();
        if !notable.is_empty() {
            let metadata = of_artifact(artifact);
            pass.event(
                Severity::Info,
                reason::PROGRESSING,
                &notable.to_string(),
                metadata,
            );
        }
    }

    /// Records the inventory and removes what left it; true if something was removed.
    pub(crate) async fn prune(
        &self,
        pass: &mut Pass<Kustomization>,
        work: &Work,
        old: &[Entry],
        changes: &ChangeSet,
    ) -> Result<bool, Stop> {
        let new = changes.entries();
        let gone = stale(old, &new);
        set_inventory(&mut pass.object, &new);
        if gone.is_empty() || !pass.object.spec.prune {
            return Ok(false);
        }
        match work
            .cluster
            .prune(
                gone,
                &new,
                &owner(&pass.object),
                usize::from(self.settings.kustomize.concurrent_ssa.max(1)),
            )
            .await
        {
            Ok(pruned) => {
                if !pruned.is_empty() {
                    let reason = reason::PROGRESSING;
                    pass.event(
                        Severity::Info,
                        reason,
                        &pruned.to_string(),
                        of_artifact(&work.artifact),
                    );
                }
                Ok(!pruned.is_empty())
            }
            Err(error) => {
                set_inventory(&mut pass.object, &union(new, &error.left));
                Err(Stop::failed(reason::PRUNE_FAILED, error))
            }
        }
    }
}

fn is_cancelled(error: &ApplyError) -> bool {
    use ferro_apply::error::Cause;
    error
        .causes
        .iter()
        .any(|cause| matches!(cause, Cause::Stage(ferro_apply::WaitError::Cancelled)))
}

fn compile_ignore(kustomization: &Kustomization) -> Result<Rules, Stop> {
    let specs: Vec<_> = kustomization
        .spec
        .ignore
        .iter()
        .map(health::ignore_rule)
        .collect();
    Rules::compile(&specs).map_err(|error| Stop::failed(reason::RECONCILIATION_FAILED, error))
}
