//! Releases as upstream leaves them: Helm's own actions have written the records, and the digests in the status are those of their texts
//! (`spec/helm.md` A.4.2).

#[allow(
    dead_code,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::panic,
    reason = "the client is for tests"
)]
#[path = "../../../../tests/conformance/oracle.rs"]
mod oracle;

use self::oracle::{Answer, Oracle};
use super::*;

const CHART: &str = "apiVersion: v2\nname: podinfo\nversion: 1.0.0\nappVersion: 9.9.9\n";
const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  k: {{ .Values | toJson | quote }}\n",
);
/// Hooks count for digests, tests do not.
const HOOKS: (&str, &str) = (
    "podinfo/templates/hooks.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: before\n  annotations: {helm.sh/hook: \"pre-install,pre-upgrade\", helm.sh/hook-weight: \"3\"}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: check\n  annotations: {helm.sh/hook: test}\n",
);
const NOTES: (&str, &str) = (
    "podinfo/templates/NOTES.txt",
    "Thanks for <installing> & \u{2028} more.\n",
);

/// What upstream's controller has in its history of a record.
fn snapshot(record: &Value, oci_digest: &str) -> Value {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let digest = |value: &Value| Algorithm::Sha256.digest(text(value).as_bytes()).to_string();
    let observed: Value = serde_json::from_str(&text(&record["observed"])).unwrap();
    let second = |time: &Value| format!("{}Z", text(time).get(..19).unwrap());
    let mut taken = json!({
        "apiVersion": "v2", "action": "install", "name": "app", "namespace": "ns",
        "chartName": "podinfo", "chartVersion": "1.0.0", "appVersion": "9.9.9",
        "version": observed["version"], "status": observed["info"]["status"],
        "digest": digest(&record["observed"]), "configDigest": digest(&record["config"]),
        "firstDeployed": second(&observed["info"]["first_deployed"]),
        "lastDeployed": second(&observed["info"]["last_deployed"]),
    });
    if !oci_digest.is_empty() {
        taken["ociDigest"] = json!(oci_digest);
    }
    taken
}

/// A HelmRelease as upstream's controller leaves it.
fn left(values: &Value, history: &[Value]) -> HelmRelease {
    let mut object = release(&json!({ "values": values }));
    let newest = &history[0];
    let ready = json!({ "type": "Ready", "status": "True", "reason": "UpgradeSucceeded", "message": "m",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let released = json!({ "type": "Released", "status": "True", "reason": "UpgradeSucceeded", "message": "m",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let status = json!({
        "observedGeneration": 1, "lastAttemptedGeneration": 1, "lastAttemptedRevision": "1.0.0",
        "lastAttemptedReleaseAction": "upgrade", "lastAttemptedConfigDigest": newest["configDigest"],
        "storageNamespace": "ns", "history": history, "conditions": [ready, released],
    });
    object.status = serde_json::from_value(status).unwrap();
    object
}

#[tokio::test]
async fn release_of_upstream_is_adopted_without_a_new_revision() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    for (values, is_upgraded, oci_digest) in [
        (json!({}), false, ""),
        (json!({ "k": "one" }), true, ""),
        (
            json!({ "b": 1.5, "a": [1, 1e21, 1e-7, true, null], "é": { "<&>": "\u{2028}", "z": {}, "A": "" } }),
            true,
            "",
        ),
        (
            json!({ "big": 12_345_678_901_i64, "text": "yes", "date": "2026-01-01", "lines": "a\nb\n" }),
            false,
            "sha256:0cc9a8446c95",
        ),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[MAP, HOOKS, NOTES]);
        let strip = |name: &str| name.trim_start_matches("podinfo/").to_owned();
        let mut files: serde_json::Map<String, Value> = [MAP, HOOKS, NOTES]
            .into_iter()
            .map(|(name, text)| (strip(name), json!(text)))
            .collect();
        files.insert("Chart.yaml".to_owned(), json!(CHART));
        let asked = json!({ "files": files, "values": values, "isUpgrade": is_upgraded, "mode": oci_digest });
        let Answer::Output(records) = oracle.ask("takeover.records", asked) else {
            panic!("the oracle did not release {values}");
        };
        let records = records.as_array().unwrap();
        assert_eq!(records.len(), if is_upgraded { 2 } else { 1 });
        for record in records {
            let name = record["secret"]["metadata"]["name"].as_str().unwrap();
            scenario
                .server
                .put(&format!("{RECORDS}/{name}"), record["secret"].clone());
        }
        let history: Vec<Value> = records
            .iter()
            .map(|record| snapshot(record, oci_digest))
            .collect();
        let object = left(&values, &history);
        let (after, outcome) = scenario.run(&object).await;
        assert_eq!(outcome, Outcome::Done, "{values}: {:?}", ready(&after));
        let (before, found) = (object.status.clone().unwrap(), after.status.clone().unwrap());
        assert_eq!(found.history, before.history, "{values}");
        let requests = scenario.server.api.take_requests();
        assert!(
            requests.iter().all(|seen| seen.method == "GET"),
            "{values}: {requests:?}"
        );
        assert_eq!(scenario.events(), [""; 0]);

        // It goes on from there.
        let mut changed = after;
        changed.spec.values = Some(json!({ "other": "value" }));
        changed.metadata.generation = Some(2);
        let (after, outcome) = scenario.run(&changed).await;
        assert_eq!(outcome, Outcome::Done, "{values}: {:?}", ready(&after));
        let newest = i64::from(is_upgraded) + 2;
        let versions: Vec<_> = after
            .status
            .unwrap()
            .history
            .iter()
            .map(|it| (it.version, it.status.clone()))
            .collect();
        assert_eq!(
            versions[..2],
            [
                (newest, "deployed".to_owned()),
                (newest - 1, "superseded".to_owned())
            ]
        );
    }
}

#[tokio::test]
async fn history_of_an_older_version_is_adopted_unchecked() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let files = json!({ "Chart.yaml": CHART, "templates/map.yaml": MAP.1 });
    let Answer::Output(records) = oracle.ask(
        "takeover.records",
        json!({ "files": files, "values": { "k": "v" } }),
    ) else {
        panic!("the oracle did not release");
    };
    let record = &records[0];
    scenario.server.put(
        &format!("{RECORDS}/sh.helm.release.v1.app.v1"),
        record["secret"].clone(),
    );
    let mut snapshot = snapshot(record, "");
    snapshot.as_object_mut().unwrap().remove("apiVersion");
    snapshot["digest"] = json!("sha256:of-another-time");
    let (after, outcome) = scenario.run(&left(&json!({ "k": "v" }), &[snapshot])).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&after));
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
}
