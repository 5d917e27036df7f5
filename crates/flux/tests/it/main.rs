//! Integration tests of the command line, against a scripted API server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod build;
mod check;
mod create;
mod create_secret;
mod debug;
mod delete;
mod diff;
mod export;
mod get;
mod reconcile;
mod script;
mod suspend;
mod usage;
