//! Verification against the programs that people sign with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking"
)]

mod cosign;
mod git;
mod notation;
mod provenance;
mod public;
mod signed;
mod tools;
mod tuf;
