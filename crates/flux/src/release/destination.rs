//! The cluster that a release goes to, found as helm-controller finds it, and looked at with the rights of who asks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use ferro_api::helm::HelmRelease;
use ferro_api::{FluxObject as _, controller, group};
use ferro_apply::targets::{Destination, TargetError, TargetOptions, Targets};
use ferro_apply::{Cluster, LiveIndex, Mapper, Owner, Ownership};
use ferro_runtime::client::kubeconfig::Trust;
use ferro_runtime::client::remote::Unreachable;
use ferro_runtime::metrics::Metrics;
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc;

/// The longest that a token for a cluster is kept: longer than any command takes.
const TOKEN_AGE: Duration = Duration::from_secs(3600);

/// The cluster that a release goes to from that of `home`; with the rights of the release's service account if it is looked at `as_account`.
///
/// Where a ConfigMap describes it, tokens are asked for with the rights of who asks: of the service account that the ConfigMap names,
/// which takes the right to create `serviceaccounts/token`, or of a cloud, with the credentials that this machine has there.
///
/// # Errors
///
/// Returns an error if there is no way there.
pub(super) async fn find(home: &Client, release: &HelmRelease, as_account: bool) -> Result<Cluster> {
    let spec = &release.spec;
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
        kube_config: spec.kube_config.as_ref(),
    };
    targets(home).of(&destination).await.map_err(explain)
}

/// Adds what a user cannot know from what helm-controller says of the same.
fn explain(error: TargetError) -> Error {
    let is_token = matches!(
        &error,
        TargetError::Description { source, .. } if matches!(**source, Unreachable::Token(_))
    );
    if !is_token {
        return error.into();
    }
    Error::from(error).context(
        "no token for the cluster: it takes the right to create tokens of the ConfigMap's service account, or credentials of the cloud \
         in the environment, as controllers have them; the logins of `aws`, `az` and `gcloud` are not read",
    )
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
        has_own_account: false,
        // What an account may be used for, the API server decides by the rights of who asks for its token.
        has_object_identities: true,
        token_age: TOKEN_AGE,
        kind: HelmRelease::KIND,
        metrics: Metrics::default(),
    };
    Targets::new(local, options)
}
