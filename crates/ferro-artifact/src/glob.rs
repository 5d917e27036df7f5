//! Go's `path.Match` on bytes: `*`, `?`, `[a-z]`, `[^a]` and backslash escapes within one component.

/// The pattern is malformed, as `path.ErrBadPattern` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPattern;

/// Matches one path component; a component holds no slash.
///
/// Like Go, a malformed pattern is only noticed when matching reaches the malformed part, and
/// [`BadPattern`] is returned even where the part before it already failed to match.
pub fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, BadPattern> {
    let (mut pattern, mut name) = (pattern, name);
    'pattern: while !pattern.is_empty() {
        let (has_star, chunk, rest) = scan_chunk(pattern);
        pattern = rest;
        if has_star && chunk.is_empty() {
            return Ok(true);
        }
        match match_chunk(chunk, name)? {
            Some(tail) if tail.is_empty() || !pattern.is_empty() => {
                name = tail;
                continue 'pattern;
            }
            _ => {}
        }
        if has_star {
            for skip in 1..=name.len() {
                let Some(tail) = match_chunk(chunk, name.get(skip..).unwrap_or_default())? else {
                    continue;
                };
                // The last chunk must reach the end of the name.
                if pattern.is_empty() && !tail.is_empty() {
                    continue;
                }
                name = tail;
                continue 'pattern;
            }
        }
        // The rest of the pattern is only checked for its syntax.
        while !pattern.is_empty() {
            let (_, chunk, rest) = scan_chunk(pattern);
            pattern = rest;
            match_chunk(chunk, &[])?;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Splits off the leading stars and the text up to the next star outside brackets.
fn scan_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let pattern = pattern.get(stars..).unwrap_or_default();
    let (mut in_range, mut index) = (false, 0);
    while let Some(byte) = pattern.get(index) {
        match byte {
            b'\\' => index += 1,
            b'[' => in_range = true,
            b']' => in_range = false,
            b'*' if !in_range => break,
            _ => {}
        }
        index += 1;
    }
    let (chunk, rest) = pattern.split_at(index.min(pattern.len()));
    (stars > 0, chunk, rest)
}

/// Matches a chunk without stars at the start of `name` and returns what follows.
fn match_chunk<'a>(mut chunk: &[u8], mut name: &'a [u8]) -> Result<Option<&'a [u8]>, BadPattern> {
    // Go keeps parsing after a mismatch so that a malformed pattern is reported.
    let mut failed = false;
    while let Some((&first, after)) = chunk.split_first() {
        failed = failed || name.is_empty();
        match first {
            b'[' => {
                let (character, tail) = if failed { ('\0', name) } else { decode(name) };
                name = tail;
                let (matched, rest) = match_class(after, character)?;
                failed |= !matched;
                chunk = rest;
            }
            b'?' => {
                if !failed {
                    let (character, tail) = decode(name);
                    failed = character == '/';
                    name = tail;
                }
                chunk = after;
            }
            literal => {
                let (literal, rest) = match literal {
                    b'\\' => after
                        .split_first()
                        .map(|(byte, rest)| (*byte, rest))
                        .ok_or(BadPattern)?,
                    byte => (byte, after),
                };
                if !failed {
                    failed = name.first() != Some(&literal);
                    name = name.get(1..).unwrap_or_default();
                }
                chunk = rest;
            }
        }
    }
    Ok((!failed).then_some(name))
}

/// Matches a bracket expression whose `[` is consumed.
fn match_class(mut class: &[u8], character: char) -> Result<(bool, &[u8]), BadPattern> {
    let negated = class.first() == Some(&b'^');
    if negated {
        class = class.get(1..).unwrap_or_default();
    }
    let (mut matched, mut ranges) = (false, 0);
    loop {
        if class.first() == Some(&b']') && ranges > 0 {
            return Ok((matched != negated, class.get(1..).unwrap_or_default()));
        }
        let (low, rest) = class_character(class)?;
        let (high, rest) = match rest.first() {
            Some(b'-') => class_character(rest.get(1..).unwrap_or_default())?,
            _ => (low, rest),
        };
        class = rest;
        matched |= low <= character && character <= high;
        ranges += 1;
    }
}

fn class_character(class: &[u8]) -> Result<(char, &[u8]), BadPattern> {
    let class = match class.first() {
        None | Some(b'-' | b']') => return Err(BadPattern),
        Some(b'\\') => class.get(1..).unwrap_or_default(),
        Some(_) => class,
    };
    if class.is_empty() {
        return Err(BadPattern);
    }
    let (character, rest) = decode(class);
    // Go refuses bytes that are no UTF-8, and a class that ends here.
    let is_invalid = character == char::REPLACEMENT_CHARACTER && class.len() - rest.len() == 1;
    if is_invalid || rest.is_empty() {
        Err(BadPattern)
    } else {
        Ok((character, rest))
    }
}

/// Reads one character; a byte that is no UTF-8 counts as the replacement character.
fn decode(bytes: &[u8]) -> (char, &[u8]) {
    let head = bytes.get(..bytes.len().min(4)).unwrap_or(bytes);
    let character = match str::from_utf8(head) {
        Ok(text) => text.chars().next(),
        Err(error) => str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default())
            .ok()
            .and_then(|text| text.chars().next()),
    };
    match character {
        Some(character) => (character, bytes.get(character.len_utf8()..).unwrap_or_default()),
        None => (char::REPLACEMENT_CHARACTER, bytes.get(1..).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_follows_go() {
        // (pattern, name, result) with None for a malformed pattern.
        let cases: [(&str, &str, Option<bool>); 42] = [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "a", Some(true)),
            ("a*", "abc", Some(true)),
            ("a*b*c*d*e*", "axbxcxdxe", Some(true)),
            ("a*b*c*d*e*f", "axbxcxdxexxxf", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[c]", "abc", Some(true)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[e-g]", "abc", Some(false)),
            ("ab[^c]", "abc", Some(false)),
            ("ab[^b-d]", "abc", Some(false)),
            ("ab[^e-g]", "abc", Some(true)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "ab", Some(false)),
            ("a?b", "a☺b", Some(true)),
            ("a[^a]b", "a☺b", Some(true)),
            ("a???b", "a☺b", Some(false)),
            ("[a-ζ]*", "α", Some(true)),
            ("*[a-ζ]", "A", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[\\-]", "-", Some(true)),
            ("[x\\-]", "x", Some(true)),
            ("[x\\-]", "z", Some(false)),
            ("[\\-x]", "a", Some(false)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[-x]", "x", None),
            ("\\", "a", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^", "a", None),
            ("[^bc", "a", None),
            ("a[", "a", None),
            ("a[", "ab", None),
            ("a[", "x", None),
            ("*x", "xxx", Some(true)),
            ("", "", Some(true)),
            ("", "a", Some(false)),
        ];
        for (pattern, name, expected) in cases {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found.ok(), expected, "{pattern} on {name}");
        }
    }
}
