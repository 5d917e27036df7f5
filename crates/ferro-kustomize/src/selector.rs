//! Which resources a patch or replacement is for.

mod labels;

use ferro_yaml::Text;

use crate::error::Result;
use crate::id::{Gvk, ResourceId};
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::types::Selector;
use labels::LabelSelector;

/// A pattern that must match the whole text.
#[derive(Clone, Debug)]
enum Pattern {
    Any,
    /// Text without anything special in it.
    Literal(Text),
    Regex(Box<crate::pattern::Regex>),
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self> {
        if pattern.is_empty() {
            return Ok(Self::Any);
        }
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | ':');
        if pattern.chars().all(is_plain) {
            return Ok(Self::Literal(pattern.into()));
        }
        crate::pattern::compile(&format!("^(?:{pattern})$")).map(|regex| Self::Regex(Box::new(regex)))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => literal.as_str() == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A selector ready to be used.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: LabelSelector,
    annotations: LabelSelector,
}

impl Matcher {
    pub(crate) fn new(selector: &Selector) -> Result<Self> {
        Ok(Self {
            group: Pattern::new(&selector.group)?,
            version: Pattern::new(&selector.version)?,
            kind: Pattern::new(&selector.kind)?,
            name: Pattern::new(&selector.name)?,
            namespace: Pattern::new(&selector.namespace)?,
            labels: LabelSelector::parse(&selector.label_selector),
            annotations: LabelSelector::parse(&selector.annotation_selector),
        })
    }

    pub(crate) fn matches_gvk(&self, gvk: &Gvk) -> bool {
        self.group.matches(&gvk.group) && self.version.matches(&gvk.version) && self.kind.matches(&gvk.kind)
    }

    /// Tells whether one identity has it all, with the namespace as it is written.
    pub(crate) fn matches_id(&self, id: &ResourceId) -> bool {
        self.matches_gvk(&id.gvk) && self.name.matches(&id.name) && self.namespace.matches(&id.namespace)
    }

    /// Tells whether labels and annotations are as wanted; a selector that makes no sense fails here, when
    /// it is first needed.
    pub(crate) fn matches_metadata(&self, resource: &Resource) -> Result<bool> {
        Ok(self.labels.matches(resource, "labels")? && self.annotations.matches(resource, "annotations")?)
    }

    fn matches(&self, resource: &Resource, schema: &Schema) -> Result<bool> {
        if resource.is_gone() || !self.matches_gvk(&resource.gvk()) {
            return Ok(false);
        }
        let (current, original) = (resource.id(schema), resource.original_id(schema));
        let agrees = (self.namespace.matches(original.effective_namespace())
            || self.namespace.matches(current.effective_namespace()))
            && (self.name.matches(&original.name) || self.name.matches(&current.name));
        Ok(agrees && self.matches_metadata(resource)?)
    }

    /// Finds the resources that the selector means, in order.
    pub(crate) fn select(&self, resources: &mut ResMap, schema: &Schema) -> Result<Vec<usize>> {
        let candidates = match &self.name {
            Pattern::Literal(name) => resources.named(name),
            Pattern::Any | Pattern::Regex(_) => (0..resources.len()).collect(),
        };
        let mut selected = Vec::new();
        for index in candidates {
            if let Some(resource) = resources.get(index)
                && self.matches(resource, schema)?
            {
                selected.push(index);
            }
        }
        Ok(selected)
    }
}

/// The text by which a selector is named in messages.
pub(crate) fn describe(selector: &Selector) -> String {
    let id = ResourceId {
        gvk: Gvk::new(&selector.group, &selector.version, &selector.kind),
        name: (&selector.name).into(),
        namespace: (&selector.namespace).into(),
        is_cluster_scoped: false,
    };
    format!(
        "{id}:a={}:l={}",
        selector.annotation_selector, selector.label_selector
    )
}
