//! Schemas for values.

#![no_main]

#[allow(dead_code, reason = "each target uses one entry")]
#[path = "../../crates/ferro-helm/tests/it/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::schema(data));
