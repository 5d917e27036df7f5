//! Tests of readiness.
#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

mod cel;
mod kinds;
