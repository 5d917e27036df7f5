//! With whose rights objects are applied, and to which cluster.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Case, Entry, Target, cases, config_map};
use serde_json::json;

use crate::apply::applied;

pub(crate) fn cases() -> Vec<Entry> {
    cases!["tenants":
        service_account_applies_with_its_rights_only,
        deletion_without_the_service_account_leaves_the_objects,
        kubeconfig_in_a_secret_leads_to_another_cluster,
        kubeconfig_that_is_missing_is_named,
    ]
}

/// A service account that may do everything with ConfigMaps of the test's namespace, and nothing else.
async fn tenant(case: &Case, name: &str) -> Result<Target> {
    let namespace = case.namespace();
    case.apply(&format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\n\
         rules: [{{apiGroups: [''], resources: [configmaps], verbs: ['*']}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {name}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}\n\
         subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]\n"
    ))
    .await?;
    case.object("v1", "ServiceAccount", name)
}

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: value}\n";

async fn service_account_applies_with_its_rights_only(case: Case) -> Result<()> {
    tenant(&case, "tenant").await?;
    let (repository, kustomization) = case
        .app(
            &[("a.yaml", &config_map("a", &[("key", "ours")]))],
            json!({"serviceAccountName": "tenant"}),
        )
        .await?;
    kustomization.ready().await?;
    let a = case.config_map("a")?;
    a.merge(&json!({"data": {"key": "theirs"}})).await?;
    a.until("it is restored", |it| it["data"]["key"] == "ours")
        .await?;

    let commit = repository.commit(&[("s.yaml", SECRET)])?;
    case.fetch("app", &commit).await?;
    let refused = format!(
        "User \"system:serviceaccount:{}:tenant\" cannot",
        case.namespace()
    );
    kustomization
        .expect("Ready", "False", "ReconciliationFailed", &refused)
        .await?;
    ensure!(
        case.object("v1", "Secret", "s")?.find().await?.is_none(),
        "the Secret was made"
    );

    repository.commit_removal(&["a.yaml", "s.yaml"])?;
    let commit = repository.commit(&[("b.yaml", &config_map("b", &[]))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    a.gone().await
}

async fn deletion_without_the_service_account_leaves_the_objects(case: Case) -> Result<()> {
    let account = tenant(&case, "tenant").await?;
    let (_, kustomization) = case
        .app(
            &[("a.yaml", &config_map("a", &[]))],
            json!({"serviceAccountName": "tenant"}),
        )
        .await?;
    kustomization.ready().await?;
    account.delete().await?;
    account.gone().await?;
    kustomization.delete().await?;
    kustomization.gone().await?;
    let message = format!("unable to prune objects: \nConfigMap/{}/a", case.namespace());
    kustomization
        .expect_event("Warning", "ReconciliationSucceeded", &message)
        .await?;
    case.config_map("a")?.get().await?;
    Ok(())
}

/// The kubeconfig of the test's cluster, changed by `change`, in a Secret.
async fn remote(case: &Case, key: &str, change: impl Fn(String) -> String) -> Result<()> {
    let text = change(std::fs::read_to_string(case.world().kubeconfig())?);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "remote"},
        "data": {key: STANDARD.encode(text)},
    });
    case.apply_object(&secret).await
}

async fn kubeconfig_in_a_secret_leads_to_another_cluster(case: Case) -> Result<()> {
    remote(&case, "value.yaml", |text| text).await?;
    tenant(&case, "tenant").await?;
    let spec = json!({"kubeConfig": {"secretRef": {"name": "remote"}}, "wait": true});
    let (_, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "ours")]))], spec)
        .await?;
    kustomization.ready().await?;
    let a = case.config_map("a")?;
    a.merge(&json!({"data": {"key": "theirs"}})).await?;
    a.until("it is restored", |it| it["data"]["key"] == "ours")
        .await?;
    // The rights of the account there, not those of the kubeconfig.
    kustomization
        .merge(&json!({"spec": {"serviceAccountName": "nobody"}}))
        .await?;
    kustomization.reconcile().await?;
    a.merge(&json!({"data": {"key": "theirs"}})).await?;
    let refused = format!("system:serviceaccount:{}:nobody", case.namespace());
    kustomization
        .expect("Ready", "False", "ReconciliationFailed", &refused)
        .await?;
    kustomization
        .merge(&json!({"spec": {"serviceAccountName": "tenant"}}))
        .await?;
    kustomization.ready().await?;
    kustomization.delete().await?;
    a.gone().await
}

async fn kubeconfig_that_is_missing_is_named(case: Case) -> Result<()> {
    let namespace = case.namespace().to_owned();
    let spec = json!({"kubeConfig": {"secretRef": {"name": "remote"}}});
    let (_, kustomization) = case.app(&[("a.yaml", &config_map("a", &[]))], spec).await?;
    let expect = async |message: &str| {
        let message = message.replace("NS", &namespace);
        kustomization
            .expect("Ready", "False", "ReconciliationFailed", &message)
            .await
    };
    expect("unable to read KubeConfig secret 'NS/remote' error: secrets \"remote\" not found").await?;
    remote(&case, "other", |text| text.replace("\"token\"", "\"tokenFile\"")).await?;
    kustomization.reconcile().await?;
    expect("KubeConfig secret 'NS/remote' does not contain a 'value' key with a kubeconfig").await?;
    kustomization
        .merge(&json!({"spec": {"kubeConfig": {"secretRef": {"key": "other"}}}}))
        .await?;
    // A file of the controller is no credential of the user's.
    expect("system:anonymous").await?;
    ensure!(case.config_map("a")?.find().await?.is_none(), "it was applied");
    Ok(())
}
