//! Google Cloud: keys of service accounts, federated identities, the metadata server.

use std::time::SystemTime;

use ferro_http::{Auth, Request, Secret};
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;

use crate::environment::{read_file, read_token};
use crate::token::{TokenAnswer, ask, ask_json, post};
use crate::transport::{Transport, query};
use crate::{Environment, Error, Expiring, Result, SigningKey};

/// The scopes of tokens that read storage.
pub const STORAGE: &[&str] = &["https://www.googleapis.com/auth/devstorage.read_only"];
/// The scopes of tokens for all else.
pub const PLATFORM: &[&str] = &[CLOUD_PLATFORM, "https://www.googleapis.com/auth/userinfo.email"];
/// What federated tokens are asked for, of which others are made.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const STS: &str = "https://sts.googleapis.com";
const CREDENTIALS: &str = "https://iamcredentials.googleapis.com";
/// Where other addresses for Google's APIs are named, as `gcloud` has it.
const STS_ENV: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS";
const CREDENTIALS_ENV: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";
const METADATA: &str = "metadata.google.internal";

/// A token that opens Google's doors.
pub type Token = Expiring<Secret<String>>;

/// The key of a service account, as Google hands it out.
#[derive(Deserialize)]
pub struct ServiceAccountKey {
    client_email: String,
    private_key: Secret1,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    token_uri: String,
}

/// Reads into a [`Secret`].
struct Secret1(Secret<String>);

impl<'de> Deserialize<'de> for Secret1 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl std::fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccountKey")
            .field("client_email", &self.client_email)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It is not JSON.
    Json,
    /// Its `type` is not `service_account`.
    Type,
    /// It lacks the account or the key.
    Incomplete,
}

impl ServiceAccountKey {
    /// Reads the JSON text of a key.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, KeyFault> {
        let value: serde_json::Value = serde_json::from_slice(text).map_err(|_| KeyFault::Json)?;
        if value.get("type").and_then(serde_json::Value::as_str) != Some("service_account") {
            return Err(KeyFault::Type);
        }
        serde_json::from_value(value).map_err(|_| KeyFault::Incomplete)
    }

    /// Exchanges a signature with the key for a token.
    ///
    /// # Errors
    /// When the key is no RSA key, or the token service refuses.
    pub async fn token(&self, transport: &Transport, scopes: &[&str]) -> Result<Token> {
        let uri = match self.token_uri.as_str() {
            "" => TOKEN_URI,
            uri => uri,
        };
        let key = SigningKey::from_pem(self.private_key.0.expose().as_bytes())?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let claims = json!({
            "iss": self.client_email, "scope": scopes.join(" "), "aud": uri, "iat": now, "exp": now + 3600,
        });
        let assertion = key.sign(&[("kid", self.private_key_id.as_str().into())], &claims)?;
        let assertion = Secret::new(assertion);
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose().as_str()),
        ];
        let answer: TokenAnswer =
            ask_json(transport, "oauth2: cannot fetch token", || post(uri, &pairs)).await?;
        Ok(answer.into_token())
    }
}

/// How the token of another identity provider becomes one of Google's.
#[derive(Clone, Debug)]
pub struct Federation {
    /// The workload identity provider, as Google's token service names it.
    pub audience: String,
    /// The whole URL of the token service.
    pub token_url: String,
    /// The service account to act as: the whole URL that makes its tokens; empty for none.
    pub impersonation_url: String,
}

impl Federation {
    /// The one for `audience` at Google's token service, acting as the service account of that address.
    #[must_use]
    pub fn new(env: &Environment, audience: String, account: Option<&str>) -> Self {
        let impersonation_url = account.map(|account| {
            format!(
                "{}/v1/projects/-/serviceAccounts/{}:generateAccessToken",
                base(env, CREDENTIALS_ENV, CREDENTIALS),
                crate::transport::encode(account)
            )
        });
        Self {
            audience,
            token_url: token_url(env),
            impersonation_url: impersonation_url.unwrap_or_default(),
        }
    }

    /// Exchanges the token.
    ///
    /// # Errors
    /// When a token service refuses.
    pub async fn exchange(
        &self,
        transport: &Transport,
        scopes: &[&str],
        subject: &Secret<String>,
    ) -> Result<Token> {
        let is_direct = self.impersonation_url.is_empty();
        let scope = if is_direct {
            scopes.join(" ")
        } else {
            CLOUD_PLATFORM.to_owned()
        };
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", self.audience.as_str()),
            ("scope", scope.as_str()),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token", subject.expose().as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        let answer: TokenAnswer = ask_json(transport, "Google token exchange", || {
            post(&self.token_url, &pairs)
        })
        .await?;
        let federated = answer.into_token();
        if is_direct {
            return Ok(federated);
        }
        self.impersonate(transport, scopes, &federated.value).await
    }

    async fn impersonate(
        &self,
        transport: &Transport,
        scopes: &[&str],
        federated: &Secret<String>,
    ) -> Result<Token> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            access_token: String,
            #[serde(default)]
            expire_time: String,
        }
        let body = json!({ "scope": scopes, "lifetime": "3600s" }).to_string();
        let make = || {
            let json = HeaderValue::from_static("application/json");
            Ok(Request::new(Method::POST, &self.impersonation_url)?
                .header(http::header::CONTENT_TYPE, json)
                .auth(Auth::Bearer(federated.clone()))
                .body(body.clone()))
        };
        let answer: Answer = ask_json(transport, "Google service account impersonation", make).await?;
        let token = Secret::new(answer.access_token);
        Ok(match answer.expire_time.as_str() {
            "" => Expiring::for_seconds(token, 3600),
            moment => Expiring::until(token, moment),
        })
    }
}

/// The address of one of Google's APIs: Google's own, unless the environment names another.
fn base(env: &Environment, variable: &str, google: &str) -> String {
    let named = env.get(variable).unwrap_or_else(|| google.to_owned());
    named.trim_end_matches('/').to_owned()
}

fn token_url(env: &Environment) -> String {
    format!("{}/v1/token", base(env, STS_ENV, STS))
}

/// A file of application default credentials.
#[derive(Deserialize)]
struct ExternalAccount {
    audience: String,
    #[serde(default)]
    token_url: String,
    #[serde(default)]
    service_account_impersonation_url: String,
    credential_source: CredentialSource,
}

#[derive(Deserialize)]
struct CredentialSource {
    #[serde(default)]
    file: String,
}

/// Looks for a token as Google's libraries do: in the file that the environment names, or at the metadata server.
///
/// # Errors
/// When there is none, or the file is none that can be used.
pub async fn ambient(
    transport: &Transport,
    metadata: &Transport,
    env: &Environment,
    scopes: &[&str],
) -> Result<Token> {
    let Some(path) = env.get("GOOGLE_APPLICATION_CREDENTIALS") else {
        return from_metadata(metadata, env, scopes).await;
    };
    let content = Secret::new(read_file(&path).await?);
    let unusable = || {
        Error::credential(format!(
            "the credentials in '{path}' are neither the key of a service account nor an external account with a token file"
        ))
    };
    match ServiceAccountKey::parse(content.expose()) {
        Ok(key) => return key.token(transport, scopes).await,
        Err(KeyFault::Type) => {}
        Err(_) => return Err(unusable()),
    }
    let account: ExternalAccount = serde_json::from_slice(content.expose()).map_err(|_| unusable())?;
    if account.credential_source.file.is_empty() {
        return Err(unusable());
    }
    let subject = read_token(&account.credential_source.file).await?;
    let federation = Federation {
        audience: account.audience,
        token_url: match account.token_url {
            url if url.is_empty() => token_url(env),
            url => url,
        },
        impersonation_url: account.service_account_impersonation_url,
    };
    federation.exchange(transport, scopes, &subject).await
}

async fn from_metadata(transport: &Transport, env: &Environment, scopes: &[&str]) -> Result<Token> {
    let pairs = query(&[("scopes", &scopes.join(","))]);
    let url = metadata_url(env, &format!("instance/service-accounts/default/token?{pairs}"));
    let answer: TokenAnswer = ask_json(transport, METADATA_SERVER, || metadata_request(&url)).await?;
    Ok(answer.into_token())
}

const METADATA_SERVER: &str = "Google metadata server";

fn metadata_url(env: &Environment, path: &str) -> String {
    let host = env.get("GCE_METADATA_HOST");
    let host = host.as_deref().unwrap_or(METADATA);
    format!("http://{host}/computeMetadata/v1/{path}")
}

fn metadata_request(url: &str) -> Result<Request> {
    let name = HeaderName::from_static("metadata-flavor");
    Ok(Request::new(Method::GET, url)?.header(name, HeaderValue::from_static("Google")))
}

/// The cluster that the process runs in, if it is one of Google's.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The audience of tokens of its ServiceAccounts.
    pub pool: String,
    /// The audience of what they are exchanged for.
    pub audience: String,
}

/// Asks the metadata server for the cluster.
///
/// # Errors
/// When the cluster is none of Google's.
pub async fn cluster(metadata: &Transport, env: &Environment) -> Result<Cluster> {
    let get = async |path: &str| {
        let url = metadata_url(env, path);
        let body = ask(metadata, METADATA_SERVER, || metadata_request(&url)).await?;
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        let problem = || Error::credential(format!("{METADATA_SERVER}: {path} is empty"));
        Some(text).filter(|text| !text.is_empty()).ok_or_else(problem)
    };
    let project = get("project/project-id").await?;
    let location = get("instance/attributes/cluster-location").await?;
    let name = get("instance/attributes/cluster-name").await?;
    let pool = format!("{project}.svc.id.goog");
    let provider = format!(
        "https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}"
    );
    let audience = format!("identitynamespace:{pool}:{provider}");
    Ok(Cluster { pool, audience })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_tells_what_is_wrong() {
        let fault = |text: &str| ServiceAccountKey::parse(text.as_bytes()).map(drop).unwrap_err();
        assert_eq!(fault("{"), KeyFault::Json);
        assert_eq!(fault(r#"{"type":"authorized_user"}"#), KeyFault::Type);
        assert_eq!(fault(r#"{"type":"service_account"}"#), KeyFault::Incomplete);
        let key = r#"{"type":"service_account","client_email":"a@b","private_key":"hunter2"}"#;
        let key = ServiceAccountKey::parse(key.as_bytes()).unwrap();
        assert!(!format!("{key:?}").contains("hunter2"));
    }
}
