//! What install, upgrade and rollback have in common: writing objects, waiting, hooks.

use std::sync::Arc;

use ferro_api::helm::{CrdsPolicy, HelmRelease};
use ferro_apply::client_side::{ClientSide, Revised};
use ferro_apply::error::{Cause, ObjectFailure};
use ferro_apply::ignore::Rules;
use ferro_apply::{Action, ApplyError, ApplyOptions, ChangeSet, Object, WaitError, WaitOptions};
use ferro_helm::record::{CLIENT_SIDE, Record, SERVER_SIDE};
use ferro_release::render;
pub(crate) use ferro_release::render::is_server_side;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};

use super::hooks::HookOptions;
use super::{ActionError, ActionOptions, Journal, Work, hooks, owner};
use crate::objects;
use crate::reconciler::HelmReconciler;

/// Objects written at once.
const CONCURRENCY: usize = 8;
/// Time within which definitions must be established.
const CRD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

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
    Ok(render::definitions(&loaded, &work.desired.values, release)?)
}

/// Applies the definitions of the chart as the policy says.
pub(crate) async fn apply_definitions(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    policy: Option<CrdsPolicy>,
    is_server_side: bool,
) -> Result<(), ActionError> {
    if policy == Some(CrdsPolicy::Skip) {
        return Ok(());
    }
    let mut definitions = definitions(env, release, work).await?;
    // The API server updates what it is to create; otherwise what is there stays.
    if !is_server_side && policy != Some(CrdsPolicy::CreateReplace) {
        let mut missing = Vec::new();
        for definition in definitions {
            if is_missing(work, &definition).await? {
                missing.push(definition);
            }
        }
        definitions = missing;
    }
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

async fn is_missing(work: &Work, definition: &Object) -> Result<bool, ActionError> {
    let failed =
        |problem: String| ActionError(format!("failed to apply CustomResourceDefinitions: {problem}"));
    let id = definition.id();
    let mapping = work.site.cluster.map(id, definition.version()).await;
    let mapping = mapping.map_err(|error| failed(error.to_string()))?;
    let live = work
        .site
        .cluster
        .api(&mapping, "")
        .get_metadata_opt(&id.name)
        .await;
    let live = live.map_err(|error| failed(ferro_apply::error::message(&error)))?;
    Ok(live.is_none())
}

/// How the objects of a release are applied.
pub(crate) fn apply_options(release: &HelmRelease, work: &Work) -> ApplyOptions {
    ApplyOptions {
        owner: owner(release),
        force: false,
        concurrency: CONCURRENCY,
        custom_stage_kinds: Vec::new(),
        migrate_version: false,
        // Helm writes one object after the other.
        dry_runs: false,
        // As Helm does, whatever the spec says of the validation before.
        is_strict: true,
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
    /// After which failures what was created is deleted.
    pub(crate) cleans_up: &'static [Leg],
    pub(crate) method: Method,
}

/// Who merges what is written with what is there.
pub(crate) enum Method {
    /// The API server.
    ServerSide,
    /// We do, from what was asked for before.
    ClientSide { originals: Vec<Object>, how: ClientSide },
}

impl Method {
    pub(crate) fn new(is_server_side: bool, originals: Vec<Object>, how: ClientSide) -> Self {
        match is_server_side {
            true => Self::ServerSide,
            false => Self::ClientSide { originals, how },
        }
    }
}

/// The word for it in records.
pub(crate) fn apply_method(is_server_side: bool) -> String {
    let method = if is_server_side { SERVER_SIDE } else { CLIENT_SIDE };
    method.to_owned()
}

/// Writes the objects; or fails with what was written, and why not all of them were.
async fn write(
    release: &HelmRelease,
    work: &Work,
    made: Vec<Object>,
    method: Method,
) -> Result<ChangeSet, (ChangeSet, String)> {
    let options = apply_options(release, work);
    match method {
        Method::ServerSide => {
            let versions = made.clone();
            let applied = work.site.cluster.apply(made, &options).await;
            applied.map_err(|error| {
                let text = apply_text(&error, &versions);
                (error.applied, text)
            })
        }
        Method::ClientSide { originals, how } => {
            let revised = made.into_iter().map(|object| Revised {
                original: originals.iter().find(|old| old.id() == object.id()).cloned(),
                object,
            });
            let applied = work
                .site
                .cluster
                .apply_client_side(revised.collect(), how, &options)
                .await;
            applied.map_err(|error| (error.applied, error.problems.join(" && ")))
        }
    }
}

/// How far a release came on its way into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    HooksBefore,
    Objects,
    Wait,
    HooksAfter,
}

/// A release did not arrive.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) leg: Leg,
    pub(crate) error: ActionError,
}

/// Carries a release out: hooks, objects, wait, hooks.
pub(crate) async fn deliver(
    release: &HelmRelease,
    work: &Work,
    record: &mut Record,
    journal: &mut Journal,
    delivery: Delivery<'_>,
) -> Result<(), Failure> {
    let Delivery {
        stages,
        made,
        gone,
        options,
        cleans_up,
        method,
    } = delivery;
    if options.runs_hooks {
        let ran = run_hooks(work, record, journal, stages.before, options).await;
        ran.map_err(|error| Failure {
            leg: Leg::HooksBefore,
            error,
        })?;
    }
    let versions = made.clone();
    journal.step("applying objects", &json!({ "objects": versions.len() }));
    let (changes, written) = match write(release, work, made, method).await {
        Ok(changes) => (changes, Ok(())),
        Err((applied, text)) => (applied, Err(ActionError(text))),
    };
    for change in &changes.notable().0 {
        let id = &change.entry.id;
        let details = json!({ "namespace": id.namespace, "name": id.name, "kind": id.kind });
        journal.step(&format!("object {}", change.action.as_str()), &details);
    }
    let outcome = match written {
        Ok(()) => settle(work, record, journal, &versions, (&gone, stages.after, options)).await,
        Err(error) => Err(Failure {
            leg: Leg::Objects,
            error,
        }),
    };
    if let Err(failure) = &outcome
        && cleans_up.contains(&failure.leg)
    {
        clean_up(work, journal, &changes, &versions).await;
    }
    outcome
}

/// What follows once the objects are written.
async fn settle(
    work: &Work,
    record: &mut Record,
    journal: &mut Journal,
    made: &[Object],
    (gone, after, options): (&[Object], (&'static str, &'static str), &ActionOptions),
) -> Result<(), Failure> {
    let at = |leg: Leg| move |error: ActionError| Failure { leg, error };
    if !gone.is_empty() {
        journal.step("deleting objects", &json!({ "objects": gone.len() }));
    }
    let errors = super::uninstall::delete(&work.site, gone, true, "background").await;
    if !errors.is_empty() {
        return Err(at(Leg::Objects)(ActionError(errors.join(", "))));
    }
    let waited: Vec<Object> = made.iter().filter(|object| !is_paused(object)).cloned().collect();
    if options.waits {
        let timeout = ferro_api::meta::Duration::from(options.timeout).to_string();
        let details = json!({ "objects": waited.len(), "timeout": timeout });
        journal.step("waiting for objects", &details);
    }
    if options.waits && options.is_legacy {
        let (timeout, with_jobs) = (options.timeout, options.waits_for_jobs);
        let ready = super::legacy::wait(&work.site, &waited, timeout, with_jobs).await;
        ready.map_err(at(Leg::Wait))?;
    } else if options.waits {
        wait(work, &waited, options).await.map_err(at(Leg::Wait))?;
    }
    if options.runs_hooks {
        let ran = run_hooks(work, record, journal, after, options).await;
        ran.map_err(at(Leg::HooksAfter))?;
    }
    Ok(())
}

async fn run_hooks(
    work: &Work,
    record: &mut Record,
    journal: &mut Journal,
    (event, prefix): (&str, &str),
    options: &ActionOptions,
) -> Result<(), ActionError> {
    let how = HookOptions {
        timeout: options.timeout,
        is_legacy: options.is_legacy && options.waits,
        is_server_side: record.is_server_side(),
        exprs: Arc::clone(&work.exprs_with_jobs),
    };
    let ran = hooks::run(&work.site, record, journal, event, &how).await;
    ran.map_err(|error| ActionError(format!("{prefix}{error}")))
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
async fn clean_up(work: &Work, journal: &mut Journal, changes: &ChangeSet, versions: &[Object]) {
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
    journal.step("deleting what was created", &json!({ "objects": created.len() }));
    for error in super::uninstall::delete(&work.site, &created, false, "background").await {
        journal.step("warning: object cannot be deleted", &json!({ "error": error }));
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
