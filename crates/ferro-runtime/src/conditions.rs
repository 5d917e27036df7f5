//! Setting conditions by the rules that all of Flux's kinds share (`spec/sources-and-images.md` section 3.4,
//! `spec/kustomize-and-notification.md` A.5).

use ferro_api::meta::Time;
use ferro_api::object::FluxObject;
use ferro_api::{Condition, ConditionStatus, condition, reason};

/// Longest message of a condition, in bytes.
const MESSAGE_LIMIT: usize = 32_768;

/// Sets a condition. Its transition time changes only with its status, reason or message.
pub fn set<K: FluxObject>(object: &mut K, type_: &str, status: ConditionStatus, reason: &str, message: &str) {
    let generation = object.meta().generation.unwrap_or(0);
    let message = bounded(message);
    let conditions = object.conditions_mut();
    let now = Time::from(jiff::Timestamp::now());
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(condition) => {
            if condition.status != status || condition.reason != reason || condition.message != message {
                condition.last_transition_time = now;
            }
            condition.status = status;
            reason.clone_into(&mut condition.reason);
            condition.message = message;
            condition.observed_generation = Some(generation);
        }
        None => conditions.push(Condition {
            type_: type_.to_owned(),
            status,
            reason: reason.to_owned(),
            message,
            observed_generation: Some(generation),
            last_transition_time: now,
        }),
    }
    sort(conditions);
}

/// Sets a condition to True.
pub fn mark_true<K: FluxObject>(object: &mut K, type_: &str, reason: &str, message: &str) {
    set(object, type_, ConditionStatus::True, reason, message);
}

/// Sets a condition to False.
pub fn mark_false<K: FluxObject>(object: &mut K, type_: &str, reason: &str, message: &str) {
    set(object, type_, ConditionStatus::False, reason, message);
}

/// Sets a condition to Unknown.
pub fn mark_unknown<K: FluxObject>(object: &mut K, type_: &str, reason: &str, message: &str) {
    set(object, type_, ConditionStatus::Unknown, reason, message);
}

/// Says that the object is being worked on, hence not stalled.
pub fn mark_reconciling<K: FluxObject>(object: &mut K, reason: &str, message: &str) {
    delete(object, condition::STALLED);
    mark_true(object, condition::RECONCILING, reason, message);
}

/// Says that only a change by the user can help, hence that no work is going on.
pub fn mark_stalled<K: FluxObject>(object: &mut K, reason: &str, message: &str) {
    delete(object, condition::RECONCILING);
    mark_true(object, condition::STALLED, reason, message);
}

/// Removes a condition.
pub fn delete<K: FluxObject>(object: &mut K, type_: &str) {
    if object.condition(type_).is_some() {
        object
            .conditions_mut()
            .retain(|condition| condition.type_ != type_);
    }
}

/// Ends an attempt that failed and will be repeated: Reconciling, if set, says so.
pub fn mark_retrying<K: FluxObject>(object: &mut K) {
    delete(object, condition::STALLED);
    if let Some(message) = object
        .condition(condition::RECONCILING)
        .map(|condition| condition.message.clone())
    {
        mark_true(
            object,
            condition::RECONCILING,
            reason::PROGRESSING_WITH_RETRY,
            &message,
        );
    }
}

/// Gives a condition that is as it was `before` the pass its old transition time back: what a pass says in between is no transition, and
/// a repeated failure is not written again.
pub fn keep_times<K: FluxObject>(object: &mut K, before: &[Condition]) {
    if object.conditions().is_empty() {
        return;
    }
    for condition in object.conditions_mut() {
        let same = before.iter().find(|old| {
            old.type_ == condition.type_
                && old.status == condition.status
                && old.reason == condition.reason
                && old.message == condition.message
        });
        if let Some(old) = same {
            condition.last_transition_time = old.last_transition_time;
        }
    }
}

/// Stalled, Reconciling and Ready first, then by generation observed, newest first, then by name.
pub(crate) fn sort(conditions: &mut [Condition]) {
    let rank = |condition: &Condition| match condition.type_.as_str() {
        condition::STALLED => 0,
        condition::RECONCILING => 1,
        condition::READY => 2,
        _ => 3,
    };
    conditions.sort_by(|a, b| {
        let by_rank = rank(a).cmp(&rank(b));
        if by_rank.is_ne() || rank(a) < 3 {
            return by_rank;
        }
        b.observed_generation
            .cmp(&a.observed_generation)
            .then_with(|| a.type_.cmp(&b.type_))
    });
}

fn bounded(message: &str) -> String {
    if message.len() <= MESSAGE_LIMIT {
        return message.to_owned();
    }
    let mut end = MESSAGE_LIMIT - 3;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", message.get(..end).unwrap_or_default())
}

/// A condition's rank in the summary of [`summarise`]: lower decides first.
fn severity(condition: &Condition, positive: bool) -> Option<u8> {
    Some(match (condition.status, positive) {
        (ConditionStatus::True, false) => 0,
        (ConditionStatus::False, true) => 1,
        (ConditionStatus::True, true) => 2,
        (ConditionStatus::False, false) => 3,
        (ConditionStatus::Unknown, _) => 4,
    })
}

/// Recomputes Ready from the conditions named in `order`; those in `positive` are good when True, the others bad.
/// Without any of them Ready is removed (`spec/sources-and-images.md` section 3.4).
pub fn summarise<K: FluxObject>(object: &mut K, order: &[&str], positive: &[&str]) {
    let decisive = order
        .iter()
        .filter_map(|type_| {
            let condition = object.condition(type_)?;
            Some((severity(condition, positive.contains(type_))?, condition))
        })
        .min_by_key(|(severity, _)| *severity)
        .map(|(severity, condition)| (severity, condition.reason.clone(), condition.message.clone()));
    match decisive {
        None => delete(object, condition::READY),
        Some((severity, reason, message)) => {
            let status = match severity {
                2 | 3 => ConditionStatus::True,
                4 => ConditionStatus::Unknown,
                _ => ConditionStatus::False,
            };
            set(object, condition::READY, status, &reason, &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::kustomize::Kustomization;

    fn types(object: &Kustomization) -> Vec<&str> {
        object
            .conditions()
            .iter()
            .map(|condition| condition.type_.as_str())
            .collect()
    }

    #[test]
    fn set_orders_conditions_and_keeps_the_transition_time() {
        let mut object = Kustomization::default();
        mark_true(&mut object, "Zeta", "A", "m");
        mark_false(&mut object, "Alpha", "A", "m");
        mark_unknown(&mut object, condition::READY, "Progressing", "m");
        mark_reconciling(&mut object, "Progressing", "m");
        assert_eq!(types(&object), ["Reconciling", "Ready", "Alpha", "Zeta"]);
        let old = Time::from("2020-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap());
        object
            .conditions_mut()
            .iter_mut()
            .for_each(|condition| condition.last_transition_time = old);
        mark_true(&mut object, "Zeta", "A", "m");
        assert_eq!(object.condition("Zeta").unwrap().last_transition_time, old);
        mark_true(&mut object, "Zeta", "A", "other");
        assert_ne!(object.condition("Zeta").unwrap().last_transition_time, old);
    }

    #[test]
    fn stalled_and_reconciling_exclude_each_other() {
        let mut object = Kustomization::default();
        mark_reconciling(&mut object, "Progressing", "m");
        mark_stalled(&mut object, "InvalidCELExpression", "m");
        assert_eq!(types(&object), ["Stalled"]);
        mark_reconciling(&mut object, "Progressing", "m");
        assert_eq!(types(&object), ["Reconciling"]);
        mark_retrying(&mut object);
        assert_eq!(
            object.condition("Reconciling").unwrap().reason,
            "ProgressingWithRetry"
        );
    }

    #[test]
    fn long_message_is_cut_at_a_character() {
        let mut object = Kustomization::default();
        mark_true(&mut object, "Ready", "A", &"é".repeat(20_000));
        let message = &object.condition("Ready").unwrap().message;
        assert!(message.len() <= MESSAGE_LIMIT && message.ends_with("..."));
    }

    #[test]
    fn summarise_lets_the_worst_condition_decide() {
        let order = [
            "FetchFailed",
            "ArtifactOutdated",
            "ArtifactInStorage",
            "Stalled",
            "Reconciling",
        ];
        let positive = ["ArtifactInStorage"];
        let mut object = Kustomization::default();
        summarise(&mut object, &order, &positive);
        assert!(object.condition("Ready").is_none());
        mark_true(&mut object, "ArtifactInStorage", "Succeeded", "stored");
        summarise(&mut object, &order, &positive);
        assert_eq!(object.condition("Ready").unwrap().status, ConditionStatus::True);
        mark_true(&mut object, "Reconciling", "Progressing", "working");
        mark_true(&mut object, "FetchFailed", "GitOperationFailed", "no route");
        summarise(&mut object, &order, &positive);
        let ready = object.condition("Ready").unwrap();
        assert_eq!(
            (ready.status, ready.message.as_str()),
            (ConditionStatus::False, "no route")
        );
    }

    #[test]
    fn keep_times_restores_the_time_of_a_condition_that_is_as_before() {
        let mut object = Kustomization::default();
        mark_reconciling(&mut object, "ProgressingWithRetry", "again");
        let old = "2020-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
        object
            .conditions_mut()
            .iter_mut()
            .for_each(|condition| condition.last_transition_time = old.into());
        let before = object.conditions().to_vec();
        mark_reconciling(&mut object, "Progressing", "reconciliation in progress");
        mark_reconciling(&mut object, "ProgressingWithRetry", "again");
        keep_times(&mut object, &before);
        assert_eq!(object.conditions(), before);
        mark_reconciling(&mut object, "ProgressingWithRetry", "other");
        keep_times(&mut object, &before);
        assert_ne!(object.conditions(), before);
    }
}
