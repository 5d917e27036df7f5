//! The rules: first those that hold for every kind, then those of each kind.

use jiff::{SignedDuration, Timestamp};

use crate::condition::Condition;
use crate::view::View;
use crate::{Health, ShapeError, Status};

/// How long a pod may be unschedulable before that counts as a failure.
const SCHEDULE_WINDOW: SignedDuration = SignedDuration::from_secs(15);
/// The deadline that the Deployment controller reads as "none".
const NO_DEADLINE: i64 = i32::MAX as i64;

type Answer = Result<Health, ShapeError>;

pub(crate) fn health(object: View<'_>, now: Timestamp) -> Answer {
    if let Some(answer) = generic(object)? {
        return Ok(answer);
    }
    match (object.group(), object.kind()) {
        ("", "Secret" | "ConfigMap") | ("batch", "CronJob") | ("policy", "PodDisruptionBudget") => {
            current("always ready")
        }
        ("", "Service") => service(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Pod") => pod(object, now),
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object),
        ("batch", "Job") => job(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => by_ready_condition(object),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every rule answers in the same form")]
fn current(message: impl Into<String>) -> Answer {
    Ok(Health::new(Status::Current, message))
}

#[expect(clippy::unnecessary_wraps, reason = "every rule answers in the same form")]
fn in_progress(message: impl Into<String>) -> Answer {
    Ok(Health::new(Status::InProgress, message))
}

#[expect(clippy::unnecessary_wraps, reason = "every rule answers in the same form")]
fn failed(message: impl Into<String>) -> Answer {
    Ok(Health::new(Status::Failed, message))
}

fn generic(object: View<'_>) -> Result<Option<Health>, ShapeError> {
    if object
        .optional_str("/metadata/deletionTimestamp")?
        .is_some_and(|time| !time.is_empty())
    {
        return Ok(Some(Health::new(Status::Terminating, "scheduled for deletion")));
    }
    if let Some(generation) = object.optional_int("/metadata/generation")?
        && let Some(observed) = object.optional_int("/status/observedGeneration")?
        && observed != generation
    {
        let message = format!("generation is {generation}, but the last observed one is {observed}");
        return Ok(Some(Health::new(Status::InProgress, message)));
    }
    let telling = object.conditions()?.into_iter().find_map(|condition| {
        let status = match condition.kind {
            "Reconciling" => Status::InProgress,
            "Stalled" => Status::Failed,
            _ => return None,
        };
        (condition.status == "True").then(|| Health::new(status, condition.message))
    });
    Ok(telling)
}

fn by_ready_condition(object: View<'_>) -> Answer {
    let conditions = object.conditions()?;
    match conditions.iter().find(|condition| condition.kind == "Ready") {
        Some(ready) if ready.status != "True" => in_progress(ready.message),
        Some(_) => current("is ready"),
        None => current("is current"),
    }
}

fn service(object: View<'_>) -> Answer {
    let waits = object.str("/spec/type", "ClusterIP") == "LoadBalancer"
        && object.str("/spec/clusterIP", "").is_empty();
    if waits {
        in_progress("cluster IP is not set")
    } else {
        current("service is ready")
    }
}

fn claim(object: View<'_>) -> Answer {
    match object.str("/status/phase", "unknown") {
        "Bound" => current("claim is bound"),
        phase => in_progress(format!("claim is not bound, its phase is {phase}")),
    }
}

fn pod(object: View<'_>, now: Timestamp) -> Answer {
    let conditions = object.conditions()?;
    match object.str("/status/phase", "") {
        "Succeeded" => current("pod has completed"),
        "Failed" => current("pod has completed, but not successfully"),
        "Running" if conditions.iter().any(|condition| condition.is_true("Ready")) => current("pod is ready"),
        "Running" => {
            let crashing = crash_looping(object);
            if crashing.is_empty() {
                in_progress("pod is running but not ready")
            } else {
                failed(format!("containers in crash loop: {}", crashing.join(",")))
            }
        }
        "Pending" => Ok(pending_pod(object, &conditions, now)),
        "" => in_progress("pod phase is not set"),
        phase => Err(ShapeError::Phase(phase.to_owned())),
    }
}

fn pending_pod(object: View<'_>, conditions: &[Condition<'_>], now: Timestamp) -> Health {
    let unschedulable = conditions
        .iter()
        .any(|condition| condition.is("PodScheduled", "False") && condition.reason == "Unschedulable");
    if !unschedulable {
        return Health::new(Status::InProgress, "pod is not scheduled");
    }
    let created: Option<Timestamp> = object.str("/metadata/creationTimestamp", "").parse().ok();
    match created.and_then(|created| created.checked_add(SCHEDULE_WINDOW).ok()) {
        Some(deadline) if now < deadline => Health {
            until: Some(deadline),
            ..Health::new(Status::InProgress, "pod is not scheduled")
        },
        _ => Health::new(Status::Failed, "pod cannot be scheduled"),
    }
}

fn crash_looping<'a>(object: View<'a>) -> Vec<&'a str> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = lists
        .iter()
        .flat_map(|pointer| object.list(pointer))
        .map(View::new);
    statuses
        .filter(|status| status.str("/state/waiting/reason", "") == "CrashLoopBackOff")
        .map(|status| status.str("/name", ""))
        .collect()
}

fn deployment(object: View<'_>) -> Answer {
    let mut progressing = object.int("/spec/progressDeadlineSeconds", NO_DEADLINE) == NO_DEADLINE;
    let mut available = false;
    for condition in object.conditions()? {
        match condition.kind {
            "Progressing" if condition.reason == "ProgressDeadlineExceeded" => {
                return failed("progress deadline exceeded");
            }
            "Progressing" if condition.status == "True" && condition.reason == "NewReplicaSetAvailable" => {
                progressing = true;
            }
            "Available" if condition.status == "True" => available = true,
            _ => {}
        }
    }
    let wanted = object.int("/spec/replicas", 1);
    let count = |name: &str| object.int(&format!("/status/{name}"), 0);
    let (replicas, updated, at_hand, ready) = (
        count("replicas"),
        count("updatedReplicas"),
        count("availableReplicas"),
        count("readyReplicas"),
    );
    if wanted > replicas {
        in_progress(format!("replicas: {replicas}/{wanted}"))
    } else if wanted > updated {
        in_progress(format!("updated: {updated}/{wanted}"))
    } else if replicas > wanted {
        in_progress(format!("pending termination: {}", replicas - wanted))
    } else if updated > at_hand {
        in_progress(format!("available: {at_hand}/{updated}"))
    } else if wanted > ready {
        in_progress(format!("ready: {ready}/{wanted}"))
    } else if !progressing {
        in_progress("replica set is not available")
    } else if !available {
        in_progress("deployment is not available")
    } else {
        current(format!("deployment is available, replicas: {replicas}"))
    }
}

fn stateful_set(object: View<'_>) -> Answer {
    if object.str("/spec/updateStrategy/type", "") == "OnDelete" {
        return current("update strategy is OnDelete");
    }
    let wanted = object.int("/spec/replicas", 1);
    let count = |name: &str| object.int(&format!("/status/{name}"), 0);
    let (replicas, ready, updated, at_revision) = (
        count("replicas"),
        count("readyReplicas"),
        count("updatedReplicas"),
        count("currentReplicas"),
    );
    if wanted > replicas {
        return in_progress(format!("replicas: {replicas}/{wanted}"));
    }
    if wanted > ready {
        return in_progress(format!("ready: {ready}/{wanted}"));
    }
    if replicas > wanted {
        return in_progress(format!("pending termination: {}", replicas - wanted));
    }
    let partition = object.int("/spec/updateStrategy/rollingUpdate/partition", -1);
    if partition != -1 {
        let part = wanted.saturating_sub(partition);
        return if updated < part {
            in_progress(format!("updated: {updated}/{part}"))
        } else {
            current(format!("partition is rolled out, updated: {updated}"))
        };
    }
    if wanted > at_revision {
        return in_progress(format!("current: {at_revision}/{wanted}"));
    }
    if object.str("/status/currentRevision", "") != object.str("/status/updateRevision", "") {
        return in_progress("updated revision is not the current one");
    }
    current(format!("all replicas are scheduled: {replicas}"))
}

fn daemon_set(object: View<'_>) -> Answer {
    for pointer in ["/metadata/generation", "/status/observedGeneration"] {
        if object.optional_int(pointer)?.is_none() {
            return in_progress(format!(
                "{} is not set",
                pointer.trim_start_matches('/').replace('/', ".")
            ));
        }
    }
    let wanted = object.int("/status/desiredNumberScheduled", -1);
    if wanted == -1 {
        return in_progress("status.desiredNumberScheduled is not set");
    }
    let counts = [
        ("current", "currentNumberScheduled"),
        ("updated", "updatedNumberScheduled"),
        ("available", "numberAvailable"),
        ("ready", "numberReady"),
    ];
    first_short(object, wanted, &counts).map_or_else(
        || current(format!("all replicas are scheduled: {wanted}")),
        in_progress,
    )
}

fn replica_set(object: View<'_>) -> Answer {
    if object
        .conditions()?
        .iter()
        .any(|condition| condition.is_true("ReplicaFailure"))
    {
        return in_progress("replica failure");
    }
    let wanted = object.int("/spec/replicas", 1);
    let counts = [
        ("labelled", "fullyLabeledReplicas"),
        ("available", "availableReplicas"),
        ("ready", "readyReplicas"),
    ];
    if let Some(message) = first_short(object, wanted, &counts) {
        return in_progress(message);
    }
    let replicas = object.int("/status/replicas", 0);
    if replicas > wanted {
        return in_progress(format!("pending termination: {}", replicas - wanted));
    }
    current(format!("replica set is available, replicas: {replicas}"))
}

/// Names the first count of the status that is below what is wanted.
fn first_short(object: View<'_>, wanted: i64, counts: &[(&str, &str)]) -> Option<String> {
    counts.iter().find_map(|(label, field)| {
        let have = object.int(&format!("/status/{field}"), 0);
        (wanted > have).then(|| format!("{label}: {have}/{wanted}"))
    })
}

/// Flux's own rule: a job is current when it is complete, not when it has started.
fn job(object: View<'_>) -> Answer {
    if object.get("/spec/suspend").and_then(serde_json::Value::as_bool) == Some(true) {
        return current("job is suspended");
    }
    for condition in object.conditions()? {
        if condition.is_true("Complete") {
            return current("job is complete");
        }
        if condition.is_true("Failed") {
            return failed(format!("job has failed: {}", condition.message));
        }
    }
    in_progress("job is in progress")
}

fn definition(object: View<'_>) -> Answer {
    for condition in object.conditions()? {
        if condition.is("NamesAccepted", "False") {
            return failed(condition.message);
        }
        if condition.is("Established", "False") && condition.reason != "Installing" {
            return failed(condition.message);
        }
        if condition.is_true("Established") {
            return current("definition is established");
        }
    }
    in_progress("definition is not established")
}
