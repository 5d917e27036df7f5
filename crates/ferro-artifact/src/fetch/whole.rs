//! Artifacts that are wanted as they are: charts, which their reader unpacks in memory.

use std::time::Duration;

use bytes::Bytes;
use ferro_http::{Client, Request, Retry};

use super::{FetchError, UnpackError, reachable};
use crate::digest::Digest;

/// How an artifact is downloaded.
#[derive(Clone, Debug)]
pub struct DownloadOptions {
    /// When it is tried again.
    pub retry: Retry,
    /// How long each try may take.
    pub timeout: Duration,
    /// The most bytes that it may have.
    pub limit: u64,
}

/// Downloads an artifact and checks that it is what its digest says.
///
/// # Errors
/// When the server does not have it, sends something else or more than the limit, or cannot be reached.
pub async fn download(
    client: &Client,
    url: &str,
    digest: &str,
    options: &DownloadOptions,
) -> Result<Bytes, FetchError> {
    let digest: Digest = digest.parse()?;
    let url = reachable(url)?;
    let request = Request::to(http::Method::GET, &url)?;
    let mut attempt = 0;
    loop {
        let outcome = tokio::time::timeout(options.timeout, once(client, &request, options.limit)).await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(FetchError::Timeout {
                url: url.clone(),
                timeout: options.timeout,
            })
        });
        match outcome {
            Ok(bytes) => return checked(bytes, digest),
            Err(error) if error.is_transient() && attempt < options.retry.retries => {
                tracing::debug!(%error, %url, attempt, "artifact download failed, trying again");
                tokio::time::sleep(options.retry.wait(attempt)).await;
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn checked(bytes: Bytes, expected: Digest) -> Result<Bytes, FetchError> {
    let found = expected.algorithm().digest(&bytes);
    if found == expected {
        Ok(bytes)
    } else {
        Err(FetchError::Mismatch { expected, found })
    }
}

async fn once(client: &Client, request: &Request, limit: u64) -> Result<Bytes, FetchError> {
    let response = client.send(request).await?;
    if response.status() == http::StatusCode::NOT_FOUND {
        return Err(FetchError::NotFound {
            url: request.url().clone(),
        });
    }
    let response = response.error_for_status()?;
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(UnpackError::TooLarge {
            limit,
            form: "compressed",
        }
        .into());
    }
    Ok(response.bytes(limit).await?)
}
