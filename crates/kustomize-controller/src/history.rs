//! `status.history`: the last five distinct results (`spec/kustomize-and-notification.md` A.4).

use std::collections::BTreeMap;
use std::time::Duration;

use ferro_api::kustomize::Snapshot;
use ferro_api::meta::Time;

const LENGTH: usize = 5;

/// What a run came to.
pub(crate) struct Run<'a> {
    /// Digest of the built manifests.
    pub(crate) digest: &'a str,
    /// The reason of the Ready condition.
    pub(crate) status: &'a str,
    pub(crate) took: Duration,
    pub(crate) at: jiff::Timestamp,
    pub(crate) revision: &'a str,
    pub(crate) origin_revision: Option<&'a str>,
}

/// Counts the run on the entry of the same digest and status, which moves to the front, or adds one.
pub(crate) fn record(history: &mut Vec<Snapshot>, run: &Run<'_>) {
    let same = history
        .iter()
        .position(|entry| entry.digest == run.digest && entry.last_reconciled_status == run.status);
    let mut entry = same.map_or_else(
        || Snapshot {
            digest: run.digest.to_owned(),
            first_reconciled: Time::from(run.at),
            ..Snapshot::default()
        },
        |index| history.remove(index),
    );
    entry.last_reconciled = Time::from(run.at);
    entry.last_reconciled_duration = run.took.into();
    run.status.clone_into(&mut entry.last_reconciled_status);
    entry.total_reconciliations = entry.total_reconciliations.saturating_add(1);
    entry.metadata = BTreeMap::from([("revision".to_owned(), run.revision.to_owned())]);
    if let Some(origin) = run.origin_revision {
        entry
            .metadata
            .insert("originRevision".to_owned(), origin.to_owned());
    }
    history.insert(0, entry);
    history.truncate(LENGTH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_counts_the_same_result_and_keeps_five() {
        let mut history = Vec::new();
        let run = |digest, status| Run {
            digest,
            status,
            took: Duration::from_millis(1500),
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
            revision: "main@sha1:1",
            origin_revision: None,
        };
        for digest in ["a", "b", "a"] {
            record(&mut history, &run(digest, "ReconciliationSucceeded"));
        }
        record(&mut history, &run("a", "HealthCheckFailed"));
        let summary: Vec<_> = history
            .iter()
            .map(|entry| (entry.digest.as_str(), entry.total_reconciliations))
            .collect();
        assert_eq!(summary, [("a", 1), ("a", 2), ("b", 1)]);
        assert_eq!(history[0].last_reconciled_duration.to_string(), "1.5s");
        for digest in ["c", "d", "e", "f"] {
            record(&mut history, &run(digest, "ReconciliationSucceeded"));
        }
        assert_eq!(history.len(), 5);
        assert_eq!(history[4].last_reconciled_status, "HealthCheckFailed");
    }
}
