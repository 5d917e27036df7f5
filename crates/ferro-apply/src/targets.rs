//! The clusters that objects are applied to, and with whose rights (`spec/kustomize-and-notification.md` part H, `spec/helm.md` D.9).
//!
//! A tenant's service account is another client over the same connections; what is known of the cluster is shared. A remote cluster has
//! an index of its own, made when it is first used, and dropped when nobody goes there any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_api::meta::{KubeConfigReference, SecretKeyReference};
use ferro_cloud::Environment;
use ferro_runtime::client::kubeconfig::{self, Trust, Unusable};
use ferro_runtime::client::remote::{Broker, Description, Unreachable};
use ferro_runtime::client::{self, ClientError, impersonate};
use ferro_runtime::metrics::{Metrics, ObjectLabels};
use ferro_runtime::process::chain;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::cluster::Cluster;
use crate::error::message;
use crate::live::{Drift, LiveIndex};
use crate::mapper::Mapper;
use crate::observe::{Owner, Ownership};

/// Keys under which a Secret may hold a kubeconfig where none is named.
const KEYS: [&str; 2] = ["value", "value.yaml"];

/// Why there is no way to where an object goes.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is no such Secret.
    #[error("unable to read KubeConfig secret '{id}' error: {problem}")]
    NotFound {
        /// Namespace and name of the Secret.
        id: String,
        /// What the API server says.
        problem: String,
    },
    /// The Secret cannot be read.
    #[error("unable to read KubeConfig secret '{id}' error: {problem}")]
    Secret {
        /// Namespace and name of the Secret.
        id: String,
        /// Why.
        problem: String,
    },
    /// The Secret has something else.
    #[error("KubeConfig secret '{id}' does not contain a '{key}' key with a kubeconfig")]
    Key {
        /// Namespace and name of the Secret.
        id: String,
        /// What is looked for.
        key: String,
    },
    /// The kubeconfig is broken, or asks for what is not allowed.
    #[error("KubeConfig secret '{id}': {source}")]
    Kubeconfig {
        /// Namespace and name of the Secret.
        id: String,
        /// Why.
        source: Box<Unusable>,
    },
    /// There is no client for the kubeconfig.
    #[error("KubeConfig secret '{id}': {}", chain(.source))]
    Client {
        /// Namespace and name of the Secret.
        id: String,
        /// Why.
        source: ClientError,
    },
    /// There is no such ConfigMap.
    #[error("unable to read KubeConfig ConfigMap '{id}' error: {problem}")]
    NoConfigMap {
        /// Namespace and name of the ConfigMap.
        id: String,
        /// What the API server says.
        problem: String,
    },
    /// The ConfigMap cannot be read.
    #[error("unable to read KubeConfig ConfigMap '{id}' error: {problem}")]
    ConfigMap {
        /// Namespace and name of the ConfigMap.
        id: String,
        /// Why.
        problem: String,
    },
    /// The cluster cannot be reached as the ConfigMap says.
    #[error("KubeConfig ConfigMap '{id}': {source}")]
    Description {
        /// Namespace and name of the ConfigMap.
        id: String,
        /// Why.
        source: Box<Unreachable>,
    },
    /// Nothing says which cluster it is.
    #[error("spec.kubeConfig names neither a Secret nor a ConfigMap")]
    Nothing,
    /// Nobody can be called that.
    #[error("'{name}' is no name of a service account")]
    Account {
        /// The name.
        name: String,
    },
}

/// What an object says of where it goes and with whose rights.
#[derive(Clone, Debug)]
pub struct Destination<'o> {
    /// The object, in whose namespace account and kubeconfig are.
    pub owner: Owner,
    /// `spec.serviceAccountName`.
    pub account: Option<&'o str>,
    /// `spec.kubeConfig`.
    pub kube_config: Option<&'o KubeConfigReference>,
}

/// What all targets have in common.
#[derive(Clone)]
pub struct TargetOptions {
    /// Of the objects that are applied.
    pub ownership: Ownership,
    /// Who is told of drift.
    pub drifts: mpsc::UnboundedSender<Drift>,
    /// What kubeconfigs may ask for.
    pub trust: Trust,
    /// The service account of those who name none; empty for the controller's own rights.
    pub default_account: String,
    /// The service account that gets tokens for clusters whose ConfigMap names none; empty for the controller itself.
    pub default_remote_account: String,
    /// Whether there is a service account that the process itself runs as, to get such tokens for.
    pub has_own_account: bool,
    /// Whether ConfigMaps may name service accounts.
    pub has_object_identities: bool,
    /// The longest that a token for a cluster is kept.
    pub token_age: Duration,
    /// The kind of the objects that say where they are applied, as the metrics of tokens have it.
    pub kind: &'static str,
    /// Counts the requests.
    pub metrics: Metrics,
}

/// The clusters that objects are applied to.
pub struct Targets {
    /// The cluster that the controller runs in, with the controller's rights.
    local: Cluster,
    options: TargetOptions,
    remotes: Mutex<Remotes>,
}

/// What tells kubeconfigs apart.
type Fingerprint = [u8; 32];

/// Remote clusters by their kubeconfig.
#[derive(Default)]
struct Remotes {
    clusters: HashMap<Fingerprint, Cluster>,
    users: HashMap<Owner, Fingerprint>,
}

impl Remotes {
    fn set(&mut self, user: Owner, remote: Option<Fingerprint>) {
        match remote {
            Some(remote) => self.users.insert(user, remote),
            None => self.users.remove(&user),
        };
        let users = &self.users;
        self.clusters
            .retain(|remote, _| users.values().any(|used| used == remote));
    }
}

impl Targets {
    /// With the cluster that the controller runs in, and no other yet.
    #[must_use]
    pub fn new(local: Cluster, options: TargetOptions) -> Self {
        Self {
            local,
            options,
            remotes: Mutex::default(),
        }
    }

    /// The cluster that an object is applied to, with the rights that it is applied with.
    ///
    /// # Errors
    /// When the kubeconfig that it names is not there or cannot be used, or its service account cannot be one.
    pub async fn of(&self, destination: &Destination<'_>) -> Result<Cluster, TargetError> {
        let cluster = match destination.kube_config {
            None => {
                self.forget(&destination.owner);
                self.local.clone()
            }
            Some(reference) => self.remote(&destination.owner, reference).await?,
        };
        let Some(account) = self.account(destination) else {
            return Ok(cluster);
        };
        let namespace = &destination.owner.namespace;
        let client = impersonate(&cluster.client, namespace, account).map_err(|_| TargetError::Account {
            name: account.to_owned(),
        })?;
        Ok(Cluster { client, ..cluster })
    }

    /// The service account with whose rights an object is applied, if it is not the controller's own.
    #[must_use]
    pub fn account<'a>(&'a self, destination: &Destination<'a>) -> Option<&'a str> {
        let default = self.options.default_account.as_str();
        let named = destination.account.filter(|name| !name.is_empty());
        named.or_else(|| Some(default).filter(|name| !name.is_empty()))
    }

    /// Whether the service account, if one is needed, is gone from the cluster that the controller runs in.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn lacks_account(&self, destination: &Destination<'_>) -> kube::Result<bool> {
        let Some(account) = self.account(destination) else {
            return Ok(false);
        };
        let api: Api<ServiceAccount> =
            Api::namespaced(self.local.client.clone(), &destination.owner.namespace);
        Ok(api.get_metadata_opt(account).await?.is_none())
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, owner: &Owner) {
        self.remotes().set(owner.clone(), None);
    }

    async fn remote(&self, user: &Owner, reference: &KubeConfigReference) -> Result<Cluster, TargetError> {
        match (&reference.secret_ref, &reference.config_map_ref) {
            (Some(secret), _) => self.by_kubeconfig(user, secret).await,
            (None, Some(map)) => self.by_description(user, &map.name).await,
            (None, None) => Err(TargetError::Nothing),
        }
    }

    async fn by_kubeconfig(&self, user: &Owner, secret: &SecretKeyReference) -> Result<Cluster, TargetError> {
        let (id, text) = self.kubeconfig(&user.namespace, secret).await?;
        let fingerprint = Fingerprint::from(Sha256::digest(text.as_bytes()));
        if let Some(known) = self.known(user, fingerprint) {
            return Ok(known);
        }
        let options = &self.options;
        let config =
            kubeconfig::parse(&text, options.trust)
                .await
                .map_err(|source| TargetError::Kubeconfig {
                    id: id.clone(),
                    source: Box::new(source),
                })?;
        let client = client::build(config, &options.ownership.manager, &options.metrics)
            .map_err(|source| TargetError::Client { id, source })?;
        Ok(self.add(user, fingerprint, client))
    }

    async fn by_description(&self, user: &Owner, name: &str) -> Result<Cluster, TargetError> {
        let id = format!("{}/{name}", user.namespace);
        let api: Api<ConfigMap> = Api::namespaced(self.local.client.clone(), &user.namespace);
        let map = match api.get(name).await {
            Ok(map) => map,
            Err(error) => {
                let problem = message(&error);
                let is_missing = matches!(&error, kube::Error::Api(status) if status.code == 404);
                return Err(if is_missing {
                    TargetError::NoConfigMap { id, problem }
                } else {
                    TargetError::ConfigMap { id, problem }
                });
            }
        };
        let options = &self.options;
        let broker = Broker {
            client: self.local.client.clone(),
            environment: Environment::Process,
            default_account: options.default_remote_account.clone(),
            has_own_account: options.has_own_account,
            has_object_identities: options.has_object_identities,
            max_age: options.token_age,
        };
        let failed = |source| TargetError::Description {
            id: id.clone(),
            source: Box::new(source),
        };
        let data = map.data.unwrap_or_default();
        let description = Description::parse(&user.namespace, &data, &broker).map_err(failed)?;
        let fingerprint = Fingerprint::from(Sha256::digest(description.fingerprint().as_bytes()));
        let known = self.known(user, fingerprint);
        let object = ObjectLabels {
            kind: options.kind.to_owned(),
            name: user.name.clone(),
            namespace: user.namespace.clone(),
        };
        options.metrics.token_looked_up(&object, known.is_some());
        if let Some(known) = known {
            options.metrics.token_answered(true);
            return Ok(known);
        }
        let manager = &options.ownership.manager;
        let client = broker.connect(description, manager, &options.metrics).await;
        Ok(self.add(user, fingerprint, client.map_err(failed)?))
    }

    /// Notes a cluster that was just found.
    fn add(&self, user: &Owner, fingerprint: Fingerprint, client: Client) -> Cluster {
        let options = &self.options;
        let (ownership, drifts) = (options.ownership.clone(), options.drifts.clone());
        let cluster = Cluster {
            client: client.clone(),
            mapper: Arc::new(Mapper::new(client.clone())),
            live: LiveIndex::reporting_to(client, ownership, None, drifts),
        };
        let mut remotes = self.remotes();
        // Another pass may have been quicker: there is one index for a cluster.
        let cluster = remotes.clusters.entry(fingerprint).or_insert(cluster).clone();
        remotes.set(user.clone(), Some(fingerprint));
        cluster
    }

    fn known(&self, user: &Owner, fingerprint: Fingerprint) -> Option<Cluster> {
        let mut remotes = self.remotes();
        let known = remotes.clusters.get(&fingerprint).cloned()?;
        remotes.set(user.clone(), Some(fingerprint));
        Some(known)
    }

    /// The name of the Secret, and the kubeconfig in it.
    async fn kubeconfig(
        &self,
        namespace: &str,
        secret_ref: &SecretKeyReference,
    ) -> Result<(String, String), TargetError> {
        let id = format!("{namespace}/{}", secret_ref.name);
        let api: Api<Secret> = Api::namespaced(self.local.client.clone(), namespace);
        let secret = match api.get(&secret_ref.name).await {
            Ok(secret) => secret,
            Err(error) => {
                let problem = message(&error);
                let is_missing = matches!(&error, kube::Error::Api(status) if status.code == 404);
                return Err(if is_missing {
                    TargetError::NotFound { id, problem }
                } else {
                    TargetError::Secret { id, problem }
                });
            }
        };
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

    /// A panic while they were locked leaves them as they were.
    fn remotes(&self) -> MutexGuard<'_, Remotes> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
