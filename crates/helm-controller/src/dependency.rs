//! `spec.dependsOn` (`spec/helm.md` B.5). Beyond upstream, those who wait are told as soon as a dependency becomes ready.

use ferro_api::helm::HelmRelease;
use ferro_api::meta::DependencyReference;
use ferro_api::{FluxObject, condition, reason};
use ferro_apply::error::message;
use ferro_kstatus::ReadyExpr;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use crate::args::gate;
use crate::reconciler::HelmReconciler;

/// Why a dependency stops a release.
pub(crate) enum Unready {
    /// It is not ready.
    Waiting(String),
    /// The expression is broken: only another spec helps.
    Terminal(String),
}

/// Goes through the dependencies in order; the first that is not ready stops.
pub(crate) async fn ready(env: &HelmReconciler, release: &HelmRelease) -> Result<(), Unready> {
    for reference in &release.spec.depends_on {
        one(env, release, reference).await?;
    }
    Ok(())
}

async fn one(
    env: &HelmReconciler,
    release: &HelmRelease,
    reference: &DependencyReference,
) -> Result<(), Unready> {
    let namespace = namespace(release, reference);
    let subject = format!("{namespace}/{}", reference.name);
    let api: Api<HelmRelease> = Api::namespaced(env.client.clone(), &namespace);
    let dependency = api.get(&reference.name).await.map_err(|error| {
        Unready::Waiting(format!(
            "unable to get '{subject}' dependency: {}",
            message(&error)
        ))
    })?;
    if let Some(expr) = reference.ready_expr.as_deref().filter(|expr| !expr.is_empty()) {
        let name = &reference.name;
        let compiled = ReadyExpr::compile(expr)
            .map_err(|error| Unready::Terminal(format!("failed to evaluate dependency {name}: {error}")))?;
        let value = |object: &HelmRelease| serde_json::to_value(object).unwrap_or_default();
        match compiled.eval(&value(release), &value(&dependency)) {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("dependency '{subject}' is not ready according to readyExpr eval");
                return Err(Unready::Waiting(message));
            }
            Err(error) => {
                return Err(Unready::Waiting(format!(
                    "failed to evaluate dependency {name}: {error}"
                )));
            }
        }
        if !env.gates.enabled(gate::ADDITIVE_CEL_DEPENDENCY_CHECK) {
            return Ok(());
        }
    }
    if is_done(&dependency) {
        return Ok(());
    }
    Err(Unready::Waiting(format!("dependency '{subject}' is not ready")))
}

fn namespace(release: &HelmRelease, reference: &DependencyReference) -> String {
    let named = reference
        .namespace
        .clone()
        .filter(|namespace| !namespace.is_empty());
    named.unwrap_or_else(|| release.namespace().unwrap_or_default())
}

/// Whether a release is as its newest spec asks.
pub(crate) fn is_done(release: &HelmRelease) -> bool {
    release.is_ready() && release.observed_generation() == release.metadata.generation
}

/// Whether a release waits for `dependency`.
pub(crate) fn waits_for(release: &HelmRelease, dependency: &ObjectRef<HelmRelease>) -> bool {
    let waits = release
        .condition(condition::READY)
        .is_some_and(|ready| ready.reason == reason::DEPENDENCY_NOT_READY);
    waits
        && release.spec.depends_on.iter().any(|reference| {
            reference.name == dependency.name && Some(namespace(release, reference)) == dependency.namespace
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn waits_for_names_the_dependency_in_its_namespace() {
        let release: HelmRelease = serde_json::from_value(json!({
            "metadata": { "name": "app", "namespace": "ns" },
            "spec": { "dependsOn": [{ "name": "db" }, { "name": "cache", "namespace": "other" }] },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "reason": "DependencyNotReady",
                "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }] }
        }))
        .unwrap();
        let waits =
            |name: &str, namespace: &str| waits_for(&release, &ObjectRef::new(name).within(namespace));
        assert!(waits("db", "ns") && waits("cache", "other"));
        assert!(!waits("db", "other") && !waits("app", "ns"));
    }
}
