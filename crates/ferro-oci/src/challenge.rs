//! How a registry asks for credentials: `WWW-Authenticate`, and where tokens may be asked for.

use std::collections::BTreeMap;

use ferro_http::{SafeUrl, is_inner_address};
use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::{Error, Result};

/// Headers longer than this are not looked at.
const MAX_HEADER: usize = 8 * 1024;

/// How a registry wants to be authenticated to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Not at all, or with user name and password.
    Basic,
    /// With a token.
    Bearer(Bearer),
}

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The token service.
    pub realm: SafeUrl,
    /// The name under which it knows the registry.
    pub service: String,
}

/// One `WWW-Authenticate` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// In lower case.
    pub scheme: String,
    /// With names in lower case.
    pub parameters: BTreeMap<String, String>,
}

/// The challenges of a response.
pub(crate) fn headers(headers: &HeaderMap) -> Vec<Header> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|value| value.len() <= MAX_HEADER)
        .filter_map(parse)
        .collect()
}

/// Picks the challenge that can be met. `registry` is the host with the port, `is_plain` whether it is spoken to without TLS.
pub(crate) fn choose(headers: &[Header], registry: &str, is_plain: bool) -> Result<Challenge> {
    let known = headers
        .iter()
        .find(|header| matches!(header.scheme.as_str(), "basic" | "bearer"));
    let Some(header) = known.filter(|header| header.scheme == "bearer") else {
        return Ok(Challenge::Basic);
    };
    let realm = header.parameters.get("realm").ok_or_else(|| Error::Challenge {
        reason: "malformed www-authenticate, missing realm".to_owned(),
    })?;
    let invalid = |reason: String| Error::Challenge {
        reason: format!("invalid realm in www-authenticate: {reason}"),
    };
    let realm = SafeUrl::parse(realm).map_err(|error| invalid(format!("parsing realm: {error}")))?;
    check_realm(&realm, registry, is_plain).map_err(invalid)?;
    Ok(Challenge::Bearer(Bearer {
        realm,
        service: header.parameters.get("service").cloned().unwrap_or_default(),
    }))
}

/// Refuses a token service that would get credentials in the clear, or that is an inner address which the registry should not be able to have
/// requests sent to.
pub(crate) fn check_realm(
    realm: &SafeUrl,
    registry: &str,
    is_plain: bool,
) -> std::result::Result<(), String> {
    let url = realm.expose();
    match url.scheme() {
        "https" => {}
        "http" if is_plain => {}
        "http" => {
            return Err("realm scheme \"http\" not allowed for a secure registry; use https".to_owned());
        }
        other => {
            return Err(format!(
                "realm scheme {other:?} not allowed; must be https (or http for insecure registries)"
            ));
        }
    }
    let host = url.host_str().unwrap_or_default();
    let authority = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    if authority == registry {
        return Ok(());
    }
    if is_inner_address(host) {
        return Err(format!("realm host {host:?} is a private or link-local address"));
    }
    Ok(())
}

/// Reads `Scheme key="value",key=value`.
fn parse(text: &str) -> Option<Header> {
    let (scheme, mut rest) = token(text);
    if scheme.is_empty() {
        return None;
    }
    let mut parameters = BTreeMap::new();
    rest = rest.trim_start();
    loop {
        let (name, after) = token(rest.trim_start());
        let Some((value, after)) = after.strip_prefix('=').and_then(value) else {
            break;
        };
        if name.is_empty() {
            break;
        }
        parameters.insert(name.to_lowercase(), value);
        match after.trim_start().strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    Some(Header {
        scheme: scheme.to_lowercase(),
        parameters,
    })
}

fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| {
        c.is_ascii_graphic()
            && !matches!(
                c,
                '(' | ')' | '<' | '>' | '@' | ',' | ';' | ':' | '\\' | '"' | '/'
            )
            && !matches!(c, '[' | ']' | '?' | '=' | '{' | '}')
    };
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => return Some((value, quoted.get(index + 1..).unwrap_or_default())),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Header {
        parse(text).unwrap()
    }

    #[test]
    fn parse_reads_quoted_and_bare_values() {
        let found = header(
            r#"Bearer realm="https://auth.r.io/token?a=b,c",service=r.io, scope="repository:a/b:pull,push",x="a\"b" junk"#,
        );
        assert_eq!(found.scheme, "bearer");
        let get = |key: &str| found.parameters.get(key).map(String::as_str);
        assert_eq!(get("realm"), Some("https://auth.r.io/token?a=b,c"));
        assert_eq!(get("service"), Some("r.io"));
        assert_eq!(get("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(get("x"), Some("a\"b"));
        assert_eq!(header("Basic").parameters.len(), 0);
        for text in [
            "Bearer realm=\"open",
            "Bearer =x",
            "Bearer realm",
            "Bearer realm=\"a\\",
        ] {
            assert_eq!(header(text).parameters.len(), 0, "{text}");
        }
        assert_eq!(parse(""), None);
        assert_eq!(parse("\"x\""), None);
    }

    fn choice(texts: &[&str], is_plain: bool) -> std::result::Result<Challenge, String> {
        let headers: Vec<Header> = texts.iter().map(|text| header(text)).collect();
        choose(&headers, "10.0.0.1:5000", is_plain).map_err(|error| error.to_string())
    }

    #[test]
    fn choose_takes_the_first_that_is_known() {
        assert_eq!(
            choice(
                &["Negotiate", "Basic realm=\"x\"", "Bearer realm=\"https://a.b\""],
                false
            ),
            Ok(Challenge::Basic)
        );
        assert_eq!(choice(&["Negotiate"], false), Ok(Challenge::Basic));
        let Ok(Challenge::Bearer(bearer)) =
            choice(&["Negotiate", "Bearer realm=\"https://a.b/t\",service=s"], false)
        else {
            panic!("no bearer");
        };
        assert_eq!(
            (bearer.realm.expose().as_str(), bearer.service.as_str()),
            ("https://a.b/t", "s")
        );
    }

    #[test]
    fn choose_refuses_realms_that_would_leak_credentials() {
        let invalid = "invalid realm in www-authenticate: ";
        let cases = [
            (
                "Bearer service=x",
                false,
                "malformed www-authenticate, missing realm".to_owned(),
            ),
            (
                "Bearer realm=\"http://a.b/t\"",
                false,
                format!("{invalid}realm scheme \"http\" not allowed for a secure registry; use https"),
            ),
            (
                "Bearer realm=\"file:///etc/passwd\"",
                true,
                format!(
                    "{invalid}realm scheme \"file\" not allowed; must be https (or http for insecure registries)"
                ),
            ),
            (
                "Bearer realm=\"https://169.254.169.254/t\"",
                false,
                format!("{invalid}realm host \"169.254.169.254\" is a private or link-local address"),
            ),
            (
                "Bearer realm=\"https://[::ffff:127.0.0.1]/t\"",
                false,
                format!("{invalid}realm host \"[::ffff:7f00:1]\" is a private or link-local address"),
            ),
            (
                "Bearer realm=\"https://10.0.0.1:5001/t\"",
                false,
                format!("{invalid}realm host \"10.0.0.1\" is a private or link-local address"),
            ),
        ];
        for (text, is_plain, expected) in cases {
            assert_eq!(choice(&[text], is_plain), Err(expected), "{text}");
        }
        assert!(choice(&["Bearer realm=\"https://10.0.0.1:5000/t\""], false).is_ok());
        assert!(choice(&["Bearer realm=\"http://a.b/t\""], true).is_ok());
    }
}
