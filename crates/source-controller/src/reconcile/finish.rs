//! What the conditions say when a pass is over (`spec/sources-and-images.md` section 3.4).

use ferro_api::{ConditionStatus, condition};
use ferro_runtime::conditions;
use ferro_runtime::reconcile::Outcome;

use super::SourceObject;

/// The conditions of the summary that are good when True.
const POSITIVE: &[&str] = &[condition::ARTIFACT_IN_STORAGE, condition::SOURCE_VERIFIED];

/// Settles Reconciling, Stalled and the observed generation by the outcome, then summarises all into Ready. Safe to repeat.
pub(crate) fn finish<K: SourceObject>(object: &mut K, outcome: &Outcome) {
    if *outcome == Outcome::Stopped {
        return;
    }
    ferro_runtime::reconcile::finish(object, outcome);
    if matches!(outcome, Outcome::Stalled { .. }) {
        object.set_observed_generation(object.meta().generation.unwrap_or(0));
    }
    summarise(object);
}

/// Settles a suspended object: what it was is summarised again, and it counts as observed.
pub(crate) fn finish_suspended<K: SourceObject>(object: &mut K) {
    if object.conditions().is_empty() {
        return;
    }
    conditions::mark_retrying(object);
    object.set_observed_generation(object.meta().generation.unwrap_or(0));
    summarise(object);
}

fn summarise<K: SourceObject>(object: &mut K) {
    conditions::summarise(object, K::SUMMARY, POSITIVE);
    // A signature that does not hold is the cause, whatever else is wrong.
    let unverified = object
        .condition(condition::SOURCE_VERIFIED)
        .filter(|verified| verified.status == ConditionStatus::False)
        .map(|verified| (verified.reason.clone(), verified.message.clone()));
    if let Some((reason, message)) = unverified {
        conditions::mark_false(object, condition::READY, &reason, &message);
    }
}

/// A pass that did all its work and yet leaves an object that is not ready has to be repeated.
pub(super) fn unless_unready<K: SourceObject>(object: &K, outcome: Outcome) -> Outcome {
    if outcome != Outcome::Done || object.is_ready() {
        return outcome;
    }
    let ready = object.condition(condition::READY);
    Outcome::Backoff {
        error: ready.map_or_else(|| "not ready".to_owned(), |ready| ready.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::source::GitRepository;
    use ferro_api::{FluxObject, reason};

    fn object() -> GitRepository {
        let mut object = GitRepository::default();
        object.metadata.generation = Some(3);
        object
    }

    fn summary(object: &GitRepository) -> Vec<String> {
        let text = |condition: &ferro_api::Condition| {
            format!("{}={}/{}", condition.type_, condition.status, condition.reason)
        };
        object.conditions().iter().map(text).collect()
    }

    #[test]
    fn finish_success_leaves_ready_and_the_artifact() {
        let mut object = object();
        conditions::mark_reconciling(&mut object, reason::PROGRESSING, "m");
        conditions::mark_unknown(&mut object, condition::READY, reason::PROGRESSING, "m");
        conditions::mark_true(
            &mut object,
            condition::ARTIFACT_IN_STORAGE,
            reason::SUCCEEDED,
            "stored",
        );
        finish(&mut object, &Outcome::Done);
        assert_eq!(
            summary(&object),
            ["Ready=True/Succeeded", "ArtifactInStorage=True/Succeeded"]
        );
        assert_eq!(object.observed_generation(), Some(3));
        assert_eq!(unless_unready(&object, Outcome::Done), Outcome::Done);
    }

    #[test]
    fn finish_failed_fetch_keeps_the_artifact_and_says_that_it_retries() {
        let mut object = object();
        conditions::mark_true(
            &mut object,
            condition::ARTIFACT_IN_STORAGE,
            reason::SUCCEEDED,
            "stored",
        );
        conditions::mark_reconciling(&mut object, reason::PROGRESSING, "m");
        conditions::mark_true(
            &mut object,
            condition::FETCH_FAILED,
            reason::AUTHENTICATION_FAILED,
            "no",
        );
        let outcome = Outcome::Backoff { error: "no".into() };
        finish(&mut object, &outcome);
        let expected = [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/AuthenticationFailed",
            "ArtifactInStorage=True/Succeeded",
            "FetchFailed=True/AuthenticationFailed",
        ];
        assert_eq!(summary(&object), expected);
        assert_eq!(object.observed_generation(), None);
        finish(&mut object, &outcome);
        assert_eq!(summary(&object), expected);
    }

    #[test]
    fn finish_stalled_is_observed() {
        let mut object = object();
        conditions::mark_reconciling(&mut object, reason::PROGRESSING, "m");
        conditions::mark_true(&mut object, condition::FETCH_FAILED, reason::URL_INVALID, "bad");
        conditions::mark_stalled(&mut object, reason::URL_INVALID, "bad");
        finish(&mut object, &Outcome::Stalled { error: "bad".into() });
        let expected = [
            "Stalled=True/URLInvalid",
            "Ready=False/URLInvalid",
            "FetchFailed=True/URLInvalid",
        ];
        assert_eq!(summary(&object), expected);
        assert_eq!(object.observed_generation(), Some(3));
    }

    #[test]
    fn finish_unverified_source_decides_ready() {
        let mut object = object();
        conditions::mark_true(&mut object, condition::STALLED, "VerificationError", "other");
        conditions::mark_false(
            &mut object,
            condition::SOURCE_VERIFIED,
            "VerificationError",
            "cannot",
        );
        finish(&mut object, &Outcome::Stalled { error: String::new() });
        let ready = object.condition(condition::READY).unwrap();
        assert_eq!(
            (ready.status, ready.message.as_str()),
            (ConditionStatus::False, "cannot")
        );
    }

    #[test]
    fn finish_success_that_is_not_ready_is_repeated() {
        let mut object = object();
        conditions::mark_true(&mut object, condition::ARTIFACT_OUTDATED, "NewRevision", "old");
        finish(&mut object, &Outcome::Done);
        assert_eq!(
            unless_unready(&object, Outcome::Done),
            Outcome::Backoff { error: "old".into() }
        );
    }

    #[test]
    fn finish_suspended_never_reconciled_object_stays_unobserved() {
        let mut untouched = object();
        finish_suspended(&mut untouched);
        assert_eq!(untouched.status, None);
        let mut edited = object();
        conditions::mark_true(
            &mut edited,
            condition::ARTIFACT_IN_STORAGE,
            reason::SUCCEEDED,
            "stored",
        );
        finish_suspended(&mut edited);
        assert_eq!(edited.observed_generation(), Some(3));
        assert!(edited.is_ready());
    }
}
