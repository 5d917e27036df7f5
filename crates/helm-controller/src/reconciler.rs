//! The reconciler of HelmReleases (`spec/helm.md` part B).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ferro_api::helm::{ChartNameChangeStrategyKind, HelmRelease, StrategyName};
use ferro_api::{FluxObject, condition, controller, reason};
use ferro_apply::Cluster;
use ferro_apply::contention::Contention;
use ferro_apply::error::message;
use ferro_apply::targets::{TargetError, Targets};
use ferro_artifact::digest::Algorithm;
use ferro_runtime::backoff::jittered;
use ferro_runtime::conditions;
use ferro_runtime::flags::{FeatureGates, PaceFlags};
use ferro_runtime::reconcile::{Cause, Outcome, Pass, Reconciler, finish};
use ferro_runtime::sources::{SourceId, Sources};
use kube::Client;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;

use crate::action::{self, release, uninstall};
use crate::args::{Settings, gate};
use crate::chart::{ChartHead, Charts};
use crate::dependency;
use crate::files::Artifacts;
use crate::records::Records;
use crate::release::Target;
use crate::site::{Discoveries, destination, no_way};
use crate::strategy::Strategies;
use crate::{atomic, helmchart, lock};

/// A release's key.
pub(crate) type Key = ObjectRef<HelmRelease>;

/// Reconciles HelmReleases.
pub(crate) struct HelmReconciler {
    /// Of the cluster that the controller runs in, with the controller's rights.
    pub(crate) client: Client,
    pub(crate) targets: Targets,
    pub(crate) sources: Arc<Sources>,
    pub(crate) charts: Charts,
    pub(crate) artifacts: Artifacts,
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
pub(crate) struct Stop(pub(crate) Outcome);

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

    /// The cluster that the release is in, with the rights of its service account.
    pub(crate) async fn cluster_of(&self, release: &HelmRelease) -> Result<Cluster, String> {
        let found = self.targets.of(&destination(release)).await;
        found.map_err(|error| no_way(&error))
    }

    /// Uninstalls a release that is somewhere else than the spec wants it.
    pub(crate) async fn leave_old_target(
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

/// The name under which objects are written.
pub(crate) fn manager() -> String {
    controller::HELM.to_owned()
}
