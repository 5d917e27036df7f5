//! Manifests that are about another one, such as its signatures.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};

use crate::client::MAX_MANIFEST;
use crate::manifest::{Index, media_type};
use crate::transport::Call;
use crate::{Client, Descriptor, Digest, Error, Identifier, Result};

impl Client {
    /// The manifests whose subject is the one with this digest. Where the registry cannot tell, those that the index at the tag
    /// `<algorithm>-<hex>` has, which clients keep for such registries.
    ///
    /// # Errors
    /// When the registry refuses, or its answer is malformed.
    pub async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>> {
        let call = Call::pull(Method::GET, self.target("referrers", digest))
            .header(ACCEPT, HeaderValue::from_static(media_type::OCI_INDEX));
        let answer = self.transport.send(&call).await?;
        let answer = answer
            .expect(&[
                StatusCode::OK,
                StatusCode::NOT_FOUND,
                StatusCode::BAD_REQUEST,
                StatusCode::NOT_ACCEPTABLE,
            ])
            .await?;
        // Some registries answer whatever they do not know with a page.
        if answer.response.status() == StatusCode::OK && answer.header(CONTENT_TYPE) == media_type::OCI_INDEX
        {
            let body = answer.response.bytes(MAX_MANIFEST).await?;
            return read(&body, digest);
        }
        let tag = Identifier::tag(&format!("{}-{}", digest.algorithm(), digest.hex()))?;
        match self.manifest(&tag).await {
            Ok(manifest) => read(&manifest.bytes, digest),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn read(index: &[u8], digest: &Digest) -> Result<Vec<Descriptor>> {
    let index: Index = serde_json::from_slice(index).map_err(|error| Error::Manifest {
        digest: digest.clone(),
        reason: format!("the list of its referrers is malformed: {error}"),
    })?;
    Ok(index.manifests)
}
