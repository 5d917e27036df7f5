//! Unpacks the artifact of another GitRepository, to be placed inside this one. The file is one of our own storage and was
//! found to have the digest that is recorded for it; what would still leave the folder is refused.

use std::fs::File;
use std::io;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tokio_util::sync::CancellationToken;

/// Entries of an archive.
const MAX_ENTRIES: usize = 1_000_000;

/// Unpacks the tar.gz `archive` into `root`.
///
/// # Errors
/// When the archive is damaged, holds anything but files and directories, or the disk does not take it.
pub(super) fn unpack_blocking(archive: File, root: &Path, cancel: &CancellationToken) -> io::Result<()> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(io::BufReader::new(archive)));
    archive.set_preserve_mtime(false);
    for (index, entry) in archive.entries()?.enumerate() {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if index >= MAX_ENTRIES {
            return Err(io::Error::other(format!("more than {MAX_ENTRIES} entries")));
        }
        if !kind.is_file() && !kind.is_dir() {
            return Err(io::Error::other(format!(
                "'{name}' is neither a file nor a directory"
            )));
        }
        if !entry.unpack_in(root)? {
            return Err(io::Error::other(format!("'{name}' leads out of its folder")));
        }
    }
    Ok(())
}
