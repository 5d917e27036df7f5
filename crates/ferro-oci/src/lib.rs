//! A client of OCI registries (the distribution specification, version 1.1, and what Docker's registries do instead).
//!
//! * [`Repository`], [`Reference`], [`Digest`]: names, read as go-containerregistry 0.21 reads them.
//! * [`Client`]: tags, manifests, blobs, uploads of one repository; [`Pool`] makes clients that share connections and tokens.
//! * [`Keyring`]: credentials from Docker configurations, matched as the kubelet matches them.
//!
//! What it costs to find that a tag has not moved is one HEAD request: how a registry wants to be authenticated to is asked once, and
//! tokens are kept until they expire.
//!
//! # What nobody has to be trusted for
//!
//! * Blobs and manifests are checked against digest and size while they stream; a registry that lies is found out before the last byte.
//! * Credentials go to the registry and the token service that it names, and to nobody else: not along a redirect, not over plain HTTP where
//!   TLS was meant, not to an address inside the network unless the registry is there itself.
//! * Everything that is read has a limit. A request ends when its future is dropped; the callers' deadlines do that.
//!
//! The reference's client sends one request more (the `/v2/` probe) for each operation, and falls back to plain HTTP also where a local registry shows a
//! certificate that is not trusted. Both are not followed. Layers that a manifest says to be at other addresses are not fetched from there.
//!
//! # Example
//!
//! ```no_run
//! use ferro_oci::{Client, Identifier, Repository};
//!
//! # async fn run() -> ferro_oci::Result<()> {
//! let repository = Repository::parse("ghcr.io/stefanprodan/manifests/podinfo", false)?;
//! let client = Client::anonymous(&repository)?;
//! let digest = client.resolve(&Identifier::tag("latest")?).await?;
//! let manifest = client.image(&Identifier::Digest(digest)).await?;
//! for layer in &manifest.layers {
//!     let content = client.blob(layer).await?.bytes(10 << 20).await?;
//!     # drop(content);
//! }
//! # Ok(())
//! # }
//! ```

mod blob;
mod challenge;
mod client;
mod credentials;
mod digest;
mod docker;
mod error;
mod manifest;
mod name;
mod pool;
mod push;
mod referrers;
mod token;
mod transport;

pub use blob::Blob;
pub use client::{Client, MAX_MANIFEST, MAX_TAGS};
pub use credentials::Credentials;
pub use digest::{Digest, DigestError};
pub use docker::Keyring;
pub use error::{Diagnostic, Error, Refusal, Result, Shown};
pub use manifest::{
    Descriptor, ImageManifest, Index, Manifest, ManifestHead, Platform, annotation, media_type,
};
pub use name::{DEFAULT_TAG, Identifier, NameError, Reference, ReferenceError, Repository, Tag, URL_PREFIX};
pub use pool::{Access, Pool};
