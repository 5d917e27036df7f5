//! sprig's functions against what sprig answers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail loudly"
)]

#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;

mod calls;
mod certificates;
mod environment;
mod limits;
mod probes;
mod random;
mod render;
mod table;
mod times;
mod toml;
