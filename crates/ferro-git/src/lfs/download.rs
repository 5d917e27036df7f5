//! The batch API and the basic transfer.

use std::collections::{BTreeMap, HashMap};

use ferro_http::{Client, Request, Response, SafeUrl, leads_inside, leads_out_of_tls};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::endpoint::{self, Endpoint};
use super::store::LfsObjects;
use super::{Wanted, refused};
use crate::{Error, Remote, Result};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.git-lfs+json");
const USER_AGENT: &str = concat!("git-lfs/3 (ferroflux/", env!("CARGO_PKG_VERSION"), ")");
/// Objects that are asked for at once, as Git LFS does.
const BATCH: usize = 100;
/// Objects that are downloaded at once.
const CONCURRENT: usize = 4;
/// The largest answer to a batch.
const MAX_ANSWER: u64 = 4 << 20;
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// How much of what a server says of an object is repeated.
const MAX_COMPLAINT: usize = 200;

/// The downloads from one server.
pub(super) struct Download<'a> {
    client: Client,
    endpoint: Endpoint,
    ref_name: Option<String>,
    objects: &'a LfsObjects,
}

/// A question about objects.
#[derive(Serialize)]
struct Batch<'a> {
    operation: &'static str,
    transfers: [&'static str; 1],
    hash_algo: &'static str,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<Reference<'a>>,
    objects: Vec<Asked<'a>>,
}

#[derive(Serialize)]
struct Reference<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Asked<'a> {
    oid: &'a str,
    size: u64,
}

/// What the server says about objects.
#[derive(Deserialize)]
struct Answer {
    transfer: Option<String>,
    hash_algo: Option<String>,
    #[serde(default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Actions,
    error: Option<Complaint>,
}

#[derive(Deserialize, Default)]
struct Actions {
    download: Option<Action>,
}

/// How an object is got.
#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Complaint {
    code: i64,
    #[serde(default)]
    message: String,
}

/// Why a download did not bring the object.
enum Fault {
    /// What was allowed is no longer: it can be asked for again.
    Refused(http::StatusCode),
    /// Anything else.
    Other(String),
}

impl Fault {
    fn http(error: &ferro_http::Error) -> Self {
        Self::Other(ferro_http::describe(error))
    }
}

impl<'a> Download<'a> {
    pub(super) fn new(
        remote: &Remote,
        endpoint: Endpoint,
        ref_name: Option<String>,
        objects: &'a LfsObjects,
    ) -> Result<Self> {
        let mut options = remote.http.clone();
        options.user_agent = USER_AGENT.to_owned();
        let client = Client::new(&options).map_err(|error| Error::Client(Box::new(error)))?;
        Ok(Self {
            client,
            endpoint,
            ref_name,
            objects,
        })
    }

    /// Downloads the objects; those that have arrived when it fails are kept.
    pub(super) async fn run(&self, missing: &[&Wanted]) -> Result<()> {
        for batch in missing.chunks(BATCH) {
            let actions = self.ask(batch).await?;
            let downloads = batch.iter().map(|wanted| self.bring(wanted, &actions));
            let running = stream::iter(downloads).buffer_unordered(CONCURRENT);
            running.try_collect::<()>().await?;
        }
        Ok(())
    }

    /// Brings an object; when the server has changed its mind about who may have it, for example because a token has expired while others were
    /// downloaded, it is asked about it once more.
    async fn bring(&self, wanted: &Wanted, actions: &HashMap<String, Action>) -> Result<()> {
        let oid = wanted.pointer.oid.as_str();
        let first = action(wanted, actions)?;
        let fault = match self.download(wanted, first).await {
            Ok(()) => return Ok(()),
            Err(Fault::Other(reason)) => return Err(wanted.failed(&reason)),
            Err(Fault::Refused(status)) => status,
        };
        tracing::debug!(oid, %fault, "an LFS object was refused, asking for it again");
        let actions = self.ask(&[wanted]).await?;
        let again = self.download(wanted, action(wanted, &actions)?).await;
        again.map_err(|fault| match fault {
            Fault::Refused(status) => wanted.failed(&format!("the server answers {status}")),
            Fault::Other(reason) => wanted.failed(&reason),
        })
    }

    /// Asks the server where objects are.
    async fn ask(&self, batch: &[&Wanted]) -> Result<HashMap<String, Action>> {
        let question = Batch {
            operation: "download",
            transfers: ["basic"],
            hash_algo: "sha256",
            reference: self.ref_name.as_deref().map(|name| Reference { name }),
            objects: batch.iter().map(|wanted| Asked::of(wanted)).collect(),
        };
        let question = serde_json::to_vec(&question).map_err(|error| refused(error.to_string()))?;
        let url = format!("{}/objects/batch", self.endpoint.url.expose());
        let response = self.post(&url, &question).await?;
        let status = response.status();
        let shown = response.url().clone();
        if !status.is_success() {
            let reason = match status.as_u16() {
                401 => "authentication required".to_owned(),
                403 => "authorization failed".to_owned(),
                404 => "there is no LFS server".to_owned(),
                _ => format!("the LFS server answers {status}"),
            };
            return Err(refused(format!("{reason} at '{shown}'")));
        }
        let answer = response.bytes(MAX_ANSWER).await;
        let answer = answer.map_err(|error| refused(ferro_http::describe(&error)))?;
        // The parser's words could repeat a token.
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|_not_shown| refused(format!("the answer of '{shown}' is none of an LFS server")))?;
        answer.actions(batch)
    }

    /// Sends a question; redirects are followed where the credentials may go, too.
    async fn post(&self, url: &str, body: &[u8]) -> Result<Response> {
        let failed = |error: ferro_http::Error| refused(ferro_http::describe(&error));
        let mut url = SafeUrl::parse(url).map_err(|error| refused(error.to_string()))?;
        for _ in 0..=MAX_REDIRECTS {
            let request = Request::to(Method::POST, &url).map_err(failed)?;
            let request = request
                .header(ACCEPT, MEDIA_TYPE)
                .header(CONTENT_TYPE, MEDIA_TYPE)
                .body(body.to_vec());
            let request = self.with_credentials(request, &HeaderMap::new());
            let response = self.client.send(&request).await.map_err(failed)?;
            let Some(next) = response.redirect_target().transpose().map_err(failed)? else {
                return Ok(response);
            };
            if !ferro_http::may_keep_auth(&url, &next) {
                let reason = format!("'{url}' redirects to another host, '{next}', which is not asked");
                return Err(refused(reason));
            }
            url = next;
        }
        Err(refused(format!("more than {MAX_REDIRECTS} redirects at '{url}'")))
    }

    /// Adds the credentials of the server itself, unless the action has its own.
    fn with_credentials(&self, mut request: Request, own: &HeaderMap) -> Request {
        let of_server = self.endpoint.headers.iter();
        let of_server = of_server.filter(|(name, _)| !own.contains_key(*name));
        for (name, value) in own.iter().chain(of_server) {
            request = request.header(name.clone(), value.clone());
        }
        match &self.endpoint.auth {
            Some(auth) if !own.contains_key(AUTHORIZATION) => request.auth(auth.clone()),
            _ => request,
        }
    }

    async fn download(&self, wanted: &Wanted, action: &Action) -> Result<(), Fault> {
        let mut response = self.get(action).await?;
        let status = response.status();
        match status.as_u16() {
            200 => {}
            401 | 403 | 410 => return Err(Fault::Refused(status)),
            404 => return Err(Fault::Other("it is not where the server says".to_owned())),
            _ => return Err(Fault::Other(format!("the server answers {status}"))),
        }
        let size = wanted.pointer.size;
        if let Some(length) = response.content_length().filter(|length| *length != size) {
            let reason = format!("the server announces {length} bytes in place of its {size}");
            return Err(Fault::Other(reason));
        }
        let incoming = self.objects.incoming(&wanted.pointer);
        let mut incoming = incoming.map_err(|error| Fault::Other(ferro_http::describe(&error)))?;
        while let Some(piece) = response.chunk().await.map_err(|error| Fault::http(&error))? {
            incoming.write(&piece).map_err(Fault::Other)?;
        }
        incoming.finish().map_err(Fault::Other)
    }

    /// Follows redirects, and shows on each host what is for it.
    async fn get(&self, action: &Action) -> Result<Response, Fault> {
        let named = endpoint::headers(&action.header).map_err(|error| Fault::Other(error.to_string()))?;
        let parsed = self.endpoint.url.expose().join(&action.href).ok();
        let start = parsed.map(SafeUrl::new);
        let start = start.ok_or_else(|| Fault::Other("the server names a malformed address".to_owned()))?;
        check_place(&self.endpoint.url, &start).map_err(Fault::Other)?;
        let mut url = start.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = Request::to(Method::GET, &url).map_err(|error| Fault::http(&error))?;
            // What the server names is for the place that it names.
            let is_there = ferro_http::may_keep_auth(&start, &url);
            let none = HeaderMap::new();
            let own = if is_there { &named } else { &none };
            let request = if ferro_http::may_keep_auth(&self.endpoint.url, &url) {
                self.with_credentials(request, own)
            } else {
                let add = |request: Request, (name, value): (&http::HeaderName, &HeaderValue)| {
                    request.header(name.clone(), value.clone())
                };
                own.iter().fold(request.without_identity(), add)
            };
            let response = self.client.send(&request.without_redirects()).await;
            let response = response.map_err(|error| Fault::http(&error))?;
            let next = response.redirect_target().transpose();
            let Some(next) = next.map_err(|error| Fault::http(&error))? else {
                return Ok(response);
            };
            check_place(&url, &next).map_err(Fault::Other)?;
            url = next;
        }
        Err(Fault::Other(format!(
            "more than {MAX_REDIRECTS} redirects at '{url}'"
        )))
    }
}

/// Refuses places that a server must not lead to: out of TLS, and into networks that are not its own.
fn check_place(from: &SafeUrl, to: &SafeUrl) -> Result<(), String> {
    if leads_out_of_tls(from, to) {
        return Err(format!("'{from}' leads out of TLS to '{to}': refused"));
    }
    if leads_inside(from, to) {
        return Err(format!("'{from}' leads to '{to}' in a private network: refused"));
    }
    Ok(())
}

fn action<'a>(wanted: &Wanted, actions: &'a HashMap<String, Action>) -> Result<&'a Action> {
    let found = actions.get(&wanted.pointer.oid);
    found.ok_or_else(|| wanted.failed("the server does not say how to get it"))
}

impl<'a> Asked<'a> {
    fn of(wanted: &'a Wanted) -> Self {
        Self {
            oid: &wanted.pointer.oid,
            size: wanted.pointer.size,
        }
    }
}

impl Answer {
    /// How the objects that were asked for are got.
    fn actions(self, batch: &[&Wanted]) -> Result<HashMap<String, Action>> {
        if self.transfer.is_some_and(|transfer| transfer != "basic") {
            return Err(refused("the server does not offer the basic transfer".to_owned()));
        }
        if self.hash_algo.is_some_and(|algorithm| algorithm != "sha256") {
            return Err(refused("the server does not use SHA-256".to_owned()));
        }
        let mut actions = HashMap::new();
        for object in self.objects {
            let Some(wanted) = batch.iter().find(|wanted| wanted.pointer.oid == object.oid) else {
                continue;
            };
            if let Some(Complaint { code, message }) = object.error {
                let shown = message.chars().filter(|character| !character.is_control());
                let shown: String = shown.take(MAX_COMPLAINT).collect();
                return Err(wanted.failed(&format!("the server answers {code}: {shown}")));
            }
            if let Some(action) = object.actions.download {
                actions.insert(object.oid, action);
            }
        }
        Ok(actions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_place_refuses_less_safe_ones() {
        let check = |from: &str, to: &str| {
            check_place(&SafeUrl::parse(from).unwrap(), &SafeUrl::parse(to).unwrap()).is_ok()
        };
        assert!(check("https://h/a", "https://other/b"));
        assert!(check("http://h/a", "https://other/b"));
        assert!(check("http://10.0.0.1/a", "http://10.0.0.1:9000/b"));
        assert!(!check("https://h/a", "http://h/b"));
        assert!(!check("https://h/a", "https://169.254.169.254/b"));
        assert!(!check("http://h/a", "http://[::1]/b"));
    }
}
