//! URLs in parts.

mod escape;
mod parse;

use ferro_template::{Error, Map, Text, Value};

use crate::args::{MAP, Outcome, STRING, Table, fail, text};
use parse::Url;

pub(crate) fn register(table: &mut Table<'_>) {
    table.add(&["urlParse"], &[STRING], MAP, |args| {
        match Url::parse(args.text(0)) {
            Ok(url) => Ok(parts(&url)),
            Err(problem) => fail(format!("unable to parse url: {problem}")),
        }
    });
    table.add(&["urlJoin"], &[MAP], STRING, |args| join(&args.map(0)));
}

/// A URL, as far as others than templates ask what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlParts {
    /// Whether it has a scheme.
    pub is_absolute: bool,
    /// The host with its port.
    pub host: Vec<u8>,
    /// The host without a port, and an address without its brackets.
    pub host_name: Vec<u8>,
}

/// Reads a URL as Go's `net/url` does; the error is Go's.
///
/// ```
/// let url = ferro_sprig::parse_url(b"http://[::1]:80/").unwrap();
/// assert_eq!(url.host_name, b"::1");
/// ```
pub fn parse_url(text: &[u8]) -> Result<UrlParts, String> {
    let url = Url::parse(text)?;
    Ok(UrlParts {
        is_absolute: !url.scheme.is_empty(),
        host_name: url.hostname().to_vec(),
        host: url.host,
    })
}

fn parts(url: &Url) -> Value {
    let user = url.user.as_ref().map(parse::User::to_bytes).unwrap_or_default();
    let parts: [(&str, &[u8]); 8] = [
        ("scheme", &url.scheme),
        ("host", &url.host),
        ("hostname", url.hostname()),
        ("path", &url.path),
        ("query", &url.query),
        ("opaque", &url.opaque),
        ("fragment", &url.fragment),
        ("userinfo", &user),
    ];
    let entries = parts
        .into_iter()
        .map(|(name, part)| (name, Value::Str(Text::from_bytes(part))));
    Value::Map(entries.collect())
}

fn join(map: &Map) -> Outcome {
    let mut url = Url {
        scheme: part(map, "scheme")?,
        host: part(map, "host")?,
        path: part(map, "path")?,
        query: part(map, "query")?,
        opaque: part(map, "opaque")?,
        fragment: part(map, "fragment")?,
        ..Url::default()
    };
    let user = part(map, "userinfo")?;
    if !user.is_empty() {
        let whole = [b"proto://", user.as_slice(), b"@host"].concat();
        match Url::parse(&whole) {
            Ok(parsed) => url.user = parsed.user,
            Err(problem) => return fail(format!("unable to parse userinfo in dict: {problem}")),
        }
    }
    text(url.to_bytes())
}

/// A part that is missing is empty; one of another type is an error.
fn part(map: &Map, key: &str) -> Result<Vec<u8>, Error> {
    let Some(value) = map.get(key) else {
        return Ok(Vec::new());
    };
    match value.as_text() {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None if value.kind() == ferro_template::Kind::Invalid => crate::args::nil_dereference(),
        None => fail(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            value.kind().name()
        )),
    }
}
