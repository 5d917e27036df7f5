//! The engine as a whole.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod charts;
mod corpus;
mod flags;
mod hostile;
mod oracle;
