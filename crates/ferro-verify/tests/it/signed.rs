//! Signatures that `tests/conformance/signer` made, with the verdicts of the libraries that people verify with.
//!
//! The recorded ones are what the program prints; it fails when a verdict is not the one that the tests expect. With `FERRO_SIGNER` naming the
//! program, every test runs on fresh ones, too.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) const RECORDED: &str = include_str!("../data/signatures.json");

/// Runs a test on the recorded signatures, and on fresh ones.
pub(crate) fn each(test: impl Fn(&Value)) {
    static FRESH: OnceLock<Option<Value>> = OnceLock::new();
    test(&serde_json::from_str(RECORDED).unwrap());
    let fresh = FRESH.get_or_init(|| {
        let Some(program) = std::env::var_os("FERRO_SIGNER") else {
            eprintln!("skipped: FERRO_SIGNER does not name a built signer");
            return None;
        };
        let output = Command::new(program).output().unwrap();
        assert!(output.status.success());
        Some(serde_json::from_slice(&output.stdout).unwrap())
    });
    if let Some(fresh) = fresh {
        test(fresh);
    }
}
