//! Git repositories named by URL: `https://host/owner/repo//sub/path?ref=v1`.

use std::time::Duration;

use crate::path;

/// How long a clone may take when the URL does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(27);

/// A repository, what to check out of it, and the directory in it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitUrl {
    /// The text it was read from.
    pub raw: String,
    /// What to clone.
    pub clone_url: String,
    /// The directory in the repository, without a leading slash; empty for its root.
    pub sub_path: String,
    /// The branch, tag or commit; the remote's HEAD without one.
    pub reference: Option<String>,
    /// Whether submodules are wanted.
    pub submodules: bool,
    /// How long to try.
    pub timeout: Duration,
}

const FILE_SCHEME: &str = "file://";

struct Query {
    reference: Option<String>,
    submodules: bool,
    timeout: Duration,
}

impl GitUrl {
    /// Reads one; `None` if the text does not name a Git repository.
    ///
    /// ```
    /// use ferro_kustomize::GitUrl;
    ///
    /// let url = GitUrl::parse("https://github.com/org/repo//base?ref=v1").unwrap();
    /// assert_eq!(url.clone_url, "https://github.com/org/repo");
    /// assert_eq!((url.sub_path.as_str(), url.reference.as_deref()), ("base", Some("v1")));
    /// assert_eq!(GitUrl::parse("../base"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return None;
        }
        let (location, query) = text.split_once('?').unwrap_or((text, ""));
        let query = parse_query(query).unwrap_or_default();
        let (host, path) = split_host(strip_git_prefix(location))?;
        let (repository, sub_path) = split_repository(path, host == FILE_SCHEME)?;
        let sub_path = sub_path.strip_prefix('/').unwrap_or(sub_path);
        if repository.is_empty() || path::clean(sub_path).split('/').next() == Some("..") {
            return None;
        }
        // A path that leads out behind a further slash is found out when the directory is looked for.
        let sub_path = path::clean(&format!("./{sub_path}"));
        Some(Self {
            raw: text.to_owned(),
            clone_url: format!("{host}{repository}"),
            sub_path: if sub_path == "." { String::new() } else { sub_path },
            reference: query.reference,
            submodules: query.submodules,
            timeout: query.timeout,
        })
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            reference: None,
            submodules: true,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

fn strip_git_prefix(text: &str) -> &str {
    match text.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("git::") => text.get(5..).unwrap_or_default(),
        _ => text,
    }
}

/// One pair that cannot be read makes all of them void.
fn parse_query(query: &str) -> Option<Query> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return None;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((unescape(key)?, unescape(value)?));
    }
    let first = |key: &str| {
        let found = pairs.iter().find(|(name, _)| name == key);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let defaults = Query::default();
    Some(Query {
        reference: first("ref").or_else(|| first("version")).map(str::to_owned),
        timeout: first("timeout")
            .and_then(parse_timeout)
            .unwrap_or(defaults.timeout),
        submodules: first("submodules")
            .and_then(parse_bool)
            .unwrap_or(defaults.submodules),
    })
}

fn parse_timeout(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return (seconds > 0).then(|| Duration::from_secs(seconds));
    }
    let nanoseconds = ferro_gocompat::duration::parse(text).ok()?;
    u64::try_from(nanoseconds)
        .ok()
        .filter(|length| *length > 0)
        .map(Duration::from_nanos)
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Undoes percent escapes and `+`.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Cuts off the scheme and returns it in lower case, blank when there is none.
fn strip_scheme(text: &str) -> (&'static str, &str) {
    for scheme in ["ssh://", FILE_SCHEME, "https://", "http://"] {
        if starts_with_ignore_case(text, scheme) {
            return (scheme, text.get(scheme.len()..).unwrap_or_default());
        }
    }
    ("", text)
}

/// Cuts off `git@` and the like.
fn strip_user(text: &str) -> (&str, &str) {
    let Some(at) = text.find('@') else {
        return ("", text);
    };
    let (user, rest) = text.split_at(at + 1);
    let name = user.trim_end_matches('@');
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if valid { (user, rest) } else { ("", text) }
}

/// Tells whether a text starts with GitHub's name. Go's lower case of a letter is one letter, so `İ` is an `i` to it.
fn is_github(text: &str) -> bool {
    let mut letters = text.chars().filter_map(|letter| letter.to_lowercase().next());
    "github.com".chars().all(|wanted| letters.next() == Some(wanted))
        && matches!(letters.next(), Some('/' | ':'))
}

/// Splits into what names the server, normalised, and the path there.
fn split_host(text: &str) -> Option<(String, &str)> {
    let (scheme, located) = strip_scheme(text);
    if scheme == FILE_SCHEME {
        return Some((scheme.to_owned(), located));
    }
    let (user, located) = strip_user(located);
    let is_github = is_github(located);
    let is_scp_style = scheme.is_empty() && (is_github || !user.is_empty());
    if located.is_empty() || scheme.is_empty() && !is_scp_style {
        return None;
    }
    let (slash, colon) = (located.find('/'), located.find(':'));
    let ends_at_colon =
        is_scp_style && slash.is_none_or(|slash| colon.is_some_and(|colon| 0 < colon && colon < slash));
    let end = if ends_at_colon { colon } else { slash };
    let (host, path) = located.split_at(end.map_or(located.len(), |end| end + 1));
    let host = match (is_github, scheme, user) {
        (false, ..) => format!("{scheme}{user}{host}"),
        (true, "ssh://", _) => format!("{user}github.com:"),
        (true, _, "") => "https://github.com/".to_owned(),
        (true, ..) => format!("{user}github.com:"),
    };
    Some((host, path))
}

/// Splits the path on the server into the repository and the directory in it.
fn split_repository(path: &str, is_file: bool) -> Option<(&str, &str)> {
    if let Some(start) = path.find("_git/") {
        let name = start + "_git/".len();
        let slash = path.get(name..)?.find('/').map(|length| name + length);
        return Some(split_before(path, slash));
    }
    if let Some(parts) = path.split_once("//") {
        return Some(parts);
    }
    if let Some(start) = path.find(".git") {
        return Some(path.split_at(start + ".git".len()));
    }
    if is_file {
        return Some((path, ""));
    }
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    slashes.next()?;
    Some(split_before(path, slashes.next()))
}

/// Splits at a slash and drops it; without one all is the first part.
fn split_before(path: &str, slash: Option<usize>) -> (&str, &str) {
    let (repository, rest) = path.split_at(slash.unwrap_or(path.len()));
    (repository, rest.strip_prefix('/').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, String, Option<String>)> {
        GitUrl::parse(text).map(|url| (url.clone_url, url.sub_path, url.reference))
    }

    fn found(
        clone_url: &str,
        sub_path: &str,
        reference: Option<&str>,
    ) -> Option<(String, String, Option<String>)> {
        Some((
            clone_url.to_owned(),
            sub_path.to_owned(),
            reference.map(str::to_owned),
        ))
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(
            parts("https://github.com/org/repo/some/dir?ref=v1"),
            found("https://github.com/org/repo", "some/dir", Some("v1"))
        );
        assert_eq!(
            parts("github.com/org/repo"),
            found("https://github.com/org/repo", "", None)
        );
        assert_eq!(
            parts("git@github.com:org/repo//x"),
            found("git@github.com:org/repo", "x", None)
        );
        assert_eq!(
            parts("https://host.example/a/b.git/c?version=2&ref=main"),
            found("https://host.example/a/b.git", "c", Some("main"))
        );
        assert_eq!(
            parts("https://dev.example/org/proj/_git/repo/dir"),
            found("https://dev.example/org/proj/_git/repo", "dir", None)
        );
        assert_eq!(
            parts("file:///srv/repo//sub"),
            found("file:///srv/repo", "sub", None)
        );
        assert_eq!(
            parts("ssh://git@host.example:22/o/r//p"),
            found("ssh://git@host.example:22/o/r", "p", None)
        );
    }

    #[test]
    fn local_paths_are_not_urls() {
        for text in [
            "/abs",
            "../base",
            "base",
            "./github.com/x",
            "a/b/c.yaml",
            "https://host.example/only",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn queries_have_defaults() {
        let url = GitUrl::parse("github.com/o/r?timeout=2m&submodules=false").unwrap();
        assert_eq!((url.timeout, url.submodules), (Duration::from_secs(120), false));
        let url = GitUrl::parse("github.com/o/r?timeout=x&submodules=y").unwrap();
        assert_eq!((url.timeout, url.submodules), (DEFAULT_TIMEOUT, true));
    }
}
