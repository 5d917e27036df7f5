//! What flags and feature gates do.

use super::*;
use ferro_api::helm::PostRenderStrategy;
use ferro_api::reason;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n",
);
const BROKEN: (&str, &str) = (
    "podinfo/templates/broken.yaml",
    "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
);
const DIGEST: &str = "sha256:0cc9a8446c95009ef382f5eade883a67c257f77d50f84e78ecef2aac9428d1e5";

fn from(kind: &str) -> HelmRelease {
    release(&json!({ "chartRef": { "kind": kind, "name": "podinfo" } }))
}

#[tokio::test]
async fn requeue_dependency_is_the_time_after_which_it_is_looked_again() {
    let mut scenario = Scenario::new(&[]);
    scenario.offer(CHART.kind, None);
    let (object, outcome) = scenario.run(&release(&json!({}))).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(7)));
    let message = "HelmChart 'ns/podinfo' is not ready: does not have an artifact".to_owned();
    assert_eq!(
        ready(&object),
        ("False".into(), reason::SOURCE_NOT_READY.into(), message)
    );
    scenario.publish("1.0.0", &[MAP]);
    let (_, outcome) = scenario
        .run(&release(&json!({ "dependsOn": [{ "name": "none" }] })))
        .await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(7)));
}

#[tokio::test]
async fn run_that_somebody_asked_for_sees_what_no_watch_has_told_of_its_source() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    scenario.told(CHART.kind, None);
    let (mut object, _) = scenario.run(&from(CHART.kind)).await;
    let message = "HelmChart 'ns/podinfo' is not ready: does not have an artifact";
    assert_eq!(ready(&object).2, message);
    object.metadata.annotations = Some(std::collections::BTreeMap::from([(
        "reconcile.fluxcd.io/requestedAt".to_owned(),
        "now".to_owned(),
    )]));
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
}

#[tokio::test]
async fn waits_for_sources_are_jittered_those_for_dependencies_are_not() {
    let mut scenario = Scenario::new(&[]);
    scenario.reconciler.jitter = 50;
    scenario.offer(CHART.kind, None);
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (_, outcome) = scenario.run(&release(&json!({}))).await;
        let Outcome::Wait(wait) = outcome else {
            unreachable!("{outcome:?}")
        };
        assert!((3.5..=10.5).contains(&wait.as_secs_f64()), "{wait:?}");
        waits.insert(wait);
    }
    assert!(waits.len() > 1);
    scenario.publish("1.0.0", &[MAP]);
    let waiting = release(&json!({ "dependsOn": [{ "name": "none" }] }));
    for _ in 0..3 {
        let (_, outcome) = scenario.run(&waiting).await;
        assert_eq!(outcome, Outcome::Wait(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn external_artifact_allows_the_kind() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    scenario.offer("ExternalArtifact", Some(scenario.published()));
    let (object, outcome) = scenario.run(&from("ExternalArtifact")).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    let message = "can't access 'ExternalArtifact/ns/podinfo', ExternalArtifact feature gate is disabled";
    assert_eq!(
        ready(&object),
        ("False".into(), reason::ACCESS_DENIED.into(), message.into())
    );
    let mut scenario = Scenario::with_gates(&[], "ExternalArtifact=true");
    scenario.publish("1.0.0", &[MAP]);
    scenario.offer("ExternalArtifact", Some(scenario.published()));
    let (object, outcome) = scenario.run(&from("ExternalArtifact")).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
}

#[tokio::test]
async fn disable_chart_digest_tracking_leaves_the_version_of_the_chart() {
    let attempted = async |gates: &str| {
        let mut scenario = Scenario::with_gates(&[], gates);
        scenario.publish("1.0.0", &[MAP]);
        let artifact = Artifact {
            revision: format!("1.0.0@{DIGEST}"),
            ..scenario.published()
        };
        scenario.offer("OCIRepository", Some(artifact));
        let (object, outcome) = scenario.run(&from("OCIRepository")).await;
        assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
        let status = object.status.unwrap();
        (
            status.last_attempted_revision,
            status.last_attempted_revision_digest,
        )
    };
    assert_eq!(
        attempted("").await,
        (Some("1.0.0+0cc9a8446c95".into()), Some(DIGEST.into()))
    );
    let untracked = attempted("DisableChartDigestTracking=true").await;
    assert_eq!(untracked, (Some("1.0.0".into()), None));
}

#[tokio::test]
async fn default_to_retry_on_failure_tries_again_after_an_interval() {
    let outcome = async |gates: &str| {
        let mut scenario = Scenario::with_gates(&[], gates);
        scenario.publish("1.0.0", &[BROKEN]);
        scenario.run(&release(&json!({}))).await.1
    };
    assert!(matches!(outcome("").await, Outcome::Stalled { .. }));
    let retried = outcome("DefaultToRetryOnFailure=true").await;
    assert_eq!(retried, Outcome::Wait(Duration::from_secs(300)));
}

#[tokio::test]
async fn additive_cel_dependency_check_asks_for_readiness_too() {
    let outcome = async |gates: &str| {
        let mut scenario = Scenario::with_gates(&[], gates);
        scenario.publish("1.0.0", &[MAP]);
        let dependency = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": { "name": "db", "namespace": "ns", "generation": 1 }, "spec": { "interval": "1h" } });
        let path = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/ns/helmreleases/db";
        scenario.server.api.put(path, dependency);
        let depends = json!([{ "name": "db", "readyExpr": "dep.metadata.name == 'db'" }]);
        scenario.run(&release(&json!({ "dependsOn": depends }))).await.1
    };
    assert_eq!(outcome("").await, Outcome::Done);
    let additive = outcome("AdditiveCELDependencyCheck=true").await;
    assert_eq!(additive, Outcome::Wait(Duration::from_secs(7)));
}

#[test]
fn disable_config_watchers_leaves_configs_unwatched() {
    let selector = |gates: &str| {
        let gates = FeatureGates::parse(&FEATURE_GATES, gates).unwrap();
        crate::config_selector(&gates, "a=b")
    };
    assert_eq!(selector("").as_deref(), Some("a=b"));
    assert_eq!(selector("DisableConfigWatchers=true"), None);
}

#[test]
fn override_manager_adds_to_those_whose_fields_are_taken_over() {
    let settings = test_settings(&["--override-manager=a", "--override-manager=b"]);
    assert_eq!(crate::ownership(&settings).override_managers, ["a", "b"]);
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

#[test]
fn memory_is_watched_behind_its_gate() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, "1000").unwrap();
        path.display().to_string()
    };
    let settings = test_settings(&[
        &format!("--oom-watch-max-memory-path={}", file("max")),
        &format!("--oom-watch-current-memory-path={}", file("current")),
    ]);
    for (gates, is_watched) in [("", false), ("OOMWatch=true", true)] {
        let gates = FeatureGates::parse(&FEATURE_GATES, gates).unwrap();
        let watch = crate::memory_watch(&gates, &settings).unwrap();
        assert_eq!(watch.is_some(), is_watched);
    }
}

#[tokio::test]
async fn use_helm3_defaults_holds_where_the_spec_says_nothing() {
    for (gates, is_helm3) in [("", false), ("UseHelm3Defaults=true", true)] {
        let mut scenario = Scenario::with_gates(&[], gates);
        scenario.publish("1.0.0", &[MAP]);
        let (object, outcome) = run(&scenario, &json!({})).await;
        assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
        assert_eq!(scenario.records()[0].is_server_side(), !is_helm3);
        let reconciler = &scenario.reconciler;
        assert_eq!(reconciler.waits_as_helm3(&object), is_helm3);
        let strategy = reconciler.post_render_strategy();
        assert_eq!(strategy == PostRenderStrategy::NoHooks, is_helm3);
        // The spec has the last word.
        let poller = release(&json!({ "waitStrategy": { "name": "poller" } }));
        assert!(!reconciler.waits_as_helm3(&poller));
        let mut scenario = Scenario::with_gates(&[], gates);
        scenario.publish("1.0.0", &[MAP]);
        run(&scenario, &json!({ "install": { "serverSideApply": is_helm3 } })).await;
        assert_eq!(scenario.records()[0].is_server_side(), is_helm3);
    }
}

#[tokio::test]
async fn graceful_shutdown_timeout_is_that_of_the_process() {
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        process: ferro_runtime::flags::ProcessFlags,
    }
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    // Nobody is asked anything.
    let text = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": "http://127.0.0.1:1" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }], "users": [{ "name": "u", "user": {} }] });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let flags = Program::parse_from(["program", "--health-addr=0", "--metrics-addr=0", &kubeconfig]).process;
    let cache = format!("--values-cache-path={}", folder.path().display());
    let settings = test_settings(&["--graceful-shutdown-timeout=7s", &cache]);
    let ended = ferro_runtime::process::run("helm-controller", flags, |process| async move {
        process.stop.cancel();
        crate::run(process.clone(), settings, PaceFlags::default()).await?;
        assert_eq!(process.grace(), Duration::from_secs(7));
        Ok(())
    });
    assert!(Box::pin(ended).await.unwrap());
}
