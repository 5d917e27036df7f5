//! Applies, waits and prunes against an API server: a small one in memory, and a real one where there is one.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests"
)]

mod afterwards;
mod budget;
mod cluster;
mod merge;
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;
mod requests;
mod server;
mod support;
mod targets;
