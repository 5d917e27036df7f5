//! CustomResourceDefinitions, generated from the types.
//!
//! Flux's own CRDs come from Go types through controller-gen; ours must come out the same but for the
//! words of the descriptions, because `kubectl apply` of either set over the other must change nothing
//! that clients see. Three small layers do it:
//!
//! * [`schema`] turns a type into a structural schema by controller-gen's conventions. What `serde`
//!   always writes is required; what `#[serde(skip_serializing_if = …)]` may leave out is optional;
//!   nothing is nullable. Types name limits, patterns and CEL rules through
//!   `#[schemars(extend(…))]`, and defaults of the API server as `x-default`, because `default` is what
//!   schemars makes of serde's defaults, which are Go's zero values and not meant.
//! * [`catalogue`] lists the kinds with what is not in their types: columns, default status, older
//!   versions.
//! * [`older`] says what older versions accept beyond the current one. They are served, not stored,
//!   and convert by changing `apiVersion` alone. So a field of theirs that still means something must be
//!   in the current version too, where Flux 2.9 does not have it: the API server stores nothing else.
//!   These additions are listed in the test that compares our schemas with the reference.
//!
//! `cargo run -p ferro-api --bin crdgen` writes the result to `config/crd`.

mod catalogue;
mod older;
mod schema;
mod yaml;

use serde_json::{Value, json};

pub use self::catalogue::{definitions, manifests};
pub(crate) use self::schema::{any_list, go_int, preserve_unknown_fields};

/// What a duration may look like.
pub const DURATION_PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";

/// What a timeout may look like: a duration without hours.
pub const TIMEOUT_PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$";

/// A file of `config/crd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Path of the file, relative to `config/crd`.
    pub path: String,
    /// Content of the file.
    pub yaml: String,
}

/// Returns validation rules, given as pairs of a CEL expression and the message of its failure.
pub(crate) fn cel(rules: &[(&str, &str)]) -> Value {
    rules
        .iter()
        .map(|(rule, message)| json!({"rule": rule, "message": message}))
        .collect()
}
