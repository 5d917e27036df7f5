//! One step of a recipe: files of a source are put in their places, as `cp` would.
//!
//! The sources and what is composed are trees in memory that have neither links nor parents, so that no path leads out of them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use ferro_api::source_extensions::{CopyOperation, CopyStrategy};
use ferro_artifact::fetch::{UnpackError, UnpackLimits, extract_blocking};
use ferro_artifact::tree::TreeError;
use ferro_http::describe;
use tokio_util::sync::CancellationToken;

use super::glob::{DoubleStar, base_of, double_star_glob, go_glob, is_excluded, is_pattern};
use super::merge::{MAX_BYTES, MergeError, merge};
use super::tree::{File, Found, Node, PutError, Stage, Tree, clean, join};

/// What an archive within a source may hold, as upstream has it.
const MAX_EXTRACTED: u64 = 100 << 20;

/// Why a step cannot be done. The texts are upstream's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// `from` is not `@alias/path`.
    #[error("invalid copy source '{from}': {why}")]
    Source {
        /// The field.
        from: String,
        /// What is wrong.
        why: &'static str,
    },
    /// `to` is not `@artifact/path`.
    #[error("invalid copy destination '{to}': {why}")]
    Destination {
        /// The field.
        to: String,
        /// What is wrong.
        why: &'static str,
    },
    /// No source is called that.
    #[error("source alias '{0}' not found")]
    Alias(String),
    /// A pattern of what is left out is malformed.
    #[error("invalid exclude pattern '{0}'")]
    Exclude(String),
    /// The path leads out of the source.
    #[error("failed to stat source '{0}': statat {0}: path escapes from parent")]
    Outside(String),
    /// There is nothing at the path.
    #[error("source '{0}' does not exist")]
    Missing(String),
    /// The pattern of what is copied is malformed.
    #[error("invalid glob pattern '{0}': syntax error in pattern")]
    Glob(String),
    /// Nothing matches.
    #[error("no files match pattern '{pattern}' in source '{alias}'")]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// The source.
        alias: String,
    },
    /// All that matches is left out.
    #[error("all files matching pattern '{pattern}' in source '{alias}' were excluded")]
    AllExcluded {
        /// The pattern.
        pattern: String,
        /// The source.
        alias: String,
    },
    /// What is to be extracted is a directory.
    #[error("extract strategy is not supported for directories, got '{0}'")]
    ExtractDirectory(String),
    /// What is to be extracted is no archive by its name.
    #[error("extract strategy requires tarball file (.tar.gz or .tgz), got '{0}'")]
    ExtractFile(String),
    /// A file of several cannot be copied.
    #[error("failed to copy file '{path}' to '{to}': {}", describe(.why.as_ref()))]
    File {
        /// The file.
        path: String,
        /// Where it was to go.
        to: String,
        /// Why.
        why: Box<Self>,
    },
    /// An archive cannot be unpacked.
    #[error("failed to extract tarball {path:?} to {to:?}: {}", describe(.why))]
    Extract {
        /// The archive.
        path: String,
        /// Where its files were to go.
        to: String,
        /// Why.
        why: UnpackError,
    },
    /// What the archive held cannot be read again.
    #[error("failed to read what tarball {path:?} held: {}", describe(.why))]
    Extracted {
        /// The archive.
        path: String,
        /// Why.
        why: TreeError,
    },
    /// Something else is in the place.
    #[error(transparent)]
    Put(#[from] PutError),
    /// YAML cannot be merged.
    #[error("{}", describe(.0))]
    Merge(MergeError),
    /// A file is too large to be merged.
    #[error("file '{path}' is larger than {MAX_BYTES} bytes, which is the most that is merged")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The disk failed.
    #[error("failed to read '{path}': {why}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        why: io::Error,
    },
    /// The work was cut short.
    #[error("composing was cancelled")]
    Cancelled,
}

/// What steps are done with.
pub(crate) struct Kitchen<'a> {
    /// The sources by their aliases.
    pub sources: &'a BTreeMap<String, Arc<Tree>>,
    /// A folder for what archives within sources hold. It must outlive what is composed.
    pub scratch: &'a Path,
    /// Ends the work early.
    pub cancel: &'a CancellationToken,
}

/// A step, read and checked.
struct Step<'a> {
    source: &'a Tree,
    alias: &'a str,
    path: &'a str,
    to: &'a str,
    into_directory: bool,
    exclude: Vec<DoubleStar>,
    strategy: CopyStrategy,
}

/// Does one step.
///
/// # Errors
/// When the step makes no sense for the files that are there.
pub(crate) fn apply_blocking(
    operation: &CopyOperation,
    kitchen: &Kitchen<'_>,
    stage: &mut Stage,
) -> Result<(), CopyError> {
    let step = Step::read(operation, kitchen)?;
    if is_pattern(step.path) {
        step.copy_matching(kitchen, stage)
    } else {
        step.copy_path(kitchen, stage)
    }
}

impl<'a> Step<'a> {
    fn read(operation: &'a CopyOperation, kitchen: &'a Kitchen<'_>) -> Result<Self, CopyError> {
        let (alias, path) = source_of(&operation.from)?;
        let to = destination_of(&operation.to)?;
        let source = kitchen
            .sources
            .get(alias)
            .ok_or_else(|| CopyError::Alias(alias.to_owned()))?;
        let exclude = operation
            .exclude
            .iter()
            .map(|pattern| DoubleStar::parse(pattern).map_err(|_| CopyError::Exclude(pattern.clone())));
        Ok(Self {
            source,
            alias,
            path,
            to,
            into_directory: operation.to.ends_with('/'),
            exclude: exclude.collect::<Result<_, _>>()?,
            strategy: operation.strategy.unwrap_or_default(),
        })
    }

    /// A path without wildcards: a file or a directory.
    fn copy_path(&self, kitchen: &Kitchen<'_>, stage: &mut Stage) -> Result<(), CopyError> {
        let path = clean(self.path);
        if path.starts_with('/') || path == ".." || path.starts_with("../") {
            return Err(CopyError::Outside(path));
        }
        match self.source.find(&path) {
            None => Err(CopyError::Missing(path)),
            Some(Found::Directory(_)) if self.strategy == CopyStrategy::Extract => {
                Err(CopyError::ExtractDirectory(path))
            }
            Some(Found::Directory(directory)) => {
                // The source itself has no name.
                let name = if path == "." { "" } else { base_name(&path) };
                let to = self.place(name);
                self.copy_directory(directory, &path, &to, &path, kitchen, stage)
            }
            Some(Found::File(file)) => self.copy_single(file, &path, kitchen, stage),
        }
    }

    fn copy_single(
        &self,
        file: &Arc<File>,
        path: &str,
        kitchen: &Kitchen<'_>,
        stage: &mut Stage,
    ) -> Result<(), CopyError> {
        if is_excluded(path, ".", &self.exclude) {
            return Ok(());
        }
        if self.strategy == CopyStrategy::Extract {
            if !is_tarball(path) {
                return Err(CopyError::ExtractFile(path.to_owned()));
            }
            return self.extract(file, path, kitchen, stage);
        }
        let place = clean(self.to);
        let into_directory = self.into_directory || matches!(stage.find(&place), Some(Found::Directory(_)));
        let to = if into_directory {
            self.place(base_name(path))
        } else {
            place
        };
        self.copy_file(file, path, &to, stage)
    }

    /// All that matches the pattern.
    fn copy_matching(&self, kitchen: &Kitchen<'_>, stage: &mut Stage) -> Result<(), CopyError> {
        let matches = self.matches()?;
        if matches.is_empty() {
            return Err(CopyError::NoMatch {
                pattern: self.path.to_owned(),
                alias: self.alias.to_owned(),
            });
        }
        let base = base_of(self.path);
        let wanted: Vec<String> = matches
            .into_iter()
            .filter(|path| !is_excluded(path, &base, &self.exclude))
            .collect();
        if wanted.is_empty() {
            return Err(CopyError::AllExcluded {
                pattern: self.path.to_owned(),
                alias: self.alias.to_owned(),
            });
        }
        for path in wanted {
            check(kitchen)?;
            self.copy_match(&path, &base, kitchen, stage)?;
        }
        Ok(())
    }

    fn matches(&self) -> Result<Vec<String>, CopyError> {
        let malformed = || CopyError::Glob(self.path.to_owned());
        if self.strategy == CopyStrategy::Extract {
            let pattern = DoubleStar::parse(self.path).map_err(|_| malformed())?;
            return Ok(double_star_glob(self.source, &pattern));
        }
        go_glob(self.source, self.path).map_err(|_| malformed())
    }

    fn copy_match(
        &self,
        path: &str,
        base: &str,
        kitchen: &Kitchen<'_>,
        stage: &mut Stage,
    ) -> Result<(), CopyError> {
        let Some(found) = self.source.find(path) else {
            return Ok(());
        };
        if self.strategy == CopyStrategy::Extract {
            return match found {
                Found::File(file) if is_tarball(path) => self.extract(file, path, kitchen, stage),
                // Others are passed by.
                _ => Ok(()),
            };
        }
        let to = self.place(self.below_the_prefix(path));
        let copied = match found {
            Found::Directory(directory) => self.copy_directory(directory, path, &to, base, kitchen, stage),
            Found::File(file) => self.copy_file(file, path, &to, stage),
        };
        copied.map_err(|why| CopyError::File {
            path: path.to_owned(),
            to,
            why: Box::new(why),
        })
    }

    /// The part of a match that is kept: below `dir` for `dir/**`, all of it for any other pattern.
    fn below_the_prefix<'p>(&self, path: &'p str) -> &'p str {
        self.path
            .strip_suffix("/**")
            .and_then(|prefix| path.strip_prefix(prefix)?.strip_prefix('/'))
            .unwrap_or(path)
    }

    /// The place of `name` below the destination.
    fn place(&self, name: &str) -> String {
        clean(&format!("{}/{name}", self.to))
    }

    /// Copies what is in a directory, which lies at `path`. Nothing is merged here, as upstream has it.
    fn copy_directory(
        &self,
        directory: &Tree,
        path: &str,
        to: &str,
        base: &str,
        kitchen: &Kitchen<'_>,
        stage: &mut Stage,
    ) -> Result<(), CopyError> {
        check(kitchen)?;
        stage.make_directory(to)?;
        for (name, node) in directory.iter() {
            let path = join(path, name);
            if is_excluded(&path, base, &self.exclude) {
                continue;
            }
            let to = join(to, name);
            match node {
                Node::Directory(below) => self.copy_directory(below, &path, &to, base, kitchen, stage)?,
                Node::File(file) => stage.put(&to, Arc::clone(file))?,
            }
        }
        Ok(())
    }

    fn copy_file(&self, file: &Arc<File>, path: &str, to: &str, stage: &mut Stage) -> Result<(), CopyError> {
        let existing = match stage.find(to) {
            Some(Found::File(existing)) if self.strategy == CopyStrategy::Merge => Arc::clone(existing),
            _ => return Ok(stage.put(to, Arc::clone(file))?),
        };
        let merged = merge(&read(&existing, to)?, &read(file, path)?).map_err(CopyError::Merge)?;
        let merged = File::in_memory(merged.into_bytes(), existing.is_executable());
        Ok(stage.put(to, Arc::new(merged))?)
    }

    /// Puts what an archive holds in place.
    fn extract(
        &self,
        file: &Arc<File>,
        path: &str,
        kitchen: &Kitchen<'_>,
        stage: &mut Stage,
    ) -> Result<(), CopyError> {
        check(kitchen)?;
        let failed = |why| CopyError::Read {
            path: path.to_owned(),
            why,
        };
        let to = clean(self.to);
        let folder = tempfile::tempdir_in(kitchen.scratch).map_err(failed)?;
        let (_, bytes) = file.open().map_err(failed)?;
        let limits = UnpackLimits {
            unpacked: MAX_EXTRACTED,
            ..UnpackLimits::default()
        };
        extract_blocking(bytes, folder.path(), limits).map_err(|why| CopyError::Extract {
            path: path.to_owned(),
            to: to.clone(),
            why,
        })?;
        // It is read when the artifact is written, and goes with the scratch folder.
        let held =
            Tree::scan_blocking(&folder.keep(), kitchen.cancel).map_err(|why| CopyError::Extracted {
                path: path.to_owned(),
                why,
            })?;
        let everything = Step {
            exclude: Vec::new(),
            ..*self
        };
        everything.copy_directory(&held, ".", &to, ".", kitchen, stage)
    }
}

fn check(kitchen: &Kitchen<'_>) -> Result<(), CopyError> {
    if kitchen.cancel.is_cancelled() {
        return Err(CopyError::Cancelled);
    }
    Ok(())
}

fn read(file: &File, path: &str) -> Result<Vec<u8>, CopyError> {
    let failed = |why| CopyError::Read {
        path: path.to_owned(),
        why,
    };
    let (size, bytes) = file.open().map_err(failed)?;
    if size > MAX_BYTES {
        return Err(CopyError::TooLarge {
            path: path.to_owned(),
        });
    }
    let mut all = Vec::new();
    bytes.take(MAX_BYTES).read_to_end(&mut all).map_err(failed)?;
    Ok(all)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file is an archive by its name.
fn is_tarball(path: &str) -> bool {
    let lower = path.to_lowercase();
    lower.ends_with(".tar.gz") || lower.ends_with(".tgz")
}

/// Alias and path of `@alias/path`.
fn source_of(from: &str) -> Result<(&str, &str), CopyError> {
    let invalid = |why| CopyError::Source {
        from: from.to_owned(),
        why,
    };
    let rest = from
        .strip_prefix('@')
        .ok_or_else(|| invalid("source must start with '@'"))?;
    rest.split_once('/')
        .ok_or_else(|| invalid("source format must be '@alias/pattern'"))
}

/// The path of `@artifact/path`.
fn destination_of(to: &str) -> Result<&str, CopyError> {
    let invalid = |why| CopyError::Destination {
        to: to.to_owned(),
        why,
    };
    let path = to
        .strip_prefix("@artifact/")
        .ok_or_else(|| invalid("destination must start with '@artifact/'"))?;
    let cleaned = clean(path);
    if path.starts_with('/') || cleaned == ".." || cleaned.starts_with("../") {
        return Err(invalid("destination path must stay within the artifact root"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(invalid("destination path must not contain '..'"));
    }
    Ok(if path.is_empty() { "." } else { path })
}
