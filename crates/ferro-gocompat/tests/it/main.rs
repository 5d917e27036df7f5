//! Comparison with what Go printed: recorded vectors always, fresh random cases when the oracle is there.

#[cfg(test)]
mod answer;
#[cfg(test)]
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;
#[cfg(test)]
mod random;
#[cfg(test)]
mod vectors;
