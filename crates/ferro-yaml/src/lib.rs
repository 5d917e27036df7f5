//! YAML read and written as Go's libraries do, to the byte.
//!
//! Kubernetes tooling written in Go uses two YAML libraries: `sigs.k8s.io/yaml` (go-yaml v2 with JSON
//! semantics; Helm values, manifests on their way to the API server) and kyaml (go-yaml v3; resources in
//! kustomize). They disagree with each other, with YAML 1.2 and with every Rust crate about what `yes`,
//! `0644` or `1_000` are and about how a string is quoted or folded. A checksum over rendered YAML must not
//! change because the program that renders it did, so this crate follows them exactly.
//!
//! - [`parse_documents`] reads a stream into [`Node`] trees that keep order, style, positions and, when
//!   asked for, comments.
//! - [`to_string`] writes a tree in one of the [`EmitOptions`].
//! - [`sigs`] reads to and writes from JSON values, the way `sigs.k8s.io/yaml` does.
//!
//! ```
//! use ferro_yaml::{EmitOptions, ParseOptions, parse_one, to_string};
//!
//! let node = parse_one("b: [yes, 0o7]\na: 'x'\n", &ParseOptions::default())?;
//! assert_eq!(to_string(&node, &EmitOptions::kyaml())?, "b: [yes, 0o7]\na: 'x'\n");
//! # Ok::<(), ferro_yaml::Error>(())
//! ```
//!
//! How it reads: [`Dialect`] chooses between the scanners of v2 and v3, which differ in how far they look ahead
//! (and so in which of two errors is found) and in comments. Bytes become tokens, tokens become events by
//! libyaml's grammar, events become nodes; the first document is all that is looked at where Go looks at no
//! more. Errors have Go's words and lines.
//!
//! What it does not do: span edits, YAML schemas beyond Go's, incremental reading.
//! Limits: size, depth and node count are bounded by [`Limits`]; aliases by go-yaml's own ratio. The depth is
//! lower than Go's 10,000, because trees are walked recursively.

mod convert;
mod decode;
mod emit;
mod error;
mod node;
mod parse;
mod resolve;
pub mod sigs;
mod text;

pub use emit::{EmitOptions, documents_to_string, sort_keys, to_string};
pub use error::{Error, Result};
pub use node::{Comments, Entry, Kind, Mapping, Node, Position, ScalarStyle, Sequence, Tag};
pub use parse::{Document, Limits, ParseOptions, check, parse_documents, parse_first, parse_one};
pub use resolve::{Dialect, Value, to_rfc3339};
pub use text::Text;
