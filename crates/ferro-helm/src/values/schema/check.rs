//! Looking a schema through before it is used: references, expressions, the form of keywords.

use std::collections::BTreeSet;

use ferro_gocompat::quote::quote;
use ferro_gocompat::regexp::Regex;
use serde_json::{Map, Value as Json};

use super::document::{Document, Draft, Node, Target};

/// Checks all that can be reached; returns the names that were let pass.
pub(super) fn check(document: &Document<'_>) -> Result<Vec<String>, String> {
    let mut checker = Checker {
        document,
        seen: BTreeSet::new(),
        pending: Vec::new(),
        unresolved: Vec::new(),
    };
    checker.pending.extend(document.root().map(|root| (root, true)));
    while let Some((node, is_used)) = checker.pending.pop() {
        if checker.seen.insert((address(node), is_used)) {
            checker.node(node, is_used)?;
        }
    }
    Ok(checker.unresolved)
}

fn address(node: Node<'_>) -> usize {
    std::ptr::from_ref(node.schema).addr()
}

/// The keywords that refer to schemas, with the drafts since which they do.
const REFERENCES: [(&str, Draft); 3] = [
    ("$ref", Draft::V4),
    ("$recursiveRef", Draft::V2019),
    ("$dynamicRef", Draft::V2020),
];

struct Checker<'d, 's> {
    document: &'d Document<'s>,
    seen: BTreeSet<(usize, bool)>,
    /// Schemas, with whether values are ever checked against them. References of the others lead nowhere,
    /// which does no harm.
    pending: Vec<(Node<'s>, bool)>,
    unresolved: Vec<String>,
}

impl<'s> Checker<'_, 's> {
    fn node(&mut self, node: Node<'s>, is_used: bool) -> Result<(), String> {
        let object = match node.schema {
            Json::Object(object) => object,
            Json::Bool(_) => return Ok(()),
            _ => return Err(invalid("a schema must be an object or a boolean")),
        };
        let draft = self.document.draft(node);
        for (keyword, since) in REFERENCES.iter().filter(|_| is_used) {
            if draft >= *since
                && let Some(reference) = object.get(*keyword).and_then(Json::as_str)
            {
                self.reference(node, reference)?;
            }
        }
        if is_used {
            self.resource(node);
        }
        check_forms(object, draft)?;
        for keyword in draft.subschema_keywords() {
            // The last draft has no such keyword, but resources below it are known.
            let is_unknown = keyword == "additionalItems" && draft >= Draft::V2020;
            if let Some(value) = object.get(keyword).filter(|_| !is_unknown) {
                let is_used = is_used && is_applied(object, keyword, draft);
                self.subschemas(node, is_used, keyword, value)?;
            }
        }
        Ok(())
    }

    /// With a schema upstream prepares the resource that it is in, and what can be referred to dynamically there.
    fn resource(&mut self, node: Node<'s>) {
        let Some(resource) = self.document.resource(node) else {
            return;
        };
        let inner = |schema| (Node { schema, ..node }, true);
        if std::ptr::eq(resource.root, node.schema) {
            self.pending
                .extend(resource.dynamic_anchors.values().copied().map(inner));
        } else {
            self.pending.push(inner(resource.root));
        }
    }

    fn reference(&mut self, node: Node<'s>, reference: &str) -> Result<(), String> {
        match self.document.resolve(node, reference)? {
            Target::Schema(target) => self.pending.push((target, true)),
            Target::Anything(urn) => self.unresolved.extend(urn),
        }
        Ok(())
    }

    fn subschemas(
        &mut self,
        node: Node<'s>,
        is_used: bool,
        keyword: &str,
        value: &'s Json,
    ) -> Result<(), String> {
        let draft = self.document.draft(node);
        let may_be_boolean =
            draft > Draft::V4 || matches!(keyword, "additionalItems" | "additionalProperties");
        let mut push = |schema: &'s Json| {
            if schema.is_boolean() && !may_be_boolean {
                return Err(invalid(&format!("{keyword} has a boolean for a schema")));
            }
            self.pending.push((self.document.inner(node, schema), is_used));
            Ok(())
        };
        let wants_object = matches!(
            keyword,
            "definitions"
                | "$defs"
                | "properties"
                | "patternProperties"
                | "dependencies"
                | "dependentSchemas"
        );
        let wants_list = matches!(keyword, "allOf" | "anyOf" | "oneOf" | "prefixItems");
        match value {
            Json::Object(inner) if wants_object => {
                for (name, schema) in inner {
                    if keyword == "patternProperties" {
                        regex(name)?;
                    }
                    if !(keyword == "dependencies" && schema.is_array()) {
                        push(schema)?;
                    }
                }
            }
            Json::Array(items) if wants_list || keyword == "items" => items.iter().try_for_each(push)?,
            _ if wants_object => return Err(invalid(&format!("{keyword} must be an object"))),
            _ if wants_list => return Err(invalid(&format!("{keyword} must be an array"))),
            other => push(other)?,
        }
        Ok(())
    }
}

/// Tells whether the schemas behind a keyword are ever checked against a value.
fn is_applied(object: &Map<String, Json>, keyword: &str, draft: Draft) -> bool {
    // Older drafts ignore what stands beside a reference; upstream looks at what came after draft 4 all the same.
    let is_new = matches!(keyword, "contains" | "propertyNames" | "if" | "then" | "else");
    if draft < Draft::V2019 && !is_new && object.get("$ref").is_some_and(Json::is_string) {
        return false;
    }
    match keyword {
        "definitions" | "$defs" => false,
        "then" => object.get("if").is_some_and(|it| *it != Json::Bool(false)),
        "else" => object.get("if").is_some_and(|it| *it != Json::Bool(true)),
        "additionalItems" => object.get("items").is_some_and(Json::is_array),
        _ => true,
    }
}

fn check_forms(object: &Map<String, Json>, draft: Draft) -> Result<(), String> {
    for (keyword, value) in object {
        let is_well_formed = match keyword.as_str() {
            "type" => match value {
                Json::String(name) => is_type(name),
                Json::Array(names) => names.iter().all(|name| name.as_str().is_some_and(is_type)),
                _ => false,
            },
            "pattern" => {
                regex(
                    value
                        .as_str()
                        .ok_or_else(|| invalid("pattern must be a string"))?,
                )?;
                true
            }
            "required" => value
                .as_array()
                .is_some_and(|names| names.iter().all(Json::is_string)),
            "enum" => value.is_array(),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
            | "minContains" | "maxContains" => value.as_f64().is_some_and(|value| value >= 0.0),
            "exclusiveMinimum" if draft == Draft::V4 => value.is_boolean() && object.contains_key("minimum"),
            "exclusiveMaximum" if draft == Draft::V4 => value.is_boolean() && object.contains_key("maximum"),
            "minimum" | "maximum" | "multipleOf" | "exclusiveMinimum" | "exclusiveMaximum" => {
                value.is_number()
            }
            "uniqueItems" => value.is_boolean(),
            "format" | "title" | "description" | "$ref" => value.is_string(),
            "items" => draft < Draft::V2020 || !value.is_array(),
            _ => true,
        };
        if !is_well_formed {
            return Err(invalid(&format!("{keyword} has a value of the wrong form")));
        }
    }
    Ok(())
}

fn is_type(name: &str) -> bool {
    [
        "null", "boolean", "number", "integer", "string", "array", "object",
    ]
    .contains(&name)
}

fn regex(pattern: &str) -> Result<(), String> {
    Regex::go(pattern).map(drop).map_err(|error| {
        invalid(&format!(
            "{} is not valid regex: {error}",
            super::failure::quote(pattern)
        ))
    })
}

fn invalid(problem: &str) -> String {
    let url = quote("file:///values.schema.json#");
    format!("{url} is not valid against metaschema: {problem}")
}
