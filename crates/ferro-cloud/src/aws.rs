//! AWS: the environment, web identity, containers, instances; and the token service of MinIO for LDAP.

use ferro_http::{Request, Secret};
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;

use crate::environment::read_token;
use crate::token::{ask, ask_json, post};
use crate::transport::Transport;
use crate::{AwsCredentials, Environment, Error, Expiring, Result};

/// Where instances find their metadata.
const INSTANCE: &str = "http://169.254.169.254";
/// Where tasks of ECS find their credentials.
const TASK: &str = "http://169.254.170.2";
/// Hosts, besides this machine, that credentials of containers may come from: those of EKS's pod identity.
const POD_IDENTITY: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// Where credentials that nobody names are looked for.
#[derive(Debug)]
pub struct Ambient<'a> {
    /// How token services are reached.
    pub transport: &'a Transport,
    /// How metadata servers are reached: without a proxy, and without much patience.
    pub metadata: &'a Transport,
    /// The variables of the process.
    pub environment: &'a Environment,
    /// The region of what is to be reached; that of the environment where there is none.
    pub region: Option<&'a str>,
    /// The token service to use, in place of the one of the region.
    pub sts_endpoint: Option<&'a str>,
}

/// Looks for credentials as AWS's libraries do: in variables, by the token of a ServiceAccount, at the container's and at the instance's
/// metadata server.
///
/// # Errors
/// When there are none, or a place that has been named does not give them.
pub async fn ambient(ambient: &Ambient<'_>) -> Result<Expiring<AwsCredentials>> {
    let env = ambient.environment;
    if let (Some(access_key), Some(secret_key)) =
        (env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY"))
    {
        let credentials = AwsCredentials {
            access_key,
            secret_key: Secret::new(secret_key),
            session_token: env.get("AWS_SESSION_TOKEN").map(Secret::new),
        };
        return Ok(Expiring::for_seconds(credentials, 3600));
    }
    if let (Some(role), Some(file)) = (env.get("AWS_ROLE_ARN"), env.get("AWS_WEB_IDENTITY_TOKEN_FILE")) {
        let session = env
            .get("AWS_ROLE_SESSION_NAME")
            .unwrap_or_else(|| "source-controller".to_owned());
        let token = read_token(&file).await?;
        let endpoint = sts_endpoint(ambient)?;
        return web_identity(ambient.transport, &endpoint, &role, &session, &token).await;
    }
    if let Some(url) = container_url(env)? {
        return container(ambient.metadata, env, &url).await;
    }
    instance(ambient.metadata, env).await
}

/// The region of what is to be reached, or else that of the environment.
#[must_use]
pub fn region(ambient: &Ambient<'_>) -> Option<String> {
    let env = ambient.environment;
    let own = ambient.region.map(str::to_owned);
    own.or_else(|| env.get("AWS_REGION"))
        .or_else(|| env.get("AWS_DEFAULT_REGION"))
}

/// The address of the token service.
///
/// # Errors
/// When none is given, and no region is known.
pub fn sts_endpoint(ambient: &Ambient<'_>) -> Result<String> {
    if let Some(endpoint) = ambient.sts_endpoint {
        return Ok(endpoint.to_owned());
    }
    let region = region(ambient).ok_or_else(|| {
        Error::credential(
            "an AWS region is required for authentication: set AWS_REGION or the bucket's region",
        )
    })?;
    Ok(endpoint(ambient.environment, "STS", &region, |domain| {
        format!("https://sts.{region}.{domain}")
    }))
}

/// The address of a service: what the environment says, as AWS's libraries read it, or what `make` makes of the region's domain.
pub(crate) fn endpoint(
    env: &Environment,
    service: &str,
    region: &str,
    make: impl Fn(&str) -> String,
) -> String {
    let named = env.get(&format!("AWS_ENDPOINT_URL_{service}"));
    match named.or_else(|| env.get("AWS_ENDPOINT_URL")) {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => make(domain(region)),
    }
}

/// The domain of the services of a region.
fn domain(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-isof-", "csp.hci.ic.gov"),
    ];
    let found = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("amazonaws.com", |(_, domain)| domain)
}

/// Exchanges the token of a web identity for credentials of `role`.
///
/// # Errors
/// When the token service refuses.
pub async fn web_identity(
    transport: &Transport,
    endpoint: &str,
    role: &str,
    session: &str,
    token: &Secret<String>,
) -> Result<Expiring<AwsCredentials>> {
    let pairs = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session),
        ("WebIdentityToken", token.expose()),
    ];
    let body = ask(transport, "STS: AssumeRoleWithWebIdentity", || {
        post(endpoint, &pairs)
    })
    .await?;
    sts_credentials(utf8(&body)?, "AssumeRoleWithWebIdentityResponse")
}

/// Exchanges a user's name and password for credentials, at a MinIO with LDAP.
///
/// # Errors
/// When the token service refuses.
pub async fn ldap(
    transport: &Transport,
    endpoint: &str,
    username: &str,
    password: &Secret<String>,
) -> Result<Expiring<AwsCredentials>> {
    let pairs = [
        ("Action", "AssumeRoleWithLDAPIdentity"),
        ("Version", "2011-06-15"),
        ("LDAPUsername", username),
        ("LDAPPassword", password.expose()),
    ];
    let body = ask(transport, "STS: AssumeRoleWithLDAPIdentity", || {
        post(endpoint, &pairs)
    })
    .await?;
    sts_credentials(utf8(&body)?, "AssumeRoleWithLDAPIdentityResponse")
}

fn sts_credentials(xml: &str, root: &str) -> Result<Expiring<AwsCredentials>> {
    let malformed = |problem: &str| Error::credential(format!("STS: the answer is malformed: {problem}"));
    let document = roxmltree::Document::parse(xml).map_err(|error| malformed(&error.to_string()))?;
    if document.root_element().tag_name().name() != root {
        return Err(malformed(&format!("expected {root}")));
    }
    let credentials = document
        .descendants()
        .find(|node| node.tag_name().name() == "Credentials")
        .ok_or_else(|| malformed("it has no credentials"))?;
    let text = |name: &str| {
        let child = credentials.children().find(|node| node.tag_name().name() == name);
        child
            .and_then(|child| child.text())
            .unwrap_or_default()
            .to_owned()
    };
    let value = AwsCredentials {
        access_key: text("AccessKeyId"),
        secret_key: Secret::new(text("SecretAccessKey")),
        session_token: Some(text("SessionToken"))
            .filter(|token| !token.is_empty())
            .map(Secret::new),
    };
    if value.access_key.is_empty() || value.secret_key.expose().is_empty() {
        return Err(malformed("it has no credentials"));
    }
    Ok(Expiring::until(value, &text("Expiration")))
}

fn utf8(body: &[u8]) -> Result<&str> {
    std::str::from_utf8(body).map_err(|_| Error::credential("the answer is not UTF-8"))
}

/// Credentials as metadata servers write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    expiration: String,
}

impl From<Document> for Expiring<AwsCredentials> {
    fn from(document: Document) -> Self {
        let value = AwsCredentials {
            access_key: document.access_key_id,
            secret_key: Secret::new(document.secret_access_key),
            session_token: Some(document.token)
                .filter(|token| !token.is_empty())
                .map(Secret::new),
        };
        Self::until(value, &document.expiration)
    }
}

/// Where a container's credentials are, if there is such a place.
fn container_url(env: &Environment) -> Result<Option<String>> {
    if let Some(path) = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        return Ok(Some(format!("{TASK}{path}")));
    }
    let Some(url) = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") else {
        return Ok(None);
    };
    // A token goes there: in clear only to this machine.
    let parsed = url::Url::parse(&url)
        .map_err(|error| Error::credential(format!("AWS_CONTAINER_CREDENTIALS_FULL_URI: {error}")))?;
    let is_local = match parsed.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_known = POD_IDENTITY.contains(&parsed.host_str().unwrap_or_default());
    if parsed.scheme() != "https" && !is_local && !is_known {
        return Err(Error::credential(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine",
        ));
    }
    Ok(Some(url))
}

async fn container(transport: &Transport, env: &Environment, url: &str) -> Result<Expiring<AwsCredentials>> {
    let token = match env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(read_token(&file).await?),
        None => env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
    };
    let make = || {
        let request = Request::new(Method::GET, url)?;
        match &token {
            Some(token) => Ok(request.header(http::header::AUTHORIZATION, hidden(token.expose())?)),
            None => Ok(request),
        }
    };
    let document: Document = ask_json(transport, "container credentials", make).await?;
    Ok(document.into())
}

/// The second version of the protocol: a token is fetched first.
async fn instance(transport: &Transport, env: &Environment) -> Result<Expiring<AwsCredentials>> {
    const WHO: &str = "EC2 instance metadata";
    if env
        .get("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    {
        return Err(Error::credential("no credentials found in the environment"));
    }
    let base = env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let base = base
        .as_deref()
        .unwrap_or(INSTANCE)
        .trim_end_matches('/')
        .to_owned();
    let token = ask(transport, WHO, || {
        let lifetime = HeaderValue::from_static("21600");
        let name = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
        Ok(Request::new(Method::PUT, &format!("{base}/latest/api/token"))?.header(name, lifetime))
    })
    .await?;
    let token = Secret::new(utf8(&token)?.to_owned());
    let get = |path: &str| {
        let name = HeaderName::from_static("x-aws-ec2-metadata-token");
        Ok(Request::new(Method::GET, &format!("{base}{path}"))?.header(name, hidden(token.expose())?))
    };
    let roles = "/latest/meta-data/iam/security-credentials/";
    let role = ask(transport, WHO, || get(roles)).await?;
    let role = utf8(&role)?.lines().next().unwrap_or_default().trim();
    let path = format!("{roles}{}", crate::transport::encode(role));
    let document: Document = ask_json(transport, WHO, || get(&path)).await?;
    Ok(document.into())
}

fn hidden(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::credential("the token holds characters that cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_url_goes_only_where_a_token_may_go() {
        let url =
            |value: &str| container_url(&Environment::of(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", value)]));
        for value in [
            "http://127.0.0.1:51679/v1",
            "http://169.254.170.23/v1/credentials",
            "https://example.com/c",
        ] {
            assert_eq!(url(value).unwrap().as_deref(), Some(value));
        }
        for value in ["http://example.com/c", "http://10.0.0.1/c", "nonsense"] {
            assert!(url(value).is_err(), "{value}");
        }
        let relative = Environment::of(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")]);
        assert_eq!(
            container_url(&relative).unwrap().as_deref(),
            Some("http://169.254.170.2/v2/x")
        );
    }
}
