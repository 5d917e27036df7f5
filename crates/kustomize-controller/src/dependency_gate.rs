//! The gate that dependencies keep (`spec/kustomize-and-notification.md` B.3, B.4).

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::{DependencyReference, Duration};
use ferro_api::reason;
use ferro_apply::error::message;
use ferro_kstatus::ReadyExpr;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use crate::args::gate;
use crate::dependency::{check, cycle};
use crate::reconciler::KustomizeReconciler;
use crate::stop::Stop;

/// Goes through the dependencies in order; the first that is not ready stops.
pub(crate) async fn ready(
    env: &KustomizeReconciler,
    kustomization: &Kustomization,
    revision: &str,
) -> Result<(), Stop> {
    for reference in &kustomization.spec.depends_on {
        if let Err(mut message) = one(env, kustomization, reference, revision).await? {
            if let Some(cycle) = cycle(&env.store, kustomization) {
                message = format!("{message}: dependsOn forms a cycle that can never become ready: {cycle}");
            }
            let after = env.pace.requeue_dependency;
            let event = format!(
                "Dependencies do not meet ready condition, retrying in {}",
                Duration::from(after)
            );
            return Err(Stop::Waiting {
                reason: reason::DEPENDENCY_NOT_READY,
                message,
                event: Some(event),
                after,
            });
        }
    }
    Ok(())
}

async fn one(
    env: &KustomizeReconciler,
    kustomization: &Kustomization,
    reference: &DependencyReference,
    revision: &str,
) -> Result<Result<(), String>, Stop> {
    let own = kustomization.namespace().unwrap_or_default();
    let namespace = reference
        .namespace
        .clone()
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(own);
    let subject = format!("{namespace}/{}", reference.name);
    let dependency = match read(env, &namespace, &reference.name).await {
        Ok(dependency) => dependency,
        Err(error) => {
            let cause = message(&error);
            return Ok(Err(format!("dependency '{subject}' not found: {cause}")));
        }
    };
    if let Some(expr) = reference.ready_expr.as_deref().filter(|expr| !expr.is_empty()) {
        let compiled = ReadyExpr::compile(expr).map_err(|error| {
            let name = &reference.name;
            invalid_expression(format_args!("failed to evaluate dependency {name}: {error}"))
        })?;
        let value = |object: &Kustomization| serde_json::to_value(object).unwrap_or_default();
        match compiled.eval(&value(kustomization), &value(&dependency)) {
            Ok(true) => {}
            Ok(false) => {
                return Ok(Err(format!(
                    "dependency '{subject}' is not ready according to readyExpr eval"
                )));
            }
            Err(error) => return Ok(Err(error.to_string())),
        }
        if !env.gates.enabled(gate::ADDITIVE_CEL_DEPENDENCY_CHECK) {
            return Ok(Ok(()));
        }
    }
    Ok(check(kustomization, &dependency, revision))
}

/// The dependency as the watch has it; one of another shard, or not seen yet, is asked for.
async fn read(env: &KustomizeReconciler, namespace: &str, name: &str) -> kube::Result<Kustomization> {
    if let Some(known) = env.store.get(&ObjectRef::new(name).within(namespace)) {
        return Ok(Kustomization::clone(&known));
    }
    let api: Api<Kustomization> = Api::namespaced(env.client.clone(), namespace);
    api.get(name).await
}

/// A malformed expression: only another spec helps.
pub(crate) fn invalid_expression(error: impl std::fmt::Display) -> Stop {
    let message = format!("Reconciliation failed terminally due to configuration error: {error}");
    Stop::Terminal {
        reason: reason::INVALID_CEL_EXPRESSION,
        message,
    }
}
