//! Formats of addresses and names.

use ferro_gocompat::address::{self, Address};
use ferro_gocompat::quote::quote;
use ferro_sprig::parse_url;

use super::{fail, quoted};

pub(super) fn v4(text: &str) -> Result<(), String> {
    let groups: Vec<&str> = text.split('.').collect();
    if groups.len() != 4 {
        return fail("expected four decimals");
    }
    for group in groups {
        if group.len() > 1 && group.starts_with('0') {
            return fail("leading zeros");
        }
        if !(0..=255).contains(&number(group)?) {
            return fail("decimal must be between 0 and 255");
        }
    }
    Ok(())
}

/// Go's `strconv.Atoi`.
fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let problem = if is_number {
            "value out of range"
        } else {
            "invalid syntax"
        };
        format!("strconv.Atoi: parsing {}: {problem}", quote(text))
    })
}

pub(super) fn v6(text: &str) -> Result<(), String> {
    if !text.contains(':') {
        return fail("missing colon");
    }
    match address::parse(text.as_bytes())? {
        Address::V6 { has_zone: true } => fail("zone id is not a part of ipv6 address"),
        _ => Ok(()),
    }
}

pub(super) fn host_name(text: &str) -> Result<(), String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 {
        return fail("more than 253 characters long");
    }
    for label in text.split('.') {
        if label.is_empty() || label.len() > 63 {
            return fail("label must be 1 to 63 characters long");
        }
        if label.starts_with('-') {
            return fail("label starts with hyphen");
        }
        if label.ends_with('-') {
            return fail("label ends with hyphen");
        }
        if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            return fail(format!("invalid character {}", quoted(c)));
        }
    }
    Ok(())
}

pub(super) fn email(text: &str) -> Result<(), String> {
    if text.len() > 254 {
        return fail("more than 255 characters long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return fail("missing @");
    };
    if local.len() > 64 {
        return fail("local part more than 64 characters long");
    }
    local_part(local)?;
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match literal.strip_prefix("IPv6:") {
            Some(literal) => v6(literal).map_err(|problem| format!("invalid ipv6 address: {problem}")),
            None => v4(literal).map_err(|problem| format!("invalid ipv4 address: {problem}")),
        };
    }
    host_name(domain).map_err(|problem| format!("invalid domain: {problem}"))
}

fn local_part(local: &str) -> Result<(), String> {
    // Upstream asks twice whether it begins with a quote, and not whether it ends with one.
    if local.chars().nth(1).is_some() && local.starts_with('"') {
        let mut inner = local.chars();
        inner.next();
        inner.next_back();
        if inner.as_str().contains(['\\', '"']) {
            return fail("backslash and quote are not allowed within quoted local part");
        }
        return Ok(());
    }
    if local.starts_with('.') {
        return fail("starts with dot");
    }
    if local.ends_with('.') {
        return fail("ends with dot");
    }
    if local.contains("..") {
        return fail("consecutive dots");
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(c);
    match local.chars().find(|c| !is_allowed(*c)) {
        Some(c) => fail(format!("invalid character {}", quoted(c))),
        None => Ok(()),
    }
}

/// Tells whether a URL is absolute.
fn url(text: &str) -> Result<bool, String> {
    let url = parse_url(text.as_bytes())?;
    if url.host_name.contains(&b':') {
        if !url.host.contains(&b'[') || !url.host.contains(&b']') {
            return Err("ipv6 address not enclosed in brackets".to_owned());
        }
        let name = String::from_utf8_lossy(&url.host_name);
        v6(&name).map_err(|problem| format!("invalid ipv6 address: {problem}"))?;
    }
    Ok(url.is_absolute)
}

pub(super) fn uri(text: &str) -> Result<(), String> {
    if url(text)? { Ok(()) } else { fail("relative url") }
}

pub(super) fn reference(text: &str) -> Result<(), String> {
    if text.contains('\\') {
        return fail("contains \\");
    }
    url(text).map(drop)
}

/// A URL that may have names in braces in its path.
pub(super) fn template(text: &str) -> Result<(), String> {
    url(text)?;
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once(':').map_or(path, |(_, rest)| rest);
    let path = match path.strip_prefix("//") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => path,
    };
    for segment in path.split('/') {
        let mut is_open = false;
        for brace in segment.chars().filter(|c| matches!(c, '{' | '}')) {
            if (brace == '{') == is_open {
                return fail("nested curly braces");
            }
            is_open = !is_open;
        }
        if is_open {
            return fail("no matching closing brace");
        }
    }
    Ok(())
}
