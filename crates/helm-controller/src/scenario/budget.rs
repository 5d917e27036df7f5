//! What is asked of the API server, and what is not.

use super::*;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  k: {{ .Values.k | quote }}\n",
);
const CHART: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/ns/helmcharts/ns-app";

/// Methods of the requests about single records since the last call. Lists are not among them.
fn about_records(scenario: &Scenario) -> Vec<String> {
    let lines = scenario.server.api.take_request_lines();
    let lines = lines.iter().filter(|line| line.contains("/secrets"));
    lines
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn records_are_fetched_only_if_they_have_changed() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, _) = scenario.run(&release(&json!({ "values": { "k": "one" } }))).await;
    assert_eq!(about_records(&scenario), ["POST", "PUT"]);
    let (object, _) = scenario.run(&object).await;
    assert_eq!(about_records(&scenario), [""; 0]);
    let mut changed = object.clone();
    changed.spec.values = Some(json!({ "k": "two" }));
    changed.metadata.generation = Some(2);
    let (object, outcome) = scenario.run(&changed).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(about_records(&scenario), ["POST", "PUT", "PUT"]);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);

    // Somebody else has written it.
    let path = format!("{RECORDS}/sh.helm.release.v1.app.v2");
    let mut record = scenario.server.api.get(&path).unwrap();
    record["metadata"]["labels"]["team"] = json!("a");
    scenario.server.api.put(&path, record);
    let (again, outcome) = scenario.run(&object).await;
    assert_eq!((again, outcome), (object, Outcome::Done));
    assert_eq!(about_records(&scenario), ["GET"]);
}

#[tokio::test]
async fn objects_that_are_gone_when_deleted_are_not_looked_for() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, _) = scenario.run(&release(&json!({ "values": { "k": "one" } }))).await;
    let (map, record) = (
        "/api/v1/namespaces/ns/configmaps/app",
        format!("{RECORDS}/sh.helm.release.v1.app.v1"),
    );
    let uninstall = [
        format!("PUT {record}"),
        format!("DELETE {map}"),
        format!("DELETE {record}"),
    ];
    scenario.server.api.take_request_lines();
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.server.api.take_request_lines(), uninstall);

    // One that is held is still there, and waited for.
    let (object, _) = scenario.run(&release(&json!({ "values": { "k": "one" } }))).await;
    let mut held = scenario.server.api.get(map).unwrap();
    held["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    held["metadata"]["finalizers"] = json!(["example.org/hold"]);
    scenario.server.api.put(map, held);
    scenario.server.api.take_request_lines();
    scenario.finalize(&object).await.unwrap();
    let [first, second, third] = uninstall;
    assert_eq!(
        scenario.server.api.take_request_lines(),
        [first, second, format!("GET {map}"), third]
    );
}

fn templated() -> HelmRelease {
    serde_json::from_value(json!({
        "metadata": { "name": "app", "namespace": "ns", "uid": "u", "generation": 1 },
        "spec": { "interval": "1h", "chart": { "spec": {
            "chart": "podinfo", "sourceRef": { "kind": "HelmRepository", "name": "repo" } } } }
    }))
    .unwrap()
}

#[tokio::test]
async fn chart_that_was_just_made_gets_a_moment_to_become_ready() {
    let mut scenario = Scenario::new(&[]);
    let (_, outcome) = scenario.run(&templated()).await;
    assert_eq!(outcome, Outcome::Deferred(Duration::from_secs(1)));
    assert!(scenario.events()[0].starts_with("HelmChartCreated: created HelmChart/ns/ns-app"));
    // What the pass would have said was not written, and is not lost.
    let (object, outcome) = scenario.run(&templated()).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(7)));
    assert_eq!(ready(&object).1, "SourceNotReady");
    let named = object.status.as_ref().unwrap().helm_chart.as_deref();
    assert_eq!(named, Some("ns/ns-app"));
    assert_eq!(scenario.events(), [""; 0]);
}

#[tokio::test]
async fn chart_that_no_status_names_goes_with_its_release() {
    for forgets in [false, true] {
        let mut scenario = Scenario::new(&[]);
        scenario.run(&templated()).await;
        assert!(scenario.server.api.get(CHART).is_some());
        if forgets {
            scenario.reconciler.memory = Memory::default();
        }
        scenario.events();
        scenario.finalize(&templated()).await.unwrap();
        assert_eq!(scenario.server.api.get(CHART), None, "{forgets}");
        assert_eq!(
            scenario.events(),
            ["HelmChartDeleted: deleted HelmChart 'ns/ns-app'"]
        );
    }
    // One of somebody else is left.
    let scenario = Scenario::new(&[]);
    let theirs = json!({ "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart",
        "metadata": { "name": "ns-app", "namespace": "ns" } });
    scenario.server.api.put(CHART, theirs);
    scenario.finalize(&templated()).await.unwrap();
    assert!(scenario.server.api.get(CHART).is_some());
}
