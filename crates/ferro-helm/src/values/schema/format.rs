//! `format`, which the drafts before 2019-09 assert.

use std::net::{Ipv4Addr, Ipv6Addr};

use ferro_gocompat::regexp::Regex;

/// Checks a text; the error says what is wrong. Formats that are not known hold for every text.
pub(super) fn check(format: &str, text: &str) -> Result<(), String> {
    match format {
        "regex" => Regex::go(text).map(drop).map_err(|error| error.to_string()),
        "ipv4" => ipv4(text),
        "ipv6" => ipv6(text),
        "email" => email(text),
        "hostname" => hostname(text),
        "uri" => uri(text),
        "uuid" => uuid(text),
        "date" => date(text),
        "date-time" => date_time(text),
        _ => Ok(()),
    }
}

fn fail(problem: &str) -> Result<(), String> {
    Err(problem.to_owned())
}

fn ipv4(text: &str) -> Result<(), String> {
    if text.parse::<Ipv4Addr>().is_ok() {
        return Ok(());
    }
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() != 4 {
        return fail("expected four decimals");
    }
    if parts.iter().any(|part| part.len() > 1 && part.starts_with('0')) {
        return fail("leading zeros");
    }
    fail("decimal must be between 0 and 255")
}

fn ipv6(text: &str) -> Result<(), String> {
    if !text.contains(':') {
        return fail("missing colon");
    }
    match text.parse::<Ipv6Addr>() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn hostname(text: &str) -> Result<(), String> {
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
            return Err(format!("invalid character {c:?}"));
        }
    }
    Ok(())
}

fn email(text: &str) -> Result<(), String> {
    if text.len() > 255 {
        return fail("more than 255 characters long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return fail("missing @");
    };
    if local.len() > 64 {
        return fail("local part more than 64 characters long");
    }
    let is_quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    if !is_quoted {
        if local.starts_with('.') {
            return fail("starts with dot");
        }
        if local.ends_with('.') {
            return fail("ends with dot");
        }
        if local.contains("..") {
            return fail("consecutive dots");
        }
    }
    if domain.starts_with('[') && domain.ends_with(']') {
        return Ok(());
    }
    hostname(domain).map_err(|problem| format!("invalid domain: {problem}"))
}

fn uri(text: &str) -> Result<(), String> {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    if scheme.is_some_and(is_scheme) {
        Ok(())
    } else {
        fail("relative url")
    }
}

fn uuid(text: &str) -> Result<(), String> {
    const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    if groups.len() != LENGTHS.len() {
        return fail("must have 5 elements");
    }
    for (index, (group, length)) in groups.iter().zip(LENGTHS).enumerate() {
        if group.len() != length {
            return Err(format!("element {} must be {length} characters long", index + 1));
        }
        if let Some(c) = group.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(format!("non-hex character {c:?}"));
        }
    }
    Ok(())
}

fn date(text: &str) -> Result<(), String> {
    let is_date = text.len() == 10 && ferro_yaml::to_rfc3339(text).is_some();
    if is_date { Ok(()) } else { fail("not a date") }
}

fn date_time(text: &str) -> Result<(), String> {
    if text.len() < 20 {
        return fail("less than 20 characters long");
    }
    if !matches!(text.as_bytes().get(10), Some(b't' | b'T')) {
        return fail("11th character must be t or T");
    }
    if ferro_yaml::to_rfc3339(text).is_some() {
        Ok(())
    } else {
        fail("not a date and time")
    }
}
