//! Integration tests of the API types and their schemas.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod checklist;
mod conformance;
mod generated;
mod roundtrip;
