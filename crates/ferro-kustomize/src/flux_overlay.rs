//! The root kustomization as Flux's kustomize-controller makes it: generated where there is none, and with
//! the fields of a Flux `Kustomization` laid over it.
//!
//! Flux rewrites the file in a copy of the artifact; here nothing is written, so that an artifact can be
//! shared and read-only.
//!
//! ```
//! use ferro_kustomize::flux_overlay::{Overlay, build};
//! use ferro_kustomize::{MemoryFiles, Options};
//!
//! let files = MemoryFiles::from([("/deploy/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n")]);
//! let overlay = Overlay { target_namespace: "prod".to_owned(), ..Overlay::default() };
//! let resources = build(&files, "/deploy", &overlay, &Options::default())?;
//! assert_eq!(resources.iter().next().map(|resource| resource.namespace()), Some("prod"));
//! # Ok::<(), ferro_kustomize::Error>(())
//! ```

use crate::error::{Context, Error, ErrorKind, Result, fail};
use crate::files::{FileError, Files};
use crate::options::{Options, Resources, build_with};
use crate::path;
use crate::types::{Image, Kustomization, Patch};

const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Keeps a kustomization without anything in it from counting as empty.
const PLACEHOLDER: &str = "_placeholder";
/// What the walk through a directory may cost.
const MAX_FILES: usize = 100_000;
const MAX_DEPTH: usize = 256;

/// What a Flux `Kustomization` lays over the root kustomization; blank fields change nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    /// Replaces `namespace`.
    pub target_namespace: String,
    /// Replaces `namePrefix`.
    pub name_prefix: String,
    /// Replaces `nameSuffix`.
    pub name_suffix: String,
    /// Appended to `patches`.
    pub patches: Vec<Patch>,
    /// Appended to `patchesStrategicMerge`.
    pub patches_strategic_merge: Vec<String>,
    /// Appended to `patchesJson6902`.
    pub patches_json6902: Vec<Patch>,
    /// Merged into `images` by name.
    pub images: Vec<Image>,
    /// Appended to `components`; each must be local and relative.
    pub components: Vec<String>,
    /// Whether components that are not there are left out.
    pub ignore_missing_components: bool,
    /// Replaces `buildMetadata`.
    pub build_metadata: Vec<String>,
}

/// The root kustomization of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    /// The kustomization with everything laid over it.
    pub kustomization: Kustomization,
    /// The name of the file that it stands for.
    pub file: &'static str,
    /// Whether there was none.
    pub is_generated: bool,
}

/// Builds a directory with an overlay.
pub fn build(files: &dyn Files, dir: &str, overlay: &Overlay, options: &Options<'_>) -> Result<Resources> {
    let root = prepare(files, dir, overlay)?;
    build_with(files, dir, root.kustomization, root.file, options)
}

/// Reads or generates the root kustomization and lays the overlay over it.
pub fn prepare(files: &dyn Files, dir: &str, overlay: &Overlay) -> Result<Root> {
    let dir = &files.resolve(dir)?.path;
    let mut root = match find(files, dir)? {
        Some((file, content)) => {
            let mut kustomization = Kustomization::decode_leniently(&content, file)?;
            if kustomization.resources.is_empty() {
                kustomization.build_metadata = vec!["originAnnotations".to_owned()];
            }
            Root {
                kustomization,
                file,
                is_generated: false,
            }
        }
        None => Root {
            kustomization: generate(files, dir)?,
            file: FILE_NAMES[0],
            is_generated: true,
        },
    };
    apply(&mut root.kustomization, files, dir, overlay)?;
    Ok(root)
}

fn find(files: &dyn Files, dir: &str) -> Result<Option<(&'static str, Vec<u8>)>> {
    let mut found = None;
    for name in FILE_NAMES {
        let Some(path) = file_at(files, &path::join(dir, name))? else {
            continue;
        };
        if found.is_some() {
            return Err(ErrorKind::MultipleKustomizations { dir: dir.to_owned() }.into());
        }
        found = Some((name, files.read(&path)?.into_owned()));
    }
    Ok(found)
}

/// Resolves a path to a file, if one is there.
fn file_at(files: &dyn Files, path: &str) -> Result<Option<String>> {
    match files.resolve(path) {
        Ok(found) if found.is_dir => Ok(None),
        Ok(found) => Ok(Some(found.path)),
        Err(FileError::NotFound { .. } | FileError::NotADirectory { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lists every manifest below a directory, and the directories that have a kustomization of their own.
fn generate(files: &dyn Files, dir: &str) -> Result<Kustomization> {
    let mut resources = Vec::new();
    collect(files, dir, ".", 0, &mut resources)?;
    let namespace = if resources.is_empty() {
        PLACEHOLDER.to_owned()
    } else {
        String::new()
    };
    Ok(Kustomization {
        resources,
        namespace,
        ..Kustomization::default()
    })
}

fn collect(
    files: &dyn Files,
    dir: &str,
    relative: &str,
    depth: usize,
    found: &mut Vec<String>,
) -> Result<()> {
    if depth > MAX_DEPTH {
        fail!("'{dir}' is nested more than {MAX_DEPTH} directories deep");
    }
    for entry in files.list(dir)? {
        let path = path::join(dir, &entry.name);
        let name = format!("{relative}/{}", entry.name);
        if entry.is_dir {
            if has_kustomization(files, &path)? {
                found.push(name);
            } else {
                collect(files, &path, &name, depth + 1, found)?;
            }
        } else if entry.name.ends_with(".yaml") || entry.name.ends_with(".yml") {
            let content = files.resolve(&path).and_then(|file| files.read(&file.path));
            content
                .map_err(Error::from)
                .and_then(|content| crate::read::resources(&content, Some(&name)))
                .during(|| format!("failed to decode Kubernetes YAML from {path}"))?;
            found.push(name);
        }
        if found.len() > MAX_FILES {
            fail!("more than {MAX_FILES} manifests below '{dir}'");
        }
    }
    Ok(())
}

fn has_kustomization(files: &dyn Files, dir: &str) -> Result<bool> {
    for name in FILE_NAMES {
        if file_at(files, &path::join(dir, name))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn apply(kustomization: &mut Kustomization, files: &dyn Files, dir: &str, overlay: &Overlay) -> Result<()> {
    for (field, value) in [
        (&mut kustomization.namespace, &overlay.target_namespace),
        (&mut kustomization.name_prefix, &overlay.name_prefix),
        (&mut kustomization.name_suffix, &overlay.name_suffix),
    ] {
        if !value.is_empty() {
            field.clone_from(value);
        }
    }
    kustomization.patches.extend_from_slice(&overlay.patches);
    for component in &overlay.components {
        if !is_local_and_relative(component) {
            fail!("component path '{component}' must be local and relative");
        }
        let is_missing = || files.resolve(&path::join(dir, component)).is_err();
        if !(overlay.ignore_missing_components && is_missing()) {
            kustomization.components.push(component.clone());
        }
    }
    kustomization
        .patches_strategic_merge
        .extend_from_slice(&overlay.patches_strategic_merge);
    kustomization
        .patches_json6902
        .extend_from_slice(&overlay.patches_json6902);
    for image in &overlay.images {
        merge_image(&mut kustomization.images, image);
    }
    if !overlay.build_metadata.is_empty() {
        kustomization.build_metadata.clone_from(&overlay.build_metadata);
    }
    Ok(())
}

/// Changes the entry of the same name; tag and digest are one thing.
fn merge_image(images: &mut Vec<Image>, image: &Image) {
    let Some(known) = images.iter_mut().find(|known| known.name == image.name) else {
        images.push(image.clone());
        return;
    };
    if !image.new_name.is_empty() {
        known.new_name.clone_from(&image.new_name);
    }
    if !image.new_tag.is_empty() || !image.digest.is_empty() {
        known.new_tag.clone_from(&image.new_tag);
        known.digest.clone_from(&image.digest);
    }
}

fn is_local_and_relative(path: &str) -> bool {
    const REMOTE: [&str; 8] = [
        "git::",
        "gh:",
        "ssh://",
        "https://",
        "http://",
        "git@",
        "github.com:",
        "github.com/",
    ];
    let lower = path.to_ascii_lowercase();
    let local = lower.strip_prefix("file://").unwrap_or(&lower);
    !REMOTE.iter().any(|prefix| lower.starts_with(prefix)) && !local.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryFiles;

    fn config_map(name: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
    }

    fn built(files: &MemoryFiles, overlay: &Overlay) -> Result<String> {
        build(files, "/d", overlay, &Options::default())?.to_yaml()
    }

    #[test]
    fn a_missing_file_is_generated_from_the_manifests() {
        let files = MemoryFiles::from([
            ("/d/b.yaml", config_map("b")),
            ("/d/a/x.yml", config_map("x")),
            ("/d/a/note.txt", "no".to_owned()),
            (
                "/d/c/kustomization.yaml",
                "resources: [y.yaml]\nnamePrefix: p-\n".to_owned(),
            ),
            ("/d/c/y.yaml", config_map("y")),
        ]);
        let root = prepare(&files, "/d", &Overlay::default()).unwrap();
        assert_eq!(root.kustomization.resources, ["./a/x.yml", "./b.yaml", "./c"]);
        let text = built(&files, &Overlay::default()).unwrap();
        assert_eq!(
            text,
            [config_map("x"), config_map("b"), config_map("p-y")].join("---\n")
        );
    }

    #[test]
    fn an_empty_directory_builds_nothing() {
        let mut files = MemoryFiles::new();
        files.insert_dir("/d");
        assert_eq!(built(&files, &Overlay::default()).unwrap(), "");
    }

    #[test]
    fn a_broken_manifest_is_named() {
        let files = MemoryFiles::from([("/d/a.yaml", "kind: [")]);
        let error = built(&files, &Overlay::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("failed to decode Kubernetes YAML from /d/a.yaml: ")
        );
    }

    #[test]
    fn the_overlay_goes_over_the_file() {
        let files = MemoryFiles::from([
            (
                "/d/kustomization.yaml",
                "resources: [a.yaml]\nnamePrefix: x-\nunknown: dropped\nimages: [{name: i, newTag: '1'}]\n"
                    .to_owned(),
            ),
            ("/d/a.yaml", config_map("a")),
        ]);
        let overlay = Overlay {
            name_prefix: "y-".to_owned(),
            target_namespace: "prod".to_owned(),
            images: vec![Image {
                name: "i".to_owned(),
                digest: "sha256:0".to_owned(),
                ..Image::default()
            }],
            ..Overlay::default()
        };
        let root = prepare(&files, "/d", &overlay).unwrap();
        assert_eq!(root.kustomization.images.len(), 1);
        assert_eq!(root.kustomization.images[0].new_tag, "");
        assert_eq!(
            built(&files, &overlay).unwrap(),
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y-a\n  namespace: prod\n"
        );
    }

    #[test]
    fn components_are_local_and_may_be_missing() {
        for path in [
            "https://x/y",
            "git@h:o/r",
            "GitHub.com/o/r",
            "/abs",
            "file:///abs",
        ] {
            assert!(!is_local_and_relative(path), "{path}");
        }
        assert!(is_local_and_relative("../c") && is_local_and_relative("file://c"));
        let files = MemoryFiles::from([("/d/a.yaml", config_map("a"))]);
        let mut overlay = Overlay {
            components: vec!["../none".to_owned()],
            ..Overlay::default()
        };
        assert!(built(&files, &overlay).is_err());
        overlay.ignore_missing_components = true;
        assert!(built(&files, &overlay).is_ok());
    }

    #[test]
    fn two_files_are_refused() {
        let files = MemoryFiles::from([("/d/kustomization.yaml", ""), ("/d/Kustomization", "")]);
        let error = built(&files, &Overlay::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::MultipleKustomizations { .. }));
    }
}
