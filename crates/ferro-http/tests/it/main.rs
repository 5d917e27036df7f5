//! Integration tests of ferro-http against loopback servers.

// Helpers of tests fail like tests; the configuration only knows the tests themselves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod client;
mod environment;
mod tls;
