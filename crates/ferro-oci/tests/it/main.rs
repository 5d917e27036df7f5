//! Integration tests against registries on the loopback interface.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod auth;
mod hostile;
mod pull;
mod push;
mod registry;
