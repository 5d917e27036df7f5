//! Values from files of sources.

use super::*;
use ferro_api::reason;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  v: {{ .Values.v | toJson | quote }}\n",
);
const CONFIG_MAP: &str = "/api/v1/namespaces/ns/configmaps/app";
const GIT: &str = "GitRepository";

fn id(kind: &'static str, namespace: &str) -> SourceId {
    SourceId {
        kind,
        namespace: namespace.into(),
        name: "config".into(),
    }
}

/// Has a source of this kind offer these files; how often they were asked for.
fn publish(
    scenario: &mut Scenario,
    source: SourceId,
    revision: &str,
    files: &[(&str, &str)],
) -> Arc<Mutex<usize>> {
    let bytes = archive(files);
    let digest = Algorithm::Sha256.digest(&bytes).to_string();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let http = ferro_testkit::http::Server::start(move |_| {
        *count.lock().unwrap() += 1;
        ferro_testkit::http::Response::new(200, bytes.clone())
    });
    let artifact = Artifact {
        url: http.url("/config.tar.gz"),
        digest,
        revision: revision.to_owned(),
        ..Artifact::default()
    };
    scenario.http.push(http);
    let standing = Standing {
        artifact: Some(Arc::new(artifact)),
        generation: 1,
        resource_version: "1".into(),
        ..Standing::default()
    };
    scenario.reconciler.sources.set(source, standing);
    asked
}

fn taking(files: &str, spec: &Value) -> HelmRelease {
    let mut object = release(spec);
    name(&mut object, files);
    object
}

/// Edits the annotation.
fn name(object: &mut HelmRelease, files: &str) {
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert("helm.toolkit.fluxcd.io/valuesFiles".to_owned(), files.to_owned());
}

fn values(scenario: &Scenario) -> Value {
    let map = scenario.server.api.get(CONFIG_MAP).unwrap();
    serde_json::from_str(map["data"]["v"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn values_follow_the_files_and_nothing_else_of_a_source() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (base, shop) = (("base.yaml", "v: {base: 1, shop: 0, own: 0}"), "shop/v.yaml");
    let one = [base, (shop, "v: {shop: 1, own: 0}")];
    let asked = publish(&mut scenario, id(GIT, "ns"), "main@sha1:1", &one);
    let files = "- {kind: GitRepository, name: config, path: base.yaml}\n\
                 - {kind: GitRepository, name: config, path: ./shop/v.yaml}\n\
                 - {kind: GitRepository, name: config, path: shop/none.yaml, optional: true}\n\
                 - {kind: Bucket, name: none, path: v.yaml, optional: true}\n";
    let wanted = taking(files, &json!({ "values": { "v": { "own": 1 } } }));
    let (object, outcome) = scenario.run(&wanted).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(values(&scenario), json!({ "base": 1, "shop": 1, "own": 1 }));
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(*asked.lock().unwrap(), 1, "an artifact is fetched once");

    // Another revision with the same values is no upgrade; one with others is.
    let same = [
        base,
        (shop, "# said otherwise\nv: {own: 0, shop: 1}"),
        ("README", ""),
    ];
    publish(&mut scenario, id(GIT, "ns"), "main@sha1:2", &same);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(
        (outcome, scenario.statuses()),
        (Outcome::Done, vec!["v1 deployed".to_owned()])
    );
    publish(
        &mut scenario,
        id(GIT, "ns"),
        "main@sha1:3",
        &[base, (shop, "v: {shop: 3}")],
    );
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
    assert_eq!(values(&scenario), json!({ "base": 1, "shop": 3, "own": 1 }));

    // Without the annotation they are gone.
    let mut object = object;
    object.metadata.annotations = None;
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(values(&scenario), json!({ "own": 1 }));
}

#[tokio::test]
async fn annotation_that_names_no_files_changes_nothing() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, outcome) = scenario
        .run(&taking("- {kind: Secret, name: a, path: v}", &json!({})))
        .await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    let (status, why, message) = ready(&object);
    assert_eq!(
        (status.as_str(), why.as_str()),
        ("False", reason::INVALID_VALUES_FILES)
    );
    assert!(message.contains("file 1: kind 'Secret' is none of"), "{message}");
    assert!(object.is_condition_true(condition::STALLED));
    assert_eq!(scenario.statuses(), [""; 0]);
    assert_eq!(scenario.events().len(), 1);

    let mut object = object;
    name(&mut object, "[]");
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(ready(&object).0, "True");
    assert!(object.condition(condition::STALLED).is_none());
}

#[tokio::test]
async fn sources_of_others_are_used_where_the_controller_may() {
    let files = "- {kind: GitRepository, namespace: theirs, name: config, path: v.yaml}";
    for flags in [&[][..], &["--no-cross-namespace-refs"]] {
        let mut scenario = Scenario::new(flags);
        scenario.publish("1.0.0", &[MAP]);
        let asked = publish(
            &mut scenario,
            id(GIT, "theirs"),
            "main@sha1:1",
            &[("v.yaml", "v: 1")],
        );
        let (object, outcome) = scenario.run(&taking(files, &json!({}))).await;
        if flags.is_empty() {
            assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
            continue;
        }
        let message = "cross-namespace references are not allowed: cannot access GitRepository theirs/config";
        let denied = (
            "False".to_owned(),
            reason::ACCESS_DENIED.to_owned(),
            message.to_owned(),
        );
        assert_eq!(ready(&object), denied);
        assert_eq!((scenario.statuses().len(), *asked.lock().unwrap()), (0, 0));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_with_source_and_revision() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let wanted = taking("- {kind: GitRepository, name: config, path: v.yaml}", &json!({}));
    let told = |object: &HelmRelease| {
        let (status, why, message) = ready(object);
        assert_eq!((status.as_str(), why.as_str()), ("False", reason::VALUES_ERROR));
        let rest =
            message.strip_prefix("could not take values from file 'v.yaml' of GitRepository 'ns/config'");
        rest.unwrap_or_else(|| panic!("{message}")).to_owned()
    };
    let (object, outcome) = scenario.run(&wanted).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(
        told(&object),
        ": gitrepositories.source.toolkit.fluxcd.io \"config\" not found"
    );

    let unready = Standing {
        unready: Some("no route".to_owned()),
        ..Standing::default()
    };
    scenario.reconciler.sources.set(id(GIT, "ns"), unready);
    let (object, outcome) = scenario.run(&wanted).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(7)));
    assert_eq!(told(&object), ": the source is not ready: no route");
    assert_eq!(scenario.events(), [""; 0], "a source may be about to come");

    for (revision, files, problem) in [
        ("main@sha1:1", [("other.yaml", "")], "file not found"),
        (
            "main@sha1:2",
            [("v.yaml", "a: 1\nb: [\n")],
            "cannot unmarshal yaml document: error converting YAML to JSON: yaml: line 2: ",
        ),
        ("main@sha1:3", [("v.yaml/v.yaml", "")], "it is not a file"),
    ] {
        publish(&mut scenario, id(GIT, "ns"), revision, &files);
        let (object, outcome) = scenario.run(&wanted).await;
        assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
        let message = told(&object);
        let begin = format!(" at revision '{revision}': {problem}");
        assert!(message.starts_with(&begin), "{message}");
        assert_eq!(scenario.events().len(), 1, "{message}");
    }

    // An artifact that is something else than its source says is not used.
    publish(&mut scenario, id(GIT, "ns"), "main@sha1:4", &[("v.yaml", "v: 1")]);
    let standing = scenario.reconciler.sources.get(&id(GIT, "ns")).unwrap();
    let forged = Artifact {
        digest: Algorithm::Sha256.digest(b"else").to_string(),
        revision: "main@sha1:5".into(),
        ..Artifact::clone(&standing.artifact.unwrap())
    };
    let forged = Standing {
        artifact: Some(Arc::new(forged)),
        ..Standing::default()
    };
    scenario.reconciler.sources.set(id(GIT, "ns"), forged);
    let (object, _) = scenario.run(&wanted).await;
    assert!(told(&object).contains("doesn't match"), "{}", told(&object));
    assert_eq!(scenario.statuses(), [""; 0]);
}

#[tokio::test]
async fn values_cache_path_is_where_artifacts_are_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("values");
    let settings = test_settings(&["--values-cache-path", path.to_str().unwrap()]);
    let mut scenario = Scenario::new(&[]);
    scenario.reconciler.artifacts = Artifacts::new(&settings.helm.values_cache_path, 0);
    scenario.publish("1.0.0", &[MAP]);
    let (_, outcome) = scenario.run(&release(&json!({}))).await;
    assert_eq!(
        (outcome, path.exists()),
        (Outcome::Done, false),
        "made when it is needed"
    );
    publish(&mut scenario, id(GIT, "ns"), "main@sha1:1", &[("v.yaml", "v: 1")]);
    let wanted = taking("- {kind: GitRepository, name: config, path: v.yaml}", &json!({}));
    scenario.run(&wanted).await;
    let unpacked = std::fs::read_dir(path).unwrap().flatten();
    assert_eq!(
        unpacked
            .filter(|entry| entry.path().join("v.yaml").exists())
            .count(),
        1
    );
}
