//! Integration tests of the command line, against a scripted API server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod check;
mod get;
mod reconcile;
mod script;
mod suspend;
mod usage;
