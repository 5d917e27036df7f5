//! Artifacts that another replica has, put into a storage as they are.

use std::io::{self, Read, Write};
use std::time::Duration;

use ferro_http::{Client, Request, SafeUrl};
use tokio::sync::mpsc;

use super::{Body, FetchError, UnpackError, WINDOW};
use crate::digest::{Digest, HashingWriter};
use crate::server::REPLICA;
use crate::storage::{ArtifactPath, PublishError, Storage};

/// How an artifact is copied.
#[derive(Clone, Copy, Debug)]
pub struct CopyOptions {
    /// How long it may take.
    pub timeout: Duration,
    /// The most bytes that it may have.
    pub limit: u64,
}

/// Copies the artifact at `url` to `path` of a storage, if it is what `digest` says. It is not held in memory.
///
/// # Errors
/// When the server does not have it, sends something else or more than the limit, cannot be reached, or the storage fails.
pub async fn copy(
    client: &Client,
    url: &SafeUrl,
    digest: &str,
    storage: &Storage,
    path: &ArtifactPath,
    options: CopyOptions,
) -> Result<(), FetchError> {
    let digest: Digest = digest.parse()?;
    let copied = copy_once(client, url, digest, storage, path, options.limit);
    match tokio::time::timeout(options.timeout, copied).await {
        Ok(outcome) => outcome,
        Err(_) => Err(FetchError::Timeout {
            url: url.clone(),
            timeout: options.timeout,
        }),
    }
}

async fn copy_once(
    client: &Client,
    url: &SafeUrl,
    digest: Digest,
    storage: &Storage,
    path: &ArtifactPath,
    limit: u64,
) -> Result<(), FetchError> {
    let value = http::HeaderValue::from_static("1");
    let request = Request::to(http::Method::GET, url)?.header(REPLICA, value);
    let response = client.send(&request).await?;
    if response.status() == http::StatusCode::NOT_FOUND {
        return Err(FetchError::NotFound { url: url.clone() });
    }
    let mut response = response.error_for_status()?;
    let too_large = || UnpackError::TooLarge {
        limit,
        form: "compressed",
    };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large().into());
    }
    let (pieces, body) = mpsc::channel(WINDOW);
    let (storage, path) = (storage.clone(), path.clone());
    // The thread ends with the channel, whether somebody waits or not.
    let task =
        tokio::task::spawn_blocking(move || store_blocking(&storage, &path, &digest, &mut Body::new(body)));
    let mut left = limit;
    let mut broken = None;
    loop {
        let piece = match response.chunk().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => {
                broken = Some(FetchError::from(error));
                break;
            }
        };
        match left.checked_sub(piece.len() as u64) {
            Some(rest) => left = rest,
            None => {
                broken = Some(too_large().into());
                break;
            }
        }
        // The other side is gone when the storage failed: it says why.
        if pieces.send(Ok(piece)).await.is_err() {
            break;
        }
    }
    if broken.is_some() {
        let _unread = pieces.send(Err(io::Error::other("the copy broke off"))).await;
    }
    drop(pieces);
    let stored = task.await.map_err(io::Error::other).map_err(FetchError::Store)?;
    broken.map_or(stored, Err)
}

/// What is stored under the name of an artifact is that artifact, or nothing.
fn store_blocking(
    storage: &Storage,
    path: &ArtifactPath,
    expected: &Digest,
    body: &mut dyn Read,
) -> Result<(), FetchError> {
    let published = storage.publish_blocking(path, |out| {
        let mut writer = HashingWriter::new(out, expected.algorithm());
        io::copy(body, &mut writer).map_err(FetchError::Store)?;
        writer.flush().map_err(FetchError::Store)?;
        let (_, found, _) = writer.finish();
        if found == *expected {
            return Ok(());
        }
        Err(FetchError::Mismatch {
            expected: expected.clone(),
            found,
        })
    });
    match published {
        Ok(_) => Ok(()),
        Err(PublishError::Content(error)) => Err(error),
        Err(PublishError::Storage(error)) => Err(FetchError::Store(io::Error::other(error))),
    }
}
