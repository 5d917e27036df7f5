//! A real directory as [`Files`].

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::files::{DirEntry, FileError, Files, Resolved};
use crate::path;

/// The largest file that is read unless [`DirFiles::with_limit`] says otherwise.
const DEFAULT_LIMIT: u64 = 256 << 20;
/// Go gives up after as many links.
const MAX_LINKS: usize = 255;

/// Reads from a real directory, optionally without ever leaving one: then a path whose target, with
/// all links followed, lies outside is refused, whoever asks for it.
#[derive(Clone, Debug)]
pub struct DirFiles {
    root: Option<String>,
    limit: u64,
}

impl DirFiles {
    /// Allows every path of the machine.
    pub fn unconfined() -> Self {
        Self {
            root: None,
            limit: DEFAULT_LIMIT,
        }
    }

    /// Allows only what lies in or below `root`.
    pub fn confined(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let root = root
            .to_str()
            .ok_or_else(|| io::Error::other("the path is not UTF-8"))?
            .to_owned();
        Ok(Self {
            root: Some(root),
            limit: DEFAULT_LIMIT,
        })
    }

    /// Refuses files larger than `limit` bytes.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Returns the directory that is never left.
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    fn confine(&self, operation: &'static str, asked: &str, resolved: &str) -> Result<(), FileError> {
        match &self.root {
            Some(root) if !path::is_within(resolved, root) => Err(FileError::Confined {
                operation,
                path: asked.to_owned(),
                resolved: resolved.to_owned(),
                root: root.clone(),
            }),
            _ => Ok(()),
        }
    }
}

fn file_error(operation: &'static str, path: &str, error: &io::Error) -> FileError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound { operation, path },
        io::ErrorKind::NotADirectory => FileError::NotADirectory { operation, path },
        io::ErrorKind::IsADirectory => FileError::IsADirectory { path },
        io::ErrorKind::PermissionDenied => FileError::Other {
            operation,
            path,
            message: "permission denied".to_owned(),
        },
        _ => FileError::Other {
            operation,
            path,
            message: error.to_string(),
        },
    }
}

/// Follows links element by element so that an error names the element at fault.
fn follow(path: &str) -> Result<(PathBuf, bool), FileError> {
    let mut pending: Vec<String> = elements(path);
    let mut at = PathBuf::from("/");
    let mut is_dir = true;
    let mut links = 0;
    while let Some(part) = pending.pop() {
        if part == ".." {
            at.pop();
            is_dir = true;
            continue;
        }
        let next = at.join(&part);
        let shown = next.to_string_lossy().into_owned();
        let found = fs::symlink_metadata(&next).map_err(|error| file_error("lstat", &shown, &error))?;
        if !found.is_symlink() {
            is_dir = found.is_dir();
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            let message = "too many links".to_owned();
            return Err(FileError::Other {
                operation: "EvalSymlinks",
                path: path.to_owned(),
                message,
            });
        }
        let target = fs::read_link(&next).map_err(|error| file_error("readlink", &shown, &error))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        is_dir = true;
        pending.extend(elements(&target.to_string_lossy()));
    }
    Ok((at, is_dir))
}

/// The elements of a path, last first.
fn elements(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .rev()
        .map(str::to_owned)
        .collect()
}

impl Files for DirFiles {
    fn resolve(&self, path: &str) -> Result<Resolved, FileError> {
        let clean = path::clean(path);
        // Nothing outside the root is even looked at when the text alone leads out of it.
        self.confine("resolve", path, &clean)?;
        let (real, is_dir) = follow(&clean)?;
        let real = real.to_str().map(str::to_owned).ok_or_else(|| FileError::Other {
            operation: "resolve",
            path: clean.clone(),
            message: "the path is not UTF-8".to_owned(),
        })?;
        self.confine("resolve", path, &real)?;
        Ok(Resolved { path: real, is_dir })
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        self.confine("read", path, &path::clean(path))?;
        let failed = |error: &io::Error| file_error("open", path, error);
        let file = fs::File::open(path).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return Err(FileError::IsADirectory {
                path: path.to_owned(),
            });
        }
        if !metadata.is_file() {
            let message = "not a regular file".to_owned();
            return Err(FileError::Other {
                operation: "open",
                path: path.to_owned(),
                message,
            });
        }
        let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(1 << 24));
        file.take(self.limit + 1)
            .read_to_end(&mut content)
            .map_err(|error| file_error("read", path, &error))?;
        if content.len() as u64 > self.limit {
            let size = metadata.len().max(content.len() as u64);
            return Err(FileError::TooLarge {
                path: path.to_owned(),
                size,
                limit: self.limit,
            });
        }
        Ok(Cow::Owned(content))
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, FileError> {
        let dir = self.resolve(path)?;
        let failed = |error: &io::Error| file_error("open", path, error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&dir.path).map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            let is_dir = entry.file_type().map_err(|error| failed(&error))?.is_dir();
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, is_dir });
            }
        }
        entries.sort();
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_root_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let root = base.join("root");
        fs::create_dir(&root).unwrap();
        fs::write(base.join("secret"), "s").unwrap();
        fs::write(root.join("ok"), "o").unwrap();
        std::os::unix::fs::symlink(base.join("secret"), root.join("link")).unwrap();
        std::os::unix::fs::symlink("ok", root.join("inner")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let files = DirFiles::confined(&root).unwrap();
        let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
        assert_eq!(files.resolve(&path("inner")).unwrap().path, path("ok"));
        assert!(matches!(
            files.resolve(&path("link")),
            Err(FileError::Confined { .. })
        ));
        assert!(matches!(
            files.resolve(&path("../secret")),
            Err(FileError::Confined { .. })
        ));
        assert!(matches!(
            files.read(&path("../secret")),
            Err(FileError::Confined { .. })
        ));
        assert!(
            files
                .resolve(&path("loop"))
                .unwrap_err()
                .to_string()
                .contains("too many links")
        );
        assert!(files.resolve(&path("ok/x")).is_err());
    }

    #[test]
    fn large_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().canonicalize().unwrap().join("f");
        fs::write(&file, "12345").unwrap();
        let files = DirFiles::unconfined().with_limit(4);
        let error = files.read(file.to_str().unwrap()).unwrap_err();
        assert!(matches!(
            error,
            FileError::TooLarge {
                size: 5,
                limit: 4,
                ..
            }
        ));
    }
}
