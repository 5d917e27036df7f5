//! YAML decoded into Go structs, the way `sigs.k8s.io/yaml` and `encoding/json` do it together.
//!
//! Field names match without regard to case, scalars become strings where a string is wanted, and of several
//! mismatches the first one (keys in order) is the error.

use ferro_gocompat::number::format_g32;
use ferro_yaml::{Dialect, Node, ParseOptions, Value, parse_one, sigs};
use serde_json::{Map, Value as Json};

/// A YAML document on its way into a struct.
pub(crate) struct Source<'s> {
    /// The document as JSON.
    pub(crate) json: Json,
    bytes: &'s [u8],
}

impl<'s> Source<'s> {
    /// Parses the first document of a text.
    pub(crate) fn parse(bytes: &'s [u8]) -> Result<Self, String> {
        let json =
            sigs::from_slice(bytes).map_err(|error| format!("error converting YAML to JSON: {error}"))?;
        Ok(Self::new(json, bytes))
    }

    /// Takes a document that was parsed before.
    pub(crate) fn new(json: Json, bytes: &'s [u8]) -> Self {
        Self { json, bytes }
    }

    /// The floating-point number behind an integral one, which sigs prints differently in a string.
    fn float_at(&self, path: &[Step<'_>]) -> Option<f64> {
        let options = ParseOptions {
            dialect: Dialect::V2,
            ..ParseOptions::default()
        };
        let root = parse_one(self.bytes, &options).ok()?;
        let node = path.iter().try_fold(&root, |node: &Node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Index(index) => node.items().get(*index),
        })?;
        match Dialect::V2.resolve(node.text()?) {
            Value::Float(value) => Some(value),
            _ => None,
        }
    }
}

/// A step on the way to a value.
#[derive(Clone, Copy)]
enum Step<'k> {
    Key(&'k str),
    Index(usize),
}

/// The full text of an error of decoding.
pub(crate) fn decode_error(problem: &str) -> String {
    format!("error unmarshaling JSON: while decoding JSON: {problem}")
}

/// Fills a struct field by field and remembers the first mismatch.
pub(crate) struct Decoder<'s> {
    source: &'s Source<'s>,
    path: Vec<Step<'s>>,
    /// The names of the fields that lead to the value, and the innermost struct.
    fields: Vec<&'static str>,
    owner: &'static str,
    problem: Option<String>,
}

impl<'s> Decoder<'s> {
    pub(crate) fn new(source: &'s Source<'s>) -> Self {
        Self {
            source,
            path: Vec::new(),
            fields: Vec::new(),
            owner: "",
            problem: None,
        }
    }

    /// The first mismatch, if there was one.
    pub(crate) fn finish(self) -> Result<(), String> {
        self.problem.map_or(Ok(()), |problem| Err(decode_error(&problem)))
    }

    /// Notes any other problem.
    pub(crate) fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    fn mismatch(&mut self, value: &Json, wanted: &str) {
        let found = match value {
            Json::Null => return,
            Json::Bool(_) => "bool",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        };
        let place = if self.fields.is_empty() {
            "value".to_owned()
        } else {
            format!("struct field {}.{}", self.owner, self.fields.join("."))
        };
        self.fail(format!(
            "json: cannot unmarshal {found} into Go {place} of type {wanted}"
        ));
    }

    /// Decodes an object into the struct `name` (`go_type` in full), whose fields are `known`.
    pub(crate) fn object(
        &mut self,
        value: &'s Json,
        (name, go_type): (&'static str, &str),
        known: &[&'static str],
        mut field: impl FnMut(&mut Self, &'static str, &'s Json),
    ) {
        let Json::Object(object) = value else {
            return self.mismatch(value, go_type);
        };
        let outer = std::mem::replace(&mut self.owner, name);
        for (key, value) in object {
            let exact = known.iter().find(|field| *field == key);
            let folded = || known.iter().find(|field| field.eq_ignore_ascii_case(key));
            if let Some(found) = exact.or_else(folded) {
                self.owner = name;
                self.fields.push(found);
                self.path.push(Step::Key(key));
                field(self, found, value);
                self.path.pop();
                self.fields.pop();
            }
        }
        self.owner = outer;
    }

    pub(crate) fn string(&mut self, target: &mut String, value: &'s Json) {
        match value {
            Json::Null => {}
            Json::String(text) => target.clone_from(text),
            Json::Bool(value) => *target = value.to_string(),
            Json::Number(number) => *target = self.number_text(number),
            Json::Array(_) | Json::Object(_) => self.mismatch(value, "string"),
        }
    }

    fn number_text(&self, number: &serde_json::Number) -> String {
        // Below this all forms of an integral number look the same.
        let is_small = number.as_i64().is_some_and(|value| value.abs() < 1_000_000);
        if number.is_f64() {
            return format_g32(number.as_f64().unwrap_or_default());
        }
        let float = if is_small {
            None
        } else {
            self.source.float_at(&self.path)
        };
        float.map_or_else(|| number.to_string(), format_g32)
    }

    pub(crate) fn bool(&mut self, target: &mut bool, value: &Json) {
        match value {
            Json::Bool(value) => *target = *value,
            other => self.mismatch(other, "bool"),
        }
    }

    /// Decodes a list into the elements that are there already, as Go does.
    pub(crate) fn list<T: Default>(
        &mut self,
        target: &mut Vec<T>,
        value: &'s Json,
        go_type: &str,
        mut element: impl FnMut(&mut Self, &mut T, &'s Json),
    ) {
        let Json::Array(items) = value else {
            if value.is_null() {
                target.clear();
            }
            return self.mismatch(value, go_type);
        };
        target.truncate(items.len());
        target.resize_with(items.len(), T::default);
        for (index, (slot, item)) in target.iter_mut().zip(items).enumerate() {
            self.path.push(Step::Index(index));
            element(self, slot, item);
            self.path.pop();
        }
    }

    pub(crate) fn strings(&mut self, target: &mut Vec<String>, value: &'s Json) {
        self.list(target, value, "[]string", |decoder, slot, item| {
            decoder.string(slot, item);
        });
    }

    /// Decodes into a `map[string]string`.
    pub(crate) fn string_map(
        &mut self,
        target: &mut Option<std::collections::BTreeMap<String, String>>,
        value: &'s Json,
    ) {
        let object: &Map<String, Json> = match value {
            Json::Null => return *target = None,
            Json::Object(object) => object,
            other => return self.mismatch(other, "map[string]string"),
        };
        let map = target.get_or_insert_default();
        for (key, value) in object {
            let mut text = String::new();
            self.path.push(Step::Key(key));
            self.string(&mut text, value);
            self.path.pop();
            map.insert(key.clone(), text);
        }
    }
}
