//! From the spec and the Secrets to a bucket that can be read (`spec/sources-and-images.md` section 14.2).

use ferro_api::source::{Bucket as Object, BucketProvider};
use ferro_api::{reason, secret_key as key};
use ferro_bucket::azure::{Access, AccountKey, Azure, account_of};
use ferro_bucket::gcs::{EMULATOR, Gcs};
use ferro_bucket::s3::{Endpoint, S3};
use ferro_bucket::{AwsCredentials, Bucket, Transport};
use ferro_cloud::azure::{Application, Certificate};
use ferro_cloud::gcp::{KeyFault, ServiceAccountKey};
use ferro_cloud::{aws, azure, gcp};
use ferro_http::{ClientOptions, Secret, describe};
use ferro_runtime::identity::{Account, Identity, read};
use kube::ResourceExt;

use super::access::{Secrets, check_sts, check_sts_secret, unauthenticated};
use crate::auth::SecretData;
use crate::auth::cloud::Cloud;
use crate::reconcile::Failure;

/// Keys of Secrets for S3.
const ACCESS_KEY: &str = "accesskey";
const SECRET_KEY: &str = "secretkey";
/// The key of Secrets for Google Cloud Storage.
const SERVICE_ACCOUNT: &str = "serviceaccount";
/// Keys of Secrets for Azure Blob Storage.
const CLIENT_ID: &str = "clientId";
const TENANT_ID: &str = "tenantId";
const CLIENT_SECRET: &str = "clientSecret";
const CLIENT_CERTIFICATE: &str = "clientCertificate";
const SEND_CHAIN: &str = "clientCertificateSendChain";
const AUTHORITY_HOST: &str = "authorityHost";
const ACCOUNT_KEY: &str = "accountKey";
const SAS_KEY: &str = "sasKey";

/// What is needed to reach a bucket, besides what the object says.
pub(super) struct Way<'a> {
    pub cloud: &'a Cloud,
}

/// A step that failed before the bucket was asked, in the words of the reference.
fn unconfirmed(object: &Object, error: &ferro_cloud::Error) -> Failure {
    let (name, cause) = (&object.spec.bucket_name, super::listing::shown(error));
    let message = format!("failed to confirm existence of '{name}' bucket: {cause}");
    Failure::fetch(reason::BUCKET_OPERATION_FAILED, message)
}

fn refused(error: &ferro_bucket::Error) -> Failure {
    unauthenticated(super::listing::shown(error))
}

impl Way<'_> {
    /// Makes the bucket that the object names, with credentials that are ready for use.
    ///
    /// # Errors
    /// With the condition and the text that the reference gives to each fault.
    pub(super) async fn open(&self, object: &Object, secrets: &Secrets) -> Result<Bucket, Failure> {
        match object.spec.provider_or_default() {
            BucketProvider::Gcp => self.gcs(object, secrets).await,
            BucketProvider::Azure => self.azure(object, secrets).await,
            BucketProvider::Generic | BucketProvider::Aws => self.s3(object, secrets).await,
        }
    }

    fn transport(&self, options: &ClientOptions) -> Result<Transport, Failure> {
        let transport = self.cloud.transport(options);
        transport.map_err(|error| unauthenticated(describe(&error)))
    }

    fn metadata(&self) -> Result<Transport, Failure> {
        let transport = Transport::metadata();
        transport.map_err(|error| unauthenticated(describe(&error)))
    }

    /// The ServiceAccount that stands for the object, where it names one or all do.
    fn identity<'o>(&'o self, object: &'o Object) -> Option<Identity<'o>> {
        let own = object.spec.service_account_name.as_deref();
        let default = Some(self.cloud.default_account.as_str());
        let mut names = [own, default].into_iter().flatten();
        let name = names.find(|name| !name.is_empty())?;
        Some(Identity {
            client: &self.cloud.client,
            namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
            name,
        })
    }

    async fn s3(&self, object: &Object, secrets: &Secrets) -> Result<Bucket, Failure> {
        let spec = &object.spec;
        let provider = spec.provider_or_default();
        if let Some((name, secret)) = &secrets.credentials {
            check_s3_secret(name, secret)?;
        }
        if let Some(sts) = &spec.sts {
            check_sts(provider, sts)?;
            check_sts_secret(sts, secrets.sts.as_ref())?;
        }
        let transport = self.transport(&secrets.http(object, !spec.insecure))?;
        let endpoint = Endpoint::parse(&spec.endpoint, !spec.insecure).map_err(|error| refused(&error))?;
        let credentials = match &secrets.credentials {
            Some((_, secret)) => static_keys(secret),
            None if provider == BucketProvider::Aws => Some(self.aws(object, secrets).await?),
            None => self.ldap(object, secrets).await?,
        };
        let region = spec.region.clone().filter(|region| !region.is_empty());
        Ok(S3::new(transport, endpoint, &spec.bucket_name, region, credentials).into())
    }

    async fn aws(&self, object: &Object, secrets: &Secrets) -> Result<AwsCredentials, Failure> {
        let failed = |cause: String| unauthenticated(format!("AWS authentication failed: {cause}"));
        let spec = &object.spec;
        let sts_endpoint = spec.sts.as_ref().map(|sts| sts.endpoint.as_str());
        if let Some(endpoint) = sts_endpoint.filter(|endpoint| !is_aws_sts(endpoint)) {
            return Err(failed(format!("invalid STS endpoint: '{endpoint}'")));
        }
        let (transport, metadata) = (self.transport(&secrets.http(object, false))?, self.metadata()?);
        let ambient = aws::Ambient {
            transport: &transport,
            metadata: &metadata,
            environment: &self.cloud.environment,
            region: spec.region.as_deref().filter(|region| !region.is_empty()),
            sts_endpoint,
        };
        let identity = self.identity(object);
        let account = read(identity.as_ref()).await;
        let account = account.map_err(|error| failed(super::listing::shown(&error)))?;
        let inputs = inputs("aws", object, secrets, account.as_ref());
        let fetch = async {
            match &account {
                Some(account) => account.aws(&ambient).await,
                None => aws::ambient(&ambient).await,
            }
        };
        let token = self.cloud.tokens.get(&as_slices(&inputs), fetch).await;
        token.map_err(|error| failed(super::listing::shown(&error)))
    }

    /// Credentials of the token service of MinIO; none where the spec names no such service.
    async fn ldap(&self, object: &Object, secrets: &Secrets) -> Result<Option<AwsCredentials>, Failure> {
        let Some(sts) = &object.spec.sts else {
            return Ok(None);
        };
        let text = |key| {
            let secret = secrets.sts.as_ref().map(|(_, secret)| secret.text(key));
            secret.unwrap_or_else(|| Secret::new(String::new()))
        };
        let (username, password) = (text(key::USERNAME), text(key::PASSWORD));
        let transport = self.transport(&secrets.sts_http(object))?;
        let inputs = inputs("ldap", object, secrets, None);
        let fetch = aws::ldap(&transport, &sts.endpoint, username.expose(), &password);
        let token = self.cloud.tokens.get(&as_slices(&inputs), fetch).await;
        token.map(Some).map_err(|error| unconfirmed(object, &error))
    }

    async fn gcs(&self, object: &Object, secrets: &Secrets) -> Result<Bucket, Failure> {
        let transport = self.transport(&secrets.http(object, false))?;
        let key = match &secrets.credentials {
            Some((name, secret)) => Some(service_account_key(name, secret)?),
            None => None,
        };
        let emulator = self.cloud.environment.get(EMULATOR);
        let token = if emulator.is_some() {
            None
        } else {
            let (metadata, env) = (self.metadata()?, &self.cloud.environment);
            let identity = self.identity(object).filter(|_| key.is_none());
            let account = read(identity.as_ref()).await;
            let account = account.map_err(|error| unconfirmed(object, &error))?;
            let inputs = inputs("gcp", object, secrets, account.as_ref());
            let fetch = async {
                match (&key, &account) {
                    (Some(key), _) => key.token(&transport, gcp::STORAGE).await,
                    (None, Some(account)) => account.gcp(&transport, &metadata, env, gcp::STORAGE).await,
                    (None, None) => gcp::ambient(&transport, &metadata, env, gcp::STORAGE).await,
                }
            };
            let token = self.cloud.tokens.get(&as_slices(&inputs), fetch).await;
            Some(token.map_err(|error| unconfirmed(object, &error))?)
        };
        let bucket = Gcs::new(transport, &object.spec.bucket_name, emulator.as_deref(), token);
        bucket.map(Bucket::from).map_err(|error| refused(&error))
    }

    async fn azure(&self, object: &Object, secrets: &Secrets) -> Result<Bucket, Failure> {
        let spec = &object.spec;
        let transport = self.transport(&secrets.http(object, false))?;
        let proof = match &secrets.credentials {
            Some((name, secret)) => azure_proof(name, secret, &spec.endpoint)?,
            None => AzureProof::Token(TokenProof::Ambient { authority: None }),
        };
        let access = match proof {
            AzureProof::Access(access) => access,
            // A token must not be sent in clear, so there is no use in asking for one.
            AzureProof::Token(TokenProof::Ambient { .. }) if !spec.endpoint.starts_with("https://") => {
                Access::Anonymous
            }
            AzureProof::Token(proof) => self.azure_token(object, secrets, &transport, &proof).await?,
        };
        let bucket = Azure::new(transport, &spec.endpoint, &spec.bucket_name, access);
        bucket.map(Bucket::from).map_err(|error| refused(&error))
    }

    async fn azure_token(
        &self,
        object: &Object,
        secrets: &Secrets,
        transport: &Transport,
        proof: &TokenProof,
    ) -> Result<Access, Failure> {
        let (metadata, env) = (self.metadata()?, &self.cloud.environment);
        let is_ambient = matches!(proof, TokenProof::Ambient { .. });
        let identity = self.identity(object).filter(|_| is_ambient);
        let account = read(identity.as_ref()).await;
        let account = account.map_err(|error| unconfirmed(object, &error))?;
        let inputs = inputs("azure", object, secrets, account.as_ref());
        let fetch = async {
            match (proof, &account) {
                (TokenProof::Secret(application, secret), _) => {
                    application.by_secret(transport, azure::STORAGE, secret).await
                }
                (TokenProof::Certificate(application, certificate), _) => {
                    application
                        .by_certificate(transport, azure::STORAGE, certificate)
                        .await
                }
                (TokenProof::Managed(client), _) => {
                    azure::managed(&metadata, env, azure::STORAGE, Some(client)).await
                }
                (TokenProof::Ambient { .. }, Some(account)) => {
                    account.azure(transport, env, azure::STORAGE).await
                }
                (TokenProof::Ambient { authority }, None) => {
                    azure::ambient(transport, &metadata, env, azure::STORAGE, authority.as_deref()).await
                }
            }
        };
        let token = self.cloud.tokens.get(&as_slices(&inputs), fetch).await;
        let is_unnamed = is_ambient
            && account.is_none()
            && ["AZURE_CLIENT_ID", "AZURE_TENANT_ID"]
                .iter()
                .all(|name| env.get(name).is_none());
        match token {
            Ok(token) => Ok(Access::Bearer(token)),
            // Nobody has named an identity, and the machine has none: the container may be public.
            Err(_) if is_unnamed => Ok(Access::Anonymous),
            Err(error) => Err(unconfirmed(object, &error)),
        }
    }
}

/// All that a token depends on.
fn inputs(provider: &str, object: &Object, secrets: &Secrets, account: Option<&Account<'_>>) -> Vec<Vec<u8>> {
    let spec = &object.spec;
    let mut inputs = vec![provider.to_owned().into_bytes()];
    // The proxy is none of it, but who changes it may do so because of what came through the old one.
    inputs.push(format!("{:?} {:?} {:?}", spec.sts, spec.region, spec.proxy_secret_ref).into_bytes());
    inputs.push(object.namespace().unwrap_or_default().into_bytes());
    let parts = account.map(Account::parts).unwrap_or_default();
    inputs.extend(parts.into_iter().map(String::into_bytes));
    for (_, secret) in [&secrets.credentials, &secrets.sts].into_iter().flatten() {
        for (key, value) in secret.entries() {
            inputs.push(key.as_bytes().to_vec());
            inputs.push(value.to_vec());
        }
    }
    inputs
}

fn as_slices(inputs: &[Vec<u8>]) -> Vec<&[u8]> {
    inputs.iter().map(Vec::as_slice).collect()
}

/// Whether the address is one of AWS's token services.
fn is_aws_sts(endpoint: &str) -> bool {
    let name = endpoint
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix(".amazonaws.com"));
    let Some(name) = name else {
        return false;
    };
    let name = name.strip_suffix(".vpce").unwrap_or(name);
    let is_service = |label: Option<&&str>| matches!(label, Some(&("sts" | "sts-fips")));
    let labels: Vec<&str> = name.split('.').collect();
    is_service(labels.last()) || is_service(labels.iter().rev().nth(1))
}

fn check_s3_secret(name: &str, secret: &SecretData) -> Result<(), Failure> {
    if [ACCESS_KEY, SECRET_KEY]
        .iter()
        .all(|key| secret.get(key).is_some())
    {
        return Ok(());
    }
    Err(unauthenticated(format!(
        "invalid '{name}' secret data: required fields '{ACCESS_KEY}' and '{SECRET_KEY}'"
    )))
}

/// Keys that are there and empty make requests that are not signed, as at the reference.
fn static_keys(secret: &SecretData) -> Option<AwsCredentials> {
    secret.bytes(ACCESS_KEY)?;
    secret.bytes(SECRET_KEY)?;
    Some(AwsCredentials {
        access_key: secret.text(ACCESS_KEY).expose().clone(),
        secret_key: secret.text(SECRET_KEY),
        session_token: None,
    })
}

fn service_account_key(name: &str, secret: &SecretData) -> Result<ServiceAccountKey, Failure> {
    let invalid = |cause: &str| unauthenticated(format!("invalid '{name}' secret data: {cause}"));
    let Some(text) = secret.get(SERVICE_ACCOUNT) else {
        return Err(invalid("required fields 'serviceaccount'"));
    };
    ServiceAccountKey::parse(text).map_err(|fault| match fault {
        KeyFault::Json => invalid("failed to parse 'serviceaccount' as JSON"),
        KeyFault::Type => invalid(
            "'serviceaccount' must contain a service account key with 'type' set to 'service_account'",
        ),
        KeyFault::Incomplete => unauthenticated(
            "failed to create Google credentials from secret: 'client_email' or 'private_key' is missing"
                .to_owned(),
        ),
    })
}

/// What a Secret is good for at Azure.
enum AzureProof {
    /// For the storage itself.
    Access(Access),
    /// For a token.
    Token(TokenProof),
}

/// What tokens of Azure are given for.
enum TokenProof {
    Secret(Application, Secret<String>),
    Certificate(Application, Box<Certificate>),
    Managed(String),
    Ambient { authority: Option<String> },
}

fn azure_proof(name: &str, secret: &SecretData, endpoint: &str) -> Result<AzureProof, Failure> {
    let has = |key: &str| secret.get(key).is_some();
    let known = [CLIENT_ID, ACCOUNT_KEY, SAS_KEY, AUTHORITY_HOST];
    if !known.iter().any(|key| has(key)) {
        return Err(unauthenticated(format!(
            "invalid '{name}' secret data: requires a '{CLIENT_ID}' or '{ACCOUNT_KEY}' field, a combination of '{TENANT_ID}', \
             '{CLIENT_ID}' and '{CLIENT_SECRET}', or '{TENANT_ID}', '{CLIENT_ID}' and '{CLIENT_CERTIFICATE}'"
        )));
    }
    let text = |key: &str| secret.text(key).expose().clone();
    if has(TENANT_ID) && has(CLIENT_ID) {
        let application = Application {
            tenant: text(TENANT_ID),
            client: text(CLIENT_ID),
            authority: text(AUTHORITY_HOST),
        };
        if secret.bytes(CLIENT_SECRET).is_some() {
            return Ok(AzureProof::Token(TokenProof::Secret(
                application,
                secret.text(CLIENT_SECRET),
            )));
        }
        if let Some(pem) = secret.bytes(CLIENT_CERTIFICATE) {
            let flag = text(SEND_CHAIN);
            let sends_chain = flag == "1" || flag.eq_ignore_ascii_case("true");
            let certificate = Certificate::from_pem(pem, sends_chain).map_err(|error| {
                unauthenticated(format!(
                    "failed to create token credential from '{name}' Secret: failed to parse client certificates: {error}"
                ))
            })?;
            let certificate = Box::new(certificate);
            return Ok(AzureProof::Token(TokenProof::Certificate(
                application,
                certificate,
            )));
        }
    }
    if has(CLIENT_ID) {
        return Ok(AzureProof::Token(TokenProof::Managed(text(CLIENT_ID))));
    }
    if has(ACCOUNT_KEY) {
        let account = account_of(endpoint).map_err(|error| {
            unauthenticated(format!(
                "failed to create shared credential from '{name}' Secret data: {error}"
            ))
        })?;
        let key = AccountKey::new(account, secret.text(ACCOUNT_KEY).expose().trim());
        return key
            .map(|key| AzureProof::Access(Access::AccountKey(key)))
            .map_err(|error| refused(&error));
    }
    if has(SAS_KEY) {
        let token = text(SAS_KEY);
        let token = token.strip_prefix('?').unwrap_or(&token).to_owned();
        return Ok(AzureProof::Access(Access::Sas(Secret::new(token))));
    }
    Ok(AzureProof::Token(TokenProof::Ambient {
        authority: Some(text(AUTHORITY_HOST)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret;

    fn azure(entries: &[(&str, &str)], endpoint: &str) -> Result<&'static str, String> {
        let proof = azure_proof("auth", &secret(entries), endpoint).map_err(|failure| failure.message)?;
        Ok(match proof {
            AzureProof::Access(Access::AccountKey(_)) => "account key",
            AzureProof::Access(Access::Sas(_)) => "sas",
            AzureProof::Access(_) => "other",
            AzureProof::Token(TokenProof::Secret(..)) => "secret",
            AzureProof::Token(TokenProof::Certificate(..)) => "certificate",
            AzureProof::Token(TokenProof::Managed(_)) => "managed",
            AzureProof::Token(TokenProof::Ambient { .. }) => "ambient",
        })
    }

    #[test]
    fn azure_proof_keeps_the_order_of_the_reference() {
        let account = "https://app.blob.core.windows.net";
        let cases: [(&[(&str, &str)], &str); 7] = [
            (
                &[
                    ("tenantId", "t"),
                    ("clientId", "c"),
                    ("clientSecret", "s"),
                    ("accountKey", "AAAA"),
                ],
                "secret",
            ),
            (
                &[("tenantId", "t"), ("clientId", "c"), ("clientSecret", "")],
                "managed",
            ),
            (&[("clientId", "c"), ("accountKey", "AAAA")], "managed"),
            (&[("accountKey", "AAAA"), ("sasKey", "?sig=1")], "account key"),
            (&[("sasKey", "?sig=1")], "sas"),
            (&[("authorityHost", "https://login.example.com")], "ambient"),
            (&[("tenantId", "t"), ("sasKey", "sig=1")], "sas"),
        ];
        for (entries, expected) in cases {
            assert_eq!(azure(entries, account).unwrap(), expected, "{entries:?}");
        }
    }

    #[test]
    fn azure_proof_faults_have_the_words_of_the_reference() {
        let cases: [(&[(&str, &str)], &str); 4] = [
            (
                &[("tenantId", "t")],
                "invalid 'auth' secret data: requires a 'clientId' or 'accountKey' field, a combination of 'tenantId', 'clientId' and \
                 'clientSecret', or 'tenantId', 'clientId' and 'clientCertificate'",
            ),
            (
                &[
                    ("tenantId", "t"),
                    ("clientId", "c"),
                    ("clientCertificate", "hunter2"),
                ],
                "failed to create token credential from 'auth' Secret: failed to parse client certificates: found no certificate: it must \
                 be PEM, PKCS #12 is not supported",
            ),
            (
                &[("accountKey", "AAAA")],
                "failed to create shared credential from 'auth' Secret data: failed to extract account name from endpoint: expected \
                 'localhost' to be a subdomain",
            ),
            (&[], "invalid 'auth' secret data: requires a 'clientId'"),
        ];
        for (entries, expected) in cases {
            let error = azure(entries, "http://localhost:10000/x").unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = azure(&[("accountKey", "hunter2!")], "https://a.b.c").unwrap_err();
        assert!(
            error.starts_with("decode account key") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn service_account_key_faults_have_the_words_of_the_reference() {
        let cases: [(&[(&str, &str)], &str); 3] = [
            (
                &[],
                "invalid 'auth' secret data: required fields 'serviceaccount'",
            ),
            (
                &[("serviceaccount", "hunter2")],
                "invalid 'auth' secret data: failed to parse 'serviceaccount' as JSON",
            ),
            (
                &[("serviceaccount", "{}")],
                "invalid 'auth' secret data: 'serviceaccount' must contain a service account key with 'type' set to 'service_account'",
            ),
        ];
        for (entries, expected) in cases {
            let failure = service_account_key("auth", &secret(entries)).unwrap_err();
            assert_eq!(
                (failure.reason, failure.message.as_str()),
                ("AuthenticationFailed", expected)
            );
        }
    }

    #[test]
    fn s3_secrets_need_both_keys() {
        let failure = check_s3_secret("auth", &secret(&[("accesskey", "a")])).unwrap_err();
        assert_eq!(
            failure.message,
            "invalid 'auth' secret data: required fields 'accesskey' and 'secretkey'"
        );
        let empty = secret(&[("accesskey", ""), ("secretkey", "s")]);
        assert!(check_s3_secret("auth", &empty).is_ok());
        assert!(static_keys(&empty).is_none());
    }

    #[test]
    fn is_aws_sts_is_that_of_the_reference() {
        for endpoint in [
            "https://sts.amazonaws.com",
            "https://sts.eu-west-1.amazonaws.com",
            "https://sts-fips.us-east-1.amazonaws.com",
            "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com",
        ] {
            assert!(is_aws_sts(endpoint), "{endpoint}");
        }
        for endpoint in [
            "http://sts.amazonaws.com",
            "https://sts.example.com",
            "https://evil.com/.amazonaws.com",
            "https://s3.a.b.amazonaws.com",
        ] {
            assert!(!is_aws_sts(endpoint), "{endpoint}");
        }
    }
}
