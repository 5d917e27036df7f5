//! What Go's libraries read and print: recorded cases always, random ones when the oracle is there.

#[cfg(test)]
mod answer;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;
#[cfg(test)]
mod random;
#[cfg(test)]
mod strategy;
