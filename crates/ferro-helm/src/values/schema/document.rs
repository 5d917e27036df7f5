//! A schema document: its resources, anchors and what references lead to.

use std::collections::BTreeMap;

use ferro_gocompat::quote::quote;
use serde_json::{Map, Value as Json};

/// The address that Helm gives every schema.
pub(super) const URL: &str = "file:///values.schema.json";
/// How deep schemas may be nested.
const MAX_DEPTH: usize = 200;

/// A version of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    V4,
    V6,
    V7,
    V2019,
    V2020,
}

impl Draft {
    pub(super) fn of_url(url: &str) -> Option<Self> {
        let url = url.strip_suffix('#').unwrap_or(url);
        let path = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"))?;
        Some(match path {
            "json-schema.org/schema" | "json-schema.org/draft/2020-12/schema" => Self::V2020,
            "json-schema.org/draft/2019-09/schema" => Self::V2019,
            "json-schema.org/draft-07/schema" => Self::V7,
            "json-schema.org/draft-06/schema" => Self::V6,
            "json-schema.org/draft-04/schema" => Self::V4,
            _ => return None,
        })
    }

    fn id_keyword(self) -> &'static str {
        if self == Self::V4 { "id" } else { "$id" }
    }

    /// The keywords whose value is a schema, a list of them, or an object of them.
    pub(super) fn subschema_keywords(self) -> impl Iterator<Item = &'static str> {
        const V4: &[&str] = &[
            "additionalItems",
            "additionalProperties",
            "allOf",
            "anyOf",
            "definitions",
            "dependencies",
            "items",
            "not",
            "oneOf",
            "patternProperties",
            "properties",
        ];
        const V6: &[&str] = &["contains", "propertyNames"];
        const V7: &[&str] = &["else", "if", "then"];
        const V2019: &[&str] = &[
            "$defs",
            "dependentSchemas",
            "unevaluatedItems",
            "unevaluatedProperties",
        ];
        const V2020: &[&str] = &["prefixItems"];
        [
            (Self::V4, V4),
            (Self::V6, V6),
            (Self::V7, V7),
            (Self::V2019, V2019),
            (Self::V2020, V2020),
        ]
        .into_iter()
        .filter(move |(since, _)| *since <= self)
        .flat_map(|(_, keywords)| keywords.iter().copied())
    }
}

/// A part of a document with an address and rules of its own.
pub(super) struct Resource<'s> {
    pub(super) url: String,
    pub(super) root: &'s Json,
    pub(super) draft: Draft,
    pub(super) anchors: BTreeMap<String, &'s Json>,
    pub(super) dynamic_anchors: BTreeMap<String, &'s Json>,
    pub(super) has_recursive_anchor: bool,
}

/// A schema in its resource.
#[derive(Clone, Copy)]
pub(super) struct Node<'s> {
    pub(super) schema: &'s Json,
    pub(super) resource: usize,
}

/// What a reference leads to.
pub(super) enum Target<'s> {
    Schema(Node<'s>),
    /// Nothing that is known, but all is allowed.
    Anything(Option<String>),
}

/// A schema with an index of its resources.
pub(super) struct Document<'s> {
    pub(super) resources: Vec<Resource<'s>>,
    by_address: BTreeMap<usize, usize>,
    asserts_formats: bool,
}

fn address(schema: &Json) -> usize {
    std::ptr::from_ref(schema).addr()
}

impl<'s> Document<'s> {
    pub(super) fn new(root: &'s Json) -> Result<Self, String> {
        let mut document = Self {
            resources: Vec::new(),
            by_address: BTreeMap::new(),
            asserts_formats: false,
        };
        document.collect(root, None, 0)?;
        Ok(document)
    }

    /// The same, asserting formats in all drafts: upstream does so in the schemas of the drafts.
    pub(super) fn asserting_formats(self) -> Self {
        Self {
            asserts_formats: true,
            ..self
        }
    }

    /// Whether `format` is asserted or just tells.
    pub(super) fn asserts_formats(&self, draft: Draft) -> bool {
        self.asserts_formats || draft < Draft::V2019
    }

    pub(super) fn root(&self) -> Option<Node<'s>> {
        let schema = self.resources.first()?.root;
        Some(Node { schema, resource: 0 })
    }

    pub(super) fn resource(&self, node: Node<'s>) -> Option<&Resource<'s>> {
        self.resources.get(node.resource)
    }

    pub(super) fn draft(&self, node: Node<'s>) -> Draft {
        self.resource(node)
            .map_or(Draft::V2020, |resource| resource.draft)
    }

    /// A subschema of a schema.
    pub(super) fn inner(&self, node: Node<'s>, schema: &'s Json) -> Node<'s> {
        let resource = self.by_address.get(&address(schema)).copied();
        Node {
            schema,
            resource: resource.unwrap_or(node.resource),
        }
    }

    fn collect(&mut self, schema: &'s Json, parent: Option<usize>, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("schema is nested more than {MAX_DEPTH} levels deep"));
        }
        let Json::Object(object) = schema else {
            if parent.is_none() {
                self.add_resource(schema, URL.to_owned(), Draft::V2020);
            }
            return Ok(());
        };
        let inherited = parent.and_then(|parent| self.resources.get(parent));
        let fallback = inherited.map_or(Draft::V2020, |resource| resource.draft);
        let own_draft = draft_of(object)?.unwrap_or(fallback);
        let id = id_of(object, own_draft).or_else(|| id_of(object, fallback).filter(|_| parent.is_some()));
        let resource = match (parent, &id) {
            (Some(parent), None) => parent,
            _ => {
                let base = inherited.map_or(URL, |resource| resource.url.as_str());
                let url = id.map_or_else(|| base.to_owned(), |id| join(base, id));
                self.add_resource(schema, url, own_draft)
            }
        };
        let draft = self
            .resources
            .get(resource)
            .map_or(own_draft, |resource| resource.draft);
        self.add_anchors(object, schema, resource, draft);
        for keyword in draft.subschema_keywords() {
            match object.get(keyword) {
                Some(Json::Array(items)) => {
                    items
                        .iter()
                        .try_for_each(|item| self.collect(item, Some(resource), depth + 1))?;
                }
                Some(Json::Object(inner)) if is_map_of_schemas(keyword) => {
                    inner
                        .values()
                        .try_for_each(|item| self.collect(item, Some(resource), depth + 1))?;
                }
                Some(item @ Json::Object(_)) => self.collect(item, Some(resource), depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn add_resource(&mut self, root: &'s Json, url: String, draft: Draft) -> usize {
        let index = self.resources.len();
        self.by_address.insert(address(root), index);
        self.resources.push(Resource {
            url,
            root,
            draft,
            anchors: BTreeMap::new(),
            dynamic_anchors: BTreeMap::new(),
            has_recursive_anchor: root.get("$recursiveAnchor") == Some(&Json::Bool(true)),
        });
        index
    }

    fn add_anchors(&mut self, object: &Map<String, Json>, schema: &'s Json, resource: usize, draft: Draft) {
        let Some(resource) = self.resources.get_mut(resource) else {
            return;
        };
        let text = |keyword| object.get(keyword).and_then(Json::as_str);
        if draft < Draft::V2019 {
            let anchor = text(draft.id_keyword()).and_then(|id| id.split_once('#'));
            if let Some((_, anchor)) = anchor.filter(|_| !object.contains_key("$ref")) {
                resource.anchors.insert(anchor.to_owned(), schema);
            }
            return;
        }
        if let Some(anchor) = text("$anchor") {
            resource.anchors.insert(anchor.to_owned(), schema);
        }
        if let Some(anchor) = text("$dynamicAnchor").filter(|_| draft >= Draft::V2020) {
            resource.anchors.insert(anchor.to_owned(), schema);
            resource.dynamic_anchors.insert(anchor.to_owned(), schema);
        }
    }

    /// Follows a reference; the error is upstream's.
    pub(super) fn resolve(&self, node: Node<'s>, reference: &str) -> Result<Target<'s>, String> {
        let base = self.resource(node).map_or(URL, |resource| resource.url.as_str());
        let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let url = if path.is_empty() {
            base.to_owned()
        } else {
            join(base, path)
        };
        let found = if url == URL {
            Some(0)
        } else {
            self.resources.iter().position(|resource| resource.url == url)
        };
        let Some(resource) = found else {
            return elsewhere(&url);
        };
        let Some(target) = self.resources.get(resource) else {
            return Err(format!("failing loading {}", quote(&url)));
        };
        let fragment = percent_decoded(fragment);
        let schema = if fragment.is_empty() {
            target.root
        } else if let Some(pointer) = fragment.strip_prefix('/') {
            target.root.pointer(&format!("/{pointer}")).ok_or_else(|| {
                format!(
                    "json-pointer in {} not found",
                    quote(&format!("{url}#{fragment}"))
                )
            })?
        } else {
            let anchor = target.anchors.get(&fragment);
            anchor.copied().ok_or_else(|| {
                let reference = quote(&format!("{url}#{fragment}"));
                format!("anchor in {reference} not found in schema {}", quote(URL))
            })?
        };
        let node = Node { schema, resource };
        Ok(Target::Schema(self.inner(node, schema)))
    }
}

pub(super) fn is_map_of_schemas(keyword: &str) -> bool {
    matches!(
        keyword,
        "definitions" | "$defs" | "properties" | "patternProperties" | "dependencies" | "dependentSchemas"
    )
}

fn draft_of(object: &Map<String, Json>) -> Result<Option<Draft>, String> {
    let Some(url) = object.get("$schema").and_then(Json::as_str) else {
        return Ok(None);
    };
    match Draft::of_url(url) {
        Some(draft) => Ok(Some(draft)),
        None => {
            let url = url.split('#').next().unwrap_or(url);
            elsewhere(url).map(|_| None)
        }
    }
}

fn id_of(object: &Map<String, Json>, draft: Draft) -> Option<&str> {
    if draft < Draft::V2019 && object.contains_key("$ref") {
        return None;
    }
    let id = object.get(draft.id_keyword())?.as_str()?;
    id.split('#').next().filter(|id| !id.is_empty())
}

/// What is in no document at hand: upstream knows the schemas of schemas, lets names pass, and loads files
/// and pages, which is refused here.
fn elsewhere<'s>(url: &str) -> Result<Target<'s>, String> {
    if Draft::of_url(url).is_some() {
        return Ok(Target::Anything(None));
    }
    let (scheme, path) = url.split_once(':').unwrap_or(("", url));
    let reason = match scheme {
        "urn" => return Ok(Target::Anything(Some(url.to_owned()))),
        "file" => format!(
            "open {}: no such file or directory",
            path.trim_start_matches("//")
        ),
        "http" | "https" => "remote schemas are not loaded".to_owned(),
        _ => format!("no URLLoader registered for {}", quote(url)),
    };
    Err(format!("failing loading {}: {reason}", quote(url)))
}

/// Resolves a reference against an address.
fn join(base: &str, reference: &str) -> String {
    let has_scheme = reference
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()));
    if has_scheme {
        return reference.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("file", base));
    let (host, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if let Some(rest) = reference.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    let path = if reference.starts_with('/') {
        reference.to_owned()
    } else {
        let folder = path
            .rfind('/')
            .and_then(|slash| path.get(..=slash))
            .unwrap_or("/");
        format!("{folder}{reference}")
    };
    format!("{scheme}://{host}{}", ferro_gocompat::path::clean(&path))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let decoded = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
