//! Logins for the registries of clouds: Amazon's ECR, Azure's Container Registry, Google's Artifact Registry.
//!
//! Which hosts belong to a cloud is checked before anything is asked for: a login must not go to somebody else's registry.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ferro_http::{Request, SafeUrl, Secret};
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::environment::read_file;
use crate::sigv4::{self, Scope, Signable};
use crate::token::{ask_json, post};
use crate::transport::Transport;
use crate::{AwsCredentials, Environment, Error, Expiring, Login, Result, aws};

const AMAZON_PATTERN: &str = r"^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-zA-Z0-9][a-zA-Z0-9_-]{0,99})\.(amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$";
const AZURE_PATTERN: &str = r"^.+\.(azurecr\.io|azurecr\.cn|azurecr\.de|azurecr\.us)$";
const GOOGLE_PATTERN: &str = r"^(((.+\.)?gcr\.io)|(.+-docker\.pkg\.dev)|(docker\.s3nsregistry\.fr))$";

/// The domains of Amazon's private registries.
const AMAZON_DOMAINS: [&str; 9] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];
/// Amazon's public registry, by the names that it has.
const AMAZON_PUBLIC: [&str; 2] = ["public.ecr.aws", "ecr-public.aws.com"];
/// Where logins for the public registry come from.
const PUBLIC_REGION: &str = "us-east-1";

/// The name that stands for a token at Azure's registries.
const AZURE_USERNAME: &str = "00000000-0000-0000-0000-000000000000";
/// What tokens for Azure's registries are asked for.
const AZURE_SCOPE: &str = "https://containerregistry.azure.net/.default";
/// Names a file about a cloud that is none of Azure's own.
const AZURE_FILE: &str = "AZURE_ENVIRONMENT_FILEPATH";

/// The name that stands for a token at Google's registries.
const GOOGLE_USERNAME: &str = "oauth2accesstoken";

fn foreign(cloud: &str, host: &str, pattern: &str) -> Error {
    Error::Credential(format!(
        "invalid {cloud} registry: '{host}'. must match {pattern}"
    ))
}

/// A registry of Amazon's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amazon {
    region: String,
    is_public: bool,
}

impl Amazon {
    /// The registry at `host`.
    ///
    /// # Errors
    /// With the text of the reference, when it is none of Amazon's.
    pub fn parse(host: &str) -> Result<Self> {
        if AMAZON_PUBLIC.contains(&host) {
            return Ok(Self {
                region: PUBLIC_REGION.to_owned(),
                is_public: true,
            });
        }
        let region = private_region(host).ok_or_else(|| foreign("AWS", host, AMAZON_PATTERN))?;
        Ok(Self {
            region: region.to_owned(),
            is_public: false,
        })
    }

    /// The region of the registry.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A login for the registry.
    ///
    /// # Errors
    /// When the registry's API refuses.
    pub async fn login(
        &self,
        transport: &Transport,
        env: &Environment,
        credentials: &AwsCredentials,
    ) -> Result<Expiring<Login>> {
        let region = self.region.as_str();
        let (service, name, target) = if self.is_public {
            ("ecr-public", "ECR_PUBLIC", "SpencerFrontendService")
        } else {
            ("ecr", "ECR", "AmazonEC2ContainerRegistry_V20150921")
        };
        let endpoint = aws::endpoint(env, name, region, |domain| {
            format!("https://api.{service}.{region}.{domain}")
        });
        let call = Call {
            endpoint: &format!("{endpoint}/"),
            target: &format!("{target}.GetAuthorizationToken"),
            service,
            region,
        };
        let answer: AmazonAnswer = ask_json(transport, "ECR: GetAuthorizationToken", || {
            call.signed(credentials)
        })
        .await?;
        answer.login()
    }
}

/// The region in the name of a private registry: `<account>.dkr.ecr[-fips].<region>.<domain>`, or with a hyphen after `dkr`.
fn private_region(host: &str) -> Option<&str> {
    let (account, rest) = host.split_at_checked(12)?;
    let rest = rest
        .strip_prefix(".dkr.ecr")
        .or_else(|| rest.strip_prefix(".dkr-ecr"))?;
    let rest = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?;
    let (region, domain) = rest.split_once('.')?;
    let is_region = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_valid = account.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=100).contains(&region.len())
        && region.bytes().all(is_region)
        && !region.starts_with(['_', '-'])
        && AMAZON_DOMAINS.contains(&domain);
    is_valid.then_some(region)
}

/// A call of an API of Amazon's that speaks JSON.
struct Call<'a> {
    endpoint: &'a str,
    target: &'a str,
    service: &'a str,
    region: &'a str,
}

impl Call<'_> {
    fn signed(&self, credentials: &AwsCredentials) -> Result<Request> {
        const BODY: &str = "{}";
        const KIND: &str = "application/x-amz-json-1.1";
        let scope = Scope {
            region: self.region,
            service: self.service,
            at: Timestamp::now(),
        };
        let request = Request::new(Method::POST, self.endpoint)?;
        let url: SafeUrl = request.url().clone();
        let (host, date) = (sigv4::host_of(&url), scope.date());
        let mut headers = vec![
            ("content-type", KIND),
            ("host", host.as_str()),
            ("x-amz-date", date.as_str()),
        ];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token.expose().as_str()));
        }
        headers.push(("x-amz-target", self.target));
        let signable = Signable {
            method: "POST",
            path: url.expose().path(),
            query: url.expose().query().unwrap_or_default(),
            headers: &headers,
            payload: &sigv4::sha256(BODY.as_bytes()),
        };
        let authorization = sigv4::authorization(&signable, credentials, &scope);
        sigv4::sign(request.body(BODY), &headers, &authorization)
    }
}

/// What both APIs answer: a list at the private registries, one at the public one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AmazonAnswer {
    #[serde(default)]
    authorization_data: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: SecretText,
    expires_at: f64,
}

impl AmazonAnswer {
    fn login(self) -> Result<Expiring<Login>> {
        let data = match self.authorization_data {
            Value::Array(mut list) if !list.is_empty() => list.swap_remove(0),
            Value::Array(_) | Value::Null => return Err(Error::credential("no authorization data returned")),
            other => other,
        };
        let malformed = || Error::credential("invalid authorization token format");
        let data: Authorization = serde_json::from_value(data).map_err(|_| malformed())?;
        let text = STANDARD.decode(data.authorization_token.0.expose());
        let text = Secret::new(text.map_err(|_| malformed())?);
        let text = std::str::from_utf8(text.expose()).map_err(|_| malformed())?;
        let (username, password) = text.split_once(':').ok_or_else(malformed)?;
        if username.is_empty() || password.is_empty() || password.contains(':') {
            return Err(malformed());
        }
        let login = Login {
            username: username.to_owned(),
            password: Secret::from(password),
        };
        // A number that is none becomes zero, so that nothing is kept.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let until = data.expires_at as u64;
        Ok(Expiring::until_unix(login, until))
    }
}

/// Reads into a [`Secret`].
struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// A registry of Azure's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Azure {
    host: String,
    scope: String,
}

/// What a file says about a cloud that is none of Azure's own.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AzureFile {
    #[serde(rename = "containerRegistryDNSSuffix")]
    suffix: String,
    resource_manager_endpoint: String,
    token_audience: String,
}

impl Azure {
    /// The registry at `host`.
    ///
    /// # Errors
    /// With the text of the reference, when it is none of Azure's, nor of the cloud of the file that the environment names.
    pub async fn parse(host: &str, env: &Environment) -> Result<Self> {
        let is_public = [".azurecr.io", ".azurecr.cn", ".azurecr.de", ".azurecr.us"]
            .iter()
            .any(|suffix| host.strip_suffix(suffix).is_some_and(|name| !name.is_empty()));
        let Some(path) = env.get(AZURE_FILE) else {
            let scope = AZURE_SCOPE.to_owned();
            let host = host.to_owned();
            return if is_public {
                Ok(Self { host, scope })
            } else {
                Err(foreign("Azure", &host, AZURE_PATTERN))
            };
        };
        let file: AzureFile = serde_json::from_slice(&read_file(&path).await?)
            .map_err(|error| Error::Credential(format!("failed to parse '{path}': {error}")))?;
        if !is_public && file.suffix.is_empty() {
            return Err(Error::credential(
                "failed to get container registry suffix from environment file: containerRegistryDNSSuffix is not set",
            ));
        }
        if !is_public && !host.ends_with(&file.suffix) {
            let suffix = &file.suffix;
            return Err(Error::Credential(format!(
                "invalid Azure registry: '{host}'. must end with {suffix}"
            )));
        }
        if file.resource_manager_endpoint.is_empty() || file.token_audience.is_empty() {
            return Err(Error::credential(
                "resourceManagerEndpoint and tokenAudience must be set in the environment file",
            ));
        }
        Ok(Self {
            host: host.to_owned(),
            scope: format!("{}/.default", file.resource_manager_endpoint),
        })
    }

    /// What a token that becomes a login is asked for.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Has the registry exchange a token of Microsoft Entra ID for a login.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn login(&self, transport: &Transport, token: &Secret<String>) -> Result<Expiring<Login>> {
        #[derive(Deserialize)]
        struct Answer {
            refresh_token: String,
        }
        let pairs = [
            ("grant_type", "access_token"),
            ("service", self.host.as_str()),
            ("access_token", token.expose().as_str()),
        ];
        let url = format!("https://{}/oauth2/exchange", self.host);
        let answer: Answer = ask_json(transport, "Azure Container Registry", || post(&url, &pairs)).await?;
        let until = expiry(&answer.refresh_token).ok_or_else(|| {
            Error::credential("Azure Container Registry: the refresh token does not say when it expires")
        })?;
        let login = Login {
            username: AZURE_USERNAME.to_owned(),
            password: Secret::new(answer.refresh_token),
        };
        Ok(Expiring::until_unix(login, until))
    }
}

/// When a JSON Web Token expires, in seconds. Who signed it is the registry's business.
fn expiry(token: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    Some(claims.exp as u64)
}

/// A registry of Google's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Google(());

impl Google {
    /// The registry at `host`.
    ///
    /// # Errors
    /// With the text of the reference, when it is none of Google's.
    pub fn parse(host: &str) -> Result<Self> {
        let has_name = |suffix: &str| host.strip_suffix(suffix).is_some_and(|name| !name.is_empty());
        let is_google = matches!(host, "gcr.io" | "docker.s3nsregistry.fr")
            || has_name(".gcr.io")
            || has_name("-docker.pkg.dev");
        if is_google {
            Ok(Self(()))
        } else {
            Err(foreign("GCP", host, GOOGLE_PATTERN))
        }
    }

    /// A token of Google's as a login.
    #[must_use]
    pub fn login(self, token: Secret<String>) -> Login {
        Login {
            username: GOOGLE_USERNAME.to_owned(),
            password: token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_amazon_have_a_region() {
        for (host, region) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
            ("123456789012.dkr.ecr-fips.us-east-2.amazonaws.com", "us-east-2"),
            ("123456789012.dkr-ecr.us-east-2.on.aws", "us-east-2"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (
                "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
            ("public.ecr.aws", "us-east-1"),
        ] {
            assert_eq!(Amazon::parse(host).unwrap().region(), region, "{host}");
        }
        for host in [
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.com",
            "123456789012.dkr.ecr.eu-west-1.evil.com",
            "x123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.-x.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789ü2.dkr.ecr.eu-west-1.amazonaws.com",
            "ghcr.io",
            "",
        ] {
            let error = Amazon::parse(host).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("invalid AWS registry: '{host}'. must match ^")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn hosts_of_azure_and_google_are_known() {
        let env = Environment::of(&[]);
        let azure = Azure::parse("app.azurecr.io", &env).await.unwrap();
        assert_eq!(azure.scope(), "https://containerregistry.azure.net/.default");
        for host in [
            "azurecr.io",
            ".azurecr.io",
            "app.azurecr.io.evil.com",
            "app.azurecr.io:5000",
        ] {
            let error = Azure::parse(host, &env).await.unwrap_err().to_string();
            assert!(error.starts_with("invalid Azure registry: "), "{error}");
        }
        for host in [
            "gcr.io",
            "eu.gcr.io",
            "europe-docker.pkg.dev",
            "docker.s3nsregistry.fr",
        ] {
            assert!(Google::parse(host).is_ok(), "{host}");
        }
        for host in ["xgcr.io", "-docker.pkg.dev", "gcr.io.evil.com", "docker.pkg.dev"] {
            let error = Google::parse(host).unwrap_err().to_string();
            assert!(error.starts_with("invalid GCP registry: "), "{error}");
        }
    }

    #[test]
    fn expiry_is_that_of_the_claims() {
        let token = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(expiry(&token(r#"{"exp":1700000000}"#)), Some(1_700_000_000));
        for text in ["", "a.b.c", &token("{}"), &token("null")] {
            assert_eq!(expiry(text), None, "{text}");
        }
    }

    #[test]
    fn authorization_data_of_amazon_is_read_or_refused() {
        let login = |data: &str| {
            let answer: AmazonAnswer =
                serde_json::from_str(&format!("{{\"authorizationData\":{data}}}")).unwrap();
            answer.login()
        };
        let good = format!(
            r#"{{"authorizationToken":"{}","expiresAt":4102444800.5}}"#,
            STANDARD.encode("AWS:hunter2")
        );
        for data in [good.clone(), format!("[{good}]")] {
            let found = login(&data).unwrap();
            assert_eq!(found.value.username, "AWS");
            assert_eq!(found.value.password.expose(), "hunter2");
            assert!(!format!("{found:?}").contains("hunter2"));
        }
        assert_eq!(
            login("[]").unwrap_err().to_string(),
            "no authorization data returned"
        );
        let whole = good.replace(&STANDARD.encode("AWS:hunter2"), &STANDARD.encode("hunter2"));
        for data in [
            r#""x""#,
            "[{}]",
            r#"{"authorizationToken":"%","expiresAt":1}"#,
            &whole,
        ] {
            let error = login(data).unwrap_err().to_string();
            assert_eq!(error, "invalid authorization token format");
        }
    }
}
