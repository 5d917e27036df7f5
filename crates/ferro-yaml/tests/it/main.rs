//! What Go's libraries read and print: recorded cases always, random ones when the oracle is there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

#[cfg(test)]
mod answer;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
#[cfg(test)]
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;
#[cfg(test)]
mod random;
#[cfg(test)]
mod strategy;
#[cfg(test)]
mod wild;
