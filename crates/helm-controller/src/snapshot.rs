//! Snapshots: what the history in the status keeps of each revision (`spec/helm.md` A.4.1, A.4.2).

use std::cmp::Reverse;

use ferro_api::helm::{ReleaseSnapshot, TestHookStatus};
use ferro_api::meta::Time;
use ferro_artifact::digest::{Algorithm, Digest};
use ferro_gocompat::time::Time as GoTime;
use ferro_helm::record::{Record, observation, observed_config};

/// How digests are computed.
const API_VERSION: &str = "v2";
/// Snapshots that are kept where none of them is a way back.
const KEPT: usize = 5;

/// Why a record is not the one that a snapshot was taken of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    /// The digest is none.
    #[error("release digest verification error")]
    Unreadable,
    /// Something else than this controller has written it.
    #[error("release not observed to be made for object")]
    NotObserved,
}

/// Takes a snapshot of a record. `oci_digest` is that of the chart's artifact, empty if it has none.
pub(crate) fn take(record: &Record, action: &str, oci_digest: &str, algorithm: Algorithm) -> ReleaseSnapshot {
    let metadata = record.chart.metadata();
    let config = observed_config(&record.config).unwrap_or_default();
    ReleaseSnapshot {
        action: Some(action.to_owned()),
        api_version: Some(API_VERSION.to_owned()),
        app_version: Some(metadata.app_version.clone()).filter(|version| !version.is_empty()),
        chart_name: metadata.name.clone(),
        chart_version: metadata.version.clone(),
        config_digest: algorithm.digest(config.as_bytes()).to_string(),
        deleted: record.info.deleted.as_ref().and_then(api_time),
        digest: algorithm
            .digest(observation(record, oci_digest).as_bytes())
            .to_string(),
        first_deployed: record
            .info
            .first_deployed
            .as_ref()
            .and_then(api_time)
            .unwrap_or_default(),
        last_deployed: record
            .info
            .last_deployed
            .as_ref()
            .and_then(api_time)
            .unwrap_or_default(),
        name: record.name.clone(),
        namespace: record.namespace.clone(),
        oci_digest: Some(oci_digest.to_owned()).filter(|digest| !digest.is_empty()),
        status: record.info.status.to_string(),
        test_hooks: None,
        version: record.version,
    }
}

/// Checks that a record is the one that the snapshot was taken of. Those of older versions cannot be checked.
pub(crate) fn verify(snapshot: &ReleaseSnapshot, record: &Record) -> Result<(), Mismatch> {
    if snapshot.api_version.as_deref() != Some(API_VERSION) {
        return Ok(());
    }
    let expected: Digest = snapshot.digest.parse().map_err(|_| Mismatch::Unreadable)?;
    let oci_digest = snapshot.oci_digest.as_deref().unwrap_or_default();
    let found = expected
        .algorithm()
        .digest(observation(record, oci_digest).as_bytes());
    (found == expected).then_some(()).ok_or(Mismatch::NotObserved)
}

/// Puts a snapshot into the history, in the place of the one of the same revision if there is one, whose tests it keeps.
pub(crate) fn record(history: &mut Vec<ReleaseSnapshot>, mut snapshot: ReleaseSnapshot) {
    let same = |known: &ReleaseSnapshot| {
        known.version == snapshot.version
            && known.name == snapshot.name
            && known.namespace == snapshot.namespace
    };
    match history.iter().position(same) {
        Some(index) => {
            if let Some(known) = history.get_mut(index) {
                snapshot.test_hooks = snapshot.test_hooks.or_else(|| known.test_hooks.take());
                *known = snapshot;
            }
        }
        None => history.push(snapshot),
    }
    history.sort_by_key(|snapshot| Reverse(snapshot.version));
}

/// Takes in what became of a revision that is in the history already.
pub(crate) fn refresh(history: &mut [ReleaseSnapshot], record: &Record, algorithm: Algorithm) {
    let known = history
        .iter_mut()
        .find(|known| known.version == record.version && known.name == record.name);
    if let Some(known) = known {
        let oci_digest = known.oci_digest.clone().unwrap_or_default();
        let action = known.action.take();
        let tests = known.test_hooks.take();
        *known = take(record, "", &oci_digest, algorithm);
        (known.action, known.test_hooks) = (action, tests);
    }
}

/// The tests of a record and how they went.
pub(crate) fn tests<'r>(
    hooks: impl Iterator<Item = &'r ferro_helm::record::StoredHook>,
) -> std::collections::BTreeMap<String, Option<TestHookStatus>> {
    let status = |hook: &ferro_helm::record::StoredHook| TestHookStatus {
        last_completed: hook.last_run.completed_at.as_ref().and_then(api_time),
        last_started: hook.last_run.started_at.as_ref().and_then(api_time),
        phase: Some(hook.last_run.phase.clone()).filter(|phase| !phase.is_empty()),
    };
    hooks
        .map(|hook| (hook.name.clone(), Some(status(hook))))
        .collect()
}

/// Whether the tests of a revision were run.
pub(crate) fn is_tested(snapshot: &ReleaseSnapshot) -> bool {
    let Some(tests) = &snapshot.test_hooks else {
        return false;
    };
    let phase = |test: &Option<TestHookStatus>, wanted: &str| {
        test.as_ref().and_then(|test| test.phase.as_deref()) == Some(wanted)
    };
    has_failed_test(snapshot) || tests.values().all(|test| phase(test, "Succeeded"))
}

/// Whether a test of a revision has failed.
pub(crate) fn has_failed_test(snapshot: &ReleaseSnapshot) -> bool {
    let tests = snapshot
        .test_hooks
        .iter()
        .flat_map(|tests| tests.values().flatten());
    tests
        .into_iter()
        .any(|test| test.phase.as_deref() == Some("Failed"))
}

/// The revision to go back to: the newest before the latest that was deployed and, unless tests are ignored, did not fail its own.
pub(crate) fn previous(history: &[ReleaseSnapshot], ignore_tests: bool) -> Option<&ReleaseSnapshot> {
    history
        .iter()
        .skip(1)
        .find(|snapshot| is_way_back(snapshot, ignore_tests))
}

fn is_way_back(snapshot: &ReleaseSnapshot, ignore_tests: bool) -> bool {
    let was_deployed = matches!(snapshot.status.as_str(), "deployed" | "superseded");
    was_deployed && (ignore_tests || !has_failed_test(snapshot))
}

/// Forgets what is behind the revision to go back to.
pub(crate) fn truncate(history: &mut Vec<ReleaseSnapshot>, ignore_tests: bool) {
    let found = history
        .iter()
        .skip(1)
        .position(|snapshot| is_way_back(snapshot, ignore_tests));
    history.truncate(found.map_or(KEPT, |index| index + 2));
}

/// Keeps the newest few, whatever became of them.
pub(crate) fn keep_newest(history: &mut Vec<ReleaseSnapshot>) {
    history.truncate(KEPT);
}

fn api_time(time: &GoTime) -> Option<Time> {
    if time.is_zero() {
        return None;
    }
    let timestamp: jiff::Timestamp = time.to_rfc3339()?.parse().ok()?;
    Some(Time::from(timestamp))
}

#[cfg(test)]
mod tests_ {
    use super::*;
    use serde_json::json;

    fn snapshot(version: i64, status: &str, phases: &[&str]) -> ReleaseSnapshot {
        let tests: serde_json::Map<String, serde_json::Value> = phases
            .iter()
            .enumerate()
            .map(|(index, phase)| (format!("t{index}"), json!({ "phase": phase })))
            .collect();
        let mut snapshot: ReleaseSnapshot =
            serde_json::from_value(json!({ "version": version, "status": status, "testHooks": tests }))
                .unwrap();
        if phases == ["none"] {
            snapshot.test_hooks = None;
        }
        snapshot
    }

    #[test]
    fn tested_are_those_of_which_all_passed_or_one_failed() {
        for (phases, expected) in [
            (vec!["none"], false),
            (vec![], true),
            (vec!["Succeeded"], true),
            (vec!["Succeeded", "Failed", "Running"], true),
            (vec!["Succeeded", "Running"], false),
        ] {
            assert_eq!(
                is_tested(&snapshot(1, "deployed", &phases)),
                expected,
                "{phases:?}"
            );
        }
    }

    #[test]
    fn truncate_keeps_the_way_back() {
        let mut history = vec![
            snapshot(4, "failed", &["none"]),
            snapshot(3, "superseded", &["Failed"]),
            snapshot(2, "superseded", &["none"]),
            snapshot(1, "superseded", &["none"]),
        ];
        assert_eq!(previous(&history, true).unwrap().version, 3);
        assert_eq!(previous(&history, false).unwrap().version, 2);
        truncate(&mut history, false);
        assert_eq!(history.len(), 3);
        truncate(&mut history, true);
        assert_eq!(history.len(), 2);
        let mut hopeless: Vec<_> = (1..=7)
            .rev()
            .map(|version| snapshot(version, "failed", &["none"]))
            .collect();
        truncate(&mut hopeless, true);
        assert_eq!(hopeless.len(), 5);
    }

    #[test]
    fn verify_tells_whether_the_record_is_the_same() {
        let mut record = Record {
            name: "app".into(),
            namespace: "ns".into(),
            version: 2,
            ..Record::default()
        };
        let taken = take(&record, "upgrade", "", Algorithm::Sha256);
        assert_eq!(verify(&taken, &record), Ok(()));
        record.manifest = "changed".into();
        assert_eq!(verify(&taken, &record), Err(Mismatch::NotObserved));
        let broken = ReleaseSnapshot {
            digest: "x".into(),
            ..taken.clone()
        };
        assert_eq!(verify(&broken, &record), Err(Mismatch::Unreadable));
        let legacy = ReleaseSnapshot {
            api_version: None,
            ..taken
        };
        assert_eq!(verify(&legacy, &record), Ok(()));
    }

    #[test]
    fn record_replaces_the_same_revision_and_keeps_its_tests() {
        let mut history = vec![snapshot(1, "deployed", &["Succeeded"])];
        record(&mut history, snapshot(2, "deployed", &["none"]));
        record(
            &mut history,
            ReleaseSnapshot {
                test_hooks: None,
                ..snapshot(1, "superseded", &["none"])
            },
        );
        let seen: Vec<_> = history
            .iter()
            .map(|s| (s.version, s.status.as_str(), s.test_hooks.is_some()))
            .collect();
        assert_eq!(seen, [(2, "deployed", false), (1, "superseded", true)]);
    }
}
