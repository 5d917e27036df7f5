//! Git for controllers: resolve a reference, fetch one commit, stream its tree.
//!
//! A controller wants the files of one commit, over and over, and mostly finds that nothing has changed.
//! So this crate asks for the refs first and stops there if the revision is the last one; otherwise it
//! fetches that one commit without history into a bare object cache, on top of what the last fetch left
//! there, and offers its tree to [`ferro_artifact::archive`] without ever writing a working copy.
//!
//! * The protocol is gitoxide's; what reads packs is ours, for the sake of memory; the transports are ours ([`ferro_http`] and russh), so that
//!   trust roots, client certificates, proxies, host keys and algorithms are what the user said, and
//!   cancellation and deadline end an operation wherever it is.
//! * References follow Flux 2.9 (`fluxcd/pkg/git`): precedence, revision strings, messages.
//! * SHA-1 and SHA-256 repositories, submodules, sparse checkouts, annotated tags.
//!
//! Where it goes beyond upstream: a commit is fetched alone where the server allows it, an unchanged commit
//! reference or semver range is noticed without a clone, SHA-256 works, HTTP credentials are not sent to
//! submodules on other hosts, and a submodule leaves no `.git` file in the archive.
//!
//! Memory follows neither the size of the repository nor that of its files: packs are stored as they arrive and read at positions, and files
//! are inflated while they are archived.
//!
//! Objects of Git LFS are fetched when they are asked for ([`Checkout::fetch_lfs_blocking`]) and then take the place of their pointers.
//!
//! # Example
//!
//! ```no_run
//! use std::{path::Path, time::Duration};
//! use ferro_git::{Context, PullOptions, Pulled, Reference, Remote, pull_blocking};
//!
//! # fn run() -> ferro_git::Result<()> {
//! let remote = Remote::new("https://example.com/org/app.git")?;
//! let reference = Reference { branch: Some("main".into()), ..Reference::default() };
//! let options = PullOptions { reference, ..PullOptions::default() };
//! let context = Context::with_timeout(Duration::from_secs(60));
//! if let Pulled::Checkout(checkout) = pull_blocking(&remote, Path::new("/cache/app"), &options, context)? {
//!     assert!(checkout.resolved().revision.starts_with("main@sha1:"));
//! }
//! # Ok(())
//! # }
//! ```

mod checkout;
mod config;
mod error;
mod interrupt;
mod known_hosts;
mod lfs;
mod object;
mod pack;
mod pull;
mod refs;
mod remote;
mod repository;
mod semver;
mod session;
mod submodule;
mod transport;

pub use checkout::Checkout;
pub use error::{Error, Result};
pub use gix_hash::ObjectId;
pub use interrupt::Context;
pub use known_hosts::CertificateProblem;
pub use lfs::LfsObjects;
pub use object::{Commit, Person, Tag};
pub use pull::{Limits, PullOptions, Pulled, forget, list_refs_blocking, pull_blocking};
pub use refs::{DEFAULT_BRANCH, Reference, RemoteRef, Resolved};
pub use remote::{Auth, Remote, RepositoryUrl, Scheme, SshAuth, SshOptions};
