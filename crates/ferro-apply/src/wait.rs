//! Waiting until objects are ready, on watches (`spec/kustomize-and-notification.md` G.1).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ferro_kstatus::{Health, HealthExprs, Status};
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams, TypeMeta};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::inventory::Entry;
use crate::live::Known;
use crate::object::ObjectId;

/// How often the pods of a workload that makes no progress are looked at.
const POD_CHECK: Duration = Duration::from_secs(5);

/// How to wait.
#[derive(Clone)]
pub struct WaitOptions {
    /// For how long.
    pub timeout: Duration,
    /// Whether one object that has failed ends the wait.
    pub fail_fast: bool,
    /// Readiness of custom kinds.
    pub exprs: Arc<HealthExprs>,
    /// Ends the wait.
    pub cancel: CancellationToken,
    /// Objects that count as ready once they are gone: Jobs that clean up after themselves.
    pub vanishing: Vec<ObjectId>,
}

/// Objects are not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Time is up.
    #[error("timeout waiting for: [{}]", .0.join(", "))]
    Timeout(Vec<String>),
    /// Some have failed, so waiting is of no use.
    #[error("failed early due to stalled resources: [{}]", .0.join(", "))]
    Failed(Vec<String>),
    /// The wait was cut short.
    #[error("the wait was cancelled")]
    Cancelled,
}

/// Readiness of the objects that the index does not hold: each has a watch of its own while the wait lasts.
type Others = watch::Receiver<HashMap<ObjectId, Health>>;

impl Cluster {
    /// Returns when all `entries` are current.
    ///
    /// # Errors
    /// When time is up, an object has failed, or the wait was cancelled.
    pub async fn wait(&self, entries: &[Entry], options: &WaitOptions) -> Result<(), WaitError> {
        let deadline = Instant::now() + options.timeout;
        let mut tasks = JoinSet::new();
        let (others, mut changed_others) = self.watch_others(entries, options, &mut tasks).await;
        let mut changes = self.live.changes();
        let mut failed_pods: HashMap<ObjectId, String> = HashMap::new();
        let mut next_pod_check = Instant::now() + POD_CHECK;
        loop {
            changes.mark_unchanged();
            changed_others.mark_unchanged();
            let states = self.states(entries, &others, &failed_pods, options);
            let verdict = judge(&states, options.fail_fast);
            match verdict {
                Verdict::Ready => return Ok(()),
                Verdict::Failed => {
                    return Err(WaitError::Failed(describe(&states, |status| {
                        status == Status::Failed
                    })));
                }
                Verdict::Waiting => {}
            }
            let wake = states
                .iter()
                .filter_map(|(_, health)| health.as_ref()?.until)
                .min()
                .map(until)
                .unwrap_or(deadline);
            tokio::select! {
                _ = changes.changed() => {}
                _ = changed_others.changed() => {}
                () = tokio::time::sleep_until(wake.min(deadline)) => {}
                () = tokio::time::sleep_until(next_pod_check) => {
                    failed_pods = self.failed_pods(&states).await;
                    next_pod_check = Instant::now() + POD_CHECK;
                }
                () = options.cancel.cancelled() => return Err(WaitError::Cancelled),
            }
            if Instant::now() >= deadline {
                let states = self.states(entries, &others, &failed_pods, options);
                return match judge(&states, false) {
                    Verdict::Ready => Ok(()),
                    _ => Err(WaitError::Timeout(describe(&states, |status| {
                        status != Status::Current
                    }))),
                };
            }
        }
    }

    /// Starts watches on the objects that the index does not hold, and arranges for whole objects where expressions need them.
    async fn watch_others(
        &self,
        entries: &[Entry],
        options: &WaitOptions,
        tasks: &mut JoinSet<()>,
    ) -> (Others, Others) {
        let (report, others) = watch::channel(HashMap::new());
        let report = Arc::new(report);
        for entry in entries {
            let id = &entry.id;
            let expr = options.exprs.cover(&id.group, &id.kind);
            let known = matches!(self.live.get(id), Known::There(_));
            if known && !expr {
                continue;
            }
            let Ok(mapping) = self.map(id, &entry.version).await else {
                continue;
            };
            let api = self.api(&mapping, &id.namespace);
            if known {
                self.live.keep_bodies(&id.group, &id.kind);
                if let Ok(Some(object)) = api.get_opt(&id.name).await {
                    self.live.add_body(id, Arc::new(value_of(&object)));
                }
                continue;
            }
            let types = TypeMeta {
                api_version: mapping.resource.api_version,
                kind: mapping.resource.kind,
            };
            tasks.spawn(watch_one(
                api,
                id.clone(),
                types,
                Arc::clone(&options.exprs),
                Arc::clone(&report),
            ));
        }
        // The receiver must not end when there is nothing to watch.
        tasks.spawn(async move {
            let _kept = report;
            std::future::pending::<()>().await;
        });
        (others.clone(), others)
    }

    fn states<'a>(
        &self,
        entries: &'a [Entry],
        others: &Others,
        failed_pods: &HashMap<ObjectId, String>,
        options: &WaitOptions,
    ) -> Vec<(&'a ObjectId, Option<Health>)> {
        let others = others.borrow();
        let state = |entry: &'a Entry| {
            let id = &entry.id;
            let mut health = others
                .get(id)
                .cloned()
                .or_else(|| self.indexed_health(id, &options.exprs));
            if let (
                Some(Health {
                    status: Status::InProgress,
                    ..
                }),
                Some(pods),
            ) = (&health, failed_pods.get(id))
            {
                health = Some(Health::new(Status::Failed, pods.clone()));
            }
            let absent = health
                .as_ref()
                .is_none_or(|health| health.status == Status::NotFound);
            if absent && options.vanishing.contains(id) {
                health = Some(Health::new(Status::Current, "cleaned up"));
            }
            (id, health)
        };
        entries.iter().map(state).collect()
    }

    fn indexed_health(&self, id: &ObjectId, exprs: &HealthExprs) -> Option<Health> {
        if exprs.cover(&id.group, &id.kind) {
            return self.live.body(id).and_then(|body| exprs.health(&body));
        }
        self.live.health(id)
    }

    /// Workloads in progress of which some pods have failed for good.
    async fn failed_pods(&self, states: &[(&ObjectId, Option<Health>)]) -> HashMap<ObjectId, String> {
        let mut failed = HashMap::new();
        for (id, health) in states {
            let stuck = health
                .as_ref()
                .is_some_and(|health| health.status == Status::InProgress);
            if !stuck || id.group != "apps" || !matches!(id.kind.as_str(), "StatefulSet" | "ReplicaSet") {
                continue;
            }
            let Ok(mapping) = self.map(id, "v1").await else {
                continue;
            };
            let Ok(Some(workload)) = self.api(&mapping, &id.namespace).get_opt(&id.name).await else {
                continue;
            };
            let Some(selector) = label_selector(&workload.data) else {
                continue;
            };
            let count = count_failed_pods(self.client.clone(), &id.namespace, &selector).await;
            if count > 0 {
                failed.insert((*id).clone(), format!("{count} pods have failed"));
            }
        }
        failed
    }
}

async fn count_failed_pods(client: Client, namespace: &str, selector: &str) -> usize {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, namespace);
    let Ok(pods) = pods.list(&ListParams::default().labels(selector)).await else {
        return 0;
    };
    let failed = |pod: &&k8s_openapi::api::core::v1::Pod| {
        let Ok(mut value) = serde_json::to_value(pod) else {
            return false;
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("apiVersion".to_owned(), "v1".into());
            fields.insert("kind".to_owned(), "Pod".into());
        }
        // What cannot be scheduled now may be later.
        let unschedulable = value
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .is_some_and(|conditions| conditions.iter().any(|c| c["reason"] == "Unschedulable"));
        pod.metadata.deletion_timestamp.is_none()
            && !unschedulable
            && ferro_kstatus::health(&value, Timestamp::now()).status == Status::Failed
    };
    pods.items.iter().filter(failed).count()
}

/// The `matchLabels` of a workload as a selector.
fn label_selector(workload: &Value) -> Option<String> {
    let labels = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// Follows one object and reports its readiness.
async fn watch_one(
    api: Api<DynamicObject>,
    id: ObjectId,
    types: TypeMeta,
    exprs: Arc<HealthExprs>,
    report: Arc<watch::Sender<HashMap<ObjectId, Health>>>,
) {
    let mut objects = Box::pin(kube::runtime::watcher::watch_object(api, &id.name));
    while let Some(object) = objects.next().await {
        let health = match object {
            Ok(Some(mut object)) => {
                // The items of a list do not say what they are.
                object.types.get_or_insert_with(|| types.clone());
                let value = value_of(&object);
                exprs
                    .health(&value)
                    .unwrap_or_else(|| ferro_kstatus::health(&value, Timestamp::now()))
            }
            Ok(None) => Health::not_found(),
            Err(error) => {
                report.send_modify(|others| {
                    others.insert(id.clone(), Health::new(Status::Unknown, error.to_string()));
                });
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        report.send_modify(|others| {
            others.insert(id.clone(), health);
        });
    }
}

fn value_of(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn until(time: Timestamp) -> Instant {
    let left = time.duration_since(Timestamp::now());
    Instant::now()
        + Duration::try_from(left)
            .unwrap_or_default()
            .max(Duration::from_millis(50))
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Ready,
    Failed,
    Waiting,
}

/// Any object that failed decides if `fail_fast`, or if no other is under way.
fn judge(states: &[(&ObjectId, Option<Health>)], fail_fast: bool) -> Verdict {
    let status = |state: &(&ObjectId, Option<Health>)| state.1.as_ref().map(|health| health.status);
    if states.iter().all(|state| status(state) == Some(Status::Current)) {
        return Verdict::Ready;
    }
    let failed = states.iter().any(|state| status(state) == Some(Status::Failed));
    let settled = states
        .iter()
        .all(|state| matches!(status(state), Some(Status::Failed | Status::Current)));
    if failed && (fail_fast || settled) {
        Verdict::Failed
    } else {
        Verdict::Waiting
    }
}

fn describe(states: &[(&ObjectId, Option<Health>)], wanted: impl Fn(Status) -> bool) -> Vec<String> {
    let describe = |(id, health): &(&ObjectId, Option<Health>)| match health {
        None => Some(format!("can't determine status for {id}")),
        Some(health) if !wanted(health.status) => None,
        Some(Health {
            status: Status::Unknown,
            message,
            ..
        }) => Some(format!("{id} status: 'Unknown': {message}")),
        Some(health) => Some(format!("{id} status: '{}'", health.status)),
    };
    states.iter().filter_map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ObjectId {
        ObjectId {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "n".into(),
            name: name.into(),
        }
    }

    fn state(status: Status) -> Option<Health> {
        Some(Health::new(status, ""))
    }

    #[test]
    fn judge_fails_fast_or_when_nothing_moves() {
        let (a, b) = (id("a"), id("b"));
        assert_eq!(
            judge(
                &[(&a, state(Status::Current)), (&b, state(Status::Current))],
                true
            ),
            Verdict::Ready
        );
        assert_eq!(
            judge(
                &[(&a, state(Status::Failed)), (&b, state(Status::InProgress))],
                true
            ),
            Verdict::Failed
        );
        assert_eq!(
            judge(
                &[(&a, state(Status::Failed)), (&b, state(Status::InProgress))],
                false
            ),
            Verdict::Waiting
        );
        assert_eq!(
            judge(
                &[(&a, state(Status::Failed)), (&b, state(Status::Current))],
                false
            ),
            Verdict::Failed
        );
        assert_eq!(judge(&[(&a, None)], true), Verdict::Waiting);
        assert_eq!(judge(&[], true), Verdict::Ready);
    }

    #[test]
    fn errors_read_as_upstreams_do() {
        let (a, b) = (id("a"), id("b"));
        let states = [(&a, state(Status::InProgress)), (&b, None)];
        let error = WaitError::Timeout(describe(&states, |status| status != Status::Current));
        assert_eq!(
            error.to_string(),
            "timeout waiting for: [Deployment/n/a status: 'InProgress', can't determine status for Deployment/n/b]"
        );
    }

    #[test]
    fn label_selector_joins_match_labels() {
        let workload =
            serde_json::json!({ "spec": { "selector": { "matchLabels": { "a": "1", "b": "2" } } } });
        assert_eq!(label_selector(&workload).unwrap(), "a=1,b=2");
        assert_eq!(label_selector(&serde_json::json!({})), None);
    }
}
