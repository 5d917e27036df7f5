//! The harness of the end-to-end tests: the project's real programs on a real control plane.
//!
//! A run starts one [`World`]: a cluster, a Git server and the controllers, all on free ports of the loopback interface. Each
//! test is an async function that gets a [`Case`], which is a namespace of its own in that world and the means to commit, apply
//! and wait. Waiting is done by watches and bounded in time. A test that fails prints the objects, events and log lines of its
//! namespace. A test that needs to break things for everybody, such as the API server, gets a world for itself.
//!
//! Nothing survives the run: all processes are children of [`xtask::process::Nursery`], which ends them even when the test
//! program is killed.
//!
//! The programs are taken from the release directory of Cargo's target directory, or from the one that the environment variable
//! `FERRO_E2E_BIN` names. Where they or the control plane are missing, the run says `skipped:` and passes, except with
//! `FERRO_E2E_REQUIRED` set, as CI does.

#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for a key that it does not have"
)]

mod archive;
mod authority;
mod case;
mod controller;
mod dump;
mod gitea;
mod installation;
mod object;
mod process;
mod reference;
mod registry;
mod repository;
mod runner;
mod signer;
mod tls;
mod tokens;
mod world;

pub use archive::archive;
pub use authority::{CertificateAuthority, Witness};
pub use case::Case;
pub use controller::{Controller, Setup};
pub use gitea::Gitea;
pub use installation::{Installation, Workload};
pub use object::{Event, PATIENCE, Target, condition, text};
pub use process::{Output, run};
pub use registry::Registry;
pub use repository::{Repository, config_map, kustomization_yaml};
pub use runner::{Entry, main};
pub use signer::Signer;
pub use tls::TlsProxy;
pub use tokens::Tokens;
pub use world::World;
