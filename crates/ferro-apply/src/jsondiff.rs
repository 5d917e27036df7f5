//! What would have to change in an object, as operations of a JSON patch: how upstream words drift (`spec/helm.md` D.3).
//!
//! Many operations below a value become one that replaces it, where that is shorter. The counts of operations are in messages, so the
//! lengths are computed as upstream's library does, which leaves out the values of additions.

use serde_json::{Map, Value, json};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Adds a value that is not there.
    Add,
    /// Gives a value another one.
    Replace,
    /// Takes a value away.
    Remove,
}

impl OperationKind {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// One operation of a JSON patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What is done.
    pub kind: OperationKind,
    /// To which value, as a JSON pointer.
    pub path: String,
    /// The value from then on; null where there is none.
    pub value: Value,
    /// Bytes of the value's text, where they count.
    length: usize,
}

/// The characters of `{"op":"","path":""}`, and of `,"value":`.
const BASE: (usize, usize) = (19, 9);

impl Operation {
    fn length(&self) -> usize {
        let value = match self.kind {
            OperationKind::Remove => 0,
            OperationKind::Add | OperationKind::Replace => BASE.1 + self.length,
        };
        BASE.0 + self.kind.name().len() + self.path.len() + value
    }
}

/// The operations that make of an object in the cluster what an apply would. Of the metadata only labels and annotations count, and only
/// those that an apply would set; the status does not count.
#[must_use]
pub fn between(live: &Value, applied: &Value) -> Vec<Operation> {
    let mut operations = compare(&metadata(live), &metadata(applied));
    operations.retain(|operation| operation.kind != OperationKind::Remove);
    operations.extend(compare(&rest(live), &rest(applied)));
    operations
}

/// Labels and annotations, with the name beside them so that they are never replaced together.
fn metadata(object: &Value) -> Value {
    let known = ["name", "annotations", "labels"];
    let found = known
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), object.get("metadata")?.get(key)?.clone())));
    json!({ "metadata": found.collect::<Map<String, Value>>() })
}

fn rest(object: &Value) -> Value {
    let mut rest = object.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    rest
}

fn compare(from: &Value, to: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    diff(&mut String::new(), from, to, &mut operations);
    operations
}

fn diff(path: &mut String, from: &Value, to: &Value, operations: &mut Vec<Operation>) {
    let first = operations.len();
    match (from, to) {
        _ if is_equal(from, to) => return,
        (Value::Object(from), Value::Object(to)) => diff_objects(path, from, to, operations),
        (Value::Array(from), Value::Array(to)) => diff_lists(path, from, to, operations),
        _ => return operations.push(replacement(path, to)),
    }
    // One operation instead of those below, if it is shorter.
    let below = operations.get(first..).unwrap_or_default();
    let whole = replacement(path, to);
    let commas = below.len().saturating_sub(1);
    if below.iter().map(Operation::length).sum::<usize>() + commas > whole.length() {
        operations.truncate(first);
        operations.push(whole);
    }
}

fn diff_objects(
    path: &mut String,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    operations: &mut Vec<Operation>,
) {
    let keys: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    for key in keys {
        at(path, &key.replace('~', "~0").replace('/', "~1"), |path| {
            match (from.get(key), to.get(key)) {
                (Some(from), Some(to)) => diff(path, from, to, operations),
                (Some(_), None) => operations.push(operation(OperationKind::Remove, path, Value::Null)),
                (None, Some(to)) => operations.push(operation(OperationKind::Add, path, to.clone())),
                (None, None) => {}
            }
        });
    }
}

fn diff_lists(path: &mut String, from: &[Value], to: &[Value], operations: &mut Vec<Operation>) {
    let common = from.len().min(to.len());
    for _ in common..from.len() {
        at(path, &common.to_string(), |path| {
            operations.push(operation(OperationKind::Remove, path, Value::Null));
        });
    }
    for (index, (from, to)) in from.iter().zip(to).enumerate() {
        at(path, &index.to_string(), |path| diff(path, from, to, operations));
    }
    for added in to.iter().skip(common) {
        at(path, "-", |path| {
            operations.push(operation(OperationKind::Add, path, added.clone()));
        });
    }
}

/// Does something one step further down.
fn at(path: &mut String, step: &str, below: impl FnOnce(&mut String)) {
    let end = path.len();
    path.push('/');
    path.push_str(step);
    below(path);
    path.truncate(end);
}

fn operation(kind: OperationKind, path: &str, value: Value) -> Operation {
    Operation {
        kind,
        path: path.to_owned(),
        value,
        length: 0,
    }
}

fn replacement(path: &str, value: &Value) -> Operation {
    Operation {
        length: value.to_string().len(),
        ..operation(OperationKind::Replace, path, value.clone())
    }
}

/// 1 and 1.0 are the same number to the API server.
fn is_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(live: Value, applied: Value) -> Vec<String> {
        let operations = between(&live, &applied);
        let text = |operation: &Operation| format!("{} {}", operation.kind.name(), operation.path);
        operations.iter().map(text).collect()
    }

    // The expectations are what upstream's library answers.
    #[test]
    fn between_counts_each_change_once() {
        let live = json!({ "metadata": { "name": "a", "labels": { "x": "1", "theirs": "1" }, "uid": "u" },
            "data": { "a/b": "1", "gone": "2", "same": "3" }, "status": { "ready": true } });
        let applied = json!({ "metadata": { "name": "a", "labels": { "x": "2" }, "annotations": { "n": "1" } },
            "data": { "a/b": "other", "same": "3", "new": "4" } });
        assert_eq!(
            told(live.clone(), applied),
            ["replace /metadata", "replace /data"]
        );
        // A value that is long enough is not repeated.
        let long = "x".repeat(300);
        let with = |key: &str| json!({ "metadata": {}, "data": { "long": long, key: "1", "b~c": key } });
        assert_eq!(
            told(with("one"), with("two")),
            ["replace /data/b~0c", "remove /data/one", "add /data/two"]
        );
        assert_eq!(told(live.clone(), live), [""; 0]);
    }

    #[test]
    fn lists_are_compared_item_by_item() {
        let object = |items: Value| json!({ "spec": { "items": items, "long": "y".repeat(300) } });
        let big = "z".repeat(100);
        assert_eq!(
            told(
                object(json!([big, "b", "c", "d"])),
                object(json!([big, "changed"]))
            ),
            [
                "remove /spec/items/2",
                "remove /spec/items/2",
                "replace /spec/items/1"
            ]
        );
        assert_eq!(
            told(object(json!([big])), object(json!([big, "b"]))),
            ["add /spec/items/-"]
        );
        assert_eq!(
            told(object(json!([1])), object(json!([{ "a": 1 }]))),
            ["replace /spec/items/0"]
        );
        assert_eq!(
            told(object(json!(["abcdefghijkl", "b"])), object(json!(["1", "2"]))),
            ["replace /spec/items"]
        );
        assert_eq!(told(object(json!([1])), object(json!([1.0]))), [""; 0]);
    }

    #[test]
    fn another_type_replaces_the_value() {
        assert_eq!(
            told(
                json!({ "spec": { "a": "1" }, "x": 1 }),
                json!({ "spec": null, "x": 1 })
            ),
            ["replace /spec"]
        );
    }
}
