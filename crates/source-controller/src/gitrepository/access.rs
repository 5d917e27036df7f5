//! How a repository is reached: address, proxy, credentials, and the errors of each
//! (`spec/sources-and-images.md` sections 8.1, 10.3, 10.4 and 10.6).

use ferro_api::source::{GitProvider, GitRepository};
use ferro_api::{reason, secret_key as key};
use ferro_cloud::github::AppData;
use ferro_git::{Auth, Remote, RepositoryUrl, SshAuth, SshOptions};
use ferro_http::{ClientOptions, ProxyOptions, Secret, TlsOptions};
use kube::{Client, ResourceExt};
use tokio::time::timeout;
use url::Url;

use super::identity;
use crate::auth::cloud::{Asker, Cloud};
use crate::auth::{self, ReadError, SecretData};
use crate::reconcile::{Failure, namespaced};

/// Keys of Secrets for GitHub Apps, besides that of the app's number.
const APP_INSTALLATION_ID: &str = "githubAppInstallationID";
const APP_INSTALLATION_OWNER: &str = "githubAppInstallationOwner";
const APP_PRIVATE_KEY: &str = "githubAppPrivateKey";
const APP_BASE_URL: &str = "githubAppBaseURL";

/// Reads the Secrets that `object` refers to and puts together how its repository is reached.
///
/// # Errors
/// With the condition and the text that the reference gives to each fault.
pub(super) async fn remote(
    cloud: &Cloud,
    ssh: &SshOptions,
    object: &GitRepository,
) -> Result<Remote, Failure> {
    let client = &cloud.client;
    let proxy = proxy(client, object).await?;
    let url = parse_url(&object.spec.url)?;
    let secret = credentials(client, object).await?;
    let mut remote = build(&url, secret.as_ref(), proxy).map_err(|error| unconfigured(&error.to_string()))?;
    remote.ssh = ssh.clone();
    // A server may be silent for as long as the whole fetch may take, while it counts objects.
    let patience = object.spec.timeout_or_default().to_std();
    (remote.http.connect_timeout, remote.http.idle_timeout) = (patience, patience);
    if let (Auth::Ssh(auth), Some(secret)) = (&remote.auth, &secret)
        && auth.passphrase.is_none()
        && identity::is_encrypted(auth.identity.expose())
    {
        let id = &secret.id;
        let message = format!(
            "SSH identity key is encrypted but no 'password' field was provided in the secret '{id}'"
        );
        return Err(Failure::fetch(reason::AUTHENTICATION_FAILED, message));
    }
    check_provider(object, secret.as_ref(), cloud)?;
    // What a provider gives takes the place of what the Secret or the address has.
    let login = login(cloud, object, secret.as_ref(), &remote);
    let login = timeout(patience, login).await;
    let login = login.map_err(|_| unconfigured("context deadline exceeded"))?;
    if let Some(auth) = login.map_err(|cause| unconfigured(&cause))? {
        remote.auth = Auth::Http(auth);
    }
    Ok(remote)
}

fn unconfigured(cause: &str) -> Failure {
    let message = format!("failed to configure authentication options: {cause}");
    Failure::fetch(reason::AUTHENTICATION_FAILED, message)
}

/// The login that the provider gives; none where there is no provider.
async fn login(
    cloud: &Cloud,
    object: &GitRepository,
    secret: Option<&SecretData>,
    remote: &Remote,
) -> Result<Option<ferro_http::Auth>, String> {
    if matches!(remote.auth, Auth::Ssh(_)) {
        // A key is a login already.
        return Ok(None);
    }
    match (object.spec.provider_or_default(), secret) {
        (GitProvider::GitHub, Some(secret)) => {
            let auth = cloud.github(&app_data(secret), &remote.http).await;
            auth.map(Some)
        }
        (provider, _) => {
            let namespace = object.namespace().unwrap_or_default();
            let asker = Asker {
                namespace: &namespace,
                account: object.spec.service_account_name.as_deref(),
                may_be_object: true,
                http: &remote.http,
            };
            cloud.git(provider, remote.url.url(), &asker).await
        }
    }
}

fn app_data(secret: &SecretData) -> AppData {
    let text = |key| secret.text(key).expose().clone();
    AppData {
        id: text(key::GITHUB_APP_ID),
        installation_id: text(APP_INSTALLATION_ID),
        installation_owner: text(APP_INSTALLATION_OWNER),
        base_url: text(APP_BASE_URL),
        private_key: Secret::new(secret.get(APP_PRIVATE_KEY).unwrap_or_default().to_vec()),
    }
}

async fn proxy(client: &Client, object: &GitRepository) -> Result<ProxyOptions, Failure> {
    let Some(reference) = &object.spec.proxy_secret_ref else {
        return Ok(ProxyOptions::Environment);
    };
    let failed = |cause: String| {
        let message = format!("failed to configure proxy options: {cause}");
        Failure::fetch(reason::AUTHENTICATION_FAILED, message)
    };
    let id = namespaced(object, &reference.name);
    let namespace = object.namespace().unwrap_or_default();
    let secret = auth::read(client, &namespace, &reference.name)
        .await
        .map_err(|error| match error {
            ReadError::NotFound(_) => failed(format!("secret '{id}' not found")),
            ReadError::Api(cause) => failed(format!("failed to get secret '{id}': {cause}")),
        })?;
    auth::proxy(&secret).map_err(|error| failed(error.to_string()))
}

async fn credentials(client: &Client, object: &GitRepository) -> Result<Option<SecretData>, Failure> {
    let Some(reference) = &object.spec.secret_ref else {
        return Ok(None);
    };
    let namespace = object.namespace().unwrap_or_default();
    match auth::read(client, &namespace, &reference.name).await {
        Ok(secret) => Ok(Some(secret)),
        Err(error) => {
            let id = namespaced(object, &reference.name);
            let message = format!("failed to get secret '{id}': {error}");
            Err(Failure::fetch(reason::AUTHENTICATION_FAILED, message))
        }
    }
}

/// Parses the address; one that is none can only be mended by the user.
fn parse_url(text: &str) -> Result<Url, Failure> {
    let invalid = |cause: String| {
        let message = format!("failed to parse url '{}': {cause}", without_userinfo(text));
        Failure::fetch(reason::URL_INVALID, message).stalling()
    };
    let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("empty host".to_owned()));
    }
    Ok(url)
}

/// An address that may be malformed, without anything that could be credentials: what stands before the last `@`, wherever that
/// is, because a password that was not encoded may hold a slash.
fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.rsplit_once('@').map_or(text, |(_, host)| host).to_owned();
    };
    let shown = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{shown}")
}

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
enum AccessError {
    #[error("invalid '{scheme}' auth option: {problem}")]
    Invalid { scheme: String, problem: &'static str },
    #[error("unknown transport '{0}'")]
    Scheme(String),
    #[error("basic auth and bearer token cannot be set at the same time")]
    BasicAndBearer,
    #[error(transparent)]
    Content(#[from] auth::ContentError),
    #[error(transparent)]
    Url(#[from] Box<ferro_git::Error>),
}

/// What the address and the Secret make together. Credentials of an HTTP address go from the address to the login; the user of an SSH
/// address stays in it.
fn build(url: &Url, secret: Option<&SecretData>, proxy: ProxyOptions) -> Result<Remote, AccessError> {
    let mut url = url.clone();
    let (auth, tls) = match url.scheme() {
        "ssh" => (ssh(&url, secret)?, TlsOptions::default()),
        "http" | "https" => {
            let tls = secret.map(auth::tls).transpose()?.unwrap_or_default();
            let auth = http(&url, secret)?;
            // Fails only for addresses without a host.
            let _always_has_host = url.set_username("");
            (auth, tls)
        }
        other => return Err(AccessError::Scheme(other.to_owned())),
    };
    let _always_has_host = url.set_password(None);
    Ok(Remote {
        url: RepositoryUrl::parse(url.as_str()).map_err(Box::new)?,
        auth,
        http: ClientOptions {
            tls,
            proxy,
            ..ClientOptions::default()
        },
        ssh: SshOptions::default(),
    })
}

fn ssh(url: &Url, secret: Option<&SecretData>) -> Result<Auth, AccessError> {
    let required = |key: &str, problem| {
        let has_key = |secret: &&SecretData| secret.bytes(key).is_some();
        let secret = secret.filter(has_key).ok_or_else(|| AccessError::Invalid {
            scheme: url.scheme().to_owned(),
            problem,
        })?;
        Ok::<_, AccessError>(secret.text(key))
    };
    let identity = required(key::IDENTITY, "'identity' is required")?;
    let known_hosts = required(key::KNOWN_HOSTS, "'known_hosts' is required")?;
    let passphrase = secret.map(|secret| secret.text(key::PASSWORD));
    Ok(Auth::Ssh(SshAuth {
        identity,
        passphrase: passphrase.filter(|passphrase| !passphrase.expose().is_empty()),
        known_hosts: known_hosts.expose().clone(),
    }))
}

/// A token in the Secret counts before a user in the Secret; a user that is only in the address fills in for one.
fn http(url: &Url, secret: Option<&SecretData>) -> Result<Auth, AccessError> {
    let empty = || Secret::new(String::new());
    let text = |key| secret.map_or_else(empty, |secret| secret.text(key));
    let token = text(key::BEARER_TOKEN);
    let has_token = secret.is_some_and(|secret| secret.get(key::BEARER_TOKEN).is_some());
    let (mut username, mut password) = if has_token {
        (empty(), empty())
    } else {
        (text(key::USERNAME), text(key::PASSWORD))
    };
    if username.expose().is_empty() {
        username = Secret::new(decoded(url.username()));
    }
    if password.expose().is_empty() {
        password = Secret::new(decoded(url.password().unwrap_or_default()));
    }
    let has_basic = !username.expose().is_empty() || !password.expose().is_empty();
    if username.expose().is_empty() && has_basic {
        return Err(AccessError::Invalid {
            scheme: url.scheme().to_owned(),
            problem: "'password' requires 'username' to be set",
        });
    }
    match (token.expose().is_empty(), has_basic) {
        (false, true) => Err(AccessError::BasicAndBearer),
        (false, false) => Ok(Auth::Http(ferro_http::Auth::Bearer(token))),
        (true, true) => Ok(Auth::Http(ferro_http::Auth::Basic {
            username: username.expose().clone(),
            password,
        })),
        // Some servers refuse empty credentials for public repositories.
        (true, false) => Ok(Auth::None),
    }
}

/// The user or password of an address, without its percent encoding.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// Refuses providers and Secrets that do not go together, and identities that the controller does not allow.
fn check_provider(object: &GitRepository, secret: Option<&SecretData>, cloud: &Cloud) -> Result<(), Failure> {
    let invalid = |message: String| Failure::fetch(reason::INVALID_PROVIDER_CONFIGURATION, message);
    let has_app = secret.is_some_and(|secret| secret.bytes(key::GITHUB_APP_ID).is_some());
    match object.spec.provider_or_default() {
        GitProvider::Generic if has_app => {
            let id = secret.map(|secret| secret.id.as_str()).unwrap_or_default();
            Err(invalid(format!(
                "secretRef '{id}' has github app data but provider is not set to github"
            )))
        }
        GitProvider::GitHub if !has_app => {
            let message = "secretRef with github app data must be specified when provider is set to github";
            let failure = invalid(message.to_owned());
            Err(if secret.is_none() {
                failure.stalling()
            } else {
                failure
            })
        }
        GitProvider::Generic | GitProvider::GitHub => Ok(()),
        GitProvider::Aws | GitProvider::Azure => {
            match cloud.refusal(object.spec.service_account_name.as_deref()) {
                Some(message) => Err(Failure::fetch(reason::FEATURE_GATE_DISABLED, message).stalling()),
                None => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret;
    use crate::reconcile::Class;

    fn login(url: &str, entries: Option<&[(&str, &str)]>) -> Result<(Remote, String), String> {
        let secret = entries.map(secret);
        let url = Url::parse(url).unwrap();
        let remote = build(&url, secret.as_ref(), ProxyOptions::Environment).map_err(|e| e.to_string())?;
        let text = match &remote.auth {
            Auth::None => "anonymous".to_owned(),
            Auth::Http(ferro_http::Auth::Basic { username, password }) => {
                format!("basic {username}:{}", password.expose())
            }
            Auth::Http(ferro_http::Auth::Bearer(token)) => format!("bearer {}", token.expose()),
            Auth::Ssh(ssh) => format!(
                "ssh {} {} {}",
                ssh.identity.expose(),
                ssh.passphrase.as_ref().unwrap().expose(),
                ssh.known_hosts
            ),
        };
        Ok((remote, text))
    }

    #[test]
    fn build_secret_and_address_make_the_login() {
        type Entries<'a> = Option<&'a [(&'a str, &'a str)]>;
        let ssh = [
            ("identity", "key"),
            ("known_hosts", "hosts"),
            ("password", "open"),
        ];
        let cases: [(&str, Entries<'_>, &str, &str); 11] = [
            ("https://h/r", None, "anonymous", "https://h/r"),
            ("https://h/r", Some(&[]), "anonymous", "https://h/r"),
            (
                "https://h/r",
                Some(&[("username", "u"), ("password", "p")]),
                "basic u:p",
                "https://h/r",
            ),
            ("http://h/r", Some(&[("username", "u")]), "basic u:", "http://h/r"),
            ("https://a%40b:p%2B+w@h/r", None, "basic a@b:p++w", "https://h/r"),
            (
                "https://x:y@h/r",
                Some(&[("username", "u"), ("password", "p")]),
                "basic u:p",
                "https://h/r",
            ),
            (
                "https://h/r",
                Some(&[("bearerToken", "t")]),
                "bearer t",
                "https://h/r",
            ),
            (
                "https://h/r",
                Some(&[("bearerToken", "t"), ("username", "u"), ("password", "p")]),
                "bearer t",
                "https://h/r",
            ),
            ("ssh://h/r", Some(&ssh), "ssh key open hosts", "ssh://h/r"),
            (
                "ssh://me@h:22/r",
                Some(&ssh),
                "ssh key open hosts",
                "ssh://me@h:22/r",
            ),
            (
                "https://h/r",
                Some(&[("ca.crt", "ca")]),
                "anonymous",
                "https://h/r",
            ),
        ];
        for (url, entries, expected, expected_url) in cases {
            let (remote, login) = login(url, entries).unwrap();
            let shown = remote.url.url().expose().as_str();
            assert_eq!((login.as_str(), shown), (expected, expected_url), "{url}");
            assert!(!format!("{remote:?}").contains("open"), "{remote:?}");
        }
    }

    #[test]
    fn build_incomplete_credentials_are_refused_in_the_words_of_the_reference() {
        type Entries<'a> = Option<&'a [(&'a str, &'a str)]>;
        let cases: [(&str, Entries<'_>, &str); 7] = [
            (
                "https://h/r",
                Some(&[("password", "p")]),
                "invalid 'https' auth option: 'password' requires 'username' to be set",
            ),
            (
                "http://:p@h/r",
                None,
                "invalid 'http' auth option: 'password' requires 'username' to be set",
            ),
            (
                "ssh://h/r",
                None,
                "invalid 'ssh' auth option: 'identity' is required",
            ),
            (
                "ssh://h/r",
                Some(&[("identity", ""), ("known_hosts", "hosts")]),
                "invalid 'ssh' auth option: 'identity' is required",
            ),
            (
                "ssh://h/r",
                Some(&[("identity", "key")]),
                "invalid 'ssh' auth option: 'known_hosts' is required",
            ),
            (
                "https://u:p@h/r",
                Some(&[("bearerToken", "t")]),
                "basic auth and bearer token cannot be set at the same time",
            ),
            (
                "https://h/r",
                Some(&[("tls.crt", "c")]),
                "secret 'default/auth' contains 'tls.crt' but missing 'tls.key'",
            ),
        ];
        for (url, entries, expected) in cases {
            assert_eq!(login(url, entries).unwrap_err(), expected, "{url}");
        }
    }

    #[test]
    fn parse_url_malformed_address_stalls_without_showing_credentials() {
        let failure = parse_url("https://user:hunter2@[::1/r").unwrap_err();
        assert_eq!(failure.class, Class::Stalling);
        assert_eq!(failure.reason, "URLInvalid");
        assert_eq!(
            failure.message,
            "failed to parse url 'https://[::1/r': invalid IPv6 address"
        );
        let slashed = parse_url("https://user:hun/ter2@host/r").unwrap_err();
        assert!(!slashed.message.contains("hun"), "{}", slashed.message);
        assert!(
            slashed.message.contains("'https://host/r'"),
            "{}",
            slashed.message
        );
        assert!(parse_url("ssh://").unwrap_err().message.contains("empty host"));
    }

    async fn provider(
        provider: GitProvider,
        account: Option<&str>,
        entries: Option<&[(&str, &str)]>,
        gates: &str,
    ) -> Option<(Class, String)> {
        let mut object = GitRepository::default();
        object.spec.provider = Some(provider);
        object.spec.service_account_name = account.map(str::to_owned);
        let cloud = Cloud::for_test(ferro_testkit::api::FakeApi::default().client(), &[], gates);
        let secret = entries.map(secret);
        let failure = check_provider(&object, secret.as_ref(), &cloud).err()?;
        Some((failure.class, failure.message))
    }

    #[tokio::test]
    async fn check_provider_refuses_what_does_not_go_together() {
        let app: &[(&str, &str)] = &[("githubAppID", "1")];
        assert_eq!(provider(GitProvider::Generic, None, None, "").await, None);
        let needs_app = "secretRef with github app data must be specified when provider is set to github";
        assert_eq!(
            provider(GitProvider::GitHub, None, None, "").await,
            Some((Class::Stalling, needs_app.to_owned()))
        );
        assert_eq!(
            provider(GitProvider::GitHub, None, Some(&[]), "").await,
            Some((Class::Retried, needs_app.to_owned()))
        );
        let (class, message) = provider(GitProvider::Generic, None, Some(app), "").await.unwrap();
        assert_eq!(class, Class::Retried);
        assert_eq!(
            message,
            "secretRef 'default/auth' has github app data but provider is not set to github"
        );
        let (class, message) = provider(GitProvider::Azure, Some("sa"), None, "").await.unwrap();
        assert_eq!(class, Class::Stalling);
        assert!(message.starts_with("to use spec.serviceAccountName"), "{message}");
        let gate = "ObjectLevelWorkloadIdentity=true";
        for (kind, entries) in [(GitProvider::GitHub, Some(app)), (GitProvider::Aws, None)] {
            assert_eq!(provider(kind, Some("sa"), entries, gate).await, None);
        }
    }
}
