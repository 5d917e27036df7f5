//! HelmChart: a chart from a HelmRepository, or from the artifact of another source, as an artifact (`spec/sources-and-images.md` section 13).
//!
//! `source → verify → build → announce → store`. A chart whose name and version are those of the stored artifact is not fetched again, unless the spec has changed.

mod dependants;
mod source;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ferro_api::meta::{Artifact, Time};
use ferro_api::source::{ChartSourceKind, HelmChart, HelmRepository, ReconcileStrategy};
use ferro_api::{FluxObject, condition, reason};
use ferro_artifact::storage::{ArtifactPath, PublishError, Storage, StorageError};
use ferro_helmrepo::chart::{
    Build, BuildError, BuildOptions, Content, Stage, build_local, build_remote, effective,
};
use ferro_helmrepo::index::Table;
use ferro_helmrepo::{Repository, url as address};
use ferro_http::describe;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass, Reconciler};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};

pub(crate) use self::dependants::{Dependants, Telling};
pub(crate) use self::source::Sources;

use self::source::{ChartSource, Neighbours, StoredSource};
use crate::helmrepository::{Access, AccessError, IndexCache};
use crate::reconcile::{
    self, Failure, Settled, Shared, Source, SourceObject, artifact_path, finish, finish_suspended,
    progressive,
};
use crate::verification::{self, PublicRoot};

/// The link to the newest chart, beside it.
const LINK: &str = "latest.tar.gz";

/// How much of a revision goes into a version: labels are short.
const SHORT_REVISION: usize = 12;

/// The reconciler of HelmChart.
pub(crate) struct HelmChartReconciler {
    shared: Shared,
    store: Store<HelmChart>,
    sources: Sources,
    access: Access,
    cache: IndexCache,
    dependants: Dependants,
    public_root: PublicRoot,
    built: Mutex<HashMap<ObjectRef<HelmChart>, Made>>,
}

/// What the stored artifact of a chart was made from, all that it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    generation: Option<i64>,
    /// Revision and digest: the same files may come under another revision, which the version of the chart may name.
    source: (String, String),
    artifact: String,
}

impl HelmChartReconciler {
    pub(crate) fn new(
        shared: Shared,
        store: Store<HelmChart>,
        sources: Sources,
        access: Access,
        cache: IndexCache,
        dependants: Dependants,
        public_root: PublicRoot,
    ) -> Self {
        Self {
            shared,
            store,
            sources,
            access,
            cache,
            dependants,
            public_root,
            built: Mutex::default(),
        }
    }
}

impl Reconciler for HelmChartReconciler {
    type Object = HelmChart;

    async fn reconcile(&self, pass: &mut Pass<HelmChart>) -> Outcome {
        reconcile::drive(self, pass).await
    }

    async fn finalize(&self, pass: &mut Pass<HelmChart>) -> Result<(), String> {
        reconcile::finalize(self, pass).await?;
        self.dependants.chart_gone(&pass.object);
        self.built().remove(&ObjectRef::from_obj(&pass.object));
        Ok(())
    }

    fn observed(&self, object: &HelmChart) {
        self.dependants.chart_seen(object);
    }

    fn suspended(&self, object: &mut HelmChart) {
        finish_suspended(object);
    }

    fn finish(&self, object: &mut HelmChart, outcome: &Outcome) {
        finish(object, outcome);
    }
}

impl Source for HelmChartReconciler {
    type Object = HelmChart;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn store(&self) -> &Store<HelmChart> {
        &self.store
    }

    async fn steps(&self, pass: &mut Pass<HelmChart>) -> Result<Settled, Failure> {
        self.refresh_link(&mut pass.object);
        let is_to_be_verified = pass.object.spec.verify.is_some();
        verification::begin(&mut pass.object, is_to_be_verified);
        let wait = self.shared.requeue_dependency;
        let source = self
            .sources
            .get(&mut pass.object, &self.shared.storage, wait)
            .await?;
        if self.is_made_from(&pass.object, &source) {
            return Ok(unchanged(&mut pass.object));
        }
        let build = self.build(&pass.object, &source).await;
        let (build, verified) = build.map_err(|error| failed(&mut pass.object, error))?;
        announce(pass, &build);
        conditions::delete(&mut pass.object, condition::FETCH_FAILED);
        conditions::delete(&mut pass.object, condition::BUILD_FAILED);
        if verified == verification::Outcome::Verified {
            verification::record(&mut pass.object, &format!("version {}", build.version));
        }
        if build.dependencies > 0 {
            let message = format!("resolved {} chart dependencies", build.dependencies);
            let none = BTreeMap::new();
            pass.event(Severity::Trace, reason::RESOLVED_DEPENDENCIES, &message, none);
        }
        let settled = match build.content {
            Content::Stored => {
                stored(&mut pass.object, &build);
                Settled {
                    message: build.summary(),
                    no_op: Some((reason::ARTIFACT_UP_TO_DATE, up_to_date(&build.version))),
                }
            }
            _ => self.publish(pass, build).await?,
        };
        self.remember(&pass.object, &source);
        Ok(settled)
    }
}

impl HelmChartReconciler {
    async fn build(
        &self,
        object: &HelmChart,
        source: &ChartSource,
    ) -> Result<(Build, verification::Outcome), BuildFailure> {
        match source {
            ChartSource::Repository(repository) => self.build_remote(object, repository).await,
            ChartSource::Tree(artifact) => {
                let build = self.build_local(object, artifact).await?;
                Ok((build, verification::Outcome::Ignored))
            }
        }
    }

    async fn build_remote(
        &self,
        object: &HelmChart,
        source: &HelmRepository,
    ) -> Result<(Build, verification::Outcome), BuildFailure> {
        let invalid = |cause: String| {
            let message = format!("invalid Helm repository URL: {cause}");
            BuildFailure::Other(Failure::fetch(reason::URL_INVALID, message).stalling())
        };
        let url = address::normalize(&source.spec.url).map_err(|error| invalid(error.to_string()))?;
        let repository = self.access.repository(source, &url).await.map_err(|error| {
            let text = error.text().to_owned();
            match error {
                AccessError::Url(_) => invalid(text),
                AccessError::Secret(_) => {
                    BuildFailure::Other(Failure::fetch(reason::AUTHENTICATION_FAILED, text))
                }
                AccessError::Construct(_) => {
                    let message = format!("failed to construct Helm client: {text}");
                    BuildFailure::Other(Failure::fetch(reason::FAILED, message).stalling())
                }
            }
        })?;
        let repository = self.with_index(repository, source);
        let (repository, verified) = self.verify(object, source, repository).await?;
        let mut options = self.options(object);
        if !effective(&options.values_files).is_empty() {
            options.metadata = object.meta().generation.unwrap_or_default().to_string();
        }
        let (chart, version) = (&object.spec.chart, object.spec.version_or_default());
        let build = build_remote(&repository, chart, version, &options).await;
        Ok((build.map_err(BuildFailure::Build)?, verified))
    }

    async fn build_local(&self, object: &HelmChart, artifact: &Artifact) -> Result<Build, BuildFailure> {
        let unread = |cause: String| {
            let message = format!("failed to open source artifact: {cause}");
            BuildFailure::Other(Failure::fetch(reason::READ_OPERATION_FAILED, message))
        };
        let path = ArtifactPath::parse(&artifact.path).map_err(|error| unread(error.to_string()))?;
        let source = StoredSource {
            storage: self.shared.storage.clone(),
            path,
        };
        let mut options = self.options(object);
        options.metadata = local_metadata(object, &artifact.revision);
        let neighbours = Neighbours {
            reconciler: self,
            namespace: object.namespace().unwrap_or_default(),
        };
        build_local(Arc::new(source), &object.spec.chart, &options, &neighbours)
            .await
            .map_err(BuildFailure::Build)
    }

    fn options(&self, object: &HelmChart) -> BuildOptions {
        let status = object.status.as_ref();
        let is_observed = object.observed_generation() == object.meta().generation;
        let name = status.and_then(|status| status.observed_chart_name.clone());
        let revision = object.artifact().map(|artifact| artifact.revision.clone());
        BuildOptions {
            values_files: object.spec.values_files.clone(),
            ignores_missing: object.spec.ignore_missing_values_files,
            stored: name.zip(revision).filter(|_| is_observed),
            stored_values_files: status
                .map(|status| status.observed_values_files.clone())
                .unwrap_or_default(),
            limits: self.access.limits(),
            ..BuildOptions::default()
        }
    }

    /// Lets a repository use the index that is stored, if it has one.
    fn with_index(&self, repository: Repository, object: &HelmRepository) -> Repository {
        let (Repository::Http(http), Some(artifact)) = (&repository, object.artifact()) else {
            return repository;
        };
        let Ok(path) = ArtifactPath::parse(&artifact.path) else {
            return repository;
        };
        let file = self.shared.storage.locate(&path);
        Repository::Http(
            http.clone()
                .with_index(file.clone(), self.table(&artifact.path, &file)),
        )
    }

    /// Where the charts of an index are, if that is kept.
    fn table(&self, path: &str, file: &std::path::Path) -> Option<Arc<Table>> {
        if !self.cache.is_on() {
            return None;
        }
        let now = Instant::now();
        if let Some(table) = self.cache.get(path, now) {
            return Some(table);
        }
        let table = std::fs::File::open(file).and_then(|mut file| Table::new(&mut file));
        let table = Arc::new(table.ok()?);
        if let Err(error) = self.cache.set(path, Arc::clone(&table), now) {
            tracing::debug!(%error, "failed to cache index");
        }
        Some(table)
    }

    /// Stores the archive of a chart, and records it.
    async fn publish(&self, pass: &mut Pass<HelmChart>, build: Build) -> Result<Settled, Failure> {
        let file = format!("{}-{}.tgz", build.name, build.version);
        let path = artifact_path(&pass.object, &file)
            .map_err(|error| Failure::storage(reason::INVALID_PATH, error.to_string()))?;
        let storage = self.shared.storage.clone();
        let published = self
            .shared
            .off_thread(move |_| publish_blocking(&storage, &path, build));
        let Published {
            build,
            artifact,
            link,
        } = published.await??;
        if let Err(cause) = &link {
            let message = format!("failed to update status URL symlink: {cause}");
            tracing::info!("{message}");
            let none = BTreeMap::new();
            pass.event(Severity::Trace, reason::SYMLINK_UPDATE_FAILED, &message, none);
        }
        pass.object.set_artifact(Some(artifact));
        let ignores_missing = pass.object.spec.ignore_missing_values_files;
        let status = pass.object.status.get_or_insert_default();
        status.observed_chart_name = Some(build.name.clone());
        status.observed_values_files = if ignores_missing {
            build.values_files.clone()
        } else {
            Vec::new()
        };
        if let Ok(link) = link {
            status.url = Some(link);
        }
        conditions::delete(&mut pass.object, condition::STORAGE_OPERATION_FAILED);
        stored(&mut pass.object, &build);
        Ok(Settled {
            message: build.summary(),
            no_op: None,
        })
    }

    /// Whether nothing that the stored artifact was made from has changed. A chart in a repository may have a new version all the same.
    fn is_made_from(&self, object: &HelmChart, source: &ChartSource) -> bool {
        let made = made(object, source);
        let is_stored = object.is_condition_true(condition::ARTIFACT_IN_STORAGE);
        let is_outdated = object.condition(condition::ARTIFACT_OUTDATED).is_some();
        made.is_some()
            && is_stored
            && !is_outdated
            && self.built().get(&ObjectRef::from_obj(object)) == made.as_ref()
    }

    fn remember(&self, object: &HelmChart, source: &ChartSource) {
        let key = ObjectRef::from_obj(object);
        let made = made(object, source);
        let mut built = self.built();
        match made {
            Some(made) => drop(built.insert(key, made)),
            None => drop(built.remove(&key)),
        }
    }

    fn built(&self) -> MutexGuard<'_, HashMap<ObjectRef<HelmChart>, Made>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `status.url` name the host that artifacts are served at now.
    fn refresh_link(&self, object: &mut HelmChart) {
        let link = artifact_path(object, LINK).map(|path| self.shared.storage.url(&path));
        let Some(status) = &mut object.status else {
            return;
        };
        if status.artifact.is_none() {
            status.url = None;
        } else if let (Some(url), Ok(link)) = (&mut status.url, link) {
            *url = link;
        }
    }
}

/// What decides a chart whose source says all there is to know: a tree, or an index that is stored.
fn made(object: &HelmChart, source: &ChartSource) -> Option<Made> {
    let source = match source {
        ChartSource::Tree(artifact) => artifact,
        ChartSource::Repository(repository) => repository.artifact()?,
    };
    if object.condition(condition::FETCH_FAILED).is_some()
        || object.condition(condition::BUILD_FAILED).is_some()
    {
        return None;
    }
    Some(Made {
        generation: object.meta().generation,
        source: (source.revision.clone(), source.digest.clone()),
        artifact: object.artifact()?.digest.clone(),
    })
}

/// Why there is no chart.
enum BuildFailure {
    /// The build failed.
    Build(BuildError),
    /// It did not come to it.
    Other(Failure),
}

/// Says in the conditions why there is no chart.
fn failed(object: &mut HelmChart, failure: BuildFailure) -> Failure {
    let error = match failure {
        BuildFailure::Other(failure) => return failure,
        BuildFailure::Build(error) => error,
    };
    if error.is_auth && matches!(error.stage, Stage::Pull | Stage::Reference) {
        let message = format!("failed to authenticate with the Helm repository: {error}");
        return Failure::fetch(reason::AUTHENTICATION_FAILED, message);
    }
    let message = error.to_string();
    let fetch = |object: &mut HelmChart, reason| {
        conditions::delete(object, condition::BUILD_FAILED);
        Failure::fetch(reason, message.clone())
    };
    match error.stage {
        Stage::Reference => fetch(object, reason::INVALID_CHART_REFERENCE).stalling(),
        Stage::Pull => fetch(object, reason::CHART_PULL_ERROR),
        Stage::Verification => {
            Failure::verification(reason::VERIFICATION_ERROR, message.clone()).mark(object);
            build_failure(object, reason::CHART_VERIFICATION_ERROR, message)
        }
        Stage::Unknown => fetch(object, reason::UNKNOWN),
        Stage::Metadata => build_failure(object, reason::METADATA_PATCH_ERROR, message).stalling(),
        Stage::Values => build_failure(object, reason::VALUES_FILES_ERROR, message).stalling(),
        Stage::Dependency => build_failure(object, reason::DEPENDENCY_BUILD_ERROR, message),
        Stage::Package => build_failure(object, reason::CHART_PACKAGE_ERROR, message),
    }
}

fn build_failure(object: &mut HelmChart, reason: &'static str, message: String) -> Failure {
    conditions::delete(object, condition::FETCH_FAILED);
    Failure::build(reason, message)
}

/// What is put behind the version of a chart from a tree: the revision, if each is to make a new version, and the generation, if values were merged.
fn local_metadata(object: &HelmChart, revision: &str) -> String {
    let mut parts = Vec::new();
    if object.spec.reconcile_strategy_or_default() == ReconcileStrategy::Revision {
        let hash = match object.spec.source_ref.kind {
            // After the last colon, or the last slash in revisions of old.
            ChartSourceKind::GitRepository => revision.rsplit([':', '/']).next().unwrap_or(revision),
            _ => revision.split_once(':').map_or(revision, |(_, hex)| hex),
        };
        parts.push(hash.get(..SHORT_REVISION).unwrap_or(hash).to_owned());
    }
    if !effective(&object.spec.values_files).is_empty() {
        parts.push(object.meta().generation.unwrap_or_default().to_string());
    }
    parts.join(".")
}

/// Says in the conditions that another chart is being stored.
fn announce(pass: &mut Pass<HelmChart>, build: &Build) {
    let status = pass.object.status.as_ref();
    let name = status.and_then(|status| status.observed_chart_name.as_deref());
    let revision = pass.object.artifact().map(|artifact| artifact.revision.as_str());
    if name == Some(build.name.as_str()) && revision == Some(build.version.as_str()) {
        return;
    }
    let message = build.summary();
    if revision.is_some() {
        conditions::mark_true(
            &mut pass.object,
            condition::ARTIFACT_OUTDATED,
            reason::NEW_CHART,
            &message,
        );
    }
    progressive(&mut pass.object, true, &format!("building artifact: {message}"));
    pass.publish();
}

/// Ends a pass over a chart that cannot have changed.
fn unchanged(object: &mut HelmChart) -> Settled {
    let version = object
        .artifact()
        .map(|artifact| artifact.revision.clone())
        .unwrap_or_default();
    let message = object
        .condition(condition::ARTIFACT_IN_STORAGE)
        .map(|condition| condition.message.clone())
        .unwrap_or_default();
    Settled {
        message,
        no_op: Some((reason::ARTIFACT_UP_TO_DATE, up_to_date(&version))),
    }
}

fn up_to_date(version: &str) -> String {
    format!("artifact up-to-date with remote revision: '{version}'")
}

fn stored(object: &mut HelmChart, build: &Build) {
    conditions::delete(object, condition::ARTIFACT_OUTDATED);
    let reason = if build.is_packaged {
        reason::CHART_PACKAGE_SUCCEEDED
    } else {
        reason::CHART_PULL_SUCCEEDED
    };
    conditions::mark_true(object, condition::ARTIFACT_IN_STORAGE, reason, &build.summary());
}

/// What was stored.
struct Published {
    build: Build,
    artifact: Artifact,
    /// The address of the link to it, or why there is none.
    link: Result<String, String>,
}

fn publish_blocking(storage: &Storage, path: &ArtifactPath, build: Build) -> Result<Published, Failure> {
    let _lock = storage.lock_blocking(path).map_err(|error| not_locked(&error))?;
    let published = storage.publish_blocking(path, |out| build.content.write(out));
    let (stored, ()) = published.map_err(|error| match error {
        PublishError::Storage(error) => {
            let message = format!("unable to copy Helm chart to storage: {}", describe(&error));
            Failure::storage(reason::ARCHIVE_OPERATION_FAILED, message)
        }
        PublishError::Content(error) => {
            let error = BuildError::new(Stage::Package, &error);
            Failure::build(reason::CHART_PACKAGE_ERROR, error.to_string())
        }
    })?;
    let artifact = Artifact {
        digest: stored.digest.to_string(),
        last_update_time: Timestamp::try_from(stored.updated)
            .map(Time::from)
            .unwrap_or_default(),
        path: stored.path.to_string(),
        revision: build.version.clone(),
        size: i64::try_from(stored.size).ok(),
        url: storage.url(&stored.path),
        ..Artifact::default()
    };
    let link = storage
        .link_blocking(path, LINK)
        .map_err(|error| describe(&error));
    Ok(Published {
        build,
        artifact,
        link,
    })
}

fn not_locked(error: &StorageError) -> Failure {
    let cause = describe(error);
    match error {
        StorageError::Lock { .. } => Failure::storage(
            reason::ACQUIRE_LOCK_FAILED,
            format!("failed to acquire lock for artifact: {cause}"),
        ),
        _ => Failure::storage(
            reason::DIRECTORY_CREATION_FAILED,
            format!("failed to create artifact directory: {cause}"),
        ),
    }
}
