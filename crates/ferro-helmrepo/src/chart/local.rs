//! A chart in a source: a folder, or an archive.

use std::io::Read;
use std::sync::Arc;

use ferro_gocompat::path;
use ferro_helm::chart::ignore::{FILE_NAME, Rules};
use ferro_helm::chart::{Chart, Dependency, File, Metadata, load_archive, load_files};
use serde_json::Value as Json;

use super::tree::{Content, Found, Tree, TreeError, join};
use super::values::{self, Merged, ValuesError};
use crate::http::Limits;

/// What is read of a source.
pub(crate) struct Local {
    tree: Tree,
    /// Where the chart is.
    path: String,
    limits: Limits,
}

/// How a source is opened; more than once, where a chart needs others beside it.
pub type Open<'o> = dyn Fn() -> std::io::Result<Box<dyn Read>> + 'o;

impl Local {
    /// Reads what stands at `chart`, and the files of values.
    pub(crate) fn read(
        open: &Open<'_>,
        chart: &str,
        values: &[String],
        limits: Limits,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Self, TreeError> {
        let path = join("", chart);
        let mut wanted: Vec<String> = values.iter().map(|file| join("", file)).collect();
        wanted.push(path.clone());
        let tree = read_tree(open, &wanted, &path, limits, is_cancelled)?;
        Ok(Self { tree, path, limits })
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.tree.find(&self.path), Found::Folder)
    }

    /// What the chart says of itself, with what an old one says elsewhere.
    pub(crate) fn metadata(&self) -> Result<Metadata, String> {
        let files = match self.tree.find(&self.path) {
            Found::Nothing => return Err(format!("stat /{}: no such file or directory", self.path)),
            Found::File(content) => {
                let archive = self.archive(content, &self.path)?;
                ferro_helm::chart::archive::read(archive).map_err(|error| error.to_string())?
            }
            Found::Folder => {
                let names = ["Chart.yaml", "requirements.yaml"];
                let mut files = Vec::new();
                for name in names {
                    match self.tree.find(&join(&self.path, name)) {
                        Found::File(Content::Data(data)) => files.push(File::new(name, data)),
                        Found::File(Content::TooLarge(_)) => {
                            let limit = self.limits.chart_file;
                            return Err(format!("size of '{name}' exceeds '{limit}' bytes limit"));
                        }
                        Found::Folder => return Err(format!("'{name}' is a directory")),
                        Found::Nothing => {}
                    }
                }
                files
            }
        };
        metadata(&files, &self.path)
    }

    fn archive<'t>(&self, content: &'t Content, path: &str) -> Result<&'t Arc<[u8]>, String> {
        match content {
            Content::Data(data) if data.len() as u64 <= self.limits.chart => Ok(data),
            Content::Data(_) | Content::TooLarge(_) => {
                let (name, limit) = (base(path), self.limits.chart);
                Err(format!("size of chart '{name}' exceeds '{limit}' bytes limit"))
            }
        }
    }

    /// The archive of a chart that is one.
    pub(crate) fn bytes(&self) -> Result<Arc<[u8]>, String> {
        match self.tree.find(&self.path) {
            Found::File(content) => self.archive(content, &self.path).cloned(),
            Found::Nothing | Found::Folder => Err(format!("'{}' is a directory", self.path)),
        }
    }

    /// Merges files of values, whose paths are those in the source.
    pub(crate) fn values(&self, files: &[String], ignores_missing: bool) -> Result<Merged, ValuesError> {
        let missing = |file: &str| {
            let path = join("", file);
            ValuesError(format!(
                "no values file found at path '/{path}' (reference '{file}')"
            ))
        };
        let read = |file: &str| match self.tree.find(&join("", file)) {
            Found::File(Content::Data(data)) => values::read(file, data).map(Some),
            Found::File(Content::TooLarge(size)) => {
                let limit = self.limits.chart_file;
                let cause = format!("file size ({size}) exceeds limit ({limit})");
                Err(ValuesError(format!(
                    "could not read values from file '{file}': {cause}"
                )))
            }
            // Only what is not there at all may be missing.
            Found::Folder => Err(missing(file)),
            Found::Nothing => Ok(None),
        };
        values::merge_files(files, ignores_missing, read, missing)
    }

    /// Loads the chart.
    pub(crate) fn load(&self) -> Result<Arc<Chart>, String> {
        load(&self.tree, &self.path, self.limits)
    }

    /// Loads charts that the chart names as being in the source.
    pub(crate) fn dependencies(
        &self,
        open: &Open<'_>,
        dependencies: &[Dependency],
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Vec<Arc<Chart>>, String> {
        let place = |dependency: &Dependency| Ok::<_, String>(join(&self.path, &local_path(dependency)?));
        let failed = |dependency: &Dependency, cause: String| {
            format!(
                "failed to add local dependency '{}': {cause}",
                dependency.shown_name()
            )
        };
        let paths = dependencies
            .iter()
            .map(|dependency| place(dependency).map_err(|cause| failed(dependency, cause)));
        let paths = paths.collect::<Result<Vec<_>, _>>()?;
        let tree =
            read_tree(open, &paths, "", self.limits, is_cancelled).map_err(|error| error.to_string())?;
        let charts = dependencies.iter().zip(&paths).map(|(dependency, path)| {
            let chart = local_dependency(&tree, path, dependency, self.limits);
            chart.map_err(|cause| failed(dependency, cause))
        });
        charts.collect()
    }
}

fn read_tree(
    open: &Open<'_>,
    wanted: &[String],
    archive: &str,
    limits: Limits,
    is_cancelled: impl Fn() -> bool,
) -> Result<Tree, TreeError> {
    // Archives may be larger than files of charts.
    let max_file = |path: &str| {
        if path == archive || path.ends_with(".tgz") {
            limits.chart.max(limits.chart_file)
        } else {
            limits.chart_file
        }
    };
    Tree::read(open()?, wanted, max_file, is_cancelled)
}

fn local_path(dependency: &Dependency) -> Result<String, String> {
    let repository = dependency.repository.as_str();
    if repository.is_empty() {
        return Ok(format!("charts/{}", dependency.name));
    }
    let path = repository.strip_prefix("file://");
    let path = path.ok_or_else(|| format!("'{repository}' is not a local chart reference"))?;
    Ok(path.split(['?', '#']).next().unwrap_or_default().to_owned())
}

fn local_dependency(
    tree: &Tree,
    path: &str,
    dependency: &Dependency,
    limits: Limits,
) -> Result<Arc<Chart>, String> {
    use ferro_gocompat::semver::{Constraints, Version};
    let (range, reference) = (&dependency.version, &dependency.repository);
    if matches!(tree.find(path), Found::Nothing) {
        return Err(format!("no chart found at '/{path}' (reference '{reference}')"));
    }
    let constraint = Constraints::parse(range)
        .map_err(|error| format!("invalid version/constraint format '{range}': {error}"))?;
    let chart = load(tree, path, limits)
        .map_err(|cause| format!("failed to load chart from '/{path}' (reference '{reference}'): {cause}"))?;
    let version = Version::parse(&chart.metadata.version).map_err(|error| error.to_string())?;
    if !constraint.check(&version) {
        return Err(format!("can't get a valid version for constraint '{range}'"));
    }
    Ok(chart)
}

fn load(tree: &Tree, path: &str, limits: Limits) -> Result<Arc<Chart>, String> {
    let loaded = match tree.find(path) {
        Found::Nothing => return Err(format!("lstat /{path}: no such file or directory")),
        Found::File(Content::Data(data)) => load_archive(data),
        Found::File(Content::TooLarge(_)) => {
            let (name, limit) = (base(path), limits.chart);
            return Err(format!("size of chart '{name}' exceeds '{limit}' bytes limit"));
        }
        Found::Folder => {
            let files = folder(tree, path, limits)?;
            return load_files(files)
                .map(|loaded| loaded.chart)
                .map_err(|error| format!("failed to load chart from /{path}: {error}"));
        }
    };
    loaded
        .map(|loaded| loaded.chart)
        .map_err(|error| error.to_string())
}

/// The files of a folder that its rules leave.
fn folder(tree: &Tree, path: &str, limits: Limits) -> Result<Vec<File>, String> {
    let rules = match tree.find(&join(path, FILE_NAME)) {
        Found::File(Content::Data(data)) => {
            Rules::parse(data).map_err(|error| format!("cannot load ignore rules for chart: {error}"))?
        }
        _ => Rules::default(),
    };
    let mut files = Vec::new();
    for (name, content) in tree.below(path) {
        if rules.ignores_file(name) {
            continue;
        }
        // A chart in `charts/` may be an archive, and is then bounded as such.
        let limit = limits.chart_file;
        match content {
            Content::Data(data) if data.len() as u64 <= limit => files.push(File::new(name, data)),
            content => {
                let size = match content {
                    Content::Data(data) => data.len() as u64,
                    Content::TooLarge(size) => *size,
                };
                return Err(format!(
                    "failed to load files from /{path}: cannot load file {name} as file size ({size}) exceeds limit ({limit})"
                ));
            }
        }
    }
    Ok(files)
}

/// Reads what `Chart.yaml` says, and on top of it `requirements.yaml`.
fn metadata(files: &[File], path: &str) -> Result<Metadata, String> {
    let mut document = serde_json::Map::new();
    let mut text: &[u8] = &[];
    let mut has_any = false;
    for name in ["Chart.yaml", "requirements.yaml"] {
        let Some(file) = files.iter().find(|file| file.name == name) else {
            continue;
        };
        has_any = true;
        let cannot_load = |problem: String| format!("cannot load '{name}': {problem}");
        let json = ferro_yaml::sigs::from_slice(&file.data)
            .map_err(|error| cannot_load(format!("error converting YAML to JSON: {error}")))?;
        // What is wrong is said of the file that it is in.
        Metadata::from_document(json.clone(), &file.data).map_err(cannot_load)?;
        if let Json::Object(members) = json {
            document.extend(members);
        }
        if text.is_empty() {
            text = &file.data;
        }
    }
    if !has_any {
        return Err(if path::clean(path).ends_with(".tgz") {
            "no 'Chart.yaml' found".to_owned()
        } else {
            format!("open /{path}/Chart.yaml: no such file or directory")
        });
    }
    let mut metadata = Metadata::from_document(Json::Object(document), text)?;
    if metadata.api_version.is_empty() {
        "v1".clone_into(&mut metadata.api_version);
    }
    metadata.validate().map_err(|error| error.to_string())?;
    Ok(metadata)
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Metadata of a chart in an archive.
pub(crate) fn archive_metadata(archive: &[u8]) -> Result<Metadata, String> {
    let files = ferro_helm::chart::archive::read(archive).map_err(|error| error.to_string())?;
    if !files.iter().any(|file| file.name == "Chart.yaml") {
        return Err("no 'Chart.yaml' found".to_owned());
    }
    metadata(&files, ".tgz")
}

/// The path of a chart in a source is not to be empty, nor absolute.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    match path {
        "" => Err("no path set for local chart reference".to_owned()),
        path if path.starts_with('/') => {
            Err("local chart reference path is expected to be relative".to_owned())
        }
        _ => Ok(()),
    }
}

/// The name of a chart in a repository has lower-case words, with dashes, slashes and dots between them.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("no name set for remote chart reference".to_owned());
    }
    let is_word = |byte: u8| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'z');
    let mut rest = name.as_bytes();
    while !rest.is_empty() {
        let word = rest.iter().take_while(|byte| is_word(**byte)).count();
        rest = rest.get(word..).unwrap_or_default();
        let has_slash = usize::from(rest.first() == Some(&b'/'));
        rest = rest.get(has_slash..).unwrap_or_default();
        let has_dot = usize::from(rest.first() == Some(&b'.'));
        rest = rest.get(has_dot..).unwrap_or_default();
        if word == 0 {
            return Err(format!(
                "invalid chart name '{name}': a valid name must be lower case letters and numbers and MAY be separated with \
                 dashes (-), slashes (/) or periods (.)"
            ));
        }
    }
    Ok(())
}
