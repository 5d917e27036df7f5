//! Comparison with what Go printed: recorded vectors always, fresh random cases when the oracle is there.

mod answer;
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;
mod random;
mod vectors;
