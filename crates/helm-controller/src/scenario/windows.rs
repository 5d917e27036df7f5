//! Changes that wait for their maintenance window.

use super::*;
use ferro_api::reason;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  k: {{ .Values.k | quote }}\n",
);
const CONFIG_MAP: &str = "/api/v1/namespaces/ns/configmaps/app";

/// A window that opens for a minute in three days.
fn far_away() -> String {
    let then = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    let then = then.checked_add(jiff::Span::new().days(3)).unwrap();
    format!("{} 00:00-00:01", then.strftime("%a"))
}

fn within(windows: &str, spec: &Value) -> HelmRelease {
    let mut object = release(spec);
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert("helm.toolkit.fluxcd.io/windows".to_owned(), windows.to_owned());
    object
}

#[tokio::test]
async fn change_waits_for_its_window_unless_it_is_forced() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let wanted = within(&far_away(), &json!({ "values": { "k": "one" } }));
    let (object, outcome) = scenario.run(&wanted).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(3600)));
    let (status, reason, message) = told(&object, condition::RECONCILING);
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("True", reason::WAITING_FOR_WINDOW)
    );
    let begin = "install waits for the maintenance window that opens at 20";
    assert!(
        message.starts_with(begin) && message.ends_with(" 00:00 UTC"),
        "{message}"
    );
    assert_eq!(object.status.as_ref().unwrap().observed_generation, None);
    assert_eq!(scenario.statuses(), [""; 0]);
    assert_eq!(scenario.events(), [format!("WaitingForWindow: {message}")]);
    // It is told once.
    let (mut object, _) = scenario.run(&object).await;
    assert_eq!(scenario.events(), [""; 0]);

    let annotations = object.metadata.annotations.get_or_insert_default();
    for key in ["requestedAt", "forceAt"] {
        annotations.insert(format!("reconcile.fluxcd.io/{key}"), "now".to_owned());
    }
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    assert!(object.condition(condition::RECONCILING).is_none());

    // What is as it should be waits for nothing; what is no longer does.
    scenario.events();
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!((outcome, scenario.events()), (Outcome::Done, Vec::new()));
    let mut changed = object.clone();
    changed.spec.values = Some(json!({ "k": "two" }));
    changed.metadata.generation = Some(2);
    let (object, outcome) = scenario.run(&changed).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(3600)));
    assert!(
        told(&object, condition::RECONCILING)
            .2
            .starts_with("upgrade waits for")
    );
    assert_eq!(object.status.as_ref().unwrap().observed_generation, Some(1));
    assert_eq!(ready(&object).0, "True");
    assert_eq!(scenario.server.api.get(CONFIG_MAP).unwrap()["data"]["k"], "one");

    // Neither is the release taken away that a new name leaves behind, until the object goes.
    let mut renamed = object.clone();
    renamed.spec.release_name = Some("other".to_owned());
    let (_, outcome) = scenario.run(&renamed).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(3600)));
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.statuses(), [""; 0]);
}

#[tokio::test]
async fn drift_is_undone_in_the_window_or_if_the_release_says_so_at_once() {
    for (says, value) in [(false, "theirs"), (true, "one")] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[MAP]);
        let spec = json!({ "values": { "k": "one" }, "driftDetection": { "mode": "enabled" } });
        let (mut object, outcome) = scenario.run(&within("00:00-24:00", &spec)).await;
        assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.insert("helm.toolkit.fluxcd.io/windows".to_owned(), far_away());
        if says {
            let key = "helm.toolkit.fluxcd.io/windowsDrift";
            annotations.insert(key.to_owned(), "ignored".to_owned());
        }
        let mut map = scenario.server.api.get(CONFIG_MAP).unwrap();
        map["data"]["k"] = json!("theirs");
        scenario.server.api.put(CONFIG_MAP, map);
        scenario.forget_cluster();
        let (object, outcome) = scenario.run(&object).await;
        assert_eq!(outcome == Outcome::Done, says, "{outcome:?} {:?}", ready(&object));
        let live = scenario.server.api.get(CONFIG_MAP).unwrap();
        assert_eq!(live["data"]["k"], value);
    }
}

#[tokio::test]
async fn window_that_cannot_be_read_lets_nothing_through() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, outcome) = scenario.run(&within("at night", &json!({}))).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(3600)));
    let (status, reason, message) = ready(&object);
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", reason::INVALID_WINDOW)
    );
    assert!(message.contains("'at night' is no window"), "{message}");
    assert_eq!(scenario.statuses(), [""; 0]);
    assert_eq!(scenario.events().len(), 1);
}
