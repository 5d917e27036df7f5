//! What the fields of a HelmRelease do that only a real API server, and pods, can show.

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, Target, cases, condition};
use serde_json::{Value, json};

use crate::helm_releases::{Charts, SOUND, has_history, record, release};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["helm_options":
        definitions_of_a_chart_are_applied_as_the_policy_says,
        release_in_another_namespace_has_the_rights_of_its_account_only,
        jobs_are_waited_for_unless_that_is_disabled,
        hooks_and_tests_of_real_jobs_end_as_their_pods_do,
        objects_are_ready_by_the_rules_of_helm_3,
        client_side_release_is_replaced_by_force_and_rolled_back,
    ]
}

/// A Deployment whose pods get ready, or come to the given stage.
fn deployment(stage: &str) -> String {
    format!("---\n{}", crate::apply::deployment("web", stage))
}

/// A Job whose pods end, or come to the given stage.
pub(crate) fn job(name: &str, annotations: &str, stage: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\n\
         spec:\n  backoffLimit: 0\n  template:\n    metadata: {{annotations: {{test-stage: {stage}}}}}\n    \
         spec: {{restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{{name: main, image: none.invalid/none}}]}}\n"
    )
}

/// A definition of the kind `Widget` in a group of the test's own; `extra` is a further version's name.
pub(crate) fn definition(group: &str, note: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: widgets.{group}\n  annotations: {{note: {note}}}\n\
         spec:\n  group: {group}\n  scope: Namespaced\n  names: {{kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}}\n  \
         versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}]\n"
    )
}

async fn definitions_of_a_chart_are_applied_as_the_policy_says(case: Case) -> Result<()> {
    let group = format!("{}.example.com", case.namespace());
    let charts = Charts::start();
    let widget = format!(
        "{SOUND}---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: one}}\nspec: {{size: 1}}\n"
    );
    let publish = |version: &str, note: &str| {
        let crd = definition(&group, note);
        charts.publish_files(
            version,
            &[("crds/widget.yaml", &crd), ("templates/all.yaml", &widget)],
        )
    };
    let crd = case.object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &format!("widgets.{group}"),
    )?;
    publish("1.0.0", "first")?;
    let source = charts.source(&case).await?;
    // Without its definition the kind is unknown.
    let skips = [("install", json!({ "crds": "Skip" }))];
    let release = release(&case, &skips).await?;
    release
        .expect("Ready", "False", "InstallFailed", "Widget")
        .await?;
    ensure!(crd.find().await?.is_none());
    release
        .merge(&json!({ "spec": { "install": { "crds": "Create" } } }))
        .await?;
    let object = release.ready().await?;
    ensure!(crd.get().await?["metadata"]["annotations"]["note"] == "first");
    let labels = &crd.get().await?["metadata"]["labels"];
    ensure!(labels["helm.toolkit.fluxcd.io/name"] == "app", "{labels}");
    let entries = object["status"]["inventory"]["entries"]
        .as_array()
        .context("an inventory")?;
    let known =
        |it: &Value| it["id"] == format!("_widgets.{group}_apiextensions.k8s.io_CustomResourceDefinition");
    ensure!(entries.iter().any(known), "{entries:?}");

    for (policy, version, note) in [("Skip", "1.1.0", "first"), ("CreateReplace", "1.2.0", "third")] {
        release
            .merge(&json!({ "spec": { "upgrade": { "crds": policy } } }))
            .await?;
        publish(version, if policy == "Skip" { "second" } else { "third" })?;
        source.reconcile().await?;
        let message = format!("with chart app@{version}");
        release
            .expect("Ready", "True", "UpgradeSucceeded", &message)
            .await?;
        let found = crd.get().await?;
        ensure!(
            found["metadata"]["annotations"]["note"] == note,
            "{policy}: {}",
            found["metadata"]
        );
    }
    release.delete().await?;
    release.gone().await?;
    // Definitions are never deleted with a release.
    crd.get().await?;
    crd.delete().await
}

async fn release_in_another_namespace_has_the_rights_of_its_account_only(case: Case) -> Result<()> {
    let (own, target) = (case.namespace().to_owned(), format!("{}-x", case.namespace()));
    let role = format!("e2e-{own}");
    let rights = |secrets: &str| {
        format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: tenant}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {role}}}\n\
         rules: [{{apiGroups: [''], resources: [configmaps, namespaces{secrets}], verbs: ['*']}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {role}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\n\
         subjects: [{{kind: ServiceAccount, name: tenant, namespace: {own}}}]\n"
        )
    };
    case.apply(&rights("")).await?;
    let charts = Charts::start();
    let template = SOUND.replace("{{ .Release.Name }}", "app");
    charts.publish("1.0.0", &template)?;
    charts.source(&case).await?;
    let spec = [
        ("serviceAccountName", json!("tenant")),
        ("targetNamespace", json!(target)),
        ("storageNamespace", json!(own)),
        ("install", json!({ "createNamespace": true })),
    ];
    let release = release(&case, &spec).await?;
    // Not even the records are read with other rights.
    let refused = format!("User \"system:serviceaccount:{own}:tenant\" cannot");
    release.expect("Ready", "False", "StateError", &refused).await?;
    case.apply(&rights(", secrets")).await?;
    release.reconcile().await?;
    let object = release.ready().await?;
    let first = &object["status"]["history"][0];
    let name = e2e::text(first, "/name");
    ensure!(
        name.starts_with(target.get(..20).unwrap_or(&target)) && first["namespace"] == target,
        "{first}"
    );
    let live = Target::new(case.world().client(), &target, "v1", "ConfigMap", "app")?;
    live.get().await?;
    case.object("v1", "Secret", &format!("sh.helm.release.v1.{name}.v1"))?
        .get()
        .await?;
    let namespace = case.object("v1", "Namespace", &target)?;
    ensure!(namespace.get().await?["metadata"]["labels"]["name"] == target.as_str());
    release.delete().await?;
    release.gone().await?;
    live.gone().await?;
    for kind in ["ClusterRoleBinding", "ClusterRole"] {
        case.object("rbac.authorization.k8s.io/v1", kind, &role)?
            .delete()
            .await?;
    }
    namespace.delete().await
}

async fn jobs_are_waited_for_unless_that_is_disabled(case: Case) -> Result<()> {
    let (charts, source) =
        Charts::offered(&case, &(SOUND.to_owned() + &job("slow", "", "never-ready"))).await?;
    let release = release(&case, &[("install", json!({ "timeout": "3s" }))]).await?;
    let waiting = format!(
        "timeout waiting for: [Job/{}/slow status: 'InProgress'",
        case.namespace()
    );
    let object = release
        .expect("Ready", "False", "InstallFailed", &waiting)
        .await?;
    has_history(&object, &["1 failed"])?;
    // A Job that has begun is enough.
    charts.publish("1.1.0", &(SOUND.to_owned() + &job("slow", "", "never-ready")))?;
    let upgrade = json!({ "disableWaitForJobs": true, "timeout": "20s" });
    release.merge(&json!({ "spec": { "upgrade": upgrade } })).await?;
    source.reconcile().await?;
    release
        .expect("Ready", "True", "UpgradeSucceeded", "app@1.1.0")
        .await?;
    // One that fails fails the release at once.
    charts.publish("1.2.0", &(SOUND.to_owned() + &job("fails", "", "fail")))?;
    release
        .merge(&json!({ "spec": { "upgrade": { "disableWaitForJobs": false, "timeout": "10m" } } }))
        .await?;
    source.reconcile().await?;
    let failed = format!(
        "failed early due to stalled resources: [Job/{}/fails status: 'Failed'",
        case.namespace()
    );
    release.expect("Ready", "False", "UpgradeFailed", &failed).await?;
    Ok(())
}

/// Waits until no further attempt at an upgrade is made.
async fn is_given_up(release: &Target) -> Result<Value> {
    let told = "Failed to upgrade after 1 attempt(s)";
    release.expect("Stalled", "True", "RetriesExceeded", told).await
}

async fn hooks_and_tests_of_real_jobs_end_as_their_pods_do(case: Case) -> Result<()> {
    let hooked = |before: &str, test: &str| {
        SOUND.to_owned()
            + &job("before", "helm.sh/hook: 'pre-install,pre-upgrade'", before)
            + &job("check", "helm.sh/hook: test", test)
    };
    let (charts, source) = Charts::offered(&case, &hooked("complete", "complete")).await?;
    let more = [
        ("test", json!({ "enable": true })),
        (
            "upgrade",
            json!({ "remediation": { "retries": 0, "remediateLastFailure": true } }),
        ),
    ];
    let release = release(&case, &more).await?;
    let object = release
        .expect(
            "Ready",
            "True",
            "TestSucceeded",
            "1 test hook completed successfully",
        )
        .await?;
    ensure!(
        object["status"]["history"][0]["testHooks"]["check"]["phase"] == "Succeeded",
        "{}",
        object["status"]
    );

    // A hook before fails: nothing is changed, and the revision before comes back.
    charts
        .offer(&source, "1.1.0", &hooked("fail", "complete"))
        .await?;
    let object = is_given_up(&release).await?;
    let released = condition(&object, "Released").context("a condition")?;
    let told = format!(
        "pre-upgrade hooks failed: failed early due to stalled resources: [Job/{}/before status: 'Failed'",
        case.namespace()
    );
    ensure!(
        released["message"].as_str().is_some_and(|it| it.contains(&told)),
        "{released}"
    );
    release
        .expect_event("Warning", "UpgradeFailed", "Last Helm logs:")
        .await?;
    has_history(&object, &["3 deployed", "2 failed", "1 superseded"])?;

    // A test fails: what was released is rolled back.
    charts
        .offer(&source, "1.2.0", &hooked("complete", "fail"))
        .await?;
    release
        .expect_event("Warning", "TestFailed", "Helm test failed for release")
        .await?;
    let object = release
        .until("it is rolled back", |it| {
            crate::helm_releases::history(it)
                .first()
                .is_some_and(|newest| newest == "5 deployed")
                && condition(it, "Stalled").is_some()
        })
        .await?;
    ensure!(
        condition(&object, "Ready").is_some_and(|it| it["reason"] == "RollbackSucceeded"),
        "{}",
        object["status"]
    );
    crate::helm_releases::has(&case, "chart", "1.0.0").await
}

async fn objects_are_ready_by_the_rules_of_helm_3(case: Case) -> Result<()> {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
    let template =
        |stage: &str| SOUND.to_owned() + service + &deployment(stage) + &job("once", "", "complete");
    let (charts, source) = Charts::offered(&case, &template("delayed")).await?;
    let legacy = [("waitStrategy", json!({ "name": "legacy" }))];
    let release = release(&case, &legacy).await?;
    release.ready().await?;
    let web = case.object("apps/v1", "Deployment", "web")?.get().await?;
    let once = case.object("batch/v1", "Job", "once")?.get().await?;
    ensure!(
        web["status"]["readyReplicas"] == 1 && once["status"]["succeeded"] == 1,
        "{} {}",
        web["status"],
        once["status"]
    );
    let hook = job("before", "helm.sh/hook: pre-upgrade", "fail");
    charts
        .offer(&source, "1.1.0", &(template("delayed") + &hook))
        .await?;
    release
        .expect(
            "Ready",
            "False",
            "UpgradeFailed",
            "pre-upgrade hooks failed: job before failed: BackoffLimitExceeded",
        )
        .await?;
    Ok(())
}

/// What others have added is gone.
async fn is_replaced(map: &Target) -> Result<()> {
    let live = map.get().await?;
    let data = &live["data"];
    ensure!(data["theirs"].is_null() && data["chart"] == "1.1.0", "{data}");
    Ok(())
}

async fn client_side_release_is_replaced_by_force_and_rolled_back(case: Case) -> Result<()> {
    let (charts, source) = Charts::offered(&case, SOUND).await?;
    let more = [
        ("install", json!({ "serverSideApply": false })),
        (
            "upgrade",
            json!({ "force": true, "timeout": "3s", "remediation": { "retries": 0, "remediateLastFailure": true } }),
        ),
        ("rollback", json!({ "force": true })),
    ];
    let release = release(&case, &more).await?;
    release.ready().await?;
    let map = case.config_map("app")?;
    map.merge(&json!({ "data": { "theirs": "yes" } })).await?;
    // What is replaced loses what others have added.
    charts.offer(&source, "1.1.0", SOUND).await?;
    release
        .expect("Ready", "True", "UpgradeSucceeded", "app@1.1.0")
        .await?;
    is_replaced(&map).await?;
    map.merge(&json!({ "data": { "theirs": "yes" } })).await?;
    charts
        .offer(&source, "1.2.0", &(SOUND.to_owned() + &deployment("never-ready")))
        .await?;
    let object = is_given_up(&release).await?;
    has_history(
        &object,
        &["4 deployed", "3 failed", "2 superseded", "1 superseded"],
    )
    .or_else(|_| has_history(&object, &["4 deployed", "3 failed", "2 superseded"]))?;
    is_replaced(&map).await?;
    // What the upgrade brought is gone with it.
    case.object("apps/v1", "Deployment", "web")?.gone().await?;
    let stored = record(&case, 4)?.get().await?;
    ensure!(
        stored["metadata"]["labels"]["status"] == "deployed",
        "{}",
        stored["metadata"]
    );
    Ok(())
}
