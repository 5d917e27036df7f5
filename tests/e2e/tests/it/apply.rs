//! Artifacts become objects.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Target, cases, condition, config_map, kustomization_yaml, text};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["apply":
        commit_new_is_applied_and_reported,
        requested_reconcile_without_change_writes_nothing,
        manifest_invalid_keeps_objects_and_names_the_file,
        manifest_refused_by_the_server_keeps_the_stage_unapplied,
        commit_fixed_recovers_at_once_while_waiting_for_health,
        kustomization_file_not_yaml_is_reported_and_others_work,
        base_including_itself_is_reported_and_others_work,
        path_missing_is_reported,
        source_missing_is_reported_and_recovers,
        immutable_field_without_force_is_an_error,
        immutable_field_with_force_recreates_the_object,
        invalid_field_with_force_deletes_nothing,
        object_of_kubectl_apply_is_taken_over,
        field_of_another_manager_is_kept,
        crd_and_its_custom_resources_apply_together,
        namespace_and_its_objects_apply_together,
    ]
}

/// Waits until the Kustomization has applied the commit, and checks what its status then says.
pub(crate) async fn applied(kustomization: &Target, commit: &str) -> Result<Value> {
    let revision = format!("main@sha1:{commit}");
    let object = kustomization
        .expect(
            "Ready",
            "True",
            "ReconciliationSucceeded",
            &format!("Applied revision: {revision}"),
        )
        .await?;
    let status = &object["status"];
    ensure!(
        status["lastAppliedRevision"] == revision && status["lastAttemptedRevision"] == revision,
        "{status}"
    );
    ensure!(
        status["observedGeneration"] == object["metadata"]["generation"],
        "{status}"
    );
    ensure!(
        condition(&object, "Reconciling").is_none() && condition(&object, "Stalled").is_none(),
        "{status}"
    );
    Ok(object)
}

/// The ids of the inventory.
pub(crate) fn inventory(object: &Value) -> Vec<String> {
    let entries = object["status"]["inventory"]["entries"].as_array();
    entries.into_iter().flatten().map(|it| text(it, "/id")).collect()
}

async fn commit_new_is_applied_and_reported(case: Case) -> Result<()> {
    let files = [
        ("a.yaml", config_map("a", &[("key", "one")])),
        ("b.yaml", config_map("b", &[("key", "one")])),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let (repository, kustomization) = case.app(&files, json!({})).await?;
    let first = repository.git(&["rev-parse", "HEAD"])?;
    let object = applied(&kustomization, &first).await?;
    let ns = case.namespace();
    ensure!(
        inventory(&object) == [format!("{ns}_a__ConfigMap"), format!("{ns}_b__ConfigMap")],
        "{}",
        object["status"]
    );
    ensure!(
        object["status"]["inventory"]["entries"][0]["v"] == "v1",
        "{}",
        object["status"]
    );
    let snapshot = &object["status"]["history"][0];
    ensure!(
        snapshot["lastReconciledStatus"] == "ReconciliationSucceeded"
            && snapshot["totalReconciliations"] == 1,
        "{snapshot}"
    );
    ensure!(
        text(snapshot, "/digest").starts_with("sha256:")
            && text(snapshot, "/metadata/revision") == format!("main@sha1:{first}"),
        "{snapshot}"
    );
    ensure!(
        text(&object, "/metadata/finalizers/0") == "finalizers.fluxcd.io",
        "{}",
        object["metadata"]
    );
    kustomization
        .expect_event(
            "Normal",
            "Progressing",
            &format!("ConfigMap/{ns}/a created\nConfigMap/{ns}/b created"),
        )
        .await?;
    kustomization
        .expect_event("Normal", "ReconciliationSucceeded", ", next run in 1h0m0s")
        .await?;

    let a = case.config_map("a")?.get().await?;
    let labels = &a["metadata"]["labels"];
    ensure!(
        labels["kustomize.toolkit.fluxcd.io/name"] == "app"
            && labels["kustomize.toolkit.fluxcd.io/namespace"] == ns,
        "{labels}"
    );
    ensure!(
        text(&a, "/metadata/managedFields/0/manager") == "kustomize-controller",
        "{}",
        a["metadata"]
    );
    let b = case.config_map("b")?.get().await?;

    let second = repository.commit(&[("a.yaml", &config_map("a", &[("key", "two")]))])?;
    case.fetch("app", &second).await?;
    let object = applied(&kustomization, &second).await?;
    ensure!(case.config_map("a")?.get().await?["data"]["key"] == "two");
    ensure!(
        case.config_map("b")?.get().await?["metadata"]["resourceVersion"] == b["metadata"]["resourceVersion"],
        "b was written"
    );
    kustomization
        .expect_event("Normal", "Progressing", &format!("ConfigMap/{ns}/a configured"))
        .await?;
    let history = object["status"]["history"].as_array().map(Vec::len);
    ensure!(history == Some(2), "{}", object["status"]["history"]);
    Ok(())
}

async fn requested_reconcile_without_change_writes_nothing(case: Case) -> Result<()> {
    let (_, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "one")]))], json!({}))
        .await?;
    let before = kustomization.ready().await?;
    let live = case.config_map("a")?.get().await?;
    let token = kustomization.request().await?;
    let after = kustomization.until("the request is answered", |it| {
        text(it, "/status/lastHandledReconcileAt") == token
            && condition(it, "Ready").is_some_and(|it| it["status"] == "True")
    });
    let after = after.await?;
    ensure!(
        case.config_map("a")?.get().await?["metadata"] == live["metadata"],
        "the object was written"
    );
    ensure!(
        after["status"]["inventory"] == before["status"]["inventory"],
        "{}",
        after["status"]
    );
    ensure!(
        after["status"]["history"][0]["totalReconciliations"] == 2,
        "{}",
        after["status"]["history"]
    );
    Ok(())
}

async fn manifest_invalid_keeps_objects_and_names_the_file(case: Case) -> Result<()> {
    let (a, b) = (
        config_map("a", &[("key", "one")]),
        config_map("b", &[("key", "one")]),
    );
    let (repository, kustomization) = case
        .app(&[("a.yaml", &a), ("deep/b.yaml", &b)], json!({}))
        .await?;
    let first = repository.git(&["rev-parse", "HEAD"])?;
    applied(&kustomization, &first).await?;

    let changed = config_map("a", &[("key", "two")]);
    let broken = repository.commit(&[
        ("a.yaml", &changed),
        (
            "deep/b.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b\n",
        ),
    ])?;
    case.fetch("app", &broken).await?;
    let object = kustomization
        .expect("Ready", "False", "BuildFailed", "deep/b.yaml")
        .await?;
    ensure!(
        text(condition(&object, "Ready").unwrap_or(&Value::Null), "/message")
            .contains("failed to decode Kubernetes YAML from"),
        "{}",
        object["status"]
    );
    let status = &object["status"];
    ensure!(
        text(status, "/lastAppliedRevision") == format!("main@sha1:{first}"),
        "{status}"
    );
    ensure!(
        text(status, "/lastAttemptedRevision") == format!("main@sha1:{broken}"),
        "{status}"
    );
    ensure!(inventory(&object).len() == 2, "{status}");
    kustomization
        .expect("Reconciling", "True", "ProgressingWithRetry", "")
        .await?;
    kustomization
        .expect_event("Warning", "BuildFailed", "deep/b.yaml")
        .await?;
    ensure!(
        case.config_map("a")?.get().await?["data"]["key"] == "one",
        "half of the commit was applied"
    );
    ensure!(
        case.config_map("b")?.get().await?["metadata"]["deletionTimestamp"].is_null(),
        "b was pruned"
    );

    // The same with a kustomization.yaml of the user's.
    let kustomized = repository.commit(&[(
        "kustomization.yaml",
        &kustomization_yaml(&["a.yaml", "deep/b.yaml"]),
    )])?;
    case.fetch("app", &kustomized).await?;
    kustomization
        .expect("Ready", "False", "BuildFailed", "kustomize build failed: ")
        .await?;
    kustomization
        .expect("Ready", "False", "BuildFailed", "deep/b.yaml")
        .await?;

    let fixed = repository.commit(&[("deep/b.yaml", &config_map("b", &[("key", "two")]))])?;
    case.fetch("app", &fixed).await?;
    applied(&kustomization, &fixed).await?;
    ensure!(case.config_map("b")?.get().await?["data"]["key"] == "two");
    Ok(())
}

async fn manifest_refused_by_the_server_keeps_the_stage_unapplied(case: Case) -> Result<()> {
    let (repository, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "one")]))], json!({}))
        .await?;
    kustomization.ready().await?;
    let refused = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n";
    let commit = repository.commit(&[
        ("a.yaml", &config_map("a", &[("key", "two")])),
        ("bad.yaml", refused),
    ])?;
    case.fetch("app", &commit).await?;
    let message = format!("Service/{}/bad dry-run failed (Invalid): ", case.namespace());
    kustomization
        .expect("Ready", "False", "ReconciliationFailed", &message)
        .await?;
    kustomization
        .expect_event("Warning", "ReconciliationFailed", &message)
        .await?;
    ensure!(
        case.config_map("a")?.get().await?["data"]["key"] == "one",
        "half of the commit was applied"
    );
    Ok(())
}

/// A Deployment whose pods share the fate that kwok-stages.yaml has for `stage`.
pub(crate) fn deployment(name: &str, stage: &str) -> String {
    let annotations = if stage.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{test-stage: {stage}}}")
    };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
         template:\n    metadata:\n      labels: {{app: {name}}}\n      annotations: {annotations}\n    \
         spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: main, image: none.invalid/none}}]}}\n"
    )
}

async fn commit_fixed_recovers_at_once_while_waiting_for_health(case: Case) -> Result<()> {
    // The wait alone would last longer than the test may.
    let more = json!({"wait": true, "timeout": "20m"});
    let (repository, kustomization) = case
        .app(&[("app.yaml", &deployment("app", "never-ready"))], more)
        .await?;
    let broken = repository.git(&["rev-parse", "HEAD"])?;
    let waiting = format!("Running health checks for revision main@sha1:{broken} with a timeout of 20m0s");
    kustomization
        .expect("Reconciling", "True", "Progressing", &waiting)
        .await?;
    kustomization
        .expect("Healthy", "Unknown", "Progressing", &waiting)
        .await?;
    let fixed = repository.commit(&[("app.yaml", &deployment("app", ""))])?;
    case.fetch("app", &fixed).await?;
    let object = applied(&kustomization, &fixed).await?;
    ensure!(
        condition(&object, "Healthy").is_some_and(|it| it["status"] == "True" && it["reason"] == "Succeeded"),
        "{}",
        object["status"]
    );
    Ok(())
}

async fn kustomization_file_not_yaml_is_reported_and_others_work(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let good = config_map("good", &[]);
    let commit = repository.commit(&[
        ("bad/kustomization.yaml", "\u{1}\u{0}not: [yaml"),
        ("bad/a.yaml", &config_map("a", &[])),
        ("good/good.yaml", &good),
    ])?;
    case.git_repository("app", repository.url(), json!({})).await?;
    let bad = case.kustomize("bad", "app", json!({"path": "./bad"})).await?;
    let good = case.kustomize("good", "app", json!({"path": "./good"})).await?;
    bad.expect(
        "Ready",
        "False",
        "BuildFailed",
        "kustomize build failed: invalid Kustomization: ",
    )
    .await?;
    applied(&good, &commit).await?;
    ensure!(
        case.config_map("a")?.find().await?.is_none(),
        "an object of a broken kustomization was applied"
    );
    Ok(())
}

async fn base_including_itself_is_reported_and_others_work(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let files = [
        ("self/kustomization.yaml", kustomization_yaml(&["../self"])),
        ("one/kustomization.yaml", kustomization_yaml(&["../two"])),
        ("two/kustomization.yaml", kustomization_yaml(&["../one"])),
        ("good/good.yaml", config_map("good", &[])),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let commit = repository.commit(&files)?;
    case.git_repository("app", repository.url(), json!({})).await?;
    for name in ["self", "one"] {
        let kustomization = case
            .kustomize(name, "app", json!({"path": format!("./{name}")}))
            .await?;
        kustomization
            .expect("Ready", "False", "BuildFailed", "cycle detected")
            .await?;
    }
    let good = case.kustomize("good", "app", json!({"path": "./good"})).await?;
    applied(&good, &commit).await?;
    Ok(())
}

async fn path_missing_is_reported(case: Case) -> Result<()> {
    let (_, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[]))], json!({"path": "./none"}))
        .await?;
    kustomization
        .expect(
            "Ready",
            "False",
            "ArtifactFailed",
            "kustomization path not found: stat",
        )
        .await?;
    kustomization
        .merge(&json!({"spec": {"path": "../../.."}}))
        .await?;
    // A path cannot leave the artifact: it ends at its root.
    kustomization.ready().await?;
    Ok(())
}

async fn source_missing_is_reported_and_recovers(case: Case) -> Result<()> {
    let kustomization = case.kustomize("app", "app", json!({})).await?;
    kustomization
        .expect("Ready", "False", "ArtifactFailed", "\"app\" not found")
        .await?;
    let repository = case.repository("app")?;
    let source = case.git_repository("app", repository.url(), json!({})).await?;
    source
        .expect("FetchFailed", "True", "EmptyGitRepository", "")
        .await?;
    kustomization
        .expect(
            "Ready",
            "False",
            "ArtifactFailed",
            "Source artifact not found, retrying in 1s",
        )
        .await?;
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[]))])?;
    applied(&kustomization, &commit).await?;
    Ok(())
}

fn immutable(value: &str, annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {annotations}\nimmutable: true\ndata: {{key: {value}}}\n"
    )
}

async fn immutable_field_without_force_is_an_error(case: Case) -> Result<()> {
    let (repository, kustomization) = case
        .app(&[("a.yaml", &immutable("one", "{}"))], json!({}))
        .await?;
    kustomization.ready().await?;
    let uid = text(&case.config_map("a")?.get().await?, "/metadata/uid");
    let commit = repository.commit(&[("a.yaml", &immutable("two", "{}"))])?;
    case.fetch("app", &commit).await?;
    let message = format!(
        "ConfigMap/{}/a dry-run failed (Invalid): ConfigMap \"a\" is invalid: ",
        case.namespace()
    );
    kustomization
        .expect("Ready", "False", "ReconciliationFailed", &message)
        .await?;
    let live = case.config_map("a")?.get().await?;
    ensure!(
        live["data"]["key"] == "one" && live["metadata"]["uid"] == uid,
        "{live}"
    );
    Ok(())
}

async fn immutable_field_with_force_recreates_the_object(case: Case) -> Result<()> {
    let (repository, kustomization) = case
        .app(&[("a.yaml", &immutable("one", "{}"))], json!({"force": true}))
        .await?;
    kustomization.ready().await?;
    let first = text(&case.config_map("a")?.get().await?, "/metadata/uid");
    let commit = repository.commit(&[("a.yaml", &immutable("two", "{}"))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    let live = case.config_map("a")?.get().await?;
    let second = text(&live, "/metadata/uid");
    ensure!(live["data"]["key"] == "two" && second != first, "{live}");

    // The annotation of the object does the same without the field of the spec.
    kustomization.merge(&json!({"spec": {"force": false}})).await?;
    let commit = repository.commit(&[(
        "a.yaml",
        &immutable("three", "{kustomize.toolkit.fluxcd.io/force: enabled}"),
    )])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    let live = case.config_map("a")?.get().await?;
    ensure!(
        live["data"]["key"] == "three" && live["metadata"]["uid"] != second,
        "{live}"
    );
    Ok(())
}

async fn invalid_field_with_force_deletes_nothing(case: Case) -> Result<()> {
    let service = |port: u32| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: {port}}}]}}\n")
    };
    let (repository, kustomization) = case
        .app(&[("a.yaml", &service(80))], json!({"force": true}))
        .await?;
    kustomization.ready().await?;
    let target = case.object("v1", "Service", "a")?;
    let uid = text(&target.get().await?, "/metadata/uid");
    let commit = repository.commit(&[("a.yaml", &service(99999))])?;
    case.fetch("app", &commit).await?;
    kustomization
        .expect("Ready", "False", "ReconciliationFailed", "Service")
        .await?;
    ensure!(
        text(&target.get().await?, "/metadata/uid") == uid,
        "a typo deleted the object"
    );
    Ok(())
}

async fn object_of_kubectl_apply_is_taken_over(case: Case) -> Result<()> {
    let file = case.dir()?.join("objects.yaml");
    let objects = format!(
        "{}---\n{}",
        config_map("client", &[("kept", "1"), ("extra", "1")]),
        config_map("server", &[("kept", "1"), ("extra", "1")])
    );
    std::fs::write(&file, &objects)?;
    let ns = case.namespace().to_owned();
    case.blocking(move |world| {
        let file = file.to_string_lossy();
        world.kubectl(&["apply", "-n", &ns, "-f", &file, "-l", "none!=x"])?;
        world.kubectl(&["delete", "-n", &ns, "configmap", "server"])?;
        world.kubectl(&[
            "apply",
            "-n",
            &ns,
            "--server-side",
            "-f",
            &file,
            "--force-conflicts",
        ])
    })
    .await?;
    let manifest = format!(
        "{}---\n{}",
        config_map("client", &[("kept", "1")]),
        config_map("server", &[("kept", "1")])
    );
    let (_, kustomization) = case.app(&[("all.yaml", &manifest)], json!({})).await?;
    kustomization.ready().await?;
    for name in ["client", "server"] {
        let live = case.config_map(name)?.get().await?;
        ensure!(live["data"] == json!({"kept": "1"}), "{live}");
        let annotations = &live["metadata"]["annotations"];
        ensure!(
            annotations["kubectl.kubernetes.io/last-applied-configuration"].is_null(),
            "{annotations}"
        );
        let managers: Vec<_> = live["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| text(it, "/manager"))
            .collect();
        ensure!(managers == ["kustomize-controller"], "{name}: {managers:?}");
    }
    Ok(())
}

async fn field_of_another_manager_is_kept(case: Case) -> Result<()> {
    let (repository, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "one")]))], json!({}))
        .await?;
    kustomization.ready().await?;
    let a = case.config_map("a")?;
    let foreign = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"e2e/owner": "them"}}, "data": {"theirs": "kept"}});
    a.apply_as("another-controller", &foreign).await?;
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "two")]))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    let live = a.get().await?;
    ensure!(live["data"] == json!({"key": "two", "theirs": "kept"}), "{live}");
    ensure!(live["metadata"]["annotations"]["e2e/owner"] == "them", "{live}");
    Ok(())
}

async fn crd_and_its_custom_resources_apply_together(case: Case) -> Result<()> {
    let group = format!("{}.example.com", case.namespace());
    let crd = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: widgets.{group}}}\nspec:\n  group: {group}\n  \
         scope: Namespaced\n  names: {{kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}}\n  versions:\n  - name: v1\n    \
         served: true\n    storage: true\n    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{size: {{type: integer}}}}}}}}}}}}\n"
    );
    let widget = |size: u8| {
        format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: one}}\nspec: {{size: {size}}}\n")
    };
    // The custom resource sorts before its definition by file name.
    let (repository, kustomization) = case
        .app(
            &[("a-widget.yaml", &widget(1)), ("b-crd.yaml", &crd)],
            json!({"wait": true}),
        )
        .await?;
    let object = kustomization.ready().await?;
    ensure!(
        inventory(&object)[0] == format!("_widgets.{group}_apiextensions.k8s.io_CustomResourceDefinition"),
        "{}",
        object["status"]
    );
    let target = case.object(&format!("{group}/v1"), "Widget", "one")?;
    ensure!(target.get().await?["spec"]["size"] == 1);
    let commit = repository.commit(&[("a-widget.yaml", &widget(2))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    ensure!(target.get().await?["spec"]["size"] == 2);
    // Both go together as well.
    kustomization.delete().await?;
    kustomization.gone().await?;
    case.object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &format!("widgets.{group}"),
    )?
    .gone()
    .await
}

async fn namespace_and_its_objects_apply_together(case: Case) -> Result<()> {
    let name = format!("{}-x", case.namespace());
    let manifest = format!(
        "{}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n",
        config_map("a", &[]).replace("name: a\n", &format!("name: a\n  namespace: {name}\n"))
    );
    let (_, kustomization) = case
        .app(&[("all.yaml", &manifest)], json!({"targetNamespace": null}))
        .await?;
    let object = kustomization.ready().await?;
    ensure!(
        inventory(&object) == [format!("_{name}__Namespace"), format!("{name}_a__ConfigMap")],
        "{}",
        object["status"]
    );
    let events = format!("Namespace/{name} created");
    kustomization.expect_event("Normal", "Progressing", &events).await
}
