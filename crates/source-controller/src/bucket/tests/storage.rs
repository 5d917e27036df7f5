//! An S3 storage on the loopback interface.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

use super::*;

/// What may take the place of an answer.
type Instead = Box<dyn Fn(&Request) -> Option<Response> + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, String>,
    seen: Vec<String>,
    instead: Option<Instead>,
    page: Option<usize>,
}

/// The storage, with the bucket `podinfo`.
pub(super) struct FakeS3 {
    state: Arc<Mutex<State>>,
    server: Server,
}

impl FakeS3 {
    pub(super) fn new() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| answer(&mut shared.lock().unwrap(), &request));
        Self { state, server }
    }

    pub(super) fn start_tls(config: Arc<rustls::ServerConfig>) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let server = Server::start_tls(config, move |request| {
            answer(&mut shared.lock().unwrap(), &request)
        });
        Self { state, server }
    }

    pub(super) fn endpoint(&self) -> String {
        self.server.address().to_string()
    }

    pub(super) fn put(&self, key: &str, content: &str) {
        let mut state = self.state.lock().unwrap();
        state.objects.insert(key.to_owned(), content.to_owned());
    }

    pub(super) fn remove(&self, key: &str) {
        self.state.lock().unwrap().objects.remove(key);
    }

    /// Lists that many objects at once.
    pub(super) fn page(&self, size: usize) {
        self.state.lock().unwrap().page = Some(size);
    }

    pub(super) fn instead(&self, instead: impl Fn(&Request) -> Option<Response> + Send + 'static) {
        self.state.lock().unwrap().instead = Some(Box::new(instead));
    }

    /// The requests since the last call: the method and the key, or the name of the operation.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// The revision that the reference makes of these keys.
    pub(super) fn revision(&self, keys: &[&str]) -> String {
        let state = self.state.lock().unwrap();
        let mut text = String::new();
        for key in keys {
            writeln!(text, "{key} {}", etag(&state.objects[*key])).unwrap();
        }
        Algorithm::Sha256.digest(text.as_bytes()).to_string()
    }
}

pub(super) fn etag(content: &str) -> String {
    Algorithm::Sha1.digest(content.as_bytes()).hex().to_owned()
}

/// An error as S3 storages write it.
pub(super) fn error(status: u16, code: &str, message: &str) -> Response {
    let xml =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Response::new(status, xml)
}

fn answer(state: &mut State, request: &Request) -> Response {
    let path = percent_decode_str(&request.path)
        .decode_utf8()
        .unwrap()
        .into_owned();
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(request.query.as_bytes())
        .into_owned()
        .collect();
    let Some(key) = path.strip_prefix("/podinfo/") else {
        state.seen.push(format!("{} {path}", request.method));
        return error(404, "NoSuchBucket", "The specified bucket does not exist");
    };
    let what = match (key, query.contains_key("list-type")) {
        ("", true) => "list".to_owned(),
        ("", false) => "bucket".to_owned(),
        (key, _) => key.to_owned(),
    };
    state.seen.push(format!("{} {what}", request.method));
    if let Some(response) = state.instead.as_ref().and_then(|instead| instead(request)) {
        return response;
    }
    match what.as_str() {
        "list" => list(state, &query),
        "bucket" => Response::new(200, ""),
        key => match state.objects.get(key) {
            Some(content) => {
                Response::new(200, content.clone()).header("etag", format!("\"{}\"", etag(content)))
            }
            None => error(404, "NoSuchKey", "The specified key does not exist."),
        },
    }
}

fn list(state: &State, query: &BTreeMap<String, String>) -> Response {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let after = text("continuation-token");
    let mut keys = state
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(text("prefix")) && key.as_str() > after);
    let size = state.page.unwrap_or(1000);
    let page: Vec<_> = keys.by_ref().take(size).collect();
    let mut xml = "<ListBucketResult><EncodingType>url</EncodingType>".to_owned();
    for (key, content) in &page {
        let key: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        write!(
            xml,
            "<Contents><Key>{key}</Key><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
            etag(content),
            content.len()
        )
        .unwrap();
    }
    let is_truncated = keys.next().is_some();
    write!(xml, "<IsTruncated>{is_truncated}</IsTruncated>").unwrap();
    if let (true, Some((last, _))) = (is_truncated, page.last()) {
        write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>").unwrap();
    }
    xml.push_str("</ListBucketResult>");
    Response::new(200, xml)
}
