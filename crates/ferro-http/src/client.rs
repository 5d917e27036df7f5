//! The client: options, requests, redirects.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep};

use crate::{Error, Response, Result, Retry, SafeUrl, Secret, TlsOptions, tls};

/// How a client reaches its hosts.
#[derive(Debug, Clone, Default)]
pub enum ProxyOptions {
    /// As `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say; hosts on this machine are reached directly, as Go does.
    #[default]
    Environment,
    /// Directly.
    Direct,
    /// Through this proxy.
    Proxy {
        /// The address: scheme `http`, `https` or `socks5`.
        address: SafeUrl,
        /// User name and password.
        credentials: Option<(String, Secret<String>)>,
    },
}

/// Everything that distinguishes one client from another.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Trust and identity.
    pub tls: TlsOptions,
    /// The proxy.
    pub proxy: ProxyOptions,
    /// How many redirects are followed.
    pub max_redirects: usize,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long nothing may arrive.
    pub idle_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("ferroflux/", env!("CARGO_PKG_VERSION")).to_owned(),
            tls: TlsOptions::default(),
            proxy: ProxyOptions::default(),
            max_redirects: 10,
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// Credentials of a request.
#[derive(Debug, Clone)]
pub enum Auth {
    /// User name and password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret<String>,
    },
    /// A bearer token.
    Bearer(Secret<String>),
}

impl Auth {
    /// The user name and password of a URL.
    pub fn from_url(url: &SafeUrl) -> Option<Self> {
        let url = url.expose();
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        let password = Secret::new(decode(url.password().unwrap_or_default()));
        Some(Self::Basic {
            username: decode(url.username()),
            password,
        })
    }

    fn header(&self) -> Result<HeaderValue> {
        let text = match self {
            Self::Basic { username, password } => {
                use base64::Engine as _;
                let pair = Secret::new(format!("{username}:{}", password.expose()));
                format!(
                    "Basic {}",
                    base64::engine::general_purpose::STANDARD.encode(pair.expose())
                )
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| Error::InvalidCredentials)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// A request with a body in memory, so that it can be repeated.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    url: SafeUrl,
    headers: HeaderMap,
    auth: Option<Auth>,
    body: Bytes,
    follows: bool,
    shows_identity: bool,
}

impl Request {
    /// A request to an `http` or `https` URL; user name and password in it become basic authentication.
    pub fn new(method: Method, url: &str) -> Result<Self> {
        let url = SafeUrl::parse(url).map_err(|error| Error::InvalidUrl {
            reason: error.to_string(),
        })?;
        Self::to(method, &url)
    }

    /// As [`Request::new`], for a URL parsed before.
    pub fn to(method: Method, url: &SafeUrl) -> Result<Self> {
        if !matches!(url.expose().scheme(), "http" | "https") {
            let reason = format!("scheme '{}' is not http or https", url.expose().scheme());
            return Err(Error::InvalidUrl { reason });
        }
        let auth = Auth::from_url(url);
        let url = SafeUrl::new(url.without_credentials());
        Ok(Self {
            method,
            url,
            headers: HeaderMap::new(),
            auth,
            body: Bytes::new(),
            follows: true,
            shows_identity: true,
        })
    }

    /// A GET request.
    pub fn get(url: &str) -> Result<Self> {
        Self::new(Method::GET, url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the credentials, in place of those of the URL.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Has redirects returned instead of followed, for callers who must see where they lead.
    #[must_use]
    pub const fn without_redirects(mut self) -> Self {
        self.follows = false;
        self
    }

    /// Shows no client certificate, for hosts that it is not meant for.
    #[must_use]
    pub const fn without_identity(mut self) -> Self {
        self.shows_identity = false;
        self
    }

    /// The URL without credentials.
    pub const fn url(&self) -> &SafeUrl {
        &self.url
    }
}

/// An HTTP client; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    own: Connections,
    /// For hosts that a redirect leads to, where there is a client certificate that is not for them.
    elsewhere: Option<Connections>,
    max_redirects: usize,
}

/// Connections with the same trust and identity.
#[derive(Debug, Clone)]
struct Connections {
    inner: reqwest::Client,
    /// For hosts on this machine, where the environment may name a proxy for all others.
    local: Option<reqwest::Client>,
}

impl Connections {
    fn new(options: &ClientOptions, tls: &TlsOptions) -> Result<Self> {
        let tls = tls::client_config(tls)?;
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(&options.user_agent)
                // Followed by the client, see `send`.
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(options.connect_timeout)
                .read_timeout(options.idle_timeout)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(4)
        };
        // What remains to fail is the user agent, which is ours.
        let invalid = |error: reqwest::Error| Error::InvalidUrl {
            reason: error.without_url().to_string(),
        };
        let (with_proxy, local) = match &options.proxy {
            ProxyOptions::Environment if names_proxy(|name| std::env::var_os(name)) => {
                let local = builder().no_proxy().build().map_err(invalid)?;
                (builder(), Some(local))
            }
            ProxyOptions::Environment | ProxyOptions::Direct => (builder().no_proxy(), None),
            ProxyOptions::Proxy { address, credentials } => {
                let proxy = make_proxy(address, credentials.as_ref())?;
                (builder().no_proxy().proxy(proxy), None)
            }
        };
        let inner = with_proxy.build().map_err(invalid)?;
        Ok(Self { inner, local })
    }

    fn to(&self, url: &SafeUrl) -> &reqwest::Client {
        match &self.local {
            Some(local) if is_local(url.expose()) => local,
            _ => &self.inner,
        }
    }
}

impl Client {
    /// Makes a client; this is where faulty certificates and proxy addresses show.
    pub fn new(options: &ClientOptions) -> Result<Self> {
        let elsewhere = options.tls.identity.is_some().then(|| {
            let tls = TlsOptions {
                identity: None,
                ..options.tls.clone()
            };
            Connections::new(options, &tls)
        });
        Ok(Self {
            own: Connections::new(options, &options.tls)?,
            elsewhere: elsewhere.transpose()?,
            max_redirects: options.max_redirects,
        })
    }

    /// The connections for a request, which may show the client certificate or not.
    fn connections(&self, shows_identity: bool) -> &Connections {
        match &self.elsewhere {
            Some(elsewhere) if !shows_identity => elsewhere,
            _ => &self.own,
        }
    }

    /// Sends a request once; redirects of GET and HEAD are followed.
    ///
    /// Credentials, a client certificate and headers that are marked as sensitive included, go along only to the same host, and only if the connection does not become weaker.
    /// Any status is a response; see [`Response::error_for_status`].
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let mut url = request.url.clone();
        let mut auth = request.auth.as_ref().map(Auth::header).transpose()?;
        let mut shows_identity = request.shows_identity;
        let mut headers = request.headers.clone();
        for _ in 0..=self.max_redirects {
            let mut builder = self
                .connections(shows_identity)
                .to(&url)
                .request(request.method.clone(), url.expose().clone())
                .headers(headers.clone());
            if !request.body.is_empty() || request.method == Method::POST {
                builder = builder.body(request.body.clone());
            }
            if let Some(header) = &auth {
                builder = builder.header(AUTHORIZATION, header.clone());
            }
            let inner = builder
                .send()
                .await
                .map_err(|error| Error::request(&url, error))?;
            let may_follow = request.follows && matches!(request.method, Method::GET | Method::HEAD);
            if !may_follow || !is_redirect(inner.status()) {
                return Ok(Response { inner, url });
            }
            let next = redirect_target(&url, inner.headers())?;
            if !may_keep_auth(&url, &next) {
                auth = None;
                shows_identity = false;
                headers = without_credentials(&headers);
            }
            url = next;
        }
        Err(Error::Redirect {
            url,
            reason: format!("more than {} redirects", self.max_redirects),
        })
    }

    /// Sends a request until it succeeds, fails for good or `retry` is exhausted.
    ///
    /// Broken connections, time-outs, 408, 429 and 5xx other than 501 are repeated, with the server's
    /// `Retry-After` honoured up to the longest wait. Meant for requests that may be repeated.
    pub async fn send_retrying(&self, request: &Request, retry: &Retry) -> Result<Response> {
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let outcome = self.send(request).await;
            let (error, wait) = match outcome {
                Ok(response) if !crate::retry::is_transient_status(response.status()) => return Ok(response),
                Ok(response) => {
                    let wait = retry_after(response.headers()).map(|wait| wait.min(retry.max_wait));
                    let status = response.status();
                    (
                        Error::Status {
                            url: response.url,
                            status,
                        },
                        wait,
                    )
                }
                Err(error) if error.is_transient() => (error, None),
                Err(error) => return Err(error),
            };
            if attempt >= retry.retries {
                if retry.retries == 0 {
                    return Err(error);
                }
                let (url, elapsed) = (request.url.clone(), started.elapsed());
                let source = Box::new(error);
                return Err(Error::RetriesExhausted {
                    url,
                    attempts: attempt + 1,
                    elapsed,
                    source,
                });
            }
            sleep(wait.unwrap_or_else(|| retry.wait(attempt))).await;
            attempt += 1;
        }
    }
}

fn make_proxy(address: &SafeUrl, credentials: Option<&(String, Secret<String>)>) -> Result<reqwest::Proxy> {
    let invalid = |reason: String| Error::InvalidProxy { reason };
    let mut target = address.without_credentials().to_string();
    match address.expose().scheme() {
        "http" | "https" => {}
        // Go lets a SOCKS proxy resolve names; so does `socks5h`.
        "socks5" => target = target.replacen("socks5:", "socks5h:", 1),
        other => {
            return Err(invalid(format!("scheme '{other}' is not http, https or socks5")));
        }
    }
    let proxy = reqwest::Proxy::all(target).map_err(|error| invalid(error.without_url().to_string()))?;
    let credentials = match (credentials, Auth::from_url(address)) {
        (Some(credentials), _) => Some(credentials.clone()),
        (None, Some(Auth::Basic { username, password })) => Some((username, password)),
        (None, _) => None,
    };
    Ok(match credentials {
        Some((username, password)) => proxy.basic_auth(&username, password.expose()),
        None => proxy,
    })
}

/// Whether the environment names any proxy.
fn names_proxy(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].iter().any(|name| {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        is_set(name) || is_set(&name.to_ascii_lowercase())
    })
}

/// Whether a URL leads to this machine, which no proxy of the environment can mean by it.
fn is_local(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(crate) fn redirect_target(from: &SafeUrl, headers: &HeaderMap) -> Result<SafeUrl> {
    let failed = |reason: &str| Error::Redirect {
        url: from.clone(),
        reason: reason.to_owned(),
    };
    let location = headers
        .get(LOCATION)
        .ok_or_else(|| failed("redirect without location"))?;
    let location = location
        .to_str()
        .map_err(|_| failed("redirect to a malformed location"))?;
    let url = from
        .expose()
        .join(location)
        .map_err(|_| failed("redirect to a malformed location"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failed("redirect to a location that is not HTTP"));
    }
    // A server must not choose what we authenticate with.
    Ok(SafeUrl::new(SafeUrl::new(url).without_credentials()))
}

/// Whether credentials for `from` may be sent to `to`: the same origin, or its HTTPS form.
pub fn may_keep_auth(from: &SafeUrl, to: &SafeUrl) -> bool {
    let (from, to) = (from.expose(), to.expose());
    if from.host() != to.host() {
        return false;
    }
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    match (from.scheme(), to.scheme()) {
        (from, to) if from == to => ports.0 == ports.1,
        ("http", "https") => ports == (Some(80), Some(443)) || ports.0 == ports.1,
        _ => false,
    }
}

/// The headers that may be shown to any host.
fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let may_stay = |name: &HeaderName, value: &HeaderValue| {
        !value.is_sensitive() && ![AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name)
    };
    let kept = headers.iter().filter(|(name, value)| may_stay(name, value));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_of_the_environment_are_seen_in_both_spellings() {
        let with = |set: &'static str| names_proxy(move |name| (name == set).then(|| "http://p".into()));
        assert!(with("HTTP_PROXY") && with("https_proxy") && with("ALL_PROXY"));
        assert!(!with("NO_PROXY"));
        assert!(!names_proxy(|_| Some("".into())));
    }

    #[test]
    fn hosts_on_this_machine_are_local() {
        let local = |url: &str| is_local(&url.parse().unwrap());
        for url in ["http://localhost:9090/", "https://127.0.0.53/", "http://[::1]:1/"] {
            assert!(local(url), "{url}");
        }
        for url in ["http://localhost.example/", "http://10.0.0.1/", "http://[::2]/"] {
            assert!(!local(url), "{url}");
        }
    }

    #[test]
    fn may_keep_auth_only_on_the_same_host_and_never_weaker() {
        let cases = [
            ("https://a/x", "https://a/y", true),
            ("https://a/x", "https://a:444/y", false),
            ("https://a/x", "http://a/y", false),
            ("http://a/x", "https://a/y", true),
            ("http://a:8080/x", "https://a:8443/y", false),
            ("https://a/x", "https://b/y", false),
            ("https://a/x", "https://sub.a/y", false),
        ];
        for (from, to, expected) in cases {
            let parse = |text| SafeUrl::parse(text).unwrap();
            assert_eq!(
                may_keep_auth(&parse(from), &parse(to)),
                expected,
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn request_takes_credentials_out_of_the_url() {
        let request = Request::get("https://us%40er:p%3Aw@example.com/x").unwrap();
        assert_eq!(request.url().expose().as_str(), "https://example.com/x");
        let Some(Auth::Basic { username, password }) = &request.auth else {
            panic!("no credentials")
        };
        assert_eq!((username.as_str(), password.expose().as_str()), ("us@er", "p:w"));
        assert!(!format!("{request:?}").contains("p:w"));
        assert!(matches!(Request::get("ftp://h/x"), Err(Error::InvalidUrl { .. })));
    }
}
