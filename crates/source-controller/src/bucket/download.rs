//! The second phase of a pass: the objects that changed are received.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use ferro_artifact::archive::MAX_BYTES;
use ferro_bucket::{Bucket, Error, Listed};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::listing::shown;
use super::spool::{PIECE, Place, Spool};

/// Objects that are fetched at once. More would not be quicker over one way, and each holds a connection and a piece of its content.
const CONCURRENT: usize = 32;

/// How often an object is fetched whose transfer breaks.
const TRIES: u32 = 3;

/// Why an object could not be received.
#[derive(Debug, thiserror::Error)]
enum DownloadError {
    #[error("{}", shown(.0))]
    Storage(#[from] Error),
    #[error("the objects have more than {MAX_BYTES} bytes in total")]
    TooLarge,
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// A version of an object.
#[derive(Debug)]
pub(super) struct Received {
    pub etag: String,
    pub place: Place,
}

/// Fetches objects into `spool`. Returns what came for each key, `None` for what is gone.
///
/// # Errors
/// With the text of the reference, after its name for the phase.
pub(super) async fn download(
    bucket: &Bucket,
    objects: Vec<Listed>,
    spool: &Spool,
) -> Result<Vec<(String, Option<Received>)>, String> {
    let left = AtomicU64::new(MAX_BYTES);
    let fetches = stream::iter(objects).map(|listed| {
        let left = &left;
        async move {
            match fetch(bucket, &listed, spool, left).await {
                Ok(received) => Ok((listed.key, received)),
                Err(error) => Err(format!("failed to get '{}' object: {error}", listed.key)),
            }
        }
    });
    fetches.buffer_unordered(CONCURRENT).try_collect().await
}

async fn fetch(
    bucket: &Bucket,
    listed: &Listed,
    spool: &Spool,
    left: &AtomicU64,
) -> Result<Option<Received>, DownloadError> {
    let (mut tries, mut has_begun) = (0, false);
    loop {
        tries += 1;
        match receive(bucket, listed, spool, left, &mut has_begun).await {
            Err(DownloadError::Storage(error)) if error.is_transient() && has_begun && tries < TRIES => {}
            other => return other,
        }
    }
}

async fn receive(
    bucket: &Bucket,
    listed: &Listed,
    spool: &Spool,
    left: &AtomicU64,
    has_begun: &mut bool,
) -> Result<Option<Received>, DownloadError> {
    let Some(mut object) = bucket.get(listed).await? else {
        return Ok(None);
    };
    *has_begun = true;
    let (mut place, mut piece) = (Place::default(), Vec::new());
    while let Some(chunk) = object.chunk().await? {
        let count = chunk.len() as u64;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(count)
        });
        taken.map_err(|_| DownloadError::TooLarge)?;
        piece.extend_from_slice(&chunk);
        if piece.len() >= PIECE {
            spool.put(&mut place, &mut piece).await?;
        }
    }
    spool.put(&mut place, &mut piece).await?;
    Ok(Some(Received {
        etag: object.etag,
        place,
    }))
}
