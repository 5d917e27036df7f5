//! The reconciler of HelmReleases (`spec/helm.md` part B).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::helm::{ChartNameChangeStrategyKind, HelmRelease, StrategyName};
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition, controller, group, reason};
use ferro_apply::Cluster;
use ferro_apply::contention::Contention;
use ferro_apply::error::message;
use ferro_apply::targets::{TargetError, Targets};
use ferro_artifact::digest::Algorithm;
use ferro_kstatus::{HealthExpr, HealthExprs};
use ferro_runtime::backoff::jittered;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::flags::{FeatureGates, PaceFlags};
use ferro_runtime::reconcile::{Cause, Outcome, Pass, Reconciler, finish};
use ferro_runtime::sources::{SourceId, Sources};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::action::{self, Work, release, uninstall};
use crate::args::{Settings, gate};
use crate::chart::{ChartError, ChartHead, Charts, is_tracked};
use crate::conditions::overcome;
use crate::dependency::{self, Unready};
use crate::records::Records;
use crate::release::{Desired, Target};
use crate::site::{Discoveries, destination, no_way};
use crate::source::{KINDS, non_empty, source_of};
use crate::strategy::Strategies;
use crate::values::{self, compose};
use crate::{atomic, helmchart, lock};

/// A release's key.
pub(crate) type Key = ObjectRef<HelmRelease>;

/// When a chart that its server does not have is looked for again.
const NOT_FOUND_RETRY: Duration = Duration::from_secs(30);
/// How long a HelmChart that was just changed may take before the status says that it is not ready.
const SOURCE_PATIENCE: Duration = Duration::from_secs(1);
/// Readiness of Jobs that must complete.
const JOB: HealthExpr<'static> = HealthExpr {
    api_version: "batch/v1",
    kind: "Job",
    current: "spec.?suspend.orValue(false) || status.?conditions.orValue([]).exists(c, c.type == 'Complete' && c.status == 'True')",
    in_progress: None,
    failed: Some("status.?conditions.orValue([]).exists(c, c.type == 'Failed' && c.status == 'True')"),
};

/// Readiness of Jobs that need not.
const JOB_STARTED: HealthExpr<'static> = HealthExpr {
    current: "status.?startTime.hasValue() || spec.?suspend.orValue(false)",
    ..JOB
};

/// Reconciles HelmReleases.
pub(crate) struct HelmReconciler {
    /// Of the cluster that the controller runs in, with the controller's rights.
    pub(crate) client: Client,
    pub(crate) targets: Targets,
    pub(crate) sources: Arc<Sources>,
    pub(crate) charts: Charts,
    pub(crate) discoveries: Discoveries,
    pub(crate) store: Store<HelmRelease>,
    pub(crate) wake: Box<dyn Fn(Key) + Send + Sync>,
    /// Cancelled when the process is to stop.
    pub(crate) stop: CancellationToken,
    pub(crate) settings: Settings,
    pub(crate) pace: PaceFlags,
    pub(crate) gates: FeatureGates,
    /// Share of a wait, in percent, by which it is changed at random.
    pub(crate) jitter: u8,
    /// Passes under way, which a deletion or the end of the process cuts short.
    pub(crate) running: Mutex<HashMap<Key, CancellationToken>>,
    pub(crate) memory: Memory,
    /// Objects that others keep writing.
    pub(crate) contention: Arc<Mutex<Contention>>,
}

/// What is known from passes before, beyond what the status says.
#[derive(Default)]
pub(crate) struct Memory {
    /// HelmCharts as they were last applied, with the generation that this made.
    applied_charts: Mutex<HashMap<SourceId, (String, i64)>>,
    /// The HelmCharts of releases whose status does not name them yet.
    unnamed_charts: Mutex<HashMap<Key, String>>,
    /// The newest records, as they are packed.
    pub(crate) records: Arc<Records>,
    /// What users were told last of a change that waits.
    told: Mutex<HashMap<Key, String>>,
}

impl Memory {
    /// Notes what a user is told of a release; whether that is new.
    pub(crate) fn tell(&self, key: Key, message: Option<&str>) -> bool {
        let mut told = lock(&self.told);
        let before = match message {
            Some(message) => told.insert(key, message.to_owned()),
            None => told.remove(&key),
        };
        before.as_deref() != message
    }
}

/// Why a pass ends before anything is done to the release.
struct Stop(Outcome);

impl Reconciler for HelmReconciler {
    type Object = HelmRelease;

    async fn reconcile(&self, pass: &mut Pass<HelmRelease>) -> Outcome {
        let key = ObjectRef::from_obj(&pass.object);
        let cancel = self.stop.child_token();
        self.name_chart(&mut pass.object, &key);
        lock(&self.running).insert(key.clone(), cancel.clone());
        let outcome = match self.prepare(pass, cancel).await {
            Ok(work) => match Box::pin(atomic::run(self, pass, &work)).await {
                // What waits there is the retry of a strategy, or else a window.
                Outcome::Wait(interval) if !atomic::is_held(&pass.object) => {
                    Outcome::Wait(jittered(interval, self.jitter))
                }
                outcome => outcome,
            },
            Err(Stop(outcome)) => outcome,
        };
        lock(&self.running).remove(&key);
        if let (Outcome::Deferred(_), Some(status)) = (&outcome, pass.object.status()) {
            let chart = status.helm_chart.clone().map(|chart| (key, chart));
            lock(&self.memory.unnamed_charts).extend(chart);
        }
        outcome
    }

    async fn finalize(&self, pass: &mut Pass<HelmRelease>) -> Result<(), String> {
        let key = ObjectRef::from_obj(&pass.object);
        self.name_chart(&mut pass.object, &key);
        self.memory.tell(key, None);
        if !pass.object.is_suspended() {
            self.uninstall(pass).await?;
            helmchart::delete_last(self, pass).await?;
        }
        self.targets.forget(&action::owner(&pass.object));
        Ok(())
    }

    /// Those that wait for a dependency are told as soon as it is ready.
    fn observed(&self, object: &HelmRelease) {
        let key = ObjectRef::from_obj(object);
        if object.metadata.deletion_timestamp.is_some()
            && let Some(cancel) = lock(&self.running).get(&key)
        {
            cancel.cancel();
        }
        if !dependency::is_done(object) {
            return;
        }
        for other in self.store.state() {
            if dependency::waits_for(&other, &key) {
                (self.wake)(ObjectRef::from_obj(other.as_ref()));
            }
        }
    }

    fn finish(&self, object: &mut HelmRelease, outcome: &Outcome) {
        let generation = object.metadata.generation.unwrap_or(0);
        match outcome {
            Outcome::Wait(_) if atomic::is_held(object) => {}
            Outcome::Wait(_) => object.set_observed_generation(generation),
            Outcome::Stalled { .. } => {
                conditions::delete(object, condition::RECONCILING);
                object.set_observed_generation(generation);
            }
            // What goes on is in Reconciling already.
            Outcome::Backoff { .. }
            | Outcome::Retry { .. }
            | Outcome::Superseded
            | Outcome::Deferred(_)
            | Outcome::Stopped => {}
            Outcome::Done => finish(object, outcome),
        }
    }
}

impl HelmReconciler {
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.settings.helm.snapshot_digest_algo
    }

    pub(crate) fn strategies(&self, _release: &HelmRelease) -> Strategies {
        let retries = self.gates.enabled(gate::DEFAULT_TO_RETRY_ON_FAILURE);
        Strategies {
            default: if retries {
                StrategyName::RetryOnFailure
            } else {
                StrategyName::RemediateOnFailure
            },
        }
    }

    /// The end of a pass whose work was cut short.
    pub(crate) fn cut_short(&self, pass: &Pass<HelmRelease>) -> Outcome {
        match pass.interrupt.cause() {
            Some(Cause::NewWork(_)) if !self.stop.is_cancelled() => Outcome::Superseded,
            _ if self.stop.is_cancelled() => Outcome::Stopped,
            _ => Outcome::Superseded,
        }
    }

    /// Adds what a pass has made without saying so.
    fn name_chart(&self, object: &mut HelmRelease, key: &Key) {
        let unnamed = lock(&self.memory.unnamed_charts).remove(key);
        if let Some(chart) = unnamed {
            object.status_mut().helm_chart.get_or_insert(chart);
        }
    }

    /// Whether the HelmChart is what we last made it.
    pub(crate) fn chart_is_as_left(&self, id: &SourceId, fingerprint: &str, generation: i64) -> bool {
        let charts = lock(&self.memory.applied_charts);
        charts
            .get(id)
            .is_some_and(|(left, known)| left == fingerprint && *known == generation)
    }

    pub(crate) fn chart_left(&self, id: &SourceId, fingerprint: String, generation: i64) {
        lock(&self.memory.applied_charts).insert(id.clone(), (fingerprint, generation));
    }

    pub(crate) fn chart_gone(&self, id: &SourceId) {
        lock(&self.memory.applied_charts).remove(id);
        self.sources.remove(id);
    }

    /// Everything that must hold before the release is looked at: a valid spec, dependencies, a chart, values.
    async fn prepare(&self, pass: &mut Pass<HelmRelease>, cancel: CancellationToken) -> Result<Work, Stop> {
        let (exprs, exprs_with_jobs) =
            compile(&pass.object).map_err(|error| invalid_expression(pass, &error))?;
        let Some(source) = source_of(&pass.object) else {
            let error = "invalid Chart reference".to_owned();
            return Err(Stop(Outcome::Stalled { error }));
        };
        self.may_use(pass, &source)?;
        let changed = helmchart::reconcile(self, pass).await;
        let changed = changed.map_err(|error| Stop(Outcome::Backoff { error }))?;
        conditions::mark_reconciling(&mut pass.object, reason::PROGRESSING, "Fulfilling prerequisites");
        self.dependencies(pass).await?;
        let artifact = self.artifact(pass, &source, changed).await?;
        let values = compose(&self.client, &pass.object).await;
        let values = values.map_err(|error| failed(pass, reason::VALUES_ERROR, error.to_string(), true))?;
        let config_digest = values::digest(&values, self.algorithm());
        let config_digest = config_digest
            .map_err(|error| failed(pass, reason::VALUES_ERROR, error.to_string(), true))?
            .to_string();
        overcome(&mut pass.object, reason::VALUES_ERROR);
        let tracked = is_tracked(
            source.kind,
            &artifact,
            self.gates.enabled(gate::DISABLE_CHART_DIGEST_TRACKING),
        );
        let chart = self.chart(pass, &artifact, tracked).await?;
        let cluster = self
            .cluster_of(&pass.object)
            .await
            .map_err(|error| failed(pass, reason::REST_CLIENT_ERROR, error, true))?;
        let target = Target::of(&pass.object);
        self.leave_old_target(pass, &target, &chart, (&cluster, &cancel))
            .await?;
        let desired = Desired {
            chart,
            values,
            config_digest,
        };
        attempt(pass, &target, &desired);
        Ok(Work {
            site: self.site(cluster, target, cancel),
            desired,
            artifact,
            tracked,
            exprs: Arc::new(exprs),
            exprs_with_jobs: Arc::new(exprs_with_jobs),
        })
    }

    /// Whether the controller's flags let the release use its source.
    fn may_use(&self, pass: &mut Pass<HelmRelease>, source: &SourceId) -> Result<(), Stop> {
        let foreign = source.namespace != pass.object.namespace().unwrap_or_default();
        let message = if foreign && self.settings.shared.no_cross_namespace_refs {
            let (kind, id) = (source.kind, format!("{}/{}", source.namespace, source.name));
            format!("cross-namespace references are not allowed: cannot access {kind} {id}")
        } else if source.kind == "ExternalArtifact" && !self.gates.enabled(gate::EXTERNAL_ARTIFACT) {
            format!("can't access '{source}', ExternalArtifact feature gate is disabled")
        } else {
            return Ok(());
        };
        Err(terminal(pass, reason::ACCESS_DENIED, message))
    }

    async fn dependencies(&self, pass: &mut Pass<HelmRelease>) -> Result<(), Stop> {
        match dependency::ready(self, &pass.object).await {
            Ok(()) => {
                overcome(&mut pass.object, reason::DEPENDENCY_NOT_READY);
                Ok(())
            }
            Err(Unready::Terminal(error)) => Err(invalid_expression(pass, &error)),
            Err(Unready::Waiting(why)) => {
                conditions::mark_false(
                    &mut pass.object,
                    condition::READY,
                    reason::DEPENDENCY_NOT_READY,
                    &why,
                );
                let after = self.pace.requeue_dependency;
                let message = format!(
                    "dependencies do not meet ready condition ({why}): retrying in {}",
                    ferro_api::meta::Duration::from(after)
                );
                pass.event(
                    Severity::Info,
                    reason::DEPENDENCY_NOT_READY,
                    &message,
                    BTreeMap::new(),
                );
                Err(Stop(Outcome::Wait(after)))
            }
        }
    }

    /// The artifact of the source. One that was `changed` by this pass gets a moment before anything is said of it.
    async fn artifact(
        &self,
        pass: &mut Pass<HelmRelease>,
        source: &SourceId,
        changed: bool,
    ) -> Result<Arc<Artifact>, Stop> {
        let kind = KINDS.into_iter().find(|kind| kind.kind == source.kind);
        let known = match kind {
            Some(kind) if pass.object.has_open_request() => {
                self.sources.look(&self.client, kind, source).await
            }
            _ => self.sources.get(source),
        };
        let Some(known) = known else {
            let message = format!(
                "could not get Source object: {}.{} \"{}\" not found",
                kind.map_or("", |kind| kind.plural),
                group::SOURCE,
                source.name
            );
            return Err(failed(pass, reason::ARTIFACT_FAILED, message, false));
        };
        overcome(&mut pass.object, reason::ARTIFACT_FAILED);
        let why = match (known.unready, known.artifact) {
            (None, Some(artifact)) => {
                overcome(&mut pass.object, reason::SOURCE_NOT_READY);
                return Ok(artifact);
            }
            _ if changed => return Err(Stop(Outcome::Deferred(SOURCE_PATIENCE))),
            (why, _) => why.unwrap_or_else(|| "does not have an artifact".to_owned()),
        };
        let message = format!(
            "{} '{}/{}' is not ready: {why}",
            source.kind, source.namespace, source.name
        );
        tracing::info!("{message}");
        conditions::mark_false(
            &mut pass.object,
            condition::READY,
            reason::SOURCE_NOT_READY,
            &message,
        );
        Err(Stop(Outcome::Wait(jittered(
            self.pace.requeue_dependency,
            self.jitter,
        ))))
    }

    async fn chart(
        &self,
        pass: &mut Pass<HelmRelease>,
        artifact: &Artifact,
        tracked: bool,
    ) -> Result<ChartHead, Stop> {
        // A server that does not answer must not keep a deletion or another revision waiting.
        let head = tokio::select! {
            head = self.charts.head(artifact, tracked) => head,
            cause = pass.interrupt.fired() => return Err(Stop(match cause {
                Cause::Shutdown => Outcome::Stopped,
                Cause::NewWork(_) => Outcome::Superseded,
            })),
        };
        match head {
            Ok(head) => {
                overcome(&mut pass.object, reason::ARTIFACT_FAILED);
                overcome(&mut pass.object, reason::CHART_MUTATE_ERROR);
                Ok(head)
            }
            Err(ChartError::NotFound) => {
                let message = "Source not ready: artifact not found. Retrying in 30s";
                conditions::mark_false(
                    &mut pass.object,
                    condition::READY,
                    reason::ARTIFACT_FAILED,
                    message,
                );
                Err(Stop(Outcome::Wait(NOT_FOUND_RETRY)))
            }
            Err(error @ ChartError::Load(_)) => {
                Err(failed(pass, reason::ARTIFACT_FAILED, error.to_string(), true))
            }
            Err(error @ ChartError::Version(_)) => {
                Err(failed(pass, reason::CHART_MUTATE_ERROR, error.to_string(), true))
            }
        }
    }

    /// The cluster that the release is in, with the rights of its service account.
    async fn cluster_of(&self, release: &HelmRelease) -> Result<Cluster, String> {
        let found = self.targets.of(&destination(release)).await;
        found.map_err(|error| no_way(&error))
    }

    /// Uninstalls a release that is somewhere else than the spec wants it.
    async fn leave_old_target(
        &self,
        pass: &mut Pass<HelmRelease>,
        target: &Target,
        chart: &ChartHead,
        (cluster, cancel): (&Cluster, &CancellationToken),
    ) -> Result<(), Stop> {
        let upgrade = pass.object.spec.upgrade.as_ref();
        let strategy = upgrade
            .and_then(|upgrade| upgrade.chart_name_change_strategy)
            .unwrap_or_default();
        let keeps_renamed = strategy == ChartNameChangeStrategyKind::InPlaceUpdate;
        let Some(change) = target.changed(&pass.object, chart, keeps_renamed) else {
            return Ok(());
        };
        if !atomic::asks_for_force(&pass.object)
            && let Some(outcome) = atomic::held(self, pass, "uninstall of the release that is left", false)
        {
            return Err(Stop(outcome));
        }
        tracing::info!(
            "release target configuration changed ({change}): running uninstall for current release"
        );
        let status = pass.object.status_mut();
        let storage = status.storage_namespace.clone().unwrap_or_default();
        let Some(last) = status.history.first() else {
            return Ok(());
        };
        let site = self.site(
            cluster.clone(),
            Target::of_snapshot(last, &storage),
            cancel.clone(),
        );
        if let Err(error) = uninstall::uninstall(self, pass, &site).await {
            let error = error.to_string();
            return Err(Stop(Outcome::Backoff { error }));
        }
        let status = pass.object.status_mut();
        status.history.clear();
        status.storage_namespace = None;
        release::clear_failures(&mut pass.object);
        let error = format!("must requeue: {change}");
        Err(Stop(Outcome::Backoff { error }))
    }

    /// Uninstalls the release of a HelmRelease that is being deleted.
    async fn uninstall(&self, pass: &mut Pass<HelmRelease>) -> Result<(), String> {
        let status = pass.object.status();
        let storage = status
            .and_then(|status| status.storage_namespace.clone())
            .unwrap_or_default();
        let last = status.and_then(|status| status.history.first().cloned());
        let Some(last) = last.filter(|_| !storage.is_empty()) else {
            tracing::info!("nothing to uninstall: no release is known, or no storage namespace configured");
            return Ok(());
        };
        let cluster = match self.targets.of(&destination(&pass.object)).await {
            Ok(cluster) => cluster,
            Err(error @ (TargetError::NotFound { .. } | TargetError::NoConfigMap { .. })) => {
                tracing::info!("{}: the release is left as it is", no_way(&error));
                return Ok(());
            }
            Err(error) => return Err(not_uninstalled(pass, no_way(&error))),
        };
        let lacks_account = match pass.object.spec.kube_config {
            None => self.lacks_account(&pass.object).await,
            // An account in another cluster is not asked for.
            Some(_) => Ok(false),
        };
        if lacks_account.map_err(|error| not_uninstalled(pass, error))? {
            tracing::info!("the service account is gone: the release is left as it is");
            return Ok(());
        }
        let target = Target::of_snapshot(&last, &storage);
        let site = self.site(cluster, target, self.stop.child_token());
        uninstall::uninstall(self, pass, &site)
            .await
            .map_err(|error| error.to_string())?;
        let status = pass.object.status_mut();
        status.history.clear();
        status.storage_namespace = None;
        Ok(())
    }

    async fn lacks_account(&self, release: &HelmRelease) -> Result<bool, String> {
        let destination = destination(release);
        self.targets.lacks_account(&destination).await.map_err(|error| {
            let account = self.targets.account(&destination).unwrap_or_default();
            let error = message(&error);
            format!("failed to confirm ServiceAccount '{account}' can be used to uninstall release: {error}")
        })
    }
}

/// Says why the release cannot be uninstalled yet.
fn not_uninstalled(pass: &mut Pass<HelmRelease>, error: String) -> String {
    conditions::mark_false(
        &mut pass.object,
        condition::READY,
        reason::UNINSTALL_FAILED,
        &error,
    );
    error
}

/// Notes what is tried, and forgets failures of something else.
fn attempt(pass: &mut Pass<HelmRelease>, target: &Target, desired: &Desired) {
    let generation = pass.object.metadata.generation;
    let is_reset = atomic::is_reset(&mut pass.object);
    let status = pass.object.status_mut();
    let same_values = match (
        &status.last_attempted_config_digest,
        &status.last_attempted_values_checksum,
    ) {
        (Some(known), _) => values::matches(&desired.values, known),
        (None, Some(checksum)) => values::matches(&desired.values, &format!("sha1:{checksum}")),
        (None, None) => false,
    };
    let is_same = status.last_attempted_generation == generation
        && status.last_attempted_revision.as_deref() == Some(&desired.chart.version)
        && same_values;
    status.storage_namespace = Some(target.storage_namespace.clone());
    status.last_attempted_generation = generation;
    status.last_attempted_revision = Some(desired.chart.version.clone());
    status.last_attempted_revision_digest =
        Some(desired.chart.oci_digest.clone()).filter(|digest| !digest.is_empty());
    status.last_attempted_config_digest = Some(desired.config_digest.clone());
    status.last_attempted_values_checksum = None;
    status.last_release_revision = 0;
    if is_reset || !is_same {
        release::clear_failures(&mut pass.object);
    }
}

/// An error that is tried again.
fn failed(pass: &mut Pass<HelmRelease>, reason: &str, error: String, tells: bool) -> Stop {
    conditions::mark_false(&mut pass.object, condition::READY, reason, &error);
    if tells {
        pass.event(Severity::Error, reason, &error, BTreeMap::new());
    }
    Stop(Outcome::Backoff { error })
}

/// An error that only another spec overcomes.
fn terminal(pass: &mut Pass<HelmRelease>, reason: &str, error: String) -> Stop {
    conditions::mark_false(&mut pass.object, condition::READY, reason, &error);
    conditions::mark_stalled(&mut pass.object, reason, &error);
    pass.event(Severity::Error, reason, &error, BTreeMap::new());
    Stop(Outcome::Stalled { error })
}

fn invalid_expression(pass: &mut Pass<HelmRelease>, error: &str) -> Stop {
    let message = format!("Reconciliation failed terminally due to configuration error: {error}");
    let reason = reason::INVALID_CEL_EXPRESSION;
    conditions::mark_false(&mut pass.object, condition::READY, reason, &message);
    conditions::mark_stalled(&mut pass.object, reason, &message);
    pass.event(Severity::Error, reason, error, BTreeMap::new());
    Stop(Outcome::Stalled { error: message })
}

/// The health expressions of the spec, without and with Jobs that must complete.
fn compile(release: &HelmRelease) -> Result<(HealthExprs, HealthExprs), String> {
    let checks = &release.spec.health_check_exprs;
    let mut exprs: Vec<HealthExpr<'_>> = checks
        .iter()
        .map(|check| HealthExpr {
            api_version: &check.api_version,
            kind: check.kind.as_deref().unwrap_or_default(),
            current: &check.current,
            in_progress: non_empty(check.in_progress.as_deref()),
            failed: non_empty(check.failed.as_deref()),
        })
        .collect();
    let covers_jobs = exprs.iter().any(|expr| {
        let group = expr.api_version.split_once('/').map_or("", |(group, _)| group);
        group == "batch" && matches!(expr.kind, "" | "Job")
    });
    let with = |job: HealthExpr<'static>, exprs: &mut Vec<_>| {
        if covers_jobs {
            return HealthExprs::compile(exprs).map_err(|error| error.to_string());
        }
        exprs.push(job);
        let compiled = HealthExprs::compile(exprs).map_err(|error| error.to_string());
        exprs.pop();
        compiled
    };
    let plain = with(JOB_STARTED, &mut exprs)?;
    let with_jobs = with(JOB, &mut exprs)?;
    Ok((plain, with_jobs))
}

/// The name under which objects are written.
pub(crate) fn manager() -> String {
    controller::HELM.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_kstatus::Status;
    use serde_json::json;

    #[test]
    fn jobs_must_complete_where_they_are_waited_for() {
        let (started, with_jobs) = compile(&HelmRelease::default()).unwrap();
        let status = |conditions: serde_json::Value, suspend: bool| {
            let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "a", "generation": 1 },
                "spec": { "suspend": suspend }, "status": { "startTime": "2026-01-01T00:00:00Z", "conditions": conditions } });
            with_jobs.health(&job).unwrap().status
        };
        let is = |type_: &str| json!([{ "type": type_, "status": "True" }]);
        assert_eq!(status(json!([]), false), Status::InProgress);
        assert_eq!(status(json!([]), true), Status::Current);
        assert_eq!(status(is("Complete"), false), Status::Current);
        assert_eq!(status(is("Failed"), false), Status::Failed);
        let job = |status: serde_json::Value| {
            let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "a" },
                "spec": {}, "status": status });
            started.health(&job).unwrap().status
        };
        let since = "2026-01-01T00:00:00Z";
        assert_eq!(job(json!({ "startTime": since })), Status::Current);
        assert_eq!(job(json!({})), Status::InProgress);
        assert_eq!(
            job(json!({ "startTime": since, "conditions": is("Failed") })),
            Status::Failed
        );
        let bare =
            json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "a" }, "spec": {} });
        // Not yet seen by its controller: waited for as well.
        assert_eq!(with_jobs.health(&bare).unwrap().status, Status::Unknown);
    }
}
