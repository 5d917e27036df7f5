//! How a Helm repository is reached: credentials, certificates, and the errors of each (`spec/sources-and-images.md` sections 8.1 and 12).

use std::sync::{Arc, OnceLock};

use ferro_api::secret_key as key;
use ferro_api::source::{HelmRepository, RegistryProvider};
use ferro_helmrepo::{Archives, HttpOptions, HttpRepository, Limits, OciRepository, Repository};
use ferro_http::{Auth, ClientOptions, TlsOptions};
use ferro_oci::{Access as RegistryAccess, Credentials, Keyring, Pool};
use kube::ResourceExt;
use tokio::time::timeout;

use crate::auth::cloud::{Asker, Cloud};
use crate::auth::{self, ContentError, SecretData, registry};
use crate::reconcile::namespaced;

/// Bytes of charts from registries that are kept for a minute, as many HelmCharts often want the same.
const ARCHIVES: usize = 4 << 20;

/// What the clients of all Helm repositories share.
#[derive(Clone)]
pub(crate) struct Access {
    cloud: Cloud,
    limits: Limits,
    pool: Pool,
    archives: Archives,
    /// The client for repositories that need nothing of their own; it keeps connections.
    plain: Arc<OnceLock<ferro_http::Client>>,
}

/// Why a repository cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessError {
    /// A Secret is missing or faulty, or a cloud gives no login.
    Secret(String),
    /// The address is faulty.
    Url(String),
    /// The address is not one for the repository's type.
    Construct(String),
}

impl AccessError {
    /// The text without what the condition adds to it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Secret(text) | Self::Url(text) | Self::Construct(text) => text,
        }
    }
}

impl Access {
    pub(crate) fn new(cloud: Cloud, limits: Limits) -> Self {
        Self {
            cloud,
            limits,
            pool: Pool::default(),
            archives: Archives::new(ARCHIVES),
            plain: Arc::default(),
        }
    }

    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    /// The repository at `url`, the normalised address of `object`.
    pub(crate) async fn repository(
        &self,
        object: &HelmRepository,
        url: &str,
    ) -> Result<Repository, AccessError> {
        if object.spec.is_oci() || url.starts_with("oci://") {
            return self.oci(object, url).await.map(Repository::Oci);
        }
        self.http(object, url).await.map(Repository::Http)
    }

    /// The repository with an index at `url`.
    pub(crate) async fn http(
        &self,
        object: &HelmRepository,
        url: &str,
    ) -> Result<HttpRepository, AccessError> {
        let certificates = self.certificates(object).await?;
        let secret = self.secret(object).await?;
        let auth = secret.as_ref().map(basic).transpose()?.flatten();
        // Certificates beside the password are an old custom.
        let legacy = secret.as_ref().filter(|_| certificates.is_none()).map(auth::tls);
        let legacy = legacy.transpose().map_err(|error| undetected(&error))?;
        let tls = certificates.or_else(|| legacy.filter(has_any).inspect(|_| deprecated()));
        let options = HttpOptions {
            client: self.client(tls)?,
            auth,
            pass_credentials: object.spec.pass_credentials,
            timeout: object.spec.timeout_or_default().to_std(),
            limits: self.limits,
        };
        HttpRepository::new(url, options).map_err(|error| AccessError::Url(error.to_string()))
    }

    fn client(&self, tls: Option<TlsOptions>) -> Result<ferro_http::Client, AccessError> {
        let make = |tls: TlsOptions| {
            ferro_http::Client::new(&http_options(tls)).map_err(|error| not_constructed(&error))
        };
        match (tls, self.plain.get()) {
            (Some(tls), _) => make(tls),
            (None, Some(client)) => Ok(client.clone()),
            (None, None) => {
                let client = make(TlsOptions::default())?;
                Ok(self.plain.get_or_init(|| client).clone())
            }
        }
    }

    async fn oci(&self, object: &HelmRepository, url: &str) -> Result<OciRepository, AccessError> {
        if !url.starts_with("oci://") {
            return Err(AccessError::Construct(format!("invalid OCI registry URL: {url}")));
        }
        let certificates = self.certificates(object).await?;
        let secret = self.secret(object).await?;
        // Whose word it is that a host is the one that it is called may make a difference.
        let shares_archives = certificates.is_none();
        let http = http_options(certificates.unwrap_or_default());
        let credentials = match &secret {
            Some(secret) => registry_credentials(url, secret, object.spec.insecure)?,
            None => self.login(object, url, &http).await?,
        };
        let access = RegistryAccess { http, credentials };
        let timeout = object.spec.timeout_or_default().to_std();
        let (pool, limit) = (self.pool.clone(), self.limits.chart);
        let found = OciRepository::new(url, object.spec.insecure, pool, access, timeout, limit);
        Ok(match shares_archives {
            true => found.with_archives(self.archives.clone()),
            false => found,
        })
    }

    /// A login that a cloud gives; a HelmRepository names no ServiceAccount, so the process asks for itself.
    async fn login(
        &self,
        object: &HelmRepository,
        url: &str,
        http: &ClientOptions,
    ) -> Result<Credentials, AccessError> {
        let provider = object.spec.provider.unwrap_or_default();
        if provider == RegistryProvider::Generic {
            return Ok(Credentials::Anonymous);
        }
        let failed = |cause: String| {
            AccessError::Secret(format!("failed to get credential from '{provider}': {cause}"))
        };
        let repository = repository(url, object.spec.insecure).map_err(failed)?;
        let namespace = object.namespace().unwrap_or_default();
        let asker = Asker {
            namespace: &namespace,
            account: None,
            may_be_object: false,
            http,
        };
        let cloud = self.cloud.of(object);
        let login = cloud.registry(provider, repository.registry(), &asker);
        let login = timeout(object.spec.timeout_or_default().to_std(), login).await;
        login
            .unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
            .map_err(failed)
    }

    async fn secret(&self, object: &HelmRepository) -> Result<Option<SecretData>, AccessError> {
        let reference = object
            .spec
            .secret_ref
            .as_ref()
            .map(|reference| reference.name.as_str());
        self.read(object, reference, "failed to get authentication secret")
            .await
    }

    async fn certificates(&self, object: &HelmRepository) -> Result<Option<TlsOptions>, AccessError> {
        let reference = object
            .spec
            .cert_secret_ref
            .as_ref()
            .map(|reference| reference.name.as_str());
        let failed = "failed to get TLS authentication secret";
        let Some(secret) = self.read(object, reference, failed).await? else {
            return Ok(None);
        };
        let tls = auth::tls(&secret).map_err(|error| not_constructed(&error))?;
        if !has_any(&tls) {
            let cause = format!(
                "secret '{}' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'",
                secret.id
            );
            return Err(not_constructed(&std::io::Error::other(cause)));
        }
        Ok(Some(tls))
    }

    async fn read(
        &self,
        object: &HelmRepository,
        name: Option<&str>,
        failed: &str,
    ) -> Result<Option<SecretData>, AccessError> {
        let Some(name) = name else { return Ok(None) };
        let namespace = object.namespace().unwrap_or_default();
        let secret = auth::read(&self.cloud.client, &namespace, name).await;
        secret.map(Some).map_err(|error| {
            let id = namespaced(object, name);
            AccessError::Secret(format!("{failed} '{id}': {error}"))
        })
    }
}

fn http_options(tls: TlsOptions) -> ClientOptions {
    ClientOptions {
        tls,
        ..ClientOptions::default()
    }
}

fn has_any(tls: &TlsOptions) -> bool {
    tls.ca.is_some() || tls.identity.is_some()
}

fn deprecated() {
    tracing::warn!(
        "specifying TLS authentication data via `.spec.secretRef` is deprecated, please use `.spec.certSecretRef` instead"
    );
}

fn undetected(error: &ContentError) -> AccessError {
    AccessError::Secret(format!("failed to detect authentication methods: {error}"))
}

fn not_constructed(error: &dyn std::error::Error) -> AccessError {
    let cause = ferro_http::describe(error);
    AccessError::Secret(format!("failed to construct Helm client's TLS config: {cause}"))
}

/// User name and password, of which there must be both or none.
fn basic(secret: &SecretData) -> Result<Option<Auth>, AccessError> {
    let missing = |key| {
        undetected(&ContentError::KeyNotFound {
            id: secret.id.clone(),
            key,
        })
    };
    match (secret.get(key::USERNAME), secret.get(key::PASSWORD)) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(missing(key::USERNAME)),
        (Some(_), None) => Err(missing(key::PASSWORD)),
        (Some(username), Some(password)) if username.is_empty() || password.is_empty() => Ok(None),
        (Some(_), Some(_)) => Ok(Some(Auth::Basic {
            username: secret.text(key::USERNAME).expose().clone(),
            password: secret.text(key::PASSWORD),
        })),
    }
}

/// A repository of the registry; charts are below the address, and the host is what credentials are for.
fn repository(url: &str, is_insecure: bool) -> Result<ferro_oci::Repository, String> {
    let name = format!("{}/chart", url.trim_start_matches("oci://"));
    ferro_oci::Repository::parse(&name, is_insecure).map_err(|error| error.to_string())
}

/// Credentials for the registry, from a Docker configuration or by themselves.
fn registry_credentials(
    url: &str,
    secret: &SecretData,
    is_insecure: bool,
) -> Result<Credentials, AccessError> {
    let failed = |cause: String| AccessError::Secret(format!("failed to configure login options: {cause}"));
    let mut keyring = Keyring::new();
    registry::add_secret(&mut keyring, secret).map_err(|error| failed(ferro_http::describe(&error)))?;
    let name = secret.id.rsplit('/').next().unwrap_or_default();
    if secret.bytes(".dockerconfigjson").is_some() {
        let repository = repository(url, is_insecure).map_err(failed)?;
        return match keyring.resolve(&repository) {
            Credentials::Anonymous => {
                let host = repository.registry();
                Err(failed(format!(
                    "no auth config for '{host}' in the docker-registry Secret '{name}'"
                )))
            }
            credentials => Ok(credentials),
        };
    }
    let (username, password) = (secret.text(key::USERNAME), secret.text(key::PASSWORD));
    match (username.expose().is_empty(), password.expose().is_empty()) {
        (true, true) => Ok(Credentials::Anonymous),
        (false, false) => Ok(Credentials::basic(username.expose(), password.expose())),
        _ => Err(failed(format!(
            "invalid '{name}' secret data: required fields 'username' and 'password'"
        ))),
    }
}
