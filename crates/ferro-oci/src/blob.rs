//! Blobs: content that is checked while it streams.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use ferro_http::Response;
use http::header::{CONTENT_RANGE, HeaderValue, RANGE};
use http::{Method, StatusCode};

use crate::digest::Hasher;
use crate::transport::Call;
use crate::{Client, Descriptor, Digest, Error, Result};

/// How often a transfer that breaks is taken up again.
const RESUMES: u32 = 3;

/// Content on its way. Whoever uses it before [`Blob::chunk`] has returned `None` uses what nobody vouches for.
#[derive(Debug)]
pub struct Blob {
    client: Client,
    digest: Digest,
    size: u64,
    source: Source,
    hasher: Option<Hasher>,
    received: u64,
    resumes: u32,
}

#[derive(Debug)]
enum Source {
    /// It stood in the manifest.
    Inline(Option<Bytes>),
    Remote(Response),
}

impl Client {
    /// The content that a manifest describes.
    ///
    /// # Errors
    /// When there is none, or the registry says that its size is another.
    pub async fn blob(&self, descriptor: &Descriptor) -> Result<Blob> {
        let source = match &descriptor.data {
            Some(data) => {
                let data = STANDARD.decode(data).map_err(|error| Error::Manifest {
                    digest: descriptor.digest.clone(),
                    reason: format!("the data of the descriptor is malformed: {error}"),
                })?;
                Source::Inline(Some(data.into()))
            }
            None => Source::Remote(self.blob_response(descriptor).await?),
        };
        Ok(Blob {
            client: self.clone(),
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            source,
            hasher: Some(descriptor.digest.hasher()),
            received: 0,
            resumes: 0,
        })
    }

    async fn blob_response(&self, descriptor: &Descriptor) -> Result<Response> {
        let call = Call::pull(Method::GET, self.target("blobs", &descriptor.digest));
        let answer = self
            .transport
            .send(&call)
            .await?
            .expect(&[StatusCode::OK])
            .await?;
        let (want, got) = (descriptor.size, answer.response.content_length());
        match got.filter(|got| *got != want) {
            Some(got) => Err(answer.invalid(format!(
                "Content-Length header {got} does not match expected size {want}"
            ))),
            None => Ok(answer.response),
        }
    }

    /// Whether the repository has a blob.
    ///
    /// # Errors
    /// When the registry refuses to say.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let call = Call::pull(Method::HEAD, self.target("blobs", digest));
        let answer = self.transport.send(&call).await?;
        let answer = answer.expect(&[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
        Ok(answer.response.status() == StatusCode::OK)
    }
}

impl Blob {
    /// The size that the manifest says; more is never returned.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next piece; `None` when all of it came and it is what the manifest says. A transfer that breaks is taken up where it broke.
    ///
    /// # Errors
    /// When the transfer breaks for good, or the content is longer, shorter or other than it should be.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let piece = match &mut self.source {
                Source::Inline(data) => data.take(),
                Source::Remote(response) => match response.chunk().await {
                    Ok(piece) => piece,
                    Err(error) => {
                        self.resume(error).await?;
                        continue;
                    }
                },
            };
            let Some(piece) = piece else {
                return self.finish().map(|()| None);
            };
            self.received = self.received.saturating_add(piece.len() as u64);
            if self.received > self.size {
                return Err(Error::Size {
                    got: self.received,
                    want: self.size,
                });
            }
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&piece);
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Blob::chunk`], and when it is larger than `limit`.
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes> {
        if self.size > limit {
            return Err(Error::TooLarge {
                what: format!("blob {}", self.digest),
                size: self.size,
                limit,
            });
        }
        // Not by the size that is claimed: memory follows what really comes.
        let mut all = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    fn finish(&mut self) -> Result<()> {
        if self.received != self.size {
            return Err(Error::Size {
                got: self.received,
                want: self.size,
            });
        }
        // Once checked, it stays so.
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        let got = hasher.finish();
        if got == self.digest {
            return Ok(());
        }
        Err(Error::Checksum {
            got,
            want: self.digest.clone(),
            size: self.received,
        })
    }

    /// Asks for the rest. What was received is not asked for again: it is part of the digest already.
    async fn resume(&mut self, broken: ferro_http::Error) -> Result<()> {
        let is_worth_it = matches!(broken, ferro_http::Error::Transfer { .. }) && self.received < self.size;
        if self.resumes >= RESUMES || !is_worth_it {
            return Err(broken.into());
        }
        self.resumes += 1;
        let range = format!("bytes={}-", self.received);
        let Ok(range) = HeaderValue::from_str(&range) else {
            return Err(broken.into());
        };
        let call = Call::pull(Method::GET, self.client.target("blobs", &self.digest)).header(RANGE, range);
        let answer = self.client.transport.send(&call).await?;
        let start = format!("bytes {}-", self.received);
        let is_rest = answer.response.status() == StatusCode::PARTIAL_CONTENT
            && answer.header(CONTENT_RANGE).starts_with(&start);
        if !is_rest {
            return Err(broken.into());
        }
        self.source = Source::Remote(answer.response);
        Ok(())
    }
}
