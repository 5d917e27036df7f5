//! Applies, waits and prunes against an API server: a small one in memory, and a real one where there is one.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod cluster;
mod support;
