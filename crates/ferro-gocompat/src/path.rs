//! `path.Clean` and shell patterns.

/// A pattern with an unclosed `[`, a bad range or a lone `\` at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Returns the shortest path that means the same, by text alone.
///
/// ```
/// use ferro_gocompat::path::clean;
///
/// assert_eq!(clean("a//b/../c/."), "a/c");
/// assert_eq!(clean("/../a"), "/a");
/// assert_eq!(clean(""), ".");
/// ```
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => match kept.last() {
                Some(last) if *last != ".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(".."),
            },
            element => kept.push(element),
        }
    }
    match (rooted, kept.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// Tells whether all of `name` matches a pattern of `*`, `?`, `[...]` and `\`; neither of the first two
/// matches a `/`. This is `path.Match`, and `filepath.Match` on Unix.
///
/// ```
/// use ferro_gocompat::path::matches;
///
/// assert_eq!(matches("a*/b?[^x-z]", "abc/bcd"), Ok(true));
/// assert!(matches("[", "a").is_err());
/// ```
pub fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let (mut pattern, mut name) = (pattern, name);
    while !pattern.is_empty() {
        let (star, chunk, rest) = scan_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains('/'));
        }
        if let Some(after) = match_chunk(chunk, name)?
            && (after.is_empty() || !pattern.is_empty())
        {
            name = after;
            continue;
        }
        if star && let Some(after) = match_later(chunk, name, pattern.is_empty())? {
            name = after;
            continue;
        }
        // What is left of the pattern must still be well formed.
        while !pattern.is_empty() {
            let (_, chunk, rest) = scan_chunk(pattern);
            match_chunk(chunk, "")?;
            pattern = rest;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Lets a star take more and more of `name` until `chunk` matches behind it.
fn match_later<'n>(chunk: &str, name: &'n str, is_last: bool) -> Result<Option<&'n str>, BadPattern> {
    for (at, c) in name.char_indices() {
        if c == '/' {
            break;
        }
        let behind = name.get(at + c.len_utf8()..).unwrap_or("");
        if let Some(after) = match_chunk(chunk, behind)?
            && (!is_last || after.is_empty())
        {
            return Ok(Some(after));
        }
    }
    Ok(None)
}

/// Splits off the leading stars and what follows them up to the next.
fn scan_chunk(pattern: &str) -> (bool, &str, &str) {
    let trimmed = pattern.trim_start_matches('*');
    let mut in_class = false;
    let mut escaped = false;
    for (at, c) in trimmed.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '*' if !in_class => {
                let (chunk, rest) = trimmed.split_at(at);
                return (trimmed.len() < pattern.len(), chunk, rest);
            }
            _ => {}
        }
    }
    (trimmed.len() < pattern.len(), trimmed, "")
}

/// Matches a pattern without stars at the start of `name` and returns what follows. After a mismatch the
/// rest of the chunk is still checked.
fn match_chunk<'n>(chunk: &str, name: &'n str) -> Result<Option<&'n str>, BadPattern> {
    let mut failed = false;
    let mut pattern = chunk.chars();
    let mut name = name.chars();
    while let Some(c) = pattern.next() {
        failed |= name.as_str().is_empty();
        match c {
            '[' => {
                let subject = if failed { None } else { name.next() };
                let inside = match_class(&mut pattern, subject)?;
                failed |= !inside;
            }
            '?' => {
                if !failed {
                    failed = name.next() == Some('/');
                }
            }
            c => {
                let literal = if c == '\\' {
                    pattern.next().ok_or(BadPattern)?
                } else {
                    c
                };
                if !failed {
                    failed = name.next() != Some(literal);
                }
            }
        }
    }
    Ok(if failed { None } else { Some(name.as_str()) })
}

fn match_class(pattern: &mut std::str::Chars<'_>, subject: Option<char>) -> Result<bool, BadPattern> {
    let negated = pattern.as_str().starts_with('^');
    if negated {
        pattern.next();
    }
    let mut inside = false;
    let mut ranges = 0;
    loop {
        if ranges > 0 && pattern.as_str().starts_with(']') {
            pattern.next();
            return Ok(inside != negated);
        }
        let low = class_char(pattern)?;
        let mut high = low;
        if pattern.as_str().starts_with('-') {
            pattern.next();
            high = class_char(pattern)?;
        }
        inside |= subject.is_some_and(|c| (low..=high).contains(&c));
        ranges += 1;
    }
}

/// Reads a character of a class, behind which there must be more.
fn class_char(pattern: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    let c = match pattern.next() {
        None | Some('-' | ']') => return Err(BadPattern),
        Some('\\') => pattern.next().ok_or(BadPattern)?,
        Some(c) => c,
    };
    if pattern.as_str().is_empty() {
        Err(BadPattern)
    } else {
        Ok(c)
    }
}
