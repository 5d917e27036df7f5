//! As much HTTP as a program needs that talks to loopback servers: one request a connection, HTTP/1.0, so that an answer
//! ends where the connection does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, to its end.
    pub body: BufReader<TcpStream>,
}

/// Sends a request; `timeout` bounds each read and write, not the whole.
///
/// # Errors
/// When the server cannot be reached or answers what is not HTTP.
pub fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: Option<(&str, &str)>,
    timeout: Duration,
) -> Result<Response> {
    let mut stream = TcpStream::connect_timeout(&server, timeout)
        .with_context(|| format!("cannot connect to {server}"))?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {server}\r\nAccept: application/json, */*\r\n");
    let (kind, content) = body.unwrap_or_default();
    if body.is_some() {
        head.push_str(&format!(
            "Content-Type: {kind}\r\nContent-Length: {}\r\n",
            content.len()
        ));
    }
    // In one write, so that it travels in one packet.
    stream.write_all(format!("{head}\r\n{content}").as_bytes())?;

    let mut body = BufReader::new(stream);
    let mut line = String::new();
    body.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status =
        status.with_context(|| format!("{method} {path}: not an answer of HTTP: `{}`", line.trim()))?;
    loop {
        line.clear();
        if body.read_line(&mut line)? == 0 {
            bail!("{method} {path}: the answer ends in its head");
        }
        if line.trim_end().is_empty() {
            return Ok(Response { status, body });
        }
    }
}

/// Gets a text, which must be there.
///
/// # Errors
/// When the server cannot be reached or the status is not 2xx.
pub fn get(server: SocketAddr, path: &str, timeout: Duration) -> Result<String> {
    text(send(server, "GET", path, None, timeout)?, path)
}

/// Reads the body of a successful answer.
///
/// # Errors
/// When the status is not 2xx or the body breaks off.
pub fn text(mut res: Response, path: &str) -> Result<String> {
    let mut body = String::new();
    res.body
        .read_to_string(&mut body)
        .with_context(|| format!("{path}: the answer breaks off"))?;
    if !(200..300).contains(&res.status) {
        bail!("{path}: status {}: {}", res.status, body.trim());
    }
    Ok(body)
}
