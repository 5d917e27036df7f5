//! Maps. `set`, `unset` and `merge` change the map that they are given.

use ferro_template::types::ANY_MAP;
use ferro_template::{Error, List, Map, Value};

use crate::args::{ANY, Args, BOOL, LIST, MAP, Outcome, STRING, TEXTS, Table, fail, text, to_text};
use crate::merge::{Existing, merge};

pub(crate) fn register(table: &mut Table<'_>) {
    table.add_variadic(&["dict"], &[ANY], MAP, dict);
    table.add(&["get"], &[MAP, STRING], ANY, |args| {
        Ok(args.map(0).get(args.text(1)).unwrap_or_else(|| Value::from("")))
    });
    table.add(&["set"], &[MAP, STRING, ANY], MAP, |args| {
        let map = args.map(0);
        if map.is_nil() {
            return fail("assignment to entry in nil map");
        }
        map.insert(args.text(1).to_vec(), args.any(2).clone());
        Ok(Value::Map(map))
    });
    table.add(&["unset"], &[MAP, STRING], MAP, |args| {
        let map = args.map(0);
        map.remove(args.text(1));
        Ok(Value::Map(map))
    });
    table.add(&["hasKey"], &[MAP, STRING], BOOL, |args| {
        Ok(Value::Bool(args.map(0).contains(args.text(1))))
    });
    table.add_variadic(&["pluck"], &[STRING, MAP], LIST, |args| {
        let maps = args.rest(1).iter().filter_map(Value::as_map);
        Ok(Value::list(
            maps.filter_map(|map| map.get(args.text(0))).collect(),
        ))
    });
    table.add_variadic(&["keys"], &[MAP], TEXTS, |args| {
        let entries = args.rest(0).iter().filter_map(Value::as_map).map(Map::entries);
        let keys =
            entries.flat_map(|entries| entries.texts().map(|(key, _)| key.clone()).collect::<Vec<_>>());
        Ok(Value::List(List::of_strings(keys)))
    });
    table.add(&["values"], &[MAP], LIST, |args| {
        let entries = args.map(0).entries();
        Ok(Value::list(
            entries.iter().map(|(_, value)| value.clone()).collect(),
        ))
    });
    table.add_variadic(&["pick"], &[MAP, STRING], MAP, |args| Ok(chosen(args, true)));
    table.add_variadic(&["omit"], &[MAP, STRING], MAP, |args| Ok(chosen(args, false)));
    table.add_variadic(&["dig"], &[ANY], ANY, dig);
    register_merges(table);
}

fn dict(args: Args<'_>) -> Outcome {
    let map = Map::new();
    for pair in args.rest(0).chunks(2) {
        if let Some((key, value)) = pair.split_first() {
            // A key at the end stands for the empty text.
            let value = value.first().cloned().unwrap_or_else(|| Value::from(""));
            map.insert(to_text(key), value);
        }
    }
    Ok(Value::Map(map))
}

/// The entries under the given keys, or the others.
fn chosen(args: Args<'_>, picked: bool) -> Value {
    let keys: std::collections::BTreeSet<&[u8]> = (1..args.len()).map(|index| args.text(index)).collect();
    let entries = args.map(0).entries();
    let chosen = entries
        .texts()
        .filter(|(key, _)| keys.contains(key.as_bytes()) == picked)
        .map(|(key, value)| (key.clone(), value.clone()));
    Value::Map(chosen.collect())
}

/// `dig key… default map` walks down; what is on the way must be a plain map.
fn dig(args: Args<'_>) -> Outcome {
    let [keys @ .., default, map] = args.rest(0) else {
        return fail("dig needs at least three arguments");
    };
    if keys.is_empty() {
        return fail("dig needs at least three arguments");
    }
    let mut map = plain_map(map)?;
    let keys = keys
        .iter()
        .map(|key| match key {
            Value::Str(text) => Ok(text),
            other => Err(not_a(other, "string")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let Some((last, path)) = keys.split_last() else {
        return Ok(default.clone());
    };
    for key in path {
        let Some(next) = map.get(key.as_bytes()) else {
            return Ok(default.clone());
        };
        map = plain_map(&next)?;
    }
    Ok(map.get(last.as_bytes()).unwrap_or_else(|| default.clone()))
}

/// A type assertion: a named map type is another type.
fn plain_map(value: &Value) -> Result<Map, Error> {
    match value {
        Value::Map(map) if map.ty() == ANY_MAP => Ok(map.clone()),
        other => Err(not_a(other, "map[string]interface {}")),
    }
}

fn not_a(value: &Value, wanted: &str) -> Error {
    let found = match value {
        Value::Nil => "nil".to_owned(),
        other => other.type_name(),
    };
    Error::new(format!(
        "interface conversion: interface {{}} is {found}, not {wanted}"
    ))
}

fn register_merges(table: &mut Table<'_>) {
    for (names, existing, swallows) in [
        ("merge", Existing::Kept, true),
        ("mustMerge", Existing::Kept, false),
        ("mergeOverwrite", Existing::Replaced, true),
        ("mustMergeOverwrite", Existing::Replaced, false),
    ] {
        table.add_variadic(&[names], &[MAP, MAP], ANY, move |args| {
            let mut target = args.map(0);
            for source in args.rest(1).iter().filter_map(Value::as_map) {
                if target.is_nil() && !source.is_nil() {
                    target = Map::new();
                }
                match merge(&target, source, existing) {
                    Ok(()) => {}
                    // `merge` answers an empty text for what mergo refuses; panics remain errors.
                    Err(problem) if problem.is_refusal && swallows => return text(""),
                    Err(problem) => return fail(problem.message),
                }
            }
            Ok(Value::Map(target))
        });
    }
}
