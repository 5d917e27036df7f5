//! What users hear of a pass that went well (`spec/sources-and-images.md` section 4.3).

use std::collections::BTreeMap;

use ferro_api::meta::Artifact;
use ferro_api::{Condition, FluxObject, event, reason};
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;

use super::SourceObject;

/// How the steps of a kind went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// What the event about a new artifact, or about a recovery, says.
    pub message: String,
    /// Reason and message where nothing had to be done. It is shown to who asked for the pass only: a periodic look that finds nothing new
    /// makes no request to the API server at all.
    pub no_op: Option<(&'static str, String)>,
}

/// What is remembered of an object from before the pass.
pub(super) struct Before {
    digest: Option<String>,
    pub(super) conditions: Vec<Condition>,
}

impl Before {
    pub(super) fn of<K: SourceObject>(object: &K) -> Self {
        Self {
            digest: object.artifact().map(|artifact| artifact.digest.clone()),
            conditions: object.conditions().to_vec(),
        }
    }

    fn has(&self, type_: &str) -> bool {
        self.conditions.iter().any(|condition| condition.type_ == type_)
    }
}

/// Reports a pass that went well.
pub(super) fn settled<K: SourceObject>(pass: &Pass<K>, before: &Before, settled: &Settled, asked: bool) {
    if let Some((reason, message)) = &settled.no_op {
        tracing::debug!("{message}");
        if asked {
            pass.event(Severity::Trace, reason, message, BTreeMap::new());
        }
    }
    let Some(artifact) = pass.object.artifact() else {
        return;
    };
    let Some(reason) = news(&pass.object, before, artifact) else {
        return;
    };
    tracing::info!(revision = artifact.revision, "{}", settled.message);
    pass.event(
        Severity::Info,
        pass.object.success_reason(reason),
        &settled.message,
        event_metadata::<K>(artifact),
    );
}

/// The reason of the event about a pass that went well; none if nothing is new.
fn news<K: SourceObject>(object: &K, before: &Before, artifact: &Artifact) -> Option<&'static str> {
    if before.digest.as_deref() != Some(artifact.digest.as_str()) {
        return Some(reason::NEW_ARTIFACT);
    }
    let failed_before = K::FAILURES.iter().any(|type_| before.has(type_));
    let fails_now = K::FAILURES.iter().any(|type_| object.condition(type_).is_some());
    (failed_before && !fails_now).then_some(reason::SUCCEEDED)
}

/// Revision and digest of an artifact, as events carry them.
fn event_metadata<K: FluxObject>(artifact: &Artifact) -> BTreeMap<String, String> {
    [
        (event::REVISION, &artifact.revision),
        (event::DIGEST, &artifact.digest),
    ]
    .into_iter()
    .map(|(key, value)| (format!("{}/{key}", K::GROUP), value.clone()))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::condition;
    use ferro_api::source::GitRepository;
    use ferro_runtime::conditions;

    fn object(digest: &str) -> GitRepository {
        let mut object = GitRepository::default();
        object.set_artifact(Some(Artifact {
            digest: digest.to_owned(),
            ..Artifact::default()
        }));
        object
    }

    fn news_of(before: &GitRepository, after: &GitRepository) -> Option<&'static str> {
        news(after, &Before::of(before), after.artifact().unwrap())
    }

    #[test]
    fn news_are_another_digest_or_a_recovery() {
        let (old, new) = (object("sha256:1"), object("sha256:2"));
        assert_eq!(news_of(&old, &new), Some("NewArtifact"));
        assert_eq!(news_of(&GitRepository::default(), &new), Some("NewArtifact"));
        assert_eq!(news_of(&old, &old), None);
        let mut failed = object("sha256:1");
        conditions::mark_true(&mut failed, condition::FETCH_FAILED, "A", "m");
        assert_eq!(news_of(&failed, &old), Some("Succeeded"));
        assert_eq!(news_of(&failed, &failed), None);
        assert_eq!(news_of(&failed, &new), Some("NewArtifact"));
    }
}
