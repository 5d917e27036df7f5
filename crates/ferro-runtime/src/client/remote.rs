//! Clusters that a ConfigMap describes, without a Secret (`spec/kustomize-and-notification.md` H.3): the token with which their API server is
//! asked is got from a cloud, or made of a ServiceAccount, and renewed before it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferro_cloud::kubernetes::{self, Aks, Eks, Endpoint, Gke};
use ferro_cloud::{Environment, Expiring, Transport, aws, azure, gcp};
use ferro_http::{ClientOptions, Secret};
use http::{HeaderValue, Request, Uri};
use kube::client::Body;
use kube::config::Kubeconfig;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::Mutex;
use tower::{BoxError, service_fn};

use super::ClientError;
use crate::identity::{Account, Identity, read};
use crate::metrics::Metrics;

/// The part of its life for which a token is used.
const USED: f64 = 0.8;

/// Who asks for tokens where nobody is named, and for how long they are kept.
#[derive(Clone)]
pub struct Broker {
    /// Of the cluster that the controller runs in, where ServiceAccounts are.
    pub client: Client,
    /// Where the controller's own identity is found.
    pub environment: Environment,
    /// The ServiceAccount of those who name none; empty for the controller itself.
    pub default_account: String,
    /// Whether the process runs as a ServiceAccount that stands for those who name none: a controller does, a user's program does not.
    pub has_own_account: bool,
    /// Whether objects may have identities of their own.
    pub has_object_identities: bool,
    /// The longest that a token is kept.
    pub max_age: Duration,
}

/// Where the tokens for a cluster come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Aws,
    Azure,
    Gcp,
    Generic,
}

/// A cluster as a ConfigMap describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    provider: Provider,
    namespace: String,
    cluster: String,
    address: String,
    ca: String,
    audiences: Vec<String>,
    account: String,
}

/// A cluster that cannot be reached as its ConfigMap says.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// A key is missing.
    #[error("the ConfigMap has no key '{0}'")]
    Missing(&'static str),
    /// There is no such provider.
    #[error("the provider '{0}' is none of aws, azure, gcp and generic")]
    Provider(String),
    /// Identities of objects are not allowed.
    #[error(
        "to use the serviceAccountName of a ConfigMap please enable the ObjectLevelWorkloadIdentity feature gate in the controller"
    )]
    Gate,
    /// Nobody is named, and there is nobody to stand in.
    #[error(
        "the ConfigMap has no key 'serviceAccountName': only a controller has a service account of its own to get a token for"
    )]
    Nobody,
    /// The address is none to which a token may be sent.
    #[error("the address '{0}' of the API server is no https URL")]
    Address(String),
    /// The certificates cannot be read.
    #[error("'ca.crt' holds no certificate")]
    Certificate,
    /// There is no token.
    #[error("{}", ferro_http::describe(.0))]
    Token(#[from] ferro_cloud::Error),
    /// The cluster is somewhere else.
    #[error("cluster {cluster} does not match specified address '{address}'. cluster addresses: [{found}]")]
    Elsewhere {
        /// What its cloud calls it.
        cluster: String,
        /// Where it should be.
        address: String,
        /// Where it is.
        found: String,
    },
    /// The kubeconfig that Azure gives cannot be used.
    #[error("the kubeconfig of the AKS cluster cannot be used: {0}")]
    Kubeconfig(String),
    /// There is no client.
    #[error("{}", crate::process::chain(.0))]
    Client(#[from] ClientError),
}

impl Description {
    /// Reads the data of a ConfigMap in `namespace`.
    ///
    /// # Errors
    /// When a key is missing or senseless.
    pub fn parse(
        namespace: &str,
        data: &BTreeMap<String, String>,
        broker: &Broker,
    ) -> Result<Self, Unreachable> {
        let text = |key: &str| {
            data.get(key)
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        let provider = match text("provider").as_str() {
            "" => return Err(Unreachable::Missing("provider")),
            "aws" => Provider::Aws,
            "azure" => Provider::Azure,
            "gcp" => Provider::Gcp,
            "generic" => Provider::Generic,
            other => return Err(Unreachable::Provider(other.to_owned())),
        };
        let (cluster, address) = (text("cluster"), text("address"));
        if provider == Provider::Generic && address.is_empty() {
            return Err(Unreachable::Missing("address"));
        }
        if provider != Provider::Generic && cluster.is_empty() {
            return Err(Unreachable::Missing("cluster"));
        }
        let mut account = text("serviceAccountName");
        if !account.is_empty() && !broker.has_object_identities {
            return Err(Unreachable::Gate);
        }
        if account.is_empty() {
            account.clone_from(&broker.default_account);
        }
        let listed = text("audiences");
        let mut audiences: Vec<String> = listed
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect();
        if audiences.is_empty() && provider == Provider::Generic {
            audiences.push(address.clone());
        }
        Ok(Self {
            provider,
            namespace: namespace.to_owned(),
            cluster,
            address: url_of(address),
            ca: text("ca.crt"),
            audiences,
            account,
        })
    }

    /// What tells it from others: whoever has the same goes to the same cluster as the same somebody.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{self:?}")
    }
}

impl Broker {
    /// A client for the cluster, whose token is renewed as long as it is used.
    ///
    /// # Errors
    /// When the cluster is not found, or there is no token for it.
    pub async fn connect(
        &self,
        description: Description,
        user_agent: &str,
        metrics: &Metrics,
    ) -> Result<Client, Unreachable> {
        let endpoint = match self.endpoint(&description).await {
            Ok(endpoint) => endpoint,
            Err(error) => {
                // Upstream looks a cluster up as it gets a token for it.
                metrics.token_answered(false);
                return Err(error);
            }
        };
        let tokens = Arc::new(Tokens {
            broker: self.clone(),
            description,
            kept: Mutex::new(None),
            metrics: metrics.clone(),
        });
        // Who cannot have one should hear it now, and not with the first request.
        tokens.get().await?;
        let client = super::build(config(&endpoint)?, user_agent, metrics)?;
        Ok(authorized(&client, tokens))
    }

    /// Where the API server is: as described, or as the cloud says.
    async fn endpoint(&self, described: &Description) -> Result<Endpoint, Unreachable> {
        let given = Endpoint {
            address: described.address.clone(),
            ca: described.ca.clone(),
        };
        let is_complete = !given.address.is_empty() && !given.ca.is_empty();
        if is_complete || described.provider == Provider::Generic {
            return Ok(given);
        }
        let found = chosen(self.look_up(described).await?, described)?;
        Ok(Endpoint {
            address: found.address,
            ca: if given.ca.is_empty() { found.ca } else { given.ca },
        })
    }

    /// Where its cloud has the cluster.
    async fn look_up(&self, described: &Description) -> Result<Vec<Endpoint>, Unreachable> {
        let (transport, env) = (transport()?, &self.environment);
        let identity = self.identity(described);
        let account = read(identity.as_ref()).await?;
        match described.provider {
            Provider::Aws => {
                let cluster = Eks::parse(&described.cluster)?;
                let credentials = self.aws(&cluster, account.as_ref()).await?;
                let found = cluster.endpoint(&transport, env, &credentials.value).await?;
                Ok(vec![found])
            }
            Provider::Azure => {
                let cluster = Aks::parse(&described.cluster)?;
                let scope = Aks::scope(env).await?;
                let token = self.azure(&scope, account.as_ref()).await?;
                let texts = cluster.kubeconfigs(&transport, env, &token.value).await?;
                texts.iter().map(|text| endpoint_of(text.expose())).collect()
            }
            Provider::Gcp => {
                let cluster = Gke::parse(&described.cluster)?;
                let token = self.gcp(account.as_ref()).await?;
                let found = cluster.endpoint(&transport, env, &token.value).await?;
                Ok(vec![found])
            }
            Provider::Generic => Err(Unreachable::Missing("address")),
        }
    }

    /// A token for the cluster.
    async fn token(&self, described: &Description) -> Result<Expiring<Secret<String>>, Unreachable> {
        let own = match described.provider {
            Provider::Generic if described.account.is_empty() && !self.has_own_account => {
                return Err(Unreachable::Nobody);
            }
            Provider::Generic if described.account.is_empty() => Some(crate::identity::own().await?),
            _ => None,
        };
        let identity = match &own {
            Some((namespace, name)) => Some(Identity {
                client: &self.client,
                namespace,
                name,
            }),
            None => self.identity(described),
        };
        let account = read(identity.as_ref()).await?;
        Ok(match (described.provider, &account) {
            (Provider::Aws, account) => {
                let cluster = Eks::parse(&described.cluster)?;
                let credentials = self.aws(&cluster, account.as_ref()).await?;
                cluster.token(&self.environment, &credentials.value, jiff::Timestamp::now())?
            }
            (Provider::Azure, account) => self.azure(kubernetes::AZURE, account.as_ref()).await?,
            (Provider::Gcp, account) => self.gcp(account.as_ref()).await?,
            (Provider::Generic, Some(account)) => account.token(&described.audiences).await?,
            (Provider::Generic, None) => return Err(Unreachable::Missing("serviceAccountName")),
        })
    }

    fn identity<'a>(&'a self, described: &'a Description) -> Option<Identity<'a>> {
        (!described.account.is_empty()).then_some(Identity {
            client: &self.client,
            namespace: &described.namespace,
            name: &described.account,
        })
    }

    async fn aws(
        &self,
        cluster: &Eks,
        account: Option<&Account<'_>>,
    ) -> Result<Expiring<ferro_cloud::AwsCredentials>, Unreachable> {
        let (transport, metadata) = (transport()?, metadata()?);
        let ambient = aws::Ambient {
            transport: &transport,
            metadata: &metadata,
            environment: &self.environment,
            region: Some(cluster.region()),
            sts_endpoint: None,
        };
        Ok(match account {
            Some(account) => account.aws(&ambient).await?,
            None => aws::ambient(&ambient).await?,
        })
    }

    async fn azure(
        &self,
        scope: &str,
        account: Option<&Account<'_>>,
    ) -> Result<Expiring<Secret<String>>, Unreachable> {
        let (transport, env) = (transport()?, &self.environment);
        Ok(match account {
            Some(account) => account.azure(&transport, env, scope).await?,
            None => azure::ambient(&transport, &metadata()?, env, scope, None).await?,
        })
    }

    async fn gcp(&self, account: Option<&Account<'_>>) -> Result<Expiring<Secret<String>>, Unreachable> {
        let (transport, metadata, env) = (transport()?, metadata()?, &self.environment);
        Ok(match account {
            Some(account) => account.gcp(&transport, &metadata, env, gcp::PLATFORM).await?,
            None => gcp::ambient(&transport, &metadata, env, gcp::PLATFORM).await?,
        })
    }
}

/// An address as a URL; one without a scheme is of HTTPS.
fn url_of(address: String) -> String {
    match address.is_empty() || address.contains("://") {
        true => address,
        false => format!("https://{address}"),
    }
}

/// What two addresses of the same server have in common: scheme, host and port.
fn origin(address: &str) -> Option<(String, String, u16)> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?.to_owned();
    let port = uri.port_u16().unwrap_or(443);
    Some((scheme, uri.host()?.to_lowercase(), port))
}

/// The endpoint that is meant: that with the address of the description, if it has one. A token must not go to where a cluster is not.
fn chosen(found: Vec<Endpoint>, described: &Description) -> Result<Endpoint, Unreachable> {
    let wanted = described.address.as_str();
    let addresses: Vec<String> = found.iter().map(|it| format!("'{}'", it.address)).collect();
    let is_meant = |endpoint: &Endpoint| {
        wanted.is_empty() || origin(wanted).is_some_and(|it| origin(&endpoint.address) == Some(it))
    };
    found
        .into_iter()
        .find(is_meant)
        .ok_or_else(|| Unreachable::Elsewhere {
            cluster: described.cluster.clone(),
            address: wanted.to_owned(),
            found: addresses.join(", "),
        })
}

fn transport() -> Result<Transport, ferro_cloud::Error> {
    Ok(Transport::new(
        ferro_http::Client::new(&ClientOptions::default())?,
    ))
}

fn metadata() -> Result<Transport, ferro_cloud::Error> {
    Ok(Transport::metadata()?)
}

/// Address and certificates of the only cluster of a kubeconfig.
fn endpoint_of(kubeconfig: &str) -> Result<Endpoint, Unreachable> {
    let broken = |problem: &dyn std::fmt::Display| Unreachable::Kubeconfig(problem.to_string());
    let whole = Kubeconfig::from_yaml(kubeconfig).map_err(|error| broken(&error))?;
    let cluster = whole.clusters.into_iter().next().and_then(|named| named.cluster);
    let cluster = cluster.ok_or_else(|| broken(&"it has no cluster"))?;
    let ca = match cluster.certificate_authority_data {
        None => String::new(),
        Some(data) => decode(&data).ok_or_else(|| broken(&"its certificate is not base64"))?,
    };
    Ok(Endpoint {
        address: cluster.server.unwrap_or_default(),
        ca,
    })
}

fn decode(data: &str) -> Option<String> {
    // The form that Kubernetes has bytes in.
    let bytes: k8s_openapi::ByteString = serde_json::from_value(data.into()).ok()?;
    String::from_utf8(bytes.0).ok()
}

/// The way to an API server, without any credentials.
fn config(endpoint: &Endpoint) -> Result<Config, Unreachable> {
    let refused = || Unreachable::Address(endpoint.address.clone());
    let uri: Uri = endpoint.address.parse().map_err(|_| refused())?;
    let is_local = matches!(uri.host(), Some("127.0.0.1" | "[::1]"));
    match uri.scheme_str() {
        Some("https") => {}
        // A token goes in clear to this machine only.
        Some("http") if is_local => {}
        _ => return Err(refused()),
    }
    let mut config = Config::new(uri);
    if !endpoint.ca.is_empty() {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(endpoint.ca.as_bytes()).collect();
        let found = found.map_err(|_| Unreachable::Certificate)?;
        if found.is_empty() {
            return Err(Unreachable::Certificate);
        }
        config.root_cert = Some(found.iter().map(|certificate| certificate.to_vec()).collect());
    }
    Ok(config)
}

/// The tokens for one cluster.
struct Tokens {
    broker: Broker,
    description: Description,
    kept: Mutex<Option<Expiring<HeaderValue>>>,
    metrics: Metrics,
}

impl Drop for Tokens {
    fn drop(&mut self) {
        if self.kept.get_mut().is_some() {
            self.metrics.tokens_changed(-1);
        }
    }
}

impl Tokens {
    /// The header with the token; those who ask at once wait for one answer.
    async fn get(&self) -> Result<HeaderValue, Unreachable> {
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some(known) = kept.as_ref().filter(|known| known.until > now) {
            return Ok(known.value.clone());
        }
        let fresh = self.broker.token(&self.description).await;
        self.metrics.token_answered(fresh.is_ok());
        let fresh = fresh?;
        let life = fresh.until.duration_since(now).unwrap_or_default();
        let header = format!("Bearer {}", fresh.value.expose());
        let mut header = HeaderValue::try_from(header)
            .map_err(|_| ferro_cloud::Error::Credential("the token cannot be sent in a header".to_owned()))?;
        header.set_sensitive(true);
        let renewed = Expiring {
            value: header.clone(),
            until: now + life.mul_f64(USED).min(self.broker.max_age),
        };
        if kept.replace(renewed).is_none() {
            self.metrics.tokens_changed(1);
        }
        Ok(header)
    }
}

/// The same connections, with a token in each request.
fn authorized(client: &Client, tokens: Arc<Tokens>) -> Client {
    let inner = client.clone();
    let service = service_fn(move |mut request: Request<Body>| {
        let (inner, tokens) = (inner.clone(), Arc::clone(&tokens));
        async move {
            let header = tokens.get().await.map_err(BoxError::from)?;
            request.headers_mut().insert(http::header::AUTHORIZATION, header);
            inner.send(request).await.map_err(BoxError::from)
        }
    });
    Client::new(service, client.default_namespace())
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "remote_clouds_tests.rs"]
mod clouds;
