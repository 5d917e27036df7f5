//! The rules of each kind.

use ferro_kstatus::{Health, Status, Status::*, health};
use jiff::Timestamp;
use serde_json::{Value, json};

const CREATED: &str = "2026-01-02T03:04:05Z";

fn at(seconds: i64) -> Timestamp {
    CREATED.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

fn object(api_version: &str, kind: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind});
    object
        .as_object_mut()
        .unwrap()
        .extend(rest.as_object().unwrap().clone());
    object
}

fn judge(object: &Value) -> Health {
    health(object, at(0))
}

#[track_caller]
fn check(api_version: &str, kind: &str, cases: &[(Value, Status)]) {
    for (rest, expected) in cases {
        let object = object(api_version, kind, rest.clone());
        let actual = judge(&object);
        assert_eq!(actual.status, *expected, "{object} is {actual:?}");
    }
}

fn conditions(list: &[(&str, &str, &str)]) -> Value {
    list.iter()
        .map(|(kind, status, reason)| json!({"type": kind, "status": status, "reason": reason, "message": "told"}))
        .collect()
}

#[test]
fn generic_rules_come_first_and_in_order() {
    let stalled = conditions(&[("Stalled", "True", "")]);
    check(
        "v1",
        "ConfigMap",
        &[
            (json!({}), Current),
            (
                json!({"metadata": {"deletionTimestamp": CREATED, "generation": 2}, "status": {"observedGeneration": 1}}),
                Terminating,
            ),
            (json!({"metadata": {"deletionTimestamp": ""}}), Current),
            (
                json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": stalled}}),
                InProgress,
            ),
            (
                json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": stalled}}),
                Failed,
            ),
            (
                json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 3}}),
                InProgress,
            ),
            (json!({"metadata": {"generation": 2}}), Current),
            (json!({"status": {"observedGeneration": 3}}), Current),
            (
                json!({"status": {"conditions": conditions(&[("Reconciling", "True", ""), ("Stalled", "True", "")])}}),
                InProgress,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Stalled", "True", ""), ("Reconciling", "True", "")])}}),
                Failed,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Stalled", "False", ""), ("Reconciling", "Unknown", "")])}}),
                Current,
            ),
            (
                json!({"metadata": {"generation": "2"}, "status": {"observedGeneration": 1}}),
                Unknown,
            ),
            (json!({"status": {"conditions": "no list"}}), Unknown),
            (json!({"status": {"conditions": [{"type": 1}]}}), Unknown),
            (json!({"status": {"conditions": null}}), Current),
        ],
    );
}

#[test]
fn always_ready_kinds_ignore_their_conditions() {
    let rest = json!({"status": {"conditions": conditions(&[("Ready", "False", "")])}});
    for (api_version, kind) in [
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("batch/v1", "CronJob"),
        ("policy/v1", "PodDisruptionBudget"),
    ] {
        check(api_version, kind, &[(rest.clone(), Current)]);
    }
}

#[test]
fn unknown_kinds_go_by_the_ready_condition_and_never_fail() {
    check(
        "example.com/v1",
        "Thing",
        &[
            (json!({}), Current),
            (
                json!({"status": {"conditions": conditions(&[("Other", "False", "")])}}),
                Current,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Ready", "True", "")])}}),
                Current,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Ready", "False", "Broken")])}}),
                InProgress,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Ready", "Unknown", "")])}}),
                InProgress,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Ready", "", "")])}}),
                InProgress,
            ),
        ],
    );
    // Kinds are told apart by group.
    let pending = json!({"status": {"phase": "Pending"}});
    check(
        "example.com/v1",
        "PersistentVolumeClaim",
        &[(pending.clone(), Current)],
    );
    check("v1", "PersistentVolumeClaim", &[(pending, InProgress)]);
}

#[test]
fn services_wait_for_a_cluster_ip_only_as_load_balancer() {
    check(
        "v1",
        "Service",
        &[
            (json!({}), Current),
            (json!({"spec": {"type": "NodePort"}}), Current),
            (json!({"spec": {"type": "LoadBalancer"}}), InProgress),
            (
                json!({"spec": {"type": "LoadBalancer", "clusterIP": ""}}),
                InProgress,
            ),
            (
                json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}}),
                Current,
            ),
        ],
    );
}

#[test]
fn claims_are_current_when_bound() {
    check(
        "v1",
        "PersistentVolumeClaim",
        &[
            (json!({}), InProgress),
            (json!({"status": {"phase": "Lost"}}), InProgress),
            (json!({"status": {"phase": "Bound"}}), Current),
        ],
    );
}

#[test]
fn pods_go_by_phase() {
    let crashing = json!([{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]);
    check(
        "v1",
        "Pod",
        &[
            (json!({}), InProgress),
            (json!({"status": {"phase": "Succeeded"}}), Current),
            (json!({"status": {"phase": "Failed"}}), Current),
            (json!({"status": {"phase": "Running"}}), InProgress),
            (
                json!({"status": {"phase": "Running", "conditions": conditions(&[("Ready", "True", "")])}}),
                Current,
            ),
            (
                json!({"status": {"phase": "Running", "containerStatuses": crashing}}),
                Failed,
            ),
            (
                json!({"status": {"phase": "Running", "initContainerStatuses": crashing}}),
                Failed,
            ),
            (
                json!({"status": {"phase": "Running", "containerStatuses": crashing, "conditions": conditions(&[("Ready", "True", "")])}}),
                Current,
            ),
            (json!({"status": {"phase": "Pending"}}), InProgress),
            (json!({"status": {"phase": "Odd"}}), Unknown),
        ],
    );
}

#[test]
fn an_unschedulable_pod_fails_after_fifteen_seconds() {
    let status =
        json!({"phase": "Pending", "conditions": conditions(&[("PodScheduled", "False", "Unschedulable")])});
    let pod = object(
        "v1",
        "Pod",
        json!({"metadata": {"creationTimestamp": CREATED}, "status": status}),
    );
    let early = health(&pod, at(14));
    assert_eq!((early.status, early.until), (InProgress, Some(at(15))));
    let late = health(&pod, at(15));
    assert_eq!((late.status, late.until), (Failed, None));
    let other = json!({"phase": "Pending", "conditions": conditions(&[("PodScheduled", "False", "Gated")])});
    let pod = object(
        "v1",
        "Pod",
        json!({"metadata": {"creationTimestamp": CREATED}, "status": other}),
    );
    assert_eq!(health(&pod, at(60)).status, InProgress);
}

#[test]
fn deployments_need_counts_and_conditions() {
    let ready = conditions(&[
        ("Progressing", "True", "NewReplicaSetAvailable"),
        ("Available", "True", ""),
    ]);
    let full = |n: i64| json!({"replicas": n, "updatedReplicas": n, "availableReplicas": n, "readyReplicas": n, "conditions": ready});
    let with = |mut status: Value, field: &str, value: Value| {
        status[field] = value;
        json!({"spec": {"replicas": 2, "progressDeadlineSeconds": 600}, "status": status})
    };
    let cases = [
        (json!({}), InProgress),
        (json!({"spec": {"replicas": 0}, "status": full(0)}), Current),
        (json!({"status": full(1)}), Current),
        (with(full(2), "x", json!(0)), Current),
        (with(full(2), "replicas", json!(1)), InProgress),
        (with(full(2), "updatedReplicas", json!(1)), InProgress),
        (with(full(2), "replicas", json!(3)), InProgress),
        (with(full(2), "availableReplicas", json!(1)), InProgress),
        (with(full(2), "readyReplicas", json!(1)), InProgress),
        (
            with(full(2), "conditions", conditions(&[("Available", "True", "")])),
            InProgress,
        ),
        (
            with(
                full(2),
                "conditions",
                conditions(&[
                    ("Progressing", "True", "ReplicaSetUpdated"),
                    ("Available", "True", ""),
                ]),
            ),
            InProgress,
        ),
        (
            with(
                full(2),
                "conditions",
                conditions(&[("Progressing", "True", "NewReplicaSetAvailable")]),
            ),
            InProgress,
        ),
        (
            with(
                full(2),
                "conditions",
                conditions(&[("Progressing", "False", "ProgressDeadlineExceeded")]),
            ),
            Failed,
        ),
    ];
    check("apps/v1", "Deployment", &cases);
    check("extensions/v1beta1", "Deployment", &cases);
    // Without a deadline the controller does not tell about progress.
    let mut status = full(2);
    status["conditions"] = conditions(&[("Available", "True", "")]);
    for spec in [
        json!({"replicas": 2}),
        json!({"replicas": 2, "progressDeadlineSeconds": 2_147_483_647}),
    ] {
        check(
            "apps/v1",
            "Deployment",
            &[(json!({"spec": spec, "status": status}), Current)],
        );
    }
}

#[test]
fn stateful_sets_know_partitions_and_revisions() {
    let status = |replicas: i64, ready: i64, current: i64, updated: i64| {
        json!({"replicas": replicas, "readyReplicas": ready, "currentReplicas": current, "updatedReplicas": updated,
               "currentRevision": "a", "updateRevision": "a"})
    };
    let partition = |n: i64| json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": n}}});
    let mut rolling = status(1, 1, 1, 0);
    rolling["updateRevision"] = json!("b");
    check(
        "apps/v1",
        "StatefulSet",
        &[
            (json!({}), InProgress),
            (json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}), Current),
            (json!({"status": status(1, 1, 1, 1)}), Current),
            (json!({"status": status(0, 1, 1, 1)}), InProgress),
            (json!({"status": status(1, 0, 1, 1)}), InProgress),
            (json!({"status": status(2, 2, 1, 1)}), InProgress),
            (json!({"status": status(1, 1, 0, 1)}), InProgress),
            (json!({"status": rolling}), InProgress),
            (
                json!({"spec": partition(2), "status": status(3, 3, 2, 0)}),
                InProgress,
            ),
            (
                json!({"spec": partition(2), "status": status(3, 3, 2, 1)}),
                Current,
            ),
            (
                json!({"spec": partition(0), "status": status(3, 3, 0, 3)}),
                Current,
            ),
        ],
    );
}

#[test]
fn daemon_sets_must_have_been_seen_by_their_controller() {
    let status = |wanted: i64, current: i64, updated: i64, available: i64, ready: i64| {
        json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "desiredNumberScheduled": wanted,
            "currentNumberScheduled": current, "updatedNumberScheduled": updated, "numberAvailable": available, "numberReady": ready}})
    };
    check(
        "apps/v1",
        "DaemonSet",
        &[
            (json!({}), InProgress),
            (json!({"metadata": {"generation": 1}}), InProgress),
            (
                json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}),
                InProgress,
            ),
            (status(0, 0, 0, 0, 0), Current),
            (status(2, 2, 2, 2, 2), Current),
            (status(2, 1, 2, 2, 2), InProgress),
            (status(2, 2, 1, 2, 2), InProgress),
            (status(2, 2, 2, 1, 2), InProgress),
            (status(2, 2, 2, 2, 1), InProgress),
        ],
    );
}

#[test]
fn replica_sets_need_all_counts() {
    let status = |labelled: i64, available: i64, ready: i64, replicas: i64| json!({"status": {"fullyLabeledReplicas": labelled, "availableReplicas": available, "readyReplicas": ready, "replicas": replicas}});
    let mut failing = status(1, 1, 1, 1);
    failing["status"]["conditions"] = conditions(&[("ReplicaFailure", "True", "")]);
    check(
        "apps/v1",
        "ReplicaSet",
        &[
            (json!({}), InProgress),
            (status(1, 1, 1, 1), Current),
            (status(0, 1, 1, 1), InProgress),
            (status(1, 0, 1, 1), InProgress),
            (status(1, 1, 0, 1), InProgress),
            (status(1, 1, 1, 2), InProgress),
            (failing, InProgress),
        ],
    );
}

#[test]
fn a_running_job_is_not_current() {
    check(
        "batch/v1",
        "Job",
        &[
            (json!({}), InProgress),
            (json!({"status": {"startTime": CREATED, "active": 1}}), InProgress),
            (json!({"spec": {"suspend": true}}), Current),
            (json!({"spec": {"suspend": false}}), InProgress),
            (
                json!({"status": {"conditions": conditions(&[("SuccessCriteriaMet", "True", ""), ("Complete", "True", "")])}}),
                Current,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Failed", "True", "BackoffLimitExceeded")])}}),
                Failed,
            ),
            (
                json!({"status": {"conditions": conditions(&[("Failed", "False", "")])}}),
                InProgress,
            ),
        ],
    );
}

#[test]
fn definitions_are_current_when_established() {
    let with = |list: &[(&str, &str, &str)]| json!({"status": {"conditions": conditions(list)}});
    check(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &[
            (json!({}), InProgress),
            (
                with(&[("NamesAccepted", "True", ""), ("Established", "True", "")]),
                Current,
            ),
            (
                with(&[
                    ("NamesAccepted", "False", "Conflict"),
                    ("Established", "True", ""),
                ]),
                Failed,
            ),
            (
                with(&[
                    ("NamesAccepted", "True", ""),
                    ("Established", "False", "Installing"),
                ]),
                InProgress,
            ),
            (with(&[("Established", "False", "NotAccepted")]), Failed),
        ],
    );
}

#[test]
fn objects_of_any_shape_are_answered() {
    for value in [
        json!(null),
        json!(1),
        json!([]),
        json!({"metadata": 1, "status": "x", "kind": 3}),
    ] {
        assert!(matches!(judge(&value).status, Current | Unknown), "{value}");
    }
    assert_eq!(Health::not_found().status, NotFound);
    assert_eq!(Terminating.to_string(), "Terminating");
}
