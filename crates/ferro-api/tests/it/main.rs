//! Integration tests of the API types and their schemas.

mod conformance;
mod generated;
mod roundtrip;
