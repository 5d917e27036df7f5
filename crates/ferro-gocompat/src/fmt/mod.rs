//! `fmt`: verbs, flags, width and precision.
//!
//! A [`Printer`] formats what Go calls basic: booleans, numbers, strings. [`printf`] goes through a format
//! and asks [`Args`] to print each operand, so that every model of Go's values can use it.

mod format;
mod printer;

pub use format::{Args, printf};
pub use printer::{Flags, Printer};
