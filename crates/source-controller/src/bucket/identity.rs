//! The cloud identity of a ServiceAccount of the object's namespace (`spec/sources-and-images.md` section 8.4): its token is exchanged at the
//! cloud's token service.

use ferro_bucket::credential::azure::Application;
use ferro_bucket::credential::gcp::Federation;
use ferro_bucket::credential::{Environment, Expiring, aws, gcp};
use ferro_bucket::{AwsCredentials, Error, Result, Transport};
use ferro_http::Secret;
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
pub(super) struct Identity<'a> {
    pub client: &'a Client,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Identity<'_> {
    fn api(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    fn failed(&self, what: &str, error: &kube::Error) -> Error {
        let (namespace, name) = (self.namespace, self.name);
        let cause = match error {
            kube::Error::Api(status) => status.message.clone(),
            error => chain(error),
        };
        Error::Credential(format!(
            "failed to {what} service account '{namespace}/{name}': {cause}"
        ))
    }

    async fn account(&self) -> Result<ServiceAccount> {
        let account = self.api().get(self.name).await;
        account.map_err(|error| self.failed("get", &error))
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
            .api()
            .create_token_request(self.name, &PostParams::default(), &request)
            .await;
        let answer = answer.map_err(|error| self.failed("create kubernetes token for", &error))?;
        let token = answer.status.unwrap_or_default().token;
        Ok(Secret::new(token.unwrap_or_default()))
    }

    /// Credentials of the role that the ServiceAccount names.
    pub(super) async fn aws(&self, ambient: &aws::Ambient<'_>) -> Result<Expiring<AwsCredentials>> {
        let account = self.account().await?;
        let role = account.annotations().get(AWS_ROLE).cloned().unwrap_or_default();
        if !is_role(&role) {
            return Err(invalid(
                AWS_ROLE,
                &role,
                r"^arn:aws[\w-]*:iam::[0-9]{1,30}:role/.{1,200}$",
            ));
        }
        let endpoint = aws::sts_endpoint(ambient)?;
        let region = aws::region(ambient).unwrap_or_default();
        let session = format!("{}.{}.{region}.fluxcd.io", self.name, self.namespace);
        let session: String = session.chars().take(MAX_SESSION).collect();
        let token = self.token(AWS_AUDIENCE).await?;
        aws::web_identity(ambient.transport, &endpoint, &role, &session, &token).await
    }

    /// A token of the application that the ServiceAccount names.
    pub(super) async fn azure(
        &self,
        transport: &Transport,
        env: &Environment,
    ) -> Result<Expiring<Secret<String>>> {
        let account = self.account().await?;
        let annotation = |name: &str, what: &str| {
            let value = account.annotations().get(name).cloned();
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                Error::Credential(format!(
                    "azure {what} is not set in the service account annotation {name}"
                ))
            })
        };
        let application = Application {
            tenant: annotation(AZURE_TENANT, "tenant ID")?,
            client: annotation(AZURE_CLIENT, "client ID")?,
            authority: env.get("AZURE_AUTHORITY_HOST").unwrap_or_default(),
        };
        let token = self.token(AZURE_AUDIENCE).await?;
        application.by_assertion(transport, &token).await
    }

    /// A token for what the ServiceAccount may do itself, or for the account that it names.
    pub(super) async fn gcp(
        &self,
        transport: &Transport,
        metadata: &Transport,
        env: &Environment,
    ) -> Result<Expiring<Secret<String>>> {
        let account = self.account().await?;
        let annotation = |name: &str| {
            let value = account.annotations().get(name).map(String::as_str);
            value.filter(|value| !value.is_empty())
        };
        let email = annotation(GCP_ACCOUNT);
        if let Some(email) = email.filter(|email| !is_account(email)) {
            let pattern = r"^[a-zA-Z0-9-]{1,100}@[a-zA-Z0-9-]{1,100}\.iam\.gserviceaccount\.com$";
            return Err(invalid(GCP_ACCOUNT, email, pattern));
        }
        let (kubernetes, exchanged) = match annotation(GCP_PROVIDER) {
            Some(provider) if !is_provider(provider) => {
                let pattern = r"^projects/\d{1,30}/locations/global/workloadIdentityPools/[^/]{1,100}/providers/[^/]{1,100}$";
                return Err(invalid(GCP_PROVIDER, provider, pattern));
            }
            Some(provider) => {
                let audience = format!("//iam.googleapis.com/{provider}");
                (audience.clone(), audience)
            }
            None => {
                let cluster = gcp::cluster(metadata, env).await?;
                (cluster.pool, cluster.audience)
            }
        };
        let token = self.token(&kubernetes).await?;
        Federation::new(exchanged, email)
            .exchange(transport, &token)
            .await
    }
}

fn invalid(annotation: &str, value: &str, pattern: &str) -> Error {
    Error::Credential(format!(
        "invalid {annotation} annotation: '{value}'. must match {pattern}"
    ))
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
