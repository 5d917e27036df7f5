//! Ignore rules: fields whose drift is not undone (F.5).

use std::collections::BTreeMap;

use ferro_gocompat::regexp::Regex;
use serde_json::{Map, Value};

mod selector;

use self::selector::LabelSelector;

/// A rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the target is no regular expression.
    #[error("invalid {field} '{pattern}' in the target of ignore rule {index}: {message}")]
    Pattern {
        /// The place of the rule.
        index: usize,
        /// The field.
        field: &'static str,
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A selector is malformed.
    #[error("invalid {field} '{selector}' in the target of ignore rule {index}")]
    Selector {
        /// The place of the rule.
        index: usize,
        /// The field.
        field: &'static str,
        /// The selector.
        selector: String,
    },
    /// A path is no JSON pointer.
    #[error("invalid path '{path}' of ignore rule {index}: must be a JSON pointer that begins with '/'")]
    Path {
        /// The place of the rule.
        index: usize,
        /// The path.
        path: String,
    },
}

/// To which objects a rule applies. Each part is a regular expression for the whole value, or a label selector;
/// absent parts match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// API group.
    pub group: Option<String>,
    /// API version, without the group.
    pub version: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Selects by labels.
    pub label_selector: Option<String>,
    /// Selects by annotations, in the same language.
    pub annotation_selector: Option<String>,
}

/// A rule as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSpec {
    /// To which objects it applies; absent: to all.
    pub target: Option<Selector>,
    /// The fields, as JSON pointers.
    pub paths: Vec<String>,
}

/// A JSON pointer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a JSON pointer to a field.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?;
        Some(Self(
            tokens
                .split('/')
                .map(|token| token.replace("~1", "/").replace("~0", "~"))
                .collect(),
        ))
    }

    fn resolve<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, token| step(value, token))
    }
}

fn step<'a>(value: &'a Value, token: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(token),
        Value::Array(items) => items.get(index(token)?),
        _ => None,
    }
}

fn step_mut<'a>(value: &'a mut Value, token: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(fields) => fields.get_mut(token),
        Value::Array(items) => items.get_mut(index(token)?),
        _ => None,
    }
}

fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    plain.then(|| token.parse().ok()).flatten()
}

/// Compiled rules, none by default. Rules with the same target add up.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    target: Target,
    paths: Vec<Pointer>,
}

#[derive(Debug, Clone, Default)]
struct Target {
    group: Option<Regex>,
    version: Option<Regex>,
    kind: Option<Regex>,
    namespace: Option<Regex>,
    name: Option<Regex>,
    labels: Option<LabelSelector>,
    annotations: Option<LabelSelector>,
}

impl Rules {
    /// Compiles rules.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn compile(specs: &[RuleSpec]) -> Result<Self, Error> {
        specs
            .iter()
            .enumerate()
            .map(|(index, spec)| Rule::compile(index, spec))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a rule is about this object.
    #[must_use]
    pub fn applies_to(&self, object: &Value) -> bool {
        self.0.iter().any(|rule| rule.target.matches(object))
    }

    /// The fields of this object that are ignored, each once.
    #[must_use]
    pub fn pointers(&self, object: &Value) -> Vec<Pointer> {
        let matching = self.0.iter().filter(|rule| rule.target.matches(object));
        let mut pointers: Vec<Pointer> = matching.flat_map(|rule| rule.paths.iter().cloned()).collect();
        pointers.sort();
        pointers.dedup();
        pointers
    }
}

impl Rule {
    fn compile(index: usize, spec: &RuleSpec) -> Result<Self, Error> {
        let target = match &spec.target {
            Some(target) => Target::compile(index, target)?,
            None => Target::default(),
        };
        let pointer = |path: &String| {
            Pointer::parse(path).ok_or_else(|| Error::Path {
                index,
                path: path.clone(),
            })
        };
        Ok(Self {
            target,
            paths: spec.paths.iter().map(pointer).collect::<Result<_, _>>()?,
        })
    }
}

impl Target {
    fn compile(index: usize, spec: &Selector) -> Result<Self, Error> {
        let pattern = |field: &'static str, pattern: &Option<String>| {
            let given = pattern.as_ref().filter(|pattern| !pattern.is_empty());
            let compile = |pattern: &String| {
                Regex::go_anchored(pattern).map_err(|error| Error::Pattern {
                    index,
                    field,
                    pattern: pattern.clone(),
                    message: error.to_string(),
                })
            };
            given.map(compile).transpose()
        };
        let selector = |field: &'static str, selector: &Option<String>| {
            let given = selector.as_ref().filter(|selector| !selector.trim().is_empty());
            let parse = |selector: &String| {
                LabelSelector::parse(selector).ok_or_else(|| Error::Selector {
                    index,
                    field,
                    selector: selector.clone(),
                })
            };
            given.map(parse).transpose()
        };
        Ok(Self {
            group: pattern("group", &spec.group)?,
            version: pattern("version", &spec.version)?,
            kind: pattern("kind", &spec.kind)?,
            namespace: pattern("namespace", &spec.namespace)?,
            name: pattern("name", &spec.name)?,
            labels: selector("labelSelector", &spec.label_selector)?,
            annotations: selector("annotationSelector", &spec.annotation_selector)?,
        })
    }

    fn matches(&self, object: &Value) -> bool {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let api_version = text("/apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let fits = |pattern: &Option<Regex>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
        };
        let selected = |selector: &Option<LabelSelector>, pointer: &str| {
            selector
                .as_ref()
                .is_none_or(|selector| selector.matches(&strings(object.pointer(pointer))))
        };
        fits(&self.group, group)
            && fits(&self.version, version)
            && fits(&self.kind, text("/kind"))
            && fits(&self.namespace, text("/metadata/namespace"))
            && fits(&self.name, text("/metadata/name"))
            && selected(&self.labels, "/metadata/labels")
            && selected(&self.annotations, "/metadata/annotations")
    }
}

fn strings(map: Option<&Value>) -> BTreeMap<&str, &str> {
    let fields = map.and_then(Value::as_object).into_iter().flatten();
    fields
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect()
}

/// Removes fields, where they are.
pub fn remove(object: &mut Value, pointers: &[Pointer]) {
    // From the last to the first, so that items of a list keep their places until their turn.
    let mut ordered: Vec<&Pointer> = pointers.iter().collect();
    ordered.sort_by(|a, b| by_position(&b.0, &a.0));
    for pointer in ordered {
        remove_one(object, &pointer.0);
    }
}

/// Orders list positions as numbers.
fn by_position(left: &[String], right: &[String]) -> std::cmp::Ordering {
    let order = |(a, b): (&String, &String)| match (index(a), index(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    };
    left.iter()
        .zip(right)
        .map(order)
        .find(|order| order.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn remove_one(object: &mut Value, tokens: &[String]) {
    let Some((last, path)) = tokens.split_last() else {
        return;
    };
    match path
        .iter()
        .try_fold(object, |value, token| step_mut(value, token))
    {
        Some(Value::Object(fields)) => {
            fields.remove(last);
        }
        Some(Value::Array(items)) => {
            if let Some(index) = index(last).filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// Makes an apply leave ignored fields alone, when something else of the object has to change.
///
/// A field that another manager applies is left out; any other one keeps the value that it has. Fields that do not
/// differ stay as they are.
pub fn adjust_payload(
    payload: &mut Value,
    live: &Value,
    dry_run: &Value,
    pointers: &[Pointer],
    manager: &str,
) {
    let mut dropped = Vec::new();
    for pointer in pointers {
        let current = pointer.resolve(live);
        if current == pointer.resolve(dry_run) {
            continue;
        }
        match current {
            Some(_) if !is_applied_by_other(live, &pointer.0, manager) => set(payload, live, &pointer.0),
            _ => dropped.push(pointer.clone()),
        }
    }
    remove(payload, &dropped);
}

/// Gives a field the value that it has in `live`, making the maps that lead to it. A list must be there already: alone, its
/// item would stand for the whole of it.
fn set(object: &mut Value, live: &Value, tokens: &[String]) {
    let Some((token, rest)) = tokens.split_first() else {
        *object = live.clone();
        return;
    };
    let Some(live) = step(live, token) else { return };
    match object {
        Value::Object(fields) => {
            let missing = fields.get(token).is_none_or(Value::is_null);
            if missing && !rest.is_empty() {
                if !live.is_object() {
                    return;
                }
                fields.insert(token.clone(), Value::Object(Map::new()));
            }
            set(fields.entry(token.clone()).or_insert(Value::Null), live, rest);
        }
        Value::Array(items) => {
            if let Some(item) = index(token).and_then(|index| items.get_mut(index)) {
                set(item, live, rest);
            }
        }
        _ => {}
    }
}

/// Whether a manager other than `manager` has applied the field.
fn is_applied_by_other(live: &Value, tokens: &[String], manager: &str) -> bool {
    let entries = live
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    entries
        .filter(|entry| {
            entry.get("operation").and_then(Value::as_str) == Some("Apply")
                && entry.get("manager").and_then(Value::as_str) != Some(manager)
        })
        .filter_map(|entry| entry.get("fieldsV1"))
        .any(|fields| owns(fields, live, tokens))
}

/// Follows a pointer through a `fieldsV1` tree, beside the value that the tree describes.
fn owns(fields: &Value, value: &Value, tokens: &[String]) -> bool {
    let Some((token, rest)) = tokens.split_first() else {
        return true;
    };
    let Some(fields) = fields.as_object() else {
        return false;
    };
    let Some(below) = step(value, token) else {
        return false;
    };
    let mut found = fields.iter().filter(|(key, _)| names(key, value, token, below));
    found.any(|(_, child)| {
        // What has no children is owned as a whole.
        child.as_object().is_some_and(Map::is_empty) || owns(child, below, rest)
    })
}

/// Whether an element of a `fieldsV1` path stands for the step from `parent` to `child`.
fn names(element: &str, parent: &Value, token: &str, child: &Value) -> bool {
    let Some((kind, rest)) = element.split_once(':') else {
        return false;
    };
    match kind {
        "f" => parent.is_object() && rest == token,
        "k" => {
            let keys: Option<Map<String, Value>> = serde_json::from_str(rest).ok();
            parent.is_array()
                && keys.is_some_and(|keys| keys.iter().all(|(key, wanted)| child.get(key) == Some(wanted)))
        }
        "v" => parent.is_array() && serde_json::from_str::<Value>(rest).is_ok_and(|wanted| *child == wanted),
        "i" => parent.is_array() && rest == token,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
