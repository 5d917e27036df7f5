//! What is installed in the cluster: the parts that carry the labels of the distribution.

use anyhow::Result;
use ferro_api::label;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::Value;

use super::session::Session;
use crate::cluster::explain;

/// Selector of the parts of the distribution.
pub(super) const PART_OF_FLUX: &str = "app.kubernetes.io/part-of=flux";

/// The CRD whose labels speak for the installation.
const ANCHOR: &str = "gitrepositories.source.toolkit.fluxcd.io";

/// What the anchor says of the installation.
pub(super) struct Anchor {
    /// Name and version of the distribution, as in `flux-v2.9.4`.
    pub(super) distribution: Option<String>,
    /// Whether the installation is itself kept by Flux.
    pub(super) is_bootstrapped: bool,
}

pub(super) async fn anchor(session: &mut Session<'_>) -> Result<Anchor> {
    let crd = crds(session).await?.get(ANCHOR).await.map_err(explain)?;
    let labels = crd.metadata.labels.unwrap_or_default();
    Ok(Anchor {
        distribution: labels
            .get(label::VERSION)
            .map(|version| match labels.get(label::PART_OF) {
                Some(name) => format!("{name}-{version}"),
                None => version.clone(),
            }),
        is_bootstrapped: labels.contains_key(label::KUSTOMIZE_NAMESPACE),
    })
}

pub(super) async fn crds(session: &mut Session<'_>) -> Result<Api<DynamicObject>> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Ok(Api::all_with(
        session.client().await?,
        &ApiResource::from_gvk(&kind),
    ))
}

pub(super) async fn deployment_api(session: &mut Session<'_>) -> Result<Api<DynamicObject>> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    Ok(Api::namespaced_with(
        session.client().await?,
        &session.namespace,
        &kind,
    ))
}

/// Lists the Deployments of the distribution.
pub(super) async fn deployments(session: &mut Session<'_>) -> Result<Vec<DynamicObject>> {
    let api = deployment_api(session).await?;
    let list = api.list(&ListParams::default().labels(PART_OF_FLUX)).await;
    Ok(list.map_err(explain)?.items)
}

/// Returns the images of a Deployment's containers.
pub(super) fn images(deployment: &DynamicObject) -> Vec<String> {
    let containers = deployment
        .data
        .pointer("/spec/template/spec/containers")
        .and_then(Value::as_array);
    let images = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("image")?.as_str());
    images.map(ToOwned::to_owned).collect()
}
