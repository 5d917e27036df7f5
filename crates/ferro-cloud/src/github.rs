//! GitHub Apps: a signed statement of who asks becomes a token of one installation, which is good for an hour.
//!
//! The protocol is that of <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>.

use std::time::SystemTime;

use ferro_http::{Auth, Request, SafeUrl, Secret, describe};
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::transport::{Transport, encode};
use crate::{Error, Expiring, Login, Result, SigningKey};

/// Where GitHub's own API is.
const API: &str = "https://api.github.com/";
/// The name that goes with a token at Git servers.
const USERNAME: &str = "x-access-token";
/// The most of an answer that is read.
const MAX_ANSWER: u64 = 1 << 20;
/// Our clock may be ahead of GitHub's by so much.
const DRIFT: u64 = 30;
/// How long a statement is valid; it is used at once.
const LIFETIME: u64 = 120;

/// Whose installation of the app is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installation {
    /// The one with this number.
    Id(u64),
    /// That of this organisation or user.
    Owner(String),
}

/// What a Secret says about an app.
#[derive(Clone, Debug)]
pub struct AppData {
    /// The number of the app.
    pub id: String,
    /// The number of the installation.
    pub installation_id: String,
    /// The organisation or user that has it installed.
    pub installation_owner: String,
    /// The address of the API; that of github.com where empty.
    pub base_url: String,
    /// The private key, in PEM.
    pub private_key: Secret<Vec<u8>>,
}

impl Default for AppData {
    fn default() -> Self {
        Self {
            id: String::new(),
            installation_id: String::new(),
            installation_owner: String::new(),
            base_url: String::new(),
            private_key: Secret::new(Vec::new()),
        }
    }
}

/// A GitHub App that can ask for tokens.
#[derive(Debug)]
pub struct App {
    id: u64,
    installation: Installation,
    key: SigningKey,
    base: SafeUrl,
}

impl App {
    /// Reads what a Secret says.
    ///
    /// # Errors
    /// With the text of the reference, when something is missing or malformed.
    pub fn new(data: &AppData) -> Result<Self> {
        let required = |what: &str| {
            Error::Credential(format!(
                "{what} must be provided to use github app authentication"
            ))
        };
        let id = number(&data.id).ok_or_else(|| required("app ID"))?;
        let installation = match (number(&data.installation_id), data.installation_owner.as_str()) {
            (None, "") => return Err(required("app installation owner or ID")),
            (Some(id), "") => Installation::Id(id),
            (None, owner) => Installation::Owner(owner.to_owned()),
            (Some(_), _) => return Err(required("only one of app installation owner or ID")),
        };
        if data.private_key.expose().is_empty() {
            return Err(required("private key"));
        }
        let key = SigningKey::from_pem(data.private_key.expose())
            .map_err(|error| Error::Credential(format!("could not parse private key: {error}")))?;
        Ok(Self {
            id,
            installation,
            key,
            base: base(&data.base_url)?,
        })
    }

    /// A login for the Git servers of the installation, with a token that is got for it.
    ///
    /// # Errors
    /// When there is no such installation, or GitHub refuses.
    pub async fn login(&self, transport: &Transport) -> Result<Expiring<Login>> {
        let statement = self.statement()?;
        let api = Api {
            transport,
            base: &self.base,
            statement,
        };
        let installation = match &self.installation {
            Installation::Id(id) => *id,
            Installation::Owner(owner) => api.installation_of(owner).await?,
        };
        let path = format!("app/installations/{installation}/access_tokens");
        let answer: TokenAnswer = api.call(&Method::POST, &path).await?;
        let login = Login {
            username: USERNAME.to_owned(),
            password: Secret::new(answer.token),
        };
        Ok(Expiring::until(login, &answer.expires_at))
    }

    fn statement(&self) -> Result<Secret<String>> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let issued = now.unwrap_or_default().as_secs().saturating_sub(DRIFT);
        let claims = json!({ "iat": issued, "exp": issued + LIFETIME, "iss": self.id.to_string() });
        self.key.sign(&[], &claims).map(Secret::new)
    }
}

/// A number that stands for something: none is zero.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|number| *number != 0)
}

fn base(text: &str) -> Result<SafeUrl> {
    let text = if text.is_empty() { API } else { text };
    let slash = if text.ends_with('/') { "" } else { "/" };
    let invalid = |reason: String| Error::Credential(format!("invalid API URL: {reason}"));
    let url = SafeUrl::parse(&format!("{text}{slash}")).map_err(|error| invalid(error.to_string()))?;
    let parsed = url.expose();
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none_or(str::is_empty) {
        return Err(invalid("it must be an http or https URL with a host".to_owned()));
    }
    Ok(url)
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
    expires_at: String,
}

#[derive(Deserialize)]
struct InstallationAnswer {
    id: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
}

/// GitHub's API, as an app sees it.
struct Api<'a> {
    transport: &'a Transport,
    base: &'a SafeUrl,
    statement: Secret<String>,
}

impl Api<'_> {
    /// The number of the installation of an organisation or else a user.
    async fn installation_of(&self, owner: &str) -> Result<u64> {
        let mut faults = Vec::new();
        for (path, what) in [("orgs", "organization"), ("users", "user")] {
            let path = format!("{path}/{}/installation", encode(owner));
            match self.call::<InstallationAnswer>(&Method::GET, &path).await {
                Ok(answer) => return Ok(answer.id),
                Err(error) => faults.push(format!(
                    "failed to find {what} installation: {}",
                    describe(&error)
                )),
            }
        }
        Err(Error::Credential(faults.join("\n")))
    }

    async fn call<T: DeserializeOwned>(&self, method: &Method, path: &str) -> Result<T> {
        let failed = |cause: &str| {
            let base = self.base;
            Error::Credential(format!("{method} {base}{path}: {cause}"))
        };
        let url = format!("{}{path}", self.base.expose());
        let response = self.transport.send(|| self.request(method, &url)).await?;
        let status = response.status();
        let body = response.bytes(MAX_ANSWER).await?;
        if !status.is_success() {
            let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
            let message = refusal.message.lines().next().unwrap_or_default().to_owned();
            return Err(failed(&format!("{} {message} []", status.as_u16())));
        }
        // The text of the parser may quote a token.
        serde_json::from_slice(&body).map_err(|_| failed("the answer is not the JSON that it should be"))
    }

    fn request(&self, method: &Method, url: &str) -> Result<Request> {
        let accept = HeaderValue::from_static("application/vnd.github+json");
        let version = HeaderValue::from_static("2022-11-28");
        Ok(Request::new(method.clone(), url)?
            .header(http::header::ACCEPT, accept)
            .header(HeaderName::from_static("x-github-api-version"), version)
            .auth(Auth::Bearer(self.statement.clone())))
    }
}
