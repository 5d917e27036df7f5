//! Copies of the artifacts that the leader advertises.
//!
//! What is there with the right digest is left as it is, so with a storage that replicas share nothing is fetched. Only a replica that had to
//! fetch something removes anything: with a shared storage that is the leader's business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ferro_api::meta::Artifact;
use ferro_artifact::fetch::{CopyOptions, FetchError, copy, reachable};
use ferro_artifact::server::Fallback;
use ferro_artifact::storage::{ArtifactPath, Integrity, ObjectKey, Storage};
use ferro_http::ClientOptions;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;

use super::replica::Artifacts;
use crate::process::chain;
use crate::sources::{Source, SourceKind};
use crate::watch::{Change, follow};

/// Objects fetched at once when a watch starts.
const PAGE: u32 = 100;
/// Artifacts that are copied at once.
const CONCURRENT: usize = 4;
/// How long a copy may take.
const COPY_TIME: Duration = Duration::from_secs(600);
/// How long all copies may take at a takeover, when the leader is most likely gone.
const LAST_COPY_TIME: Duration = Duration::from_secs(10);
/// The largest artifact that is copied if its object does not say how large it is.
const MAX_BYTES: u64 = 4 << 30;
/// When copies that failed are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a client waits for an artifact of which this replica has not heard.
const UNHEARD: Duration = Duration::from_secs(5);
/// How long a client waits for an artifact that is on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(30);
/// How often a file is looked for that another part of the process makes.
const LOOK: Duration = Duration::from_millis(100);
/// Clients that wait at once.
const MAX_WAITING: usize = 256;
/// Removing what is no longer kept ends after this time; the rest stays for the next time.
const COLLECTION_LIMIT: Duration = Duration::from_secs(5);

/// The artifacts that are advertised, and which of them are here.
pub(super) struct Mirror {
    storage: Storage,
    http: ferro_http::Client,
    /// The address of the leader; none within, if it does not say.
    leader: watch::Receiver<Option<Option<String>>>,
    state: Mutex<State>,
    /// Counts what changes in the state.
    changes: watch::Sender<u64>,
    waiting: tokio::sync::Semaphore,
}

#[derive(Default)]
struct State {
    wanted: BTreeMap<ArtifactPath, Wanted>,
    /// Kinds that were not listed yet.
    unlisted: BTreeSet<&'static str>,
    /// Whether the storage is this replica's own: something had to be copied.
    is_own: bool,
    /// Objects that are gone, and whose artifacts are to be removed.
    gone: BTreeSet<ObjectKey>,
    /// Whether this replica leads.
    leads: bool,
}

impl State {
    /// Has the artifacts of an object removed that is gone.
    fn forget(&mut self, key: ObjectKey) {
        if self.is_own {
            self.gone.insert(key);
        }
    }
}

/// An artifact that an object advertises.
#[derive(Clone, Debug)]
struct Wanted {
    artifact: Arc<Artifact>,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Missing,
    /// The leader does not have it either: it will make it anew, and then say so.
    Nowhere,
    Here,
}

impl Mirror {
    pub(super) fn new(
        storage: Storage,
        leader: watch::Receiver<Option<Option<String>>>,
    ) -> Result<Self, ferro_http::Error> {
        Ok(Self {
            storage,
            http: ferro_http::Client::new(&ClientOptions::default())?,
            leader,
            state: Mutex::default(),
            changes: watch::channel(0).0,
            waiting: tokio::sync::Semaphore::new(MAX_WAITING),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Follows the objects and copies their artifacts, for ever.
    pub(super) async fn run(&self, client: &Client, artifacts: &Artifacts) {
        self.state().unlisted = artifacts.kinds.iter().map(|kind| kind.kind).collect();
        let following = artifacts
            .kinds
            .iter()
            .map(|kind| self.follow(client, artifacts, *kind));
        tokio::join!(futures::future::join_all(following), self.copy_all());
    }

    /// Waits until every artifact that is advertised is here.
    pub(super) async fn is_complete(&self) {
        let mut changes = self.changes.subscribe();
        let is_missing = |wanted: &Wanted| wanted.standing == Standing::Missing;
        loop {
            let is_complete = {
                let state = self.state();
                state.unlisted.is_empty() && !state.wanted.values().any(is_missing)
            };
            if is_complete || changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow(&self, client: &Client, artifacts: &Artifacts, kind: SourceKind) {
        let api = api(client, artifacts, kind);
        let mut config = watcher::Config::default().page_size(PAGE);
        if !artifacts.labels.is_empty() {
            config = config.labels(&artifacts.labels);
        }
        let keep = |source: Source| {
            let key = key_of(kind, &source);
            Some((key, source.status.artifact))
        };
        follow(api, config, keep, |change| match change {
            Change::Applied((key, artifact)) => {
                self.want(&key, artifact);
                self.changed();
            }
            Change::Deleted((key, _)) => {
                self.want(&key, None);
                self.state().forget(key);
                self.changed();
            }
            Change::Listed(all) => self.listed(kind, all),
            Change::Failing { error, .. } => {
                // A cluster without the kind has no artifacts of it.
                if matches!(&error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404) {
                    self.listed(kind, Vec::new());
                }
                tracing::debug!(error = chain(&error), kind = kind.kind, "cannot watch objects");
            }
        })
        .await;
    }

    fn listed(&self, kind: SourceKind, all: Vec<(ObjectKey, Option<Artifact>)>) {
        let listed: BTreeSet<String> = all.iter().map(|(key, _)| directory_of(key)).collect();
        for (key, artifact) in all {
            self.want(&key, artifact);
        }
        let of_kind = format!("{}/", kind.kind.to_lowercase());
        let mut state = self.state();
        let known: BTreeSet<String> = state.wanted.keys().map(ArtifactPath::directory).collect();
        for gone in known.difference(&listed).filter(|it| it.starts_with(&of_kind)) {
            state.wanted.retain(|path, _| path.directory() != *gone);
            key_at(gone).into_iter().for_each(|key| state.forget(key));
        }
        state.unlisted.remove(kind.kind);
        drop(state);
        self.changed();
    }

    /// Notes what an object advertises.
    fn want(&self, key: &ObjectKey, artifact: Option<Artifact>) {
        let directory = directory_of(key);
        // A path that is not the object's own is no path of ours: nobody may have files of others served or replaced.
        let path = artifact
            .as_ref()
            .and_then(|artifact| ArtifactPath::parse(&artifact.path).ok());
        let path = path.filter(|path| path.directory() == directory);
        let mut state = self.state();
        state
            .wanted
            .retain(|other, _| other.directory() != directory || Some(other) == path.as_ref());
        let (Some(path), Some(artifact)) = (path, artifact) else {
            return;
        };
        let is_known =
            |known: &Wanted| known.artifact.digest == artifact.digest && known.standing == Standing::Here;
        if !state.wanted.get(&path).is_some_and(is_known) {
            let artifact = Arc::new(artifact);
            let standing = Standing::Missing;
            state.wanted.insert(path, Wanted { artifact, standing });
        }
    }

    fn missing(&self) -> Vec<(ArtifactPath, Arc<Artifact>)> {
        let state = self.state();
        let missing = state
            .wanted
            .iter()
            .filter(|(_, it)| it.standing == Standing::Missing);
        missing
            .map(|(path, it)| (path.clone(), Arc::clone(&it.artifact)))
            .collect()
    }

    async fn copy_all(&self) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            self.remove_gone().await;
            let missing = self.missing();
            let is_idle = missing.is_empty();
            self.copy_these(missing, COPY_TIME).await;
            if is_idle {
                if changes.changed().await.is_err() {
                    return;
                }
            } else if !self.missing().is_empty() {
                // Some failed, or are new.
                tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }

    async fn copy_these(&self, missing: Vec<(ArtifactPath, Arc<Artifact>)>, timeout: Duration) {
        futures::stream::iter(missing)
            .for_each_concurrent(CONCURRENT, |(path, artifact)| async move {
                let standing = match self.have(&path, &artifact, timeout).await {
                    Ok(()) => Standing::Here,
                    Err(FetchError::NotFound { .. }) => Standing::Nowhere,
                    Err(error) => {
                        tracing::debug!(error = chain(&error), %path, "artifact not copied");
                        return;
                    }
                };
                if let Some(wanted) = self.state().wanted.get_mut(&path)
                    && Arc::ptr_eq(&wanted.artifact, &artifact)
                {
                    wanted.standing = standing;
                }
                self.changes.send_modify(|count| *count += 1);
            })
            .await;
    }

    /// Removes what was fetched for objects that are gone. An object of the same name waits for its turn.
    async fn remove_gone(&self) {
        let gone = std::mem::take(&mut self.state().gone);
        for key in gone {
            let storage = self.storage.clone();
            let removed = tokio::task::spawn_blocking(move || storage.remove_object_blocking(&key));
            if let Ok(Err(error)) = removed.await {
                tracing::warn!(
                    error = chain(&error),
                    "artifacts of an object that is gone not removed"
                );
            }
        }
    }

    /// Sees to it that an artifact is here.
    async fn have(
        &self,
        path: &ArtifactPath,
        artifact: &Artifact,
        timeout: Duration,
    ) -> Result<(), FetchError> {
        if self.is_here(path, &artifact.digest).await {
            return Ok(());
        }
        let options = CopyOptions {
            timeout,
            limit: artifact
                .size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(MAX_BYTES)
                .min(MAX_BYTES),
        };
        let leader = self.leader.borrow().clone().flatten();
        let direct = leader
            .map(|address| reachable(&format!("http://{address}/{path}")))
            .transpose()?;
        let advertised = reachable(&artifact.url)?;
        let mut verdict = None;
        for url in direct.iter().chain([&advertised]) {
            match copy(&self.http, url, &artifact.digest, &self.storage, path, options).await {
                Ok(()) => {
                    self.collect(path).await;
                    return Ok(());
                }
                Err(error) => {
                    tracing::debug!(error = chain(&error), %url, "artifact not copied");
                    verdict.get_or_insert(error);
                }
            }
        }
        match verdict {
            // Whoever answered there may be another replica that waits for it, too.
            Some(FetchError::NotFound { url }) if direct.is_none() => {
                Err(FetchError::Timeout { url, timeout })
            }
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn is_here(&self, path: &ArtifactPath, digest: &str) -> bool {
        let (storage, path, digest) = (self.storage.clone(), path.clone(), digest.to_owned());
        let verified = tokio::task::spawn_blocking(move || storage.verify_blocking(&path, &digest));
        matches!(verified.await, Ok(Ok(Integrity::Intact)))
    }

    /// Removes older artifacts of an object of which this replica has fetched one, as the leader does with its own.
    async fn collect(&self, current: &ArtifactPath) {
        self.state().is_own = true;
        let (storage, current) = (self.storage.clone(), current.clone());
        let collected = tokio::task::spawn_blocking(move || {
            storage.collect_garbage_blocking(&current, SystemTime::now(), COLLECTION_LIMIT)
        });
        if let Ok(Err(error)) = collected.await {
            tracing::warn!(error = chain(&error), "old artifacts not removed");
        }
    }

    /// The lease is ours: what is still missing is looked for a last time, at all replicas. The rest is made anew by who acts now.
    pub(super) async fn take_over(&self, client: &Client, artifacts: &Artifacts) {
        for kind in artifacts.kinds {
            let params = kube::api::ListParams::default().labels(&artifacts.labels);
            match api(client, artifacts, *kind).list(&params).await {
                Ok(list) => {
                    let all = list.items.into_iter();
                    let all = all.map(|source| (key_of(*kind, &source), source.status.artifact));
                    self.listed(*kind, all.collect());
                }
                Err(error) => tracing::debug!(error = chain(&error), kind = kind.kind, "cannot list objects"),
            }
        }
        let copied = self.copy_these(self.missing(), LAST_COPY_TIME);
        if tokio::time::timeout(LAST_COPY_TIME, copied).await.is_err() {
            tracing::debug!("not all artifacts copied in time");
        }
        let mut state = self.state();
        state.leads = true;
        state.wanted.retain(|_, wanted| wanted.standing != Standing::Here);
        let missing = state.wanted.len();
        drop(state);
        self.changed();
        tracing::info!(missing, "took over with the artifacts of the one before");
    }

    /// Waits for an artifact that a client asks for, and that is not here.
    async fn wait_for(&self, path: &ArtifactPath) -> bool {
        let start = tokio::time::Instant::now();
        let mut changes = self.changes.subscribe();
        // It was: somebody has removed it.
        let lost = self.state().wanted.get_mut(path).is_some_and(|wanted| {
            std::mem::replace(&mut wanted.standing, Standing::Missing) == Standing::Here
        });
        if lost {
            self.changed();
        }
        loop {
            let (standing, leads) = {
                let state = self.state();
                (state.wanted.get(path).map(|wanted| wanted.standing), state.leads)
            };
            let (limit, look) = match (standing, leads) {
                (Some(Standing::Here), _) => return true,
                // Made anew, by another part of the process.
                (Some(_), true) => (ON_ITS_WAY, LOOK),
                (None, true) => return false,
                (Some(_), false) => (ON_ITS_WAY, ON_ITS_WAY),
                // The client may have heard of it first.
                (None, false) => (UNHEARD, UNHEARD),
            };
            if leads && self.storage.exists_blocking(path) {
                return true;
            }
            if start.elapsed() >= limit {
                return false;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(look.min(limit - start.elapsed())) => {}
            }
        }
    }
}

impl Fallback for Mirror {
    fn obtain<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let path = path.to_str().and_then(|path| ArtifactPath::parse(path).ok());
            match (path, self.waiting.try_acquire()) {
                (Some(path), Ok(_permit)) => self.wait_for(&path).await,
                _ => false,
            }
        })
    }
}

fn api(client: &Client, artifacts: &Artifacts, kind: SourceKind) -> Api<Source> {
    let client = client.clone();
    match &artifacts.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &kind.resource()),
        None => Api::all_with(client, &kind.resource()),
    }
}

fn key_of(kind: SourceKind, source: &Source) -> ObjectKey {
    ObjectKey::new(
        kind.kind,
        &source.namespace().unwrap_or_default(),
        &source.name_any(),
    )
}

/// The object whose artifacts lie in a directory.
fn key_at(directory: &str) -> Option<ObjectKey> {
    let mut parts = directory.splitn(3, '/');
    Some(ObjectKey::new(parts.next()?, parts.next()?, parts.next()?))
}

fn directory_of(key: &ObjectKey) -> String {
    format!("{}/{}/{}", key.kind, key.namespace, key.name)
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
