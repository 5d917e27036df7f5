//! TCP connections for SSH, directly or through a proxy.

use ferro_http::{ClientOptions, ProxyOptions};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Error, Result};

/// Either end of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The longest answer of a proxy that is read.
const MAX_ANSWER: usize = 8192;

/// Connects to `host:port` as `options` say. The environment's proxies are for HTTP only.
pub(crate) async fn dial(host: &str, port: u16, options: &ClientOptions) -> Result<Box<dyn Stream>> {
    let timeout = options.connect_timeout;
    match tokio::time::timeout(timeout, connect(host, port, options)).await {
        Ok(connected) => connected,
        Err(_) => Err(Error::Unreachable {
            source: format!("no answer within {timeout:?}").into(),
        }),
    }
}

async fn connect(host: &str, port: u16, options: &ClientOptions) -> Result<Box<dyn Stream>> {
    let ProxyOptions::Proxy { address, credentials } = &options.proxy else {
        return Ok(Box::new(tcp(host, port).await?));
    };
    let proxy = address.expose();
    let (Some(proxy_host), Some(proxy_port)) = (proxy.host_str(), proxy_port(proxy)) else {
        return Err(Error::InvalidAuth {
            reason: format!("the proxy address {address} has no host"),
        });
    };
    let credentials = match credentials {
        Some((user, password)) => Some((user.clone(), password.expose().clone())),
        None if proxy.username().is_empty() => None,
        None => Some((
            proxy.username().to_owned(),
            proxy.password().unwrap_or_default().to_owned(),
        )),
    };
    let stream = tcp(
        proxy_host.trim_start_matches('[').trim_end_matches(']'),
        proxy_port,
    )
    .await?;
    match proxy.scheme() {
        "socks5" => Ok(Box::new(socks(stream, host, port, credentials).await?)),
        "http" => Ok(Box::new(tunnel(stream, host, port, credentials).await?)),
        "https" => {
            let config =
                ferro_http::client_config(&options.tls).map_err(|error| Error::Client(Box::new(error)))?;
            let name = rustls::pki_types::ServerName::try_from(proxy_host.to_owned()).map_err(|_| {
                Error::InvalidAuth {
                    reason: format!("the proxy address {address} has no host name"),
                }
            })?;
            let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
            let stream = connector.connect(name, stream).await.map_err(broken)?;
            Ok(Box::new(tunnel(stream, host, port, credentials).await?))
        }
        other => {
            let reason = format!("proxy scheme '{other}' is not http, https or socks5");
            Err(Error::InvalidAuth { reason })
        }
    }
}

fn proxy_port(proxy: &url::Url) -> Option<u16> {
    match proxy.scheme() {
        "socks5" => Some(proxy.port().unwrap_or(1080)),
        _ => proxy.port_or_known_default(),
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| Error::Unreachable {
            source: format!("dial tcp {host}:{port}: {error}").into(),
        })?;
    stream.set_nodelay(true).map_err(broken)?;
    Ok(stream)
}

fn broken(error: std::io::Error) -> Error {
    Error::Unreachable { source: error.into() }
}

fn refused(reason: impl std::fmt::Display) -> Error {
    Error::Unreachable {
        source: format!("the proxy refuses: {reason}").into(),
    }
}

/// Asks an HTTP proxy for a tunnel.
async fn tunnel<S: Stream>(
    mut stream: S,
    host: &str,
    port: u16,
    credentials: Option<(String, String)>,
) -> Result<S> {
    use base64::Engine as _;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some((user, password)) = credentials {
        let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        request.push_str(&format!("Proxy-Authorization: Basic {token}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    // Byte by byte, as what follows the answer belongs to SSH.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() > MAX_ANSWER {
            return Err(refused("its answer has no end"));
        }
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    match status.split_whitespace().nth(1) {
        Some(code) if code.len() == 3 && code.starts_with('2') => Ok(stream),
        _ => Err(refused(status)),
    }
}

/// Asks a SOCKS5 proxy for a connection; the proxy resolves the name.
async fn socks(
    mut stream: TcpStream,
    host: &str,
    port: u16,
    credentials: Option<(String, String)>,
) -> Result<TcpStream> {
    let method = if credentials.is_some() { 2 } else { 0 };
    stream.write_all(&[5, 1, method]).await.map_err(broken)?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await.map_err(broken)?;
    if chosen != [5, method] {
        return Err(refused("it accepts no authentication method of ours"));
    }
    if let Some((user, password)) = credentials {
        let mut request = vec![1];
        for text in [&user, &password] {
            request.push(u8::try_from(text.len()).map_err(|_| refused("credentials are too long"))?);
            request.extend_from_slice(text.as_bytes());
        }
        stream.write_all(&request).await.map_err(broken)?;
        let mut status = [0; 2];
        stream.read_exact(&mut status).await.map_err(broken)?;
        if status != [1, 0] {
            return Err(refused("wrong user name or password"));
        }
    }
    let mut request = vec![5, 1, 0];
    match host.parse() {
        Ok(std::net::IpAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Ok(std::net::IpAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            request.push(3);
            request.push(u8::try_from(host.len()).map_err(|_| refused("the host name is too long"))?);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await.map_err(broken)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(broken)?;
    let [version, reply, _, kind] = head;
    if (version, reply) != (5, 0) {
        return Err(refused(format_args!("reply code {reply}")));
    }
    let address_length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await.map_err(broken)?),
        _ => return Err(refused("a malformed reply")),
    };
    let mut bound = vec![0; address_length + 2];
    stream.read_exact(&mut bound).await.map_err(broken)?;
    Ok(stream)
}
