//! How a registry is reached: credentials, proxy, certificates, and the errors of each
//! (`spec/sources-and-images.md` sections 8.2 to 8.5 and 11.2).

use std::collections::BTreeMap;

use ferro_api::source::{OCIRepository, RegistryProvider};
use ferro_api::{reason, secret_key as key};
use ferro_http::{ClientOptions, ProxyOptions, TlsOptions};
use ferro_oci::{Access, Credentials, Keyring, Repository};
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use kube::ResourceExt;
use tokio::time::{Instant, timeout_at};

use super::TIMED_OUT;
use crate::auth::cloud::{Asker, Cloud};
use crate::auth::{self, ReadError, registry};
use crate::reconcile::{Failure, namespaced};

/// How the reference calls itself at registries; some let it through by this name.
const USER_AGENT: &str = "flux/v2";

/// What is needed to find out how a registry is reached.
pub(super) struct Way<'a> {
    pub cloud: &'a Cloud,
    /// When the object's time is up.
    pub deadline: Instant,
}

/// What the Secrets of an object say.
pub(super) struct Known {
    keyring: Option<Keyring>,
    proxy: ProxyOptions,
    tls: TlsOptions,
}

impl Way<'_> {
    /// Reads the Secrets that the object refers to, in the order of the reference, as the first fault is the one that is told.
    ///
    /// # Errors
    /// With the condition and the text that the reference gives to each fault.
    pub(super) async fn read(&self, pass: &Pass<OCIRepository>) -> Result<Known, Failure> {
        let keyring = self.keyring(pass).await?;
        let proxy = self.proxy(&pass.object).await?;
        if keyring.is_none() {
            self.check_provider(&pass.object)?;
        }
        let tls = self.tls(&pass.object).await?;
        Ok(Known { keyring, proxy, tls })
    }

    /// How the repository is reached.
    ///
    /// # Errors
    /// When a provider gives no login, with the text of the reference.
    pub(super) async fn access(
        &self,
        object: &OCIRepository,
        known: Known,
        repository: &Repository,
    ) -> Result<Access, Failure> {
        let http = ClientOptions {
            user_agent: USER_AGENT.to_owned(),
            tls: known.tls,
            proxy: known.proxy,
            ..ClientOptions::default()
        };
        let credentials = match known.keyring {
            Some(keyring) => keyring.resolve(repository),
            None => self.login(object, &http, repository).await?,
        };
        Ok(Access { http, credentials })
    }

    async fn login(
        &self,
        object: &OCIRepository,
        http: &ClientOptions,
        repository: &Repository,
    ) -> Result<Credentials, Failure> {
        let provider = object.spec.provider_or_default();
        let namespace = object.namespace().unwrap_or_default();
        let asker = Asker {
            namespace: &namespace,
            account: service_account(object),
            may_be_object: true,
            http,
        };
        let login = self.cloud.registry(provider, repository.registry(), &asker);
        let login = timeout_at(self.deadline, login).await;
        login
            .unwrap_or_else(|_| Err(TIMED_OUT.to_owned()))
            .map_err(|cause| {
                let message = format!("failed to get credential from {provider}: {cause}");
                Failure::fetch(reason::AUTHENTICATION_FAILED, message)
            })
    }

    /// The pull secrets, those of the object before those of its ServiceAccount; none if there are none.
    async fn keyring(&self, pass: &Pass<OCIRepository>) -> Result<Option<Keyring>, Failure> {
        let object = &pass.object;
        let failed = |cause: String| {
            let message = format!("failed to get credential: {cause}");
            Failure::fetch(reason::AUTHENTICATION_FAILED, message)
        };
        let namespace = object.namespace().unwrap_or_default();
        let mut secrets = Vec::new();
        if let Some(reference) = &object.spec.secret_ref {
            let secret = auth::read(&self.cloud.client, &namespace, &reference.name).await;
            secrets.push(secret.map_err(|error| {
                let message = format!("auth secret '{}' not found", reference.name);
                let none = BTreeMap::new();
                pass.event(Severity::Trace, reason::AUTHENTICATION_FAILED, &message, none);
                let id = namespaced(object, &reference.name);
                failed(format!("failed to get secret '{id}': {error}"))
            })?);
        }
        if let Some(account) = service_account(object) {
            let pulled = registry::pull_secrets(&self.cloud.client, &namespace, account).await;
            secrets.extend(pulled.map_err(|error| failed(error.to_string()))?);
        }
        if secrets.is_empty() {
            return Ok(None);
        }
        let mut keyring = Keyring::new();
        for secret in &secrets {
            registry::add_secret(&mut keyring, secret).map_err(|error| failed(error.to_string()))?;
        }
        Ok(Some(keyring))
    }

    async fn proxy(&self, object: &OCIRepository) -> Result<ProxyOptions, Failure> {
        let Some(reference) = &object.spec.proxy_secret_ref else {
            return Ok(ProxyOptions::Environment);
        };
        let failed = |cause: String| {
            let message = format!("failed to get proxy address: {cause}");
            Failure::fetch(reason::AUTHENTICATION_FAILED, message)
        };
        let namespace = object.namespace().unwrap_or_default();
        let secret = auth::read(&self.cloud.client, &namespace, &reference.name).await;
        let secret = secret.map_err(|error| failed(unread(object, &reference.name, error)))?;
        auth::proxy(&secret).map_err(|error| failed(error.to_string()))
    }

    async fn tls(&self, object: &OCIRepository) -> Result<TlsOptions, Failure> {
        let spec = &object.spec;
        let reference = spec.cert_secret_ref.as_ref().filter(|it| !it.name.is_empty());
        let Some(reference) = reference else {
            return Ok(TlsOptions {
                // The one place where Flux allows it, and only where the user declared the registry insecure.
                insecure_skip_verify: spec.insecure,
                ..TlsOptions::default()
            });
        };
        let failed = |cause: String| no_transport(&spec.url, &cause);
        let namespace = object.namespace().unwrap_or_default();
        let secret = auth::read(&self.cloud.client, &namespace, &reference.name).await;
        let secret = secret.map_err(|error| failed(unread(object, &reference.name, error)))?;
        let tls = auth::tls(&secret).map_err(|error| failed(error.to_string()))?;
        if tls.ca.is_none() && tls.identity.is_none() {
            let (ca, certificate, private) = (key::CA_CERT, key::TLS_CERT, key::TLS_KEY);
            return Err(failed(format!(
                "secret '{}' must contain either '{ca}' or both '{certificate}' and '{private}'",
                secret.id
            )));
        }
        Ok(tls)
    }

    /// Refuses identities that the controller does not allow.
    fn check_provider(&self, object: &OCIRepository) -> Result<(), Failure> {
        let is_cloud = object.spec.provider_or_default() != RegistryProvider::Generic;
        let refusal = self.cloud.refusal(service_account(object)).filter(|_| is_cloud);
        refusal.map_or(Ok(()), |message| {
            Err(Failure::unmarked(reason::FEATURE_GATE_DISABLED, message).stalling())
        })
    }
}

fn service_account(object: &OCIRepository) -> Option<&str> {
    object
        .spec
        .service_account_name
        .as_deref()
        .filter(|name| !name.is_empty())
}

/// No connection can be made the way that the object asks for.
pub(super) fn no_transport(url: &str, cause: &str) -> Failure {
    let message = format!("failed to generate transport for '{url}': {cause}");
    Failure::fetch(reason::AUTHENTICATION_FAILED, message)
}

fn unread(object: &OCIRepository, name: &str, error: ReadError) -> String {
    let id = namespaced(object, name);
    match error {
        ReadError::NotFound(_) => format!("secret '{id}' not found"),
        ReadError::Api(cause) => format!("failed to get secret '{id}': {cause}"),
    }
}
