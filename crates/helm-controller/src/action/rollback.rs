//! Rolling back to the revision before, to undo a failed upgrade (`spec/helm.md` C.5, F.5).

use ferro_api::helm::{HelmRelease, ReleaseSnapshot};
use ferro_api::{FluxObject, condition, reason};
use ferro_apply::client_side::ClientSide;
use ferro_helm::record::{Info, Record, Status};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;

use super::deploy::{self, Delivery, Failure, Leg, Method, Stages};
use super::{ActionError, ActionOptions, Journal, Work, uninstall};
use crate::chart::now;
use crate::notice;
use crate::objects;
use crate::reconciler::HelmReconciler;
use crate::snapshot;

const STAGES: Stages = Stages {
    before: ("pre-rollback", ""),
    after: ("post-rollback", ""),
};

/// Goes back to `previous`.
pub(crate) async fn remediate(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
    previous: &ReleaseSnapshot,
) -> Result<(), ActionError> {
    let oci_digest = previous.oci_digest.clone().unwrap_or_default();
    let mut journal = Journal::new("rollback", &oci_digest, env.algorithm());
    let mut superseded = Vec::new();
    let outcome = carry_out(env, &pass.object, work, previous, &mut journal, &mut superseded).await;
    let status = pass.object.status_mut();
    for taken in &journal.written {
        snapshot::record(&mut status.history, taken.clone());
    }
    for record in &superseded {
        snapshot::refresh(&mut status.history, record, env.algorithm());
    }
    if journal.inventory.is_some() {
        status.inventory = journal.inventory.take();
    }
    let (full, chart) = (previous.full_release_name(), previous.versioned_chart_name());
    let metadata = notice::of_remediation(previous, &work.desired);
    let result = match outcome {
        Ok(()) => {
            let message = format!("Helm rollback to previous release {full} with chart {chart} succeeded");
            conditions::mark_true(
                &mut pass.object,
                condition::REMEDIATED,
                reason::ROLLBACK_SUCCEEDED,
                &message,
            );
            pass.event(Severity::Info, reason::ROLLBACK_SUCCEEDED, &message, metadata);
            Ok(())
        }
        Err(error) => {
            let message =
                format!("Helm rollback to previous release {full} with chart {chart} failed: {error}");
            pass.object.status_mut().failures += 1;
            conditions::mark_false(
                &mut pass.object,
                condition::REMEDIATED,
                reason::ROLLBACK_FAILED,
                &message,
            );
            let told = journal.failure(&message);
            pass.event(Severity::Error, reason::ROLLBACK_FAILED, &told, metadata);
            if journal.is_empty() { Err(error) } else { Ok(()) }
        }
    };
    crate::conditions::summarise(&mut pass.object, env.algorithm());
    result
}

async fn carry_out(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    previous: &ReleaseSnapshot,
    journal: &mut Journal,
    superseded: &mut Vec<Record>,
) -> Result<(), ActionError> {
    let rollback = release.spec.rollback.clone().unwrap_or_default();
    let (site, storage) = (&work.site, &work.site.storage);
    let missing = || ActionError(format!("release has no {} version", previous.version));
    let mut last = storage.last().await?.ok_or_else(missing)?;
    let target = storage.get(previous.version).await?.ok_or_else(missing)?;
    let old = objects::settle(&site.cluster, objects::parse(&last.manifest)?, &site.target).await?;
    let mut built = objects::settle(&site.cluster, objects::parse(&target.manifest)?, &site.target).await?;
    journal.inventory = Some(objects::inventory(built.iter()));
    let is_server_side = deploy::is_server_side(rollback.server_side_apply, &target);
    let gone = objects::gone(old.clone(), &built);
    objects::own(&mut built, &site.target);
    let mut record = Record {
        version: last.version + 1,
        info: Info {
            first_deployed: last.info.first_deployed.clone(),
            last_deployed: Some(now()),
            deleted: None,
            description: format!("Rollback to {}", previous.version),
            status: Status::PendingRollback,
            notes: target.info.notes.clone(),
        },
        apply_method: deploy::apply_method(is_server_side),
        ..target
    };
    storage
        .make_room(&storage.heads().await?, release.spec.max_history_or_default())
        .await?;
    journal.create(storage, &record).await?;
    let options = ActionOptions {
        timeout: rollback
            .timeout
            .unwrap_or_else(|| release.spec.timeout_or_default())
            .to_std(),
        waits: !rollback.disable_wait,
        waits_for_jobs: !rollback.disable_wait_for_jobs,
        is_legacy: env.waits_as_helm3(release),
        runs_hooks: !rollback.disable_hooks,
    };
    let how = ClientSide {
        replaces: rollback.force,
        ..ClientSide::default()
    };
    let delivery = Delivery {
        stages: STAGES,
        made: built,
        gone,
        options: &options,
        cleans_up: match rollback.cleanup_on_fail {
            true => &[Leg::Objects],
            false => &[],
        },
        method: Method::new(is_server_side, old, how),
    };
    let outcome = deploy::deliver(release, work, &mut record, journal, delivery).await;
    let outcome = match outcome {
        Ok(()) => {
            superseded.extend(uninstall::supersede(site, record.version).await?);
            record.info.status = Status::Deployed;
            Ok(())
        }
        Err(Failure {
            leg: Leg::Objects,
            error,
        }) => {
            // Helm supersedes one that has failed as well, which makes it look like something to go back to the next time.
            if last.info.status == Status::Deployed {
                last.info.status = Status::Superseded;
                storage.update(&last).await?;
                superseded.push(last);
            }
            let description = format!("Rollback \"{}\" failed: {error}", record.name);
            record.set_status(Status::Failed, description);
            Err(error)
        }
        Err(Failure {
            leg: Leg::Wait,
            error,
        }) => {
            let description = format!("Release \"{}\" failed: {error}", record.name);
            record.set_status(Status::Failed, description);
            Err(ActionError(format!("release {} failed: {error}", record.name)))
        }
        // As Helm leaves it: pending, until it is unlocked.
        Err(Failure { error, .. }) => return Err(error),
    };
    journal.update(storage, &record).await?;
    outcome
}
