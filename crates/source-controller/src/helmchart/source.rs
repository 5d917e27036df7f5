//! Where a chart comes from: its source, the source's artifact, and the repositories of its dependencies.

use std::fs::File;
use std::io::Read;

use ferro_api::meta::Artifact;
use ferro_api::source::{
    Bucket, ChartSourceKind, GitRepository, HelmChart, HelmRepository, HelmRepositorySpec,
};
use ferro_api::{FluxObject, Kind, condition, reason};
use ferro_artifact::storage::{ArtifactPath, Storage};
use ferro_helmrepo::chart::{Repositories, SourceFile};
use ferro_helmrepo::{Repository, url as address};
use ferro_runtime::conditions;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use super::HelmChartReconciler;
use crate::reconcile::{Class, Failure, SourceObject};

/// The sources of charts, as last seen.
#[derive(Clone)]
pub(crate) struct Sources {
    pub helm: Store<HelmRepository>,
    pub git: Store<GitRepository>,
    /// None where buckets are not fetched.
    pub buckets: Option<Store<Bucket>>,
}

/// The source of a chart.
#[derive(Debug)]
pub(super) enum ChartSource {
    Repository(Box<HelmRepository>),
    /// One whose artifact is a tree of files.
    Tree(Artifact),
}

impl Sources {
    /// The source that the chart names, with an artifact that is stored.
    ///
    /// # Errors
    /// When there is none, or it has no artifact yet.
    pub(super) async fn get(
        &self,
        chart: &mut HelmChart,
        storage: &Storage,
        wait: std::time::Duration,
    ) -> Result<ChartSource, Failure> {
        self.wait_until_ready().await;
        let reference = chart.spec.source_ref.clone();
        let namespace = chart.namespace().unwrap_or_default();
        let source = match reference.kind {
            ChartSourceKind::HelmRepository => {
                let repository = get(&self.helm, &namespace, &reference.name)?;
                if repository.spec.is_oci() {
                    return Ok(ChartSource::Repository(Box::new(repository)));
                }
                let artifact = repository.artifact().cloned();
                (ChartSource::Repository(Box::new(repository)), artifact)
            }
            ChartSourceKind::GitRepository => {
                let artifact = get(&self.git, &namespace, &reference.name)?.artifact().cloned();
                (ChartSource::Tree(artifact.clone().unwrap_or_default()), artifact)
            }
            ChartSourceKind::Bucket => {
                let Some(buckets) = &self.buckets else {
                    return Err(unsupported(chart, Bucket::KIND));
                };
                let bucket = get(buckets, &namespace, &reference.name)?;
                let artifact = bucket.status.and_then(|status| status.artifact);
                (ChartSource::Tree(artifact.clone().unwrap_or_default()), artifact)
            }
        };
        let (source, artifact) = source;
        let artifact = artifact.filter(|artifact| is_stored(storage, artifact));
        let Some(artifact) = artifact else {
            let (kind, name) = (&reference.kind, &reference.name);
            let message = format!("no artifact available for {kind} source '{name}'");
            return Err(Failure::fetch(reason::NO_SOURCE_ARTIFACT, message).class(Class::Waiting(wait)));
        };
        let status = chart.status.get_or_insert_default();
        status.observed_source_artifact_revision = Some(artifact.revision);
        Ok(source)
    }

    /// Before the first list a source that is there would be missing.
    async fn wait_until_ready(&self) {
        // An error means that the process ends.
        let _ended = self.helm.wait_until_ready().await;
        let _ended = self.git.wait_until_ready().await;
        if let Some(buckets) = &self.buckets {
            let _ended = buckets.wait_until_ready().await;
        }
    }

    /// The repository with this address in the namespace, the first by name if there are several.
    fn by_url(&self, namespace: &str, url: &str) -> Option<HelmRepository> {
        let is_it = |repository: &HelmRepository| {
            repository.namespace().as_deref() == Some(namespace)
                && address::normalize(&repository.spec.url).as_deref() == Ok(url)
        };
        let found = self
            .helm
            .state()
            .into_iter()
            .filter(|repository| is_it(repository));
        found
            .min_by_key(|repository| repository.name_any())
            .map(|repository| (*repository).clone())
    }
}

fn get<K: FluxObject + Kind>(store: &Store<K>, namespace: &str, name: &str) -> Result<K, Failure> {
    let found = store.get(&ObjectRef::new(name).within(namespace));
    found.map(|found| (*found).clone()).ok_or_else(|| {
        let (plural, group) = (K::INFO.plural, K::INFO.group);
        let message = format!("failed to get source: {plural}.{group} \"{name}\" not found");
        Failure::fetch(reason::SOURCE_UNAVAILABLE, message)
    })
}

/// Refuses a kind that this version does not fetch. The condition and the event have reasons of their own.
fn unsupported(chart: &mut HelmChart, kind: &str) -> Failure {
    let message = format!(
        "failed to get source: this version of the controller does not fetch sources of kind '{kind}'"
    );
    conditions::mark_true(
        chart,
        condition::FETCH_FAILED,
        reason::SOURCE_UNAVAILABLE,
        &message,
    );
    Failure::unmarked(reason::UNSUPPORTED_SOURCE_KIND, message).stalling()
}

fn is_stored(storage: &Storage, artifact: &Artifact) -> bool {
    ArtifactPath::parse(&artifact.path).is_ok_and(|path| storage.exists_blocking(&path))
}

/// The artifact of a source, in our own storage.
#[derive(Debug)]
pub(super) struct StoredSource {
    pub storage: Storage,
    pub path: ArtifactPath,
}

impl SourceFile for StoredSource {
    fn open(&self) -> std::io::Result<Box<dyn Read>> {
        let file: File = self
            .storage
            .open_blocking(&self.path)
            .map_err(|error| std::io::Error::other(ferro_http::describe(&error)))?;
        Ok(Box::new(file))
    }
}

/// The repositories that the charts of a namespace may take dependencies from.
pub(super) struct Neighbours<'r> {
    pub reconciler: &'r HelmChartReconciler,
    pub namespace: String,
}

impl Repositories for Neighbours<'_> {
    async fn get(&self, url: &str) -> Result<Repository, String> {
        let known = self.reconciler.sources.by_url(&self.namespace, url);
        // An address that no HelmRepository has is asked without credentials.
        let object = known.unwrap_or_else(|| {
            let mut object = HelmRepository::new("", HelmRepositorySpec::default());
            object.metadata.namespace = Some(self.namespace.clone());
            url.clone_into(&mut object.spec.url);
            object
        });
        let repository = self.reconciler.access.repository(&object, url).await;
        let repository = repository.map_err(|error| error.text().to_owned())?;
        Ok(self.reconciler.with_index(repository, &object))
    }
}
