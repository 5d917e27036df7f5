//! Text.

use ferro_gocompat::quote::quote_bytes;
use ferro_template::{List, Map, Text, Value};

use crate::args::{
    ANY, Args, BOOL, INT, MAX_TEXT, Outcome, STRING, TEXT_MAP, TEXTS, Table, bytes, fail, text, to_text,
};
use crate::lists::texts_of;
use crate::text::{case, runes, words, wrap};

/// Makes another text of a text.
type Change = fn(&[u8]) -> Vec<u8>;
/// Tells something about a part and the whole.
type Test = fn(&[u8], &[u8]) -> bool;

pub(crate) fn register(table: &mut Table<'_>) {
    register_cases(table);
    register_cuts(table);
    register_tests(table);
    register_joins(table);
    table.add(&["hello"], &[], STRING, |_| text("Hello!"));
    table.add(&["toString"], &[ANY], STRING, |args| {
        Ok(Value::Str(to_text(args.any(0))))
    });
}

fn register_cases(table: &mut Table<'_>) {
    let cases: [(&str, Change); 8] = [
        ("upper", case::upper),
        ("lower", case::lower),
        ("title", case::title),
        ("untitle", case::untitle),
        ("swapcase", case::swap_case),
        ("camelcase", case::pascal_case),
        ("initials", words::initials),
        ("nospace", words::delete_space),
    ];
    for (name, function) in cases {
        table.add(&[name], &[STRING], STRING, move |args| {
            text(function(args.text(0)))
        });
    }
    for (name, connector) in [("snakecase", '_'), ("kebabcase", '-')] {
        table.add(&[name], &[STRING], STRING, move |args| {
            text(case::delimited_case(args.text(0), connector))
        });
    }
}

fn register_cuts(table: &mut Table<'_>) {
    table.add(&["trim"], &[STRING], STRING, |args| {
        bytes(runes::trim(args.text(0), |rune| runes::is_space(rune.c)))
    });
    table.add(&["trimAll", "trimall"], &[STRING, STRING], STRING, trim_all);
    table.add(&["trimPrefix"], &[STRING, STRING], STRING, |args| {
        let subject = args.text(1);
        bytes(subject.strip_prefix(args.text(0)).unwrap_or(subject))
    });
    table.add(&["trimSuffix"], &[STRING, STRING], STRING, |args| {
        let subject = args.text(1);
        bytes(subject.strip_suffix(args.text(0)).unwrap_or(subject))
    });
    table.add(&["trunc"], &[INT, STRING], STRING, |args| {
        bytes(words::trunc(args.text(1), args.int(0)))
    });
    table.add(
        &["substr"],
        &[INT, INT, STRING],
        STRING,
        |args| match words::substring(args.text(2), args.int(0), args.int(1)) {
            Ok(part) => bytes(part),
            Err(problem) => fail(problem),
        },
    );
    table.add(&["abbrev"], &[INT, STRING], STRING, |args| {
        abbreviate_both(0, args.int(0), args.text(1))
    });
    table.add(&["abbrevboth"], &[INT, INT, STRING], STRING, |args| {
        abbreviate_both(args.int(0), args.int(1), args.text(2))
    });
    table.add(&["wrap"], &[INT, STRING], STRING, |args| {
        text(wrap::wrap(args.text(1), args.int(0), b"", false))
    });
    table.add(&["wrapWith"], &[INT, STRING, STRING], STRING, |args| {
        text(wrap::wrap(args.text(2), args.int(0), args.text(1), true))
    });
}

fn trim_all(args: Args<'_>) -> Outcome {
    let cut: Vec<char> = runes::chars(args.text(0)).collect();
    bytes(runes::trim(args.text(1), |rune| cut.contains(&rune.c)))
}

/// A width too small to abbreviate to leaves the text as it is.
fn abbreviate_both(left: i64, right: i64, subject: &[u8]) -> Outcome {
    if right < 4 || (left > 0 && right < 7) {
        return bytes(subject);
    }
    text(words::abbreviate(subject, left, right))
}

fn register_tests(table: &mut Table<'_>) {
    let tests: [(&str, Test); 3] = [
        ("contains", |part, whole| runes::find(whole, part).is_some()),
        ("hasPrefix", |part, whole| whole.starts_with(part)),
        ("hasSuffix", |part, whole| whole.ends_with(part)),
    ];
    for (name, test) in tests {
        table.add(&[name], &[STRING, STRING], BOOL, move |args| {
            Ok(Value::Bool(test(args.text(0), args.text(1))))
        });
    }
}

fn register_joins(table: &mut Table<'_>) {
    table.add(&["repeat"], &[INT, STRING], STRING, |args| {
        text(repeat(args.text(1), args.int(0))?)
    });
    table.add(&["indent"], &[INT, STRING], STRING, |args| indent(args, b""));
    table.add(&["nindent"], &[INT, STRING], STRING, |args| indent(args, b"\n"));
    table.add(&["replace"], &[STRING, STRING, STRING], STRING, |args| {
        let (old, new, subject) = (args.text(0), args.text(1), args.text(2));
        let matches = if old.is_empty() {
            subject.len() + 1
        } else {
            subject.len() / old.len()
        };
        check_len(matches.saturating_mul(new.len()))?;
        text(runes::replace(subject, old, new))
    });
    table.add(&["plural"], &[STRING, STRING, INT], STRING, |args| {
        bytes(args.text(usize::from(args.int(2) != 1)))
    });
    table.add_variadic(&["quote"], &[ANY], STRING, |args| {
        joined(args, |value| quote_bytes(to_text(value).as_bytes()).into_bytes())
    });
    table.add_variadic(&["squote"], &[ANY], STRING, |args| {
        joined(args, |value| [b"'", printed(value).as_bytes(), b"'"].concat())
    });
    table.add_variadic(&["cat"], &[ANY], STRING, |args| {
        joined(args, |value| printed(value).as_bytes().to_vec())
    });
    table.add(&["join"], &[STRING, ANY], STRING, |args| {
        let parts = texts_of(args.any(1));
        let parts: Vec<&[u8]> = parts.iter().map(Text::as_bytes).collect();
        text(parts.join(args.text(0)))
    });
    table.add(&["split"], &[STRING, STRING], TEXT_MAP, |args| {
        Ok(numbered(&runes::split(args.text(1), args.text(0), -1)))
    });
    table.add(&["splitn"], &[STRING, INT, STRING], TEXT_MAP, |args| {
        Ok(numbered(&runes::split(args.text(2), args.text(0), args.int(1))))
    });
    table.add(&["splitList"], &[STRING, STRING], TEXTS, |args| {
        let parts = runes::split(args.text(1), args.text(0), -1);
        Ok(Value::List(List::of_strings(
            parts.into_iter().map(Text::from_bytes),
        )))
    });
}

fn printed(value: &Value) -> Text {
    ferro_template::sprint(std::slice::from_ref(value))
}

/// Joins arguments by blanks, leaving out nil.
fn joined(args: Args<'_>, write: impl Fn(&Value) -> Vec<u8>) -> Outcome {
    let given = args.rest(0).iter().filter(|value| !matches!(value, Value::Nil));
    text(given.map(write).collect::<Vec<_>>().join(&b' '))
}

/// `strings.Repeat`, within bounds.
pub(crate) fn repeat(subject: &[u8], count: i64) -> Result<Vec<u8>, ferro_template::Error> {
    let Ok(count) = usize::try_from(count) else {
        return fail("strings: negative Repeat count");
    };
    check_len(subject.len().saturating_mul(count))?;
    Ok(subject.repeat(count))
}

fn check_len(len: usize) -> Result<(), ferro_template::Error> {
    if len > MAX_TEXT {
        return fail(format!(
            "a text of {len} bytes is longer than the limit of {MAX_TEXT}"
        ));
    }
    Ok(())
}

fn indent(args: Args<'_>, before: &[u8]) -> Outcome {
    let pad = repeat(b" ", args.int(0))?;
    let subject = args.text(1);
    let lines = memchr::memchr_iter(b'\n', subject).count() + 1;
    check_len(pad.len().saturating_mul(lines))?;
    text([before, &words::indent(subject, &pad)].concat())
}

/// A map with the keys `_0`, `_1`, …
fn numbered(parts: &[&[u8]]) -> Value {
    let entries = parts
        .iter()
        .enumerate()
        .map(|(index, part)| (format!("_{index}"), Text::from_bytes(part)));
    Value::Map(Map::of_strings(entries))
}
