//! The reconciler of Kustomizations: gate, fetch, build, apply, prune, health (`spec/kustomize-and-notification.md` B.2, B.5).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::{Artifact, Duration, ResourceInventory, ResourceRef};
use ferro_api::{FluxObject, condition, reason};
use ferro_apply::ignore::Rules;
use ferro_apply::inventory::{format_id, parse_id, stale, union};
use ferro_apply::{ApplyOptions, ChangeSet, Cluster, Entry, Object, Owner};
use ferro_artifact::fetch::{Cache, FetchError, Unpacked};
use ferro_kstatus::{HealthExpr, HealthExprs};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::flags::FeatureGates;
use ferro_runtime::reconcile::{Cause, Outcome, Pass, Reconciler};
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;

use crate::args::{KustomizeFlags, PaceFlags, gate};
use crate::build::{BuildOptions, Built, build};
use crate::dependency::{Dependents, Key};
use crate::health::{self, Check, check, targets, vanishing};
use crate::history::{Run, record};
use crate::notice::{of_artifact, of_success, origin_revision};
use crate::refusal::{refuse_encrypted, refuse_unsupported};
use crate::remote::RemoteBases;
use crate::source::{Lookup, SourceId, Sources, plural};
use crate::stop::Stop;
use crate::variables;

/// Time within which definitions and classes must become current before the rest is applied.
const STAGE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// The inputs of the last run that went well: with the same ones and nothing touched, there is nothing to do.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    inputs: u64,
    digest: String,
}

/// Reconciles Kustomizations.
pub(crate) struct KustomizeReconciler {
    pub(crate) cluster: Cluster,
    pub(crate) sources: Arc<Sources>,
    pub(crate) store: Store<Kustomization>,
    pub(crate) dependents: Dependents,
    pub(crate) wake: Box<dyn Fn(Key) + Send + Sync>,
    /// Cancelled when the process is to stop.
    pub(crate) stop: CancellationToken,
    pub(crate) artifacts: Cache,
    /// None where they are refused.
    pub(crate) remote_bases: Option<Arc<RemoteBases>>,
    pub(crate) flags: Arc<KustomizeFlags>,
    pub(crate) pace: PaceFlags,
    pub(crate) gates: FeatureGates,
    pub(crate) settled: Mutex<HashMap<Key, Settled>>,
}

/// What a run works with.
struct Work {
    artifact: Arc<Artifact>,
    exprs: Arc<HealthExprs>,
}

impl Reconciler for KustomizeReconciler {
    type Object = Kustomization;

    async fn reconcile(&self, pass: &mut Pass<Kustomization>) -> Outcome {
        let work = match self.gate(pass).await {
            Ok(work) => work,
            Err(stop) => return stop.report(pass, None),
        };
        let revision = work.artifact.revision.clone();
        match self.run(pass, &work).await {
            Ok(()) => {
                let interval = pass.object.spec.interval;
                let took = Duration::from(pass.started.elapsed());
                let message = format!("Reconciliation finished in {took}, next run in {interval}");
                tracing::info!(revision, "{message}");
                pass.event(
                    Severity::Info,
                    reason::RECONCILIATION_SUCCEEDED,
                    &message,
                    of_success(&work.artifact),
                );
                Outcome::Done
            }
            Err(stop) => {
                self.forget(&ObjectRef::from_obj(&pass.object));
                stop.report(pass, Some(&revision))
            }
        }
    }

    async fn finalize(&self, pass: &mut Pass<Kustomization>) -> Result<(), String> {
        crate::finalize::finalize(self, pass).await
    }

    /// Those that wait for a dependency are told as soon as it is ready.
    fn observed(&self, object: &Kustomization) {
        self.dependents.record(object);
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
    async fn gate(&self, pass: &mut Pass<Kustomization>) -> Result<Work, Stop> {
        let exprs = Arc::new(compile_exprs(&pass.object)?);
        refuse_unsupported(&pass.object, &self.gates)?;
        let artifact = self.artifact(&pass.object)?;
        crate::dependency_gate::ready(self, &pass.object, &artifact.revision).await?;
        Ok(Work { artifact, exprs })
    }

    fn artifact(&self, kustomization: &Kustomization) -> Result<Arc<Artifact>, Stop> {
        let id = SourceId::of(kustomization);
        let foreign = id.namespace != kustomization.namespace().unwrap_or_default();
        if foreign && self.flags.no_cross_namespace_refs {
            let message = format!("can't access '{id}', cross-namespace references have been blocked");
            return Err(Stop::Terminal {
                reason: reason::ACCESS_DENIED,
                message,
            });
        }
        if id.kind.as_str() == "ExternalArtifact" && !self.gates.enabled(gate::EXTERNAL_ARTIFACT) {
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
        match self.sources.get(&id) {
            Lookup::Artifact(artifact) => Ok(artifact),
            Lookup::NotFound => {
                let message = format!(
                    "{}.source.toolkit.fluxcd.io \"{}\" not found",
                    plural(id.kind),
                    id.name
                );
                Err(waiting(
                    message,
                    kustomization.spec.retry_interval_or_default().to_std(),
                ))
            }
            Lookup::NoArtifact => {
                let after = self.pace.requeue_dependency;
                let message = format!("Source artifact not found, retrying in {}", Duration::from(after));
                Err(waiting(message, after))
            }
        }
    }

    async fn run(&self, pass: &mut Pass<Kustomization>, work: &Work) -> Result<(), Stop> {
        let artifact = &work.artifact;
        let timeout = pass.object.spec.timeout_or_default();
        let phase = |what: &str| {
            format!(
                "{what} for revision {} with a timeout of {timeout}",
                artifact.revision
            )
        };
        self.begin(pass, artifact, &phase("Fetching manifests"));
        let namespace = pass.object.namespace().unwrap_or_default();
        let loaded = variables::load(
            &self.cluster.client,
            &namespace,
            pass.object.spec.post_build.as_ref(),
        )
        .await;
        let variables = loaded.map_err(|error| Stop::failed(reason::BUILD_FAILED, error))?;
        let inputs = fingerprint(&pass.object, artifact, variables.as_ref());
        if let Some(digest) = self.is_settled(&pass.object, inputs) {
            self.succeed(pass, artifact, &digest);
            return Ok(());
        }
        // A server that does not answer must not keep a deletion or another revision waiting.
        let unpacked = tokio::select! {
            unpacked = self.fetch(artifact) => unpacked?,
            cause = pass.interrupt.fired() => return Err(Stop::Interrupted(cause)),
        };
        let folder = self.path(&pass.object, &unpacked)?;
        pass.object.status_mut().last_attempted_revision = Some(artifact.revision.clone());
        pass.progress(&phase("Building manifests"));
        let remote = self.remote_bases.clone();
        let options = BuildOptions {
            remote: remote.map(|bases| (bases, pass.interrupt.token().clone())),
            variables,
            strict: self.gates.enabled(gate::STRICT_SUBSTITUTIONS),
        };
        let built = match self.build(&pass.object, folder, options, unpacked).await {
            Ok(built) => built,
            Err(stop) => return Err(pass.interrupt.cause().map_or(stop, Stop::Interrupted)),
        };
        pass.progress(&phase("Detecting drift"));
        let (digest, uses_remote_bases) = (built.digest.clone(), built.uses_remote_bases);
        let vanishing = vanishing(&built.objects);
        let result = async {
            let old = inventory(&pass.object);
            let changes = self.apply(pass, work, built.objects).await?;
            let pruned = self.prune(pass, &old, &changes, artifact).await?;
            let notable = !changes.notable().is_empty() || pruned;
            let check_ = Check {
                cluster: &self.cluster,
                exprs: &work.exprs,
                fail_fast: !self.gates.enabled(gate::DISABLE_FAIL_FAST),
                artifact,
                vanishing,
                changed: notable,
            };
            let targets = targets(&pass.object, &changes);
            check(pass, targets, check_).await
        }
        .await;
        match result {
            Ok(()) => {
                if !uses_remote_bases {
                    let settled = Settled {
                        inputs,
                        digest: digest.clone(),
                    };
                    lock(&self.settled).insert(ObjectRef::from_obj(&pass.object), settled);
                }
                self.succeed(pass, artifact, &digest);
                Ok(())
            }
            Err(stop) => {
                if let Stop::Failed { reason, .. } = &stop {
                    remember(pass, artifact, &digest, reason);
                }
                Err(stop)
            }
        }
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

    async fn apply(
        &self,
        pass: &mut Pass<Kustomization>,
        work: &Work,
        objects: Vec<Object>,
    ) -> Result<ChangeSet, Stop> {
        refuse_encrypted(&objects)?;
        let rules = compile_ignore(&pass.object)?;
        let options = ApplyOptions {
            owner: owner(&pass.object),
            force: pass.object.spec.force,
            concurrency: usize::from(self.flags.concurrent_ssa.max(1)),
            custom_stage_kinds: self.flags.custom_apply_stage_kinds.clone(),
            ignore: Arc::new(rules),
            exprs: Arc::clone(&work.exprs),
            stage_timeout: STAGE_TIMEOUT,
            cancel: pass.interrupt.token().clone(),
        };
        let old = inventory(&pass.object);
        announce_objects(pass, &objects, &old).await?;
        match self.cluster.apply(objects, &options).await {
            Ok(changes) => {
                announce(pass, &changes, &work.artifact);
                Ok(changes)
            }
            Err(error) => {
                // Unlike upstream, what was created before the failure is not lost from the inventory.
                set_inventory(&mut pass.object, &union(error.applied.entries(), &old));
                if let Some(cause) = pass.interrupt.cause().filter(|_| is_cancelled(&error)) {
                    return Err(Stop::Interrupted(cause));
                }
                Err(Stop::failed(reason::RECONCILIATION_FAILED, error))
            }
        }
    }

    /// Records the inventory and removes what left it; true if something was removed.
    async fn prune(
        &self,
        pass: &mut Pass<Kustomization>,
        old: &[Entry],
        changes: &ChangeSet,
        artifact: &Artifact,
    ) -> Result<bool, Stop> {
        let new = changes.entries();
        let gone = stale(old, &new);
        set_inventory(&mut pass.object, &new);
        if gone.is_empty() || !pass.object.spec.prune {
            return Ok(false);
        }
        match self
            .cluster
            .prune(
                gone,
                &owner(&pass.object),
                usize::from(self.flags.concurrent_ssa.max(1)),
            )
            .await
        {
            Ok(pruned) => {
                if !pruned.is_empty() {
                    let reason = reason::PROGRESSING;
                    pass.event(Severity::Info, reason, &pruned.to_string(), of_artifact(artifact));
                }
                Ok(!pruned.is_empty())
            }
            Err(error) => {
                set_inventory(&mut pass.object, &union(new, &error.left));
                Err(Stop::failed(reason::PRUNE_FAILED, error))
            }
        }
    }

    /// The digest of the last run if nothing has changed since: neither the inputs nor, as far as the watches know, any object.
    fn is_settled(&self, kustomization: &Kustomization, inputs: u64) -> Option<String> {
        let settled = lock(&self.settled)
            .get(&ObjectRef::from_obj(kustomization))
            .cloned()?;
        if settled.inputs != inputs
            || !kustomization.spec.health_checks.is_empty() && !kustomization.spec.wait
        {
            return None;
        }
        let current = |entry: &Entry| {
            let health = self.cluster.live.health(&entry.id);
            health.is_some_and(|health| health.status == ferro_kstatus::Status::Current)
        };
        let judged_by_exprs = kustomization.spec.wait && !kustomization.spec.health_check_exprs.is_empty();
        let entries = inventory(kustomization);
        let untouched = !judged_by_exprs
            && entries.iter().all(|entry| {
                self.cluster.live.is_untouched(&entry.id) && (!kustomization.spec.wait || current(entry))
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

/// Tells users what an apply did.
fn announce(pass: &Pass<Kustomization>, changes: &ChangeSet, artifact: &Artifact) {
    let notable = changes.notable();
    if notable.is_empty() {
        return;
    }
    tracing::info!(revision = artifact.revision, output = %notable, "server-side apply completed");
    pass.event(
        Severity::Info,
        reason::PROGRESSING,
        &notable.to_string(),
        of_artifact(artifact),
    );
}

/// Writes the names of new objects into the inventory before they are made: should this process be killed in between, and the next commit
/// not have them any more, they are still pruned.
async fn announce_objects(
    pass: &mut Pass<Kustomization>,
    objects: &[Object],
    old: &[Entry],
) -> Result<(), Stop> {
    let entry = |object: &Object| Entry {
        id: object.id().clone(),
        version: object.version().to_owned(),
    };
    let coming: Vec<Entry> = objects.iter().map(entry).collect();
    if stale(&coming, old).is_empty() {
        return Ok(());
    }
    set_inventory(&mut pass.object, &union(coming, old));
    pass.flush()
        .await
        .map_err(|error| Stop::failed(reason::RECONCILIATION_FAILED, error))
}

fn is_cancelled(error: &ferro_apply::ApplyError) -> bool {
    use ferro_apply::error::Cause;
    error
        .causes
        .iter()
        .any(|cause| matches!(cause, Cause::Stage(ferro_apply::WaitError::Cancelled)))
}

pub(crate) fn owner(kustomization: &Kustomization) -> Owner {
    Owner {
        namespace: kustomization.namespace().unwrap_or_default(),
        name: kustomization.name_any(),
    }
}

/// The inventory of a status; entries that cannot be read are left out, as they name nothing.
pub(crate) fn inventory(kustomization: &Kustomization) -> Vec<Entry> {
    let entries = kustomization
        .status
        .as_ref()
        .and_then(|status| status.inventory.as_ref());
    let read = |entry: &ResourceRef| {
        Some(Entry {
            id: parse_id(&entry.id)?,
            version: entry.v.clone(),
        })
    };
    entries
        .map(|inventory| inventory.entries.iter().filter_map(read).collect())
        .unwrap_or_default()
}

fn set_inventory(kustomization: &mut Kustomization, entries: &[Entry]) {
    let entries = entries
        .iter()
        .map(|entry| ResourceRef {
            id: format_id(&entry.id),
            v: entry.version.clone(),
        })
        .collect();
    kustomization.status_mut().inventory = Some(ResourceInventory { entries });
}

fn compile_exprs(kustomization: &Kustomization) -> Result<HealthExprs, Stop> {
    let exprs: Vec<HealthExpr<'_>> = kustomization
        .spec
        .health_check_exprs
        .iter()
        .map(health::expression)
        .collect();
    HealthExprs::compile(&exprs).map_err(|error| crate::dependency_gate::invalid_expression(&error))
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

/// Changes with everything that a run's result depends on.
fn fingerprint(
    kustomization: &Kustomization,
    artifact: &Artifact,
    variables: Option<&std::collections::BTreeMap<String, String>>,
) -> u64 {
    let mut hasher = DefaultHasher::new();
    artifact.digest.hash(&mut hasher);
    artifact.revision.hash(&mut hasher);
    kustomization.uid().hash(&mut hasher);
    kustomization.metadata.generation.hash(&mut hasher);
    variables.hash(&mut hasher);
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventory_survives_the_status() {
        let mut kustomization = Kustomization::default();
        let entry = Entry {
            id: parse_id("ns_web_apps_Deployment").unwrap(),
            version: "v1".into(),
        };
        set_inventory(&mut kustomization, std::slice::from_ref(&entry));
        assert_eq!(inventory(&kustomization), [entry]);
    }
}
