//! Looking a schema through before it is used: its form, references, expressions.

use std::collections::BTreeSet;

use ferro_gocompat::quote::quote;
use ferro_gocompat::regexp::Regex;
use serde_json::{Map, Value as Json};

use super::document::{Document, Draft, Node, Target, URL, is_map_of_schemas};
use super::meta;

/// Checks all that can be reached; returns the names that were let pass.
pub(super) fn check(document: &Document<'_>) -> Result<Vec<String>, String> {
    let mut checker = Checker {
        document,
        seen: BTreeSet::new(),
        pending: Vec::new(),
        unresolved: Vec::new(),
    };
    if let Some(root) = document.root() {
        meta::check(root.schema, document.draft(root), &format!("{URL}#"))?;
        checker.pending.push((root, true));
    }
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
        let Json::Object(object) = node.schema else {
            return Ok(());
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
        // The schemas of later drafts see to that.
        if draft < Draft::V7
            && let Some(Json::Object(inner)) = object.get("patternProperties")
        {
            inner.keys().try_for_each(|name| regex(name))?;
        }
        for keyword in draft.subschema_keywords() {
            // The last draft has no such keyword, but resources below it are known.
            let is_unknown = keyword == "additionalItems" && draft >= Draft::V2020;
            if let Some(value) = object.get(keyword).filter(|_| !is_unknown) {
                let is_used = is_used && is_applied(object, keyword, draft);
                self.subschemas(node, is_used, keyword, value);
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
            Target::Schema(target) => {
                let draft = self.document.draft(target);
                // What is not in the place of a schema has not been looked at with the whole.
                if let Some((_, fragment)) = reference.split_once('#')
                    && fragment.starts_with('/')
                    && !leads_to_schema(fragment, draft)
                {
                    meta::check(target.schema, draft, &format!("{URL}#{fragment}"))?;
                }
                self.pending.push((target, true));
            }
            Target::Anything(urn) => self.unresolved.extend(urn),
        }
        Ok(())
    }

    fn subschemas(&mut self, node: Node<'s>, is_used: bool, keyword: &str, value: &'s Json) {
        let inner = |schema| (self.document.inner(node, schema), is_used);
        match value {
            Json::Object(schemas) if is_map_of_schemas(keyword) => {
                // A dependency may be a list of names.
                let schemas = schemas.values().filter(|schema| !schema.is_array());
                self.pending.extend(schemas.map(inner));
            }
            Json::Array(schemas) => self.pending.extend(schemas.iter().map(inner)),
            schema => self.pending.push(inner(schema)),
        }
    }
}

/// Tells whether a pointer leads from a schema to one, step by step.
fn leads_to_schema(pointer: &str, draft: Draft) -> bool {
    let mut steps = pointer.split('/').skip(1).peekable();
    while let Some(keyword) = steps.next() {
        if !draft.subschema_keywords().any(|known| known == keyword) {
            return false;
        }
        let is_list = matches!(keyword, "allOf" | "anyOf" | "oneOf" | "prefixItems");
        let is_index = steps
            .peek()
            .is_some_and(|step| step.bytes().all(|byte| byte.is_ascii_digit()));
        let has_name = is_list || is_map_of_schemas(keyword) || (keyword == "items" && is_index);
        if has_name && steps.next().is_none() {
            return false;
        }
    }
    true
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

fn regex(pattern: &str) -> Result<(), String> {
    Regex::go(pattern).map(drop).map_err(|error| {
        format!(
            "invalid regex {} at {}: {error}",
            quote(pattern),
            quote(&format!("{URL}#"))
        )
    })
}
