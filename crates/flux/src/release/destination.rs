//! The cluster that a release goes to, found as helm-controller finds it, and looked at with the rights of who asks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ferro_api::helm::HelmRelease;
use ferro_api::{FluxObject as _, controller, group};
use ferro_apply::targets::{Destination, TargetOptions, Targets};
use ferro_apply::{Cluster, LiveIndex, Mapper, Owner, Ownership};
use ferro_runtime::client::kubeconfig::Trust;
use ferro_runtime::metrics::Metrics;
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc;

/// The cluster that a release goes to from that of `home`; with the rights of the release's service account if it is looked at `as_account`.
///
/// # Errors
///
/// Returns an error if there is no way there.
pub(super) async fn find(home: &Client, release: &HelmRelease, as_account: bool) -> Result<Cluster> {
    let spec = &release.spec;
    let kube_config = spec.kube_config.as_ref();
    if let Some(map) = kube_config.and_then(|it| it.config_map_ref.as_ref()) {
        bail!(
            "it goes to the cluster that the ConfigMap '{}' describes, for which only controllers have tokens",
            map.name
        );
    }
    let account = match as_account {
        true => {
            let named = spec.service_account_name.as_deref();
            Some(named.context("--as-service-account: spec.serviceAccountName is not set")?)
        }
        false => None,
    };
    let destination = Destination {
        owner: Owner {
            namespace: release.namespace().unwrap_or_default(),
            name: release.name_any(),
        },
        account,
        kube_config,
    };
    Ok(targets(home).of(&destination).await?)
}

/// Clusters in which nothing is followed.
fn targets(home: &Client) -> Targets {
    let ownership = Ownership {
        group: group::HELM.to_owned(),
        manager: controller::HELM.to_owned(),
        override_managers: Vec::new(),
        undoes_edits: false,
    };
    let local = Cluster {
        client: home.clone(),
        mapper: Arc::new(Mapper::new(home.clone())),
        live: LiveIndex::new(home.clone(), ownership.clone(), None).0,
    };
    let options = TargetOptions {
        ownership,
        drifts: mpsc::unbounded_channel().0,
        trust: Trust::default(),
        default_account: String::new(),
        default_remote_account: String::new(),
        has_object_identities: false,
        token_age: Duration::ZERO,
        kind: HelmRelease::KIND,
        metrics: Metrics::default(),
    };
    Targets::new(local, options)
}
