//! Replacements: a value is read from one object and written into others.

use ferro_yaml::Node;

use super::Cx;
use super::replacement_path::{get, split};
use super::replacement_value::{make_missing, write};
use crate::error::{Context, Error, Result, fail};
use crate::id::{Gvk, ResourceId};
use crate::loader::Loader;
use crate::options::Quirks;
use crate::path::MAX_DEPTH;
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::scalar::is_nil_or_empty;
use crate::selector::Matcher;
use crate::types::decode::{At, Codec};
use crate::types::{FieldOptions, Replacement, ReplacementField, Selector, SourceSelector, TargetSelector};

const NAME_FIELD: &str = "metadata.name";

/// A list of replacements that run in order.
pub(crate) struct ReplacementTransformer(Vec<Replacement>);

impl ReplacementTransformer {
    /// Reads entries that are inline or in files.
    pub(crate) fn load(loader: &Loader<'_>, fields: &[ReplacementField]) -> Result<Self> {
        let mut replacements = Vec::new();
        for field in fields {
            if field.path.is_empty() {
                replacements.push(Replacement {
                    source: field.source.clone(),
                    targets: field.targets.clone(),
                    source_value: field.source_value.clone(),
                });
                continue;
            }
            if field.source.is_some() || !field.targets.is_empty() {
                fail!("cannot specify both path and inline replacement");
            }
            let content = loader.load(&field.path)?;
            let node = crate::read::configuration(&content)
                .map_err(|error| Error::other(format!("error converting YAML to JSON: {error}")))?;
            let at = At::lenient();
            let decoded = if node.is_sequence() {
                Vec::<Replacement>::decode(&node, &at)
            } else if node.is_mapping() {
                Replacement::decode(&node, &at).map(|replacement| vec![replacement])
            } else {
                fail!(
                    "unsupported replacement type encountered within replacement path: {}",
                    crate::read::go_type(&node)
                );
            };
            replacements.extend(decoded.map_err(|mismatch| Error::other(mismatch.while_unmarshaling()))?);
        }
        Ok(Self(replacements))
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        for replacement in &self.0 {
            if (replacement.source.is_none() && replacement.source_value.is_none())
                || replacement.targets.is_empty()
            {
                fail!("replacements must specify a source and at least one target");
            }
            let source = Source::find(replacement, resources, cx)?;
            for target in &replacement.targets {
                apply(target, &source, resources, cx)?;
            }
        }
        Ok(())
    }
}

/// The identities of a resource: that of now, then the former ones. None counts as cluster-scoped here.
fn ids(resource: &Resource, cx: Cx<'_>) -> Vec<ResourceId> {
    let current = ResourceId {
        is_cluster_scoped: false,
        ..resource.id(cx.schema)
    };
    std::iter::once(current).chain(resource.previous_ids()).collect()
}

/// Where a value comes from.
enum Source<'r> {
    Value(Node),
    /// A field of a resource, read anew for each target: a target may be the source itself.
    Field {
        index: usize,
        selector: &'r SourceSelector,
    },
}

impl<'r> Source<'r> {
    fn find(replacement: &'r Replacement, resources: &ResMap, cx: Cx<'_>) -> Result<Self> {
        let selector = match (&replacement.source, &replacement.source_value) {
            (Some(_), Some(_)) => fail!("value and resource selectors are mutually exclusive"),
            (None, value) => {
                let text = value.as_deref().unwrap_or_default();
                return Ok(Self::Value(Node::untagged(text)));
            }
            (Some(selector), None) => selector,
        };
        let (wanted, gvk) = (
            source_id(selector),
            Gvk::new(&selector.group, &selector.version, &selector.kind),
        );
        let is_meant = |id: &ResourceId| {
            id.gvk.is_selected_by(&gvk)
                && (wanted.name.is_empty() || wanted.name == id.name)
                && (wanted.namespace.is_empty() || wanted.effective_namespace() == id.effective_namespace())
        };
        let mut found = resources
            .iter()
            .enumerate()
            .filter(|(_, resource)| ids(resource, cx).iter().any(is_meant));
        match (found.next(), found.next()) {
            (Some((index, resource)), None) => {
                let source = Self::Field { index, selector };
                source
                    .read(resources, cx)
                    .map_err(|error| error.at(resource.location()))?;
                Ok(source)
            }
            (None, _) => fail!("nothing selected by {}", describe(selector)),
            (Some(_), Some((_, second))) => Err(Error::other(format!(
                "multiple matches for selector {}",
                describe(selector)
            ))
            .at(second.location())),
        }
    }

    fn is_in(&self, resource: usize) -> bool {
        matches!(self, Self::Field { index, .. } if *index == resource)
    }

    fn read(&self, resources: &ResMap, cx: Cx<'_>) -> Result<Node> {
        let (index, selector) = match self {
            Self::Value(node) => return Ok(node.clone()),
            Self::Field { index, selector } => (*index, *selector),
        };
        let Some(resource) = resources.get(index) else {
            fail!("the source of a replacement is gone")
        };
        let path = if selector.field_path.is_empty() {
            NAME_FIELD
        } else {
            &selector.field_path
        };
        let exposed;
        let mut object = &resource.node;
        if cx.quirks == Quirks::Upstream && path.starts_with("metadata.annotations") {
            // Upstream keeps its bookkeeping where it can be copied.
            let mut copy = resource.clone();
            copy.expose_record();
            exposed = copy.node;
            object = &exposed;
        }
        let parts = split(path);
        if parts.len() > MAX_DEPTH {
            fail!("a path of more than {MAX_DEPTH} levels in replacement source");
        }
        let found = get(object, &parts).during(|| "error looking up replacement source".to_owned())?;
        let Some(node) = found.filter(|node| !is_nil_or_empty(node)) else {
            fail!(
                "fieldPath `{path}` is missing for replacement source {}",
                source_id(selector)
            );
        };
        refine(node, selector.options.as_ref())
    }
}

fn source_id(selector: &SourceSelector) -> ResourceId {
    ResourceId {
        gvk: Gvk::new(&selector.group, &selector.version, &selector.kind),
        name: (&selector.name).into(),
        namespace: (&selector.namespace).into(),
        is_cluster_scoped: false,
    }
}

/// Names a source in messages.
fn describe(selector: &SourceSelector) -> String {
    let mut text = source_id(selector).to_string();
    if !selector.field_path.is_empty() {
        text.push(':');
        text.push_str(&selector.field_path);
    }
    if let Some(options) = selector
        .options
        .as_ref()
        .filter(|options| !options.delimiter.is_empty() || options.create)
    {
        text.push_str(&format!(
            ":{}({}), create={}",
            options.delimiter, options.index, options.create
        ));
    }
    text
}

/// Takes one part of a text.
fn refine(node: &Node, options: Option<&FieldOptions>) -> Result<Node> {
    let Some(options) = options.filter(|options| !options.delimiter.is_empty()) else {
        return Ok(node.clone());
    };
    let Some(text) = node.text() else {
        fail!("delimiter option can only be used with scalar nodes")
    };
    let index = usize::try_from(options.index).ok();
    let Some(part) = index.and_then(|index| text.split(&options.delimiter).nth(index)) else {
        fail!(
            "options.index {} is out of bounds for value {text}",
            options.index
        );
    };
    let mut refined = node.clone();
    refined.set_text(part);
    Ok(refined)
}

fn has_id_part(selector: &Selector) -> bool {
    [
        &selector.group,
        &selector.version,
        &selector.kind,
        &selector.name,
        &selector.namespace,
    ]
    .iter()
    .any(|part| !part.is_empty())
}

fn has_metadata_part(selector: &Selector) -> bool {
    !selector.annotation_selector.is_empty() || !selector.label_selector.is_empty()
}

fn apply(target: &TargetSelector, source: &Source<'_>, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
    let Some(select) = &target.select else {
        fail!("target must specify resources to select")
    };
    let words = || "error creating target selector".to_owned();
    let matcher = Matcher::new(select).during(words)?;
    let rejects: Vec<(&Selector, Matcher)> = target
        .reject
        .iter()
        .map(|reject| Ok((reject, Matcher::new(reject).during(words)?)))
        .collect::<Result<_>>()?;
    let paths: Vec<&str> = if target.field_paths.is_empty() {
        vec![NAME_FIELD]
    } else {
        target.field_paths.iter().map(String::as_str).collect()
    };
    let creates = target.options.as_ref().is_some_and(|options| options.create);
    for index in 0..resources.len() {
        let Some(resource) = resources.get(index) else {
            continue;
        };
        if !is_target(resource, &matcher, &rejects, cx)? {
            continue;
        }
        for path in &paths {
            let mut value = source.read(resources, cx)?;
            let Some(resource) = resources.get_mut(index) else {
                continue;
            };
            // Upstream makes what is missing before it copies, and copies that too if it lies in the source.
            if cx.quirks == Quirks::Upstream && creates && !value.is_scalar() && source.is_in(index) {
                make_missing(&mut resource.node, path, value.kind());
                value = source.read(resources, cx)?;
            }
            let Some(resource) = resources.get_mut(index) else {
                continue;
            };
            let place = resource.location();
            write(
                &mut resource.node,
                &value,
                path,
                target.options.as_ref(),
                cx.quirks,
            )
            .map_err(|error| error.at(place))?;
        }
        if let Some(resource) = resources.get_mut(index) {
            crate::shared::settle(resource);
        }
        resources.moved(index, cx.schema);
    }
    Ok(())
}

fn is_target(
    resource: &Resource,
    matcher: &Matcher,
    rejects: &[(&Selector, Matcher)],
    cx: Cx<'_>,
) -> Result<bool> {
    if !matcher.matches_metadata(resource)? {
        return Ok(false);
    }
    for (selector, reject) in rejects {
        if has_metadata_part(selector) && reject.matches_metadata(resource)? {
            return Ok(false);
        }
    }
    let ids = ids(resource, cx);
    let is_rejected = rejects
        .iter()
        .filter(|(selector, _)| has_id_part(selector))
        .any(|(_, reject)| ids.iter().any(|id| reject.matches_id(id)));
    Ok(!is_rejected && ids.iter().any(|id| matcher.matches_id(id)))
}
