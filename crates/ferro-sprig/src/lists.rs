//! Lists. All functions make new lists, but for `slice`, whose result shares the elements.

use std::borrow::Cow;

use ferro_template::{Error, IntKind, Kind, List, Text, Type, Value};

use crate::args::{
    ANY, Args, BOOL, INT, LIST, MAX_ITEMS, Outcome, TEXTS, Table, fail, nil_dereference, to_text,
};
use crate::convert::{to_int, truncate};
use crate::defaults::is_empty;
use crate::equality::deep_equal;

/// `[][]interface {}`
const LISTS: &Type = &Type::Slice(LIST);

pub(crate) fn register(table: &mut Table<'_>) {
    table.add_variadic(&["list", "tuple"], &[ANY], LIST, |args| {
        Ok(Value::list(args.rest(0).to_vec()))
    });
    table.add(
        &["append", "push", "mustAppend", "mustPush"],
        &[ANY, ANY],
        LIST,
        |args| {
            let mut items = elements(args.any(0), "Cannot push on type")?.into_owned();
            items.push(args.any(1).clone());
            Ok(Value::list(items))
        },
    );
    table.add(&["prepend", "mustPrepend"], &[ANY, ANY], LIST, |args| {
        let mut items = vec![args.any(1).clone()];
        items.extend_from_slice(&elements(args.any(0), "Cannot prepend on type")?);
        Ok(Value::list(items))
    });
    table.add(&["first", "mustFirst"], &[ANY], ANY, |args| {
        let items = elements(args.any(0), "Cannot find first on type")?;
        Ok(items.first().cloned().unwrap_or_default())
    });
    table.add(&["last", "mustLast"], &[ANY], ANY, |args| {
        let items = elements(args.any(0), "Cannot find last on type")?;
        Ok(items.last().cloned().unwrap_or_default())
    });
    table.add(&["rest", "mustRest"], &[ANY], LIST, |args| {
        let items = elements(args.any(0), "Cannot find rest on type")?;
        Ok(items
            .split_first()
            .map_or_else(nil_list, |(_, rest)| Value::list(rest.to_vec())))
    });
    table.add(&["initial", "mustInitial"], &[ANY], LIST, |args| {
        let items = elements(args.any(0), "Cannot find initial on type")?;
        Ok(items
            .split_last()
            .map_or_else(nil_list, |(_, rest)| Value::list(rest.to_vec())))
    });
    table.add(&["reverse", "mustReverse"], &[ANY], LIST, |args| {
        let items = elements(args.any(0), "Cannot find reverse on type")?;
        Ok(Value::list(items.iter().rev().cloned().collect()))
    });
    register_filters(table);
    register_parts(table);
    table.add(&["sortAlpha"], &[ANY], TEXTS, sort_alpha);
    table.add(&["toStrings"], &[ANY], TEXTS, |args| {
        Ok(Value::List(List::of_strings(texts_of(args.any(0)))))
    });
}

fn register_filters(table: &mut Table<'_>) {
    table.add(&["compact", "mustCompact"], &[ANY], LIST, |args| {
        let items = elements(args.any(0), "Cannot compact on type")?;
        Ok(Value::list(
            items.iter().filter(|item| !is_empty(item)).cloned().collect(),
        ))
    });
    table.add(&["uniq", "mustUniq"], &[ANY], LIST, |args| {
        let items = elements(args.any(0), "Cannot find uniq on type")?;
        Ok(Value::list(unique(&items)))
    });
    table.add_variadic(&["without", "mustWithout"], &[ANY, ANY], LIST, |args| {
        let items = elements(args.any(0), "Cannot find without on type")?;
        let kept = items.iter().filter(|item| !is_in(item, args.rest(1)));
        Ok(Value::list(kept.cloned().collect()))
    });
    table.add(&["has", "mustHas"], &[ANY, ANY], BOOL, |args| {
        if matches!(args.any(1), Value::Nil) {
            return Ok(Value::Bool(false));
        }
        let items = elements(args.any(1), "Cannot find has on type")?;
        Ok(Value::Bool(is_in(args.any(0), &items)))
    });
}

fn register_parts(table: &mut Table<'_>) {
    table.add_variadic(&["slice", "mustSlice"], &[ANY, ANY], ANY, slice);
    table.add_variadic(&["concat"], &[ANY], ANY, |args| {
        let mut all = Vec::new();
        for list in args.rest(0) {
            all.extend_from_slice(&elements_or(list, |kind| {
                format!("Cannot concat type {kind} as list")
            })?);
        }
        Ok(if all.is_empty() {
            nil_list()
        } else {
            Value::list(all)
        })
    });
    table.add(&["chunk", "mustChunk"], &[INT, ANY], LISTS, chunk);
}

fn nil_list() -> Value {
    Value::List(List::nil(LIST))
}

fn elements<'v>(value: &'v Value, problem: &str) -> Result<Cow<'v, [Value]>, Error> {
    elements_or(value, |kind| format!("{problem} {kind}"))
}

/// The elements of a slice or an array; sprig looks into the type of anything, also of nil.
fn elements_or<'v>(value: &'v Value, problem: impl Fn(&str) -> String) -> Result<Cow<'v, [Value]>, Error> {
    match value {
        Value::Nil => nil_dereference(),
        Value::List(list) => Ok(Cow::Borrowed(list.items())),
        Value::Bytes(bytes) => Ok(Cow::Owned(byte_elements(bytes))),
        _ => fail(problem(value.kind().name())),
    }
}

fn byte_elements(bytes: &[u8]) -> Vec<Value> {
    bytes
        .iter()
        .map(|byte| Value::int_of(IntKind::Uint8, i64::from(*byte)))
        .collect()
}

fn is_in(needle: &Value, haystack: &[Value]) -> bool {
    haystack.iter().any(|item| deep_equal(needle, item))
}

/// The distinct elements in order. Those that are plain texts are told apart by a set, for long lists.
fn unique(items: &[Value]) -> Vec<Value> {
    let mut texts = std::collections::BTreeSet::new();
    let mut kept: Vec<Value> = Vec::new();
    let mut others = Vec::new();
    for item in items {
        let is_new = match item {
            Value::Str(text) => texts.insert(text.clone()),
            _ => !is_in(item, &others),
        };
        if is_new {
            if !matches!(item, Value::Str(_)) {
                others.push(item.clone());
            }
            kept.push(item.clone());
        }
    }
    kept
}

/// `slice list [from [to]]`; the end may lie behind the last element where the list was cut before.
fn slice(args: Args<'_>) -> Outcome {
    let value = args.any(0);
    let len = elements_or(value, |kind| {
        format!("list should be type of slice or array but {kind}")
    })?
    .len();
    if len == 0 {
        return Ok(Value::Nil);
    }
    let start = if args.len() > 1 { to_int(args.any(1)) } else { 0 };
    let end = if args.len() > 2 {
        to_int(args.any(2))
    } else {
        len as i64
    };
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let part = range.and_then(|(start, end)| match value {
        Value::Bytes(bytes) => Some(Value::Bytes(bytes.get(start..end)?.into())),
        Value::List(list) if list.ty().kind() == Kind::Slice => list.slice(start, end, None).map(Value::List),
        _ => None,
    });
    if matches!(value, Value::List(list) if list.ty().kind() == Kind::Array) {
        return fail("reflect.Value.Slice: slice of unaddressable array");
    }
    part.map_or_else(|| fail("reflect.Value.Slice: slice index out of bounds"), Ok)
}

/// Lists of `size` elements each, computed in floats as in sprig, whose panics for bad sizes are Go's.
fn chunk(args: Args<'_>) -> Outcome {
    let size = args.int(0);
    let items = elements(args.any(1), "Cannot chunk type")?;
    let len = items.len();
    let count = truncate(((len as f64 - 1.0) / size as f64).floor() + 1.0);
    if size <= 0 {
        // A size below zero takes one element, or none of several.
        return match (count, len) {
            (0, _) => Ok(list_of_lists(Vec::new())),
            (1, 1) if size < -1 => Ok(list_of_lists(vec![Value::list(items.into_owned())])),
            _ => fail(NO_SUCH_LEN),
        };
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if items.len() > MAX_ITEMS {
        return fail(format!(
            "a list of {len} elements is longer than the limit of {MAX_ITEMS}"
        ));
    }
    let chunks = items.chunks(size).map(|chunk| Value::list(chunk.to_vec()));
    Ok(list_of_lists(chunks.collect()))
}

const NO_SUCH_LEN: &str = "runtime error: makeslice: len out of range";

fn list_of_lists(chunks: Vec<Value>) -> Value {
    Value::List(List::with_type(LISTS, chunks))
}

/// What sprig's `strslice` makes of a value: the texts of the elements, without those that are nil.
pub(crate) fn texts_of(value: &Value) -> Vec<Text> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(list) => list
            .items()
            .iter()
            .filter(|item| !matches!(item, Value::Nil))
            .map(to_text)
            .collect(),
        Value::Bytes(bytes) => byte_elements(bytes).iter().map(to_text).collect(),
        _ => vec![to_text(value)],
    }
}

fn sort_alpha(args: Args<'_>) -> Outcome {
    let mut texts = match args.any(0) {
        value @ (Value::List(_) | Value::Bytes(_)) => texts_of(value),
        value => vec![to_text(value)],
    };
    texts.sort_unstable();
    Ok(Value::List(List::of_strings(texts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_told_apart_by_type() {
        let items = [
            Value::int(1),
            Value::Float(1.0),
            Value::from("1"),
            Value::int(1),
            Value::from("1"),
        ];
        assert_eq!(unique(&items).len(), 3);
    }
}
