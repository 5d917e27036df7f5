//! GitRepository: the commit that `spec.ref` selects, as an artifact (`spec/sources-and-images.md` section 10).
//!
//! `access → includes → list, fetch, archive → record`. The refs are listed first; only if the revision or the configuration differs from that of
//! the stored artifact is anything fetched.

mod access;
mod build;
mod cache;
mod content;
mod identity;
mod include;
mod unpack;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ferro_api::meta::Artifact;
use ferro_api::source::{GitRepository, GitRepositoryRef};
use ferro_api::{FluxObject, condition, reason};
use ferro_artifact::revision;
use ferro_git::{PullOptions, Reference, Remote, SshOptions};
use ferro_runtime::conditions;
use ferro_runtime::controller::Triggers;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass, Reconciler};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio::sync::oneshot;

pub(crate) use self::cache::GitCache;

use self::build::{Done, Job};
use self::verify::{Verification, Verified};
use crate::auth::cloud::Cloud;
use crate::reconcile::{
    self, Failure, Settled, Shared, Source, SourceObject, artifact_path, finish, finish_suspended,
    progressive,
};

/// What the flags say about repositories.
pub(crate) struct GitOptions {
    /// Algorithms of SSH.
    pub ssh: SshOptions,
    /// Where repositories are kept.
    pub cache: GitCache,
    /// Bytes that the LFS objects of a revision may have together.
    pub lfs_max_size: u64,
}

/// The reconciler of GitRepository.
pub(crate) struct GitRepositoryReconciler {
    shared: Shared,
    cloud: Cloud,
    options: GitOptions,
    store: Store<GitRepository>,
    triggers: Triggers<GitRepository>,
    includes: include::Index,
}

impl GitRepositoryReconciler {
    pub(crate) fn new(
        shared: Shared,
        cloud: Cloud,
        options: GitOptions,
        store: Store<GitRepository>,
        triggers: Triggers<GitRepository>,
    ) -> Self {
        Self {
            shared,
            cloud,
            options,
            store,
            triggers,
            includes: include::Index::default(),
        }
    }
}

impl Reconciler for GitRepositoryReconciler {
    type Object = GitRepository;

    async fn reconcile(&self, pass: &mut Pass<GitRepository>) -> Outcome {
        reconcile::drive(self, pass).await
    }

    async fn finalize(&self, pass: &mut Pass<GitRepository>) -> Result<(), String> {
        reconcile::finalize(self, pass).await?;
        self.includes.forget(&pass.object);
        let (namespace, name) = (
            pass.object.namespace().unwrap_or_default(),
            pass.object.name_any(),
        );
        let cache = self.options.cache.clone();
        let removed = self
            .shared
            .off_thread(move |_| cache.remove_blocking(&namespace, &name));
        removed.await.map_err(|failure| failure.message)
    }

    fn observed(&self, object: &GitRepository) {
        self.includes.observe(object);
        let outdated = self.includes.outdated_by(object, &self.store);
        outdated
            .into_iter()
            .for_each(|parent| self.triggers.enqueue(parent));
    }

    fn suspended(&self, object: &mut GitRepository) {
        finish_suspended(object);
    }

    fn finish(&self, object: &mut GitRepository, outcome: &Outcome) {
        finish(object, outcome);
    }
}

impl Source for GitRepositoryReconciler {
    type Object = GitRepository;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn store(&self) -> &Store<GitRepository> {
        &self.store
    }

    async fn steps(&self, pass: &mut Pass<GitRepository>) -> Result<Settled, Failure> {
        verify::begin(&mut pass.object);
        let remote = access::remote(&self.cloud.of(&pass.object), &self.options.ssh, &pass.object).await?;
        let included = include::artifacts(&self.store, &self.shared, &pass.object)?;
        include::observe(pass, &included);
        let looks_first = looks_first(&pass.object);
        let job = self.job(&pass.object, remote, looks_first, &included)?;
        let done = self.run(pass, job).await;
        if done.as_ref().err().is_none_or(Failure::is_of_content) {
            conditions::delete(&mut pass.object, condition::FETCH_FAILED);
        }
        Ok(match done? {
            Done::Unchanged { revision, verified } => {
                let looks_first = looks_first && verified.is_none();
                observe_verified(pass, verified.as_ref());
                unchanged(&mut pass.object, &revision, looks_first)
            }
            Done::Built {
                artifact,
                subject,
                verified,
            } => {
                observe_verified(pass, verified.as_ref());
                record(&mut pass.object, artifact, included);
                Settled {
                    message: format!("stored artifact for commit '{subject}'"),
                    no_op: None,
                }
            }
        })
    }
}

impl GitRepositoryReconciler {
    fn job(
        &self,
        object: &GitRepository,
        remote: Remote,
        is_listing: bool,
        included: &[Artifact],
    ) -> Result<Job, Failure> {
        let spec = &object.spec;
        // An artifact of the same revision is built anew if it was made with another configuration.
        let stored = object.artifact().filter(|_| !content::changed(object, included));
        let stored = stored.map(|artifact| artifact.revision.clone());
        let verification = Verification::of(object, &self.shared.client);
        // Upstream clones semver ranges and commits at each pass, and verifies what it cloned.
        let is_verified_always = verification.is_some() && !names_ref(object);
        let is_verified = verify::is_due(object) || is_verified_always;
        let sparse = spec.sparse_checkout.iter();
        let pull = PullOptions {
            reference: reference(spec.reference.as_ref()),
            last_revision: stored.clone().filter(|_| !is_verified),
            recurse_submodules: spec.recurse_submodules,
            sparse: sparse
                .map(|path| path.strip_prefix("./").unwrap_or(path).to_owned())
                .collect(),
            ..PullOptions::default()
        };
        // The name only completes the path: that of the artifact is known when the commit is.
        let directory = artifact_path(object, "-")
            .map_err(|error| Failure::storage(reason::INVALID_PATH, error.to_string()))?;
        Ok(Job {
            remote,
            pull,
            stored,
            verification,
            is_listing,
            timeout: spec.timeout_or_default().to_std(),
            ignore: spec.ignore.clone(),
            includes: spec
                .include
                .iter()
                .cloned()
                .zip(included.iter().cloned())
                .collect(),
            storage: self.shared.storage.clone(),
            directory,
            lfs: content::wants_lfs(object).then_some(self.options.lfs_max_size),
            entry: self
                .options
                .cache
                .entry(&object.namespace().unwrap_or_default(), &object.name_any()),
            cache: self.options.cache.clone(),
        })
    }

    /// Runs the job on a thread of its own; what it finds is announced while it goes on.
    async fn run(&self, pass: &mut Pass<GitRepository>, job: Job) -> Result<Done, Failure> {
        let (sender, found) = oneshot::channel();
        let running = self
            .shared
            .off_thread(move |cancel| job.run_blocking(cancel, sender));
        tokio::pin!(running);
        tokio::select! {
            biased;
            Ok(revision) = found => {
                conditions::delete(&mut pass.object, condition::FETCH_FAILED);
                announce(pass, &revision);
                running.await?
            }
            done = &mut running => done?,
        }
    }
}

/// Records a success, and tells of one that was not known.
fn observe_verified(pass: &mut Pass<GitRepository>, verified: Option<&Verified>) {
    let Some(verified) = verified else {
        return;
    };
    let message = |object: &GitRepository| {
        let condition = object.condition(condition::SOURCE_VERIFIED);
        condition.map(|condition| condition.message.clone())
    };
    let before = message(&pass.object);
    verify::record(&mut pass.object, verified);
    let told = message(&pass.object).unwrap_or_default();
    if before.as_ref() != Some(&told) {
        tracing::info!("{told}");
        pass.event(Severity::Trace, reason::SUCCEEDED, &told, BTreeMap::new());
    }
}

/// What the spec asks for.
fn reference(spec: Option<&GitRepositoryRef>) -> Reference {
    let spec = spec.cloned().unwrap_or_default();
    Reference {
        branch: spec.branch,
        tag: spec.tag,
        semver: spec.semver,
        name: spec.name,
        commit: spec.commit,
    }
}

/// Whether the reference would look at the refs before it fetches: where the spec names a ref, and an artifact is stored. Ours always looks, yet the
/// words that users see tell the cases apart.
fn looks_first(object: &GitRepository) -> bool {
    names_ref(object)
        && object.artifact().is_some()
        && object.is_condition_true(condition::ARTIFACT_IN_STORAGE)
}

/// Whether the spec names one ref, rather than a commit or a range.
fn names_ref(object: &GitRepository) -> bool {
    object.spec.reference.as_ref().is_none_or(|spec| {
        let is_set = |field: &Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
        !is_set(&spec.commit) && (is_set(&spec.name) || is_set(&spec.tag) || !is_set(&spec.semver))
    })
}

/// Ends a pass that found the stored artifact up to date.
fn unchanged(object: &mut GitRepository, found: &str, looks_first: bool) -> Settled {
    let no_op = if looks_first {
        let message = format!("no changes since last reconciliation: observed revision '{found}'");
        (reason::GIT_OPERATION_SUCCEEDED, message)
    } else {
        let message = format!("artifact up-to-date with remote revision: '{found}'");
        (reason::ARTIFACT_UP_TO_DATE, message)
    };
    stored(object, found);
    Settled {
        message: format!("stored artifact for commit '{found}'"),
        no_op: Some(no_op),
    }
}

/// Says in the conditions that a new revision is being built.
fn announce(pass: &mut Pass<GitRepository>, found: &str) {
    let stored = pass.object.artifact().map(|artifact| &artifact.revision);
    if stored.is_some_and(|stored| revision::equal(stored, found)) {
        return;
    }
    let message = format!("new upstream revision '{found}'");
    if stored.is_some() {
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
fn record(object: &mut GitRepository, artifact: Artifact, included: Vec<Artifact>) {
    let revision = artifact.revision.clone();
    object.set_artifact(Some(artifact));
    content::observe(object, included);
    conditions::delete(object, condition::STORAGE_OPERATION_FAILED);
    stored(object, &revision);
}

fn stored(object: &mut GitRepository, revision: &str) {
    conditions::delete(object, condition::ARTIFACT_OUTDATED);
    let message = format!("stored artifact for revision '{revision}'");
    conditions::mark_true(
        object,
        condition::ARTIFACT_IN_STORAGE,
        reason::SUCCEEDED,
        &message,
    );
}
