//! Why an apply failed, in upstream's words (`spec/kustomize-and-notification.md` F.6).

use kube::core::Status;

use crate::changeset::ChangeSet;
use crate::inventory::Entry;
use crate::mapper::MapError;
use crate::object::ObjectId;
use crate::wait::WaitError;

/// A single object could not be applied, deleted or looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObjectFailure {
    /// Its kind is not served.
    #[error("{id} dry-run failed: {source}")]
    Unmapped {
        /// The object.
        id: ObjectId,
        /// Why.
        source: MapError,
    },
    /// The server would not accept it.
    #[error("{}", dry_run_text(id, status))]
    DryRun {
        /// The object.
        id: ObjectId,
        /// What the server said.
        status: Box<Status>,
    },
    /// The server did not accept it, though it would have.
    #[error("{id} apply failed: {}", status.message)]
    Apply {
        /// The object.
        id: ObjectId,
        /// What the server said.
        status: Box<Status>,
    },
    /// The server could not be asked.
    #[error("{id} {action} failed: {}", message(source.as_ref()))]
    Request {
        /// The object.
        id: ObjectId,
        /// What was tried.
        action: &'static str,
        /// Why it did not work.
        source: Box<kube::Error>,
    },
    /// It was deleted to be made anew, and does not go away.
    #[error("{0} delete failed: still there after {1:?}, held by finalizers")]
    Undeletable(ObjectId, std::time::Duration),
}

impl ObjectFailure {
    /// Whether the server gave no answer that tells what became of the request.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Request { .. } => true,
            Self::DryRun { status, .. } | Self::Apply { status, .. } => status.code >= 500,
            Self::Unmapped { .. } | Self::Undeletable(..) => false,
        }
    }

    /// Whether the server could not be reached at all, so that asking for the next object is of no use.
    pub(crate) fn is_unreachable(&self) -> bool {
        let discovery = matches!(
            self,
            Self::Unmapped {
                source: MapError::Discovery(_),
                ..
            }
        );
        discovery || matches!(self, Self::Request { .. })
    }

    /// Sorts a client error by what the server said, if it said something.
    #[must_use]
    pub fn from_kube(id: &ObjectId, dry_run: bool, action: &'static str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if dry_run => Self::DryRun {
                id: id.clone(),
                status,
            },
            kube::Error::Api(status) => Self::Apply {
                id: id.clone(),
                status,
            },
            error => Self::Request {
                id: id.clone(),
                action,
                source: Box::new(error),
            },
        }
    }
}

/// What went wrong, in words for users: what the API server said if it said something, else the error with its causes.
///
/// The client's own texts repeat an answer of the API server in Rust's notation.
#[must_use]
pub fn message(error: &(dyn std::error::Error + 'static)) -> String {
    let answer = |error: &(dyn std::error::Error + 'static)| match error.downcast_ref() {
        Some(kube::Error::Api(status)) => Some(status.message.clone()),
        _ => error
            .downcast_ref::<Status>()
            .map(|status| status.message.clone()),
    };
    let (mut texts, mut next): (Vec<String>, _) = (Vec::new(), Some(error));
    while let Some(error) = next {
        if let Some(answer) = answer(error).filter(|answer| !answer.is_empty()) {
            return answer;
        }
        let text = error.to_string();
        // Some errors repeat their cause in their own text.
        if !texts.last().is_some_and(|last| last.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

fn dry_run_text(id: &ObjectId, status: &Status) -> String {
    let message = &status.message;
    if status.code == 404 {
        return if id.namespace.is_empty() {
            format!("{id} namespace not specified: {message}")
        } else {
            format!("{id} not found: {message}")
        };
    }
    let conflict = status.details.as_ref().is_some_and(|details| {
        details
            .causes
            .iter()
            .any(|cause| cause.reason == "FieldManagerConflict")
    });
    let reason = if conflict {
        "FieldManagerConflict"
    } else {
        status.reason.as_str()
    };
    if reason.is_empty() {
        format!("{id} dry-run failed: {message}")
    } else {
        format!("{id} dry-run failed ({reason}): {message}")
    }
}

/// An apply stopped. What was done until then stays done.
#[derive(Debug)]
pub struct ApplyError {
    /// What had been applied.
    pub applied: ChangeSet,
    /// What went wrong, with the first object first.
    pub causes: Vec<Cause>,
    /// Objects that may have been written: the answer to the request was lost.
    pub uncertain: Vec<Entry>,
}

/// One reason for which an apply stopped.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// An object failed.
    #[error(transparent)]
    Object(#[from] ObjectFailure),
    /// A stage did not become current.
    #[error(transparent)]
    Stage(#[from] WaitError),
}

/// The first cause as upstream words it, further ones on lines of their own, then what had been applied.
impl std::fmt::Display for ApplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, cause) in self.causes.iter().enumerate() {
            write!(f, "{}{cause}", if index == 0 { "" } else { "\n" })?;
        }
        let applied = self.applied.notable();
        if applied.is_empty() {
            Ok(())
        } else {
            write!(f, "\n{applied}")
        }
    }
}

impl std::error::Error for ApplyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str) -> Status {
        Status {
            code,
            reason: reason.into(),
            message: "m".into(),
            ..Status::default()
        }
    }

    #[test]
    fn message_is_what_the_server_said_or_the_chain_of_causes() {
        let mut answer = status(404, "NotFound");
        answer.message = "configmaps \"a\" not found".into();
        let refused = kube::Error::Api(Box::new(answer));
        assert_eq!(message(&refused), "configmaps \"a\" not found");
        let watch = kube::runtime::watcher::Error::InitialListFailed(refused);
        assert_eq!(message(&watch), "configmaps \"a\" not found");
        let lost = kube::Error::Service(Box::new(std::io::Error::other("connection refused")));
        assert_eq!(message(&lost), "ServiceError: connection refused");
        let discovery = MapError::Discovery(std::sync::Arc::new(lost));
        assert_eq!(
            discovery.to_string(),
            "cannot discover the APIs of the cluster: ServiceError: connection refused"
        );
    }

    #[test]
    fn dry_run_text_is_upstreams() {
        let mut id = ObjectId {
            kind: "Service".into(),
            name: "a".into(),
            namespace: "n".into(),
            group: String::new(),
        };
        assert_eq!(
            dry_run_text(&id, &status(422, "Invalid")),
            "Service/n/a dry-run failed (Invalid): m"
        );
        assert_eq!(
            dry_run_text(&id, &status(404, "NotFound")),
            "Service/n/a not found: m"
        );
        id.namespace.clear();
        assert_eq!(
            dry_run_text(&id, &status(404, "NotFound")),
            "Service/a namespace not specified: m"
        );
    }
}
