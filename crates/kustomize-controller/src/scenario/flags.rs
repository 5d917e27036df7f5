//! What flags do.

use super::*;

#[tokio::test]
async fn no_cross_namespace_refs_refuses_sources_elsewhere() {
    let spec = json!({ "sourceRef": { "kind": "GitRepository", "name": "source", "namespace": "other" } });
    let files = [("a.yaml", config_map("a", "{k: v}"))];
    let files = [(files[0].0, files[0].1.as_str())];
    let (object, outcome) = Scenario::new(&[], "", &files).run(&kustomization(&spec)).await;
    assert_eq!((outcome, ready(&object).0.as_str()), (Outcome::Done, "True"));
    let scenario = Scenario::new(&["--no-cross-namespace-refs"], "", &files);
    let (object, outcome) = scenario.run(&kustomization(&spec)).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    let message = "can't access 'GitRepository/other/source', cross-namespace references have been blocked";
    assert_eq!(
        ready(&object),
        ("False".into(), "AccessDenied".into(), message.into())
    );
}

#[tokio::test]
async fn default_service_account_has_the_rights_of_those_who_name_none() {
    let applied_as = async |arguments: &[&str], spec: Value| {
        let scenario = Scenario::new(arguments, "", &[("a.yaml", &config_map("a", "{k: v}"))]);
        let (object, outcome) = scenario.run(&kustomization(&spec)).await;
        assert_eq!((outcome, ready(&object).0.as_str()), (Outcome::Done, "True"));
        scenario.requests.take()
    };
    let flag = ["--default-service-account=default"];
    let user = "PATCH configmaps/a as system:serviceaccount:ns";
    assert_eq!(applied_as(&flag, json!({})).await, [format!("{user}:default")]);
    let named = json!({ "serviceAccountName": "tenant" });
    assert_eq!(applied_as(&flag, named.clone()).await, [format!("{user}:tenant")]);
    assert_eq!(applied_as(&[], named).await, [format!("{user}:tenant")]);
    assert_eq!(applied_as(&[], json!({})).await, ["PATCH configmaps/a"]);
}

#[tokio::test]
async fn requeue_dependency_is_the_time_after_which_it_is_looked_again() {
    let scenario = Scenario::new(&[], "", &[]);
    scenario
        .reconciler
        .sources
        .set(source_id("GitRepository", "ns"), standing(None));
    let (object, outcome) = scenario.run(&kustomization(&json!({}))).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(7)));
    assert_eq!(ready(&object).2, "Source artifact not found, retrying in 7s");
}

#[tokio::test]
async fn custom_apply_stage_kinds_come_first() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: ns}\n";
    let map = config_map("a", "{k: v}");
    let order = |arguments: &'static [&'static str]| {
        let scenario = Scenario::new(arguments, "", &[("a.yaml", &map), ("s.yaml", service)]);
        async move {
            scenario.run(&kustomization(&json!({}))).await;
            scenario.requests.take()
        }
    };
    let usual = ["PATCH configmaps/a", "PATCH services/s"];
    let first = ["PATCH services/s", "PATCH configmaps/a"];
    let custom = order(&["--custom-apply-stage-kinds=Service"]).await;
    assert_eq!(custom, first);
    let custom = order(&["--custom-apply-stage-kinds=ConfigMap"]).await;
    assert_eq!(custom, usual);
}

#[tokio::test]
async fn concurrent_ssa_bounds_applies_in_flight() {
    for (arguments, most) in [(["--concurrent-ssa=1"], 4), (["--concurrent-ssa=2"], 8)] {
        let maps: Vec<(String, String)> = (0..20)
            .map(|index| {
                (
                    format!("{index}.yaml"),
                    config_map(&format!("m{index}"), "{k: v}"),
                )
            })
            .collect();
        let maps: Vec<(&str, &str)> = maps
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let scenario = Scenario::new(&arguments, "", &maps);
        scenario.run(&kustomization(&json!({}))).await;
        assert_eq!(scenario.server.most_in_flight(), most);
    }
}

#[test]
fn override_manager_adds_to_those_whose_fields_are_taken_over() {
    let flags = test_settings(&["--override-manager=a", "--override-manager=b"]);
    assert_eq!(crate::ownership(&flags).override_managers, ["a", "b"]);
    assert!(crate::ownership(&test_settings(&[])).override_managers.is_empty());
}

#[test]
fn concurrent_is_the_number_of_passes_at_once() {
    let pace = PaceFlags {
        concurrent: 9,
        ..PaceFlags::default()
    };
    assert_eq!(crate::options(pace).concurrent, 9);
}
