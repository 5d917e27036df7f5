//! Integration tests of ferro-git against real servers on the loopback interface.

// Helpers of tests fail like tests; the configuration only knows the tests themselves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod http;
mod http_faults;
mod lfs;
mod recovery;
mod ssh;
mod submodules;
mod support;
