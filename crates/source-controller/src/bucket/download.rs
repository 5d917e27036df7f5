//! The second phase of a pass: the objects that changed, as files in a folder.

use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ferro_artifact::archive::MAX_BYTES;
use ferro_bucket::{Bucket, Error, Listed};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::fs::{self, File};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::listing::shown;

/// Objects that are fetched at once. More would not be quicker over one way, and each holds a connection and a file.
const CONCURRENT: usize = 32;

/// How often an object is fetched whose transfer breaks.
const TRIES: u32 = 3;

/// Why an object could not be made a file.
#[derive(Debug, thiserror::Error)]
enum DownloadError {
    #[error("{}", shown(.0))]
    Storage(#[from] Error),
    #[error("another object has the same path")]
    SamePath,
    #[error("the objects have more than {MAX_BYTES} bytes in total")]
    TooLarge,
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// Where the object of that key lies below a folder; slashes that name nothing do not count.
pub(super) fn path_of(key: &str) -> PathBuf {
    key.split('/').filter(|part| !part.is_empty()).collect()
}

/// Fetches objects into `folder`. Returns the ETag of what came for each key, `None` for what is gone.
///
/// # Errors
/// With the text of the reference, after its name for the phase.
pub(super) async fn download(
    bucket: &Bucket,
    objects: Vec<Listed>,
    folder: &Path,
) -> Result<Vec<(String, Option<String>)>, String> {
    let left = AtomicU64::new(MAX_BYTES);
    let fetches = stream::iter(objects).map(|listed| {
        let left = &left;
        async move {
            match fetch(bucket, &listed, folder, left).await {
                Ok(etag) => Ok((listed.key, etag)),
                Err(error) => Err(format!("failed to get '{}' object: {error}", listed.key)),
            }
        }
    });
    fetches.buffer_unordered(CONCURRENT).try_collect().await
}

async fn fetch(
    bucket: &Bucket,
    listed: &Listed,
    folder: &Path,
    left: &AtomicU64,
) -> Result<Option<String>, DownloadError> {
    let mut file: Option<File> = None;
    let mut tries = 0;
    loop {
        tries += 1;
        let received = receive(bucket, listed, folder, &mut file, left).await;
        match received {
            Err(DownloadError::Storage(error)) if error.is_transient() && file.is_some() && tries < TRIES => {
            }
            other => return other,
        }
    }
}

async fn receive(
    bucket: &Bucket,
    listed: &Listed,
    folder: &Path,
    file: &mut Option<File>,
    left: &AtomicU64,
) -> Result<Option<String>, DownloadError> {
    let path = folder.join(path_of(&listed.key));
    let Some(mut object) = bucket.get(listed).await? else {
        if file.is_some() {
            // It went while it was fetched.
            fs::remove_file(&path).await?;
        }
        return Ok(None);
    };
    let file = match file {
        Some(file) => {
            file.set_len(0).await?;
            file.seek(SeekFrom::Start(0)).await?;
            file
        }
        None => file.insert(create(&path).await?),
    };
    while let Some(chunk) = object.chunk().await? {
        let count = chunk.len() as u64;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(count)
        });
        taken.map_err(|_| DownloadError::TooLarge)?;
        file.write_all(&chunk).await?;
    }
    // The file is closed on another thread, where an error would be lost.
    file.flush().await?;
    Ok(Some(object.etag))
}

async fn create(path: &Path) -> Result<File, DownloadError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).await?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).await.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => DownloadError::SamePath,
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_stays_below_the_folder() {
        for (key, path) in [("a/b", "a/b"), ("/a", "a"), ("a//b", "a/b"), ("//", "")] {
            assert_eq!(path_of(key), Path::new(path));
        }
    }
}
