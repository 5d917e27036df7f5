//! Directories for data of one process: caches that others must not read, and must not be able to swap.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The name of the file that is locked by who works in a directory.
const LOCK: &str = "lock";

/// Makes a directory that only this user may enter, or takes one that is there: of this user, or of root, as mounted volumes
/// are. What it holds stays. The directory is ours until the file that is returned is closed. Blocks the thread.
///
/// # Errors
/// When the directory belongs to another user, who could put other files in the place of ours; when another process uses it; when it
/// cannot be made or written to.
pub fn open_blocking(path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let (owner, own) = (
        fs::symlink_metadata(path)?.uid(),
        fs::metadata("/proc/self")?.uid(),
    );
    if owner != own && owner != 0 {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            "the directory belongs to another user",
        ));
    }
    let lock = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "another process uses the directory",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn open_makes_a_closed_directory_for_one_and_keeps_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let lock = open_blocking(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(open_blocking(&path).unwrap_err().kind(), ErrorKind::ResourceBusy);
        fs::write(path.join("kept"), "").unwrap();
        drop(lock);
        let _lock = open_blocking(&path).unwrap();
        assert!(path.join("kept").exists());
    }
}
