//! The cloud identity of a ServiceAccount of the object's namespace (`spec/sources-and-images.md` section 8.4): its token is exchanged at the
//! cloud's token service.

use ferro_cloud::azure::Application;
use ferro_cloud::gcp::Federation;
use ferro_cloud::{AwsCredentials, Environment, Error, Expiring, Result, Transport, aws, gcp};
use ferro_http::{Secret, describe};
use ferro_runtime::process::chain;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

const AWS_AUDIENCE: &str = "sts.amazonaws.com";
const AWS_ROLE: &str = "eks.amazonaws.com/role-arn";
const AZURE_AUDIENCE: &str = "api://AzureADTokenExchange";
const AZURE_CLIENT: &str = "azure.workload.identity/client-id";
const AZURE_TENANT: &str = "azure.workload.identity/tenant-id";
const GCP_ACCOUNT: &str = "iam.gke.io/gcp-service-account";
const GCP_PROVIDER: &str = "gcp.auth.fluxcd.io/workload-identity-provider";

/// How long a token is asked for: it is exchanged at once.
const LIFETIME: i64 = 3600;

/// The longest name of a session at AWS.
const MAX_SESSION: usize = 64;

/// A ServiceAccount.
pub(crate) struct Identity<'a> {
    pub client: &'a Client,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// A ServiceAccount as it is now.
pub(crate) struct Account<'a> {
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
pub(crate) async fn read<'a>(identity: Option<&'a Identity<'a>>) -> Result<Option<Account<'a>>> {
    match identity {
        Some(identity) => identity.account().await.map(Some),
        None => Ok(None),
    }
}

impl Account<'_> {
    /// What tells it, and whom it stands for, from others: a token for one must not be taken for the other.
    pub(crate) fn parts(&self) -> Vec<String> {
        let annotations = [AWS_ROLE, AZURE_CLIENT, AZURE_TENANT, GCP_ACCOUNT, GCP_PROVIDER];
        let annotations = annotations.map(|name| self.annotation(name).unwrap_or_default().to_owned());
        let uid = self.object.uid().unwrap_or_default();
        [self.identity.id(), uid].into_iter().chain(annotations).collect()
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let value = self.object.annotations().get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    async fn token(&self, audience: &str) -> Result<Secret<String>> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(vec![audience.to_owned()]),
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
        let token = answer.map_err(failed)?.status.unwrap_or_default().token;
        Ok(Secret::new(token.unwrap_or_default()))
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
    pub(crate) async fn aws(&self, ambient: &aws::Ambient<'_>) -> Result<Expiring<AwsCredentials>> {
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
        let token = self.token(AWS_AUDIENCE).await?;
        let found = aws::web_identity(ambient.transport, &endpoint, role, &session, &token).await;
        found.map_err(|error| self.refused(&error))
    }

    /// A token of the application that the ServiceAccount names.
    pub(crate) async fn azure(
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
        let token = self.token(AZURE_AUDIENCE).await?;
        let found = application.by_assertion(transport, scope, &token).await;
        found.map_err(|error| self.refused(&error))
    }

    /// A token for what the ServiceAccount may do itself, or for the account that it names.
    pub(crate) async fn gcp(
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
        let token = self.token(&kubernetes).await?;
        let federation = Federation::new(exchanged, email);
        let found = federation.exchange(transport, scopes, &token).await;
        found.map_err(|error| self.refused(&error))
    }
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
