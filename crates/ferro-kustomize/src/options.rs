//! The entry: what to build, how, and what comes out.

use std::collections::{BTreeMap, BTreeSet};

use crate::accumulate::Build;
use crate::error::Result;
use crate::files::Files;
use crate::helm::Charts;
use crate::id::NOT_NAMESPACEABLE;
use crate::loader::{LoadRestrictions, Loader, Sources};
use crate::order::Reorder;
use crate::remote::RemoteSource;
use crate::resource::Resource;
use crate::schema::Schema;
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
    schema: Schema,
}

impl Resources {
    pub(crate) fn new(mut list: Vec<Resource>, warnings: Vec<String>, schema: Schema) -> Self {
        // What nodes have in common matters while they change; nobody else is to see how it is marked.
        for resource in list.iter_mut().filter(|resource| !resource.shared.is_empty()) {
            resource.node = crate::shared::without_anchors(&resource.node);
            resource.shared.clear();
        }
        Self {
            list,
            warnings,
            schema,
        }
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
                // Upstream shows what it could decode of the object.
                let shown = crate::shared::without_anchors(resource.node()).to_go_syntax();
                error.during(shown.unwrap_or_else(|_| "map[string]interface {}(nil)".to_owned()))
            })?);
        }
        Ok(text)
    }

    /// Writes each resource to a text of its own, with the name that `kustomize build -o DIR` gives its file: group,
    /// version, kind and name, and the namespace in front where there is more than one.
    ///
    /// ```
    /// use ferro_kustomize::{MemoryFiles, Options, build};
    ///
    /// let files = MemoryFiles::from([
    ///     ("/app/kustomization.yaml", "resources: [all.yaml]\n"),
    ///     ("/app/all.yaml", concat!(
    ///         "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n",
    ///         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n",
    ///     )),
    /// ]);
    /// let texts = build(&files, "/app", &Options::default())?.to_files()?;
    /// let names: Vec<_> = texts.keys().collect();
    /// assert_eq!(names, ["apps_v1_deployment_web.yaml", "v1_namespace_shop.yaml"]);
    /// # Ok::<(), ferro_kustomize::Error>(())
    /// ```
    pub fn to_files(&self) -> Result<BTreeMap<String, String>> {
        let ids: Vec<_> = self
            .list
            .iter()
            .map(|resource| resource.id(&self.schema))
            .collect();
        let namespaces: BTreeSet<&str> = ids
            .iter()
            .map(|id| id.effective_namespace())
            .filter(|namespace| *namespace != NOT_NAMESPACEABLE)
            .collect();
        let mut files = BTreeMap::new();
        // When names are the same but for their case, what has no namespace is written last.
        for is_cluster_scoped in [false, true] {
            let of_scope = self
                .list
                .iter()
                .zip(&ids)
                .filter(|(_, id)| id.is_cluster_scoped == is_cluster_scoped);
            for (resource, id) in of_scope {
                let stated = [&id.gvk.group, &id.gvk.version, &id.gvk.kind];
                let stated: Vec<&str> = stated
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .map(|part| &**part)
                    .collect();
                let mut name = format!("{}_{}.yaml", stated.join("_"), id.name);
                if namespaces.len() > 1 && !is_cluster_scoped {
                    name = format!("{}_{name}", id.effective_namespace());
                }
                files.insert(name.to_lowercase(), resource.to_yaml()?);
            }
        }
        Ok(files)
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
