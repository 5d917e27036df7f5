//! Artifacts: the tar.gz files that sources produce and every other controller consumes.
//!
//! Both ends of an artifact's life are here, so that their rules cannot drift apart.
//!
//! * The producer turns a [`tree`] (a directory, a Git commit, several laid over each other) into a
//!   deterministic [`archive`], without what the [`ignore`] rules exclude, and publishes it in the
//!   [`storage`], which the file [`server`] serves.
//! * The consumer fetches it with [`fetch`], which checks the [`digest`] and bounds everything an artifact
//!   could do to the machine, and unpacks it once for all who use it.
//!
//! The reference is Flux 2.9: `fluxcd/pkg` (`artifact`, `sourceignore`, `tar`, `http/fetch`). Layout,
//! names, modes, ignore semantics and retention are equal; the compressed bytes are not, as they depend on
//! the compressor, so an artifact has another digest here than there, and either side accepts both.
//!
//! # Example
//!
//! ```
//! use ferro_artifact::archive::{ArchiveLimits, archive_blocking};
//! use ferro_artifact::ignore::Matcher;
//! use ferro_artifact::storage::{ArtifactPath, Storage, StorageOptions};
//! use ferro_artifact::tree::DiskDirectory;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (source, base) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! let storage = Storage::open(StorageOptions::new(base.path(), "localhost:9090"))?;
//! let tree = DiskDirectory::new(source.path());
//! let matcher = Matcher::load_blocking(&tree, Some("/docs"), &Default::default())?;
//! let path = ArtifactPath::new("GitRepository", "default", "app", "0123abcd.tar.gz")?;
//! let (stored, stats) = storage.publish_blocking(&path, |out| {
//!     archive_blocking(&tree, &matcher, ArchiveLimits::default(), &Default::default(), out)
//!         .map(|(_, stats)| stats)
//! })?;
//! assert_eq!(stats.entries, 1);
//! assert_eq!(storage.url(&stored.path), "http://localhost:9090/gitrepository/default/app/0123abcd.tar.gz");
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! Functions that end in `_blocking` hold their thread; asynchronous callers run them on a blocking one.
//! Only Unix is supported: modes, locks and links are its own.

pub mod archive;
pub mod digest;
pub mod fetch;
pub mod glob;
pub mod ignore;
pub mod private;
pub mod revision;
pub mod server;
pub mod storage;
pub mod tree;
