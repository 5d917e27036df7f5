//! What must hold before a release is looked at: a valid spec, dependencies that are ready, a chart, values (`spec/helm.md` part B.2).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ferro_api::helm::HelmRelease;
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition, group, reason};
use ferro_kstatus::{ExprError, HealthExpr, HealthExprs};
use ferro_runtime::backoff::jittered;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Cause, Outcome, Pass};
use ferro_runtime::sources::{SourceId, SourceKind, Standing};
use kube::ResourceExt;
use tokio_util::sync::CancellationToken;

use crate::action::{Work, release};
use crate::args::gate;
use crate::chart::{ChartError, ChartHead, is_tracked};
use crate::conditions::overcome;
use crate::dependency::{self, Unready};
use crate::reconciler::{HelmReconciler, Stop};
use crate::release::{Desired, Target};
use crate::source::{KINDS, non_empty, source_of};
use crate::values::{self, compose};
use crate::{atomic, helmchart};

/// When a chart that its server does not have is looked for again.
pub(crate) const NOT_FOUND_RETRY: Duration = Duration::from_secs(30);
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

/// The two, parsed once: every pass of every release needs them.
static JOBS: LazyLock<[HealthExprs; 2]> = LazyLock::new(|| {
    [JOB_STARTED, JOB].map(|expr| HealthExprs::compile(&[expr]).expect("expressions of our own are valid"))
});

impl HelmReconciler {
    /// Everything that must hold before the release is looked at: a valid spec, dependencies, a chart, values.
    pub(crate) async fn prepare(
        &self,
        pass: &mut Pass<HelmRelease>,
        cancel: CancellationToken,
    ) -> Result<Work, Stop> {
        let (exprs, exprs_with_jobs) =
            compile(&pass.object).map_err(|error| invalid_expression(pass, &error.to_string()))?;
        let Some(source) = source_of(&pass.object) else {
            let error = "invalid Chart reference".to_owned();
            return Err(Stop(Outcome::Stalled { error }));
        };
        self.may_use(pass, &source)?;
        let files = self.named_files(pass)?;
        let changed = helmchart::reconcile(self, pass).await;
        let changed = changed.map_err(|error| Stop(Outcome::Backoff { error }))?;
        conditions::mark_reconciling(&mut pass.object, reason::PROGRESSING, "Fulfilling prerequisites");
        self.dependencies(pass).await?;
        let artifact = self.artifact(pass, &source, changed).await?;
        let files = Box::pin(self.read_files(pass, &files)).await?;
        let values = compose(&self.client, &pass.object, files).await;
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
    pub(crate) fn may_use(&self, pass: &mut Pass<HelmRelease>, source: &SourceId) -> Result<(), Stop> {
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
        let Some(known) = self.standing(pass, kind, source).await else {
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

    /// What is known of a source. Somebody who asks for a pass may have seen more of it than its watch has told yet.
    pub(crate) async fn standing(
        &self,
        pass: &Pass<HelmRelease>,
        kind: Option<SourceKind>,
        source: &SourceId,
    ) -> Option<Standing> {
        match kind {
            Some(kind) if pass.object.has_open_request() => {
                self.sources.look(&self.client, kind, source).await
            }
            _ => self.sources.get(source),
        }
    }

    async fn chart(
        &self,
        pass: &mut Pass<HelmRelease>,
        artifact: &Artifact,
        tracked: bool,
    ) -> Result<ChartHead, Stop> {
        match unless_interrupted(pass, self.charts.head(artifact, tracked)).await? {
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

/// Waits for something that a server is asked for: one that does not answer must not keep a deletion or another revision waiting.
pub(crate) async fn unless_interrupted<T>(
    pass: &Pass<HelmRelease>,
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    tokio::select! {
        done = work => Ok(done),
        cause = pass.interrupt.fired() => Err(Stop(match cause {
            Cause::Shutdown => Outcome::Stopped,
            Cause::NewWork(_) => Outcome::Superseded,
        })),
    }
}

/// An error that is tried again.
pub(crate) fn failed(pass: &mut Pass<HelmRelease>, reason: &str, error: String, tells: bool) -> Stop {
    conditions::mark_false(&mut pass.object, condition::READY, reason, &error);
    if tells {
        pass.event(Severity::Error, reason, &error, BTreeMap::new());
    }
    Stop(Outcome::Backoff { error })
}

/// An error that only another spec overcomes.
pub(crate) fn terminal(pass: &mut Pass<HelmRelease>, reason: &str, error: String) -> Stop {
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
fn compile(release: &HelmRelease) -> Result<(HealthExprs, HealthExprs), ExprError> {
    let checks = &release.spec.health_check_exprs;
    let exprs: Vec<HealthExpr<'_>> = checks
        .iter()
        .map(|check| HealthExpr {
            api_version: &check.api_version,
            kind: check.kind.as_deref().unwrap_or_default(),
            current: &check.current,
            in_progress: non_empty(check.in_progress.as_deref()),
            failed: non_empty(check.failed.as_deref()),
        })
        .collect();
    let own = HealthExprs::compile(&exprs)?;
    let [started, completed] = &*JOBS;
    Ok((own.with_defaults(started), own.with_defaults(completed)))
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

    #[test]
    fn expressions_of_the_spec_for_jobs_or_their_group_replace_ours() {
        for (kind, expected) in [
            (Some("Job"), Status::Current),
            (None, Status::Current),
            (Some("CronJob"), Status::InProgress),
        ] {
            let mut release = HelmRelease::default();
            release.spec.health_check_exprs = vec![
                serde_json::from_value(json!({ "apiVersion": "batch/v1", "kind": kind, "current": "true" }))
                    .unwrap(),
            ];
            let (started, with_jobs) = compile(&release).unwrap();
            let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "a" },
                "spec": {}, "status": { "conditions": [] } });
            assert_eq!(with_jobs.health(&job).unwrap().status, expected, "{kind:?}");
            assert_eq!(started.health(&job).unwrap().status, expected, "{kind:?}");
        }
    }
}
