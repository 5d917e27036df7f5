//! The dotted paths of replacements: `spec.containers.[name=app].image`.

use ferro_yaml::{Kind, Node, ParseOptions, parse_first};

use crate::error::{Context, Error, Result, fail};
use crate::fieldspec::wrong_node_kind;

/// Splits at dots that are neither escaped nor in brackets; brackets without `=` only quote a key.
pub(crate) fn split(path: &str) -> Vec<String> {
    let mut plain: Vec<String> = Vec::new();
    let parts: Vec<&str> = path.split('.').collect();
    let parts = match parts.as_slice() {
        ["", rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    for part in parts {
        match plain.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => {
                last.pop();
                last.push('.');
                last.push_str(part);
            }
            None => plain.push((*part).to_owned()),
        }
    }
    let mut joined = Vec::with_capacity(plain.len());
    let mut plain = plain.into_iter();
    while let Some(mut part) = plain.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            joined.push(part);
            continue;
        }
        for next in plain.by_ref() {
            part.push('.');
            part.push_str(&next);
            if next.ends_with(']') {
                break;
            }
        }
        let is_condition = part.contains('=');
        joined.push(if is_condition {
            part
        } else {
            part.trim_matches(['[', ']']).to_owned()
        });
    }
    joined
}

fn is_condition(part: &str) -> bool {
    part.starts_with('[') && part.ends_with(']')
}

/// Takes `[key=value]` apart.
fn condition(part: &str) -> Result<(&str, &str)> {
    let inner = part.strip_suffix(']').unwrap_or(part);
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    match inner.split_once('=') {
        Some(pair) => Ok(pair),
        None => fail!("list path element must contain fieldName=fieldValue for element to match"),
    }
}

fn index(part: &str) -> Option<i64> {
    let digits = part.strip_prefix(['+', '-']).unwrap_or(part);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        part.strip_prefix('+').unwrap_or(part).parse().ok()
    } else {
        None
    }
}

/// Reads the value that a path leads to; conditions are compared literally.
pub(crate) fn get<'n>(node: &'n Node, path: &[String]) -> Result<Option<&'n Node>> {
    let mut node = node;
    for part in path
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
    {
        let next = match index(part) {
            Some(index) if index < 0 => fail!("array index {index} cannot be negative"),
            Some(index) => usize::try_from(index)
                .ok()
                .and_then(|index| sequence(node).transpose()?.ok()?.get(index)),
            None if part == "-" => sequence(node)?.and_then(|items| items.last()),
            None if part == "*" => fail!("wildcard is not supported in PathGetter"),
            None if is_condition(part) => {
                let (key, value) = condition(part)?;
                sequence(node)?.and_then(|items| items.iter().find(|item| has_value(item, key, value)))
            }
            None if node.is_mapping() || node.is_null() => node.get(part),
            None => return Err(wrong_node_kind(Kind::Mapping, node)),
        };
        match next {
            Some(next) => node = next,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

fn sequence(node: &Node) -> Result<Option<&[Node]>> {
    match node.as_sequence() {
        Some(items) => Ok(Some(items)),
        None if node.is_null() => Ok(None),
        None => Err(wrong_node_kind(Kind::Sequence, node)),
    }
}

fn has_value(item: &Node, key: &str, value: &str) -> bool {
    if key.is_empty() {
        return item.text().unwrap_or_default() == value;
    }
    item.get(key)
        .is_some_and(|own| own.text().unwrap_or_default() == value)
}

/// What is made where a path leads to nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    Nothing,
    Like(Kind),
}

impl Make {
    /// Makes the node that the next part of the path expects to find.
    fn node(self, next: Option<&String>) -> Option<Node> {
        let Self::Like(last) = self else { return None };
        let kind = match next {
            Some(part) if is_condition(part) || index(part).is_some_and(|index| index >= 0) => Kind::Sequence,
            Some(part) if !part.is_empty() => Kind::Mapping,
            _ => last,
        };
        Some(match kind {
            Kind::Sequence => crate::scalar::empty_sequence(),
            Kind::Mapping => crate::scalar::empty_mapping(),
            Kind::Scalar | Kind::Alias => Node::untagged(""),
        })
    }
}

/// What is done with a node that was found; `is_new` tells whether it was made for this.
pub(super) type Found<'f> = &'f mut dyn FnMut(&mut Node, bool) -> Result<()>;

/// Calls `found` for every node that a path leads to and returns how many there were; conditions are
/// regular expressions.
pub(super) fn visit(node: &mut Node, path: &[String], make: Make, found: Found<'_>) -> Result<usize> {
    visit_at(node, path, make, false, found)
}

fn visit_at(node: &mut Node, path: &[String], make: Make, is_new: bool, found: Found<'_>) -> Result<usize> {
    let Some((part, rest)) = path.split_first() else {
        found(node, is_new)?;
        return Ok(1);
    };
    if let Some(index) = index(part).and_then(|index| usize::try_from(index).ok()) {
        return visit_index(node, index, rest, make, found);
    }
    if is_condition(part) {
        return visit_condition(node, part, rest, make, found);
    }
    if part == "*" {
        let mut count = 0;
        for item in items(node)? {
            count += visit_at(item, rest, make, false, found)?;
        }
        return Ok(count);
    }
    visit_field(node, part, rest, make, found)
}

fn items(node: &mut Node) -> Result<&mut [Node]> {
    if !node.is_sequence() {
        return if node.is_null() {
            Ok(&mut [])
        } else {
            Err(wrong_node_kind(Kind::Sequence, node))
        };
    }
    Ok(node
        .as_sequence_mut()
        .map(|items| items.as_mut_slice())
        .unwrap_or_default())
}

fn visit_field(node: &mut Node, name: &str, rest: &[String], make: Make, found: Found<'_>) -> Result<usize> {
    let wanted = if name.is_empty() {
        Kind::Scalar
    } else {
        Kind::Mapping
    };
    if node.is_null() {
        // Upstream hangs what it makes below the null, where it is found and no output shows it.
        return match make.node(rest.first()).filter(|_| !name.is_empty()) {
            Some(mut unseen) => visit_at(&mut unseen, rest, make, true, found),
            None => Ok(0),
        };
    }
    if node.kind() != wanted {
        return Err(wrong_node_kind(wanted, node));
    }
    if name.is_empty() {
        // A blank name means the scalar itself, if that is blank too.
        let is_meant = node.text().is_some_and(str::is_empty);
        return if is_meant {
            visit_at(node, rest, make, false, found)
        } else {
            Ok(0)
        };
    }
    let mut is_new = false;
    if node.get(name).is_none() {
        let Some(made) = make.node(rest.first()) else {
            return Ok(0);
        };
        node.set(name, made);
        is_new = true;
    }
    let Some(child) = node.get_mut(name) else {
        return Ok(0);
    };
    if child.is_scalar() && !rest.is_empty() && !is_new {
        // Data in a text: what is found in it here goes nowhere.
        let text = child.text().unwrap_or_default().to_owned();
        if is_empty_document(&text) {
            return Err(nothing_found(rest));
        }
        let mut inner = super::replacement_value::parse(&text)?;
        return visit_at(&mut inner, rest, make, false, found);
    }
    visit_at(child, rest, make, is_new, found)
}

/// Tells whether a text holds no data at all, which is less than null.
fn is_empty_document(text: &str) -> bool {
    matches!(parse_first(text, &ParseOptions::default()), Ok(None))
}

/// Upstream looks into nothing as into a node of no kind.
fn nothing_found(rest: &[String]) -> Error {
    let wanted = match rest.first().map(String::as_str) {
        Some("") => "ScalarNode",
        Some(part) if part == "*" || is_condition(part) || index(part).is_some_and(|index| index >= 0) => {
            "SequenceNode"
        }
        _ => "MappingNode",
    };
    Error::other(format!(
        "wrong node kind: expected {wanted} but got : node contents:\nnull\n"
    ))
}

fn visit_index(
    node: &mut Node,
    index: usize,
    rest: &[String],
    make: Make,
    found: Found<'_>,
) -> Result<usize> {
    let length = items(node)?.len();
    let mut is_new = false;
    if length == index
        && let Some(made) = make.node(rest.first())
        && let Some(items) = node.as_sequence_mut()
    {
        items.push(made);
        is_new = true;
    }
    match items(node)?.get_mut(index) {
        Some(item) => visit_at(item, rest, make, is_new, found),
        None => fail!("index {index} specified but only {length} elements found"),
    }
}

fn visit_condition(
    node: &mut Node,
    part: &str,
    rest: &[String],
    make: Make,
    found: Found<'_>,
) -> Result<usize> {
    let (key, value) = condition(part)?;
    let pattern = crate::pattern::compile(value)?;
    let mut count = 0;
    for item in items(node)? {
        if matches(item, key, &pattern) {
            // Behind a condition on plain values the path has ended.
            let rest = if key.is_empty() { &[] } else { rest };
            count += visit_at(item, rest, make, false, found)?;
        }
    }
    if count > 0 || make == Make::Nothing {
        return Ok(count);
    }
    let made = if key.is_empty() {
        Node::untagged(value)
    } else {
        Node::mapping([(key, Node::untagged(value))])
    };
    if !matches(&made, key, &pattern) {
        fail!(
            "failed to create element for {}: it would not match",
            ferro_gocompat::quote::quote(part)
        );
    }
    let Some(items) = node.as_sequence_mut() else {
        return Err(wrong_node_kind(Kind::Sequence, node)).during(|| {
            format!(
                "failed to create element for {}",
                ferro_gocompat::quote::quote(part)
            )
        });
    };
    items.push(made);
    let rest = if key.is_empty() { &[] } else { rest };
    match items.as_mut_slice().last_mut() {
        Some(item) => visit_at(item, rest, make, false, found),
        None => Ok(0),
    }
}

/// Tells whether the text of an element, or of its field, contains a match; quotes are part of it.
fn matches(item: &Node, key: &str, pattern: &crate::pattern::Regex) -> bool {
    let text = |node: &Node| match (node.text(), node.style()) {
        (Some(text), ferro_yaml::ScalarStyle::Plain) if node.tag() != ferro_yaml::Tag::Str => text.to_owned(),
        _ => crate::emit::kyaml(node).trim().to_owned(),
    };
    let value = if key.is_empty() { Some(item) } else { item.get(key) };
    value.is_some_and(|value| pattern.is_match(&text(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_yaml::{ParseOptions, parse_one};

    fn parsed(text: &str) -> Node {
        parse_one(text, &ParseOptions::default()).unwrap()
    }

    fn written(text: &str, path: &str, make: Make) -> Result<Node> {
        let mut node = parsed(text);
        visit(&mut node, &split(path), make, &mut |found, _| {
            *found = Node::string("X");
            Ok(())
        })?;
        Ok(node)
    }

    #[test]
    fn paths_are_split() {
        assert_eq!(split("a.b\\.c.d"), ["a", "b.c", "d"]);
        assert_eq!(split("a.[b.c/d].e"), ["a", "b.c/d", "e"]);
        assert_eq!(split("a.[name=x.y].e"), ["a", "[name=x.y]", "e"]);
        assert_eq!(split("a.[=x].0"), ["a", "[=x]", "0"]);
    }

    #[test]
    fn sources_are_read_literally() {
        let node = parsed("{l: [{n: c10, v: 1}, {n: c1, v: 2}], p: [a, b]}");
        let value = |path: &str| {
            get(&node, &split(path))
                .unwrap()
                .and_then(Node::text)
                .map(str::to_owned)
        };
        assert_eq!(value("l.[n=c1].v").as_deref(), Some("2"));
        assert_eq!(value("l.-.v").as_deref(), Some("2"));
        assert_eq!(value("p.0").as_deref(), Some("a"));
        assert_eq!(value("p.[=b]").as_deref(), Some("b"));
        assert_eq!(value("x.y"), None);
        assert!(get(&node, &split("l.*.v")).is_err());
    }

    #[test]
    fn targets_are_searched() {
        let list = "{l: [{n: c10}, {n: xc1}, {n: d}]}";
        let expected = parsed("{l: [{n: X}, {n: X}, {n: d}]}");
        assert_eq!(written(list, "l.[n=c1].n", Make::Nothing).unwrap(), expected);
        assert_eq!(
            written("{l: [1, 2]}", "l.*", Make::Nothing).unwrap(),
            parsed("{l: [X, X]}")
        );
        assert!(written("{l: [1]}", "l.3", Make::Nothing).is_err());
    }

    #[test]
    fn missing_parts_are_made() {
        let make = Make::Like(Kind::Scalar);
        assert_eq!(written("{}", "a.b", make).unwrap(), parsed("{a: {b: X}}"));
        let made = written("{}", "a.[n=x].b", make).unwrap();
        assert_eq!(
            made.get("a").unwrap().items()[0].get("b"),
            Some(&Node::string("X"))
        );
        assert!(written("{l: []}", "l.[n=a{2}].b", make).is_err());
    }
}
