//! The way to the API server: straight, or through the proxy that the kubeconfig or the environment names.

use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use kube::Config;
use tokio::net::TcpStream;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use super::ClientError;

/// Makes connections to the API server.
pub(super) type Connector = BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError>;

/// The connector for `config`.
///
/// # Errors
/// When it names a proxy of a kind that is not supported.
pub(super) fn connector(config: &Config) -> Result<Connector, ClientError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout.or(Some(Duration::from_secs(30))));
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let from_environment = environment("HTTPS_PROXY").or_else(|| environment("https_proxy"));
    through(tcp, config, from_environment.as_deref(), Matcher::from_env)
}

fn through(
    tcp: HttpConnector,
    config: &Config,
    from_environment: Option<&str>,
    environment: impl Fn() -> Matcher,
) -> Result<Connector, ClientError> {
    let Some(proxy) = &config.proxy_url else {
        return Ok(BoxCloneSyncService::new(tcp.map_err(BoxError::from)));
    };
    // The environment's proxy has exceptions, a kubeconfig's has none.
    let implied = from_environment.and_then(|url| url.parse::<Uri>().ok()).as_ref() == Some(proxy);
    let matcher = match implied {
        true if is_loopback(&config.cluster_url) => {
            return Ok(BoxCloneSyncService::new(tcp.map_err(BoxError::from)));
        }
        true => environment(),
        false => Matcher::builder().all(proxy.to_string()).build(),
    };
    let Some(proxy) = matcher.intercept(&config.cluster_url) else {
        return Ok(BoxCloneSyncService::new(tcp.map_err(BoxError::from)));
    };
    match proxy.uri().scheme_str() {
        Some("http") => {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
            if let Some(credentials) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(credentials.clone());
            }
            Ok(BoxCloneSyncService::new(tunnel.map_err(BoxError::from)))
        }
        Some(scheme @ ("socks5" | "socks5h")) => {
            let mut socks = SocksV5::new(proxy.uri().clone(), tcp).local_dns(scheme == "socks5");
            if let Some((user, password)) = proxy.raw_auth() {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            Ok(BoxCloneSyncService::new(socks.map_err(BoxError::from)))
        }
        scheme => Err(ClientError::Proxy {
            scheme: scheme.unwrap_or_default().to_owned(),
        }),
    }
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::Service;

    fn config(server: &str, proxy: &str) -> Config {
        let mut config = Config::new(server.parse().unwrap());
        config.proxy_url = (!proxy.is_empty()).then(|| proxy.parse().unwrap());
        config
    }

    fn connector(config: &Config, from_environment: Option<&str>) -> Result<Connector, ClientError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let environment = || {
            Matcher::builder()
                .all(from_environment.unwrap_or_default())
                .no("exempt.test")
                .build()
        };
        through(tcp, config, from_environment, environment)
    }

    #[tokio::test]
    async fn proxy_of_a_kubeconfig_is_asked_for_a_tunnel() {
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://user:pass@{}", proxy.local_addr().unwrap());
        // Also for a server on this host: it was asked for by name.
        let config = config("https://localhost:6443", &url);
        let asked = tokio::spawn(async move {
            let (mut stream, _) = proxy.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let mut connector = connector(&config, None).unwrap();
        connector.call(config.cluster_url.clone()).await.unwrap();
        let request = asked.await.unwrap();
        assert!(
            request.starts_with("CONNECT localhost:6443 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request
                .to_lowercase()
                .contains("proxy-authorization: basic dxnlcjpwyxnz"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn proxy_of_the_environment_has_exceptions() {
        // Nobody listens there: who goes through it fails with a tunnel's error.
        let proxy = "http://127.0.0.1:1";
        let tunnels = |server: &str| {
            let config = config(server, proxy);
            let connector = connector(&config, Some(proxy)).unwrap();
            async move {
                let error = connector.oneshot(config.cluster_url).await.unwrap_err();
                error.to_string().contains("tunnel")
            }
        };
        assert!(tunnels("https://192.0.2.1:6443").await);
        assert!(!tunnels("https://127.0.0.1:1").await);
        assert!(!tunnels("https://[::1]:1").await);
        assert!(!tunnels("https://exempt.test:1").await);
    }

    #[test]
    fn unknown_kinds_of_proxies_are_refused() {
        let error = connector(
            &config("https://10.0.0.1", "https://user:secret@proxy:3128"),
            None,
        )
        .unwrap_err();
        assert!(
            matches!(&error, ClientError::Proxy { scheme } if scheme == "https"),
            "{error}"
        );
    }
}
