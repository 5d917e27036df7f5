//! Waiting as Helm 3 does: the kinds that it knows are looked at every two seconds (`spec/helm.md` F.8).
//!
//! Helm reads the ReplicaSets of a Deployment and the Pods of a ReplicaSet; here their own status tells, which is never sooner.

use std::time::Duration;

use ferro_apply::Object;
use ferro_apply::error::message;
use serde_json::Value;
use tokio::time::Instant;

use super::{ActionError, Site};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// Errors of the server, one after the other, that are tried again.
const MAX_ERRORS: usize = 30;

/// Waits until objects are ready by Helm 3's rules.
pub(crate) async fn wait(
    site: &Site,
    objects: &[Object],
    timeout: Duration,
    with_jobs: bool,
) -> Result<(), ActionError> {
    let all_ready = async {
        for object in objects.iter().filter(|object| is_known(object)) {
            let mut errors = 0;
            while !look(site, object, with_jobs, &mut errors).await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    };
    let deadline = Instant::now() + timeout;
    match site
        .cancel
        .run_until_cancelled(tokio::time::timeout_at(deadline, all_ready))
        .await
    {
        Some(Ok(outcome)) => outcome,
        Some(Err(_)) => Err(ActionError("context deadline exceeded".to_owned())),
        None => Err(ActionError("context canceled".to_owned())),
    }
}

async fn look(
    site: &Site,
    object: &Object,
    with_jobs: bool,
    errors: &mut usize,
) -> Result<bool, ActionError> {
    let id = object.id();
    let mapping = site.cluster.map(id, object.version()).await;
    let mapping = mapping.map_err(|error| ActionError(error.to_string()))?;
    let live = site.cluster.api(&mapping, &id.namespace).get(&id.name).await;
    match live {
        Ok(live) => {
            *errors = 0;
            let live = serde_json::to_value(live).unwrap_or_default();
            ready((&id.group, &id.kind), &live, with_jobs).map_err(ActionError)
        }
        Err(error) => {
            let is_lasting = matches!(&error, kube::Error::Api(status) if status.code != 429 && (status.code < 500 || status.code == 501));
            *errors += 1;
            if is_lasting || *errors > MAX_ERRORS {
                return Err(ActionError(message(&error)));
            }
            Ok(false)
        }
    }
}

/// Whether Helm 3 waits for objects of the kind at all.
fn is_known(object: &Object) -> bool {
    let id = object.id();
    matches!(
        (id.group.as_str(), id.kind.as_str()),
        (
            "",
            "Pod" | "PersistentVolumeClaim" | "Service" | "ReplicationController"
        ) | ("batch", "Job")
            | (
                "apps" | "extensions",
                "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet"
            )
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
    )
}

/// Whether an object is ready; an error if it never will be.
fn ready((_, kind): (&str, &str), object: &Value, with_jobs: bool) -> Result<bool, String> {
    let number =
        |pointer: &str, absent: i64| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(absent);
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let has = |pointer: &str| object.pointer(pointer).is_some_and(|value| !value.is_null());
    let observed = number("/status/observedGeneration", 0) >= number("/metadata/generation", 0);
    let replicas = number("/spec/replicas", 1);
    Ok(match kind {
        "Pod" => is(object, "Ready", "True"),
        "Job" if with_jobs => {
            if number("/status/failed", 0) > number("/spec/backoffLimit", 6) {
                let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
                return Err(format!("job is failed: {namespace}/{name}"));
            }
            number("/status/succeeded", 0) >= number("/spec/completions", 0)
        }
        "PersistentVolumeClaim" => text("/status/phase") == "Bound",
        "Service" => is_service_ready(object),
        "Deployment" if object.pointer("/spec/paused") == Some(&Value::Bool(true)) => true,
        "Deployment" => {
            let wanted = replicas - max_unavailable(object, replicas, "/spec/strategy");
            let updated = number("/status/updatedReplicas", 0);
            let old = (number("/status/replicas", 0) - updated).max(0);
            observed && updated >= wanted && number("/status/readyReplicas", 0) - old >= wanted
        }
        "DaemonSet" if text("/spec/updateStrategy/type") == "RollingUpdate" => {
            let desired = number("/status/desiredNumberScheduled", 0);
            let wanted = desired - max_unavailable(object, desired, "/spec/updateStrategy");
            observed
                && number("/status/updatedNumberScheduled", 0) == desired
                && number("/status/numberReady", 0) >= wanted
        }
        "StatefulSet" if text("/spec/updateStrategy/type") == "RollingUpdate" => {
            let partition = number("/spec/updateStrategy/rollingUpdate/partition", 0);
            observed
                && number("/status/updatedReplicas", 0) >= replicas - partition
                && number("/status/readyReplicas", 0) == replicas
                && (partition > 0 || text("/status/currentRevision") == text("/status/updateRevision"))
        }
        "ReplicaSet" | "ReplicationController" => observed && number("/status/readyReplicas", 0) >= replicas,
        "CustomResourceDefinition" => {
            is(object, "Established", "True") || (has("/status") && is(object, "NamesAccepted", "False"))
        }
        _ => true,
    })
}

fn is(object: &Value, type_: &str, status: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let wanted = |condition: &Value| condition["type"] == type_ && condition["status"] == status;
    conditions.is_some_and(|conditions| conditions.iter().any(wanted))
}

fn is_service_ready(service: &Value) -> bool {
    let text = |pointer: &str| {
        service
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let has_items =
        |pointer: &str| matches!(service.pointer(pointer), Some(Value::Array(items)) if !items.is_empty());
    match text("/spec/type") {
        "ExternalName" => true,
        _ if text("/spec/clusterIP").is_empty() => false,
        "LoadBalancer" => has_items("/spec/externalIPs") || has_items("/status/loadBalancer/ingress"),
        _ => true,
    }
}

/// How many of `replicas` may be missing during a rolling update, by the strategy at `pointer`.
fn max_unavailable(object: &Value, replicas: i64, pointer: &str) -> i64 {
    let is_rolling = object
        .pointer(&format!("{pointer}/type"))
        .is_some_and(|kind| kind == "RollingUpdate");
    if !is_rolling || replicas == 0 {
        return 0;
    }
    let resolve =
        |field: &str, rounds_up: bool| match object.pointer(&format!("{pointer}/rollingUpdate/{field}")) {
            Some(Value::Number(number)) => number.as_i64().unwrap_or(0),
            Some(Value::String(text)) => {
                let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
                let scaled = percent.saturating_mul(replicas);
                if rounds_up {
                    (scaled + 99) / 100
                } else {
                    scaled / 100
                }
            }
            _ => 0,
        };
    let unavailable = resolve("maxUnavailable", pointer == "/spec/updateStrategy");
    // The API allows no strategy that cannot move.
    let at_least = i64::from(pointer == "/spec/strategy" && resolve("maxSurge", true) == 0);
    unavailable.max(at_least).min(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_ready(kind: &str, object: Value) -> bool {
        ready(("", kind), &object, true).unwrap()
    }

    #[test]
    fn deployments_are_ready_when_enough_new_pods_are() {
        let deployment = |status: Value| {
            json!({ "metadata": { "generation": 2 }, "status": status,
                "spec": { "replicas": 4, "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "25%", "maxSurge": 1 } } } })
        };
        let status = |generation: i64, replicas: i64, updated: i64, ready: i64| json!({ "observedGeneration": generation, "replicas": replicas, "updatedReplicas": updated, "readyReplicas": ready });
        assert!(is_ready("Deployment", deployment(status(2, 4, 4, 3))));
        assert!(!is_ready("Deployment", deployment(status(1, 4, 4, 4))));
        assert!(!is_ready("Deployment", deployment(status(2, 4, 2, 4))));
        assert!(!is_ready("Deployment", deployment(status(2, 5, 3, 3))));
        assert!(is_ready("Deployment", json!({ "spec": { "paused": true } })));
    }

    #[test]
    fn other_kinds_have_rules_of_their_own() {
        let service = |spec: Value| is_ready("Service", json!({ "spec": spec }));
        assert!(service(json!({ "type": "ExternalName" })) && !service(json!({ "type": "ClusterIP" })));
        assert!(service(json!({ "type": "ClusterIP", "clusterIP": "None" })));
        assert!(!service(
            json!({ "type": "LoadBalancer", "clusterIP": "10.0.0.1" })
        ));
        assert!(service(
            json!({ "type": "LoadBalancer", "clusterIP": "10.0.0.1", "externalIPs": ["1.2.3.4"] })
        ));
        assert!(!is_ready(
            "PersistentVolumeClaim",
            json!({ "status": { "phase": "Pending" } })
        ));
        let set = |status: Value| {
            is_ready(
                "StatefulSet",
                json!({ "status": status, "spec": { "replicas": 2, "updateStrategy": { "type": "RollingUpdate" } } }),
            )
        };
        assert!(set(
            json!({ "updatedReplicas": 2, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a" })
        ));
        assert!(!set(
            json!({ "updatedReplicas": 2, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "b" })
        ));
        assert!(is_ready("Widget", json!({})));
    }

    #[test]
    fn jobs_fail_for_good() {
        let job = |status: Value| json!({ "metadata": { "namespace": "ns", "name": "a" }, "spec": { "backoffLimit": 1, "completions": 1 }, "status": status });
        assert_eq!(
            ready(("batch", "Job"), &job(json!({ "failed": 2 })), true),
            Err("job is failed: ns/a".to_owned())
        );
        assert_eq!(
            ready(("batch", "Job"), &job(json!({ "failed": 2 })), false),
            Ok(true)
        );
        assert!(!is_ready("Job", job(json!({}))) && is_ready("Job", job(json!({ "succeeded": 1 }))));
    }
}
