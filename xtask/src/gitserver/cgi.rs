//! One HTTP request, answered by a run of `git http-backend`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::Shared;
use super::repository::isolated;

const TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of a request's head; what is longer is not from Git.
const MAX_HEAD: u64 = 64 * 1024;

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
}

pub(super) fn answer(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let Some(request) = read_head(&mut input)? else {
        return refuse(&mut output, "400 Bad Request");
    };
    shared.requests.fetch_add(1, Ordering::Relaxed);
    if shared.authorization.is_some() && shared.authorization.as_ref() != request.headers.get("authorization")
    {
        return refuse(
            &mut output,
            "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"",
        );
    }
    if request
        .headers
        .get("expect")
        .is_some_and(|it| it.eq_ignore_ascii_case("100-continue"))
    {
        output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    run_backend(&request, input, &mut output, shared)
}

fn refuse(output: &mut TcpStream, status: &str) -> io::Result<()> {
    output
        .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
}

fn read_head(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = input.take(MAX_HEAD);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(Some(Request {
                method,
                path,
                query,
                headers,
            }));
        }
        if let Some((name, value)) = text.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}

fn run_backend(
    request: &Request,
    mut input: BufReader<TcpStream>,
    output: &mut TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    let mut command = Command::new("git");
    isolated(&mut command);
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("REMOTE_ADDR", "127.0.0.1");
    if shared.authorization.is_some() {
        // Pushing needs a name.
        command.env("REMOTE_USER", "user");
    }
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.headers.get(header) {
            command.env(variable, value);
        }
    }
    let mut backend = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (stdin, stdout) = (backend.stdin.take(), backend.stdout.take());
    let length = request
        .headers
        .get("content-length")
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    let is_chunked = request
        .headers
        .get("transfer-encoding")
        .is_some_and(|it| it.eq_ignore_ascii_case("chunked"));
    // Beside the answer, because Git may begin it before it has read all of a request.
    let sender = thread::spawn(move || match stdin {
        Some(stdin) if is_chunked => copy_chunks(&mut input, stdin),
        Some(mut stdin) => io::copy(&mut input.take(length), &mut stdin).map(drop),
        None => Ok(()),
    });
    let sent = stdout.map_or(Ok(()), |it| copy_answer(BufReader::new(it), output));
    drop(output.shutdown(std::net::Shutdown::Both));
    drop(sender.join());
    backend.wait()?;
    sent
}

/// Takes the chunks of a request's body apart.
fn copy_chunks(input: &mut impl BufRead, mut output: ChildStdin) -> io::Result<()> {
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        if size == 0 {
            return Ok(());
        }
        io::copy(&mut input.take(size), &mut output)?;
        input.read_line(&mut line)?;
    }
}

/// Turns the backend's headers into those of HTTP; the body ends with the connection.
fn copy_answer(mut backend: impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let mut status = "200 OK".to_owned();
    let mut headers = String::new();
    loop {
        let mut line = String::new();
        if backend.read_line(&mut line)? == 0 {
            "500 Internal Server Error".clone_into(&mut status);
            break;
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        match text.strip_prefix("Status: ") {
            Some(it) => it.clone_into(&mut status),
            None => headers.push_str(&format!("{text}\r\n")),
        }
    }
    output.write_all(format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n").as_bytes())?;
    io::copy(&mut backend, output)?;
    output.flush()
}
