//! What the conditions say while a pass is under way (`spec/sources-and-images.md` section 3.3).

use ferro_api::{ConditionStatus, FluxObject, condition, reason};
use ferro_runtime::conditions;
use ferro_runtime::reconcile::Pass;

/// Says what is being done. Ready becomes Unknown only if what is served is no longer what is asked for (`drift`), or if it was not known
/// before: a periodic look that finds nothing new leaves Ready as it is.
pub(crate) fn progressive<K: FluxObject>(object: &mut K, drift: bool, message: &str) {
    conditions::mark_reconciling(object, reason::PROGRESSING, message);
    let is_unknown = object
        .condition(condition::READY)
        .is_none_or(|ready| ready.status == ConditionStatus::Unknown);
    if drift || is_unknown {
        conditions::mark_unknown(object, condition::READY, reason::PROGRESSING, message);
    }
}

/// Opens a pass. Returns whether the user asked for it, by a change or a request; only then is the progress worth showing.
pub(super) fn begin<K: FluxObject>(pass: &mut Pass<K>) -> bool {
    progressive(&mut pass.object, false, "reconciliation in progress");
    let observed = pass.object.observed_generation().unwrap_or(0);
    let generation = pass.object.meta().generation.unwrap_or(0);
    let requested = pass.object.reconcile_requested_at();
    let is_requested = requested.is_some() && requested != pass.object.last_handled_reconcile_at();
    if generation != observed {
        let message = format!("processing object: new generation {observed} -> {generation}");
        progressive(&mut pass.object, false, &message);
    } else if !is_requested {
        return false;
    }
    pass.publish();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::source::GitRepository;

    fn ready(object: &GitRepository) -> Option<(ConditionStatus, &str)> {
        let ready = object.condition(condition::READY)?;
        Some((ready.status, ready.message.as_str()))
    }

    #[test]
    fn progressive_without_drift_leaves_a_known_ready_alone() {
        let mut object = GitRepository::default();
        progressive(&mut object, false, "first");
        assert_eq!(ready(&object), Some((ConditionStatus::Unknown, "first")));
        progressive(&mut object, false, "second");
        assert_eq!(ready(&object), Some((ConditionStatus::Unknown, "second")));
        conditions::mark_true(&mut object, condition::READY, reason::SUCCEEDED, "stored");
        progressive(&mut object, false, "third");
        assert_eq!(ready(&object), Some((ConditionStatus::True, "stored")));
        assert_eq!(object.condition(condition::RECONCILING).unwrap().message, "third");
        progressive(&mut object, true, "fourth");
        assert_eq!(ready(&object), Some((ConditionStatus::Unknown, "fourth")));
    }
}
