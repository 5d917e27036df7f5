//! What upstream's engine answers: generated charts, values and texts through it and through ours.
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
mod any_bytes;
#[cfg(test)]
mod charts;
#[cfg(test)]
mod common;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod expressions;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod idioms;
#[cfg(test)]
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;
#[cfg(test)]
mod outcome;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod probes_chart;
#[cfg(test)]
mod public;
#[cfg(test)]
mod random;
#[cfg(test)]
mod record;
#[cfg(test)]
mod render;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod small;
#[cfg(test)]
mod steady;
#[cfg(test)]
mod strvals;
#[cfg(test)]
mod values;
