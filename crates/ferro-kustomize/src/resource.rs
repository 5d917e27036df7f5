//! One Kubernetes object and what a build remembers of it.

use std::sync::Arc;

use ferro_yaml::{Node, Text};

use crate::error::{Location, Result};
use crate::field;
use crate::id::{Gvk, NOT_NAMESPACEABLE, ResourceId};
use crate::scalar::{is_nil_or_empty, mapping_at};
use crate::schema::Schema;
use crate::shared::Shared;

pub(crate) const ORIGIN: &str = "config.kubernetes.io/origin";
pub(crate) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";
const INTERNAL: &str = "internal.config.kubernetes.io/";
const ENABLED: &str = "enabled";

/// A name that a resource had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PreviousId {
    pub(crate) name: Text,
    /// The effective namespace.
    pub(crate) namespace: Text,
    pub(crate) kind: Text,
}

/// What happens when a generated object meets one that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behavior {
    #[default]
    Unspecified,
    Create,
    Replace,
    Merge,
}

impl Behavior {
    /// Reads the word of a configuration; one that is not known means nothing in particular.
    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "create" => Self::Create,
            "replace" => Self::Replace,
            "merge" => Self::Merge,
            _ => Self::Unspecified,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Merge => "merge",
        }
    }
}

/// The bookkeeping that upstream keeps in annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Former identities, oldest first.
    pub(crate) history: Vec<PreviousId>,
    pub(crate) prefixes: Vec<Text>,
    pub(crate) suffixes: Vec<Text>,
    pub(crate) behavior: Option<Behavior>,
    pub(crate) needs_hash: bool,
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
    pub(crate) is_helm_generated: bool,
}

/// Where a resource was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    pub(crate) document: u32,
    /// Lines of the file before the document.
    pub(crate) line_offset: u32,
}

/// One Kubernetes object of a build.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(crate) node: Node,
    pub(crate) record: Record,
    /// Variables that read from this resource.
    pub(crate) var_names: Vec<Text>,
    /// Labels and annotations that stand in several places and are one.
    pub(crate) shared: Shared,
    pub(crate) source: Option<Source>,
    /// How often something was put where no output shows it: below a null.
    pub(crate) unseen_changes: usize,
    /// Whether the annotations were put below a null, where messages do not show them until they are written anew.
    hides_annotations: bool,
}

/// The text of a field of the metadata, where a null is none.
fn field(node: &Node, key: &str) -> Text {
    node.get(key)
        .filter(|value| !value.is_null())
        .and_then(Node::shared_text)
        .cloned()
        .unwrap_or_default()
}

impl Resource {
    /// Takes an object; bookkeeping that stands in its annotations is taken out of them.
    pub(crate) fn new(node: Node) -> Self {
        let mut resource = Self {
            node,
            record: Record::default(),
            var_names: Vec::new(),
            shared: Shared::new(),
            source: None,
            unseen_changes: 0,
            hides_annotations: false,
        };
        resource.absorb_record();
        resource
    }

    /// Returns the object.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Takes the object out.
    pub fn into_node(self) -> Node {
        self.node
    }

    /// Returns `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.node
            .get("apiVersion")
            .and_then(Node::text)
            .unwrap_or_default()
    }

    /// Returns `kind`.
    pub fn kind(&self) -> &str {
        self.node.get("kind").and_then(Node::text).unwrap_or_default()
    }

    /// Returns `metadata.name`.
    pub fn name(&self) -> &str {
        self.node
            .lookup(["metadata", "name"])
            .filter(|value| !value.is_null())
            .and_then(Node::text)
            .unwrap_or_default()
    }

    /// Returns `metadata.namespace`, blank without one.
    pub fn namespace(&self) -> &str {
        self.node
            .lookup(["metadata", "namespace"])
            .filter(|value| !value.is_null())
            .and_then(Node::text)
            .unwrap_or_default()
    }

    /// Returns group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk::of(&self.node)
    }

    /// Returns the value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.node
            .lookup(["metadata", "annotations", key])
            .map(|value| value.text().unwrap_or_default())
    }

    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.node
            .lookup(["metadata", "labels", key])
            .map(|value| value.text().unwrap_or_default())
    }

    /// Returns the file, document and line that the resource was read from.
    pub fn location(&self) -> Option<Location> {
        let source = self.source.as_ref()?;
        let line = self.node.position().line;
        let line = if line == 0 { 0 } else { line + source.line_offset };
        Some(Location {
            file: Arc::clone(&source.file),
            document: source.document,
            line,
        })
    }

    /// Writes the object as kustomize does.
    pub fn to_yaml(&self) -> Result<String> {
        crate::emit::resource(self)
    }

    pub(crate) fn id(&self, schema: &Schema) -> ResourceId {
        let gvk = self.gvk();
        let metadata = self.node.get("metadata");
        ResourceId {
            is_cluster_scoped: schema.is_cluster_scoped(&gvk),
            gvk,
            name: metadata
                .map(|metadata| field(metadata, "name"))
                .unwrap_or_default(),
            namespace: metadata
                .map(|metadata| field(metadata, "namespace"))
                .unwrap_or_default(),
        }
    }

    /// Returns the identity that an entry of the history stands for.
    fn previous_id(&self, previous: &PreviousId) -> ResourceId {
        ResourceId {
            // The namespace is the effective one, which says it all.
            is_cluster_scoped: previous.namespace == NOT_NAMESPACEABLE,
            gvk: Gvk {
                kind: previous.kind.clone(),
                ..self.gvk()
            },
            name: previous.name.clone(),
            namespace: previous.namespace.clone(),
        }
    }

    /// Returns the identities that the resource had, oldest first.
    pub(crate) fn previous_ids(&self) -> impl Iterator<Item = ResourceId> + '_ {
        self.record
            .history
            .iter()
            .map(|previous| self.previous_id(previous))
    }

    /// Returns the identity that the resource had first.
    pub(crate) fn original_id(&self, schema: &Schema) -> ResourceId {
        let oldest = self.record.history.first();
        oldest.map_or_else(|| self.id(schema), |oldest| self.previous_id(oldest))
    }

    /// Remembers the identity of this moment.
    pub(crate) fn store_previous_id(&mut self, schema: &Schema) {
        let id = self.id(schema);
        let namespace = id.effective_namespace().into();
        self.record.history.push(PreviousId {
            name: id.name,
            namespace,
            kind: id.gvk.kind,
        });
    }

    pub(crate) fn is_gone(&self) -> bool {
        is_nil_or_empty(&self.node)
    }

    pub(crate) fn set_name(&mut self, name: impl Into<Text>) {
        self.set_metadata("name", name.into());
    }

    /// Sets the namespace; a blank one is removed.
    pub(crate) fn set_namespace(&mut self, namespace: impl Into<Text>) {
        let namespace = namespace.into();
        if namespace.is_empty() {
            if let Some(metadata) = self.node.get_mut("metadata") {
                metadata.remove("namespace");
            }
        } else {
            self.set_metadata("namespace", namespace);
        }
    }

    fn set_metadata(&mut self, key: &'static str, text: Text) {
        if let Some(metadata) = mapping_at(&mut self.node, "metadata") {
            field::put_text(metadata, key, text);
        }
    }

    pub(crate) fn set_kind(&mut self, kind: &str) {
        field::put_text(&mut self.node, "kind", kind);
    }

    pub(crate) fn set_gvk(&mut self, gvk: &Gvk) {
        self.set_kind(&gvk.kind);
        field::put_text(&mut self.node, "apiVersion", gvk.api_version());
    }

    /// Returns labels or annotations as texts.
    pub(crate) fn metadata_map(&self, field: &str) -> Vec<(Text, Text)> {
        let Some(map) = self.node.lookup(["metadata", field]) else {
            return Vec::new();
        };
        let text = |node: &Node| node.shared_text().cloned().unwrap_or_default();
        map.entries()
            .iter()
            .map(|entry| (text(&entry.key), text(&entry.value)))
            .collect()
    }

    /// Writes labels or annotations anew, as strings; none at all removes the field.
    pub(crate) fn set_metadata_map(&mut self, field: &str, mut map: Vec<(Text, Text)>) {
        self.hides_annotations &= field != "annotations";
        let Some(metadata) = mapping_at(&mut self.node, "metadata") else {
            return;
        };
        metadata.remove(field);
        if map.is_empty() {
            return;
        }
        map.sort();
        let mut pairs = crate::scalar::empty_mapping();
        for (key, value) in map {
            field::put(&mut pairs, key, field::string(value));
        }
        metadata.set(field, pairs);
    }

    /// Writes the annotations anew, which makes strings of all.
    pub(crate) fn renew_annotations(&mut self) {
        let annotations = self.metadata_map("annotations");
        self.set_metadata_map("annotations", annotations);
    }

    pub(crate) fn set_annotation(&mut self, key: &str, value: impl Into<Text>) {
        let Some(metadata) = mapping_at(&mut self.node, "metadata") else {
            return;
        };
        if let Some(annotations) = mapping_at(metadata, "annotations") {
            field::put(annotations, key, field::string(value));
        }
    }

    /// Makes annotations, without any, where upstream has some: its bookkeeping counts as such, and what is put below
    /// a null there comes to light when it writes all annotations anew.
    pub(crate) fn ensure_annotations(&mut self, creates: bool) {
        let Some(metadata) = self.node.get_mut("metadata").filter(|node| node.is_mapping()) else {
            return;
        };
        let has_record = self.record != Record::default();
        let is_null = metadata.get("annotations").is_some_and(Node::is_null);
        self.hides_annotations = !creates && (self.hides_annotations || (is_null && !has_record));
        if has_record || metadata.get("annotations").is_some() {
            mapping_at(metadata, "annotations");
        }
    }

    /// Returns the object as messages about its metadata show it.
    pub(crate) fn shown_in_messages(&self) -> Node {
        let mut shown = self.clone();
        shown.expose_record();
        if self.hides_annotations
            && let Some(metadata) = shown.node.get_mut("metadata")
        {
            // The record, which upstream keeps there, is hidden with them.
            metadata.remove("annotations");
        }
        shown.node
    }

    /// Moves bookkeeping from the annotations into the record.
    pub(crate) fn absorb_record(&mut self) {
        let annotations = self.node.lookup(["metadata", "annotations"]);
        let has_some = annotations.is_some_and(|annotations| {
            annotations
                .entries()
                .iter()
                .any(|entry| entry.name().is_some_and(is_bookkeeping))
        });
        if !has_some {
            return;
        }
        let mut lists: [Vec<Text>; 5] = Default::default();
        for (key, value) in self.metadata_map("annotations") {
            if is_bookkeeping(&key) {
                self.absorb(&key, &value, &mut lists);
            }
        }
        let [names, namespaces, kinds, prefixes, suffixes] = lists;
        self.record.history = names
            .into_iter()
            .zip(namespaces)
            .zip(kinds)
            .map(|((name, namespace), kind)| PreviousId {
                name,
                namespace,
                kind,
            })
            .collect();
        self.record.prefixes = prefixes;
        self.record.suffixes = suffixes;
        let Some(metadata) = self.node.get_mut("metadata") else {
            return;
        };
        let Some(annotations) = metadata.get_mut("annotations") else {
            return;
        };
        if let Some(entries) = annotations.as_mapping_mut() {
            entries.retain(|entry| !entry.name().is_some_and(is_bookkeeping));
        }
        if is_nil_or_empty(annotations) {
            metadata.remove("annotations");
        }
    }

    fn absorb(&mut self, key: &str, value: &str, lists: &mut [Vec<Text>; 5]) {
        let is_enabled = value == ENABLED;
        match key.strip_prefix(INTERNAL).unwrap_or_default() {
            "generatorBehavior" => self.record.behavior = Some(Behavior::from_word(value)),
            "needsHashSuffix" => self.record.needs_hash = is_enabled,
            "allowNameChange" => self.record.allow_name_change = is_enabled,
            "allowKindChange" => self.record.allow_kind_change = is_enabled,
            "helm-generated" => self.record.is_helm_generated = true,
            name => {
                let position = LISTS.iter().position(|list| *list == name);
                if let Some(list) = position.and_then(|position| lists.get_mut(position)) {
                    *list = value.split(',').map(Text::from).collect();
                }
            }
        }
    }

    /// Writes the record into the annotations, where patches of the annotations meet it upstream.
    pub(crate) fn expose_record(&mut self) {
        let record = self.record.annotations();
        if record.is_empty() {
            return;
        }
        for (key, value) in record {
            self.set_annotation(&format!("{INTERNAL}{key}"), value);
        }
        let annotations = self.node.lookup_mut(["metadata", "annotations"]);
        if let Some(entries) = annotations.and_then(Node::as_mapping_mut) {
            // They are written in order each time.
            entries
                .as_mut_slice()
                .sort_by(|a, b| a.name().unwrap_or_default().cmp(b.name().unwrap_or_default()));
        }
    }

    /// Takes the record back; what is not in the annotations any more is forgotten.
    pub(crate) fn recover_record(&mut self) {
        self.record = Record::default();
        self.absorb_record();
    }
}

const LISTS: [&str; 5] = [
    "previousNames",
    "previousNamespaces",
    "previousKinds",
    "prefixes",
    "suffixes",
];

/// Tells whether an annotation is taken for bookkeeping.
fn is_bookkeeping(key: &str) -> bool {
    let flags = [
        "allowNameChange",
        "allowKindChange",
        "refBy",
        "generatorBehavior",
        "needsHashSuffix",
        "helm-generated",
    ];
    key.strip_prefix(INTERNAL)
        .is_some_and(|name| LISTS.contains(&name) || flags.contains(&name))
}

/// Tells whether an annotation tells where an object was read; it means nothing and is never printed.
pub(crate) fn is_reader_annotation(key: &str) -> bool {
    let names = [
        "path",
        "index",
        "seqindent",
        "id",
        "annotations-migration-resource-id",
    ];
    key.strip_prefix(INTERNAL)
        .is_some_and(|name| names.contains(&name))
        || matches!(
            key,
            "config.kubernetes.io/path" | "config.kubernetes.io/index" | "config.k8s.io/id"
        )
}

impl Record {
    /// The annotations that hold the record upstream, without their common prefix.
    pub(crate) fn annotations(&self) -> Vec<(&'static str, String)> {
        let joined = |texts: Vec<&str>| texts.join(",");
        let of_history = |part: fn(&PreviousId) -> &Text| {
            joined(
                self.history
                    .iter()
                    .map(|previous| part(previous).as_str())
                    .collect(),
            )
        };
        let mut annotations = Vec::new();
        if !self.history.is_empty() {
            let names: Vec<&str> = self
                .history
                .iter()
                .map(|previous| previous.name.as_str())
                .collect();
            // A blank name leaves no trace.
            let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
            if !names.is_empty() {
                annotations.push(("previousNames", joined(names)));
            }
            annotations.push(("previousNamespaces", of_history(|previous| &previous.namespace)));
            annotations.push(("previousKinds", of_history(|previous| &previous.kind)));
        }
        for (key, texts) in [("prefixes", &self.prefixes), ("suffixes", &self.suffixes)] {
            if !texts.is_empty() {
                annotations.push((key, joined(texts.iter().map(Text::as_str).collect())));
            }
        }
        if let Some(behavior) = self.behavior {
            annotations.push(("generatorBehavior", behavior.word().to_owned()));
        }
        let flags = [
            ("needsHashSuffix", self.needs_hash),
            ("allowNameChange", self.allow_name_change),
            ("allowKindChange", self.allow_kind_change),
        ];
        annotations.extend(
            flags
                .into_iter()
                .filter(|(_, is_set)| *is_set)
                .map(|(key, _)| (key, ENABLED.to_owned())),
        );
        if self.is_helm_generated {
            annotations.push(("helm-generated", "true".to_owned()));
        }
        annotations
    }

    /// Tells whether the prefixes and suffixes of both end alike.
    pub(crate) fn has_same_affixes(&self, other: &Self, blank_agrees: bool) -> bool {
        let agree = |a: &[Text], b: &[Text]| {
            if a.is_empty() || b.is_empty() {
                return blank_agrees || a.len() == b.len();
            }
            a.iter().rev().zip(b.iter().rev()).all(|(a, b)| a == b)
        };
        agree(&self.prefixes, &other.prefixes) && agree(&self.suffixes, &other.suffixes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_survives_a_way_through_the_annotations() {
        let mut resource = Resource::new(Node::mapping([("kind", Node::string("Pod"))]));
        resource.record.history.push(PreviousId {
            name: "a".into(),
            namespace: "n".into(),
            kind: "Pod".into(),
        });
        resource.record.needs_hash = true;
        resource.record.behavior = Some(Behavior::Merge);
        let record = resource.record.clone();
        resource.expose_record();
        assert_eq!(
            resource.annotation("internal.config.kubernetes.io/previousNames"),
            Some("a")
        );
        resource.recover_record();
        assert_eq!(resource.record, record);
        assert!(resource.node.lookup(["metadata", "annotations"]).is_none());
    }
}
