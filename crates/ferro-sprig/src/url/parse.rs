//! `net/url`: reading and writing of URLs.

use ferro_gocompat::address::{self, Address};
use ferro_gocompat::quote::quote_bytes;

use super::escape::{Part, escape, unescape};

/// A URL in parts, as Go keeps them.
#[derive(Debug, Default)]
pub(super) struct Url {
    pub(super) scheme: Vec<u8>,
    pub(super) opaque: Vec<u8>,
    pub(super) user: Option<User>,
    pub(super) host: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) query: Vec<u8>,
    pub(super) fragment: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

impl User {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = escape(&self.name, Part::User);
        if let Some(password) = &self.password {
            out.push(b':');
            out.extend(escape(password, Part::User));
        }
        out
    }
}

fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(separator, text) {
        Some(at) => {
            let (before, after) = text.split_at(at);
            (before, after.get(1..))
        }
        None => (text, None),
    }
}

impl Url {
    pub(super) fn parse(raw: &[u8]) -> Result<Self, String> {
        let (before, fragment) = cut(raw, b'#');
        let in_context = |problem: String, raw: &[u8]| format!("parse {}: {problem}", quote_bytes(raw));
        let mut url = Self::parse_reference(before).map_err(|problem| in_context(problem, before))?;
        if let Some(fragment) = fragment {
            url.fragment = unescape(fragment, Part::Fragment).map_err(|problem| in_context(problem, raw))?;
        }
        Ok(url)
    }

    fn parse_reference(raw: &[u8]) -> Result<Self, String> {
        if raw.iter().any(|byte| *byte < b' ' || *byte == 0x7F) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Self::default();
        if raw == b"*" {
            url.path = raw.to_vec();
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(raw)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (mut rest, query) = cut(rest, b'?');
        url.query = query.unwrap_or_default().to_vec();
        if !rest.starts_with(b"/") {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        if (!url.scheme.is_empty() || !rest.starts_with(b"///"))
            && let Some(after) = rest.strip_prefix(b"//")
        {
            let end = memchr::memchr(b'/', after).unwrap_or(after.len());
            let (authority, path) = after.split_at(end);
            (url.user, url.host) = parse_authority(&url.scheme, authority)?;
            rest = path;
        }
        url.path = unescape(rest, Part::Path)?;
        Ok(url)
    }

    /// The host without port and brackets.
    pub(super) fn hostname(&self) -> &[u8] {
        let mut host = self.host.as_slice();
        if let Some(colon) = memchr::memrchr(b':', host)
            && is_port(host.get(colon..).unwrap_or_default())
        {
            host = host.get(..colon).unwrap_or_default();
        }
        host.strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"))
            .unwrap_or(host)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.push_hierarchy(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escape(&self.fragment, Part::Fragment));
        }
        out
    }

    fn push_hierarchy(&self, out: &mut Vec<u8>) {
        let has_authority = !self.host.is_empty() || self.user.is_some();
        if has_authority || (!self.scheme.is_empty() && !self.path.is_empty()) {
            out.extend_from_slice(b"//");
        }
        if let Some(user) = &self.user {
            out.extend(user.to_bytes());
            out.push(b'@');
        }
        out.extend(escape(&self.host, Part::Host));
        let path = if self.path == b"*" {
            self.path.clone()
        } else {
            escape(&self.path, Part::Path)
        };
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        // Without a scheme, a colon in the first segment would make one.
        if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend(path);
    }
}

fn split_scheme(raw: &[u8]) -> Result<(&[u8], &[u8]), String> {
    for (at, &byte) in raw.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => {
                return Ok((
                    raw.get(..at).unwrap_or_default(),
                    raw.get(at + 1..).unwrap_or_default(),
                ));
            }
            _ => break,
        }
    }
    Ok((&[], raw))
}

fn parse_authority(scheme: &[u8], authority: &[u8]) -> Result<(Option<User>, Vec<u8>), String> {
    let Some(at) = memchr::memrchr(b'@', authority) else {
        return Ok((None, parse_host(scheme, authority)?));
    };
    let (user, host) = authority.split_at(at);
    let host = parse_host(scheme, host.get(1..).unwrap_or_default())?;
    let is_user_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
    if !user.iter().all(is_user_byte) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = cut(user, b':');
    let user = User {
        name: unescape(name, Part::User)?,
        password: password
            .map(|password| unescape(password, Part::User))
            .transpose()?,
    };
    Ok((Some(user), host))
}

fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    }
}

fn check_port(text: &[u8]) -> Result<(), String> {
    if is_port(text) {
        return Ok(());
    }
    Err(format!("invalid port {} after host", quote_bytes(text)))
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, String> {
    match memchr::memrchr(b'[', host) {
        Some(0) => return parse_literal(host),
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    // Databases list several hosts with ports; only the web's schemes are strict about colons.
    let is_strict = scheme == b"http" || scheme == b"https";
    let colon = if is_strict {
        memchr::memchr(b':', host)
    } else {
        memchr::memrchr(b':', host)
    };
    if let Some(colon) = colon {
        check_port(host.get(colon..).unwrap_or_default())?;
    }
    unescape(host, Part::Host)
}

/// `[address]:port`
fn parse_literal(host: &[u8]) -> Result<Vec<u8>, String> {
    let Some(close) = memchr::memrchr(b']', host) else {
        return Err("missing ']' in host".to_owned());
    };
    let port = host.get(close + 1..).unwrap_or_default();
    check_port(port)?;
    let port = unescape(port, Part::Host)?;
    let name = host.get(1..close).unwrap_or_default();
    let zone_at = memchr::memmem::find(name, b"%25").unwrap_or(name.len());
    let (address, zone) = name.split_at(zone_at);
    let mut literal = unescape(address, Part::Host)?;
    literal.extend(unescape(zone, Part::Zone)?);
    check_address(&literal)?;
    Ok([b"[", literal.as_slice(), b"]", &port].concat())
}

fn check_address(literal: &[u8]) -> Result<(), String> {
    match address::parse(literal) {
        Ok(Address::V6 { .. }) => Ok(()),
        Ok(Address::V4) => Err("invalid IP-literal".to_owned()),
        Err(problem) => Err(format!("invalid host: {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_read_is_written_the_same() {
        for text in [
            "http://u:p@example.com:80/a%20b?q=1#f",
            "mailto:a@b",
            "//host/path",
            "/only/path",
            "http://[::1]:8080/",
        ] {
            let url = Url::parse(text.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(url.to_bytes()).unwrap(), text);
        }
    }
}
