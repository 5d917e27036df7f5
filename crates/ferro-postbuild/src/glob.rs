//! Shell patterns as the trim operators read them: an older `path.Match` of Go whose `*` also matches `/`.
//!
//! Everything works on bytes, because the operators try every prefix of a value, also those that end in the
//! middle of a character. A malformed pattern is noticed only when matching gets as far as the mistake.

/// What half a character decodes to.
const REPLACEMENT: u32 = 0xfffd;

/// Why a pattern gave no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The pattern is malformed.
    BadPattern,
    /// The steps allowed are used up.
    OutOfFuel,
}

/// The steps that one operator may spend.
pub(crate) struct Fuel(u32);

impl Fuel {
    pub(crate) fn new() -> Self {
        Self(20_000_000)
    }

    fn burn(&mut self) -> Result<(), Failure> {
        self.0 = self.0.checked_sub(1).ok_or(Failure::OutOfFuel)?;
        Ok(())
    }
}

/// Tells whether all of `name` matches `pattern`.
pub(crate) fn matches(pattern: &[u8], name: &[u8], fuel: &mut Fuel) -> Result<bool, Failure> {
    let (mut pattern, mut name) = (pattern, name);
    while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        if star && chunk.is_empty() {
            return Ok(true);
        }
        let skips = if star { name.len() } else { 0 };
        let mut tail = None;
        for skip in 0..=skips {
            let candidate = name.get(skip..).unwrap_or_default();
            if let Some(left) = match_chunk(chunk, candidate, fuel)?
                && (left.is_empty() || !rest.is_empty())
            {
                tail = Some(left);
                break;
            }
        }
        let Some(left) = tail else { return Ok(false) };
        name = left;
        pattern = rest;
    }
    Ok(name.is_empty())
}

/// Splits off the leading stars and the text up to the next star: whether there was a star, the text, the rest.
fn next_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|b| **b == b'*').count();
    let pattern = pattern.get(stars..).unwrap_or_default();
    let mut in_class = false;
    let mut end = 0;
    while let Some(byte) = pattern.get(end) {
        match byte {
            b'\\' if end + 1 < pattern.len() => end += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        end += 1;
    }
    let (chunk, rest) = pattern.split_at(end.min(pattern.len()));
    (stars > 0, chunk, rest)
}

/// Matches a chunk without stars at the beginning of `name` and returns what is left of the name.
fn match_chunk<'n>(chunk: &[u8], name: &'n [u8], fuel: &mut Fuel) -> Result<Option<&'n [u8]>, Failure> {
    let (mut chunk, mut name) = (chunk, name);
    while let Some((&op, after_op)) = chunk.split_first() {
        fuel.burn()?;
        let Some((&byte, after_byte)) = name.split_first() else {
            return Ok(None);
        };
        match op {
            b'[' => {
                let (c, len) = decode(name);
                let (found, after_class) = match_class(after_op, c)?;
                if !found {
                    return Ok(None);
                }
                name = name.get(len..).unwrap_or_default();
                chunk = after_class;
                continue;
            }
            b'?' => {
                let (_, len) = decode(name);
                name = name.get(len..).unwrap_or_default();
                chunk = after_op;
                continue;
            }
            _ => {}
        }
        let (literal, after_literal) = if op == b'\\' {
            after_op.split_first().ok_or(Failure::BadPattern)?
        } else {
            (&op, after_op)
        };
        if *literal != byte {
            return Ok(None);
        }
        name = after_byte;
        chunk = after_literal;
    }
    Ok(Some(name))
}

/// Reads a class after its `[`: whether `c` is accepted, and what follows the class.
fn match_class(class: &[u8], c: u32) -> Result<(bool, &[u8]), Failure> {
    let (negated, mut class) = match class.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    let mut first = true;
    loop {
        if let Some((b']', rest)) = class.split_first()
            && !first
        {
            return Ok((found != negated, rest));
        }
        let (low, rest) = class_char(class)?;
        let (high, rest) = match rest.split_first() {
            Some((b'-', rest)) => class_char(rest)?,
            _ => (low, rest),
        };
        found |= (low..=high).contains(&c);
        class = rest;
        first = false;
    }
}

/// Reads one character of a class, which must not be its last.
fn class_char(class: &[u8]) -> Result<(u32, &[u8]), Failure> {
    let class = match class.split_first() {
        None | Some((b'-' | b']', _)) => return Err(Failure::BadPattern),
        Some((b'\\', rest)) => rest,
        Some(_) => class,
    };
    let (c, len) = decode(class);
    match class.get(len..) {
        Some(rest) if !rest.is_empty() => Ok((c, rest)),
        _ => Err(Failure::BadPattern),
    }
}

/// Decodes the first character; half a character counts as one replacement character of one byte.
fn decode(bytes: &[u8]) -> (u32, usize) {
    let len = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let c = bytes
        .get(..len)
        .and_then(|b| str::from_utf8(b).ok())
        .and_then(|s| s.chars().next());
    c.map_or((REPLACEMENT, 1), |c| (u32::from(c), len))
}
