//! The reconciler of ArtifactGenerators: `validate → observe → drift → fetch → compose, publish, apply for each output → collect`.

mod drift;
mod failure;
mod observe;
mod pattern;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferro_api::meta::{Artifact, Duration as ApiDuration, Time};
use ferro_api::source::ExternalArtifact;
use ferro_api::source_extensions::{ArtifactGenerator, ExternalArtifactReference};
use ferro_api::{FluxObject, condition, event, finalizer, reason};
use ferro_artifact::fetch::{Cache, FetchError, Unpacked};
use ferro_artifact::storage::{ObjectKey, Storage, Stored};
use ferro_http::describe;
use ferro_runtime::conditions;
use ferro_runtime::events::{Recorder, Severity};
use ferro_runtime::reconcile::{Outcome, Pass, Reconciler, ending};
use ferro_runtime::workers::off_thread;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::failure::{Class, Failure};
use self::observe::{Observed, origin_revision};
use self::pattern::Request;
use crate::compose::tree::Tree;
use crate::compose::{BuildError, Kitchen, compose_blocking, publish_blocking};
use crate::externalartifact::{self, Writer};
use crate::follow::{Followed, Key};

/// What is said while artifacts are made.
const IN_PROGRESS: &str = "Reconciliation in progress";
/// What is said of a generator that was switched off before it was ever reconciled.
const INITIALLY_DISABLED: &str = "Initialized with reconciliation suspended";
const DISABLED: &str = "Reconciliation is disabled";

/// Sources of one generator that are downloaded at once.
const DOWNLOADS: usize = 4;
/// Collecting the garbage of one artifact ends after this time; the rest stays for the next pass.
const COLLECTION_LIMIT: Duration = Duration::from_secs(5);

/// How generators are reconciled.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Time after which a generator is looked at again whose sources are not there.
    pub requeue_dependency: Duration,
    /// The longest time of a pass.
    pub timeout: Duration,
    /// Whether sources in other namespaces are refused.
    pub no_cross_namespace_refs: bool,
    /// Whether sources are read from the API server in each pass.
    pub direct_source_fetch: bool,
    /// A folder for what archives within sources hold.
    pub scratch: PathBuf,
}

/// Makes ExternalArtifacts of what generators say.
pub(crate) struct ArtifactGeneratorReconciler {
    pub client: Client,
    pub storage: Storage,
    pub cache: Cache,
    pub followed: Arc<Followed>,
    pub store: Store<ArtifactGenerator>,
    pub recorder: Recorder,
    pub stop: CancellationToken,
    /// Bounds the threads that compose.
    pub workers: Arc<Semaphore>,
    pub options: Options,
}

/// What the outputs of a pass are made of. It lives as long as a thread may still read from it.
struct Larder {
    trees: BTreeMap<String, Arc<Tree>>,
    scratch: tempfile::TempDir,
    /// The folders that the trees lie in.
    _unpacked: Vec<Arc<Unpacked>>,
}

impl Reconciler for ArtifactGeneratorReconciler {
    type Object = ArtifactGenerator;

    const FINALIZER: &'static str = finalizer::ARTIFACT_GENERATOR;

    async fn reconcile(&self, pass: &mut Pass<ArtifactGenerator>) -> Outcome {
        let before = pass.object.conditions().to_vec();
        let ending = ending(&self.stop, &self.store, &pass.object, &pass.interrupt);
        let bounded = tokio::time::timeout(self.options.timeout, self.steps(pass));
        let result = tokio::select! {
            biased;
            outcome = ending => return outcome,
            result = bounded => result,
        };
        let outcome = match result {
            Ok(Ok(())) => Outcome::Done,
            Ok(Err(failure)) => fail(pass, failure),
            Err(_) => {
                let limit = ApiDuration::from(self.options.timeout);
                let message = format!("reconciliation did not end within the timeout of {limit}");
                fail(pass, Failure::retried(reason::RECONCILIATION_FAILED, message))
            }
        };
        self.finish(&mut pass.object, &outcome);
        conditions::keep_times(&mut pass.object, &before);
        outcome
    }

    async fn finalize(&self, pass: &mut Pass<ArtifactGenerator>) -> Result<(), String> {
        let owner = pass.object.uid().unwrap_or_default();
        for entry in drift::inventory(&pass.object).to_vec() {
            self.remove(&owner, &entry).await?;
        }
        Ok(())
    }

    fn suspended(&self, object: &mut ArtifactGenerator) {
        if object.conditions().is_empty() {
            let reason = reason::RECONCILIATION_DISABLED;
            conditions::mark_true(object, condition::READY, reason, INITIALLY_DISABLED);
        }
        self.recorder.send(ferro_runtime::reconcile::event(
            object,
            Severity::Trace,
            reason::RECONCILIATION_DISABLED,
            DISABLED,
            BTreeMap::new(),
        ));
    }
}

/// Says what went wrong, and when to try again.
fn fail(pass: &mut Pass<ArtifactGenerator>, failure: Failure) -> Outcome {
    let Failure {
        class,
        reason,
        message,
    } = failure;
    conditions::mark_false(&mut pass.object, condition::READY, reason, &message);
    pass.event(Severity::Error, reason, &message, BTreeMap::new());
    match class {
        Class::Stalling => {
            conditions::mark_stalled(&mut pass.object, reason, &message);
            Outcome::Stalled { error: message }
        }
        Class::Waiting(after) => {
            tracing::error!(reason, "{message}");
            Outcome::Wait(after)
        }
        Class::Retried => Outcome::Backoff { error: message },
    }
}

impl ArtifactGeneratorReconciler {
    async fn steps(&self, pass: &mut Pass<ArtifactGenerator>) -> Result<(), Failure> {
        validate::validate(&pass.object, self.options.no_cross_namespace_refs)?;
        let direct = self.options.direct_source_fetch.then_some(&self.client);
        let observed = observe::sources(&pass.object, &self.followed, direct)
            .await
            .map_err(|why| self.unavailable("get", &why))?;
        let digest = observe::digest(&observed);
        let Some(reason) = self.drift(&pass.object, &digest).await? else {
            up_to_date(pass);
            return Ok(());
        };
        tracing::info!(reason, "{IN_PROGRESS}");
        conditions::mark_reconciling(&mut pass.object, reason::PROGRESSING, IN_PROGRESS);
        conditions::mark_unknown(
            &mut pass.object,
            condition::READY,
            reason::PROGRESSING,
            IN_PROGRESS,
        );
        pass.publish();

        let unpacked = self.fetch(&observed).await?;
        let larder = Arc::new(self.stock(unpacked).await?);
        let requests = pattern::requests(&pass.object.spec, &larder.trees).map_err(|why| {
            let message = format!("failed to expand path pattern: {why}");
            Failure::stalling(reason::BUILD_FAILED, message)
        })?;
        // What a changed spec does not say any more must go from the objects; a pass that failed may have left that undone.
        let must_apply = matches!(reason, drift::GENERATION_CHANGED | drift::NOT_READY);
        let mut made = Vec::with_capacity(requests.len());
        for request in requests {
            let entry = self
                .produce(&pass.object, request, &observed, &larder, must_apply)
                .await?;
            made.push(entry);
        }
        self.remove_orphans(&pass.object, &made).await?;
        self.collect_garbage(&made).await?;
        settle(pass, made, digest);
        Ok(())
    }

    /// A source cannot be had (yet).
    fn unavailable(&self, action: &str, why: &str) -> Failure {
        Failure::waiting(
            self.options.requeue_dependency,
            reason::SOURCE_FETCH_FAILED,
            format!("{action} sources failed: {why}"),
        )
    }

    /// Why anything has to be done, if so.
    async fn drift(&self, object: &ArtifactGenerator, digest: &str) -> Result<Option<&'static str>, Failure> {
        if let Some(reason) = drift::of_object(object, digest) {
            return Ok(Some(reason));
        }
        let (storage, inventory) = (self.storage.clone(), drift::inventory(object).to_vec());
        let stored = self
            .off_thread(move |_| drift::of_storage_blocking(&storage, &inventory))
            .await?;
        Ok(stored.or_else(|| drift::of_cluster(object, &self.followed, &self.storage)))
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        off_thread(&self.workers, work).await.ok_or_else(|| {
            let message = "the worker thread was lost".to_owned();
            Failure::retried(reason::BUILD_FAILED, message)
        })
    }

    /// Downloads and unpacks the sources, unless they are there.
    async fn fetch(&self, observed: &Observed) -> Result<Vec<(String, Arc<Unpacked>)>, Failure> {
        let fetch = |(alias, artifact): (&String, &Arc<Artifact>)| {
            let (alias, artifact) = (alias.clone(), Arc::clone(artifact));
            async move {
                let unpacked = self.cache.get(&artifact.url, &artifact.digest).await;
                let unpacked = unpacked.map_err(|error| match error {
                    // Upstream's words.
                    FetchError::NotFound { .. } => "file not found".to_owned(),
                    error => describe(&error),
                })?;
                Ok((alias, unpacked))
            }
        };
        let downloads: Vec<_> = observed.iter().map(fetch).collect();
        let fetched: Result<Vec<_>, String> = futures::stream::iter(downloads)
            .buffered(DOWNLOADS)
            .try_collect()
            .await;
        fetched.map_err(|why| self.unavailable("fetch", &why))
    }

    /// Reads what the sources hold.
    async fn stock(&self, unpacked: Vec<(String, Arc<Unpacked>)>) -> Result<Larder, Failure> {
        let folder = self.options.scratch.clone();
        let read = move |cancel: &CancellationToken| {
            // As the folders of artifacts are called, so that the cache removes at start what a process that was killed has left.
            let scratch = tempfile::Builder::new().prefix("artifact-").tempdir_in(folder);
            let scratch = scratch.map_err(|error| format!("failed to create tmp dir: {error}"))?;
            let mut larder = Larder {
                trees: BTreeMap::new(),
                scratch,
                _unpacked: Vec::new(),
            };
            for (alias, unpacked) in unpacked {
                let tree = Tree::scan_blocking(unpacked.path(), cancel);
                let tree =
                    tree.map_err(|error| format!("cannot read source '{alias}': {}", describe(&error)))?;
                larder.trees.insert(alias, Arc::new(tree));
                larder._unpacked.push(unpacked);
            }
            Ok(larder)
        };
        let stocked: Result<Larder, String> = self.off_thread(read).await?;
        stocked.map_err(|message| Failure::retried(reason::BUILD_FAILED, message))
    }

    /// Makes one artifact, and its ExternalArtifact.
    async fn produce(
        &self,
        object: &ArtifactGenerator,
        request: Request,
        observed: &Observed,
        larder: &Arc<Larder>,
        must_apply: bool,
    ) -> Result<ExternalArtifactReference, Failure> {
        let namespace = object.namespace().unwrap_or_default();
        let (name, key) = (
            request.output.name.clone(),
            (namespace.clone(), request.output.name.clone()),
        );
        let refused = |why: String| {
            Failure::retried(
                reason::RECONCILIATION_FAILED,
                format!("{name} reconcile failed: {why}"),
            )
        };
        let live = self.followed.output(&key);
        if let Some(other) = live.as_deref().and_then(|live| self.other_owner(object, live)) {
            return Err(refused(format!(
                "ExternalArtifact {namespace}/{name} belongs to ArtifactGenerator {other}"
            )));
        }
        let stored = self.build(&namespace, &request, larder).await?;
        let stored = stored.map_err(|error| {
            Failure::retried(reason::BUILD_FAILED, format!("{name} build failed: {error}"))
        })?;
        let artifact = self.artifact(&request, &stored, observed);
        let entry = ExternalArtifactReference {
            digest: artifact.digest.clone(),
            filename: stored.path.file().to_owned(),
            name: name.clone(),
            namespace,
        };
        let desired = externalartifact::desired(object, &name, &request.captures, artifact);
        let is_current = |live: &Arc<ExternalArtifact>| externalartifact::is_current(live, &desired);
        if must_apply || !live.as_ref().is_some_and(is_current) {
            let applied = Writer::new(self.client.clone())
                .apply(&desired, live.as_deref())
                .await
                .map_err(refused)?;
            tracing::info!(
                artifact = name,
                digest = entry.digest,
                "ExternalArtifact reconciled"
            );
            self.followed.set_output(key, Some(Arc::new(applied)));
        }
        Ok(entry)
    }

    /// Another generator that has an ExternalArtifact: two of them would take it from each other for ever.
    fn other_owner(&self, object: &ArtifactGenerator, live: &ExternalArtifact) -> Option<String> {
        let owner = externalartifact::owner(live).filter(|owner| Some(*owner) != object.uid().as_deref())?;
        let reference = live.spec.source_ref.as_ref()?;
        let namespace = reference.namespace.as_deref()?;
        let other = self
            .store
            .get(&ObjectRef::new(&reference.name).within(namespace))?;
        (other.uid().as_deref() == Some(owner)).then(|| format!("{namespace}/{}", reference.name))
    }

    /// Composes and stores one artifact.
    async fn build(
        &self,
        namespace: &str,
        request: &Request,
        larder: &Arc<Larder>,
    ) -> Result<Result<Stored, BuildError>, Failure> {
        let (storage, larder) = (self.storage.clone(), Arc::clone(larder));
        let (namespace, output) = (namespace.to_owned(), request.output.clone());
        self.off_thread(move |cancel| {
            let kitchen = Kitchen {
                sources: &larder.trees,
                scratch: larder.scratch.path(),
                cancel,
            };
            let tree = compose_blocking(&output.copy, &kitchen)?;
            let kind = ExternalArtifact::KIND;
            publish_blocking(&storage, kind, &namespace, &output.name, &tree, &kitchen)
        })
        .await
    }

    /// What the status of an ExternalArtifact says of a file.
    fn artifact(&self, request: &Request, stored: &Stored, observed: &Observed) -> Artifact {
        let source = |reference: &Option<String>| {
            let alias = validate::alias_of(reference.as_deref()?);
            observed.get(alias)
        };
        let revision = source(&request.output.revision).map(|source| source.revision.clone());
        let origin = source(&request.output.origin_revision).map(|source| origin_revision(source));
        let digest = stored.digest.to_string();
        Artifact {
            path: stored.path.to_string(),
            url: self.storage.url(&stored.path),
            revision: revision.unwrap_or_else(|| format!("latest@{digest}")),
            digest,
            last_update_time: jiff::Timestamp::try_from(stored.updated)
                .map(Time::from)
                .unwrap_or_default(),
            size: i64::try_from(stored.size).ok(),
            metadata: origin
                .map(|origin| (event::OCI_REVISION.to_owned(), origin.to_owned()))
                .into_iter()
                .collect(),
        }
    }

    /// Removes what was made before and is not made any more.
    async fn remove_orphans(
        &self,
        object: &ArtifactGenerator,
        made: &[ExternalArtifactReference],
    ) -> Result<(), Failure> {
        let owner = object.uid().unwrap_or_default();
        let kept: HashSet<_> = made.iter().map(|entry| (&entry.namespace, &entry.name)).collect();
        let is_orphan = |entry: &&ExternalArtifactReference| !kept.contains(&(&entry.namespace, &entry.name));
        for entry in drift::inventory(object).iter().filter(is_orphan) {
            self.remove(&owner, entry).await.map_err(|why| {
                let message = format!("{} reconcile failed: {why}", entry.name);
                Failure::retried(reason::RECONCILIATION_FAILED, message)
            })?;
        }
        Ok(())
    }

    /// Removes an artifact from the store and from the cluster, unless it has become that of another generator.
    async fn remove(&self, owner: &str, entry: &ExternalArtifactReference) -> Result<(), String> {
        let key: Key = (entry.namespace.clone(), entry.name.clone());
        let live = self.followed.output(&key);
        if live
            .as_deref()
            .and_then(externalartifact::owner)
            .is_some_and(|it| it != owner)
        {
            return Ok(());
        }
        let (storage, object) = (
            self.storage.clone(),
            ObjectKey::new(ExternalArtifact::KIND, &entry.namespace, &entry.name),
        );
        let removed = self
            .off_thread(move |_| storage.remove_object_blocking(&object))
            .await;
        removed
            .map_err(|lost| lost.message)?
            .map_err(|error| format!("failed to remove artifact from storage: {}", describe(&error)))?;
        Writer::new(self.client.clone())
            .delete(&key, live.as_ref())
            .await?;
        tracing::info!(namespace = key.0, artifact = key.1, "ExternalArtifact deleted");
        self.followed.set_output(key, None);
        Ok(())
    }

    /// Removes files that are past retention.
    async fn collect_garbage(&self, made: &[ExternalArtifactReference]) -> Result<(), Failure> {
        let (storage, made) = (self.storage.clone(), made.to_vec());
        self.off_thread(move |_| {
            for path in made.iter().filter_map(drift::path_of) {
                match storage.collect_garbage_blocking(&path, SystemTime::now(), COLLECTION_LIMIT) {
                    Ok(garbage) if garbage.removed.is_empty() => {}
                    Ok(garbage) => tracing::info!(
                        artifact = %path,
                        "garbage collected {} old artifact(s)", garbage.removed.len()
                    ),
                    // What cannot be removed now can be removed next time.
                    Err(error) => tracing::error!(%error, artifact = %path, "cannot collect garbage"),
                }
            }
        })
        .await
    }
}

/// Says that nothing had to be done; only who asked hears of it.
fn up_to_date(pass: &mut Pass<ArtifactGenerator>) {
    let count = drift::inventory(&pass.object).len();
    let message = format!("No drift detected, {count} artifact(s) up to date");
    tracing::debug!("{message}");
    let requested = pass.object.reconcile_requested_at();
    if requested.is_some() && requested != pass.object.last_handled_reconcile_at() {
        pass.event(Severity::Trace, condition::READY, &message, BTreeMap::new());
    }
}

/// Records what was made, and tells of what is new.
fn settle(pass: &mut Pass<ArtifactGenerator>, made: Vec<ExternalArtifactReference>, digest: String) {
    let message = format!("reconciliation succeeded, generated {} artifact(s)", made.len());
    let before: HashSet<ExternalArtifactReference> = drift::inventory(&pass.object).iter().cloned().collect();
    let is_new = |entry: &&ExternalArtifactReference| {
        !before.iter().any(|old| {
            (&old.namespace, &old.name, &old.digest) == (&entry.namespace, &entry.name, &entry.digest)
        })
    };
    let news: Vec<String> = made
        .iter()
        .filter(is_new)
        .map(|entry| format!("{}/{} ({})", entry.namespace, entry.name, entry.digest))
        .collect();
    let status = pass.object.status_mut();
    status.inventory = made;
    status.observed_sources_digest = Some(digest);
    conditions::mark_true(&mut pass.object, condition::READY, reason::SUCCEEDED, &message);
    pass.event(Severity::Trace, condition::READY, &message, BTreeMap::new());
    if !news.is_empty() {
        let message = format!("external artifacts reconciled: {}", news.join("\n"));
        pass.event(Severity::Info, condition::READY, &message, BTreeMap::new());
    }
}
