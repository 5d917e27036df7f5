//! How a pass fails: the class is decided where it is known.

use std::time::Duration;

/// What a failure means for the next pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Only a change by the user can help.
    Stalling,
    /// Something else must happen first; looked at again after this time.
    Waiting(Duration),
    /// May go away; tried again after a growing time.
    Retried,
}

/// Why a pass came to no good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub class: Class,
    /// One word for programs.
    pub reason: &'static str,
    /// The text of the condition and the event.
    pub message: String,
}

impl Failure {
    /// Only a change by the user can help.
    pub(super) const fn stalling(reason: &'static str, message: String) -> Self {
        Self {
            class: Class::Stalling,
            reason,
            message,
        }
    }

    /// A source is not there yet.
    pub(super) const fn waiting(after: Duration, reason: &'static str, message: String) -> Self {
        Self {
            class: Class::Waiting(after),
            reason,
            message,
        }
    }

    /// May go away.
    pub(super) const fn retried(reason: &'static str, message: String) -> Self {
        Self {
            class: Class::Retried,
            reason,
            message,
        }
    }
}
