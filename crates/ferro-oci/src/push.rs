//! Uploads.

use std::io::Read;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use url::Url;

use crate::client::CONTENT_DIGEST;
use crate::digest::Hasher;
use crate::transport::{Action, Answer, Call};
use crate::{Client, Descriptor, Digest, Error, Identifier, Result};

/// Content up to this size is sent at once, larger content in pieces of it.
const PIECE: usize = 8 << 20;

impl Client {
    /// Sees to it that the repository has `content`; what it has is not sent again.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn push_blob(&self, media_type: &str, content: Bytes) -> Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, &content);
        if self.has_pushed(&descriptor.digest).await? {
            return Ok(descriptor);
        }
        let upload = self.start().await?;
        self.complete(&upload, &descriptor.digest, content).await?;
        Ok(descriptor)
    }

    /// Uploads what `content` yields, in pieces, so that it need not fit into memory.
    ///
    /// # Errors
    /// When it cannot be read or the registry refuses.
    pub async fn push_stream(&self, media_type: &str, mut content: impl Read + Send) -> Result<Descriptor> {
        let mut upload = self.start().await?;
        let mut hasher = Hasher::sha256();
        let mut sent = 0_u64;
        loop {
            let piece = read_piece(&mut content).map_err(Error::Read)?;
            hasher.update(&piece);
            if piece.len() < PIECE {
                let size = sent + piece.len() as u64;
                let digest = hasher.finish();
                if !piece.is_empty() {
                    upload = self.append(&upload, sent, piece).await?;
                }
                self.complete(&upload, &digest, Bytes::new()).await?;
                return Ok(Descriptor::new(media_type, digest, size));
            }
            let length = piece.len() as u64;
            upload = self.append(&upload, sent, piece).await?;
            sent += length;
        }
    }

    /// Puts a manifest under a tag or its digest.
    ///
    /// # Errors
    /// When the registry refuses, or understood another manifest.
    pub async fn push_manifest(
        &self,
        identifier: &Identifier,
        media_type: &str,
        content: Bytes,
    ) -> Result<Digest> {
        let digest = Digest::of(&content);
        let call = Call::new(Method::PUT, self.target("manifests", identifier), Action::Push)
            .header(CONTENT_TYPE, header_value(media_type)?)
            .body(content);
        let answer = self.transport.send(&call).await?;
        let answer = answer
            .expect(&[StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED])
            .await?;
        let stored = answer.header(CONTENT_DIGEST);
        if !stored.is_empty() && stored != digest.to_string() {
            return Err(answer.invalid(format!("the registry stored {stored:?} instead of {digest}")));
        }
        Ok(digest)
    }

    async fn has_pushed(&self, digest: &Digest) -> Result<bool> {
        let call = Call::new(Method::HEAD, self.target("blobs", digest), Action::Push);
        let answer = self.transport.send(&call).await?;
        Ok(answer.response.status() == StatusCode::OK)
    }

    /// Opens an upload and returns its address.
    async fn start(&self) -> Result<String> {
        let target = format!("/v2/{}/blobs/uploads/", self.repository().path());
        let call = Call::new(Method::POST, target, Action::Push);
        let answer = self.transport.send(&call).await?;
        self.upload_of(&answer.expect(&[StatusCode::ACCEPTED]).await?)
    }

    async fn append(&self, upload: &str, from: u64, piece: Bytes) -> Result<String> {
        let last = from + (piece.len() as u64).saturating_sub(1);
        let call = Call::new(Method::PATCH, upload.to_owned(), Action::Push)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .header(CONTENT_RANGE, header_value(&format!("{from}-{last}"))?)
            .header(CONTENT_LENGTH, HeaderValue::from(piece.len()))
            .body(piece);
        let answer = self.transport.send(&call).await?;
        let accepted = [StatusCode::ACCEPTED, StatusCode::NO_CONTENT, StatusCode::CREATED];
        self.upload_of(&answer.expect(&accepted).await?)
    }

    async fn complete(&self, upload: &str, digest: &Digest, content: Bytes) -> Result<()> {
        let separator = if upload.contains('?') { '&' } else { '?' };
        let call = Call::new(
            Method::PUT,
            format!(
                "{upload}{separator}digest={}%3A{}",
                digest.algorithm(),
                digest.hex()
            ),
            Action::Push,
        )
        .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
        .header(CONTENT_LENGTH, HeaderValue::from(content.len()))
        .body(content);
        let answer = self.transport.send(&call).await?;
        answer
            .expect(&[StatusCode::CREATED, StatusCode::NO_CONTENT])
            .await
            .map(drop)
    }

    /// The path and query at which an upload goes on. It stays at the registry: content and credentials go nowhere else.
    fn upload_of(&self, answer: &Answer) -> Result<String> {
        let location = answer.header(LOCATION);
        let url: Option<Url> = answer.url.expose().join(location).ok();
        let host = crate::name::host_of(self.repository().registry());
        let url = url
            .filter(|_| !location.is_empty())
            .ok_or_else(|| answer.invalid("response did not include a usable Location header"))?;
        if !url
            .host_str()
            .is_some_and(|found| found.eq_ignore_ascii_case(host))
        {
            return Err(answer.invalid("the upload goes on at another host"));
        }
        Ok(match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        })
    }
}

fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| ferro_http::Error::InvalidCredentials.into())
}

fn read_piece(content: &mut impl Read) -> std::io::Result<Bytes> {
    let mut piece = Vec::new();
    content.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}
