//! Randomness, and the other things that lie outside: host names and variables.

use std::sync::Arc;

use ferro_gocompat::time::Time;
use ferro_template::{Error, Value};

use crate::Environment;
use crate::args::{INT, MAX_TEXT, STRING, Table, fail, text};
use crate::text::{base, runes};

/// Draws from the randomness of an environment.
pub(crate) struct Dice(Arc<dyn Environment>);

impl Dice {
    pub(crate) fn new(environment: Arc<dyn Environment>) -> Self {
        Self(environment)
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        self.0.fill_random(bytes);
    }

    pub(crate) fn now(&self) -> Time {
        self.0.now()
    }

    /// Returns a number below `bound`, each with the same probability.
    fn below(&self, bound: u64) -> u64 {
        let bound = bound.max(1);
        // Numbers from the last, incomplete round would favour low results.
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let mut bytes = [0; 8];
            self.fill(&mut bytes);
            let drawn = u64::from_le_bytes(bytes);
            if drawn < limit {
                return drawn % bound;
            }
        }
    }

    fn pick(&self, alphabet: &[u8], count: usize) -> Vec<u8> {
        let draw = |_| {
            let index = usize::try_from(self.below(alphabet.len() as u64)).unwrap_or(0);
            alphabet.get(index).copied().unwrap_or(b'?')
        };
        (0..count).map(draw).collect()
    }
}

pub(crate) fn register(table: &mut Table<'_>) {
    let letters: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').collect();
    let digits: Vec<u8> = (b'0'..=b'9').collect();
    let both = [letters.as_slice(), &digits].concat();
    let ascii: Vec<u8> = (b' '..=b'~').collect();
    for (name, alphabet) in [
        ("randAlpha", letters),
        ("randNumeric", digits),
        ("randAlphaNum", both),
        ("randAscii", ascii),
    ] {
        let dice = Dice::new(table.environment());
        table.add(&[name], &[INT], STRING, move |args| {
            // A count below zero gives nothing, for sprig ignores the error.
            text(dice.pick(&alphabet, bounded(args.int(0).max(0))?))
        });
    }
    let dice = Dice::new(table.environment());
    table.add(&["randBytes"], &[INT], STRING, move |args| {
        if args.int(0) < 0 {
            return fail("runtime error: makeslice: len out of range");
        }
        let mut bytes = vec![0; bounded(args.int(0))?];
        dice.fill(&mut bytes);
        text(base::encode64(&bytes))
    });
    let dice = Dice::new(table.environment());
    table.add(&["randInt"], &[INT, INT], INT, move |args| {
        let (least, width) = (args.int(0), args.int(1).wrapping_sub(args.int(0)));
        let Some(width) = u64::try_from(width).ok().filter(|width| *width > 0) else {
            return fail("invalid argument to Intn");
        };
        Ok(Value::int(least.wrapping_add_unsigned(dice.below(width))))
    });
    let dice = Dice::new(table.environment());
    table.add(&["shuffle"], &[STRING], STRING, move |args| {
        let mut chars: Vec<char> = runes::chars(args.text(0)).collect();
        for last in (1..chars.len()).rev() {
            let other = usize::try_from(dice.below(last as u64 + 1)).unwrap_or(0);
            chars.swap(last, other);
        }
        text(runes::collect(chars))
    });
    let dice = Dice::new(table.environment());
    table.add(&["uuidv4"], &[], STRING, move |_| text(uuid(&dice)));
    register_lookups(table);
}

fn bounded(count: i64) -> Result<usize, Error> {
    match usize::try_from(count) {
        Ok(count) if count <= MAX_TEXT => Ok(count),
        _ => fail(format!(
            "{count} random characters are more than the limit of {MAX_TEXT}"
        )),
    }
}

fn uuid(dice: &Dice) -> String {
    let mut bytes = [0_u8; 16];
    dice.fill(&mut bytes);
    let bits = u128::from_be_bytes(bytes);
    // Version 4, variant 1.
    let bits = bits & !(0xF << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

fn register_lookups(table: &mut Table<'_>) {
    let environment = table.environment();
    let dice = Dice::new(table.environment());
    table.add(&["getHostByName"], &[STRING], STRING, move |args| {
        let Some(addresses) = environment.resolve_host(&args.string(0)) else {
            return text("");
        };
        if addresses.is_empty() {
            return fail("invalid argument to Intn");
        }
        let index = usize::try_from(dice.below(addresses.len() as u64)).unwrap_or(0);
        text(addresses.into_iter().nth(index).unwrap_or_default())
    });
    let environment = table.environment();
    table.add(&["env"], &[STRING], STRING, move |args| {
        text(environment.variable(&args.string(0)).unwrap_or_default())
    });
    let environment = table.environment();
    table.add(&["expandenv"], &[STRING], STRING, move |args| {
        text(expand(&args.string(0), |name| {
            environment.variable(name).unwrap_or_default()
        }))
    });
}

/// `os.Expand`: `$name` and `${name}`.
fn expand(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, width) = shell_name(after);
        if after.is_empty() {
            // A dollar at the end stands for itself.
            out.push('$');
        } else if name.is_empty() && width > 0 {
            // Bad syntax is eaten.
        } else if name.is_empty() {
            out.push('$');
        } else {
            out.push_str(&value(name));
        }
        rest = after.get(width..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The name behind a dollar, and how much of the text it takes.
fn shell_name(text: &str) -> (&str, usize) {
    let is_special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-') || c.is_ascii_digit();
    if let Some(braced) = text.strip_prefix('{') {
        let mut chars = braced.chars();
        if let (Some(first), Some('}')) = (chars.next(), chars.next())
            && is_special(first)
        {
            return (
                braced.get(..first.len_utf8()).unwrap_or_default(),
                first.len_utf8() + 2,
            );
        }
        return match braced.find('}') {
            Some(0) => ("", 2),
            Some(end) => (braced.get(..end).unwrap_or_default(), end + 2),
            None => ("", 1),
        };
    }
    if text.starts_with(is_special) {
        return (text.get(..1).unwrap_or_default(), 1);
    }
    let len = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (text.get(..len).unwrap_or_default(), len)
}
