//! Waiting until objects are ready, on watches (`spec/kustomize-and-notification.md` G.1).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ferro_kstatus::{Health, HealthExprs, Status};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::inventory::Entry;
use crate::live::{Bodies, Known};
use crate::object::ObjectId;

mod others;

use self::others::{Others, Report};

/// How often the pods of a workload that makes no progress are looked at.
const POD_CHECK: Duration = Duration::from_secs(5);
/// How long to pause before objects are judged anew that could not be read.
const RETRY: Duration = Duration::from_secs(1);
/// Objects read at once.
const READS: usize = 8;

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

/// An object waited for, and how ready it is if that is known.
type Standing<'a> = (&'a ObjectId, Option<Health>);

/// What a wait knows besides the index.
struct Progress<'a> {
    entries: &'a [Entry],
    options: &'a WaitOptions,
    /// The objects that the index holds, and tells of when they change.
    indexed: HashSet<&'a ObjectId>,
    others: watch::Receiver<Others>,
    /// Keep whole objects of the kinds that expressions judge.
    bodies: Vec<Bodies>,
    failed_pods: HashMap<ObjectId, String>,
    /// Answers that ceased to hold with time, and those that replace them.
    renewed: HashMap<ObjectId, (Health, Health)>,
}

impl Cluster {
    /// Returns when all `entries` are current.
    ///
    /// # Errors
    /// When time is up, an object has failed, or the wait was cancelled.
    pub async fn wait(&self, entries: &[Entry], options: &WaitOptions) -> Result<(), WaitError> {
        let deadline = Instant::now() + options.timeout;
        let wait = self.wait_until(entries, options, deadline);
        tokio::select! {
            () = options.cancel.cancelled() => Err(WaitError::Cancelled),
            outcome = wait => outcome,
        }
    }

    async fn wait_until(
        &self,
        entries: &[Entry],
        options: &WaitOptions,
        deadline: Instant,
    ) -> Result<(), WaitError> {
        let subscription = self.live.subscribe(entries.iter().map(|entry| &entry.id));
        let mut tasks = JoinSet::new();
        let (report, others) = watch::channel(Others::new());
        let mut changed_others = others.clone();
        let report: Report = Arc::new(report);
        let (indexed, unknown) = self.divide(entries);
        others::follow(self, unknown, &options.exprs, &report, &mut tasks);
        let mut progress = Progress {
            entries,
            options,
            indexed,
            others,
            bodies: Vec::new(),
            failed_pods: HashMap::new(),
            renewed: HashMap::new(),
        };
        self.keep_bodies(&mut progress).await;
        let mut next_pod_check = Instant::now() + POD_CHECK;
        let mut next_renewal = Instant::now();
        loop {
            changed_others.mark_unchanged();
            let states = self.states(&progress);
            match judge(&states, options.fail_fast) {
                Verdict::Ready => return Ok(()),
                Verdict::Failed => {
                    return Err(WaitError::Failed(describe(&states, |status| {
                        status == Status::Failed
                    })));
                }
                Verdict::Waiting if Instant::now() >= deadline => {
                    return Err(WaitError::Timeout(describe(&states, |status| {
                        status != Status::Current
                    })));
                }
                Verdict::Waiting => {}
            }
            let renewal = states
                .iter()
                .filter_map(|(_, health)| health.as_ref()?.until)
                .min()
                .map_or(deadline, |time| until(time).max(next_renewal));
            let stuck = states.iter().any(is_stuck_workload);
            tokio::select! {
                () = subscription.changed() => {
                    let blind = self.blind(&mut progress);
                    others::follow(self, blind, &options.exprs, &report, &mut tasks);
                }
                _ = changed_others.changed() => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = tokio::time::sleep_until(renewal), if renewal < deadline => {
                    let renewed = tokio::time::timeout_at(deadline, self.renew(&progress)).await;
                    progress.renewed.extend(renewed.unwrap_or_default());
                    // What could not be read is not asked for in a hurry.
                    next_renewal = Instant::now() + RETRY;
                }
                () = tokio::time::sleep_until(next_pod_check), if stuck => {
                    let failed = tokio::time::timeout_at(deadline, self.failed_pods(&states)).await;
                    progress.failed_pods = failed.unwrap_or_default();
                    next_pod_check = Instant::now() + POD_CHECK;
                }
            }
        }
    }

    /// Those that the index holds, and the others.
    fn divide<'a>(&self, entries: &'a [Entry]) -> (HashSet<&'a ObjectId>, Vec<&'a Entry>) {
        let (mut indexed, mut unknown) = (HashSet::new(), Vec::new());
        for entry in entries {
            if matches!(self.live.get(&entry.id, &entry.version), Known::There(_)) {
                indexed.insert(&entry.id);
            } else {
                unknown.push(entry);
            }
        }
        (indexed, unknown)
    }

    /// Takes out those of which the index no longer learns, because the watch of their kind does not work.
    fn blind<'a>(&self, progress: &mut Progress<'a>) -> Vec<&'a Entry> {
        let mut blind = Vec::new();
        for entry in progress.entries {
            let unknown = matches!(self.live.get(&entry.id, &entry.version), Known::Unknown);
            if unknown && progress.indexed.remove(&entry.id) {
                blind.push(entry);
            }
        }
        blind
    }

    /// Arranges for whole objects where expressions need them.
    async fn keep_bodies(&self, progress: &mut Progress<'_>) {
        let (mut kinds, mut bare) = (BTreeSet::new(), Vec::new());
        for entry in progress.entries {
            let id = &entry.id;
            if !progress.indexed.contains(id) || !progress.options.exprs.cover(&id.group, &id.kind) {
                continue;
            }
            if kinds.insert((&id.group, &id.kind)) {
                progress.bodies.push(self.live.keep_bodies(&id.group, &id.kind));
            }
            if self.live.body(id).is_none() {
                bare.push(entry);
            }
        }
        let add_body = |entry: Entry| async move {
            let mapping = self.map(&entry.id, &entry.version).await.ok()?;
            let api = self.api(&mapping, &entry.id.namespace);
            let object = api.get_opt(&entry.id.name).await.ok()??;
            self.live.add_body(&entry.id, value_of(&object));
            Some(())
        };
        stream::iter(bare.into_iter().cloned())
            .for_each_concurrent(READS, |entry| async move {
                // What cannot be read now comes with the watch.
                let _read = add_body(entry).await;
            })
            .await;
    }

    fn states<'a>(&self, progress: &Progress<'a>) -> Vec<Standing<'a>> {
        let others = progress.others.borrow();
        let state = |entry: &'a Entry| {
            let id = &entry.id;
            let indexed = || self.indexed_health(id, progress);
            let mut health = others.get(id).cloned().or_else(indexed);
            if let Some((old, new)) = progress.renewed.get(id)
                && health.as_ref() == Some(old)
            {
                health = Some(new.clone());
            }
            if let Some(pods) = progress.failed_pods.get(id)
                && health
                    .as_ref()
                    .is_some_and(|health| health.status == Status::InProgress)
            {
                health = Some(Health::new(Status::Failed, pods.clone()));
            }
            let absent = health
                .as_ref()
                .is_some_and(|health| health.status == Status::NotFound);
            if absent && progress.options.vanishing.contains(id) {
                health = Some(Health::new(Status::Current, "cleaned up"));
            }
            (id, health)
        };
        progress.entries.iter().map(state).collect()
    }

    fn indexed_health(&self, id: &ObjectId, progress: &Progress<'_>) -> Option<Health> {
        if !progress.indexed.contains(id) {
            return None;
        }
        let Some(health) = self.live.health(id) else {
            return Some(Health::not_found());
        };
        let exprs = &progress.options.exprs;
        if exprs.cover(&id.group, &id.kind) {
            return self.live.body(id).and_then(|body| exprs.health(&body));
        }
        Some(health)
    }

    /// Judges anew the objects whose readiness has changed with time alone.
    async fn renew(&self, progress: &Progress<'_>) -> HashMap<ObjectId, (Health, Health)> {
        let mut renewed = HashMap::new();
        let now = Timestamp::now();
        for (entry, (id, health)) in progress.entries.iter().zip(self.states(progress)) {
            let Some(health) = health.filter(|health| health.until.is_some_and(|until| until <= now)) else {
                continue;
            };
            let Ok(mapping) = self.map(id, &entry.version).await else {
                continue;
            };
            let new = match self.api(&mapping, &id.namespace).get_opt(&id.name).await {
                Ok(Some(object)) => ferro_kstatus::health(&value_of(&object), Timestamp::now()),
                Ok(None) => Health::not_found(),
                Err(_) => continue,
            };
            renewed.insert(id.clone(), (health, new));
        }
        renewed
    }

    /// Workloads in progress of which some pods have failed for good.
    async fn failed_pods(&self, states: &[Standing<'_>]) -> HashMap<ObjectId, String> {
        let mut failed = HashMap::new();
        for (id, _) in states.iter().filter(|state| is_stuck_workload(state)) {
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

/// Workloads whose own status does not tell that their pods fail.
fn is_stuck_workload((id, health): &Standing<'_>) -> bool {
    matches!(
        (id.group.as_str(), id.kind.as_str()),
        ("apps", "StatefulSet" | "ReplicaSet")
    ) && health
        .as_ref()
        .is_some_and(|health| health.status == Status::InProgress)
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
fn judge(states: &[Standing<'_>], fail_fast: bool) -> Verdict {
    let status = |state: &Standing<'_>| state.1.as_ref().map(|health| health.status);
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

fn describe(states: &[Standing<'_>], wanted: impl Fn(Status) -> bool) -> Vec<String> {
    let describe = |(id, health): &Standing<'_>| match health {
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
