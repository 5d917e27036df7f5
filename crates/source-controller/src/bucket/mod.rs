//! Bucket: the objects of an object storage, as an artifact (`spec/sources-and-images.md` section 14).
//!
//! `access → list → fetch what changed → archive → record`. The revision is made of the names and ETags of the objects, so that a listing tells
//! whether anything is new; only then is anything fetched, and only what the last artifact does not have.

mod access;
mod build;
mod download;
mod index;
mod listing;
mod memory;
mod plan;
mod provider;
mod spool;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ferro_api::source::{Bucket, BucketProvider};
use ferro_api::{FluxObject, condition, reason};
use ferro_artifact::storage::ArtifactPath;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass, Reconciler};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

pub(crate) use self::memory::BucketMemory;

use self::build::{BeginError, Built, Draft, Job, LATEST, Last};
use self::download::Received;
use self::index::Index;
use self::listing::{Found, Wanted};
use self::provider::Way;
use crate::auth::cloud::Cloud;
use crate::reconcile::{
    self, Failure, Settled, Shared, Source, SourceObject, artifact_path, finish, finish_suspended,
    progressive,
};

/// What the reconciler of Bucket works with.
pub(crate) struct BucketOptions {
    /// Where credentials come from that no Secret holds.
    pub cloud: Cloud,
    /// What artifacts were made of.
    pub memory: BucketMemory,
    /// The directory for what is received, until it is archived.
    pub scratch: PathBuf,
}

/// The reconciler of Bucket.
pub(crate) struct BucketReconciler {
    shared: Shared,
    options: BucketOptions,
    store: Store<Bucket>,
}

impl BucketReconciler {
    pub(crate) const fn new(shared: Shared, options: BucketOptions, store: Store<Bucket>) -> Self {
        Self {
            shared,
            options,
            store,
        }
    }
}

impl Reconciler for BucketReconciler {
    type Object = Bucket;

    async fn reconcile(&self, pass: &mut Pass<Bucket>) -> Outcome {
        reconcile::drive(self, pass).await
    }

    async fn finalize(&self, pass: &mut Pass<Bucket>) -> Result<(), String> {
        reconcile::finalize(self, pass).await?;
        let (namespace, name) = id(&pass.object);
        let memory = self.options.memory.clone();
        let forgotten = self
            .shared
            .off_thread(move |_| memory.forget_blocking(&namespace, &name));
        forgotten.await.map_err(|failure| failure.message)
    }

    fn suspended(&self, object: &mut Bucket) {
        finish_suspended(object);
    }

    fn finish(&self, object: &mut Bucket, outcome: &Outcome) {
        finish(object, outcome);
    }
}

impl Source for BucketReconciler {
    type Object = Bucket;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn store(&self) -> &Store<Bucket> {
        &self.store
    }

    async fn steps(&self, pass: &mut Pass<Bucket>) -> Result<Settled, Failure> {
        self.check_gate(&pass.object)?;
        let directory = artifact_path(&pass.object, LATEST)
            .map_err(|error| Failure::storage(reason::INVALID_PATH, error.to_string()))?;
        self.renew_url(&mut pass.object, &directory);
        let secrets = access::read(&self.shared.client, &pass.object).await?;
        if let Some(settled) = self.make(pass, &secrets, &directory, Reuse::Last).await? {
            return Ok(settled);
        }
        let settled = self.make(pass, &secrets, &directory, Reuse::Nothing).await?;
        settled.ok_or_else(|| Failure::plain("the artifact cannot be made of the objects alone".to_owned()))
    }
}

/// What may be taken instead of being fetched.
#[derive(Clone, Copy)]
enum Reuse {
    /// What the last artifact has.
    Last,
    Nothing,
}

impl BucketReconciler {
    /// Refuses a cloud identity of the object's own as long as that is switched off.
    fn check_gate(&self, object: &Bucket) -> Result<(), Failure> {
        let spec = &object.spec;
        let is_cloud = spec.provider_or_default() != BucketProvider::Generic;
        let refusal = self.options.cloud.refusal(spec.service_account_name.as_deref());
        let Some(message) = refusal.filter(|_| is_cloud) else {
            return Ok(());
        };
        Err(Failure::fetch(reason::FEATURE_GATE_DISABLED, message).stalling())
    }

    /// The host that serves artifacts may be another than when the status was written.
    fn renew_url(&self, object: &mut Bucket, latest: &ArtifactPath) {
        let url = self.shared.storage.url(latest);
        if let Some(status) = &mut object.status
            && status.url.is_some()
        {
            status.url = Some(url);
        }
    }

    fn revision(&self, index: &Index) -> String {
        index.digest(self.shared.storage.algorithm()).to_string()
    }

    /// Connects to the bucket and looks at all that it holds, within the time that the spec gives to that.
    async fn look(
        &self,
        object: &Bucket,
        secrets: &access::Secrets,
    ) -> Result<(ferro_bucket::Bucket, Found), Failure> {
        let spec = &object.spec;
        let cloud = self.options.cloud.of(object);
        let way = Way { cloud: &cloud };
        let wanted = Wanted {
            bucket_name: &spec.bucket_name,
            prefix: spec.prefix.as_deref().unwrap_or_default(),
            ignore: spec.ignore.as_deref(),
        };
        let work = async {
            let bucket = way.open(object, secrets).await?;
            let found = listing::look(&bucket, wanted).await.map_err(failed)?;
            Ok((bucket, found))
        };
        let name = &spec.bucket_name;
        let late = || {
            failed(format!(
                "indexation of objects from bucket '{name}' failed: {}",
                too_long(object)
            ))
        };
        tokio::time::timeout(spec.timeout_or_default().to_std(), work)
            .await
            .map_err(|_| late())?
    }

    /// The artifact that the object has, where it is known what that was made of.
    async fn last(&self, object: &Bucket, directory: &ArtifactPath) -> Result<Option<Last>, Failure> {
        let Some(artifact) = object.artifact().cloned() else {
            return Ok(None);
        };
        let (namespace, name) = id(object);
        let (memory, origin, own) = (self.options.memory.clone(), origin(object), directory.clone());
        let recall = move |_: &CancellationToken| {
            let path = ArtifactPath::parse(&artifact.path).ok()?;
            let record = memory.recall_blocking(&namespace, &name, &artifact.digest)?;
            let is_usable = record.origin == origin && own.sibling(path.file()).ok()? == path;
            is_usable.then_some(Last { path, record })
        };
        self.shared.off_thread(recall).await
    }

    /// Makes the artifact what the bucket holds, with what is the same in the last one. `None` if that is not what it was.
    async fn make(
        &self,
        pass: &mut Pass<Bucket>,
        secrets: &access::Secrets,
        directory: &ArtifactPath,
        reuse: Reuse,
    ) -> Result<Option<Settled>, Failure> {
        let (bucket, found) = self.look(&pass.object, secrets).await?;
        let etags = found.objects.values();
        let listed = Index::new(
            etags
                .map(|object| (object.key.clone(), object.etag.clone()))
                .collect(),
        );
        if is_stored(&pass.object, &listed) {
            conditions::delete(&mut pass.object, condition::FETCH_FAILED);
            return Ok(Some(self.unchanged(&mut pass.object, &listed)));
        }
        let last = match reuse {
            Reuse::Last => self.last(&pass.object, directory).await?,
            Reuse::Nothing => None,
        };
        let (draft, index) = self.fetch(&pass.object, &bucket, found, listed, last).await?;
        announce(pass, &self.revision(&index));
        conditions::delete(&mut pass.object, condition::FETCH_FAILED);
        if is_stored(&pass.object, &index) {
            return Ok(Some(self.unchanged(&mut pass.object, &index)));
        }
        let message = settled_message(&pass.object, &index);
        let Some(built) = self.build(&pass.object, draft, index, directory).await? else {
            return Ok(None);
        };
        record(pass, built);
        Ok(Some(Settled { message, no_op: None }))
    }

    /// Receives what the last artifact has not. The index that is returned is that of what was received, which may be newer than what was
    /// listed.
    async fn fetch(
        &self,
        object: &Bucket,
        bucket: &ferro_bucket::Bucket,
        found: Found,
        mut index: Index,
        last: Option<Last>,
    ) -> Result<(Draft, Index), Failure> {
        let name = &object.spec.bucket_name;
        let failed = |cause: String| failed(format!("fetch from bucket '{name}' failed: {cause}"));
        let scratch = self.options.scratch.clone();
        let begun = self
            .shared
            .off_thread(move |_| Draft::begin_blocking(&scratch, last, found))
            .await?;
        let (mut draft, changed) = begun.map_err(|error| match error {
            BeginError::Path(key, error) => failed(format!("failed to get '{key}' object: {error}")),
            BeginError::Scratch(error) => no_scratch(&error),
        })?;
        let work = download::download(bucket, changed, &draft.spool);
        let received = tokio::time::timeout(object.spec.timeout_or_default().to_std(), work)
            .await
            .map_err(|_| failed(too_long(object)))?
            .map_err(failed)?;
        for (key, received) in received {
            let etag = received.map(|Received { etag, place }| {
                draft.plan.receive(&key, place);
                etag
            });
            if etag.is_none() {
                tracing::info!("indexed object '{key}' disappeared from '{name}' bucket");
            }
            index.note(&key, etag);
        }
        Ok((draft, index))
    }

    async fn build(
        &self,
        object: &Bucket,
        draft: Draft,
        index: Index,
        directory: &ArtifactPath,
    ) -> Result<Option<Built>, Failure> {
        let (namespace, name) = id(object);
        let job = Job {
            storage: self.shared.storage.clone(),
            memory: self.options.memory.clone(),
            directory: directory.clone(),
            namespace,
            name,
            draft,
            index,
            origin: origin(object),
        };
        self.shared
            .off_thread(move |cancel| job.run_blocking(cancel))
            .await?
    }

    /// Ends a pass that found the stored artifact up to date.
    fn unchanged(&self, object: &mut Bucket, index: &Index) -> Settled {
        let revision = self.revision(index);
        stored(object, &revision);
        Settled {
            message: settled_message(object, index),
            no_op: Some((
                reason::ARTIFACT_UP_TO_DATE,
                format!("artifact up-to-date with remote revision: '{revision}'"),
            )),
        }
    }
}

fn id(object: &Bucket) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Where the objects come from.
fn origin(object: &Bucket) -> String {
    let spec = &object.spec;
    format!(
        "{} {} {} {}",
        spec.provider_or_default(),
        spec.endpoint,
        spec.insecure,
        spec.bucket_name
    )
}

fn failed(message: String) -> Failure {
    Failure::fetch(reason::BUCKET_OPERATION_FAILED, message)
}

fn no_scratch(error: &std::io::Error) -> Failure {
    let message = format!("failed to create temporary working directory: {error}");
    Failure::storage(reason::DIRECTORY_CREATION_FAILED, message)
}

fn too_long(object: &Bucket) -> String {
    format!(
        "context deadline exceeded: it takes longer than spec.timeout, {}",
        object.spec.timeout_or_default()
    )
}

fn is_stored(object: &Bucket, index: &Index) -> bool {
    object
        .artifact()
        .is_some_and(|artifact| index.is_of(&artifact.revision))
}

fn settled_message(object: &Bucket, index: &Index) -> String {
    let (count, name) = (index.len(), &object.spec.bucket_name);
    format!("stored artifact with {count} fetched files from '{name}' bucket")
}

/// Says in the conditions that a new revision is being built.
fn announce(pass: &mut Pass<Bucket>, revision: &str) {
    let message = format!("new upstream revision '{revision}'");
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

/// Records a new artifact, and what it was made with.
fn record(pass: &mut Pass<Bucket>, built: Built) {
    let revision = built.artifact.revision.clone();
    let ignore = pass.object.spec.ignore.clone();
    pass.object.set_artifact(Some(built.artifact));
    let status = pass.object.status_mut();
    status.observed_ignore = ignore;
    match built.latest {
        Ok(url) => status.url = Some(url),
        Err(cause) => {
            let message = format!("failed to update status URL symlink: {cause}");
            tracing::warn!("{message}");
            let none = BTreeMap::new();
            pass.event(Severity::Trace, reason::SYMLINK_UPDATE_FAILED, &message, none);
        }
    }
    conditions::delete(&mut pass.object, condition::STORAGE_OPERATION_FAILED);
    stored(&mut pass.object, &revision);
}

fn stored(object: &mut Bucket, revision: &str) {
    conditions::delete(object, condition::ARTIFACT_OUTDATED);
    let message = format!("stored artifact: revision '{revision}'");
    conditions::mark_true(
        object,
        condition::ARTIFACT_IN_STORAGE,
        reason::SUCCEEDED,
        &message,
    );
}
