use super::*;
use ferro_api::helm::StrategyName;
use ferro_helm::chart::{File, load_files};
use ferro_helm::record::StoredChart;
use ferro_helm::values::resolve;
use serde_json::{Map, Value, json};

use crate::chart::ChartHead;

const STRATEGIES: Strategies = Strategies {
    default: StrategyName::RemediateOnFailure,
};

fn record(version: i64, status: Status) -> Record {
    let chart = load_files(vec![File::new(
        "Chart.yaml",
        "apiVersion: v2\nname: podinfo\nversion: 1.0.0\n",
    )]);
    let instance = resolve(&chart.unwrap().chart, &Map::new(), &mut Vec::new()).unwrap();
    let mut record = Record {
        name: "app".into(),
        namespace: "ns".into(),
        version,
        chart: StoredChart::from(&instance),
        ..Record::default()
    };
    record.set_status(status, "");
    record
}

fn desired(version: &str, values: Value) -> Desired {
    let values = values.as_object().cloned().unwrap();
    Desired {
        chart: ChartHead {
            name: "podinfo".into(),
            version: version.into(),
            app_version: String::new(),
            oci_digest: String::new(),
        },
        config_digest: values::digest(&values, Algorithm::Sha256).unwrap().to_string(),
        values,
    }
}

/// A HelmRelease whose history has a snapshot of the record.
fn release(spec: Value, status: Value, snapshot_of: Option<&Record>) -> HelmRelease {
    let mut release: HelmRelease = serde_json::from_value(json!({
        "metadata": { "name": "app", "namespace": "ns", "generation": 1 }, "spec": spec, "status": status
    }))
    .unwrap();
    if let Some(record) = snapshot_of {
        let taken = snapshot::take(record, "install", "", Algorithm::Sha256);
        release.status_mut().history.insert(0, taken);
    }
    release
}

fn state(release: &HelmRelease, record: Option<&Record>) -> State {
    determine(release, record, &desired("1.0.0", json!({})), STRATEGIES).unwrap()
}

#[test]
fn states_without_a_history_are_those_of_the_storage() {
    let unknown = release(json!({}), json!({}), None);
    assert_eq!(
        state(&unknown, None),
        State::Absent("no release in storage for object".into())
    );
    assert_eq!(
        state(&unknown, Some(&record(1, Status::PendingInstall))),
        State::Locked("release with status 'pending-install'".into())
    );
    assert_eq!(
        state(&unknown, Some(&record(1, Status::Uninstalled))),
        State::Absent("found uninstalled release in storage".into())
    );
    assert_eq!(
        state(&unknown, Some(&record(1, Status::Deployed))),
        State::Unmanaged("found existing release in storage".into())
    );
}

#[test]
fn states_with_a_history_depend_on_what_it_knows() {
    let deployed = record(1, Status::Deployed);
    let known = release(json!({}), json!({ "observedGeneration": 1 }), Some(&deployed));
    assert_eq!(state(&known, Some(&deployed)), State::InSync);
    // Somebody has upgraded by hand.
    assert_eq!(
        state(&known, Some(&record(2, Status::Deployed))),
        State::Unmanaged("release not observed to be made for object".into())
    );
    let with = |desired: Desired| determine(&known, Some(&deployed), &desired, STRATEGIES).unwrap();
    assert_eq!(
        with(desired("1.0.1", json!({}))),
        State::OutOfSync("release chart changed".into())
    );
    assert_eq!(
        with(desired("1.0.0", json!({ "a": 1 }))),
        State::OutOfSync("release config values changed".into())
    );
    let superseded = record(1, Status::Superseded);
    let odd = release(json!({}), json!({}), Some(&superseded));
    assert_eq!(
        determine(&odd, Some(&superseded), &desired("1.0.0", json!({})), STRATEGIES).unwrap_err(),
        "unable to determine state for release with status 'superseded'"
    );
}

#[test]
fn post_renderers_and_common_metadata_count_with_a_new_generation_only() {
    let deployed = record(1, Status::Deployed);
    let spec = json!({ "commonMetadata": { "labels": { "a": "b" } } });
    let seen = release(spec.clone(), json!({ "observedGeneration": 1 }), Some(&deployed));
    assert_eq!(state(&seen, Some(&deployed)), State::InSync);
    let new = release(spec, json!({ "observedGeneration": 0 }), Some(&deployed));
    assert_eq!(
        state(&new, Some(&deployed)),
        State::OutOfSync("common metadata digest has changed".into())
    );
    let renderers = json!({ "postRenderers": [{ "kustomize": { "images": [{ "name": "a" }] } }] });
    let new = release(renderers, json!({ "observedGeneration": 0 }), Some(&deployed));
    assert_eq!(
        state(&new, Some(&deployed)),
        State::OutOfSync("postrenderers digest has changed".into())
    );
}

#[test]
fn tests_make_a_release_untested_or_failed() {
    let deployed = record(1, Status::Deployed);
    let status = json!({ "observedGeneration": 1, "lastAttemptedReleaseAction": "install" });
    let mut tested = release(json!({ "test": { "enable": true } }), status, Some(&deployed));
    assert_eq!(state(&tested, Some(&deployed)), State::Untested);
    let mut with = |phase: &str| {
        let tests = json!({ "t": { "phase": phase } });
        tested.status_mut().history[0].test_hooks = serde_json::from_value(tests).unwrap();
        state(&tested, Some(&deployed))
    };
    assert_eq!(with("Succeeded"), State::InSync);
    assert_eq!(
        with("Failed"),
        State::Failed("release has test in failed phase".into())
    );
}

fn decision(state: &State, spec: Value, status: Value, forced: bool) -> Result<Step, Hopeless> {
    let mut release = release(spec, status, None);
    decide(state, &mut release, forced, STRATEGIES)
}

#[test]
fn exhausted_retries_stop_install_and_upgrade_unless_forced() {
    let absent = State::Absent(String::new());
    let status = json!({ "installFailures": 1, "upgradeFailures": 1 });
    let exhausted = decision(&absent, json!({}), status.clone(), false).unwrap_err();
    assert_eq!(
        exhausted.to_string(),
        "exceeded maximum retries: cannot install release"
    );
    assert_eq!(
        decision(&absent, json!({}), status.clone(), true),
        Ok(Step::Install)
    );
    let retries = json!({ "install": { "remediation": { "retries": -1 } } });
    assert_eq!(
        decision(&absent, retries, status.clone(), false),
        Ok(Step::Install)
    );
    let outdated = State::OutOfSync(String::new());
    assert_eq!(
        decision(&outdated, json!({}), status.clone(), false),
        Err(Hopeless::Exhausted("cannot upgrade release"))
    );
    assert_eq!(decision(&outdated, json!({}), status, true), Ok(Step::Upgrade));
}

#[test]
fn failed_release_is_remediated_retried_or_left() {
    let failed = State::Failed(String::new());
    assert_eq!(decision(&failed, json!({}), json!({}), false), Ok(Step::Upgrade));
    let installed =
        |failures: i64| json!({ "lastAttemptedReleaseAction": "install", "installFailures": failures });
    assert_eq!(
        decision(&failed, json!({}), installed(0), false),
        Ok(Step::Upgrade)
    );
    assert_eq!(
        decision(&failed, json!({}), installed(1), false),
        Err(Hopeless::Exhausted("cannot remediate failed release"))
    );
    let retries = json!({ "install": { "remediation": { "retries": 1 } } });
    assert_eq!(
        decision(&failed, retries, installed(1), false),
        Ok(Step::UninstallRemediation)
    );
    let retry = json!({ "install": { "strategy": { "name": "RetryOnFailure" } } });
    assert_eq!(decision(&failed, retry, installed(9), false), Ok(Step::Upgrade));
    let upgraded = |history: Value| json!({ "lastAttemptedReleaseAction": "upgrade", "upgradeFailures": 1, "history": history });
    let rollback = json!({ "upgrade": { "remediation": { "retries": 1 } } });
    assert_eq!(
        decision(&failed, rollback.clone(), upgraded(json!([])), false),
        Err(Hopeless::NoWayBack)
    );
    let history = json!([{ "version": 2, "status": "failed" }, { "version": 1, "status": "deployed" }]);
    let Ok(Step::Rollback(previous)) = decision(&failed, rollback, upgraded(history), false) else {
        panic!("no rollback");
    };
    assert_eq!(previous.version, 1);
}
