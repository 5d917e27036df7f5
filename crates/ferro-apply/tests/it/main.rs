//! Applies, waits and prunes against an API server: a small one in memory, and a real one where there is one.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod afterwards;
mod budget;
mod cluster;
mod requests;
mod server;
mod support;
