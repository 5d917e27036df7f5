//! Regular expressions in Go's syntax. In a subject that is not UTF-8, replacement characters are searched.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use ferro_gocompat::quote::quote_bytes;
use ferro_gocompat::regexp::{self, Regex};
use ferro_template::{Error, List, Text, Value};

use crate::args::{Args, BOOL, INT, Outcome, STRING, TEXTS, Table, bytes, fail, text};

/// So many compiled patterns are kept per thread; each may take some megabytes.
const CACHE_SIZE: usize = 32;

pub(crate) fn register(table: &mut Table<'_>) {
    table.add(&["regexMatch"], &[STRING, STRING], BOOL, |args| {
        Ok(Value::Bool(
            compile(args).is_ok_and(|regex| regex.is_match(&args.string(1))),
        ))
    });
    table.add(&["mustRegexMatch"], &[STRING, STRING], BOOL, |args| {
        let regex = compile(args).map_err(|error| plain(&error))?;
        Ok(Value::Bool(regex.is_match(&args.string(1))))
    });
    table.add(&["regexQuoteMeta"], &[STRING], STRING, |args| {
        text(quote_meta(args.text(0)))
    });
    both(
        table,
        "regexFind",
        &Form::new(&[STRING, STRING], STRING),
        |regex, args| text(regex.find(&args.string(1)).unwrap_or_default()),
    );
    both(
        table,
        "regexFindAll",
        &Form::new(&[STRING, STRING, INT], TEXTS),
        find_all,
    );
    both(
        table,
        "regexSplit",
        &Form::new(&[STRING, STRING, INT], TEXTS),
        split,
    );
    both(
        table,
        "regexReplaceAll",
        &Form::new(&[STRING, STRING, STRING], STRING),
        |regex, args| {
            if !regex.is_match(&args.string(1)) {
                return bytes(args.text(1));
            }
            text(regex.replace_all(&args.string(1), &args.string(2)))
        },
    );
    both(
        table,
        "regexReplaceAllLiteral",
        &Form::new(&[STRING, STRING, STRING], STRING),
        replace_literal,
    );
}

/// The signature of a function.
struct Form {
    params: &'static [&'static ferro_template::Type],
    result: &'static ferro_template::Type,
}

impl Form {
    const fn new(
        params: &'static [&'static ferro_template::Type],
        result: &'static ferro_template::Type,
    ) -> Self {
        Self { params, result }
    }
}

/// Adds a function that panics over a bad pattern, and its twin that returns the error.
fn both(table: &mut Table<'_>, name: &str, form: &Form, run: fn(&Regex, Args<'_>) -> Outcome) {
    table.add(&[name], form.params, form.result, move |args| {
        let regex = compile(args).map_err(|error| panicked(args.text(0), &error))?;
        run(&regex, args)
    });
    let (first, rest) = name.split_at(1);
    let twin = format!("must{}{rest}", first.to_ascii_uppercase());
    table.add(&[&twin], form.params, form.result, move |args| {
        let regex = compile(args).map_err(|error| plain(&error))?;
        run(&regex, args)
    });
}

fn plain(error: &regexp::Error) -> Error {
    Error::new(error.to_string())
}

/// What `regexp.MustCompile` panics with.
fn panicked(pattern: &[u8], error: &regexp::Error) -> Error {
    let is_plain = |c| c != '`' && c != '\u{FEFF}' && c != '\u{7F}' && (c >= ' ' || c == '\t');
    let quoted = match std::str::from_utf8(pattern) {
        Ok(pattern) if pattern.chars().all(is_plain) => format!("`{pattern}`"),
        _ => quote_bytes(pattern),
    };
    Error::new(format!("regexp: Compile({quoted}): {error}"))
}

/// Compiles the first argument, or finds it among those compiled before: charts use few, in loops.
fn compile(args: Args<'_>) -> Result<Rc<Regex>, regexp::Error> {
    let pattern = &*args.string(0);
    if let Err(error) = std::str::from_utf8(args.text(0)) {
        return Err(regexp::Error {
            problem: "invalid UTF-8",
            fragment: pattern.get(error.valid_up_to()..).unwrap_or(pattern).to_owned(),
        });
    }
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Rc<Regex>>> = RefCell::default();
    }
    if let Some(known) = COMPILED.with_borrow(|compiled| compiled.get(pattern).cloned()) {
        return Ok(known);
    }
    let regex = Rc::new(Regex::go(pattern)?);
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() >= CACHE_SIZE {
            compiled.clear();
        }
        compiled.insert(pattern.to_owned(), Rc::clone(&regex));
    });
    Ok(regex)
}

/// At most so many, or all for a number below zero.
fn limit(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn find_all(regex: &Regex, args: Args<'_>) -> Outcome {
    let subject = args.string(1);
    let found: Vec<Text> = regex
        .find_all(&subject)
        .take(limit(args.int(2)))
        .filter_map(|groups| groups.get(0).map(Text::from))
        .collect();
    Ok(Value::List(if found.is_empty() {
        List::nil(TEXTS)
    } else {
        List::of_strings(found)
    }))
}

/// `Regexp.Split`: an empty match at the very start splits nothing off.
fn split(regex: &Regex, args: Args<'_>) -> Outcome {
    let (subject, most) = (args.string(1), args.int(2));
    if most == 0 {
        return Ok(Value::List(List::nil(TEXTS)));
    }
    if !regex.as_str().is_empty() && subject.is_empty() {
        return Ok(Value::List(List::of_strings([""])));
    }
    let mut parts: Vec<&str> = Vec::new();
    let (mut start, mut end) = (0, 0);
    for range in regex
        .find_all(&subject)
        .take(limit(most))
        .filter_map(|groups| groups.range(0))
    {
        if most > 0 && parts.len() + 1 == limit(most) {
            break;
        }
        end = range.start;
        if range.end != 0 {
            parts.push(subject.get(start..end).unwrap_or_default());
        }
        start = range.end;
    }
    if end != subject.len() {
        parts.push(subject.get(start..).unwrap_or_default());
    }
    Ok(Value::List(List::of_strings(parts)))
}

fn replace_literal(regex: &Regex, args: Args<'_>) -> Outcome {
    let (subject, replacement) = (args.string(1), args.string(2));
    if !regex.is_match(&subject) {
        return bytes(args.text(1));
    }
    let mut out = String::with_capacity(subject.len());
    let mut copied = 0;
    for range in regex.find_all(&subject).filter_map(|groups| groups.range(0)) {
        out.push_str(subject.get(copied..range.start).unwrap_or_default());
        out.push_str(&replacement);
        copied = range.end;
    }
    out.push_str(subject.get(copied..).unwrap_or_default());
    if out.len() > crate::args::MAX_TEXT {
        return fail("the replaced text is too long");
    }
    text(out)
}

fn quote_meta(subject: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(subject.len());
    for byte in subject {
        if br"\.+*?()|[]{}^$".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}
