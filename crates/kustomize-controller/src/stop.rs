//! Why a run ends before everything is applied and healthy (`spec/kustomize-and-notification.md` B.2, B.3, B.6).

use std::time::Duration;

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition, reason};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Cause, Outcome, Pass};

use crate::mask::Mask;
use crate::notice::of_artifact;

/// The end of a run.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Only a change of the spec helps.
    Terminal { reason: &'static str, message: String },
    /// Something else must happen first; looked at again after a while.
    Waiting {
        reason: &'static str,
        message: String,
        /// Told to users as information, where given.
        event: Option<String>,
        after: Duration,
    },
    /// An error; tried again after the retry interval.
    Failed {
        reason: &'static str,
        /// Text of the Ready condition.
        message: String,
    },
    /// Newer work for the object is there, or the process stops: nothing is known, and nothing is said.
    Interrupted(Cause),
    /// Newer work, brought by the object named, ended a wait for health.
    HealthCheckCanceled(String),
}

impl Stop {
    pub(crate) fn failed(reason: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Failed {
            reason,
            message: error.to_string(),
        }
    }

    /// The same, with what must not be shown taken out of its texts.
    pub(crate) fn masked(mut self, mask: &Mask) -> Self {
        match &mut self {
            Self::Terminal { message, .. } | Self::Waiting { message, .. } | Self::Failed { message, .. } => {
                *message = mask.hide(std::mem::take(message));
            }
            Self::Interrupted(_) | Self::HealthCheckCanceled(_) => {}
        }
        self
    }

    /// Sets the conditions and sends the events that go with the end; says when to come again.
    pub(crate) fn report(self, pass: &mut Pass<Kustomization>, artifact: Option<&Artifact>) -> Outcome {
        let metadata = artifact.map(of_artifact).unwrap_or_default();
        match self {
            Self::Terminal { reason, message } => {
                conditions::mark_false(&mut pass.object, condition::READY, reason, &message);
                conditions::mark_stalled(&mut pass.object, reason, &message);
                // As upstream: what is refused counts as not observed.
                if reason == reason::INVALID_CEL_EXPRESSION {
                    let generation = pass.object.metadata.generation.unwrap_or(0);
                    pass.object.set_observed_generation(generation);
                }
                pass.event(Severity::Error, reason, &message, metadata);
                Outcome::Stalled { error: message }
            }
            Self::Waiting {
                reason,
                message,
                event,
                after,
            } => {
                conditions::mark_false(&mut pass.object, condition::READY, reason, &message);
                if let Some(event) = event {
                    pass.event(Severity::Info, reason, &event, metadata);
                }
                tracing::info!(after = ?after, "{message}");
                Outcome::Wait(after)
            }
            Self::Failed { reason, message } => {
                conditions::mark_false(&mut pass.object, condition::READY, reason, &message);
                pass.event(Severity::Error, reason, &message, metadata);
                Outcome::Retry {
                    error: message,
                    after: pass.object.spec.retry_interval_or_default().to_std(),
                }
            }
            Self::Interrupted(Cause::Shutdown) => Outcome::Stopped,
            Self::Interrupted(Cause::NewWork(_)) => Outcome::Superseded,
            Self::HealthCheckCanceled(by) => {
                let message = format!("New reconciliation triggered by {by}");
                conditions::mark_false(
                    &mut pass.object,
                    condition::READY,
                    reason::HEALTH_CHECK_CANCELED,
                    &message,
                );
                let event = format!("Health checks canceled due to new reconciliation triggered by {by}");
                pass.event(Severity::Info, reason::HEALTH_CHECK_CANCELED, &event, metadata);
                Outcome::Superseded
            }
        }
    }
}
