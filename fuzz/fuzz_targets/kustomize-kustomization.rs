//! Kustomization files of any bytes.

#![no_main]

#[allow(dead_code, reason = "each target uses one entry")]
#[path = "../../crates/ferro-kustomize/tests/it/hostile/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::kustomization(data));
