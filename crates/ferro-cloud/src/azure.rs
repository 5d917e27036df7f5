//! Microsoft Entra ID: secrets and certificates of applications, federated and managed identities.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ferro_http::{Request, Secret};
use http::{HeaderName, HeaderValue, Method};
use ring::digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::environment::{read_file, read_token};
use crate::sigv4::sha256;
use crate::token::{TokenAnswer, ask_json, post};
use crate::transport::{Transport, encode, query};
use crate::{Environment, Error, Expiring, Result, SigningKey};

const AUTHORITY: &str = "https://login.microsoftonline.com";
/// What asks for the whole of a resource.
const DEFAULT: &str = "/.default";
const INSTANCE: &str = "http://169.254.169.254";

/// The scope of tokens for Azure Blob Storage.
pub const STORAGE: &str = "https://storage.azure.com/.default";
/// The scope of tokens for Azure DevOps.
pub const DEVOPS: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";

/// A token of Microsoft Entra ID.
pub type Token = Expiring<Secret<String>>;

/// An application in a tenant.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// The tenant.
    pub tenant: String,
    /// The application.
    pub client: String,
    /// Who gives out tokens; Microsoft's public cloud where empty.
    pub authority: String,
}

impl Application {
    /// A token for the application's secret.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn by_secret(
        &self,
        transport: &Transport,
        scope: &str,
        secret: &Secret<String>,
    ) -> Result<Token> {
        self.token(transport, scope, &[("client_secret", secret.expose().as_str())])
            .await
    }

    /// A token for the application's certificate.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn by_certificate(
        &self,
        transport: &Transport,
        scope: &str,
        certificate: &Certificate,
    ) -> Result<Token> {
        let assertion = Secret::new(certificate.assertion(self)?);
        self.by_assertion(transport, scope, &assertion).await
    }

    /// A token for that of a federated identity.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn by_assertion(
        &self,
        transport: &Transport,
        scope: &str,
        assertion: &Secret<String>,
    ) -> Result<Token> {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        self.token(
            transport,
            scope,
            &[
                ("client_assertion_type", kind),
                ("client_assertion", assertion.expose().as_str()),
            ],
        )
        .await
    }

    fn url(&self) -> String {
        let authority = match self.authority.trim_end_matches('/') {
            "" => AUTHORITY,
            authority => authority,
        };
        format!("{authority}/{}/oauth2/v2.0/token", encode(&self.tenant))
    }

    async fn token(&self, transport: &Transport, scope: &str, proof: &[(&str, &str)]) -> Result<Token> {
        let mut pairs = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client.as_str()),
            ("scope", scope),
        ];
        pairs.extend_from_slice(proof);
        let url = self.url();
        if !url.starts_with("https://") && !url.starts_with("http://127.0.0.1:") {
            return Err(Error::credential("the authority host must use https"));
        }
        let answer: TokenAnswer = ask_json(transport, "Microsoft Entra ID", || post(&url, &pairs)).await?;
        Ok(answer.into_token())
    }
}

/// A certificate that an application is known by, with its key.
#[derive(Debug)]
pub struct Certificate {
    chain: Vec<Vec<u8>>,
    key: SigningKey,
    sends_chain: bool,
}

impl Certificate {
    /// Reads the PEM of a certificate, possibly of its issuers, and of the key.
    ///
    /// # Errors
    /// When something is missing, or the key is no RSA key.
    pub fn from_pem(pem: &[u8], sends_chain: bool) -> Result<Self> {
        let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem)
            .filter_map(std::result::Result::ok)
            .map(|certificate| certificate.to_vec())
            .collect();
        if chain.is_empty() {
            return Err(Error::credential(
                "found no certificate: it must be PEM, PKCS #12 is not supported",
            ));
        }
        let key = SigningKey::from_pem(pem)?;
        Ok(Self {
            chain,
            key,
            sends_chain,
        })
    }

    fn assertion(&self, application: &Application) -> Result<String> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let leaf = self.chain.first().map(Vec::as_slice).unwrap_or_default();
        // The protocol wants this digest; nothing depends on its strength.
        let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf);
        let mut header = vec![("x5t", Value::from(URL_SAFE_NO_PAD.encode(thumbprint)))];
        if self.sends_chain {
            let chain: Vec<String> = self
                .chain
                .iter()
                .map(|certificate| STANDARD.encode(certificate))
                .collect();
            header.push(("x5c", chain.into()));
        }
        let id = sha256(format!("{}{now}", application.client).as_bytes());
        let claims = json!({
            "aud": application.url(), "iss": application.client, "sub": application.client,
            "jti": id, "nbf": now, "iat": now, "exp": now + 600,
        });
        self.key.sign(&header, &claims)
    }
}

/// A token of the machine's identity, or of that of the application `client`.
///
/// # Errors
/// When there is no metadata server, or it refuses.
pub async fn managed(
    transport: &Transport,
    env: &Environment,
    scope: &str,
    client: Option<&str>,
) -> Result<Token> {
    let base = env
        .get("AZURE_POD_IDENTITY_AUTHORITY_HOST")
        .unwrap_or_else(|| INSTANCE.to_owned());
    let resource = scope.strip_suffix(DEFAULT).unwrap_or(scope);
    let mut pairs = vec![("api-version", "2018-02-01"), ("resource", resource)];
    pairs.extend(client.map(|client| ("client_id", client)));
    let base = base.trim_end_matches('/');
    let url = format!("{base}/metadata/identity/oauth2/token?{}", query(&pairs));
    let make = || {
        let name = HeaderName::from_static("metadata");
        Ok(Request::new(Method::GET, &url)?.header(name, HeaderValue::from_static("true")))
    };
    let answer: TokenAnswer = ask_json(transport, "Azure managed identity", make).await?;
    Ok(answer.into_token())
}

/// Looks for a token where Azure's libraries do: the application that the environment names by secret, certificate or federated token,
/// and the identity of the machine. `authority` stands in for that of the environment.
///
/// # Errors
/// When there is none, or what the environment names is refused.
pub async fn ambient(
    transport: &Transport,
    metadata: &Transport,
    env: &Environment,
    scope: &str,
    authority: Option<&str>,
) -> Result<Token> {
    let client = env.get("AZURE_CLIENT_ID");
    let authority = authority
        .map(str::to_owned)
        .or_else(|| env.get("AZURE_AUTHORITY_HOST"));
    if let (Some(tenant), Some(client)) = (env.get("AZURE_TENANT_ID"), client.clone()) {
        let application = Application {
            tenant,
            client,
            authority: authority.unwrap_or_default(),
        };
        if let Some(secret) = env.get("AZURE_CLIENT_SECRET") {
            return application
                .by_secret(transport, scope, &Secret::new(secret))
                .await;
        }
        if let Some(path) = env.get("AZURE_CLIENT_CERTIFICATE_PATH") {
            let pem = Secret::new(read_file(&path).await?);
            let certificate = Certificate::from_pem(pem.expose(), sends_chain(env))?;
            return application.by_certificate(transport, scope, &certificate).await;
        }
        if let Some(path) = env.get("AZURE_FEDERATED_TOKEN_FILE") {
            return application
                .by_assertion(transport, scope, &read_token(&path).await?)
                .await;
        }
    }
    managed(metadata, env, scope, client.as_deref()).await
}

fn sends_chain(env: &Environment) -> bool {
    env.get("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")
        .is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"))
}
