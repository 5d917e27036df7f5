//! Readiness of Kubernetes objects: the kstatus rules per kind and CEL health expressions.
//!
//! [`health`] answers for any object, by the rules that Flux 2.9 uses (its fork of kstatus, with its own rule
//! for Jobs). [`HealthExprs`] holds what users write in `healthCheckExprs`, and [`ReadyExpr`] a `readyExpr`
//! of a dependency; both are compiled once and evaluated often.
//!
//! Objects are JSON values and time is a parameter: the crate has no clock, no client and no file system.
//!
//! ```
//! use ferro_kstatus::{Status, health};
//!
//! let claim = serde_json::json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}});
//! assert_eq!(health(&claim, jiff::Timestamp::UNIX_EPOCH).status, Status::InProgress);
//! ```

use std::fmt;

use jiff::Timestamp;

mod cel;
mod condition;
mod kinds;
mod view;

pub use crate::cel::{EvalError, ExprError, HealthExpr, HealthExprs, ReadyExpr};

/// Where an object is on its way to the state that its spec asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Not there yet.
    InProgress,
    /// It will not get there without help.
    Failed,
    /// It is there.
    Current,
    /// It is being deleted.
    Terminating,
    /// It does not exist.
    NotFound,
    /// Its state cannot be told.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProgress => "InProgress",
            Self::Failed => "Failed",
            Self::Current => "Current",
            Self::Terminating => "Terminating",
            Self::NotFound => "NotFound",
            Self::Unknown => "Unknown",
        })
    }
}

/// The readiness of one object at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub status: Status,
    /// Why, in a few words; for [`Status::Unknown`] the error.
    pub message: String,
    /// When this answer stops to hold although the object does not change.
    pub until: Option<Timestamp>,
}

impl Health {
    /// Makes an answer that holds until the object changes.
    #[must_use]
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            until: None,
        }
    }

    /// The answer for an object that does not exist.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Status::NotFound, "resource not found")
    }
}

/// Tells how ready `object` is at `now`.
#[must_use]
pub fn health(object: &serde_json::Value, now: Timestamp) -> Health {
    kinds::health(view::View::new(object), now)
        .unwrap_or_else(|error| Health::new(Status::Unknown, error.to_string()))
}

/// An object does not have the shape that its kind promises.
#[derive(Debug, thiserror::Error)]
enum ShapeError {
    #[error("{path} is not {expected}")]
    Type { path: String, expected: &'static str },
    #[error("unknown phase \"{0}\"")]
    Phase(String),
}
