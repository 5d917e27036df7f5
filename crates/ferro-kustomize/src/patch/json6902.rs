//! JSON patches, with the liberties of the library that kustomize uses: negative indexes, `replace` of
//! fields that do not exist.

use ferro_yaml::Node;

use crate::error::{Error, Result, fail};
use crate::scalar::json_type;

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    op: String,
    /// The path, or why there is none.
    path: Result<String, String>,
    from: Result<String, String>,
    /// `None` if there is none, which some operations take for null.
    value: Option<Node>,
}

/// As deep as YAML may be; operations must not build what could not have been read.
const MAX_DEPTH: usize = crate::path::MAX_DEPTH;
/// Values that the operations of one patch may copy: each copy can double an object.
const MAX_COPIED: usize = 2_000_000;

/// Reads a list of operations from YAML or JSON.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Operation>> {
    let list = if text.starts_with(b"[") {
        // Such a text is JSON and nothing else.
        let json = String::from_utf8_lossy(text).parse();
        Node::from_json(&json.map_err(|error| Error::other(format!("json: {error}")))?)
    } else {
        let mut list = crate::read::configuration(text).map_err(|error| Error::other(error.to_string()))?;
        crate::scalar::to_json_types(&mut list);
        list.to_json().map_err(|error| Error::other(error.to_string()))?;
        list
    };
    let Some(items) = list.as_sequence() else {
        if list.is_null() {
            return Ok(Vec::new());
        }
        fail!(
            "json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
            json_type(&list)
        );
    };
    items.iter().map(operation).collect()
}

/// The operations in the form of JSON in which they are applied, for messages.
pub(crate) fn json_text(text: &[u8]) -> String {
    if text.starts_with(b"[") {
        return String::from_utf8_lossy(text).into_owned();
    }
    let Ok(mut list) = crate::read::configuration(text) else {
        return String::new();
    };
    crate::scalar::to_json_types(&mut list);
    crate::emit::json(&list)
}

fn operation(node: &Node) -> Result<Operation> {
    if !node.is_mapping() && !node.is_null() {
        fail!(
            "json: cannot unmarshal {} into Go value of type jsonpatch.Operation",
            json_type(node)
        );
    }
    let text = |key: &str| {
        node.get(key)
            .and_then(Node::as_str)
            .unwrap_or("unknown")
            .to_owned()
    };
    let path = |key: &str, missing: &str| match node.get(key).filter(|path| !path.is_null()) {
        None => Err(missing.to_owned()),
        Some(path) => path.as_str().map(str::to_owned).ok_or_else(|| {
            format!(
                "json: cannot unmarshal {} into Go value of type string",
                json_type(path)
            )
        }),
    };
    Ok(Operation {
        op: text("op"),
        path: path("path", "operation missing path field: missing value"),
        from: path("from", "operation, missing from field: missing value"),
        value: node.get("value").map(as_data),
    })
}

/// A value without the style that it was written in.
fn as_data(value: &Node) -> Node {
    value
        .to_json()
        .map_or_else(|_| value.clone(), |json| Node::from_json(&json))
}

impl Operation {
    /// Tells whether the operation reads or writes in, or above, the annotations.
    fn concerns_annotations(&self) -> bool {
        [&self.path, &self.from].into_iter().flatten().any(|path| {
            path.starts_with("/metadata/annotations")
                || matches!(path.as_str(), "" | "/metadata" | "/metadata/")
        })
    }
}

/// Tells whether a patch meets what upstream keeps in the annotations.
pub(crate) fn concerns_annotations(operations: &[Operation]) -> bool {
    operations.iter().any(Operation::concerns_annotations)
}

/// Applies operations in order; the first that fails ends it.
pub(crate) fn apply(object: &mut Node, operations: &[Operation]) -> Result<()> {
    let mut budget = MAX_COPIED;
    operations
        .iter()
        .try_for_each(|operation| operation.apply(object, &mut budget))?;
    if object.is_sequence() {
        fail!("json: cannot unmarshal array into Go value of type map[string]interface {{}}");
    }
    Ok(())
}

/// Counts the nodes of a tree; nothing if it is deeper than `depth`.
fn count(node: &Node, depth: usize) -> Option<usize> {
    let below = depth.checked_sub(1)?;
    let values = node.entries().iter().map(|entry| &entry.value);
    node.items()
        .iter()
        .chain(values)
        .try_fold(1, |sum, child| Some(sum + count(child, below)?))
}

/// Refuses a copy that makes the object too deep or, with those before it, too large.
fn pay_for(value: &Node, budget: &mut usize) -> Result<()> {
    let left = count(value, MAX_DEPTH).and_then(|nodes| budget.checked_sub(nodes));
    let Some(left) = left else {
        fail!("the operations copy more than {MAX_COPIED} values, or one of more than {MAX_DEPTH} levels");
    };
    *budget = left;
    Ok(())
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Finds the container of a path's last element.
fn container<'n>(object: &'n mut Node, path: &str) -> Option<(&'n mut Node, String)> {
    let (parents, last) = path.rsplit_once('/')?;
    let mut node = object;
    for token in parents.split('/').skip(1) {
        let token = unescape(token);
        let index = match node.as_sequence() {
            Some(items) => Some(existing_index(items.len(), &token).ok()?),
            None => None,
        };
        node = match index {
            Some(index) => node.as_sequence_mut()?.as_mut_slice().get_mut(index)?,
            None => node.get_mut(&token)?,
        };
    }
    (node.is_mapping() || node.is_sequence()).then(|| (node, unescape(last)))
}

fn parse_index(token: &str) -> Result<i64, String> {
    let digits = token.strip_prefix(['-', '+']).unwrap_or(token);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number, token.strip_prefix('+').unwrap_or(token).parse()) {
        (true, Ok(index)) => Ok(index),
        _ => Err(format!(
            "strconv.Atoi: parsing {}: invalid syntax",
            ferro_gocompat::quote::quote(token)
        )),
    }
}

/// Turns a token into the index of an element; negative ones count from the end.
fn existing_index(length: usize, token: &str) -> Result<usize, String> {
    let index = parse_index(token)?;
    let signed = i64::try_from(length).unwrap_or(i64::MAX);
    let real = if index < 0 {
        index.saturating_add(signed)
    } else {
        index
    };
    match usize::try_from(real) {
        Ok(real) if real < length => Ok(real),
        _ => Err(format!(
            "Unable to access invalid index: {index}: invalid index referenced"
        )),
    }
}

fn get<'n>(container: &'n Node, key: &str) -> Result<Option<&'n Node>, String> {
    match container.as_sequence() {
        Some(items) => Ok(items.get(existing_index(items.len(), key)?)),
        None => Ok(container.get(key)),
    }
}

fn add(container: &mut Node, key: &str, value: Node) -> Result<(), String> {
    let Some(items) = container.as_sequence_mut() else {
        container.set(key, value);
        return Ok(());
    };
    if key == "-" {
        items.push(value);
        return Ok(());
    }
    let index =
        parse_index(key).map_err(|error| format!("value was not a proper array index: '{key}': {error}"))?;
    // Behind the last element is a place, too; negative indexes count from there.
    let places = i64::try_from(items.len()).unwrap_or(i64::MAX).saturating_add(1);
    let real = if index < 0 {
        index.saturating_add(places)
    } else {
        index
    };
    match usize::try_from(real) {
        Ok(real) if real <= items.len() => {
            items.insert_at(real, value);
            Ok(())
        }
        _ => Err(format!(
            "Unable to access invalid index: {index}: invalid index referenced"
        )),
    }
}

fn remove(container: &mut Node, key: &str) -> Result<Node, String> {
    if let Some(items) = container.as_sequence_mut() {
        let index = existing_index(items.len(), key)?;
        return items.remove_at(index).ok_or_else(|| "missing value".to_owned());
    }
    container
        .remove(key)
        .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value"))
}

impl Operation {
    fn apply(&self, object: &mut Node, budget: &mut usize) -> Result<()> {
        if self
            .path
            .as_ref()
            .is_ok_and(|path| path.matches('/').count() > MAX_DEPTH)
        {
            fail!("a path of more than {MAX_DEPTH} levels");
        }
        match self.op.as_str() {
            "add" => self.add(object),
            "remove" => self.remove(object),
            "replace" => self.replace(object),
            "move" => self.transfer(object, budget),
            "copy" => self.copy(object, budget),
            "test" => self.test(object),
            op => fail!("Unexpected kind: {op}"),
        }
    }

    fn value(&self) -> Node {
        self.value.clone().unwrap_or_default()
    }

    fn add(&self, object: &mut Node) -> Result<()> {
        let Ok(path) = &self.path else {
            fail!("add operation failed to decode path: missing value");
        };
        let Some((container, key)) = container(object, path) else {
            fail!("add operation does not apply: doc is missing path: \"{path}\": missing value");
        };
        add(container, &key, self.value())
            .map_err(|error| Error::other(format!("error in add for path: '{path}': {error}")))
    }

    fn remove(&self, object: &mut Node) -> Result<()> {
        let Ok(path) = &self.path else {
            fail!("remove operation failed to decode path: missing value");
        };
        let Some((container, key)) = container(object, path) else {
            fail!("remove operation does not apply: doc is missing path: \"{path}\": missing value");
        };
        match remove(container, &key) {
            Ok(_) => Ok(()),
            Err(error) => fail!("error in remove for path: '{path}': {error}"),
        }
    }

    fn replace(&self, object: &mut Node) -> Result<()> {
        let path = decoded(&self.path, "replace operation failed to decode path")?;
        if path.is_empty() {
            let value = self.value();
            if value.is_scalar() {
                fail!("replace operation value must be object or array: %!w(<nil>)");
            }
            *object = value;
            return Ok(());
        }
        let Some((container, key)) = container(object, path) else {
            fail!("replace operation does not apply: doc is missing path: {path}: missing value");
        };
        let Some(items) = container.as_sequence_mut() else {
            container.set(key, self.value());
            return Ok(());
        };
        let Ok(index) = existing_index(items.len(), &key) else {
            fail!("replace operation does not apply: doc is missing key: {path}: missing value");
        };
        if let Some(slot) = items.as_mut_slice().get_mut(index) {
            *slot = self.value();
        }
        Ok(())
    }

    fn transfer(&self, object: &mut Node, budget: &mut usize) -> Result<()> {
        let from = decoded(&self.from, "move operation failed to decode from")?;
        let Some((container_from, key)) = container(object, from) else {
            fail!("move operation does not apply: doc is missing from path: {from}: missing value");
        };
        let value = match remove(container_from, &key) {
            Ok(value) => value,
            Err(error) => fail!("error in move for path: '{key}': {error}"),
        };
        pay_for(&value, budget)?;
        let path = decoded(&self.path, "move operation failed to decode path")?;
        let Some((container, key)) = container(object, path) else {
            fail!("move operation does not apply: doc is missing destination path: {path}: missing value");
        };
        add(container, &key, value)
            .map_err(|error| Error::other(format!("error in move for path: '{path}': {error}")))
    }

    fn copy(&self, object: &mut Node, budget: &mut usize) -> Result<()> {
        let from = decoded(&self.from, "copy operation failed to decode from")?;
        let Some((container_from, key)) = container(object, from) else {
            fail!("copy operation does not apply: doc is missing from path: {from}: missing value");
        };
        let value = match get(container_from, &key) {
            Ok(value) => value.cloned().unwrap_or_default(),
            Err(error) => fail!("error in copy for from: '{from}': {error}"),
        };
        pay_for(&value, budget)?;
        let Ok(path) = &self.path else {
            fail!("copy operation failed to decode path: missing value");
        };
        let Some((container, key)) = container(object, path) else {
            fail!("copy operation does not apply: doc is missing destination path: {path}: missing value");
        };
        add(container, &key, value)
            .map_err(|error| Error::other(format!("error while adding value during copy: {error}")))
    }

    fn test(&self, object: &mut Node) -> Result<()> {
        let path = decoded(&self.path, "test operation failed to decode path")?;
        if path.is_empty() {
            if self.value.as_ref().is_some_and(|value| same_json(object, value)) {
                return Ok(());
            }
            fail!("testing value {path} failed: test failed");
        }
        let Some((container, key)) = container(object, path) else {
            fail!("test operation does not apply: is missing path: {path}: missing value");
        };
        let found = match get(container, &key) {
            Ok(found) => found,
            Err(error) => fail!("error in test for path: '{path}': {error}"),
        };
        let wanted = self.value.as_ref().filter(|value| !value.is_null());
        let agrees = match (found.filter(|found| !found.is_null()), wanted) {
            (None, None) => true,
            (Some(found), Some(wanted)) => same_json(found, wanted),
            _ => false,
        };
        if !agrees {
            fail!("testing value {path} failed: test failed");
        }
        Ok(())
    }
}

/// The path, or what is wrong with it.
fn decoded<'p>(path: &'p Result<String, String>, words: &str) -> Result<&'p str> {
    path.as_deref()
        .map_err(|problem| Error::other(format!("{words}: {problem}")))
}

/// Tells whether two nodes are the same JSON.
fn same_json(left: &Node, right: &Node) -> bool {
    if left.is_mapping() && right.is_mapping() {
        let (left, right) = (left.entries(), right);
        return left.len() == right.entries().len()
            && left.iter().all(|entry| {
                let other = entry.name().and_then(|name| right.get(name));
                other.is_some_and(|other| same_json(&entry.value, other))
            });
    }
    if left.is_sequence() && right.is_sequence() {
        let (left, right) = (left.items(), right.items());
        return left.len() == right.len()
            && left.iter().zip(right).all(|(left, right)| same_json(left, right));
    }
    left.is_scalar() && right.is_scalar() && crate::emit::json(left) == crate::emit::json(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_yaml::{ParseOptions, parse_one};

    fn patched(object: &str, patch: &str) -> Result<Node> {
        let mut node = parse_one(object, &ParseOptions::default()).unwrap();
        apply(&mut node, &parse(format!(" {patch}").as_bytes()).unwrap())?;
        Ok(node)
    }

    fn check(object: &str, patch: &str, expected: &str) {
        let expected = parse_one(expected, &ParseOptions::default()).unwrap();
        assert_eq!(patched(object, patch).unwrap(), expected, "{patch}");
    }

    fn problem(object: &str, patch: &str) -> String {
        patched(object, patch).unwrap_err().to_string()
    }

    #[test]
    fn operations_change_maps_and_lists() {
        check("{a: 1}", "- {op: add, path: /b~1c, value: 2}", "{a: 1, b/c: 2}");
        check(
            "{a: [1, 3]}",
            "[{op: add, path: /a/1, value: 2}]",
            "{a: [1, 2, 3]}",
        );
        check(
            "{a: [1]}",
            "[{op: add, path: /a/-, value: 2}, {op: add, path: /a/-1, value: 3}]",
            "{a: [1, 2, 3]}",
        );
        check("{a: [1, 2]}", "[{op: remove, path: /a/-1}]", "{a: [1]}");
        check("{}", "[{op: replace, path: /a, value: yes}]", "{a: true}");
        check(
            "{a: {b: 1}}",
            "[{op: move, from: /a/b, path: /c}]",
            "{a: {}, c: 1}",
        );
        check(
            "{a: {b: 1}}",
            "[{op: copy, from: /a, path: /c}, {op: test, path: /c/b, value: 1}]",
            "{a: {b: 1}, c: {b: 1}}",
        );
        check("{}", "[{op: add, path: /a}, {op: test, path: /b}]", "{a: null}");
    }

    #[test]
    fn failures_read_as_upstream() {
        assert_eq!(
            problem("{}", "[{op: add, path: /a/b}]"),
            "add operation does not apply: doc is missing path: \"/a/b\": missing value"
        );
        assert_eq!(
            problem("{}", "[{op: remove, path: /a}]"),
            "error in remove for path: '/a': Unable to remove nonexistent key: a: missing value"
        );
        assert_eq!(
            problem("{a: []}", "[{op: add, path: /a/3}]"),
            "error in add for path: '/a/3': Unable to access invalid index: 3: invalid index referenced"
        );
        assert_eq!(
            problem("{a: []}", "[{op: replace, path: /a/-}]"),
            "replace operation does not apply: doc is missing key: /a/-: missing value"
        );
        assert_eq!(
            problem("{a: 1}", "[{op: test, path: /a, value: 2}]"),
            "testing value /a failed: test failed"
        );
        assert_eq!(problem("{}", "[{op: zap}]"), "Unexpected kind: zap");
    }
}
