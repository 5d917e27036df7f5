//! How a step fails: one type for all steps, so that the class of a failure is decided where it is known.

use std::time::Duration;

use ferro_api::{ConditionStatus, condition, reason};
use ferro_runtime::conditions;

use super::SourceObject;

/// What a failure means for the next pass (`spec/sources-and-images.md` section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Only a change by the user can help.
    Stalling,
    /// Something else must happen first; looked at again after this time.
    Waiting(Duration),
    /// May go away; tried again after a growing time.
    Retried,
    /// As `Retried`, without an event: an inner trouble of the controller.
    Plain,
}

/// Why a step could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What it means for the next pass.
    pub class: Class,
    /// One word for programs.
    pub reason: &'static str,
    /// The text of the condition and the event.
    pub message: String,
    /// The condition that reports it, if any, and its status.
    pub condition: Option<(&'static str, ConditionStatus)>,
}

impl Failure {
    fn new(
        condition: Option<(&'static str, ConditionStatus)>,
        reason: &'static str,
        message: String,
    ) -> Self {
        Self {
            class: Class::Retried,
            reason,
            message,
            condition,
        }
    }

    /// The upstream could not be read.
    pub(crate) fn fetch(reason: &'static str, message: String) -> Self {
        Self::new(
            Some((condition::FETCH_FAILED, ConditionStatus::True)),
            reason,
            message,
        )
    }

    /// The artifact could not be written.
    pub(crate) fn storage(reason: &'static str, message: String) -> Self {
        Self::new(
            Some((condition::STORAGE_OPERATION_FAILED, ConditionStatus::True)),
            reason,
            message,
        )
    }

    /// What was read could not be made an artifact.
    pub(crate) fn build(reason: &'static str, message: String) -> Self {
        Self::new(
            Some((condition::BUILD_FAILED, ConditionStatus::True)),
            reason,
            message,
        )
    }

    /// A source that is to be included is not there.
    pub(crate) fn include(reason: &'static str, message: String) -> Self {
        Self::new(
            Some((condition::INCLUDE_UNAVAILABLE, ConditionStatus::True)),
            reason,
            message,
        )
    }

    /// The source is not what it claims to be, or that cannot be told.
    pub(crate) fn verification(reason: &'static str, message: String) -> Self {
        Self::new(
            Some((condition::SOURCE_VERIFIED, ConditionStatus::False)),
            reason,
            message,
        )
    }

    /// A failure that has an event but no condition.
    pub(crate) fn unmarked(reason: &'static str, message: String) -> Self {
        Self::new(None, reason, message)
    }

    /// A failure that has neither event nor condition.
    pub(crate) fn plain(message: String) -> Self {
        Self::new(None, reason::FAILED, message).class(Class::Plain)
    }

    /// The same failure in another class.
    #[must_use]
    pub(crate) fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// The same failure, which only a change by the user can mend.
    #[must_use]
    pub(crate) fn stalling(self) -> Self {
        self.class(Class::Stalling)
    }

    /// Whether the upstream was read, and what it has is refused.
    pub(crate) fn is_of_content(&self) -> bool {
        self.condition
            .is_some_and(|(type_, _)| type_ == condition::SOURCE_VERIFIED)
    }

    /// Sets the condition that reports the failure.
    pub(crate) fn mark<K: SourceObject>(&self, object: &mut K) {
        if let Some((type_, status)) = self.condition {
            conditions::set(object, type_, status, self.reason, &self.message);
        }
    }
}
