//! `format`, which the drafts before 2019-09 assert.

mod net;
mod time;

use ferro_gocompat::regexp::Regex;

/// Checks a text; the error says what is wrong. Formats that are not known hold for every text.
pub(super) fn check(format: &str, text: &str) -> Result<(), String> {
    match format {
        "regex" => Regex::go(text).map(drop).map_err(|error| error.to_string()),
        "json-pointer" => pointer(text),
        "relative-json-pointer" => relative_pointer(text),
        "uuid" => uuid(text),
        "semver" => semver(text),
        "date" => time::date(text),
        "time" => time::time(text),
        "date-time" => time::date_time(text),
        "duration" => time::duration(text),
        "period" => time::period(text),
        "ipv4" => net::v4(text),
        "ipv6" => net::v6(text),
        "hostname" => net::host_name(text),
        "email" => net::email(text),
        "uri" | "iri" => net::uri(text),
        "uri-reference" | "iri-reference" => net::reference(text),
        "uri-template" => net::template(text),
        _ => Ok(()),
    }
}

fn fail(problem: impl Into<String>) -> Result<(), String> {
    Err(problem.into())
}

/// A character as Go quotes it.
fn quoted(c: char) -> String {
    let text = ferro_gocompat::quote::quote(c.encode_utf8(&mut [0; 4]));
    format!("'{}'", text.trim_matches('"'))
}

fn pointer(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let Some(tokens) = text.strip_prefix('/') else {
        return fail("not starting with /");
    };
    for token in tokens.split('/') {
        let mut chars = token.chars();
        while let Some(c) = chars.next() {
            if c == '~' && !matches!(chars.next(), Some('0' | '1')) {
                return fail("~ must be followed by 0 or 1");
            }
        }
    }
    Ok(())
}

fn relative_pointer(text: &str) -> Result<(), String> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.len() - rest.len();
    if digits == 0 {
        return fail("must start with non-negative integer");
    }
    if digits > 1 && text.starts_with('0') {
        return fail("starts with zero");
    }
    if rest == "#" { Ok(()) } else { pointer(rest) }
}

fn uuid(text: &str) -> Result<(), String> {
    const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    if groups.len() != LENGTHS.len() {
        return fail("must have 5 elements");
    }
    for (index, (group, length)) in groups.iter().zip(LENGTHS).enumerate() {
        if group.len() != length {
            return fail(format!("element {} must be {length} characters long", index + 1));
        }
        if let Some(c) = group.chars().find(|c| !c.is_ascii_hexdigit()) {
            return fail(format!("non-hex character {}", quoted(c)));
        }
    }
    Ok(())
}

fn semver(text: &str) -> Result<(), String> {
    let (text, build) = match text.split_once('+') {
        Some((text, build)) => (text, Some(build)),
        None => (text, None),
    };
    match build {
        Some("") => return fail("build is empty"),
        Some(build) => build.split('.').try_for_each(|part| identifier(part, "build"))?,
        None => {}
    }
    let (core, prerelease) = match text.split_once('-') {
        Some((core, prerelease)) => (core, Some(prerelease)),
        None => (text, None),
    };
    for part in prerelease.into_iter().flat_map(|text| text.split('.')) {
        identifier(part, "pre-release")?;
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && part.len() > 1 && part.starts_with('0') {
            return fail("pre-release numeric identifier starts with zero");
        }
    }
    let numbers: Vec<&str> = core.split('.').collect();
    if numbers.len() != 3 {
        return fail("versionCore must have 3 numbers separated by dot");
    }
    for (number, name) in numbers.into_iter().zip(["major", "minor", "patch"]) {
        if number.is_empty() {
            return fail(format!("{name} is empty"));
        }
        if number.len() > 1 && number.starts_with('0') {
            return fail(format!("{name} starts with zero"));
        }
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return fail(format!("{name} contains non-digit"));
        }
    }
    Ok(())
}

fn identifier(text: &str, kind: &str) -> Result<(), String> {
    if text.is_empty() {
        return fail(format!("{kind} identifier is empty"));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        Some(c) => fail(format!("invalid character {} in {kind} identifier", quoted(c))),
        None => Ok(()),
    }
}
