//! Signatures of charts in registries (`spec/sources-and-images.md` sections 9.2 and 13.4).
//!
//! What is verified is what is then fetched: the tag may move in between. Here any one of several public keys may match, where upstream stops at
//! the first that does not.

use ferro_api::source::{HelmChart, HelmRepository};
use ferro_helmrepo::Repository;
use ferro_helmrepo::chart::{BuildError, Stage, find_remote};
use ferro_http::describe;
use ferro_oci::Identifier;
use kube::ResourceExt;
use tokio::time::timeout;

use super::{BuildFailure, HelmChartReconciler};
use crate::verification::{Outcome, Settings};

impl HelmChartReconciler {
    /// Verifies the chart, where the spec asks for that; the repository then has nothing but what was found good.
    pub(super) async fn verify(
        &self,
        object: &HelmChart,
        source: &HelmRepository,
        repository: Repository,
    ) -> Result<(Repository, Outcome), BuildFailure> {
        let Some(settings) = Settings::of_chart(object) else {
            return Ok((repository, Outcome::Ignored));
        };
        let Repository::Oci(registry) = repository else {
            return Err(BuildFailure::Build(BuildError::new(
                Stage::Verification,
                "not implemented",
            )));
        };
        let trust = settings
            .trust(&self.shared, &self.public_root, &object.name_any())
            .await;
        let trust = trust.map_err(|error| BuildFailure::Other(settings.failure(&error)))?;
        let (chart, version) = (&object.spec.chart, object.spec.version_or_default());
        let repository = Repository::Oci(registry.clone());
        let found = find_remote(&repository, chart, version)
            .await
            .map_err(BuildFailure::Build)?;
        let refused = |cause: String| BuildFailure::Build(BuildError::new(Stage::Verification, cause));
        let (client, digest) = registry.locate(&found).await.map_err(|error| {
            let (url, tag) = (&source.spec.url, &found.version);
            let url = url.trim_end_matches('/');
            let cause = describe(&error);
            refused(format!(
                "failed to resolve digest for '{url}/{chart}:{tag}': {cause}"
            ))
        })?;
        let verified = trust.verify(&self.shared, &client, &digest);
        let verified = timeout(source.spec.timeout_or_default().to_std(), verified).await;
        let verified = verified.map_err(|_| refused("context deadline exceeded".to_owned()))?;
        let outcome = verified.map_err(|error| {
            let reference = client.repository().reference(Identifier::Digest(digest.clone()));
            refused(match settings.is_by_key() {
                true => error.to_string(),
                false => format!("failed to verify oci://{reference}: {error}"),
            })
        })?;
        Ok((Repository::Oci(registry.pinned(found, digest)), outcome))
    }
}
