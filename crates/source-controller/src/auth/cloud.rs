//! Logins that a cloud gives to who can prove to be somebody there (`spec/sources-and-images.md` section 8.4): the process, by where it runs, or
//! the ServiceAccount that an object names.

use std::sync::atomic::{AtomicI64, Ordering};

use ferro_api::FluxObject;
use ferro_api::source::{GitProvider, RegistryProvider};
use ferro_cloud::git::CodeCommit;
use ferro_cloud::github::{App, AppData};
use ferro_cloud::registry::{Amazon, Azure, Google};
use ferro_cloud::{
    AwsCredentials, Environment, Error, Expiring, Login, TokenCache, TokenObserver, TokenUser, Transport,
    aws, azure, gcp,
};
use ferro_http::{Auth, ClientOptions, ProxyOptions, Retry, SafeUrl, Secret, TlsOptions, describe};
use ferro_oci::Credentials;
use ferro_runtime::flags::FeatureGates;
use ferro_runtime::identity::{Account, Identity, read};
use ferro_runtime::metrics::{Metrics, ObjectLabels};
use kube::{Client, ResourceExt as _};

use crate::args::OBJECT_LEVEL_WORKLOAD_IDENTITY;

/// What getting such logins takes. Cheap to clone; clones share what was got.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub client: Client,
    pub gates: FeatureGates,
    /// What was got from token services.
    pub tokens: TokenCache,
    /// Where credentials are found that no Secret holds.
    pub environment: Environment,
    /// The ServiceAccount whose identity is used where an object names none; empty for none.
    pub default_account: String,
    /// How often what may go away is tried again within a pass; by default as is good for the service.
    pub retry: Option<Retry>,
}

/// Shows in the metrics of the process how the cache of tokens is used.
pub(crate) struct Counted {
    metrics: Metrics,
    kept: AtomicI64,
}

impl Counted {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let kept = AtomicI64::new(0);
        Self { metrics, kept }
    }
}

impl TokenObserver for Counted {
    fn looked_up(&self, user: &TokenUser, is_hit: bool) {
        let object = ObjectLabels {
            kind: user.kind.clone(),
            name: user.name.clone(),
            namespace: user.namespace.clone(),
        };
        self.metrics.token_looked_up(&object, is_hit);
    }

    fn answered(&self, has_token: bool) {
        self.metrics.token_answered(has_token);
    }

    fn evicted(&self) {
        self.metrics.token_evicted();
    }

    fn keeps(&self, tokens: usize) {
        let now = i64::try_from(tokens).unwrap_or(i64::MAX);
        let before = self.kept.swap(now, Ordering::Relaxed);
        self.metrics.tokens_changed(now.saturating_sub(before));
    }
}

/// Who asks, and which way.
pub(crate) struct Asker<'a> {
    pub namespace: &'a str,
    /// The ServiceAccount that the object names.
    pub account: Option<&'a str>,
    /// Whether objects of this kind may have an identity of their own.
    pub may_be_object: bool,
    /// How what the object names is reached; clouds are so by the same proxy, with certificates that everybody trusts.
    pub http: &'a ClientOptions,
}

/// The cloud's own credentials, and what they depend on.
struct Got<T> {
    token: Expiring<T>,
    inputs: Vec<String>,
}

impl Cloud {
    /// One without the environment of the process, that tries everything once.
    #[cfg(test)]
    pub(crate) fn for_test(client: Client, environment: &[(&str, &str)], gates: &str) -> Self {
        Self {
            client,
            gates: FeatureGates::parse(&crate::args::FEATURE_GATES, gates).expect("gates are known"),
            tokens: TokenCache::new(100, std::time::Duration::from_secs(3600)),
            environment: Environment::of(environment),
            default_account: String::new(),
            retry: Some(Retry::never()),
        }
    }

    /// The same, for what an object needs.
    pub(crate) fn of<K: FluxObject>(&self, object: &K) -> Self {
        let user = TokenUser {
            kind: K::KIND.to_owned(),
            name: object.name_any(),
            namespace: object.namespace().unwrap_or_default(),
        };
        Self {
            tokens: self.tokens.used_by(user),
            ..self.clone()
        }
    }

    /// Why the ServiceAccount that an object names cannot be used, if it cannot.
    pub(crate) fn refusal(&self, account: Option<&str>) -> Option<String> {
        let names_account = account.is_some_and(|name| !name.is_empty());
        let is_refused = names_account && !self.gates.enabled(OBJECT_LEVEL_WORKLOAD_IDENTITY);
        is_refused.then(|| {
            format!(
                "to use spec.serviceAccountName for provider authentication please enable the \
                 {OBJECT_LEVEL_WORKLOAD_IDENTITY} feature gate in the controller"
            )
        })
    }

    /// A way to a service.
    ///
    /// # Errors
    /// When certificates or the proxy's address are faulty.
    pub(crate) fn transport(&self, options: &ClientOptions) -> Result<Transport, ferro_http::Error> {
        let transport = Transport::new(ferro_http::Client::new(options)?);
        Ok(match self.retry {
            Some(retry) => transport.with_retry(retry),
            None => transport,
        })
    }

    /// A login for the registry `host` of a cloud.
    ///
    /// # Errors
    /// When the registry is none of the cloud's, or there is no login to be had; with the text of the reference.
    pub(crate) async fn registry(
        &self,
        provider: RegistryProvider,
        host: &str,
        asker: &Asker<'_>,
    ) -> Result<Credentials, String> {
        let login = match provider {
            RegistryProvider::Generic => return Ok(Credentials::Anonymous),
            RegistryProvider::Aws => Box::pin(self.amazon(host, asker)).await,
            RegistryProvider::Azure => Box::pin(self.azure(host, asker)).await,
            RegistryProvider::Gcp => Box::pin(self.google(host, asker)).await,
        };
        let login = login.map_err(|error| describe(&error))?;
        Ok(Credentials::basic(&login.username, login.password.expose()))
    }

    /// A login for the Git server of a cloud.
    ///
    /// # Errors
    /// When the server is none of the cloud's, or there is no login to be had; with the text of the reference.
    pub(crate) async fn git(
        &self,
        provider: GitProvider,
        url: &SafeUrl,
        asker: &Asker<'_>,
    ) -> Result<Option<Auth>, String> {
        let auth = match provider {
            GitProvider::Aws => Box::pin(self.code_commit(url, asker)).await.map(basic),
            GitProvider::Azure => Box::pin(self.devops(url, asker)).await.map(Auth::Bearer),
            GitProvider::Generic | GitProvider::GitHub => return Ok(None),
        };
        auth.map(Some).map_err(|error| describe(&error))
    }

    /// A login as a GitHub App.
    ///
    /// # Errors
    /// When the data is none of an app, or GitHub refuses.
    pub(crate) async fn github(&self, data: &AppData, http: &ClientOptions) -> Result<Auth, String> {
        let login = async {
            let app = App::new(data)?;
            let transport = self.transport(http)?;
            let inputs = [
                b"github".as_slice(),
                data.id.as_bytes(),
                data.installation_id.as_bytes(),
                data.installation_owner.as_bytes(),
                data.base_url.as_bytes(),
                data.private_key.expose(),
                way(http).as_bytes(),
            ]
            .map(<[u8]>::to_vec);
            let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            self.tokens.get(&slices, app.login(&transport)).await
        };
        let login: Result<Login, Error> = Box::pin(login).await;
        login.map(basic).map_err(|error| describe(&error))
    }

    async fn amazon(&self, host: &str, asker: &Asker<'_>) -> Result<Login, Error> {
        let registry = Amazon::parse(host)?;
        let got = self.aws_credentials(registry.region(), asker).await;
        let got = got.map_err(|error| no_token("artifact registry", &error))?;
        let transport = self.transport(&cloud_options(asker.http))?;
        let login = registry.login(&transport, &self.environment, &got.token.value);
        let inputs = [got.inputs, vec!["ecr".to_owned(), format!("{registry:?}")]].concat();
        let login = self.tokens.get(&slices(&inputs), login).await;
        login.map_err(|error| no_login("artifact registry", &error))
    }

    async fn azure(&self, host: &str, asker: &Asker<'_>) -> Result<Login, Error> {
        let registry = Azure::parse(host, &self.environment).await?;
        let got = self.azure_token(registry.scope(), asker).await;
        let got = got.map_err(|error| no_token("artifact registry", &error))?;
        // It is the registry that exchanges the token, so it is reached as the registry is; but a token is not shown to whoever answers.
        let mut http = asker.http.clone();
        http.tls.insecure_skip_verify = false;
        let transport = self.transport(&http)?;
        let login = registry.login(&transport, &got.token.value);
        let inputs = [
            got.inputs,
            vec!["acr".to_owned(), host.to_owned(), way(asker.http)],
        ]
        .concat();
        let login = self.tokens.get(&slices(&inputs), login).await;
        login.map_err(|error| no_login("artifact registry", &error))
    }

    async fn google(&self, host: &str, asker: &Asker<'_>) -> Result<Login, Error> {
        let registry = Google::parse(host)?;
        let token = self.google_token(asker).await;
        let token = token.map_err(|error| no_token("artifact registry", &error))?;
        Ok(registry.login(token.token.value))
    }

    async fn code_commit(&self, url: &SafeUrl, asker: &Asker<'_>) -> Result<Login, Error> {
        let repository = CodeCommit::parse(url)?;
        let got = self.aws_credentials(repository.region(), asker).await;
        let got = got.map_err(|error| no_token("Git repository", &error))?;
        // A signature costs nothing, and is best when it is new.
        Ok(repository.login(&got.token).value)
    }

    async fn devops(&self, url: &SafeUrl, asker: &Asker<'_>) -> Result<Secret<String>, Error> {
        if !may_carry_token(url) {
            return Err(Error::Credential(
                "Azure DevOps authentication requires an HTTPS Git URL".to_owned(),
            ));
        }
        let got = self.azure_token(azure::DEVOPS, asker).await;
        let got = got.map_err(|error| no_token("Git repository", &error))?;
        Ok(got.token.value)
    }

    async fn aws_credentials(&self, region: &str, asker: &Asker<'_>) -> Result<Got<AwsCredentials>, Error> {
        let (transport, metadata) = (
            self.transport(&cloud_options(asker.http))?,
            Transport::metadata()?,
        );
        let ambient = aws::Ambient {
            transport: &transport,
            metadata: &metadata,
            environment: &self.environment,
            region: Some(region),
            sts_endpoint: None,
        };
        let identity = self.identity(asker);
        let account = read(identity.as_ref()).await?;
        let inputs = inputs(&["aws", region], account.as_ref(), asker.http);
        let fetch = async {
            match &account {
                Some(account) => account.aws(&ambient).await,
                None => aws::ambient(&ambient)
                    .await
                    .map_err(|error| no_controller(&error)),
            }
        };
        self.kept(inputs, fetch).await
    }

    async fn azure_token(&self, scope: &str, asker: &Asker<'_>) -> Result<Got<Secret<String>>, Error> {
        let (transport, metadata) = (
            self.transport(&cloud_options(asker.http))?,
            Transport::metadata()?,
        );
        let env = &self.environment;
        let identity = self.identity(asker);
        let account = read(identity.as_ref()).await?;
        let inputs = inputs(&["azure", scope], account.as_ref(), asker.http);
        let fetch = async {
            match &account {
                Some(account) => account.azure(&transport, env, scope).await,
                None => {
                    let token = azure::ambient(&transport, &metadata, env, scope, None).await;
                    token.map_err(|error| no_controller(&error))
                }
            }
        };
        self.kept(inputs, fetch).await
    }

    async fn google_token(&self, asker: &Asker<'_>) -> Result<Got<Secret<String>>, Error> {
        let (transport, metadata) = (
            self.transport(&cloud_options(asker.http))?,
            Transport::metadata()?,
        );
        let env = &self.environment;
        let identity = self.identity(asker);
        let account = read(identity.as_ref()).await?;
        let inputs = inputs(&["gcp"], account.as_ref(), asker.http);
        let fetch = async {
            match &account {
                Some(account) => account.gcp(&transport, &metadata, env, gcp::PLATFORM).await,
                None => {
                    let token = gcp::ambient(&transport, &metadata, env, gcp::PLATFORM).await;
                    token.map_err(|error| no_controller(&error))
                }
            }
        };
        self.kept(inputs, fetch).await
    }

    /// What is kept for these inputs with the time that it has left, or what is fetched.
    async fn kept<T: Clone + Send + Sync + 'static>(
        &self,
        inputs: Vec<String>,
        fetch: impl Future<Output = Result<Expiring<T>, Error>>,
    ) -> Result<Got<T>, Error> {
        let fetch = async {
            let token = fetch.await?;
            let until = token.until;
            Ok::<_, Error>(Expiring { value: token, until })
        };
        let token = self.tokens.get(&slices(&inputs), fetch).await?;
        Ok(Got { token, inputs })
    }

    /// The ServiceAccount that stands for the object, where it names one or all do.
    fn identity<'a>(&'a self, asker: &'a Asker<'_>) -> Option<Identity<'a>> {
        let name = asker.account.filter(|name| !name.is_empty());
        let default = Some(self.default_account.as_str()).filter(|name| !name.is_empty());
        let name = name.or(default).filter(|_| asker.may_be_object)?;
        Some(Identity {
            client: &self.client,
            namespace: asker.namespace,
            name,
        })
    }
}

/// All that a token depends on.
fn inputs(what: &[&str], account: Option<&Account<'_>>, http: &ClientOptions) -> Vec<String> {
    let mut inputs: Vec<String> = what.iter().map(|part| (*part).to_owned()).collect();
    // The proxy is none of it, but who changes it may do so because of what came through the old one.
    inputs.push(way(http));
    inputs.extend(account.map(Account::parts).unwrap_or_default());
    inputs
}

fn slices(inputs: &[String]) -> Vec<&[u8]> {
    inputs.iter().map(String::as_bytes).collect()
}

fn way(http: &ClientOptions) -> String {
    match &http.proxy {
        ProxyOptions::Environment => "environment".to_owned(),
        ProxyOptions::Direct => "direct".to_owned(),
        ProxyOptions::Proxy { address, .. } => address.to_string(),
    }
}

/// A cloud shows a certificate that everybody trusts, and gets none of ours.
fn cloud_options(http: &ClientOptions) -> ClientOptions {
    ClientOptions {
        tls: TlsOptions::default(),
        user_agent: ClientOptions::default().user_agent,
        ..http.clone()
    }
}

/// A token goes in clear to this machine only.
fn may_carry_token(url: &SafeUrl) -> bool {
    let url = url.expose();
    let is_local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && is_local
}

fn basic(login: Login) -> Auth {
    Auth::Basic {
        username: login.username,
        password: login.password,
    }
}

fn no_controller(error: &Error) -> Error {
    let cause = describe(error);
    Error::Credential(format!(
        "failed to create provider access token for the controller: {cause}"
    ))
}

fn no_token(what: &str, error: &Error) -> Error {
    let cause = describe(error);
    Error::Credential(format!("failed to get access token for {what}: {cause}"))
}

fn no_login(what: &str, error: &Error) -> Error {
    let cause = describe(error);
    Error::Credential(format!("failed to create {what} credentials: {cause}"))
}
