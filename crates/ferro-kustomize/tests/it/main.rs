//! The engine as a whole.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod charts;
#[path = "../../../../tests/conformance/oracle.rs"]
mod conformance;
mod corpus;
mod flags;
mod giturl;
mod hostile;
mod oracle;
mod places;
