//! OCIRepository: the layer of the artifact that `spec.ref` selects, as an artifact (`spec/sources-and-images.md` section 11).
//!
//! `access → resolve → verify → fetch, unpack, archive → record`. The digest is asked for first; only if the revision or the configuration
//! differs from that of the stored artifact is anything fetched.

mod access;
mod build;
mod layer;
mod select;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ferro_api::source::{OCIRepository, OCIRepositoryStatus};
use ferro_api::{condition, reason};
use ferro_artifact::revision;
use ferro_http::describe;
use ferro_oci::{Client, Digest, Identifier, Pool, Repository, annotation};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass, Reconciler};
use kube::runtime::reflector::Store;
use tokio::time::{Instant, timeout_at};

use self::build::{Build, Built, LINK};
use crate::auth::cloud::Cloud;
use crate::reconcile::{
    self, Failure, Settled, Shared, Source, SourceObject, artifact_path, finish, finish_suspended,
    progressive,
};
use crate::verification::{self, PublicRoot};

/// What the reference says where the object's time is up.
const TIMED_OUT: &str = "context deadline exceeded";

/// The reconciler of OCIRepository.
pub(crate) struct OCIRepositoryReconciler {
    shared: Shared,
    cloud: Cloud,
    public_root: PublicRoot,
    pool: Pool,
    store: Store<OCIRepository>,
}

impl OCIRepositoryReconciler {
    pub(crate) fn new(
        shared: Shared,
        cloud: Cloud,
        public_root: PublicRoot,
        store: Store<OCIRepository>,
    ) -> Self {
        Self {
            shared,
            cloud,
            public_root,
            pool: Pool::default(),
            store,
        }
    }
}

impl Reconciler for OCIRepositoryReconciler {
    type Object = OCIRepository;

    async fn reconcile(&self, pass: &mut Pass<OCIRepository>) -> Outcome {
        reconcile::drive(self, pass).await
    }

    async fn finalize(&self, pass: &mut Pass<OCIRepository>) -> Result<(), String> {
        reconcile::finalize(self, pass).await
    }

    fn suspended(&self, object: &mut OCIRepository) {
        finish_suspended(object);
    }

    fn finish(&self, object: &mut OCIRepository, outcome: &Outcome) {
        finish(object, outcome);
    }
}

/// What a reference means now.
#[derive(Debug)]
struct Found {
    /// `<tag>@<digest>`, or the digest alone.
    revision: String,
    digest: Digest,
    /// As events name it.
    reference: String,
}

impl Source for OCIRepositoryReconciler {
    type Object = OCIRepository;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn store(&self) -> &Store<OCIRepository> {
        &self.store
    }

    async fn steps(&self, pass: &mut Pass<OCIRepository>) -> Result<Settled, Failure> {
        let deadline = Instant::now() + pass.object.spec.timeout_or_default().to_std();
        self.refresh_link(&mut pass.object);
        let is_to_be_verified = pass.object.spec.verify.is_some();
        verification::begin(&mut pass.object, is_to_be_verified);
        let client = self.client(pass, deadline).await?;
        let found = find(&pass.object, &client, deadline).await?;
        announce(pass, &found);
        self.verify(pass, &client, &found).await?;
        if let Some(artifact) = pass.object.artifact()
            && revision::equal(&artifact.revision, &found.revision)
            && !content_changed(&pass.object)
        {
            conditions::delete(&mut pass.object, condition::FETCH_FAILED);
            return Ok(unchanged(&mut pass.object, &found.revision));
        }
        let built = self.build(pass, client, &found, deadline).await?;
        conditions::delete(&mut pass.object, condition::FETCH_FAILED);
        if let Err(cause) = &built.link {
            let message = format!("failed to update status URL symlink: {cause}");
            tracing::info!("{message}");
            let none = BTreeMap::new();
            pass.event(Severity::Trace, reason::SYMLINK_UPDATE_FAILED, &message, none);
        }
        Ok(record(&mut pass.object, built))
    }
}

impl OCIRepositoryReconciler {
    async fn client(&self, pass: &Pass<OCIRepository>, deadline: Instant) -> Result<Client, Failure> {
        let spec = &pass.object.spec;
        let cloud = self.cloud.of(&pass.object);
        let way = access::Way {
            cloud: &cloud,
            deadline,
        };
        let known = way.read(pass).await?;
        let repository = Repository::parse_url(&spec.url, spec.insecure).map_err(|error| {
            let message = format!("URL validation failed for '{}': {error}", spec.url);
            Failure::fetch(reason::URL_INVALID, message).stalling()
        })?;
        let access = way.access(&pass.object, known, &repository).await?;
        self.pool
            .client(&repository, &access)
            .map_err(|error| access::no_transport(&spec.url, &describe(&error)))
    }

    /// Verifies the signatures of what was found, where the spec asks for that and it was not done before.
    async fn verify(
        &self,
        pass: &mut Pass<OCIRepository>,
        client: &Client,
        found: &Found,
    ) -> Result<(), Failure> {
        let Some(settings) = verification::Settings::of_repository(&pass.object) else {
            return Ok(());
        };
        if !verification::is_due(&pass.object, &found.revision) {
            return Ok(());
        }
        let deadline = Instant::now() + pass.object.spec.timeout_or_default().to_std();
        let verified = settings
            .verify(&self.shared, &self.public_root, client, &found.digest, deadline)
            .await;
        if verified.map_err(|error| settings.failure(&error))? == verification::Outcome::Verified {
            verification::record(&mut pass.object, &format!("revision {}", found.revision));
        }
        Ok(())
    }

    /// Fetches the content on its way to the storage, on a thread of its own.
    async fn build(
        &self,
        pass: &Pass<OCIRepository>,
        client: Client,
        found: &Found,
        deadline: Instant,
    ) -> Result<Built, Failure> {
        let spec = &pass.object.spec;
        let identifier = Identifier::Digest(found.digest.clone());
        let manifest = match timeout_at(deadline, client.image(&identifier)).await {
            Ok(Ok(manifest)) => manifest,
            Ok(Err(error)) => return Err(not_pulled(&spec.url, &error)),
            Err(_) => {
                let message = format!("failed to pull artifact from '{}': {TIMED_OUT}", spec.url);
                return Err(Failure::fetch(reason::OCI_ARTIFACT_PULL_FAILED, message));
            }
        };
        let layer = select::layer(spec.layer_selector.as_ref(), &manifest)
            .map_err(|message| Failure::fetch(reason::OCI_ARTIFACT_LAYER_OPERATION_FAILED, message))?;
        let path = artifact_path(&pass.object, &format!("{}.tar.gz", found.digest))
            .map_err(|error| Failure::storage(reason::INVALID_PATH, error.to_string()))?;
        let build = Build {
            client,
            layer: layer.clone(),
            operation: select::operation(spec.layer_selector.as_ref()),
            ignore: spec.ignore.clone(),
            revision: found.revision.clone(),
            metadata: manifest.annotations,
            storage: self.shared.storage.clone(),
            path,
            deadline,
            runtime: tokio::runtime::Handle::current(),
        };
        self.shared
            .off_thread(move |cancel| build.run_blocking(cancel))
            .await?
    }

    /// Lets `status.url` name the host that artifacts are served at now.
    fn refresh_link(&self, object: &mut OCIRepository) {
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

/// Asks the registry what the spec's reference means now.
async fn find(object: &OCIRepository, client: &Client, deadline: Instant) -> Result<Found, Failure> {
    let spec = &object.spec;
    let undetermined = |cause: String| {
        let message = format!("failed to determine the artifact tag for '{}': {cause}", spec.url);
        Failure::fetch(reason::READ_OPERATION_FAILED, message)
    };
    let unresolved = |cause: String| {
        let message = format!("failed to determine artifact digest: {cause}");
        Failure::fetch(reason::OCI_ARTIFACT_PULL_FAILED, message)
    };
    let reference = spec.reference.clone().unwrap_or_default();
    if let Some(digest) = reference.digest.as_deref().filter(|digest| !digest.is_empty()) {
        let digest: Digest = digest
            .parse()
            .map_err(|error: ferro_oci::DigestError| unresolved(error.to_string()))?;
        return Ok(Found {
            revision: digest.to_string(),
            reference: format!("{}@{digest}", client.repository()),
            digest,
        });
    }
    let tag = timeout_at(deadline, select::tag(spec, client))
        .await
        .map_err(|_| undetermined(TIMED_OUT.to_owned()))?
        .map_err(|error| undetermined(error.to_string()))?;
    let identifier = Identifier::Tag(tag.clone());
    let digest = timeout_at(deadline, client.resolve(&identifier))
        .await
        .map_err(|_| unresolved(TIMED_OUT.to_owned()))?
        .map_err(|error| unresolved(describe(&error)))?;
    Ok(Found {
        revision: format!("{}@{digest}", tag.as_str()),
        reference: client.repository().reference(identifier).to_string(),
        digest,
    })
}

/// Whether the artifact in the status was made with another configuration than the spec now asks for. As in the reference, a selector that says the
/// defaults is another than none.
fn content_changed(object: &OCIRepository) -> bool {
    let unobserved = OCIRepositoryStatus::default();
    let (spec, status) = (&object.spec, object.status.as_ref().unwrap_or(&unobserved));
    spec.ignore != status.observed_ignore || spec.layer_selector != status.observed_layer_selector
}

fn not_pulled(url: &str, error: &ferro_oci::Error) -> Failure {
    if let ferro_oci::Error::Manifest { .. } = error {
        let message = format!("failed to parse artifact manifest: {}", describe(error));
        return Failure::fetch(reason::OCI_ARTIFACT_LAYER_OPERATION_FAILED, message);
    }
    let message = format!("failed to pull artifact from '{url}': {}", describe(error));
    Failure::fetch(reason::OCI_ARTIFACT_PULL_FAILED, message)
}

/// Says in the conditions that a new revision is being built.
fn announce(pass: &mut Pass<OCIRepository>, found: &Found) {
    let stored = pass.object.artifact().map(|artifact| &artifact.revision);
    if stored.is_some_and(|stored| revision::equal(stored, &found.revision)) {
        return;
    }
    let message = format!("new revision '{}' for '{}'", found.revision, found.reference);
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

/// Ends a pass that found the stored artifact up to date.
fn unchanged(object: &mut OCIRepository, found: &str) -> Settled {
    stored(object, found);
    let message = format!("artifact up-to-date with remote revision: '{found}'");
    Settled {
        message: news(object),
        no_op: Some((reason::ARTIFACT_UP_TO_DATE, message)),
    }
}

/// Records a new artifact, and what it was made with.
fn record(object: &mut OCIRepository, built: Built) -> Settled {
    let revision = built.artifact.revision.clone();
    object.set_artifact(Some(built.artifact));
    let spec = object.spec.clone();
    let status = object.status.get_or_insert_default();
    status.observed_ignore = spec.ignore;
    status.observed_layer_selector = spec.layer_selector;
    if let Ok(link) = built.link {
        status.url = Some(link);
    }
    conditions::delete(object, condition::STORAGE_OPERATION_FAILED);
    stored(object, &revision);
    Settled {
        message: news(object),
        no_op: None,
    }
}

fn stored(object: &mut OCIRepository, revision: &str) {
    conditions::delete(object, condition::ARTIFACT_OUTDATED);
    let message = format!("stored artifact for digest '{revision}'");
    conditions::mark_true(
        object,
        condition::ARTIFACT_IN_STORAGE,
        reason::SUCCEEDED,
        &message,
    );
}

/// What users hear of the artifact, with its origin where the annotations tell it.
fn news(object: &OCIRepository) -> String {
    let Some(artifact) = object.artifact() else {
        return String::new();
    };
    let mut message = format!(
        "stored artifact with revision '{}' from '{}'",
        artifact.revision, object.spec.url
    );
    let fact = |key: &str| artifact.metadata.get(key).filter(|value| !value.is_empty());
    if let (Some(source), Some(revision)) = (fact(annotation::SOURCE), fact(annotation::REVISION)) {
        message.push_str(&format!(
            ", origin source '{source}', origin revision '{revision}'"
        ));
    }
    message
}
