//! Install (`spec/helm.md` F.5).

use ferro_api::helm::{HelmRelease, Install, ReleaseAction};
use ferro_api::{FluxObject, condition};
use ferro_apply::Object;
use ferro_apply::client_side::ClientSide;
use ferro_helm::record::{Info, Record, Status};
use ferro_runtime::conditions;
use ferro_runtime::reconcile::Pass;
use tokio::time::Instant;

use super::deploy::{self, Delivery, Failure, Method, Stages};
use super::render::{self, RenderOptions};
use super::{ActionError, ActionOptions, Journal, Work, release};
use crate::chart::now;
use crate::objects;
use crate::reconciler::HelmReconciler;

const STAGES: Stages = Stages {
    before: ("pre-install", "failed pre-install: "),
    after: ("post-install", "failed post-install: "),
};

/// Installs the release.
pub(crate) async fn install(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
) -> Result<(), ActionError> {
    let status = pass.object.status_mut();
    status.last_attempted_release_action = Some(ReleaseAction::Install);
    status.history.clear();
    conditions::delete(&mut pass.object, condition::TEST_SUCCESS);
    conditions::delete(&mut pass.object, condition::REMEDIATED);
    let began = Instant::now();
    let mut journal = Journal::new("install", &work.desired.chart.oci_digest, env.algorithm());
    let outcome = carry_out(env, &pass.object, work, &mut journal).await;
    release::report(env, pass, work, (ReleaseAction::Install, began), journal, outcome)
}

async fn carry_out(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    journal: &mut Journal,
) -> Result<(), ActionError> {
    let install = release.spec.install.clone().unwrap_or_default();
    let options = options(env, release, &install);
    let is_server_side = install
        .server_side_apply
        .unwrap_or_else(|| !env.has_helm3_defaults());
    deploy::apply_definitions(env, release, work, install.crds, is_server_side).await?;
    let storage = &work.site.storage;
    let last = storage.last().await?;
    if let Some(last) = &last
        && !(install.replace && matches!(last.info.status, Status::Uninstalled | Status::Failed))
    {
        let message = "release name check failed: cannot reuse a name that is still in use";
        return Err(ActionError(message.to_owned()));
    }
    let revision = last.as_ref().map_or(1, |last| last.version + 1);
    let render = RenderOptions {
        revision,
        is_upgrade: false,
        skip_schema: install.disable_schema_validation,
        preserved: None,
    };
    let made = render::render(env, release, work, render).await?;
    let mut built = objects::settle(
        &work.site.cluster,
        objects::parse(&made.manifest)?,
        &work.site.target,
    )
    .await?;
    let definitions = deploy::definitions(env, release, work).await?;
    journal.inventory = Some(objects::inventory(built.iter().chain(&definitions)));
    objects::own(&mut built, &work.site.target);
    if install.disable_take_ownership {
        deploy::refuse_foreign(work, &built, "install").await?;
    }
    if install.create_namespace && release.spec.target_namespace.is_some() {
        deploy::create_namespace(work).await?;
    }
    if let Some(mut last) = last {
        last.set_status(Status::Superseded, "superseded by new release");
        storage.update(&last).await?;
    }
    let moment = now();
    let mut record = Record {
        name: work.site.target.name.clone(),
        namespace: work.site.target.namespace.clone(),
        version: revision,
        info: Info {
            first_deployed: Some(moment.clone()),
            last_deployed: Some(moment),
            deleted: None,
            description: "Initial install underway".to_owned(),
            status: Status::PendingInstall,
            notes: made.notes,
        },
        chart: made.chart,
        config: made.config,
        manifest: made.manifest,
        hooks: made.hooks,
        apply_method: deploy::apply_method(is_server_side),
        labels: std::collections::BTreeMap::new(),
    };
    journal.create(storage, &record).await?;
    let how = ClientSide {
        merges_custom: !install.disable_take_ownership,
        ..ClientSide::default()
    };
    let delivery = Delivery {
        stages: STAGES,
        made: built,
        gone: Vec::<Object>::new(),
        options: &options,
        cleans_up: &[],
        method: Method::new(is_server_side, Vec::new(), how),
    };
    let outcome = deploy::deliver(release, work, &mut record, journal, delivery).await;
    match &outcome {
        Ok(()) => record.set_status(Status::Deployed, "Install complete"),
        Err(Failure { error, .. }) => {
            let description = format!("Release \"{}\" failed: {error}", record.name);
            record.set_status(Status::Failed, description);
        }
    }
    journal.update(storage, &record).await?;
    outcome.map_err(|failure| failure.error)
}

fn options(env: &HelmReconciler, release: &HelmRelease, install: &Install) -> ActionOptions {
    ActionOptions {
        timeout: install
            .timeout
            .unwrap_or_else(|| release.spec.timeout_or_default())
            .to_std(),
        waits: !install.disable_wait,
        waits_for_jobs: !install.disable_wait_for_jobs,
        is_legacy: env.waits_as_helm3(release),
        runs_hooks: !install.disable_hooks,
    }
}
