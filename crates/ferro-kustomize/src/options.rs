//! The entry: what to build, how, and what comes out.

use crate::accumulate::Build;
use crate::error::Result;
use crate::files::Files;
use crate::helm::Charts;
use crate::loader::{LoadRestrictions, Loader, Sources};
use crate::order::Reorder;
use crate::remote::RemoteSource;
use crate::resource::Resource;
use crate::types::Kustomization;

/// What to do with inputs for which upstream does what nobody can want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quirks {
    /// Lost data is an error, doubled suffixes and lost digits are mended.
    #[default]
    Fixed,
    /// As upstream does.
    Upstream,
}

/// How a custom schema and the built-in one go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaMode {
    /// The custom schema adds to the built-in one; Flux builds this way.
    #[default]
    Add,
    /// The custom schema takes its place, unless resources were read before it; the `kustomize` program
    /// builds this way.
    Replace,
}

/// How to build. The defaults are those of Flux, but for the files that layers may read.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// What a layer may read.
    pub load_restrictions: LoadRestrictions,
    /// The order when the kustomization file does not choose one.
    pub reorder: Reorder,
    /// Whether all objects get the `app.kubernetes.io/managed-by` label.
    pub managed_by_label: bool,
    /// How a custom schema and the built-in one go together.
    pub schema_mode: SchemaMode,
    /// What to do with inputs that upstream mishandles.
    pub quirks: Quirks,
    /// Where remote files and repositories come from; without one they are refused.
    pub remote: Option<&'a dyn RemoteSource>,
    /// What becomes of charts.
    pub charts: Charts<'a>,
}

/// What a build made: resources in order, and notes for the user.
#[derive(Debug, Default)]
pub struct Resources {
    list: Vec<Resource>,
    warnings: Vec<String>,
}

impl Resources {
    pub(crate) fn new(mut list: Vec<Resource>, warnings: Vec<String>) -> Self {
        // What nodes have in common matters while they change; nobody else is to see how it is marked.
        for resource in list.iter_mut().filter(|resource| !resource.shared.is_empty()) {
            resource.node = crate::shared::without_anchors(&resource.node);
            resource.shared.clear();
        }
        Self { list, warnings }
    }

    /// Returns the number of resources.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Goes over the resources in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.list.iter()
    }

    /// Returns the notes that kustomize prints to standard error, such as those on deprecated fields.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Writes all resources as `kustomize build` does, with `---` between them.
    pub fn to_yaml(&self) -> Result<String> {
        let mut text = String::new();
        for (index, resource) in self.list.iter().enumerate() {
            if index > 0 {
                text.push_str("---\n");
            }
            text.push_str(&resource.to_yaml().map_err(|error| {
                // Upstream shows what it could decode of the object, which is nothing.
                let is_undecodable = error.to_string().starts_with("yaml: ");
                if is_undecodable {
                    error.during("map[string]interface {}(nil)")
                } else {
                    error
                }
            })?);
        }
        Ok(text)
    }
}

impl<'r> IntoIterator for &'r Resources {
    type Item = &'r Resource;
    type IntoIter = std::slice::Iter<'r, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Resources {
    type Item = Resource;
    type IntoIter = std::vec::IntoIter<Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// Builds the kustomization in a directory.
pub fn build(files: &dyn Files, dir: &str, options: &Options<'_>) -> Result<Resources> {
    let loader = Loader::new(
        Sources::new(files, options.remote),
        options.load_restrictions,
        dir,
    )?;
    Build::new(options).run(loader, None)
}

/// Builds a directory with another kustomization than its file holds; `file` is what messages and origins
/// call it.
pub fn build_with(
    files: &dyn Files,
    dir: &str,
    kustomization: Kustomization,
    file: &str,
    options: &Options<'_>,
) -> Result<Resources> {
    let loader = Loader::new(
        Sources::new(files, options.remote),
        options.load_restrictions,
        dir,
    )?;
    Build::new(options).run(loader, Some((kustomization, file)))
}
