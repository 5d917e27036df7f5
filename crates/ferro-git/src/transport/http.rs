//! Smart HTTP over ferro-http.

use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use ::http::header::USER_AGENT;
use ::http::{HeaderName, HeaderValue, Method};
use bytes::Bytes;
use ferro_http::{Auth, Client, Request, Response, SafeUrl};
use gix_error::ErrorExt as _;
use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};

use super::Failure;
use crate::interrupt::Interrupt;
use crate::{Error, Remote};

/// Some servers tell Git clients from browsers by this prefix.
const GIT_USER_AGENT: &str = concat!("git/2 (ferroflux/", env!("CARGO_PKG_VERSION"), ")");

/// The client of one session.
pub(crate) struct HttpClient {
    client: Client,
    auth: Option<Auth>,
    interrupt: Arc<Interrupt>,
    failure: Failure,
    /// Whether the repository has turned out to be at a host that no credentials are for.
    is_elsewhere: bool,
    /// Where the repository is, when the server has redirected us.
    redirected: Option<String>,
}

impl HttpClient {
    pub(crate) fn new(remote: &Remote, interrupt: Arc<Interrupt>, failure: Failure) -> crate::Result<Self> {
        let mut options = remote.http.clone();
        options.user_agent = GIT_USER_AGENT.to_owned();
        let client = Client::new(&options).map_err(|error| Error::Client(Box::new(error)))?;
        let auth = match &remote.auth {
            crate::Auth::Http(auth) => Some(auth.clone()),
            crate::Auth::None => Auth::from_url(remote.url.url()),
            crate::Auth::Ssh(_) => {
                let reason = "an SSH identity cannot be used with an HTTP repository".to_owned();
                return Err(Error::InvalidAuth { reason });
            }
        };
        Ok(Self {
            client,
            auth,
            interrupt,
            failure,
            is_elsewhere: false,
            redirected: None,
        })
    }

    pub(crate) fn request(
        &self,
        method: Method,
        url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Request, Error> {
        let mut request = Request::new(method, url).map_err(Error::http)?;
        if let Some(auth) = &self.auth {
            request = request.auth(auth.clone());
        }
        if self.is_elsewhere {
            request = request.without_identity();
        }
        for line in headers {
            let Some((name, value)) = line.as_ref().split_once(':') else {
                continue;
            };
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            let value = HeaderValue::from_str(value.trim());
            if let (Ok(name), Ok(value)) = (name, value)
                && name != USER_AGENT
            {
                request = request.header(name, value);
            }
        }
        Ok(request)
    }

    pub(crate) fn send(&self, request: &Request) -> Result<Response, Error> {
        let sent = self.interrupt.block_on(self.client.send(request))?;
        sent.and_then(Response::error_for_status).map_err(Error::http)
    }

    /// The whole body of a response.
    pub(crate) fn read(
        &self,
        response: Response,
        limit: u64,
    ) -> Result<Result<Bytes, ferro_http::Error>, Error> {
        self.interrupt.block_on(response.bytes(limit))
    }

    fn send_get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Response, Error> {
        let response = self.send(&self.request(Method::GET, url, headers)?)?;
        self.follow(url, base_url, response.url())?;
        Ok(response)
    }

    /// Takes the repository's new place from where the first request ended.
    fn follow(&mut self, url: &str, base_url: &str, end: &SafeUrl) -> Result<(), Error> {
        let (Some(tail), Ok(asked)) = (url.strip_prefix(base_url), SafeUrl::parse(url)) else {
            return Ok(());
        };
        if asked.without_credentials() == *end.expose() {
            return Ok(());
        }
        let end_text = end.expose().as_str();
        let Some(base) = end_text.strip_suffix(tail) else {
            let reason = format!("redirect to {end}, which is no Git repository");
            return Err(Error::UnexpectedAnswer { reason });
        };
        // Credentials stay with the host they are for.
        if !ferro_http::may_keep_auth(&asked, end) {
            self.auth = None;
            self.is_elsewhere = true;
        }
        self.redirected = Some(base.to_owned());
        Ok(())
    }
}

impl Http for HttpClient {
    type Headers = Lazy<HeaderReader>;
    type ResponseBody = Lazy<Body>;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix_error::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let response = self
            .send_get(url, base_url, headers)
            .map_err(|error| self.failure.record(error).raise())?;
        let headers = HeaderReader::new(&response);
        let body = Body::new(response, self.interrupt.clone(), self.failure.clone());
        Ok(GetResponse {
            headers: Lazy::Ready(headers),
            body: Lazy::Ready(body),
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix_error::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let request = self
            .request(Method::POST, url, headers)
            .map_err(|error| self.failure.record(error).raise())?;
        let exchange = Arc::new(Mutex::new(Exchange::Pending(Box::new(Pending {
            client: self.client.clone(),
            request,
            body: Vec::new(),
            interrupt: self.interrupt.clone(),
            failure: self.failure.clone(),
        }))));
        Ok(PostResponse {
            post_body: PostBody(exchange.clone()),
            headers: Lazy::Waiting(exchange.clone()),
            body: Lazy::Waiting(exchange),
        })
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix_error::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

/// A POST request: its body is collected first, and it is sent when its response is first read.
///
/// What we send is a few lines of wants and haves, so collecting it costs nothing and spares a thread.
pub(crate) enum Exchange {
    Pending(Box<Pending>),
    Answered {
        headers: Option<HeaderReader>,
        body: Option<Box<Body>>,
    },
    Failed,
}

pub(crate) struct Pending {
    client: Client,
    request: Request,
    body: Vec<u8>,
    interrupt: Arc<Interrupt>,
    failure: Failure,
}

impl Pending {
    fn send(self) -> io::Result<Exchange> {
        let Self {
            client,
            request,
            body,
            interrupt,
            failure,
        } = self;
        let request = request.body(body);
        let sent = interrupt
            .block_on(client.send(&request))
            .and_then(|sent| sent.and_then(Response::error_for_status).map_err(Error::http));
        let response = sent.map_err(|error| failure.record(error))?;
        let headers = Some(HeaderReader::new(&response));
        let body = Some(Box::new(Body::new(response, interrupt, failure)));
        Ok(Exchange::Answered { headers, body })
    }
}

/// Sends the request if it has not been sent, then hands the answer to `take`.
fn answer<T>(exchange: &Mutex<Exchange>, take: impl FnOnce(&mut Exchange) -> Option<T>) -> io::Result<T> {
    let mut exchange = exchange.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*exchange, Exchange::Pending(_)) {
        // Left as failed when sending fails.
        if let Exchange::Pending(pending) = std::mem::replace(&mut *exchange, Exchange::Failed) {
            *exchange = pending.send()?;
        }
    }
    take(&mut exchange).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
}

/// The body of a request under construction.
pub(crate) struct PostBody(Arc<Mutex<Exchange>>);

impl Write for PostBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Exchange::Pending(pending) => pending.body.extend_from_slice(bytes),
            Exchange::Answered { .. } | Exchange::Failed => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part of a response that may not have been asked for yet.
pub(crate) enum Lazy<T> {
    Ready(T),
    Waiting(Arc<Mutex<Exchange>>),
}

/// Takes its part out of an answer.
pub(crate) trait FromExchange: Sized {
    fn take(exchange: &mut Exchange) -> Option<Self>;
}

impl FromExchange for HeaderReader {
    fn take(exchange: &mut Exchange) -> Option<Self> {
        match exchange {
            Exchange::Answered { headers, .. } => headers.take(),
            Exchange::Pending(_) | Exchange::Failed => None,
        }
    }
}

impl FromExchange for Body {
    fn take(exchange: &mut Exchange) -> Option<Self> {
        match exchange {
            Exchange::Answered { body, .. } => body.take().map(|body| *body),
            Exchange::Pending(_) | Exchange::Failed => None,
        }
    }
}

impl<T: FromExchange> Lazy<T> {
    fn force(&mut self) -> io::Result<&mut T> {
        if let Self::Waiting(exchange) = self {
            let part = answer(exchange, T::take)?;
            *self = Self::Ready(part);
        }
        match self {
            Self::Ready(part) => Ok(part),
            Self::Waiting(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl<T: BufRead + FromExchange> Read for Lazy<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.force()?.read(buffer)
    }
}

impl<T: BufRead + FromExchange> BufRead for Lazy<T> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.force()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Self::Ready(part) = self {
            part.consume(amount);
        }
    }
}

/// The response headers, line by line.
pub(crate) struct HeaderReader(io::Cursor<Vec<u8>>);

impl HeaderReader {
    fn new(response: &Response) -> Self {
        let mut lines = Vec::new();
        for (name, value) in response.headers() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"] {
                lines.extend_from_slice(part);
            }
        }
        Self(io::Cursor::new(lines))
    }
}

impl Read for HeaderReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for HeaderReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

/// A response body, read piece by piece under the operation's deadline.
pub(crate) struct Body {
    response: Response,
    piece: Bytes,
    interrupt: Arc<Interrupt>,
    failure: Failure,
}

impl Body {
    const fn new(response: Response, interrupt: Arc<Interrupt>, failure: Failure) -> Self {
        Self {
            response,
            piece: Bytes::new(),
            interrupt,
            failure,
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            let next = self
                .interrupt
                .block_on(self.response.chunk())
                .and_then(|next| next.map_err(Error::http))
                .and_then(|next| {
                    self.interrupt.received(next.as_ref().map_or(0, Bytes::len))?;
                    Ok(next)
                });
            match next.map_err(|error| self.failure.record(error))? {
                Some(piece) => self.piece = piece,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.piece.len());
        bytes::Buf::advance(&mut self.piece, amount);
    }
}
