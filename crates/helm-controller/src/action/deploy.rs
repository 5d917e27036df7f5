//! What install, upgrade and rollback have in common: rendering, applying, waiting.

use std::rc::Rc;
use std::sync::Arc;

use ferro_api::helm::{CrdsPolicy, HelmRelease, PostRenderStrategy};
use ferro_apply::error::{Cause, ObjectFailure};
use ferro_apply::ignore::Rules;
use ferro_apply::{Action, ApplyError, ApplyOptions, ChangeSet, Object, WaitError, WaitOptions};
use ferro_helm::manifest::Sorted;
use ferro_helm::record::{Record, StoredChart, StoredHook};
use ferro_helm::release::{self, ReleaseOptions, Rendered};
use ferro_helm::render::Release;
use ferro_helm::values::resolve;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde_json::Value;
use tokio::runtime::Handle;

use super::{ActionError, ActionOptions, Journal, Work, hooks, owner};
use crate::capabilities::ClusterLookup;
use crate::objects;
use crate::postrender::{PostRender, label_origin};
use crate::reconciler::HelmReconciler;

/// Objects written at once.
const CONCURRENCY: usize = 8;
/// Time within which definitions must be established.
const CRD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// How a chart is rendered.
pub(crate) struct RenderOptions {
    pub(crate) revision: i64,
    pub(crate) is_upgrade: bool,
    pub(crate) skip_schema: bool,
}

/// A release as it was rendered.
pub(crate) struct Made {
    pub(crate) chart: StoredChart,
    pub(crate) manifest: String,
    pub(crate) hooks: Vec<StoredHook>,
    pub(crate) notes: String,
}

/// Renders the chart on a thread that may block: templates can look into the cluster.
pub(crate) async fn render(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    options: RenderOptions,
) -> Result<Made, ActionError> {
    let loaded = env
        .charts
        .get(&work.artifact, work.tracked)
        .await
        .map_err(|error| error.to_string())?;
    let capabilities = work.site.discovery.get(&work.site.cluster.client).await?;
    let post_render = PostRender::of(release, PostRenderStrategy::Combined);
    let (cluster, values) = (work.site.cluster.clone(), work.desired.values.clone());
    let described = Release {
        name: work.site.target.name.clone(),
        namespace: work.site.target.namespace.clone(),
        revision: options.revision,
        is_upgrade: options.is_upgrade,
    };
    let runtime = Handle::current();
    let render = move || {
        let options = ReleaseOptions {
            release: described,
            capabilities,
            lookup: Some(Rc::new(ClusterLookup { cluster, runtime })),
            skip_schema_validation: options.skip_schema,
            sub_notes: false,
        };
        let mut notices = Vec::new();
        let rendered = release::render(&loaded.renderer, &values, &options, &mut notices);
        for notice in &notices {
            tracing::debug!("{notice}");
        }
        let rendered = rendered.map_err(|error| error.to_string())?;
        let sorted = post_render.run(&rendered).map_err(|error| error.to_string())?;
        Ok(made(rendered, sorted))
    };
    let rendered = tokio::task::spawn_blocking(render).await;
    rendered
        .unwrap_or_else(|panic| Err(format!("recovered from a panic in rendering: {panic}")))
        .map_err(ActionError)
}

fn made(mut rendered: Rendered, sorted: Sorted) -> Made {
    rendered.manifests = sorted.manifests;
    Made {
        chart: StoredChart::from(&rendered.instance),
        manifest: rendered.manifest(false),
        hooks: sorted.hooks.iter().map(StoredHook::from).collect(),
        notes: std::mem::take(&mut rendered.notes),
    }
}

/// The definitions in the `crds` folders of the chart and its enabled subcharts.
pub(crate) async fn definitions(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
) -> Result<Vec<Object>, ActionError> {
    let loaded = env
        .charts
        .get(&work.artifact, work.tracked)
        .await
        .map_err(|error| error.to_string())?;
    let instance = resolve(loaded.renderer.chart(), &work.desired.values, &mut Vec::new())
        .map_err(|error| format!("chart dependencies processing failed: {error}"))?;
    let mut found = Vec::new();
    for crd in instance.crds() {
        for object in objects::parse(&String::from_utf8_lossy(&crd.data))? {
            if object.id().kind != "CustomResourceDefinition" {
                tracing::warn!(file = crd.filename, object = %object.id(), "only definitions are applied from a crds folder");
                continue;
            }
            let mut object = object;
            label_origin(object.value_mut(), release);
            found.push(object);
        }
    }
    Ok(found)
}

/// Applies the definitions of the chart as the policy says.
pub(crate) async fn apply_definitions(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    policy: Option<CrdsPolicy>,
) -> Result<(), ActionError> {
    if policy == Some(CrdsPolicy::Skip) {
        return Ok(());
    }
    let definitions = definitions(env, release, work).await?;
    if definitions.is_empty() {
        return Ok(());
    }
    let applied = work
        .site
        .cluster
        .apply(definitions, &apply_options(release, work))
        .await;
    let changes = applied.map_err(|error| {
        format!(
            "failed to apply CustomResourceDefinitions: {}",
            apply_text(&error, &[])
        )
    })?;
    if !changes.notable().is_empty() {
        work.site.discovery.invalidate();
        work.site.cluster.mapper.invalidate().await;
    }
    Ok(())
}

/// How the objects of a release are applied.
pub(crate) fn apply_options(release: &HelmRelease, work: &Work) -> ApplyOptions {
    ApplyOptions {
        owner: owner(release),
        force: false,
        concurrency: CONCURRENCY,
        custom_stage_kinds: Vec::new(),
        migrate_version: false,
        ignore: Arc::new(Rules::default()),
        exprs: Arc::clone(&work.exprs),
        stage_timeout: CRD_TIMEOUT,
        cancel: work.site.cancel.clone(),
    }
}

/// Creates the namespace of the release.
pub(crate) async fn create_namespace(work: &Work) -> Result<(), ActionError> {
    let name = &work.site.target.namespace;
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some([("name".to_owned(), name.clone())].into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let params = PostParams {
        field_manager: Some(ferro_api::controller::HELM.to_owned()),
        ..PostParams::default()
    };
    let api: Api<Namespace> = Api::all(work.site.cluster.client.clone());
    match api.create(&params, &namespace).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        Err(error) => Err(ActionError(ferro_apply::error::message(&error))),
    }
}

/// Refuses to take objects that belong to somebody else.
pub(crate) async fn refuse_foreign(work: &Work, made: &[Object], action: &str) -> Result<(), ActionError> {
    for object in made {
        let id = object.id();
        // A kind that is not served yet has no objects.
        let Ok(mapping) = work.site.cluster.map(id, object.version()).await else {
            continue;
        };
        let live = work
            .site
            .cluster
            .api(&mapping, &id.namespace)
            .get_metadata_opt(&id.name)
            .await;
        let live = live.map_err(|error| ferro_apply::error::message(&error))?;
        if let Some(problem) = live.and_then(|live| objects::foreign(&live, &work.site.target)) {
            return Err(ActionError(format!(
                "unable to continue with {action}: {} \"{}\" in namespace \"{}\" exists and cannot be imported into the current release: {problem}",
                id.kind, id.name, id.namespace
            )));
        }
    }
    Ok(())
}

/// The stages of an action and how their failures begin.
pub(crate) struct Stages {
    pub(crate) before: (&'static str, &'static str),
    pub(crate) after: (&'static str, &'static str),
}

/// A release on its way into the cluster.
pub(crate) struct Delivery<'a> {
    pub(crate) stages: Stages,
    /// The objects to apply, marked as those of the release.
    pub(crate) made: Vec<Object>,
    /// The objects of the revision before that this one does not have.
    pub(crate) gone: Vec<Object>,
    pub(crate) options: &'a ActionOptions,
    pub(crate) cleans_up: bool,
}

/// Carries a release out: hooks, objects, wait, hooks.
pub(crate) async fn deliver(
    release: &HelmRelease,
    work: &Work,
    record: &mut Record,
    journal: &mut Journal,
    delivery: Delivery<'_>,
) -> Result<(), ActionError> {
    let Delivery {
        stages,
        made,
        gone,
        options,
        cleans_up,
    } = delivery;
    if options.runs_hooks {
        let (event, prefix) = stages.before;
        hooks::run(&work.site, record, journal, event, options.timeout)
            .await
            .map_err(|error| ActionError(format!("{prefix}{error}")))?;
    }
    let waited: Vec<Object> = made.iter().filter(|object| !is_paused(object)).cloned().collect();
    let versions = made.clone();
    match work.site.cluster.apply(made, &apply_options(release, work)).await {
        Ok(changes) => {
            let outcome = finish(work, &gone, &waited, options).await;
            if outcome.is_err() && cleans_up {
                clean_up(work, &changes, &versions).await;
            }
            outcome?;
        }
        Err(error) => {
            if cleans_up {
                clean_up(work, &error.applied, &versions).await;
            }
            return Err(ActionError(apply_text(&error, &versions)));
        }
    }
    if options.runs_hooks {
        let (event, prefix) = stages.after;
        hooks::run(&work.site, record, journal, event, options.timeout)
            .await
            .map_err(|error| ActionError(format!("{prefix}{error}")))?;
    }
    Ok(())
}

async fn finish(
    work: &Work,
    gone: &[Object],
    waited: &[Object],
    options: &ActionOptions,
) -> Result<(), ActionError> {
    let errors = super::uninstall::delete(&work.site, gone, true, "background").await;
    if !errors.is_empty() {
        return Err(ActionError(errors.join(", ")));
    }
    if !options.waits {
        return Ok(());
    }
    wait(work, waited, options).await
}

/// Waits until the objects are ready.
async fn wait(work: &Work, waited: &[Object], options: &ActionOptions) -> Result<(), ActionError> {
    let vanishes = |object: &&Object| {
        let ttl = object.value().pointer("/spec/ttlSecondsAfterFinished");
        object.id().kind == "Job" && object.id().group == "batch" && ttl.is_some_and(|ttl| !ttl.is_null())
    };
    let exprs = match options.waits_for_jobs {
        true => &work.exprs_with_jobs,
        false => &work.exprs,
    };
    let entries: Vec<_> = waited.iter().map(objects::entry).collect();
    let wait = WaitOptions {
        timeout: options.timeout,
        fail_fast: true,
        exprs: Arc::clone(exprs),
        cancel: work.site.cancel.clone(),
        vanishing: waited
            .iter()
            .filter(vanishes)
            .map(|object| object.id().clone())
            .collect(),
    };
    match work.site.cluster.wait(&entries, &wait).await {
        Ok(()) => Ok(()),
        Err(WaitError::Cancelled) => Err(ActionError("context canceled".to_owned())),
        Err(error) => Err(ActionError(error.to_string())),
    }
}

/// Deletes what an action that failed has created.
async fn clean_up(work: &Work, changes: &ChangeSet, versions: &[Object]) {
    let created: Vec<Object> = changes
        .0
        .iter()
        .filter(|change| change.action == Action::Created)
        .filter_map(|change| {
            versions
                .iter()
                .find(|object| *object.id() == change.entry.id)
                .cloned()
        })
        .collect();
    for error in super::uninstall::delete(&work.site, &created, false, "background").await {
        tracing::warn!(error, "cleaning up after a failed release");
    }
}

/// Deployments that are paused are not waited for.
fn is_paused(object: &Object) -> bool {
    let paused = object.value().pointer("/spec/paused");
    object.id().kind == "Deployment" && paused.and_then(Value::as_bool) == Some(true)
}

/// Why an apply failed, in Helm's words.
pub(crate) fn apply_text(error: &ApplyError, objects: &[Object]) -> String {
    let texts: Vec<String> = error
        .causes
        .iter()
        .map(|cause| cause_text(cause, objects))
        .collect();
    texts.join(" && ")
}

fn cause_text(cause: &Cause, objects: &[Object]) -> String {
    match cause {
        Cause::Object(ObjectFailure::DryRun { id, status } | ObjectFailure::Apply { id, status }) => {
            let object = objects.iter().find(|object| object.id() == id);
            let api_version = match (object, id.group.as_str()) {
                (Some(object), "") => format!("/{}", object.version()),
                (Some(object), group) => format!("{group}/{}", object.version()),
                (None, group) => group.to_owned(),
            };
            format!(
                "server-side apply failed for object {}/{} {api_version}, Kind={}: {}",
                id.namespace, id.name, id.kind, status.message
            )
        }
        Cause::Object(ObjectFailure::Unmapped { source, .. }) => format!(
            "unable to build kubernetes objects from release manifest: resource mapping not found: {source}"
        ),
        Cause::Stage(WaitError::Cancelled) => "context canceled".to_owned(),
        cause => cause.to_string(),
    }
}
