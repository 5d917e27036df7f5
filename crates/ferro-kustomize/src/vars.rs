//! Variables: `$(NAME)` in some fields, filled from a field of another object. Deprecated upstream in favour
//! of replacements, and still in use.

use std::collections::BTreeMap;

use ferro_gocompat::number::{format_f, format_g};
use ferro_yaml::{Dialect, Kind, Node, Tag, Text, Value};

use crate::error::{Error, Result, fail};
use crate::fieldspec::{Create, Walker};
use crate::id::{Gvk, ResourceId, split_api_version};
use crate::resmap::ResMap;
use crate::schema::Schema;
use crate::transform::replacement_path;
use crate::types::{FieldSpec, Var};

/// The variables of a layer and of all below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct VarSet(BTreeMap<String, Var>);

impl VarSet {
    fn add(&mut self, var: &Var) -> Result<()> {
        if self.0.contains_key(&var.name) {
            fail!("var '{}' already encountered", var.name);
        }
        self.0.insert(var.name.clone(), with_defaults(var));
        Ok(())
    }

    pub(crate) fn add_all(&mut self, other: &Self) -> Result<()> {
        other.0.values().try_for_each(|var| self.add(var))
    }

    /// Takes a layer's variables and marks the resources that they read from.
    pub(crate) fn register(&mut self, vars: &[Var], resources: &mut ResMap, schema: &Schema) -> Result<()> {
        for var in vars {
            let target = target_id(var);
            let is_meant = |id: &ResourceId| {
                if target.namespace.is_empty() {
                    id.name == target.name && id.gvk == target.gvk
                } else {
                    *id == target
                }
            };
            let mut matched = resources.named(&target.name);
            matched.retain(|index| {
                resources.get(*index).is_some_and(|resource| {
                    !resource.is_gone()
                        && (is_meant(&resource.id(schema)) || resource.previous_ids().any(|id| is_meant(&id)))
                })
            });
            match matched.as_slice() {
                [] => {}
                [index] => {
                    if let Some(resource) = resources.get_mut(*index) {
                        resource.var_names.push((&var.name).into());
                    }
                }
                several => fail!(
                    "found {} resId matches for var {} (unable to disambiguate)",
                    several.len(),
                    describe(&with_defaults(var))
                ),
            }
        }
        vars.iter().try_for_each(|var| self.add(var))
    }
}

/// Names variables in messages.
pub(crate) fn describe_all(vars: &[Var]) -> String {
    format!("[{}]", vars.iter().map(describe).collect::<Vec<_>>().join(" "))
}

fn describe(var: &Var) -> String {
    let target = &var.object_ref;
    let gvk = Gvk::new(&target.group, &target.version, &target.kind);
    format!("{{{} {gvk} {{{}}}}}", var.name, var.field_ref.field_path)
}

fn with_defaults(var: &Var) -> Var {
    let mut var = var.clone();
    if var.field_ref.field_path.is_empty() {
        "metadata.name".clone_into(&mut var.field_ref.field_path);
    }
    let target = &mut var.object_ref;
    if !target.api_version.is_empty() {
        let (group, version) = split_api_version(&target.api_version);
        if !group.is_empty() {
            group.clone_into(&mut target.group);
        }
        version.clone_into(&mut target.version);
    }
    var
}

fn target_id(var: &Var) -> ResourceId {
    let target = with_defaults(var).object_ref;
    ResourceId {
        gvk: Gvk::new(target.group, target.version, target.kind),
        name: target.name.into(),
        namespace: target.namespace.into(),
        is_cluster_scoped: false,
    }
}

/// Replaces all variables.
pub(crate) fn resolve(
    vars: &VarSet,
    resources: &mut ResMap,
    specs: &[FieldSpec],
    schema: &Schema,
) -> Result<()> {
    if vars.0.is_empty() {
        return Ok(());
    }
    let mut values: BTreeMap<&str, Node> = BTreeMap::new();
    for var in vars.0.values() {
        values.insert(&var.name, read(var, resources)?);
    }
    let walkers = Walker::all(specs, Create::Nothing);
    for resource in resources.list_mut() {
        let gvk = resource.gvk();
        for walker in walkers.iter().filter(|walker| walker.applies_to(&gvk)) {
            let (id, place) = (resource.id(schema), resource.location());
            walker
                .walk(&mut resource.node, || id, &mut |node| update(node, &values))
                .map_err(|error| error.at(place))?;
        }
        crate::shared::settle(resource);
    }
    Ok(())
}

fn read(var: &Var, resources: &ResMap) -> Result<Node> {
    let marked = resources
        .iter()
        .find(|resource| resource.var_names.iter().any(|name| name == var.name.as_str()));
    let Some(resource) = marked else {
        fail!(
            "var '{}' cannot be mapped to a field in the set of known resources",
            describe(var)
        );
    };
    let found = field(&resource.node, &var.field_ref.field_path);
    found.and_then(value_of).ok_or_else(|| {
        Error::other(format!(
            "field specified in var '{}' not found in corresponding resource",
            describe(var)
        ))
        .at(resource.location())
    })
}

/// The value as Go takes it from the text, which is not how YAML reads it: `010` is ten, and `0x10` is no number.
fn value_of(node: &Node) -> Option<Node> {
    let text = node.text().unwrap_or_default();
    match node.tag() {
        _ if !node.is_scalar() => Some(node.clone()),
        Tag::Int => text.parse().ok().map(Node::int),
        // What has no type, and even nothing, is a text.
        Tag::Null | Tag::Unset => Some(Node::string(text)),
        Tag::Float => {
            let is_plain = !text.contains('_') && !text.trim_start_matches(['+', '-']).starts_with(".i");
            (is_plain && !text.eq_ignore_ascii_case(".nan")).then(|| node.clone())
        }
        _ => Some(node.clone()),
    }
}

/// Follows `spec.ports[0].port`.
fn field<'n>(node: &'n Node, path: &str) -> Option<&'n Node> {
    let mut parts = Vec::new();
    for part in replacement_path::split(path) {
        let indexed = part.strip_suffix(']').and_then(|inner| inner.rsplit_once('['));
        match indexed.filter(|(_, index)| index.bytes().all(|byte| byte.is_ascii_digit())) {
            Some((name, index)) if !index.is_empty() => {
                if !name.is_empty() {
                    parts.push(name.to_owned());
                }
                parts.push(index.to_owned());
            }
            _ => parts.push(part),
        }
    }
    replacement_path::get(node, &parts).ok().flatten()
}

type Values<'v> = BTreeMap<&'v str, Node>;

fn update(node: &mut Node, values: &Values<'_>) -> Result<()> {
    if node.is_null() {
        return Ok(());
    }
    match node.kind() {
        Kind::Scalar | Kind::Alias => update_scalar(node, values),
        Kind::Mapping => {
            let Some(entries) = node.as_mapping_mut() else {
                return Ok(());
            };
            for entry in entries.as_mut_slice() {
                if !crate::scalar::is_string(&entry.key) {
                    fail!(
                        "invalid map key: value='{}', tag='{}'",
                        entry.name().unwrap_or_default(),
                        entry.key.tag_name()
                    );
                }
                update_scalar(&mut entry.value, values);
            }
        }
        Kind::Sequence => {
            let Some(items) = node.as_sequence_mut() else {
                return Ok(());
            };
            for item in items.as_mut_slice() {
                if !crate::scalar::is_string(item) {
                    fail!("invalid value type expect a string");
                }
                update_scalar(item, values);
            }
        }
    }
    Ok(())
}

fn update_scalar(node: &mut Node, values: &Values<'_>) {
    if !crate::scalar::is_string(node) {
        return;
    }
    let text = node.text().unwrap_or_default();
    if text.contains('$') {
        let expanded = expand(text, values);
        crate::shared::overwrite(node, expanded);
    } else if node.tag() == Tag::Unset {
        let string = crate::field::string(text);
        crate::shared::overwrite(node, string);
    }
}

fn value<'v>(name: &str, values: &'v Values<'_>) -> Option<&'v Node> {
    values
        .get(name)
        .filter(|value| value.is_scalar() && !value.is_null())
}

/// Replaces `$(NAME)`; a text that is nothing but one reference takes on the type of the value.
fn expand(text: &str, values: &Values<'_>) -> Node {
    let whole = text.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
    if let Some(value) = whole
        .filter(|name| !name.contains(')'))
        .and_then(|name| value(name, values))
    {
        return typed(value);
    }
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (front, tail) = rest.split_at(dollar);
        out.extend(front.bytes());
        let after = tail.get(1..).unwrap_or_default();
        let Some(next) = after.chars().next() else {
            rest = tail;
            break;
        };
        rest = match (next, after.find(')')) {
            ('$', _) => {
                out.push(b'$');
                after.get(1..).unwrap_or_default()
            }
            ('(', Some(end)) => {
                let name = after.get(1..end).unwrap_or_default();
                match value(name, values) {
                    Some(value) => out.extend(plain_text(value).bytes()),
                    None => out.extend(format!("$({name})").bytes()),
                }
                after.get(end + 1..).unwrap_or_default()
            }
            ('(', None) => {
                out.extend(b"$(");
                after.get(1..).unwrap_or_default()
            }
            // Upstream takes a byte for a character, and what is left of that is no text any more.
            (next, _) => {
                out.push(b'$');
                let mut buffer = [0; 4];
                let mut bytes = next.encode_utf8(&mut buffer).bytes();
                let first = bytes.next().map(char::from);
                out.extend(first.into_iter().flat_map(|first| first.to_string().into_bytes()));
                out.extend(bytes);
                after.get(next.len_utf8()..).unwrap_or_default()
            }
        };
    }
    out.extend(rest.bytes());
    match String::from_utf8(out) {
        Ok(text) => crate::field::string(text),
        Err(error) => crate::field::string(crate::generate::broken_base64(error.as_bytes())),
    }
}

fn typed(value: &Node) -> Node {
    let text = value.shared_text().cloned().unwrap_or_default();
    match (value.tag(), Dialect::V3.resolve(&text)) {
        (Tag::Float, Value::Float(float)) => Node::scalar(format_f(float), Tag::Float),
        (Tag::Int | Tag::Bool, _) => Node::scalar(plain_text(value), value.tag()),
        _ => crate::field::string(text),
    }
}

/// The text of a value as Go prints it.
fn plain_text(value: &Node) -> Text {
    let text = value.shared_text().cloned().unwrap_or_default();
    match (value.tag(), Dialect::V3.resolve(&text)) {
        (Tag::Int, Value::Int(number)) => number.to_string().into(),
        (Tag::Int, Value::Uint(number)) => number.to_string().into(),
        (Tag::Float, Value::Float(float)) => format_g(float).into(),
        (Tag::Bool, Value::Bool(value)) => value.to_string().into(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Node {
        let values = BTreeMap::from([("A", Node::string("x")), ("P", Node::int(8080))]);
        expand(text, &values)
    }

    #[test]
    fn references_are_replaced_and_dollars_escaped() {
        for (text, expected) in [
            ("$(A)", "x"),
            ("a-$(A)-$(P)", "a-x-8080"),
            ("$$(A)", "$(A)"),
            ("$(B)", "$(B)"),
            ("$(A", "$(A"),
            ("$x $", "$x $"),
            ("$(A)$(A)", "xx"),
        ] {
            assert_eq!(expanded(text), Node::string(expected), "{text}");
        }
    }

    #[test]
    fn a_whole_reference_keeps_the_type() {
        assert_eq!(expanded("$(P)"), Node::int(8080));
    }
}
