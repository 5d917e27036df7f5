//! Helm repositories, and the charts that come from them and from other sources.
//!
//! * [`index`]: indexes of any size. One is read as a stream and stored in order; a chart is looked up without loading it.
//! * [`Repository`]: charts on an HTTP server ([`HttpRepository`]) or in a registry ([`OciRepository`]): which version is wanted, and its archive.
//! * [`chart`]: charts with other values, versions and dependencies than they came with, and the archive of that, the same bytes each time.
//!
//! The reference is Flux 2.9's source-controller on Helm 4.2 (`spec/sources-and-images.md` sections 12 and 13). Known differences:
//!
//! * An index costs memory for its largest entry and where the others are, not for all that it says. One that cannot be read in pieces (YAML
//!   with anchors, tags or in brackets) may have 8 MiB.
//! * An archive is compared with the digest in the index, where that is a SHA-256: upstream stores whatever comes.
//! * Credentials never follow a redirect to another host, whatever `passCredentials` says.
//! * Packages are the same bytes for the same chart: no times go into them.
//!
//! What it does not do: signatures, serving or writing repositories.
//!
//! # Example
//!
//! ```
//! use std::io::Write;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut index = tempfile::tempfile()?;
//! index.write_all(b"apiVersion: v1\nentries:\n  app:\n  - {name: app, version: 1.0.0}\n  - {name: app, version: 1.1.0}\n")?;
//! let mut stored = tempfile::tempfile()?;
//! ferro_helmrepo::index::read_index(&mut index)?.write(&mut stored)?;
//! assert_eq!(ferro_helmrepo::index::find(&mut stored, "app", ">=1.0.0")?.version, "1.1.0");
//! # Ok(())
//! # }
//! ```

mod archives;
pub mod chart;
mod http;
pub mod index;
mod metadata;
mod oci;
mod repository;
mod select;
pub mod url;

pub use crate::archives::Archives;
pub use crate::http::{FetchError, Fetched, HttpOptions, HttpRepository, Limits, Validators, VersionError};
pub use oci::{OciError, OciRepository};
pub use repository::{Repository, RepositoryError};
pub use select::{SelectionError, TagError, full_version};
