//! Paths that cannot leave the artifact.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The folder `path` below `root`, which is there. `..` and absolute paths stop at the root; links must end inside of it.
///
/// # Errors
/// When there is no such folder, or a link leads out.
pub(crate) fn confined(root: &Path, path: &str) -> io::Result<PathBuf> {
    let mut inside = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::ParentDir => {
                inside.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    let shown = || Path::new("/").join(&inside);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::other(format!("stat {}: no such file or directory", shown().display()))
        }
        _ => io::Error::other(format!("stat {}: {error}", shown().display())),
    };
    let full = root.join(&inside).canonicalize().map_err(failed)?;
    let root = root.canonicalize().map_err(failed)?;
    if !full.starts_with(&root) {
        return Err(io::Error::other(format!(
            "stat {}: a link leads out of the artifact",
            shown().display()
        )));
    }
    if !full.is_dir() {
        return Err(io::Error::other(format!(
            "stat {}: not a folder",
            shown().display()
        )));
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confined_stays_in_the_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("apps/web")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("out")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let inside = root.path().canonicalize().unwrap();
        for (path, expected) in [
            ("", ""),
            ("./", ""),
            ("./apps/web/", "apps/web"),
            ("/apps", "apps"),
            ("../../apps/../apps/web", "apps/web"),
        ] {
            assert_eq!(
                confined(root.path(), path).unwrap(),
                inside.join(expected),
                "{path}"
            );
        }
        for (path, expected) in [
            ("none", "stat /none: no such file or directory"),
            ("out", "link leads out"),
            ("file", "not a folder"),
        ] {
            let error = confined(root.path(), path).unwrap_err().to_string();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }
}
