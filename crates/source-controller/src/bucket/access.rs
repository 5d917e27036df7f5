//! How a bucket is reached: the Secrets that the object refers to, and the faults of each (`spec/sources-and-images.md` sections 8 and 14.2).

use ferro_api::source::{Bucket, BucketProvider, BucketSts, StsProvider};
use ferro_api::{reason, secret_key as key};
use ferro_http::{ClientOptions, ProxyOptions, TlsOptions};
use kube::{Client, ResourceExt};

use crate::auth::{self, ReadError, SecretData};
use crate::reconcile::{Failure, namespaced};

/// What the Secrets of an object say.
pub(super) struct Secrets {
    /// The credentials, with the name of their Secret.
    pub credentials: Option<(String, SecretData)>,
    /// The credentials for the token service, likewise.
    pub sts: Option<(String, SecretData)>,
    pub proxy: ProxyOptions,
    pub tls: Option<TlsOptions>,
    pub sts_tls: Option<TlsOptions>,
}

impl Secrets {
    /// Options of connections to the storage.
    pub(super) fn http(&self, object: &Bucket, has_certificates: bool) -> ClientOptions {
        let tls = self.tls.clone().filter(|_| has_certificates).unwrap_or_default();
        self.options(object, tls)
    }

    /// Options of connections to the token service.
    pub(super) fn sts_http(&self, object: &Bucket) -> ClientOptions {
        self.options(object, self.sts_tls.clone().unwrap_or_default())
    }

    fn options(&self, object: &Bucket, tls: TlsOptions) -> ClientOptions {
        let timeout = object.spec.timeout_or_default().to_std();
        ClientOptions {
            tls,
            proxy: self.proxy.clone(),
            connect_timeout: timeout,
            idle_timeout: timeout,
            ..ClientOptions::default()
        }
    }
}

/// A fault that a Secret can have.
pub(super) fn unauthenticated(message: String) -> Failure {
    Failure::fetch(reason::AUTHENTICATION_FAILED, message)
}

/// Reads the Secrets that the object refers to, in the order of the reference, as the first fault is the one that is told.
///
/// # Errors
/// With the condition and the text that the reference gives to each fault.
pub(super) async fn read(client: &Client, object: &Bucket) -> Result<Secrets, Failure> {
    let reader = Reader { client, object };
    let spec = &object.spec;
    let sts = spec.sts.as_ref();
    let name = |reference: &Option<ferro_api::meta::LocalObjectReference>| {
        reference.as_ref().map(|reference| reference.name.clone())
    };
    let credentials = reader.secret(name(&spec.secret_ref), "secret").await?;
    let sts_credentials = reader
        .secret(sts.and_then(|sts| name(&sts.secret_ref)), "STS secret")
        .await?;
    let proxy = match name(&spec.proxy_secret_ref) {
        Some(name) => reader.proxy(&name).await?,
        None => ProxyOptions::Environment,
    };
    let tls = reader.tls(name(&spec.cert_secret_ref), "TLS").await?;
    let sts_tls = reader
        .tls(sts.and_then(|sts| name(&sts.cert_secret_ref)), "STS TLS")
        .await?;
    Ok(Secrets {
        credentials,
        sts: sts_credentials,
        proxy,
        tls,
        sts_tls,
    })
}

struct Reader<'a> {
    client: &'a Client,
    object: &'a Bucket,
}

impl Reader<'_> {
    async fn get(&self, name: &str) -> Result<SecretData, ReadError> {
        let namespace = self.object.namespace().unwrap_or_default();
        auth::read(self.client, &namespace, name).await
    }

    async fn secret(
        &self,
        name: Option<String>,
        what: &str,
    ) -> Result<Option<(String, SecretData)>, Failure> {
        let Some(name) = name else {
            return Ok(None);
        };
        match self.get(&name).await {
            Ok(secret) => Ok(Some((name, secret))),
            Err(error) => {
                let id = namespaced(self.object, &name);
                Err(unauthenticated(format!("failed to get {what} '{id}': {error}")))
            }
        }
    }

    /// A Secret as the helpers of the reference read it.
    async fn helped(&self, name: &str) -> Result<SecretData, String> {
        let id = namespaced(self.object, name);
        self.get(name).await.map_err(|error| match error {
            ReadError::NotFound(_) => format!("secret '{id}' not found"),
            ReadError::Api(cause) => format!("failed to get secret '{id}': {cause}"),
        })
    }

    async fn proxy(&self, name: &str) -> Result<ProxyOptions, Failure> {
        let failed = |cause: String| unauthenticated(format!("failed to get proxy URL: {cause}"));
        let secret = self.helped(name).await.map_err(failed)?;
        auth::proxy(&secret).map_err(|error| failed(error.to_string()))
    }

    async fn tls(&self, name: Option<String>, what: &str) -> Result<Option<TlsOptions>, Failure> {
        let Some(name) = name else {
            return Ok(None);
        };
        let failed = |cause: String| unauthenticated(format!("failed to get {what} config: {cause}"));
        let secret = self.helped(&name).await.map_err(failed)?;
        let tls = auth::tls(&secret).map_err(|error| failed(error.to_string()))?;
        if tls.ca.is_none() && tls.identity.is_none() {
            let (ca, certificate, private) = (key::CA_CERT, key::TLS_CERT, key::TLS_KEY);
            return Err(failed(format!(
                "secret '{}' must contain either '{ca}' or both '{certificate}' and '{private}'",
                secret.id
            )));
        }
        Ok(Some(tls))
    }
}

/// Refuses a token service that the provider has no use for; what the schema refuses too, unless the object is older than it.
///
/// # Errors
/// With the text of the reference; only a change of the spec can help.
pub(super) fn check_sts(provider: BucketProvider, sts: &BucketSts) -> Result<(), Failure> {
    let invalid =
        |message: String| Err(Failure::fetch(reason::INVALID_STS_CONFIGURATION, message).stalling());
    let is_supported = match provider {
        BucketProvider::Aws => sts.provider == StsProvider::Aws,
        BucketProvider::Generic => sts.provider == StsProvider::Ldap,
        BucketProvider::Gcp | BucketProvider::Azure => {
            return invalid(format!(
                "STS configuration is not supported for '{provider}' bucket provider"
            ));
        }
    };
    let name = sts.provider;
    if !is_supported {
        return invalid(format!(
            "STS provider '{name}' is not supported for '{provider}' bucket provider"
        ));
    }
    if provider == BucketProvider::Aws {
        for (field, is_set) in [
            ("secretRef", sts.secret_ref.is_some()),
            ("certSecretRef", sts.cert_secret_ref.is_some()),
        ] {
            if is_set {
                return invalid(format!(
                    "spec.sts.{field} is not required for the '{name}' STS provider"
                ));
            }
        }
    }
    if let Err(cause) = url::Url::parse(&sts.endpoint) {
        let message = format!("failed to parse STS endpoint '{}': {cause}", sts.endpoint);
        return Err(Failure::fetch(reason::URL_INVALID, message).stalling());
    }
    Ok(())
}

/// Refuses credentials for a token service that lack a half.
///
/// # Errors
/// With the text of the reference.
pub(super) fn check_sts_secret(
    sts: &BucketSts,
    secret: Option<&(String, SecretData)>,
) -> Result<(), Failure> {
    let Some((name, secret)) = secret.filter(|_| sts.provider == StsProvider::Ldap) else {
        return Ok(());
    };
    let keys = [key::USERNAME, key::PASSWORD];
    if keys.iter().all(|key| secret.bytes(key).is_some()) {
        return Ok(());
    }
    Err(unauthenticated(format!(
        "invalid '{name}' secret data for '{}' STS provider: required fields {}",
        sts.provider,
        keys.join(", ")
    )))
}
