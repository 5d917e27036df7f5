//! Patches, loaded and applied.

use super::Cx;
use crate::Quirks;
use crate::error::{Context, Error, ErrorKind, Result, fail};
use crate::id::ResourceId;
use crate::loader::Loader;
use crate::patch::json6902::{self, Operation};
use crate::patch::smp;
use crate::resmap::ResMap;
use crate::resource::{Record, Resource};
use crate::schema::Schema;
use crate::selector::{Matcher, describe};
use crate::types::{Patch, Selector};

/// Strategic merge patches that name their objects themselves.
pub(crate) struct StrategicPatches(Vec<Resource>);

/// An entry of `patches`.
pub(crate) struct PatchTransformer {
    /// How messages name the patch.
    source: String,
    target: Option<Selector>,
    content: Content,
}

enum Content {
    Nothing,
    Strategic(Vec<Resource>),
    Json(Vec<Operation>),
}

/// An entry of `patchesJson6902`.
pub(crate) struct JsonPatch {
    target: Selector,
    operations: Vec<Operation>,
}

impl StrategicPatches {
    /// Reads entries that are either the text of patches or a file with them.
    pub(crate) fn load(loader: &Loader<'_>, paths: &[String], inline: &str) -> Result<Self> {
        if paths.is_empty() && inline.is_empty() {
            fail!("empty file path and empty patch content");
        }
        let mut patches = Vec::new();
        for path in paths {
            match crate::read::resources(path.as_bytes(), None) {
                Ok(found) => patches.extend(found),
                Err(_) => {
                    let content = loader.load(path)?;
                    let place = loader.shown(path);
                    patches.extend(crate::read::resources_at(&content, Some(path), &place, false)?);
                }
            }
        }
        if !inline.is_empty() {
            patches.extend(crate::read::resources(inline.as_bytes(), None)?);
        }
        if patches.is_empty() {
            fail!(
                "patch appears to be empty; files=[{}], Patch={inline}",
                paths.join(" ")
            );
        }
        Ok(Self(patches))
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        for patch in &self.0 {
            let index = unique_target(resources, &patch.original_id(cx.schema), cx)?;
            apply_to(resources, &[index], patch, cx)?;
            resources.check_unique(cx.schema)?;
        }
        Ok(())
    }
}

/// Finds the one resource that has or had an identity.
fn unique_target(resources: &mut ResMap, id: &ResourceId, cx: Cx<'_>) -> Result<usize> {
    let found = resources.find_any(id, cx.schema);
    match found.as_slice() {
        [index] => Ok(*index),
        [] => Err(ErrorKind::PatchTarget {
            found: "no",
            id: id.clone(),
        }
        .into()),
        _ => Err(ErrorKind::PatchTarget {
            found: "multiple",
            id: id.clone(),
        }
        .into()),
    }
}

/// Applies a patch to resources that were selected for it.
fn apply_to(resources: &mut ResMap, selected: &[usize], patch: &Resource, cx: Cx<'_>) -> Result<()> {
    for index in selected {
        let Some(target) = resources.get_mut(*index) else {
            continue;
        };
        let mut patch = patch.clone();
        // The version is the target's; the kind is the patch's, which counts only where it may change.
        let kind = patch.kind().to_owned();
        patch.set_gvk(&target.gvk());
        patch.set_kind(&kind);
        // On this way upstream turns labels and annotations into strings, so that a null sets `"null"`.
        for field in ["labels", "annotations"] {
            let texts = patch.metadata_map(field);
            patch.set_metadata_map(field, texts);
        }
        apply_strategic(target, &patch, cx)?;
        if patch.record.allow_name_change || patch.record.allow_kind_change {
            resources.moved(*index, cx.schema);
        } else {
            resources.renamed(*index, cx.schema);
        }
    }
    Ok(())
}

fn apply_strategic(target: &mut Resource, patch: &Resource, cx: Cx<'_>) -> Result<()> {
    let place = patch
        .location()
        .filter(|place| !place.file.is_empty())
        .or_else(|| target.location());
    let (name, namespace, kind) = (
        target.name().to_owned(),
        target.namespace().to_owned(),
        target.kind().to_owned(),
    );
    if patch.record.allow_name_change || patch.record.allow_kind_change {
        target.store_previous_id(cx.schema);
    }
    // An object with a field that has no name is shown with its bookkeeping.
    let is_shown = target.node.get("").is_some() || patch.node.get("").is_some();
    let meets_record = is_shown || meets_annotations(patch);
    if meets_record {
        target.expose_record();
    }
    let node = std::mem::take(&mut target.node);
    target.node = smp::merge(node, &patch.node, cx.schema, cx.quirks)
        .map_err(|error| error.at(place))?
        .unwrap_or_default();
    if target.is_gone() {
        return Ok(());
    }
    if meets_record {
        target.recover_record();
    }
    // These are annotations upstream, and merge like any other.
    if keeps_own_annotations(patch) {
        target.record.allow_name_change |= patch.record.allow_name_change;
        target.record.allow_kind_change |= patch.record.allow_kind_change;
    }
    if !patch.record.allow_kind_change {
        target.set_kind(&kind);
    }
    if !patch.record.allow_name_change {
        target.set_name(name);
    }
    target.set_namespace(namespace);
    crate::shared::settle(target);
    Ok(())
}

/// Tells whether a patch replaces or removes all annotations, and with them what upstream keeps there.
fn meets_annotations(patch: &Resource) -> bool {
    let Some(metadata) = patch.node.get("metadata") else {
        return false;
    };
    let is_special = |node: &ferro_yaml::Node| node.is_null() || node.get("$patch").is_some();
    is_special(metadata) || metadata.get("annotations").is_some_and(is_special)
}

/// Tells whether a patch does not by itself prevent that its annotations arrive.
fn keeps_own_annotations(patch: &Resource) -> bool {
    let has_word = |node: Option<&ferro_yaml::Node>, word: &str| {
        let directive = node.and_then(|node| node.get("$patch"));
        directive.and_then(ferro_yaml::Node::text) == Some(word)
    };
    let metadata = patch.node.get("metadata");
    let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
    // What replaces the whole object is not taken over.
    !has_word(Some(&patch.node), "replace")
        && !has_word(metadata, "delete")
        && !has_word(annotations, "delete")
}

fn apply_json(target: &mut Resource, operations: &[Operation], cx: Cx<'_>) -> Result<()> {
    let record = target.record.clone();
    let meets_record = json6902::concerns_annotations(operations);
    if meets_record {
        target.expose_record();
    }
    let place = target.location();
    // The object goes through JSON, which is where `010` becomes 8 and a date a text.
    let position = target.node.position();
    let json = crate::shared::without_anchors(&target.node)
        .to_json()
        .map_err(|error| Error::other(error.to_string()).at(place.clone()))?;
    target.node = ferro_yaml::Node::from_json(&json);
    target.shared.clear();
    json6902::apply(&mut target.node, operations).map_err(|error| error.at(place))?;
    crate::scalar::as_floats(&mut target.node, cx.quirks == Quirks::Upstream);
    crate::field::style_as_data(&mut target.node);
    ferro_yaml::sort_keys(&mut target.node);
    target.node.set_position(position);
    if target.node.get("metadata").is_some_and(ferro_yaml::Node::is_null) {
        // There is no place for what upstream keeps in the annotations.
        target.record = Record::default();
        return Ok(());
    }
    if meets_record {
        target.recover_record();
        target.record = record;
    }
    target.renew_annotations();
    Ok(())
}

impl PatchTransformer {
    /// Reads an entry; `config` is how messages show it.
    pub(crate) fn load(loader: &Loader<'_>, patch: &Patch, config: &str) -> Result<Self> {
        let text = patch.patch.trim();
        let (content, file, source) = match (text.is_empty(), patch.path.as_str()) {
            (true, "") => fail!("must specify one of patch and path in\n{config}"),
            (false, "") => (
                text.as_bytes().to_vec(),
                None,
                format!("[patch: {}]", ferro_gocompat::quote::quote(text)),
            ),
            (false, _) => fail!("patch and path can't be set at the same time\n{config}"),
            (true, path) => {
                let content = loader
                    .load(path)
                    .during(|| format!("failed to get the patch file from path({path})"))?;
                (
                    content.into_owned(),
                    Some(path),
                    format!("[path: {}]", ferro_gocompat::quote::quote(path)),
                )
            }
        };
        let place = file.map(|file| loader.shown(file)).unwrap_or_default();
        let strategic = crate::read::resources_at(&content, file, &place, false);
        let json = if content.is_empty() {
            Err(Error::other("empty json patch operations"))
        } else {
            json6902::parse(&content)
        };
        let content = match (strategic, json) {
            (Ok(patches), Ok(operations)) if !patches.is_empty() && !operations.is_empty() => {
                fail!("illegally qualifies as both an SM and JSON patch: {source}");
            }
            (Ok(patches), _) if patches.is_empty() => Content::Nothing,
            (Ok(mut patches), _) => {
                let options = patch.options.clone().unwrap_or_default();
                for patch in &mut patches {
                    patch.record.allow_name_change |= options.allow_name_change;
                    patch.record.allow_kind_change |= options.allow_kind_change;
                    if options.allow_name_change || options.allow_kind_change {
                        patch.renew_annotations();
                    }
                }
                Content::Strategic(patches)
            }
            (Err(_), Ok(operations)) if operations.is_empty() => Content::Nothing,
            (Err(_), Ok(operations)) => Content::Json(operations),
            (Err(error), Err(_)) => {
                let place = error.location().cloned().filter(|place| !place.file.is_empty());
                return Err(
                    Error::other(format!("unable to parse SM or JSON patch from {source}")).at(place),
                );
            }
        };
        Ok(Self {
            source,
            target: patch.target.clone(),
            content,
        })
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        match &self.content {
            Content::Nothing => Ok(()),
            Content::Strategic(patches) => self.transform_strategic(patches, resources, cx),
            Content::Json(operations) => {
                let Some(target) = &self.target else {
                    fail!("must specify a target for JSON patch {}", self.source);
                };
                for index in Matcher::new(target)?.select(resources, cx.schema)? {
                    let Some(resource) = resources.get_mut(index) else {
                        continue;
                    };
                    resource.store_previous_id(cx.schema);
                    apply_json(resource, operations, cx)?;
                    resources.moved(index, cx.schema);
                }
                Ok(())
            }
        }
    }

    /// Tells whether there is anything that it merges with.
    pub(crate) fn merges_any(&self, resources: &mut ResMap, schema: &Schema) -> bool {
        let selects_any = |target| {
            let selected = Matcher::new(target).and_then(|matcher| matcher.select(resources, schema));
            selected.is_ok_and(|selected| !selected.is_empty())
        };
        matches!(self.content, Content::Strategic(_)) && self.target.as_ref().is_none_or(selects_any)
    }

    fn transform_strategic(&self, patches: &[Resource], resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        let Some(target) = &self.target else {
            for patch in patches {
                let id = patch.original_id(cx.schema);
                let index = unique_target(resources, &id, cx).map_err(|error| {
                    error
                        .at(patch.location().filter(|place| !place.file.is_empty()))
                        .during(format!("no resource matches strategic merge patch \"{id}\""))
                })?;
                let Some(resource) = resources.get_mut(index) else {
                    continue;
                };
                apply_strategic(resource, patch, cx)?;
                let may_collide = patch.record.allow_name_change || patch.record.allow_kind_change;
                if may_collide {
                    resources.moved(index, cx.schema);
                }
            }
            return Ok(());
        };
        let [patch] = patches else {
            fail!(
                "Multiple Strategic-Merge Patches in one `patches` entry is not allowed to set `patches.target` \
                 field: {}",
                self.source
            );
        };
        let selected = Matcher::new(target)
            .and_then(|matcher| matcher.select(resources, cx.schema))
            .during(|| {
                format!(
                    "unable to find patch target \"{}\" in `resources`",
                    describe(target)
                )
            })?;
        apply_to(resources, &selected, patch, cx)?;
        resources.check_unique(cx.schema)
    }
}

impl JsonPatch {
    pub(crate) fn load(
        loader: &Loader<'_>,
        target: Option<&Selector>,
        path: &str,
        inline: &str,
    ) -> Result<Self> {
        let Some(target) = target.filter(|target| !target.name.is_empty()) else {
            fail!("must specify the target name");
        };
        let content = match (path, inline) {
            ("", "") => fail!("empty file path and empty jsonOp"),
            ("", inline) => inline.as_bytes().to_vec(),
            (path, "") => {
                let content = loader.load(path)?.into_owned();
                if content.is_empty() {
                    fail!("patch file '{path}' empty seems to be empty");
                }
                content
            }
            _ => fail!("must specify a file path or jsonOp, not both"),
        };
        let text = || json6902::json_text(&content);
        let operations = json6902::parse(&content).during(|| format!("decoding {}", text()))?;
        if operations.is_empty() {
            fail!("patch appears to be empty; file={path}, JsonOp={}", text());
        }
        Ok(Self {
            target: target.clone(),
            operations,
        })
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        for index in Matcher::new(&self.target)?.select(resources, cx.schema)? {
            let Some(resource) = resources.get_mut(index) else {
                continue;
            };
            apply_json(resource, &self.operations, cx)?;
            resources.moved(index, cx.schema);
        }
        Ok(())
    }
}
