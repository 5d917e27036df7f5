//! The identity of a ServiceAccount of the object's namespace (`spec/sources-and-images.md` section 8.4): its token is exchanged at a
//! cloud's token service, or used as it is.

use ferro_cloud::azure::Application;
use ferro_cloud::gcp::Federation;
use ferro_cloud::{AwsCredentials, Environment, Error, Expiring, Result, Transport, aws, gcp};
use ferro_http::{Secret, describe};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::process::chain;

const AWS_AUDIENCE: &str = "sts.amazonaws.com";
const AWS_ROLE: &str = "eks.amazonaws.com/role-arn";
const AZURE_AUDIENCE: &str = "api://AzureADTokenExchange";
const AZURE_CLIENT: &str = "azure.workload.identity/client-id";
const AZURE_TENANT: &str = "azure.workload.identity/tenant-id";
const GCP_ACCOUNT: &str = "iam.gke.io/gcp-service-account";
const GCP_PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";

/// How long a token is asked for, in seconds.
const LIFETIME: i64 = 3600;
/// Where the token of the process's own ServiceAccount is.
const OWN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The longest name of a session at AWS.
const MAX_SESSION: usize = 64;

/// A ServiceAccount.
#[allow(missing_debug_implementations, reason = "a client has none")]
pub struct Identity<'a> {
    /// With the rights to read it, and to make tokens for it.
    pub client: &'a Client,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// A ServiceAccount as it is now.
#[allow(missing_debug_implementations, reason = "a client has none")]
pub struct Account<'a> {
    identity: &'a Identity<'a>,
    object: ServiceAccount,
}

impl Identity<'_> {
    fn api(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// `namespace/name`, as messages have it.
    fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn failed(&self, what: &str, error: &kube::Error) -> Error {
        let cause = match error {
            kube::Error::Api(status) => status.message.clone(),
            error => chain(error),
        };
        Error::Credential(format!(
            "failed to {what} service account '{}': {cause}",
            self.id()
        ))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    async fn account(&self) -> Result<Account<'_>> {
        let object = self.api().get(self.name).await;
        let object = object.map_err(|error| self.failed("get", &error))?;
        Ok(Account {
            identity: self,
            object,
        })
    }
}

/// Reads the ServiceAccount that stands for an object, if one does.
///
/// # Errors
/// When it is not there, or cannot be read.
pub async fn read<'a>(identity: Option<&'a Identity<'a>>) -> Result<Option<Account<'a>>> {
    match identity {
        Some(identity) => identity.account().await.map(Some),
        None => Ok(None),
    }
}

impl Account<'_> {
    /// What tells it, and whom it stands for, from others: a token for one must not be taken for the other.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let annotations = [AWS_ROLE, AZURE_CLIENT, AZURE_TENANT, GCP_ACCOUNT, GCP_PROVIDER];
        let annotations = annotations.map(|name| self.annotation(name).unwrap_or_default().to_owned());
        let uid = self.object.uid().unwrap_or_default();
        [self.identity.id(), uid].into_iter().chain(annotations).collect()
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let value = self.object.annotations().get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// A token of the ServiceAccount itself.
    ///
    /// # Errors
    /// When the API server gives none.
    pub async fn token(&self, audiences: &[String]) -> Result<Expiring<Secret<String>>> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(audiences.to_vec()),
                expiration_seconds: Some(LIFETIME),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let answer = self
            .identity
            .api()
            .create_token_request(self.identity.name, &PostParams::default(), &request)
            .await;
        let failed = |error| self.identity.failed("create kubernetes token for", &error);
        let status = answer.map_err(failed)?.status.unwrap_or_default();
        let left = status.expiration_timestamp.map(|until| {
            let left = until.0.as_second() - Timestamp::now().as_second();
            u64::try_from(left).unwrap_or(0)
        });
        let token = Secret::new(status.token.unwrap_or_default());
        Ok(Expiring::for_seconds(token, left.unwrap_or(0)))
    }

    /// A token that is exchanged at once.
    async fn proof(&self, audience: &str) -> Result<Secret<String>> {
        Ok(self.token(&[audience.to_owned()]).await?.value)
    }

    fn unnamed(&self, cause: &str) -> Error {
        let id = self.identity.id();
        Error::Credential(format!(
            "failed to get provider identity from service account '{id}' annotations: {cause}"
        ))
    }

    fn refused(&self, error: &Error) -> Error {
        let (id, cause) = (self.identity.id(), describe(error));
        Error::Credential(format!(
            "failed to create provider access token for service account '{id}': {cause}"
        ))
    }

    /// Credentials of the role that the ServiceAccount names.
    ///
    /// # Errors
    /// When it names none, or the token service refuses.
    pub async fn aws(&self, ambient: &aws::Ambient<'_>) -> Result<Expiring<AwsCredentials>> {
        let role = self.annotation(AWS_ROLE).unwrap_or_default();
        if !is_role(role) {
            let pattern = r"^arn:aws[\w-]*:iam::[0-9]{1,30}:role/.{1,200}$";
            return Err(self.unnamed(&invalid(AWS_ROLE, role, pattern)));
        }
        let endpoint = aws::sts_endpoint(ambient).map_err(|error| self.refused(&error))?;
        let region = aws::region(ambient).unwrap_or_default();
        let Identity { namespace, name, .. } = self.identity;
        let session = format!("{name}.{namespace}.{region}.fluxcd.io");
        let session: String = session.chars().take(MAX_SESSION).collect();
        let token = self.proof(AWS_AUDIENCE).await?;
        let found = aws::web_identity(ambient.transport, &endpoint, role, &session, &token).await;
        found.map_err(|error| self.refused(&error))
    }

    /// A token of the application that the ServiceAccount names.
    ///
    /// # Errors
    /// When it names none, or the token service refuses.
    pub async fn azure(
        &self,
        transport: &Transport,
        env: &Environment,
        scope: &str,
    ) -> Result<Expiring<Secret<String>>> {
        let annotation = |name: &str, what: &str| {
            let value = self.annotation(name).map(str::to_owned);
            value.ok_or_else(|| {
                let cause = format!("azure {what} is not set in the service account annotation {name}");
                self.unnamed(&cause)
            })
        };
        let application = Application {
            tenant: annotation(AZURE_TENANT, "tenant ID")?,
            client: annotation(AZURE_CLIENT, "client ID")?,
            authority: env.get("AZURE_AUTHORITY_HOST").unwrap_or_default(),
        };
        let token = self.proof(AZURE_AUDIENCE).await?;
        let found = application.by_assertion(transport, scope, &token).await;
        found.map_err(|error| self.refused(&error))
    }

    /// A token for what the ServiceAccount may do itself, or for the account that it names.
    ///
    /// # Errors
    /// When what it names is faulty, or a token service refuses.
    pub async fn gcp(
        &self,
        transport: &Transport,
        metadata: &Transport,
        env: &Environment,
        scopes: &[&str],
    ) -> Result<Expiring<Secret<String>>> {
        let (kubernetes, exchanged) = match self.annotation(GCP_PROVIDER) {
            Some(provider) if !is_provider(provider) => {
                let pattern = r"^projects/\d{1,30}/locations/global/workloadIdentityPools/[^/]{1,100}/providers/[^/]{1,100}$";
                let cause = invalid(GCP_PROVIDER, provider, pattern);
                return Err(Error::Credential(format!(
                    "failed to get provider audience: {cause}"
                )));
            }
            Some(provider) => {
                let audience = format!("//iam.googleapis.com/{provider}");
                (audience.clone(), audience)
            }
            None => {
                let cluster = gcp::cluster(metadata, env).await.map_err(|error| {
                    Error::Credential(format!("failed to get provider audience: {}", describe(&error)))
                })?;
                (cluster.pool, cluster.audience)
            }
        };
        let email = self.annotation(GCP_ACCOUNT);
        if let Some(email) = email.filter(|email| !is_account(email)) {
            let pattern = r"^[a-zA-Z0-9-]{1,100}@[a-zA-Z0-9-]{1,100}\.iam\.gserviceaccount\.com$";
            return Err(self.unnamed(&invalid(GCP_ACCOUNT, email, pattern)));
        }
        let token = self.proof(&kubernetes).await?;
        let federation = Federation::new(env, exchanged, email);
        let found = federation.exchange(transport, scopes, &token).await;
        found.map_err(|error| self.refused(&error))
    }
}

/// Namespace and name of the ServiceAccount that the process runs as, by its token.
///
/// # Errors
/// When there is no token, as outside of a pod.
pub async fn own() -> Result<(String, String)> {
    let unknown = |cause: &str| {
        Error::Credential(format!(
            "the service account of the controller is not known: {cause}; name one in the ConfigMap's serviceAccountName"
        ))
    };
    let token = tokio::fs::read_to_string(OWN).await;
    let token = Secret::new(token.map_err(|error| unknown(&error.to_string()))?);
    subject(token.expose()).ok_or_else(|| unknown("its token names none"))
}

/// Namespace and name of the ServiceAccount of a token.
fn subject(token: &str) -> Option<(String, String)> {
    let claims = token.trim().split('.').nth(1)?;
    // The alphabet of URLs, without padding, is what tokens are in; the other is what bytes are in.
    let mut claims = claims.replace('-', "+").replace('_', "/");
    while claims.len() % 4 != 0 {
        claims.push('=');
    }
    let claims: ByteString = serde_json::from_value(claims.into()).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims.0).ok()?;
    let subject = claims.get("sub")?.as_str()?;
    let (namespace, name) = subject.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some((namespace.to_owned(), name.to_owned()))
}

fn invalid(annotation: &str, value: &str, pattern: &str) -> String {
    format!("invalid {annotation} annotation: '{value}'. must match {pattern}")
}

fn is_role(arn: &str) -> bool {
    let Some((partition, rest)) = arn
        .strip_prefix("arn:aws")
        .and_then(|rest| rest.split_once(":iam::"))
    else {
        return false;
    };
    let Some((account, role)) = rest.split_once(":role/") else {
        return false;
    };
    partition
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && (1..=30).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=200).contains(&role.chars().count())
        && !role.contains('\n')
}

fn is_account(email: &str) -> bool {
    let is_name = |name: &str| {
        (1..=100).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let parts = email
        .strip_suffix(".iam.gserviceaccount.com")
        .and_then(|rest| rest.split_once('@'));
    parts.is_some_and(|(name, project)| is_name(name) && is_name(project))
}

fn is_provider(name: &str) -> bool {
    let is_short = |part: &str| (1..=100).contains(&part.chars().count());
    match name.split('/').collect::<Vec<_>>().as_slice() {
        [
            "projects",
            project,
            "locations",
            "global",
            "workloadIdentityPools",
            pool,
            "providers",
            provider,
        ] => {
            let is_number = project.bytes().all(|byte| byte.is_ascii_digit());
            is_number && (1..=30).contains(&project.len()) && is_short(pool) && is_short(provider)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_of_a_token_is_its_account() {
        // {"sub":"system:serviceaccount:flux-system:helm-controller"}
        let token =
            "e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6Zmx1eC1zeXN0ZW06aGVsbS1jb250cm9sbGVyIn0.c2ln";
        let (namespace, name) = subject(token).unwrap();
        assert_eq!(
            (namespace.as_str(), name.as_str()),
            ("flux-system", "helm-controller")
        );
        assert_eq!(subject("nonsense"), None);
        assert_eq!(subject("e30.e30.c2ln"), None);
    }

    #[test]
    fn annotations_are_checked_as_the_reference_does() {
        for arn in [
            "arn:aws:iam::123456789012:role/flux",
            "arn:aws-us-gov:iam::1:role/a/b",
        ] {
            assert!(is_role(arn), "{arn}");
        }
        for arn in [
            "",
            "arn:aws:iam::x:role/flux",
            "arn:aws:iam::1:user/flux",
            "arn:aws:iam::1:role/",
        ] {
            assert!(!is_role(arn), "{arn}");
        }
        assert!(is_account("flux@my-project.iam.gserviceaccount.com"));
        assert!(!is_account("flux@my.project.iam.gserviceaccount.com"));
        assert!(!is_account("flux@example.com"));
        let provider = "projects/1/locations/global/workloadIdentityPools/p/providers/q";
        assert!(is_provider(provider));
        assert!(!is_provider(&format!("//iam.googleapis.com/{provider}")));
        assert!(!is_provider(
            "projects/x/locations/global/workloadIdentityPools/p/providers/q"
        ));
    }
}
