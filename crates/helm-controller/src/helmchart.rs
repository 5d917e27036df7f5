//! The HelmChart that is made from the template in a HelmRelease (`spec/helm.md` B.4).

use std::collections::BTreeMap;

use ferro_api::helm::{HelmChartTemplate, HelmRelease};
use ferro_api::source::HelmChart;
use ferro_api::{FluxObject, controller, label, reason};
use ferro_apply::error::message;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use ferro_runtime::sources::{Source, SourceId};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::reconciler::HelmReconciler;
use crate::source::{CHART, chart_name, chart_namespace, non_empty};

/// Makes the HelmChart of the template what it should be, and removes one that has no template any more. Tells whether it was changed.
pub(crate) async fn reconcile(env: &HelmReconciler, pass: &mut Pass<HelmRelease>) -> Result<bool, String> {
    let wanted = pass.object.spec.chart.as_ref().map(|template| {
        format!(
            "{}/{}",
            chart_namespace(&pass.object, template),
            chart_name(&pass.object)
        )
    });
    let known = pass.object.status().and_then(|status| status.helm_chart.clone());
    if known.is_some() && known != wanted {
        delete(env, pass).await?;
    }
    let Some(template) = pass.object.spec.chart.clone() else {
        return Ok(false);
    };
    let object = object(&pass.object, &template);
    let id = SourceId {
        kind: CHART.kind,
        namespace: chart_namespace(&pass.object, &template),
        name: chart_name(&pass.object),
    };
    let fingerprint = object.to_string();
    let seen = env.sources.get(&id);
    if seen
        .as_ref()
        .is_some_and(|seen| env.chart_is_as_left(&id, &fingerprint, seen.generation))
    {
        pass.object.status_mut().helm_chart = wanted;
        return Ok(false);
    }
    let subject = format!(
        "HelmChart/{}/{} with SourceRef '{}/{}/{}'",
        id.namespace,
        id.name,
        template.spec.source_ref.kind.as_str(),
        id.namespace,
        template.spec.source_ref.name
    );
    let api: Api<Source> = Api::namespaced_with(env.client.clone(), &id.namespace, &CHART.resource());
    let params = PatchParams::apply(controller::HELM).force();
    let applied = match api.patch(&id.name, &params, &Patch::Apply(&object)).await {
        Ok(applied) => applied,
        Err(error) => {
            let error = format!("failed to run server-side apply: {}", message(&error));
            pass.event(
                Severity::Trace,
                reason::HELM_CHART_SYNC_ERR,
                &error,
                BTreeMap::new(),
            );
            return Err(error);
        }
    };
    let standing = env.sources.standing(id.kind, applied);
    let (reason, word) = match &seen {
        None => (Some(reason::HELM_CHART_CREATED), "created"),
        Some(seen) if seen.resource_version != standing.resource_version => {
            (Some(reason::HELM_CHART_CONFIGURED), "configured")
        }
        Some(_) => (None, ""),
    };
    if let Some(reason) = reason {
        pass.event(
            Severity::Trace,
            reason,
            &format!("{word} {subject}"),
            BTreeMap::new(),
        );
    }
    env.chart_left(&id, fingerprint, standing.generation);
    env.sources.written(id, standing);
    pass.object.status_mut().helm_chart = wanted;
    Ok(reason.is_some())
}

/// Removes the HelmChart of a release that goes, also one that its status was never told of because the process ended before.
pub(crate) async fn delete_last(env: &HelmReconciler, pass: &mut Pass<HelmRelease>) -> Result<(), String> {
    let named = pass.object.status().and_then(|status| status.helm_chart.as_ref());
    if named.is_none()
        && let Some(template) = &pass.object.spec.chart
    {
        let (namespace, name) = (chart_namespace(&pass.object, template), chart_name(&pass.object));
        let api: Api<HelmChart> = Api::namespaced(env.client.clone(), &namespace);
        let found = api.get_metadata_opt(&name).await;
        let found = found.map_err(|error| format!("failed to get HelmChart: {}", message(&error)))?;
        if found.is_some_and(|found| is_of(&found, &pass.object)) {
            pass.object.status_mut().helm_chart = Some(format!("{namespace}/{name}"));
        }
    }
    delete(env, pass).await
}

/// Whether a HelmChart was made for a release.
fn is_of(chart: &impl ResourceExt, release: &HelmRelease) -> bool {
    let labels = chart.labels();
    labels.get(label::HELM_NAME) == Some(&release.name_any())
        && labels.get(label::HELM_NAMESPACE) == release.namespace().as_ref()
}

/// Removes the HelmChart that the status names.
pub(crate) async fn delete(env: &HelmReconciler, pass: &mut Pass<HelmRelease>) -> Result<(), String> {
    let known = pass.object.status().and_then(|status| status.helm_chart.clone());
    let Some(id) = known else { return Ok(()) };
    if let Some((namespace, name)) = id.split_once('/') {
        remove(&env.client, namespace, name)
            .await
            .map_err(|error| format!("failed to delete HelmChart '{id}': {}", message(&error)))?;
        let message = format!("deleted HelmChart '{id}'");
        pass.event(
            Severity::Trace,
            reason::HELM_CHART_DELETED,
            &message,
            BTreeMap::new(),
        );
        env.chart_gone(&SourceId {
            kind: CHART.kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
    }
    pass.object.status_mut().helm_chart = None;
    Ok(())
}

async fn remove(client: &Client, namespace: &str, name: &str) -> kube::Result<()> {
    let api: Api<HelmChart> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// The HelmChart as it is applied.
fn object(release: &HelmRelease, template: &HelmChartTemplate) -> Value {
    let metadata = template.metadata.clone().unwrap_or_default();
    let mut labels = metadata.labels;
    labels.insert(label::HELM_NAME.to_owned(), release.name_any());
    labels.insert(
        label::HELM_NAMESPACE.to_owned(),
        release.namespace().unwrap_or_default(),
    );
    let spec = &template.spec;
    let mut value = json!({
        "apiVersion": CHART.resource().api_version,
        "kind": HelmChart::KIND,
        "metadata": {
            "name": chart_name(release),
            "namespace": chart_namespace(release, template),
            "labels": labels,
        },
        "spec": {
            "chart": spec.chart,
            "version": non_empty(spec.version.as_deref()).unwrap_or("*"),
            "sourceRef": { "kind": spec.source_ref.kind.as_str(), "name": spec.source_ref.name },
            "interval": spec.interval.unwrap_or(release.spec.interval),
            "reconcileStrategy": spec.reconcile_strategy.unwrap_or_default().as_str(),
        },
    });
    let mut set = |pointer: &str, key: &str, field: Value| {
        if let Some(map) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
            map.insert(key.to_owned(), field);
        }
    };
    if !metadata.annotations.is_empty() {
        set("/metadata", "annotations", json!(metadata.annotations));
    }
    if !spec.values_files.is_empty() {
        set("/spec", "valuesFiles", json!(spec.values_files));
    }
    if spec.ignore_missing_values_files {
        set("/spec", "ignoreMissingValuesFiles", true.into());
    }
    if let Some(verify) = &spec.verify {
        set("/spec", "verify", json!(verify));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_chart_is_made_in_the_namespace_of_its_source() {
        let release: HelmRelease = serde_json::from_value(json!({
            "metadata": { "name": "app", "namespace": "apps" },
            "spec": { "interval": "5m", "chart": {
                "metadata": { "labels": { "helm.toolkit.fluxcd.io/name": "mine", "team": "a" } },
                "spec": { "chart": "podinfo", "sourceRef": { "kind": "HelmRepository", "name": "repo", "namespace": "sources" },
                    "valuesFiles": ["a.yaml"] } } }
        }))
        .unwrap();
        let template = release.spec.chart.clone().unwrap();
        assert_eq!(
            object(&release, &template),
            json!({
                "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart",
                "metadata": { "name": "apps-app", "namespace": "sources", "labels": {
                    "helm.toolkit.fluxcd.io/name": "app", "helm.toolkit.fluxcd.io/namespace": "apps", "team": "a" } },
                "spec": { "chart": "podinfo", "version": "*", "interval": "5m0s", "reconcileStrategy": "ChartVersion",
                    "sourceRef": { "kind": "HelmRepository", "name": "repo" }, "valuesFiles": ["a.yaml"] }
            })
        );
    }
}
