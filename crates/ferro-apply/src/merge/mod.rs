//! Client-side apply: what becomes of an object of which somebody wants something else than before, as `kubectl apply` and Helm 3 work it
//! out (`spec/helm.md` F.7, F.10).
//!
//! Upstream sends a strategic merge patch with directives and leaves the merging to the server. Here the result is computed, and sent as a
//! merge patch of what differs that holds for one resource version: the outcome is the same.

mod schema;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use self::schema::Field;

/// Whether the kind is built in, so that its lists merge by keys.
#[must_use]
pub fn is_built_in(object: &Value) -> bool {
    definition(object).is_some()
}

fn definition(object: &Value) -> Option<Option<usize>> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    schema::definition(text("apiVersion"), text("kind"))
}

/// What an object is to be like: `modified` is asked for, `original` was asked for before, and `live` is there. What neither of them
/// speaks of stays.
#[must_use]
pub fn three_way(original: &Value, modified: &Value, live: &Value) -> Value {
    let field = Field {
        target: definition(modified).flatten(),
        ..Field::default()
    };
    merge(Some(original), modified, live, field)
}

fn merge(original: Option<&Value>, modified: &Value, live: &Value, field: Field) -> Value {
    match (modified, live) {
        (modified, _) if field.replaces => without_nulls(modified),
        (Value::Object(modified), Value::Object(live)) => Value::Object(merge_maps(
            original.and_then(Value::as_object),
            modified,
            live,
            field,
        )),
        (Value::Array(modified), Value::Array(live)) if field.merges => {
            let original = original.and_then(Value::as_array);
            Value::Array(merge_lists(
                original.map_or(&[], Vec::as_slice),
                modified,
                live,
                field,
            ))
        }
        (modified, _) => without_nulls(modified),
    }
}

fn merge_maps(
    original: Option<&Map<String, Value>>,
    modified: &Map<String, Value>,
    live: &Map<String, Value>,
    field: Field,
) -> Map<String, Value> {
    let before = |key: &str| original.and_then(|original| original.get(key));
    let stays = |key: &str| !field.retains_keys && before(key).is_none();
    let mut merged: Map<String, Value> = live
        .iter()
        .filter(|(key, _)| stays(key) && !modified.contains_key(*key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, wanted) in modified.iter().filter(|(_, wanted)| !wanted.is_null()) {
        let value = match live.get(key) {
            Some(live) => merge(before(key), wanted, live, schema::field_of(field.target, key)),
            None => without_nulls(wanted),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

/// Null asks for nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                fields
                    .map(|(key, value)| (key.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

fn merge_lists(original: &[Value], modified: &[Value], live: &[Value], field: Field) -> Vec<Value> {
    let key_of = |item: &Value| identity(item, field.key);
    let (Some(before), Some(wanted), Some(there)) =
        (keys(original, key_of), keys(modified, key_of), keys(live, key_of))
    else {
        // Without a key, or with one twice, items cannot be told apart.
        return modified.iter().map(without_nulls).collect();
    };
    let place = |keys: &[String], key: &String| keys.iter().position(|known| known == key);
    let inner = Field {
        merges: false,
        key: None,
        ..field
    };
    let merged = modified.iter().zip(&wanted).map(|(item, key)| {
        let old = place(&before, key).and_then(|index| original.get(index));
        match place(&there, key).and_then(|index| live.get(index)) {
            Some(live) => merge(old, item, live, inner),
            None => without_nulls(item),
        }
    });
    let is_gone = |key: &String| before.contains(key) && !wanted.contains(key);
    // Upstream looks for places in a list from which it has deleted, and in whose free places there are new items already.
    let order: Vec<String> = match field.key {
        None => there.clone(),
        Some(_) => {
            let kept = there.iter().filter(|key| !is_gone(key));
            let new = wanted.iter().filter(|key| !there.contains(key));
            kept.chain(new).take(there.len()).cloned().collect()
        }
    };
    let others = live
        .iter()
        .zip(&there)
        .filter(|(_, key)| !is_gone(key) && !wanted.contains(key))
        .map(|(item, key)| (item.clone(), place(&order, key)));
    let merged = merged.zip(wanted.iter().map(|key| place(&order, key)));
    interleave(others.collect(), merged.collect())
}

/// Puts items of others before those of ours that they are before in the cluster.
fn interleave(others: Vec<(Value, Option<usize>)>, ours: Vec<(Value, Option<usize>)>) -> Vec<Value> {
    let (mut others, mut ours) = (others.into_iter().peekable(), ours.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let others_first = match (others.peek(), ours.peek()) {
            (Some((_, left)), Some((_, right))) => {
                matches!((left, right), (Some(left), Some(right)) if left < right)
            }
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return all,
        };
        let next = if others_first { others.next() } else { ours.next() };
        all.extend(next.map(|(item, _)| item));
    }
}

/// By what an item is told apart from others.
fn identity(item: &Value, key: Option<&str>) -> Option<String> {
    match (item, key) {
        (Value::Object(fields), Some(key)) => fields.get(key).map(Value::to_string),
        (Value::Object(_) | Value::Array(_), _) | (_, Some(_)) => None,
        (scalar, None) => Some(scalar.to_string()),
    }
}

/// The identities of items, if each has one of its own.
fn keys(items: &[Value], key_of: impl Fn(&Value) -> Option<String>) -> Option<Vec<String>> {
    let keys: Vec<String> = items.iter().map(key_of).collect::<Option<_>>()?;
    let distinct: BTreeSet<&String> = keys.iter().collect();
    (distinct.len() == keys.len()).then_some(keys)
}

/// The merge patch (RFC 7386) that makes `to` of `from`; nothing if they are the same.
#[must_use]
pub fn patch(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut changes: Map<String, Value> = from
        .keys()
        .filter(|key| !to.contains_key(*key))
        .map(|key| (key.clone(), Value::Null))
        .collect();
    for (key, wanted) in to {
        let change = match from.get(key) {
            Some(there) => patch(there, wanted),
            None => Some(wanted.clone()),
        };
        changes.extend(change.map(|change| (key.clone(), change)));
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
}

#[cfg(test)]
mod tests;
