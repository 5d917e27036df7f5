//! The reconciler of Kustomizations: gate, fetch, build, apply, prune, health (`spec/kustomize-and-notification.md` B.2, B.5).

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::{Artifact, Duration};
use ferro_api::{FluxObject, condition, reason};
use ferro_apply::contention::Contention;
use ferro_apply::targets::{Destination, Targets};
use ferro_apply::{Cluster, Entry, Owner};
use ferro_artifact::fetch::{Cache, FetchError, Unpacked};
use ferro_kstatus::{HealthExpr, HealthExprs};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::flags::{FeatureGates, PaceFlags};
use ferro_runtime::metrics::Metrics;
use ferro_runtime::reconcile::{Cause, Outcome, Pass, Reconciler};
use ferro_runtime::sources::Sources;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::args::{Settings, gate};
use crate::build::{BuildOptions, Built, build};
use crate::dependency::{Dependents, Key};
use crate::health::{self, Check, CheckError, check, targets, vanishing};
use crate::history::{Run, record};
use crate::inventory::inventory;
use crate::lock;
use crate::mask::Mask;
use crate::notice::{of_success, origin_revision};
use crate::refusal::refuse_unsupported;
use crate::remote::RemoteBases;
use crate::source::{KINDS, source_of};
use crate::stop::Stop;
use crate::variables::{self, Variables, VariablesError};

/// The inputs of the last run that went well: with the same ones and nothing touched, there is nothing to do.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    inputs: u64,
    digest: String,
}

/// Reconciles Kustomizations.
pub(crate) struct KustomizeReconciler {
    /// Of the cluster that the controller runs in, with the controller's rights.
    pub(crate) client: Client,
    pub(crate) targets: Targets,
    pub(crate) sources: Arc<Sources>,
    pub(crate) store: Store<Kustomization>,
    pub(crate) dependents: Dependents,
    pub(crate) wake: Box<dyn Fn(Key) + Send + Sync>,
    /// Cancelled when the process is to stop.
    pub(crate) stop: CancellationToken,
    pub(crate) artifacts: Cache,
    /// None where they are refused.
    pub(crate) remote_bases: Option<Arc<RemoteBases>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pace: PaceFlags,
    pub(crate) gates: FeatureGates,
    pub(crate) settled: Mutex<HashMap<Key, Settled>>,
    pub(crate) contention: Arc<Mutex<Contention>>,
    pub(crate) metrics: Metrics,
    /// Passes that only a deletion or the end of the process may cut short.
    pub(crate) patient: Mutex<HashMap<Key, CancellationToken>>,
}

/// What a run works with.
pub(crate) struct Work {
    /// Where it is applied, and with whose rights.
    pub(crate) cluster: Cluster,
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) exprs: Arc<HealthExprs>,
    /// Cuts the work short.
    pub(crate) cancel: CancellationToken,
    /// Values that errors must not show.
    mask: Mask,
}

impl Reconciler for KustomizeReconciler {
    type Object = Kustomization;

    async fn reconcile(&self, pass: &mut Pass<Kustomization>) -> Outcome {
        let mut work = match self.gate(pass).await {
            Ok(work) => work,
            Err((stop, artifact)) => return stop.report(pass, artifact.as_deref()),
        };
        let result = self.run(pass, &mut work).await;
        let key = ObjectRef::from_obj(&pass.object);
        lock(&self.patient).remove(&key);
        match result {
            Ok(()) => {
                let message = finished(pass);
                tracing::info!(revision = work.artifact.revision, "{message}");
                pass.event(
                    Severity::Info,
                    reason::RECONCILIATION_SUCCEEDED,
                    &message,
                    of_success(&work.artifact),
                );
                Outcome::Done
            }
            Err(stop) => {
                self.forget(&key);
                stop.masked(&work.mask).report(pass, Some(&work.artifact))
            }
        }
    }

    async fn finalize(&self, pass: &mut Pass<Kustomization>) -> Result<(), String> {
        crate::finalize::finalize(self, pass).await
    }

    /// Those that wait for a dependency are told as soon as it is ready.
    fn observed(&self, object: &Kustomization) {
        self.dependents.record(object);
        if object.metadata.deletion_timestamp.is_some()
            && let Some(cancel) = lock(&self.patient).get(&ObjectRef::from_obj(object))
        {
            cancel.cancel();
        }
        if !object.is_ready() || object.observed_generation() != object.metadata.generation {
            return;
        }
        for key in self.dependents.of(&ObjectRef::from_obj(object)) {
            let waits = self.store.get(&key).is_some_and(|dependent| {
                dependent
                    .condition(condition::READY)
                    .is_some_and(|ready| ready.reason == reason::DEPENDENCY_NOT_READY)
            });
            if waits {
                (self.wake)(key);
            }
        }
    }
}

impl KustomizeReconciler {
    /// Everything that must hold before work begins: a valid spec, a source with an artifact, dependencies that are ready.
    async fn gate(&self, pass: &Pass<Kustomization>) -> Result<Work, (Stop, Option<Arc<Artifact>>)> {
        let early = |stop| (stop, None);
        let exprs = Arc::new(compile_exprs(&pass.object).map_err(early)?);
        refuse_unsupported(&pass.object, &self.gates, &self.settings.kustomize).map_err(early)?;
        let artifact = self.artifact(&pass.object).await.map_err(early)?;
        if let Err(stop) = crate::dependency_gate::ready(self, &pass.object, &artifact.revision).await {
            return Err((stop, Some(artifact)));
        }
        let cluster = match self.targets.of(&destination(&pass.object)).await {
            Ok(cluster) => cluster,
            Err(error) => {
                let stop = Stop::failed(reason::RECONCILIATION_FAILED, error);
                return Err((stop, Some(artifact)));
            }
        };
        let cancel = if self.gates.enabled(gate::CANCEL_HEALTH_CHECKS) {
            pass.interrupt.token().clone()
        } else {
            let cancel = self.stop.child_token();
            lock(&self.patient).insert(ObjectRef::from_obj(&pass.object), cancel.clone());
            cancel
        };
        Ok(Work {
            cluster,
            artifact,
            exprs,
            cancel,
            mask: Mask::default(),
        })
    }

    async fn artifact(&self, kustomization: &Kustomization) -> Result<Arc<Artifact>, Stop> {
        let id = source_of(kustomization);
        let foreign = id.namespace != kustomization.namespace().unwrap_or_default();
        if foreign && self.settings.shared.no_cross_namespace_refs {
            let message = format!("can't access '{id}', cross-namespace references have been blocked");
            return Err(Stop::Terminal {
                reason: reason::ACCESS_DENIED,
                message,
            });
        }
        if id.kind == "ExternalArtifact" && !self.gates.enabled(gate::EXTERNAL_ARTIFACT) {
            let message = format!("can't access '{id}', ExternalArtifact feature gate is disabled");
            return Err(Stop::Terminal {
                reason: reason::ACCESS_DENIED,
                message,
            });
        }
        let waiting = |message, after| Stop::Waiting {
            reason: reason::ARTIFACT_FAILED,
            message,
            event: None,
            after,
        };
        let known = match KINDS.into_iter().find(|kind| kind.kind == id.kind) {
            Some(kind) if kustomization.has_open_request() => {
                self.sources.look(&self.client, kind, &id).await
            }
            _ => self.sources.get(&id),
        };
        match known.map(|known| known.artifact) {
            Some(Some(artifact)) => Ok(artifact),
            None => {
                let message = format!("{}.source.toolkit.fluxcd.io \"{}\" not found", id.kind, id.name);
                Err(waiting(
                    message,
                    kustomization.spec.retry_interval_or_default().to_std(),
                ))
            }
            Some(None) => {
                let after = self.pace.requeue_dependency;
                let message = format!("Source artifact not found, retrying in {}", Duration::from(after));
                Err(waiting(message, after))
            }
        }
    }

    async fn run(&self, pass: &mut Pass<Kustomization>, work: &mut Work) -> Result<(), Stop> {
        let artifact = Arc::clone(&work.artifact);
        let timeout = pass.object.spec.timeout_or_default();
        let phase = |what: &str| {
            format!(
                "{what} for revision {} with a timeout of {timeout}",
                artifact.revision
            )
        };
        self.begin(pass, &artifact, &phase("Fetching manifests"));
        let variables = self.variables(pass, work).await;
        let values = variables
            .as_ref()
            .ok()
            .and_then(|variables| variables.values.as_ref());
        let inputs = fingerprint(&pass.object, &artifact, values);
        if variables.is_ok()
            && let Some(digest) = self.is_settled(&pass.object, &work.cluster, inputs)
        {
            self.succeed(pass, &artifact, &digest);
            return Ok(());
        }
        // A server that does not answer must not keep a deletion or another revision waiting.
        let unpacked = tokio::select! {
            unpacked = self.fetch(&artifact) => unpacked?,
            cause = pass.interrupt.fired() => return Err(Stop::Interrupted(cause)),
        };
        let folder = self.path(&pass.object, &unpacked)?;
        pass.object.status_mut().last_attempted_revision = Some(artifact.revision.clone());
        pass.progress(&phase("Building manifests"));
        let variables = variables.map_err(|error| Stop::failed(reason::BUILD_FAILED, error))?;
        let remote = self.remote_bases.clone();
        let options = BuildOptions {
            remote: remote.map(|bases| (bases, pass.interrupt.token().clone())),
            variables: variables.values,
            strict: self.gates.enabled(gate::STRICT_SUBSTITUTIONS),
        };
        let built = match self.build(&pass.object, folder, options, unpacked).await {
            Ok(built) => built,
            Err(stop) => return Err(pass.interrupt.cause().map_or(stop, Stop::Interrupted)),
        };
        pass.progress(&phase("Detecting drift"));
        let (digest, uses_remote_bases) = (built.digest.clone(), built.uses_remote_bases);
        match self.act(pass, work, built).await {
            Ok(()) => {
                if !uses_remote_bases {
                    let settled = Settled {
                        inputs,
                        digest: digest.clone(),
                    };
                    lock(&self.settled).insert(ObjectRef::from_obj(&pass.object), settled);
                }
                self.succeed(pass, &artifact, &digest);
                Ok(())
            }
            Err(stop) => {
                if let Stop::Failed { reason, .. } = &stop {
                    remember(pass, &artifact, &digest, reason);
                }
                Err(stop)
            }
        }
    }

    /// Makes the cluster what was built, and waits until it works.
    async fn act(&self, pass: &mut Pass<Kustomization>, work: &Work, built: Built) -> Result<(), Stop> {
        let vanishing = vanishing(&built.objects);
        let old = inventory(&pass.object);
        let changes = self.apply(pass, work, built.objects).await?;
        let pruned = self.prune(pass, work, &old, &changes).await?;
        let check_ = Check {
            cluster: &work.cluster,
            exprs: &work.exprs,
            fail_fast: !self.gates.enabled(gate::DISABLE_FAIL_FAST),
            artifact: &work.artifact,
            vanishing,
            changed: !changes.notable().is_empty() || pruned,
            cancel: &work.cancel,
            mask: &work.mask,
        };
        let targets = targets(&pass.object, &changes);
        match check(pass, targets, check_).await {
            Ok(()) => Ok(()),
            Err(CheckError::Failed(stop)) => Err(stop),
            Err(CheckError::Cancelled) => match self.cause(pass) {
                Cause::Shutdown => Err(Stop::Interrupted(Cause::Shutdown)),
                Cause::NewWork(by) => Err(Stop::HealthCheckCanceled(by)),
            },
        }
    }

    /// Why a pass is cut short; of a patient one it is its own object, which is being deleted.
    pub(crate) fn cause(&self, pass: &Pass<Kustomization>) -> Cause {
        match pass.interrupt.cause() {
            _ if self.stop.is_cancelled() => Cause::Shutdown,
            Some(cause) => cause,
            None => Cause::NewWork(pass.subject()),
        }
    }

    /// The variables of the spec; what came from Secrets is not shown from now on.
    async fn variables(
        &self,
        pass: &Pass<Kustomization>,
        work: &mut Work,
    ) -> Result<Variables, VariablesError> {
        let namespace = pass.object.namespace().unwrap_or_default();
        let post_build = pass.object.spec.post_build.as_ref();
        let variables = variables::load(&self.client, &namespace, post_build).await?;
        work.mask = Mask::new(variables.secrets.iter().map(String::as_str));
        Ok(variables)
    }

    /// Shows what is going on. Ready turns Unknown only when there is something new, so that a run without news leaves no trace.
    fn begin(&self, pass: &mut Pass<Kustomization>, artifact: &Artifact, message: &str) {
        let status = pass.object.status();
        let known_revision =
            status.and_then(|status| status.last_attempted_revision.as_deref()) == Some(&artifact.revision);
        let known_generation = pass.object.observed_generation() == pass.object.metadata.generation;
        if !known_revision || !known_generation {
            conditions::mark_unknown(
                &mut pass.object,
                condition::READY,
                reason::PROGRESSING,
                "Reconciliation in progress",
            );
        }
        pass.progress(message);
    }

    async fn fetch(&self, artifact: &Artifact) -> Result<Arc<Unpacked>, Stop> {
        match self.artifacts.get(&artifact.url, &artifact.digest).await {
            Ok(unpacked) => Ok(unpacked),
            Err(FetchError::NotFound { .. }) => {
                let after = self.pace.requeue_dependency;
                let message = format!(
                    "Source is not ready, artifact not found, retrying in {}",
                    Duration::from(after)
                );
                Err(Stop::Waiting {
                    reason: reason::ARTIFACT_FAILED,
                    message,
                    event: None,
                    after,
                })
            }
            Err(error) => Err(Stop::failed(
                reason::ARTIFACT_FAILED,
                ferro_runtime::process::chain(&error),
            )),
        }
    }

    /// The folder in the unpacked artifact that the spec names.
    fn path(&self, kustomization: &Kustomization, unpacked: &Unpacked) -> Result<PathBuf, Stop> {
        let path = kustomization.spec.path.as_deref().unwrap_or_default();
        crate::path::confined(unpacked.path(), path).map_err(|error| {
            Stop::failed(
                reason::ARTIFACT_FAILED,
                format!("kustomization path not found: {error}"),
            )
        })
    }

    /// Builds on a thread that may block.
    async fn build(
        &self,
        kustomization: &Kustomization,
        folder: PathBuf,
        options: BuildOptions,
        unpacked: Arc<Unpacked>,
    ) -> Result<Built, Stop> {
        let kustomization = kustomization.clone();
        let task =
            tokio::task::spawn_blocking(move || build(unpacked.path(), &folder, &kustomization, &options));
        let built = tokio::select! {
            built = task => built,
            // Nothing comes of a build that is not applied any more.
            () = self.stop.cancelled() => return Err(Stop::Interrupted(Cause::Shutdown)),
        };
        match built {
            Ok(built) => built.map_err(|error| Stop::failed(reason::BUILD_FAILED, error)),
            Err(panic) => Err(Stop::failed(
                reason::BUILD_FAILED,
                format!("recovered from kustomize build panic: {panic}"),
            )),
        }
    }

    /// The digest of the last run if nothing has changed since: neither the inputs nor, as far as the watches know, any object.
    fn is_settled(&self, kustomization: &Kustomization, cluster: &Cluster, inputs: u64) -> Option<String> {
        let settled = lock(&self.settled)
            .get(&ObjectRef::from_obj(kustomization))
            .cloned()?;
        // Who asks for a reconcile gets one.
        if kustomization.has_open_request() {
            return None;
        }
        if settled.inputs != inputs
            || !kustomization.spec.health_checks.is_empty() && !kustomization.spec.wait
        {
            return None;
        }
        let current = |entry: &Entry| {
            let health = cluster.live.health(&entry.id);
            health.is_some_and(|health| health.status == ferro_kstatus::Status::Current)
        };
        let judged_by_exprs = kustomization.spec.wait && !kustomization.spec.health_check_exprs.is_empty();
        let (entries, owner) = (inventory(kustomization), owner(kustomization));
        let untouched = !judged_by_exprs
            && entries.iter().all(|entry| {
                cluster.live.is_untouched(&entry.id, &owner) && (!kustomization.spec.wait || current(entry))
            });
        untouched.then_some(settled.digest)
    }

    pub(crate) fn forget(&self, key: &Key) {
        lock(&self.settled).remove(key);
    }

    fn succeed(&self, pass: &mut Pass<Kustomization>, artifact: &Artifact, digest: &str) {
        let message = format!("Applied revision: {}", artifact.revision);
        conditions::mark_true(
            &mut pass.object,
            condition::READY,
            reason::RECONCILIATION_SUCCEEDED,
            &message,
        );
        let status = pass.object.status_mut();
        status.last_attempted_revision = Some(artifact.revision.clone());
        status.last_applied_revision = Some(artifact.revision.clone());
        status.last_applied_origin_revision = origin_revision(artifact).map(str::to_owned);
        remember(pass, artifact, digest, reason::RECONCILIATION_SUCCEEDED);
    }
}

fn remember(pass: &mut Pass<Kustomization>, artifact: &Artifact, digest: &str, status: &str) {
    let run = Run {
        digest,
        status,
        took: pass.started.elapsed(),
        at: jiff::Timestamp::now(),
        revision: &artifact.revision,
        origin_revision: origin_revision(artifact),
    };
    record(&mut pass.object.status_mut().history, &run);
}

/// The text of the event that ends a good run.
pub(crate) fn finished(pass: &Pass<Kustomization>) -> String {
    let took = Duration::from(pass.started.elapsed());
    let interval = pass.object.spec.interval;
    format!("Reconciliation finished in {took}, next run in {interval}")
}

pub(crate) fn owner(kustomization: &Kustomization) -> Owner {
    Owner {
        namespace: kustomization.namespace().unwrap_or_default(),
        name: kustomization.name_any(),
    }
}

/// Where a Kustomization goes, and with whose rights.
pub(crate) fn destination(kustomization: &Kustomization) -> Destination<'_> {
    Destination {
        owner: owner(kustomization),
        account: kustomization.spec.service_account_name.as_deref(),
        kube_config: kustomization.spec.kube_config.as_ref(),
    }
}

fn compile_exprs(kustomization: &Kustomization) -> Result<HealthExprs, Stop> {
    let exprs: Vec<HealthExpr<'_>> = kustomization
        .spec
        .health_check_exprs
        .iter()
        .map(health::expression)
        .collect();
    HealthExprs::compile(&exprs).map_err(crate::dependency_gate::invalid_expression)
}

/// Changes with everything that a run's result depends on.
fn fingerprint(
    kustomization: &Kustomization,
    artifact: &Artifact,
    variables: Option<&BTreeMap<String, String>>,
) -> u64 {
    let mut hasher = DefaultHasher::new();
    artifact.digest.hash(&mut hasher);
    artifact.revision.hash(&mut hasher);
    kustomization.uid().hash(&mut hasher);
    kustomization.metadata.generation.hash(&mut hasher);
    variables.hash(&mut hasher);
    hasher.finish()
}
