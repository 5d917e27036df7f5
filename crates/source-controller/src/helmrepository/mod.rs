//! HelmRepository: the index of a repository, as an artifact (`spec/sources-and-images.md` section 12). A repository in a registry has no index and is not
//! reconciled.
//!
//! `address → access → fetch, compare → read, announce → store`. The index is asked for with what the server told it by the last time; one that has not
//! changed is neither read nor stored.

mod access;
mod cache;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ferro_api::meta::{Artifact, Time};
use ferro_api::source::HelmRepository;
use ferro_api::{condition, reason};
use ferro_artifact::digest::{Digest, digest_reader};
use ferro_artifact::storage::{ArtifactPath, PublishError, Storage, StorageError};
use ferro_helmrepo::index::{Index, Table, read_index};
use ferro_helmrepo::{Fetched, HttpRepository, Validators, url as address};
use ferro_http::{SafeUrl, describe};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass, Reconciler};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};

pub(crate) use self::access::{Access, AccessError};
pub(crate) use self::cache::IndexCache;

use crate::reconcile::{
    self, Failure, Settled, Shared, Source, SourceObject, artifact_path, finish, finish_suspended,
    progressive,
};

/// The link to the newest index, beside it.
const LINK: &str = "index.yaml";

/// The reconciler of HelmRepository.
pub(crate) struct HelmRepositoryReconciler {
    shared: Shared,
    access: Access,
    cache: IndexCache,
    store: Store<HelmRepository>,
    known: Mutex<HashMap<ObjectRef<HelmRepository>, Known>>,
}

/// What the server told a stored index by.
#[derive(Clone, Debug)]
struct Known {
    url: String,
    revision: String,
    validators: Validators,
}

impl HelmRepositoryReconciler {
    pub(crate) fn new(
        shared: Shared,
        access: Access,
        cache: IndexCache,
        store: Store<HelmRepository>,
    ) -> Self {
        Self {
            shared,
            access,
            cache,
            store,
            known: Mutex::default(),
        }
    }
}

impl Reconciler for HelmRepositoryReconciler {
    type Object = HelmRepository;

    async fn reconcile(&self, pass: &mut Pass<HelmRepository>) -> Outcome {
        reconcile::drive(self, pass).await
    }

    async fn finalize(&self, pass: &mut Pass<HelmRepository>) -> Result<(), String> {
        reconcile::finalize(self, pass).await?;
        self.known().remove(&ObjectRef::from_obj(&pass.object));
        if let Some(artifact) = pass.object.artifact() {
            self.cache.forget(&artifact.path);
        }
        Ok(())
    }

    fn is_static(&self, object: &HelmRepository) -> bool {
        object.spec.is_oci()
    }

    fn suspended(&self, object: &mut HelmRepository) {
        finish_suspended(object);
    }

    fn finish(&self, object: &mut HelmRepository, outcome: &Outcome) {
        finish(object, outcome);
    }
}

impl Source for HelmRepositoryReconciler {
    type Object = HelmRepository;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn store(&self) -> &Store<HelmRepository> {
        &self.store
    }

    async fn steps(&self, pass: &mut Pass<HelmRepository>) -> Result<Settled, Failure> {
        self.refresh_link(&mut pass.object);
        let url = normal_url(&pass.object.spec.url)?;
        let repository = self.access.http(&pass.object, &url).await;
        let repository = repository.map_err(|error| no_access(&error))?;
        let (file, validators) = match self.fetch(&pass.object, &repository, &url).await? {
            Fetched::NotModified => return Ok(self.unchanged(&mut pass.object)),
            Fetched::Index { file, validators } => (file, validators),
        };
        let current = pass.object.artifact().map(|artifact| artifact.revision.clone());
        let read = self.shared.off_thread({
            let storage = self.shared.storage.clone();
            move |_| read_blocking(file, current.as_deref(), &storage)
        });
        let revision = match read.await?? {
            Read::Same => {
                self.remember(&pass.object, &url, validators);
                return Ok(self.unchanged(&mut pass.object));
            }
            Read::New { index, revision } => {
                conditions::delete(&mut pass.object, condition::FETCH_FAILED);
                announce(pass, &revision);
                self.publish(pass, *index, &revision).await?;
                revision
            }
        };
        self.remember(&pass.object, &url, validators);
        stored(&mut pass.object, &revision);
        Ok(Settled {
            message: news(&pass.object),
            no_op: None,
        })
    }
}

impl HelmRepositoryReconciler {
    async fn fetch(
        &self,
        object: &HelmRepository,
        repository: &HttpRepository,
        url: &str,
    ) -> Result<Fetched, Failure> {
        let revision = object.artifact().map(|artifact| artifact.revision.as_str());
        let known = self.known().get(&ObjectRef::from_obj(object)).cloned();
        let known = known.filter(|known| known.url == url && Some(known.revision.as_str()) == revision);
        let validators = known.as_ref().map(|known| &known.validators);
        repository.fetch_index(validators).await.map_err(|error| {
            let message = format!(
                "failed to fetch Helm repository index: failed to cache index to temporary file: {error}"
            );
            Failure::fetch(reason::FAILED, message)
        })
    }

    /// Notes what the server told the index by that is stored now.
    fn remember(&self, object: &HelmRepository, url: &str, validators: Validators) {
        let key = ObjectRef::from_obj(object);
        let revision = object.artifact().map(|artifact| artifact.revision.clone());
        let mut known = self.known();
        match revision.filter(|_| !validators.is_empty()) {
            Some(revision) => {
                let url = url.to_owned();
                known.insert(
                    key,
                    Known {
                        url,
                        revision,
                        validators,
                    },
                );
            }
            None => drop(known.remove(&key)),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ObjectRef<HelmRepository>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a pass that found the stored index up to date.
    fn unchanged(&self, object: &mut HelmRepository) -> Settled {
        conditions::delete(object, condition::FETCH_FAILED);
        let artifact = object.artifact().cloned().unwrap_or_default();
        // Used or not, it stays as long as it is current.
        let _kept_for_longer = self.cache.get(&artifact.path, Instant::now());
        let revision = artifact.revision;
        stored(object, &revision);
        let message = format!("artifact up-to-date with remote revision: '{revision}'");
        Settled {
            message: news(object),
            no_op: Some((reason::ARTIFACT_UP_TO_DATE, message)),
        }
    }

    /// Stores an index, and records it.
    async fn publish(
        &self,
        pass: &mut Pass<HelmRepository>,
        index: Index,
        revision: &Digest,
    ) -> Result<(), Failure> {
        let path = artifact_path(&pass.object, &format!("index-{}.yaml", revision.hex()))
            .map_err(|error| Failure::storage(reason::INVALID_PATH, error.to_string()))?;
        let (storage, is_cached) = (self.shared.storage.clone(), self.cache.is_on());
        let (text, key) = (revision.to_string(), path.to_string());
        let published = self
            .shared
            .off_thread(move |_| publish_blocking(&storage, &path, index, text, is_cached));
        let Published {
            artifact,
            link,
            table,
        } = published.await??;
        let trace = |reason, message: String| {
            tracing::info!("{message}");
            pass.event(Severity::Trace, reason, &message, BTreeMap::new());
        };
        if let Some(table) = table
            && let Err(error) = self.cache.set(&key, table.into(), Instant::now())
        {
            trace(
                reason::CACHE_OPERATION_FAILED,
                format!("failed to cache index: {error}"),
            );
        }
        if let Err(cause) = &link {
            let message = format!("failed to update status URL symlink: {cause}");
            trace(reason::SYMLINK_UPDATE_FAILED, message);
        }
        pass.object.set_artifact(Some(artifact));
        if let (Ok(link), Some(status)) = (link, &mut pass.object.status) {
            status.url = Some(link);
        }
        conditions::delete(&mut pass.object, condition::STORAGE_OPERATION_FAILED);
        Ok(())
    }

    /// Lets `status.url` name the host that artifacts are served at now.
    fn refresh_link(&self, object: &mut HelmRepository) {
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

/// The one form of the repository's address.
fn normal_url(url: &str) -> Result<String, Failure> {
    let invalid = |cause: &dyn std::fmt::Display| {
        let message = format!("invalid Helm repository URL: {cause}");
        Failure::fetch(reason::URL_INVALID, message).stalling()
    };
    if url.starts_with("oci://") {
        let cause = "'oci' URL scheme cannot be used with 'default' HelmRepository type";
        return Err(invalid(&cause));
    }
    let normal = address::normalize(url).map_err(|error| invalid(&error))?;
    let scheme = normal.split(':').next().unwrap_or_default();
    if !matches!(scheme, "http" | "https") {
        let message = format!("failed to construct Helm client: scheme \"{scheme}\" not supported");
        return Err(Failure::fetch(reason::FAILED, message).stalling());
    }
    Ok(normal)
}

fn no_access(error: &AccessError) -> Failure {
    let text = error.text().to_owned();
    match error {
        AccessError::Secret(_) => Failure::fetch(reason::AUTHENTICATION_FAILED, text),
        AccessError::Url(_) => Failure::fetch(
            reason::URL_INVALID,
            format!("invalid Helm repository URL: {text}"),
        )
        .stalling(),
        AccessError::Construct(_) => {
            Failure::fetch(reason::FAILED, format!("failed to construct Helm client: {text}")).stalling()
        }
    }
}

/// What an index turned out to be.
enum Read {
    /// The one that is stored.
    Same,
    New {
        index: Box<Index>,
        revision: Digest,
    },
}

fn read_blocking(mut file: File, current: Option<&str>, storage: &Storage) -> Result<Read, Failure> {
    let unread = |cause: String| {
        let message = format!("failed to load Helm repository from index YAML: {cause}");
        Failure::fetch(reason::INDEXATION_FAILED, message)
    };
    let mut digest = |algorithm| {
        std::io::Seek::rewind(&mut file)
            .and_then(|()| digest_reader(algorithm, &mut file))
            .map(|(digest, _)| digest)
            .map_err(|error| unread(error.to_string()))
    };
    // The revision says by which algorithm it was made; another may be asked for since.
    let current = current.and_then(|revision| revision.parse::<Digest>().ok());
    let mut revision = digest(
        current
            .as_ref()
            .map_or_else(|| storage.algorithm(), Digest::algorithm),
    )?;
    if Some(&revision) == current.as_ref() {
        return Ok(Read::Same);
    }
    if revision.algorithm() != storage.algorithm() {
        revision = digest(storage.algorithm())?;
    }
    let index = read_index(&mut file).map_err(|error| unread(format!("failed to load index: {error}")))?;
    if index.skipped() > 0 {
        tracing::info!(
            skipped = index.skipped(),
            "entries of the index that are not valid were left out"
        );
    }
    Ok(Read::New {
        index: Box::new(index),
        revision,
    })
}

/// What was stored.
struct Published {
    artifact: Artifact,
    /// The address of the link to it, or why there is none.
    link: Result<String, String>,
    /// Where its charts are, if that is to be kept.
    table: Option<Table>,
}

fn publish_blocking(
    storage: &Storage,
    path: &ArtifactPath,
    mut index: Index,
    revision: String,
    is_cached: bool,
) -> Result<Published, Failure> {
    let _lock = storage.lock_blocking(path).map_err(|error| not_locked(&error))?;
    let published = storage.publish_blocking(path, |mut out| index.write(&mut out));
    let (stored, ()) = published.map_err(|error| {
        let cause = match &error {
            PublishError::Storage(error) => describe(error),
            PublishError::Content(error) => describe(error),
        };
        let message = format!("unable to save artifact to storage: {cause}");
        Failure::storage(reason::ARCHIVE_OPERATION_FAILED, message)
    })?;
    let link = storage
        .link_blocking(path, LINK)
        .map_err(|error| describe(&error));
    let open = || File::open(storage.locate(path)).and_then(|mut file| Table::new(&mut file));
    Ok(Published {
        artifact: Artifact {
            digest: stored.digest.to_string(),
            last_update_time: Timestamp::try_from(stored.updated)
                .map(Time::from)
                .unwrap_or_default(),
            path: stored.path.to_string(),
            revision,
            size: i64::try_from(stored.size).ok(),
            url: storage.url(&stored.path),
            ..Artifact::default()
        },
        link,
        table: is_cached.then(open).and_then(Result::ok),
    })
}

fn not_locked(error: &StorageError) -> Failure {
    let cause = describe(error);
    match error {
        StorageError::Lock { .. } => Failure::unmarked(
            reason::FAILED,
            format!("failed to acquire lock for artifact: {cause}"),
        ),
        _ => Failure::storage(
            reason::DIRECTORY_CREATION_FAILED,
            format!("failed to create artifact directory: {cause}"),
        ),
    }
}

/// Says in the conditions that a new index is being stored.
fn announce(pass: &mut Pass<HelmRepository>, revision: &Digest) {
    let message = format!("new index revision '{revision}'");
    if pass.object.artifact().is_some() {
        conditions::mark_true(
            &mut pass.object,
            condition::ARTIFACT_OUTDATED,
            reason::NEW_REVISION,
            &message,
        );
    }
    progressive(&mut pass.object, true, &format!("building artifact: {message}"));
    pass.publish();
}

fn stored(object: &mut HelmRepository, revision: &impl std::fmt::Display) {
    conditions::delete(object, condition::ARTIFACT_OUTDATED);
    let message = format!("stored artifact: revision '{revision}'");
    conditions::mark_true(
        object,
        condition::ARTIFACT_IN_STORAGE,
        reason::SUCCEEDED,
        &message,
    );
}

/// What users hear of the index.
fn news(object: &HelmRepository) -> String {
    let size = object.artifact().and_then(|artifact| artifact.size);
    let size = size.map_or_else(
        || "unknown size".to_owned(),
        |size| format!("size {}", human_size(size)),
    );
    let url = &object.spec.url;
    // As it is written, unless it holds credentials.
    let shown = match SafeUrl::parse(url) {
        Ok(parsed) if url.contains('@') || url.contains('?') => parsed.to_string(),
        _ => url.clone(),
    };
    format!("stored fetched index of {size} from '{shown}'")
}

/// A size in decimal units with four digits, as Docker's `go-units` writes it.
fn human_size(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut size = bytes as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while size >= 1000.0 {
        let Some(next) = units.next() else { break };
        size /= 1000.0;
        unit = next;
    }
    let digits = match size {
        size if size < 10.0 => 3,
        size if size < 100.0 => 2,
        size if size < 1000.0 => 1,
        _ => 0,
    };
    let text = format!("{size:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}
