//! Integration tests of the API types and their schemas.

mod roundtrip;
