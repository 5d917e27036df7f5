//! Go's small formats, for programs whose output or input was defined by a Go program.
//!
//! Flux, Helm and kustomize leak the habits of Go's standard library into what users see and store:
//! `1m0s` in a status, `1e+06` in a rendered chart, `\u003c` in JSON, RE2 in a tag filter, `~>` in a version
//! range. Each module follows one Go package or library; the tests hold what Go 1.26 and
//! Masterminds/semver v3.5 answered.
//!
//! ```
//! use ferro_gocompat::number;
//!
//! assert_eq!(number::format_g(1_000_000.0), "1e+06");
//! ```
//!
//! text/template itself is in `ferro-template`; here is what it and others print with.

pub mod address;
pub mod duration;
pub mod escape;
pub mod float;
pub mod fmt;
pub mod json;
pub mod literal;
pub mod number;
pub mod path;
pub mod quote;
pub mod regexp;
pub mod semver;
pub mod time;
pub mod unicode;
