//! Charts from repositories and sources: found, fetched, changed, packaged.
//!
//! [`build_remote`] takes a chart from a [`Repository`](crate::Repository), [`build_local`] one from the artifact of a source. Both come to a [`Build`]: what
//! the chart is called, and its archive, unless it is the one that is stored already.

mod local;
mod package;
mod tree;
mod values;

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use ferro_gocompat::semver::Version;
use ferro_helm::chart::{Chart, Dependency, load_archive};

pub use local::Open;
pub use package::{Package, PackageError};
pub use tree::TreeError;
pub use values::{ValuesError, effective};

use crate::http::Limits;
use crate::index::ChartVersion;
use crate::repository::{Repository, RepositoryError};
use crate::url as address;
use local::Local;
use values::{Merged, VALUES_FILE};

/// What went wrong with a build, as users are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is no such chart; nothing but another reference helps.
    Reference,
    /// The chart could not be fetched.
    Pull,
    /// It is not signed as it should be.
    Verification,
    /// The version cannot be changed.
    Metadata,
    /// The files of values cannot be merged.
    Values,
    /// A dependency could not be added.
    Dependency,
    /// The archive could not be written.
    Package,
    /// Something else.
    Unknown,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "invalid chart reference",
            Self::Pull => "chart pull error",
            Self::Verification => "chart verification error",
            Self::Metadata => "chart metadata patch error",
            Self::Values => "values files merge error",
            Self::Dependency => "dependency build error",
            Self::Package => "chart package error",
            Self::Unknown => "unknown build error",
        })
    }
}

/// Why a chart could not be built, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {cause}")]
pub struct BuildError {
    /// What was being done.
    pub stage: Stage,
    /// What went wrong.
    pub cause: String,
    /// Whether a server did not trust us, or could not be trusted.
    pub is_auth: bool,
}

impl BuildError {
    /// An error of a stage.
    pub fn new(stage: Stage, cause: impl fmt::Display) -> Self {
        Self {
            stage,
            cause: cause.to_string(),
            is_auth: false,
        }
    }

    fn of(stage: Stage) -> impl Fn(String) -> Self {
        move |cause| Self::new(stage, cause)
    }

    fn repository(stage: Stage, what: &str, error: &RepositoryError) -> Self {
        Self {
            stage,
            cause: format!("{what}: {error}"),
            is_auth: error.is_auth(),
        }
    }
}

/// What is wanted of a chart.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// What is put behind the version, after a `+`; empty for nothing.
    pub metadata: String,
    /// Files of values that take the place of the chart's defaults, as the user named them.
    pub values_files: Vec<String>,
    /// Whether those that are not there are passed over.
    pub ignores_missing: bool,
    /// Name and version of the chart that is stored and may be kept.
    pub stored: Option<(String, String)>,
    /// The files of values that went into it, where that is known.
    pub stored_values_files: Vec<String>,
    /// What may be read.
    pub limits: Limits,
}

impl BuildOptions {
    fn effective(&self) -> &[String] {
        effective(&self.values_files)
    }

    fn is_changed(&self) -> bool {
        !self.effective().is_empty() || !self.metadata.is_empty()
    }

    fn is_stored(&self, name: &str, version: &str) -> bool {
        self.stored
            .as_ref()
            .is_some_and(|(stored, at)| stored == name && at == version)
    }

    /// The version with what is put behind it.
    fn version(&self, version: &str) -> Result<String, BuildError> {
        if self.metadata.is_empty() {
            return Ok(version.to_owned());
        }
        let failed = BuildError::of(Stage::Metadata);
        let parsed = Version::parse(version).map_err(|error| {
            failed(format!(
                "failed to parse version from chart metadata as SemVer: {error}"
            ))
        })?;
        let text = parsed.to_string();
        let core = text.split('+').next().unwrap_or_default();
        Version::parse_strict(&format!("{core}+{}", self.metadata))
            .map(|version| version.to_string())
            .map_err(|error| failed(format!("failed to set SemVer metadata on chart version: {error}")))
    }
}

/// A chart that was built.
#[derive(Debug)]
pub struct Build {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The files of values that went into it.
    pub values_files: Vec<String>,
    /// How many dependencies were added.
    pub dependencies: usize,
    /// Whether it was packaged here.
    pub is_packaged: bool,
    /// Its archive.
    pub content: Content,
}

/// The archive of a chart.
#[derive(Debug)]
pub enum Content {
    /// The one that is stored.
    Stored,
    /// As it came.
    Archive(Bytes),
    /// Still to be written.
    Package(Box<Package>),
}

impl Content {
    /// Writes the archive; of the one that is stored, nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), PackageError> {
        match self {
            Self::Stored => Ok(()),
            Self::Archive(bytes) => Ok(out.write_all(bytes)?),
            Self::Package(package) => package.write(out),
        }
    }
}

impl Build {
    /// What was done, in a sentence.
    pub fn summary(&self) -> String {
        let action = if self.is_packaged { "packaged" } else { "pulled" };
        let mut text = format!("{action} '{}' chart with version '{}'", self.name, self.version);
        if !self.values_files.is_empty() {
            text.push_str(&format!(
                " and merged values files [{}]",
                self.values_files.join(" ")
            ));
        }
        text
    }
}

/// Finds the version of the chart `name` in the range `version` in `repository`.
///
/// # Errors
/// With the stage that failed.
pub async fn find_remote(
    repository: &Repository,
    name: &str,
    version: &str,
) -> Result<ChartVersion, BuildError> {
    local::check_name(name).map_err(BuildError::of(Stage::Reference))?;
    repository.version(name, version).await.map_err(|error| {
        let stage = if error.is_reference() {
            Stage::Reference
        } else {
            Stage::Pull
        };
        BuildError::repository(stage, "failed to get chart version for remote reference", &error)
    })
}

/// Takes the chart `name` in a version of the range `version` from `repository`.
///
/// # Errors
/// With the stage that failed.
pub async fn build_remote(
    repository: &Repository,
    name: &str,
    version: &str,
    options: &BuildOptions,
) -> Result<Build, BuildError> {
    let found = find_remote(repository, name, version).await?;
    let mut build = Build {
        name: found.name.clone(),
        version: options.version(&found.version)?,
        values_files: Vec::new(),
        dependencies: 0,
        is_packaged: options.is_changed(),
        content: Content::Stored,
    };
    if options.is_stored(&build.name, &build.version) {
        build.values_files = stored_values_files(options);
        return Ok(build);
    }
    let archive = repository.download(&found).await.map_err(|error| {
        BuildError::repository(
            Stage::Pull,
            "failed to download chart for remote reference",
            &error,
        )
    })?;
    let (options, version) = (options.clone(), build.version.clone());
    let content = tokio::task::spawn_blocking(move || remote_content(archive, version, &options));
    let lost = |_| BuildError::new(Stage::Unknown, "the worker thread was lost");
    (build.content, build.values_files) = content.await.map_err(lost)??;
    Ok(build)
}

fn stored_values_files(options: &BuildOptions) -> Vec<String> {
    if options.stored_values_files.is_empty() {
        options.effective().to_vec()
    } else {
        options.stored_values_files.clone()
    }
}

/// What becomes of an archive from a repository.
fn remote_content(
    archive: Bytes,
    version: String,
    options: &BuildOptions,
) -> Result<(Content, Vec<String>), BuildError> {
    if !options.is_changed() {
        local::archive_metadata(&archive).map_err(|cause| {
            let cause = if cause.starts_with("validation:") {
                format!("failed to validate metadata of written chart: {cause}")
            } else {
                format!("failed to load chart metadata from written chart: {cause}")
            };
            BuildError::new(Stage::Pull, cause)
        })?;
        return Ok((Content::Archive(archive), Vec::new()));
    }
    let loaded = load_archive(&archive).map_err(|error| {
        BuildError::new(
            Stage::Package,
            format!("failed to load downloaded chart: {error}"),
        )
    })?;
    let mut package = Package::new(loaded.chart);
    package.version = Some(version);
    let merged = merge_remote(&package.chart, options)
        .map_err(|error| BuildError::new(Stage::Values, format!("failed to merge chart values: {error}")))?;
    let files = overwrite(&mut package, merged)?;
    Ok((Content::Package(Box::new(package)), files))
}

/// Merges files of values that are in the chart.
fn merge_remote(chart: &Chart, options: &BuildOptions) -> Result<Merged, ValuesError> {
    let read = |file: &str| {
        let name = ferro_gocompat::path::clean(file);
        if name == VALUES_FILE {
            return Ok(Some(chart.values.clone()));
        }
        let found = chart.files.iter().find(|file| file.name == name);
        found.map(|found| values::read(file, &found.data)).transpose()
    };
    let missing = |file: &str| ValuesError(format!("no values file found at path '{file}'"));
    values::merge_files(&options.values_files, options.ignores_missing, read, missing)
}

/// Replaces the defaults of the chart, if they become others. Gives the files that went into them.
fn overwrite(package: &mut Package, merged: Merged) -> Result<Vec<String>, BuildError> {
    let failed = |cause: String| BuildError::new(Stage::Values, cause);
    let values = values::encode(merged.values).map_err(|error| failed(error.to_string()))?;
    let current = package.chart.raw.iter().find(|file| file.name == VALUES_FILE);
    let current = current.ok_or_else(|| failed(format!("failed to locate values file: {VALUES_FILE}")))?;
    if *current.data == *values {
        return Ok(Vec::new());
    }
    package.values = Some(values);
    Ok(merged.files)
}

/// Finds the repositories of dependencies.
pub trait Repositories: Sync {
    /// The repository at a normalised address.
    fn get(&self, url: &str) -> impl Future<Output = Result<Repository, String>> + Send;
}

/// The artifact of a source, which can be read more than once.
pub trait SourceFile: Send + Sync + 'static {
    /// Opens it at its beginning.
    ///
    /// # Errors
    /// When it is gone.
    fn open(&self) -> std::io::Result<Box<dyn std::io::Read>>;
}

/// Takes the chart at `path` from the artifact of a source.
///
/// # Errors
/// With the stage that failed.
pub async fn build_local<S: SourceFile, R: Repositories>(
    source: Arc<S>,
    path: &str,
    options: &BuildOptions,
    repositories: &R,
) -> Result<Build, BuildError> {
    local::check_path(path).map_err(BuildError::of(Stage::Reference))?;
    let cancelled = Cancelled::default();
    let begun = {
        let (source, path, options, flag) = (
            Arc::clone(&source),
            path.to_owned(),
            options.clone(),
            cancelled.flag(),
        );
        off_thread(move || begin_local(&*source, &path, &options, &|| flag.is_set())).await?
    };
    let (mut build, mut package, local) = match begun {
        Begun::Done(build) => return Ok(build),
        Begun::Chart {
            build,
            package,
            local,
        } => (build, package, local),
    };
    if local.is_folder() {
        let missing = missing_dependencies(&package.chart);
        build.dependencies = missing.len();
        let (in_source, elsewhere): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_local);
        if !in_source.is_empty() {
            let flag = cancelled.flag();
            let names = in_source.clone();
            let charts = off_thread(move || {
                let open = || source.open();
                local
                    .dependencies(&open, &names, || flag.is_set())
                    .map_err(BuildError::of(Stage::Dependency))
            });
            add(&mut package, &in_source, charts.await?);
        }
        for dependency in &elsewhere {
            let chart = remote_dependency(dependency, repositories).await?;
            add(&mut package, std::slice::from_ref(dependency), vec![chart]);
        }
    }
    build.content = Content::Package(package);
    Ok(build)
}

/// How far a build comes without the network.
enum Begun {
    Done(Build),
    Chart {
        build: Build,
        package: Box<Package>,
        local: Local,
    },
}

fn begin_local(
    source: &impl SourceFile,
    path: &str,
    options: &BuildOptions,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Begun, BuildError> {
    let open = || source.open();
    let local = Local::read(&open, path, options.effective(), options.limits, is_cancelled)
        .map_err(|error| BuildError::new(Stage::Unknown, format!("artifact untar error: {error}")))?;
    let metadata = local.metadata().map_err(BuildError::of(Stage::Reference))?;
    let mut build = Build {
        version: options.version(&metadata.version)?,
        name: metadata.name,
        values_files: Vec::new(),
        dependencies: 0,
        is_packaged: local.is_folder() || options.is_changed(),
        content: Content::Stored,
    };
    if options.is_stored(&build.name, &build.version) {
        build.values_files = stored_values_files(options);
        return Ok(Begun::Done(build));
    }
    if !build.is_packaged {
        let archive = local.bytes().map_err(BuildError::of(Stage::Pull))?;
        build.content = Content::Archive(Bytes::copy_from_slice(&archive));
        return Ok(Begun::Done(build));
    }
    let merged = local
        .values(options.effective(), options.ignores_missing)
        .map_err(|error| BuildError::new(Stage::Values, error))?;
    let chart = local.load().map_err(BuildError::of(Stage::Package))?;
    let mut package = Box::new(Package::new(chart));
    package.version = Some(build.version.clone());
    if !options.effective().is_empty() {
        build.values_files = overwrite(&mut package, merged)?;
    }
    Ok(Begun::Chart {
        build,
        package,
        local,
    })
}

/// The dependencies that a chart names and does not have. As many as it names are taken for those that it names.
fn missing_dependencies(chart: &Chart) -> Vec<Dependency> {
    let named: Vec<&Dependency> = match &chart.lock {
        Some(lock) => lock.dependencies.iter().collect(),
        None => chart.metadata.dependencies().collect(),
    };
    if named.len() == chart.dependencies.len() {
        return Vec::new();
    }
    let has = |name: &str| chart.dependencies.iter().any(|chart| chart.name() == name);
    let missing = named
        .into_iter()
        .filter(|dependency| !has(dependency.shown_name()));
    missing.cloned().collect()
}

fn is_local(dependency: &Dependency) -> bool {
    dependency.repository.is_empty() || dependency.repository.starts_with("file://")
}

fn add(package: &mut Package, dependencies: &[Dependency], charts: Vec<Arc<Chart>>) {
    let alias = |dependency: &Dependency| (!dependency.alias.is_empty()).then(|| dependency.alias.clone());
    let named = dependencies.iter().zip(charts);
    package
        .dependencies
        .extend(named.map(|(dependency, chart)| (chart, alias(dependency))));
}

async fn remote_dependency(
    dependency: &Dependency,
    repositories: &impl Repositories,
) -> Result<Arc<Chart>, BuildError> {
    let Dependency {
        name,
        version,
        repository: url,
        ..
    } = dependency;
    let failed = |cause: String, is_auth| {
        let shown = dependency.shown_name();
        BuildError {
            stage: Stage::Dependency,
            cause: format!("failed to add remote dependency '{shown}': {cause}"),
            is_auth,
        }
    };
    address::check_dependency(url).map_err(|error| failed(error.to_string(), false))?;
    let normal = address::normalize(url).map_err(|error| failed(error.to_string(), false))?;
    let repository = repositories.get(&normal).await.map_err(|cause| {
        failed(
            format!("failed to get chart repository for URL '{normal}': {cause}"),
            false,
        )
    })?;
    let found = repository.version(name, version).await.map_err(|error| {
        let cause = format!("failed to get chart '{name}' version '{version}' from '{url}': {error}");
        failed(cause, error.is_auth())
    })?;
    let version = &found.version;
    let archive = repository.download(&found).await.map_err(|error| {
        let cause = format!("chart download of version '{version}' failed: {error}");
        failed(cause, error.is_auth())
    })?;
    let loaded = off_thread(move || Ok(load_archive(&archive))).await?;
    loaded.map(|loaded| loaded.chart).map_err(|error| {
        failed(
            format!("failed to load downloaded archive of version '{version}': {error}"),
            false,
        )
    })
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|_| Err(BuildError::new(Stage::Unknown, "the worker thread was lost")))
}

/// Set when the build is dropped, so that threads which work for it end.
#[derive(Default)]
struct Cancelled(Flag);

#[derive(Clone, Default)]
struct Flag(Arc<std::sync::atomic::AtomicBool>);

impl Cancelled {
    fn flag(&self) -> Flag {
        self.0.clone()
    }
}

impl Flag {
    fn is_set(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
