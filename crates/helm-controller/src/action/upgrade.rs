//! Upgrade (`spec/helm.md` F.5).

use ferro_api::helm::{HelmRelease, ReleaseAction, Upgrade};
use ferro_api::{FluxObject, condition};
use ferro_apply::Object;
use ferro_apply::client_side::ClientSide;
use ferro_helm::record::{Info, Record, Status};
use ferro_runtime::conditions;
use ferro_runtime::reconcile::Pass;
use tokio::time::Instant;

use super::deploy::{self, Delivery, Failure, Leg, Method, Stages};
use super::render::{self, Made, RenderOptions};
use super::{ActionError, ActionOptions, Journal, Work, release};
use crate::chart::now;
use crate::objects;
use crate::reconciler::HelmReconciler;

const STAGES: Stages = Stages {
    before: ("pre-upgrade", "pre-upgrade hooks failed: "),
    after: ("post-upgrade", "post-upgrade hooks failed: "),
};

/// Upgrades the release.
pub(crate) async fn upgrade(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
) -> Result<(), ActionError> {
    pass.object.status_mut().last_attempted_release_action = Some(ReleaseAction::Upgrade);
    conditions::delete(&mut pass.object, condition::TEST_SUCCESS);
    conditions::delete(&mut pass.object, condition::REMEDIATED);
    let began = Instant::now();
    let mut journal = Journal::new("upgrade", &work.desired.chart.oci_digest, env.algorithm());
    let mut superseded = None;
    let outcome = carry_out(env, &pass.object, work, &mut journal, &mut superseded).await;
    if let Some(old) = superseded {
        crate::snapshot::refresh(&mut pass.object.status_mut().history, &old, env.algorithm());
    }
    release::report(env, pass, work, (ReleaseAction::Upgrade, began), journal, outcome)
}

/// The revision whose objects are in the cluster.
async fn current(work: &Work, last: Record) -> Result<Record, ActionError> {
    let storage = &work.site.storage;
    if last.info.status == Status::Deployed {
        return Ok(last);
    }
    for head in storage.heads().await? {
        if head.status == Status::Deployed
            && let Some(record) = storage.get(head.revision).await?
        {
            return Ok(record);
        }
    }
    match last.info.status {
        Status::Failed | Status::Superseded => Ok(last),
        _ => Err(no_deployed(work)),
    }
}

fn no_deployed(work: &Work) -> ActionError {
    ActionError(format!("\"{}\" has no deployed releases", work.site.target.name))
}

async fn carry_out(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    journal: &mut Journal,
    superseded: &mut Option<Record>,
) -> Result<(), ActionError> {
    let upgrade = release.spec.upgrade.clone().unwrap_or_default();
    let storage = &work.site.storage;
    let last = storage.last().await?.ok_or_else(|| no_deployed(work))?;
    let is_server_side = deploy::is_server_side(upgrade.server_side_apply, &last);
    deploy::apply_definitions(env, release, work, upgrade.crds, is_server_side).await?;
    if last.info.status.is_pending() {
        let message = "another operation (install/upgrade/rollback) is in progress";
        return Err(ActionError(message.to_owned()));
    }
    let revision = last.version + 1;
    let mut current = current(work, last).await?;
    let render = RenderOptions {
        revision,
        is_upgrade: true,
        skip_schema: upgrade.disable_schema_validation,
        preserved: upgrade
            .preserve_values
            .then(|| (current.chart.clone(), current.config.clone())),
    };
    let made = render::render(env, release, work, render).await?;
    let site = &work.site;
    let old = objects::settle(&site.cluster, objects::parse(&current.manifest)?, &site.target).await?;
    let mut built = objects::settle(&site.cluster, objects::parse(&made.manifest)?, &site.target).await?;
    let definitions = deploy::definitions(env, release, work).await?;
    journal.inventory = Some(objects::inventory(built.iter().chain(&definitions)));
    let gone = objects::gone(old.clone(), &built);
    objects::own(&mut built, &site.target);
    if upgrade.disable_take_ownership {
        let new: Vec<Object> = objects::gone(built.clone(), &old);
        deploy::refuse_foreign(work, &new, "update").await?;
    }
    let mut record = prepared(work, &current, made, (revision, is_server_side));
    storage
        .make_room(&storage.heads().await?, release.spec.max_history_or_default())
        .await?;
    journal.create(storage, &record).await?;
    let options = options(env, release, &upgrade);
    let how = ClientSide {
        replaces: upgrade.force,
        ..ClientSide::default()
    };
    let delivery = Delivery {
        stages: STAGES,
        made: built,
        gone,
        options: &options,
        cleans_up: match upgrade.cleanup_on_fail {
            true => &[Leg::Objects, Leg::Wait, Leg::HooksAfter],
            false => &[],
        },
        method: Method::new(is_server_side, old, how),
    };
    let outcome = deploy::deliver(release, work, &mut record, journal, delivery).await;
    match &outcome {
        Ok(()) => {
            current.info.status = Status::Superseded;
            storage.update(&current).await?;
            *superseded = Some(current);
            record.set_status(Status::Deployed, "Upgrade complete");
        }
        Err(Failure { error, .. }) => {
            let description = format!("Upgrade \"{}\" failed: {error}", record.name);
            record.set_status(Status::Failed, description);
        }
    }
    journal.update(storage, &record).await?;
    outcome.map_err(|failure| failure.error)
}

fn prepared(work: &Work, current: &Record, made: Made, (revision, is_server_side): (i64, bool)) -> Record {
    Record {
        name: work.site.target.name.clone(),
        namespace: current.namespace.clone(),
        version: revision,
        info: Info {
            first_deployed: current.info.first_deployed.clone(),
            last_deployed: Some(now()),
            deleted: None,
            description: "Preparing upgrade".to_owned(),
            status: Status::PendingUpgrade,
            notes: made.notes,
        },
        chart: made.chart,
        config: made.config,
        manifest: made.manifest,
        hooks: made.hooks,
        apply_method: deploy::apply_method(is_server_side),
        labels: current.labels.clone(),
    }
}

fn options(env: &HelmReconciler, release: &HelmRelease, upgrade: &Upgrade) -> ActionOptions {
    ActionOptions {
        timeout: upgrade
            .timeout
            .unwrap_or_else(|| release.spec.timeout_or_default())
            .to_std(),
        waits: !upgrade.disable_wait,
        waits_for_jobs: !upgrade.disable_wait_for_jobs,
        is_legacy: env.waits_as_helm3(release),
        runs_hooks: !upgrade.disable_hooks,
    }
}
