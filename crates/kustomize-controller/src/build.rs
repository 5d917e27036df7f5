//! From the files of an artifact to the objects to apply (`spec/kustomize-and-notification.md` part C).

use std::collections::BTreeMap;
use std::path::Path;

use ferro_api::kustomize::{BuildMetadataOption, Kustomization};
use ferro_api::{annotation, label};
use ferro_apply::Object;
use ferro_apply::normalise::normalise;
use ferro_apply::object::ObjectError;
use ferro_kustomize::{DirFiles, Options, Resource, Resources};
use kube::ResourceExt;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A build failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The folder cannot be opened.
    #[error("cannot read the artifact: {0}")]
    Artifact(#[from] std::io::Error),
    /// The kustomization cannot be made or extended.
    #[error("{0}")]
    Generate(ferro_kustomize::Error),
    /// Kustomize failed.
    #[error("kustomize build failed: {0}")]
    Kustomize(ferro_kustomize::Error),
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
}

/// How to build.
#[derive(Clone, Debug)]
pub(crate) struct BuildOptions {
    /// Values to substitute; none for no substitution.
    pub(crate) variables: Option<BTreeMap<String, String>>,
    /// Whether a variable without value or default is an error.
    pub(crate) strict: bool,
}

/// Builds the folder `path` of the artifact unpacked in `root`. Blocks: reads files.
pub(crate) fn build(
    root: &Path,
    kustomization: &Kustomization,
    options: &BuildOptions,
) -> Result<Built, BuildError> {
    let files = DirFiles::confined(root)?;
    let path = kustomization.spec.path.as_deref().unwrap_or_default();
    let resources = kustomize(&files, path, kustomization)?;
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
    })
}

/// Runs the engine on the folder, with what the spec adds to its kustomization.
fn kustomize(files: &DirFiles, path: &str, kustomization: &Kustomization) -> Result<Resources, BuildError> {
    let overlay = overlay(kustomization);
    let prepared = ferro_kustomize::flux::prepare(files, path, &overlay).map_err(BuildError::Generate)?;
    let options = Options::default().without_load_restrictions();
    ferro_kustomize::build(&prepared, path, &options).map_err(BuildError::Kustomize)
}

fn overlay(kustomization: &Kustomization) -> ferro_kustomize::flux::Overlay {
    let spec = &kustomization.spec;
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let metadata = |option: &BuildMetadataOption| option.as_str().to_owned();
    ferro_kustomize::flux::Overlay {
        target_namespace: text(&spec.target_namespace),
        name_prefix: text(&spec.name_prefix),
        name_suffix: text(&spec.name_suffix),
        patches: spec.patches.iter().map(patch).collect(),
        images: spec.images.iter().map(image).collect(),
        components: spec.components.clone(),
        ignore_missing_components: spec.ignore_missing_components,
        build_metadata: spec.build_metadata.iter().map(metadata).collect(),
        ..ferro_kustomize::flux::Overlay::default()
    }
}

fn patch(patch: &ferro_api::meta::Patch) -> ferro_kustomize::flux::Patch {
    let target = patch
        .target
        .as_ref()
        .map(|target| ferro_kustomize::flux::Selector {
            group: target.group.clone(),
            version: target.version.clone(),
            kind: target.kind.clone(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            annotation_selector: target.annotation_selector.clone(),
            label_selector: target.label_selector.clone(),
        });
    ferro_kustomize::flux::Patch {
        patch: patch.patch.clone(),
        target,
    }
}

fn image(image: &ferro_api::meta::Image) -> ferro_kustomize::flux::Image {
    ferro_kustomize::flux::Image {
        name: image.name.clone(),
        new_name: image.new_name.clone(),
        new_tag: image.new_tag.clone(),
        digest: image.digest.clone(),
    }
}

/// The manifest of a resource, after substitution, and its value.
fn finished(resource: &Resource, options: &BuildOptions) -> Result<(String, Value), BuildError> {
    let value = resource.to_json();
    let substituted = options
        .variables
        .as_ref()
        .filter(|_| !is_substitution_disabled(&value));
    let Some(variables) = substituted else {
        return Ok((resource.to_yaml(), value));
    };
    let name = || resource.describe();
    let text = ferro_yaml::sigs::to_string(&value).map_err(|source| BuildError::Resubstituted {
        resource: name(),
        source,
    })?;
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
