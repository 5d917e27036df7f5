//! Where a Kustomization is applied, and with whose rights (`spec/kustomize-and-notification.md` part H).
//!
//! A tenant's service account is another client over the same connections; what is known of the cluster is shared. A remote cluster has
//! an index of its own, made when it is first used, and dropped when no Kustomization goes there any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ferro_api::controller;
use ferro_api::kustomize::Kustomization;
use ferro_api::meta::KubeConfigReference;
use ferro_apply::error::message;
use ferro_apply::{Cluster, Drift, LiveIndex, Mapper, Ownership};
use ferro_artifact::digest::Algorithm;
use ferro_runtime::client::kubeconfig::{self, Trust, Unusable};
use ferro_runtime::client::{self, ClientError, impersonate};
use ferro_runtime::metrics::Metrics;
use ferro_runtime::process::chain;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use tokio::sync::mpsc;

use crate::dependency::Key;
use crate::lock;

/// Keys under which a Secret may hold a kubeconfig where none is named.
const KEYS: [&str; 2] = ["value", "value.yaml"];

/// Why there is no way to where a Kustomization is applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("unable to read KubeConfig secret '{id}' error: {problem}")]
    Secret { id: String, problem: String },
    #[error("KubeConfig secret '{id}' does not contain a '{key}' key with a kubeconfig")]
    Key { id: String, key: String },
    #[error("KubeConfig secret '{id}': {source}")]
    Kubeconfig { id: String, source: Box<Unusable> },
    #[error("KubeConfig secret '{id}': {}", chain(.source))]
    Client { id: String, source: ClientError },
    #[error("spec.kubeConfig.configMapRef is not supported by this version: use spec.kubeConfig.secretRef")]
    ConfigMap,
    #[error("'{name}' is no name of a service account")]
    Account { name: String },
}

/// The clusters that Kustomizations are applied to.
pub(crate) struct Targets {
    /// The cluster that the controller runs in, with the controller's rights.
    local: Cluster,
    ownership: Ownership,
    drifts: mpsc::UnboundedSender<Drift>,
    trust: Trust,
    default_account: String,
    metrics: Metrics,
    remotes: Mutex<Remotes>,
}

/// Remote clusters by the digest of their kubeconfig.
#[derive(Default)]
struct Remotes {
    clusters: HashMap<String, Cluster>,
    users: HashMap<Key, String>,
}

impl Remotes {
    fn set(&mut self, user: Key, digest: Option<&str>) {
        match digest {
            Some(digest) => self.users.insert(user, digest.to_owned()),
            None => self.users.remove(&user),
        };
        let users = &self.users;
        self.clusters
            .retain(|digest, _| users.values().any(|used| used == digest));
    }
}

/// What all targets have in common.
pub(crate) struct TargetOptions {
    pub(crate) ownership: Ownership,
    pub(crate) drifts: mpsc::UnboundedSender<Drift>,
    pub(crate) trust: Trust,
    pub(crate) default_account: String,
    pub(crate) metrics: Metrics,
}

impl Targets {
    pub(crate) fn new(local: Cluster, options: TargetOptions) -> Self {
        Self {
            local,
            ownership: options.ownership,
            drifts: options.drifts,
            trust: options.trust,
            default_account: options.default_account,
            metrics: options.metrics,
            remotes: Mutex::default(),
        }
    }

    /// The cluster that the Kustomization is applied to, with the rights that it is applied with.
    pub(crate) async fn of(&self, kustomization: &Kustomization) -> Result<Cluster, TargetError> {
        let cluster = match &kustomization.spec.kube_config {
            None => {
                lock(&self.remotes).set(ObjectRef::from_obj(kustomization), None);
                self.local.clone()
            }
            Some(reference) => self.remote(kustomization, reference).await?,
        };
        let Some(account) = self.account(kustomization) else {
            return Ok(cluster);
        };
        let namespace = kustomization.namespace().unwrap_or_default();
        let client = impersonate(&cluster.client, &namespace, account).map_err(|_| TargetError::Account {
            name: account.to_owned(),
        })?;
        Ok(Cluster { client, ..cluster })
    }

    /// The service account with whose rights the Kustomization is applied, if it is not the controller's own.
    fn account<'a>(&'a self, kustomization: &'a Kustomization) -> Option<&'a str> {
        let named = kustomization.spec.service_account_name.as_deref();
        let named = named.filter(|name| !name.is_empty());
        named.or_else(|| Some(self.default_account.as_str()).filter(|name| !name.is_empty()))
    }

    /// Whether the service account, if one is needed, is gone from this cluster.
    pub(crate) async fn lacks_account(&self, kustomization: &Kustomization) -> bool {
        let Some(account) = self.account(kustomization) else {
            return false;
        };
        let namespace = kustomization.namespace().unwrap_or_default();
        let api: Api<ServiceAccount> = Api::namespaced(self.local.client.clone(), &namespace);
        matches!(api.get_metadata_opt(account).await, Ok(None))
    }

    /// Forgets a Kustomization that is gone.
    pub(crate) fn forget(&self, kustomization: &Kustomization) {
        lock(&self.remotes).set(ObjectRef::from_obj(kustomization), None);
    }

    async fn remote(
        &self,
        kustomization: &Kustomization,
        reference: &KubeConfigReference,
    ) -> Result<Cluster, TargetError> {
        let namespace = kustomization.namespace().unwrap_or_default();
        let (id, text) = self.kubeconfig(&namespace, reference).await?;
        let digest = Algorithm::Sha256.digest(text.as_bytes()).to_string();
        let user = ObjectRef::from_obj(kustomization);
        if let Some(known) = self.known(&user, &digest) {
            return Ok(known);
        }
        let config =
            kubeconfig::parse(&text, self.trust)
                .await
                .map_err(|source| TargetError::Kubeconfig {
                    id: id.clone(),
                    source: Box::new(source),
                })?;
        let client = client::build(config, controller::KUSTOMIZE, &self.metrics)
            .map_err(|source| TargetError::Client { id, source })?;
        let (ownership, drifts) = (self.ownership.clone(), self.drifts.clone());
        let cluster = Cluster {
            client: client.clone(),
            mapper: Arc::new(Mapper::new(client.clone())),
            live: LiveIndex::reporting_to(client, ownership, None, drifts),
        };
        let mut remotes = lock(&self.remotes);
        // Another pass may have been quicker: there is one index for a cluster.
        let cluster = remotes.clusters.entry(digest.clone()).or_insert(cluster).clone();
        remotes.set(user, Some(&digest));
        Ok(cluster)
    }

    fn known(&self, user: &Key, digest: &str) -> Option<Cluster> {
        let mut remotes = lock(&self.remotes);
        let known = remotes.clusters.get(digest).cloned()?;
        remotes.set(user.clone(), Some(digest));
        Some(known)
    }

    /// The name of the Secret, and the kubeconfig in it.
    async fn kubeconfig(
        &self,
        namespace: &str,
        reference: &KubeConfigReference,
    ) -> Result<(String, String), TargetError> {
        let secret_ref = reference.secret_ref.as_ref().ok_or(TargetError::ConfigMap)?;
        let id = format!("{namespace}/{}", secret_ref.name);
        let api: Api<Secret> = Api::namespaced(self.local.client.clone(), namespace);
        let secret = api
            .get(&secret_ref.name)
            .await
            .map_err(|error| TargetError::Secret {
                id: id.clone(),
                problem: message(&error),
            })?;
        let data = secret.data.unwrap_or_default();
        let named = secret_ref.key.as_deref().filter(|key| !key.is_empty());
        let found = match named {
            Some(key) => data.get(key),
            None => KEYS.into_iter().find_map(|key| data.get(key)),
        };
        match found {
            Some(bytes) => Ok((id, String::from_utf8_lossy(&bytes.0).into_owned())),
            None => Err(TargetError::Key {
                id,
                key: named.unwrap_or("value").to_owned(),
            }),
        }
    }
}
