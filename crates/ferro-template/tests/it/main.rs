//! Tests of the engine, alone and against the original.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

#[cfg(test)]
mod careful;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod free;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod language;
#[cfg(test)]
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;
#[cfg(test)]
mod printing;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod typed;
