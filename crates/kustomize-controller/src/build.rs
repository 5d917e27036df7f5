//! From the files of an artifact to the objects to apply (`spec/kustomize-and-notification.md` part C).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ferro_api::kustomize::Kustomization;
use ferro_api::{annotation, label, meta};
use ferro_apply::Object;
use ferro_apply::normalise::normalise;
use ferro_apply::object::ObjectError;
use ferro_kustomize::flux_overlay::{self, Overlay};
use ferro_kustomize::{DirFiles, LoadRestrictions, Options, RemoteSource, Resource, Resources};
use kube::ResourceExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::remote::{NoRemoteBases, RemoteBases, Session};

/// A build failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The folder cannot be opened.
    #[error("cannot read the artifact: {0}")]
    Artifact(#[from] std::io::Error),
    /// Kustomize failed; the text names files by their paths in the artifact.
    #[error("kustomize build failed: {0}")]
    Kustomize(String),
    /// A variable's name is none.
    #[error("post build failed: {0}")]
    Variables(ferro_postbuild::Error),
    /// A text could not be substituted.
    #[error("post build failed for '{resource}': envsubst error: variable substitution failed: {source}")]
    Substitute {
        /// `group~version~kind/name`.
        resource: String,
        /// Why.
        source: ferro_postbuild::Error,
    },
    /// A substituted text is not YAML any more.
    #[error("post build failed for '{resource}': envsubst error: YAMLToJSON: {source}")]
    Resubstituted {
        /// `group~version~kind/name`.
        resource: String,
        /// Why.
        source: ferro_yaml::Error,
    },
    /// A resource cannot be written as JSON.
    #[error("failed to decode '{resource}': {source}")]
    Yaml {
        /// `group~version~kind/name`.
        resource: String,
        /// Why.
        source: ferro_yaml::Error,
    },
    /// Something built is no object.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// What a build came to.
#[derive(Debug)]
pub(crate) struct Built {
    /// The objects, labelled for their owner.
    pub(crate) objects: Vec<Object>,
    /// `sha256:<hex>` of the manifests.
    pub(crate) digest: String,
    /// Whether it depends on more than the artifact.
    pub(crate) uses_remote_bases: bool,
}

/// How to build.
pub(crate) struct BuildOptions {
    /// Where remote bases come from, and what calls off fetching them; none to refuse them.
    pub(crate) remote: Option<(Arc<RemoteBases>, CancellationToken)>,
    /// Values to substitute; none for no substitution.
    pub(crate) variables: Option<BTreeMap<String, String>>,
    /// Whether a variable without value or default is an error.
    pub(crate) strict: bool,
}

/// Builds `folder`, which is in `root`, the unpacked artifact. Blocks: reads files.
pub(crate) fn build(
    root: &Path,
    folder: &Path,
    kustomization: &Kustomization,
    options: &BuildOptions,
) -> Result<Built, BuildError> {
    let (resources, uses_remote_bases) = kustomize(root, folder, kustomization, options)?;
    let mut manifests = Sha256::new();
    let mut objects = Vec::with_capacity(resources.len());
    if let Some(variables) = &options.variables {
        ferro_postbuild::validate_names(variables).map_err(BuildError::Variables)?;
    }
    for (index, resource) in resources.iter().enumerate() {
        let (text, value) = finished(resource, options)?;
        if index > 0 {
            manifests.update(b"---\n");
        }
        manifests.update(text.as_bytes());
        collect(value, &mut objects)?;
    }
    let owner = [
        (label::KUSTOMIZE_NAME, kustomization.name_any()),
        (
            label::KUSTOMIZE_NAMESPACE,
            kustomization.namespace().unwrap_or_default(),
        ),
    ];
    for object in &mut objects {
        normalise(object.value_mut());
        if let Some(common) = &kustomization.spec.common_metadata {
            object.add_labels(
                common
                    .labels
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str())),
            );
            object.add_annotations(
                common
                    .annotations
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str())),
            );
        }
        // Last, unlike upstream: nobody may unlabel objects and so keep them from being pruned.
        object.add_labels(owner.iter().map(|(key, value)| (*key, value.as_str())));
    }
    let hex: String = manifests
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Built {
        objects,
        digest: format!("sha256:{hex}"),
        uses_remote_bases,
    })
}

/// Runs the engine on the folder, with what the spec adds to its kustomization; tells whether the build asked for remote bases.
fn kustomize(
    root: &Path,
    folder: &Path,
    kustomization: &Kustomization,
    options: &BuildOptions,
) -> Result<(Resources, bool), BuildError> {
    let files = DirFiles::confined(root)?;
    let folder = folder
        .to_str()
        .ok_or_else(|| std::io::Error::other("the path is not UTF-8"))?;
    let session = options
        .remote
        .as_ref()
        .map(|(bases, cancel)| Session::new(bases, cancel));
    let none = NoRemoteBases { root };
    let remote: &dyn RemoteSource = match &session {
        Some(session) => session,
        None => &none,
    };
    let engine = Options {
        load_restrictions: LoadRestrictions::None,
        remote: Some(remote),
        ..Options::default()
    };
    let resources =
        flux_overlay::build(&files, folder, &overlay(kustomization)?, &engine).map_err(|error| {
            // Which file it was matters; where the artifact happens to be unpacked does not.
            let (text, root) = (format!("{error:#}"), files.root().unwrap_or_default());
            let text = text.replace(&format!("{root}/"), "").replace(root, ".");
            let text = match &session {
                Some(session) => session.with_urls(&text),
                None => text,
            };
            BuildError::Kustomize(without_credentials(&text))
        })?;
    Ok((resources, session.is_some_and(|session| session.is_used())))
}

/// Hides user names and passwords of URLs, which the engine's messages quote as they stand in the manifests.
fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let authority = after
            .find(|c: char| matches!(c, '/' | '?' | '#' | '\'' | '"') || c.is_whitespace())
            .map_or(after, |end| after.get(..end).unwrap_or_default());
        let credentials = authority.rfind('@').map_or(0, |at| at + 1);
        if credentials > 0 {
            shown.push_str("*****@");
        }
        rest = after.get(credentials..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

fn overlay(kustomization: &Kustomization) -> Result<Overlay, BuildError> {
    let spec = &kustomization.spec;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Ok(Overlay {
        target_namespace: text(&spec.target_namespace),
        name_prefix: text(&spec.name_prefix),
        name_suffix: text(&spec.name_suffix),
        patches: spec.patches.iter().map(patch).collect(),
        patches_strategic_merge: spec
            .patches_strategic_merge
            .iter()
            .map(Value::to_string)
            .collect(),
        patches_json6902: spec
            .patches_json6902
            .iter()
            .map(json_patch)
            .collect::<Result<_, _>>()?,
        images: spec.images.iter().map(image).collect(),
        components: spec.components.clone(),
        ignore_missing_components: spec.ignore_missing_components,
        build_metadata: spec
            .build_metadata
            .iter()
            .map(|option| option.as_str().to_owned())
            .collect(),
    })
}

fn patch(patch: &meta::Patch) -> ferro_kustomize::Patch {
    ferro_kustomize::Patch {
        patch: patch.patch.clone(),
        target: patch.target.as_ref().map(selector),
        ..ferro_kustomize::Patch::default()
    }
}

/// A patch of an older version: the same, with the operations as text.
fn json_patch(patch: &meta::JsonPatch) -> Result<ferro_kustomize::Patch, BuildError> {
    let operations = serde_json::to_string(&patch.patch)
        .map_err(|error| BuildError::Kustomize(format!("patchesJson6902: {error}")))?;
    Ok(ferro_kustomize::Patch {
        patch: operations,
        target: Some(selector(&patch.target)),
        ..ferro_kustomize::Patch::default()
    })
}

fn selector(selector: &meta::Selector) -> ferro_kustomize::Selector {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    ferro_kustomize::Selector {
        group: text(&selector.group),
        version: text(&selector.version),
        kind: text(&selector.kind),
        namespace: text(&selector.namespace),
        name: text(&selector.name),
        annotation_selector: text(&selector.annotation_selector),
        label_selector: text(&selector.label_selector),
    }
}

fn image(image: &meta::Image) -> ferro_kustomize::Image {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    ferro_kustomize::Image {
        name: image.name.clone(),
        new_name: text(&image.new_name),
        new_tag: text(&image.new_tag),
        digest: text(&image.digest),
        ..ferro_kustomize::Image::default()
    }
}

/// The manifest of a resource, after substitution, and its value.
fn finished(resource: &Resource, options: &BuildOptions) -> Result<(String, Value), BuildError> {
    let name = || format!("{}/{}", resource.gvk(), resource.name());
    let json = |source| BuildError::Yaml {
        resource: name(),
        source,
    };
    let value = resource.node().to_json().map_err(json)?;
    let substituted = options
        .variables
        .as_ref()
        .filter(|_| !is_substitution_disabled(&value));
    let Some(variables) = substituted else {
        let text = resource
            .to_yaml()
            .map_err(|error| BuildError::Kustomize(error.to_string()))?;
        return Ok((text, value));
    };
    let text = ferro_yaml::sigs::to_string(&value).map_err(json)?;
    let text = ferro_postbuild::substitute(&text, variables, options.strict).map_err(|source| {
        BuildError::Substitute {
            resource: name(),
            source,
        }
    })?;
    let value = ferro_yaml::sigs::from_slice(&text).map_err(|source| BuildError::Resubstituted {
        resource: name(),
        source,
    })?;
    // Upstream prints the result anew; the digest in the history is that of the print.
    let text = ferro_yaml::sigs::to_string(&value).map_err(json)?;
    Ok((text, value))
}

fn is_substitution_disabled(object: &Value) -> bool {
    ["labels", "annotations"].iter().any(|field| {
        let marker = object
            .get("metadata")
            .and_then(|m| m.get(field))
            .and_then(|m| m.get(annotation::SUBSTITUTE));
        marker.and_then(Value::as_str) == Some(annotation::DISABLED)
    })
}

/// Adds an object, or the items of a list; kustomizations are files of kustomize, not objects.
fn collect(value: Value, objects: &mut Vec<Object>) -> Result<(), ObjectError> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let api_version = value
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if kind == "Kustomization" && api_version.starts_with("kustomize.config.k8s.io/") {
        return Ok(());
    }
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = value.get("items")
    {
        return items.iter().try_for_each(|item| collect(item.clone(), objects));
    }
    objects.push(Object::new(value)?);
    Ok(())
}

#[cfg(test)]
mod tests;
