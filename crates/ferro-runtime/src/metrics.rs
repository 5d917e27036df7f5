//! Metrics under the names that upstream's dashboards and alerts use (`spec/sources-and-images.md` section 21,
//! `spec/kustomize-and-notification.md` I.5); what upstream does not have carries the prefix `ferroflux_`.

use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets, exponential_buckets_range};
use prometheus_client::registry::{Registry, Unit};

/// Labels of what is measured for each object.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ObjectLabels {
    /// Kind, as in `Kustomization`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object.
    pub namespace: String,
}

/// Label of what is measured for each controller; its value is the kind in lower case.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ControllerLabel {
    /// Kind in lower case, as in `kustomization`.
    pub controller: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    controller: String,
    result: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    controller: String,
    name: String,
}

impl QueueLabels {
    /// Queues are called after their controllers.
    fn of(controller: &str) -> Self {
        Self {
            controller: controller.to_owned(),
            name: controller.to_owned(),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    code: String,
    host: String,
    method: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TokenLabels {
    event_type: String,
    kind: String,
    name: String,
    namespace: String,
    operation: String,
}

impl TokenLabels {
    /// Tokens are asked for by passes only.
    fn of(object: &ObjectLabels, is_hit: bool) -> Self {
        let event_type = if is_hit { "cache_hit" } else { "cache_miss" };
        Self {
            event_type: event_type.to_owned(),
            kind: object.kind.clone(),
            name: object.name.clone(),
            namespace: object.namespace.clone(),
            operation: "reconcile".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabel {
    status: String,
}

/// Metrics of a cache that not every process has: without labels, and absent until the first value.
type Unlabelled<M> = Family<Vec<(String, String)>, M>;

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of a process. Cheap to clone; all clones write to the same series.
#[derive(Clone)]
pub struct Metrics {
    reconcile_duration: Histograms<ObjectLabels>,
    results: Family<ResultLabels, Counter>,
    errors: Family<ControllerLabel, Counter>,
    panics: Family<ControllerLabel, Counter>,
    controller_time: Histograms<ControllerLabel>,
    active: Family<ControllerLabel, Gauge>,
    workers: Family<ControllerLabel, Gauge>,
    queue_depth: Family<QueueLabels, Gauge>,
    queue_adds: Family<QueueLabels, Counter>,
    queue_retries: Family<QueueLabels, Counter>,
    queue_waited: Histograms<QueueLabels>,
    queue_worked: Histograms<QueueLabels>,
    requests: Family<RequestLabels, Counter>,
    leader: Family<NameLabel, Gauge>,
    drift_repairs: Family<ObjectLabels, Counter>,
    drift_contended: Family<ObjectLabels, Counter>,
    token_events: Family<TokenLabels, Counter>,
    token_requests: Family<StatusLabel, Counter>,
    token_evictions: Unlabelled<Counter>,
    tokens: Unlabelled<Gauge>,
}

/// The buckets of the reference's queues.
fn queue_times() -> Histogram {
    Histogram::new(exponential_buckets(1e-8, 10.0, 12))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reconcile_duration: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets_range(0.01, 1800.0, 10))
            }),
            results: Family::default(),
            errors: Family::default(),
            panics: Family::default(),
            controller_time: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets_range(0.005, 60.0, 12))
            }),
            active: Family::default(),
            workers: Family::default(),
            queue_depth: Family::default(),
            queue_adds: Family::default(),
            queue_retries: Family::default(),
            queue_waited: Family::new_with_constructor(queue_times),
            queue_worked: Family::new_with_constructor(queue_times),
            requests: Family::default(),
            leader: Family::default(),
            drift_repairs: Family::default(),
            drift_contended: Family::default(),
            token_events: Family::default(),
            token_requests: Family::default(),
            token_evictions: Family::default(),
            tokens: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds every series to `registry`, and those of the process itself.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "gotk_reconcile_duration",
            "Duration of a reconcile of an object",
            Unit::Seconds,
            self.reconcile_duration.clone(),
        );
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by result",
            self.results.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Reconciles that failed",
            self.errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_panics",
            "Reconciles that panicked",
            self.panics.clone(),
        );
        registry.register_with_unit(
            "controller_runtime_reconcile_time",
            "Duration of reconciles by controller",
            Unit::Seconds,
            self.controller_time.clone(),
        );
        registry.register(
            "controller_runtime_active_workers",
            "Reconciles that run now",
            self.active.clone(),
        );
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "Reconciles that may run at once",
            self.workers.clone(),
        );
        self.register_queues(registry);
        registry.register(
            "rest_client_requests",
            "Requests to the API server",
            self.requests.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "1 while this process holds the lease",
            self.leader.clone(),
        );
        registry.register(
            "ferroflux_drift_repairs",
            "Repairs of managed objects that drifted",
            self.drift_repairs.clone(),
        );
        registry.register(
            "ferroflux_drift_contended",
            "Repairs put off because another writer keeps changing the object",
            self.drift_contended.clone(),
        );
        self.register_tokens(registry);
        registry.register_collector(Box::new(ProcessCollector));
    }

    fn register_tokens(&self, registry: &mut Registry) {
        registry.register(
            "gotk_token_cache_events",
            "Look-ups in the cache of tokens by object and result",
            self.token_events.clone(),
        );
        registry.register(
            "gotk_token_cache_requests",
            "Tokens that were given or could not be got",
            self.token_requests.clone(),
        );
        registry.register(
            "gotk_token_cache_evictions",
            "Tokens that had to make room in the cache",
            self.token_evictions.clone(),
        );
        registry.register(
            "gotk_token_cached_items",
            "Tokens in the cache",
            self.tokens.clone(),
        );
    }

    fn register_queues(&self, registry: &mut Registry) {
        registry.register(
            "workqueue_depth",
            "Objects that wait for a reconcile",
            self.queue_depth.clone(),
        );
        registry.register(
            "workqueue_adds",
            "Objects that were queued for a reconcile",
            self.queue_adds.clone(),
        );
        registry.register(
            "workqueue_retries",
            "Objects that were queued again after a failure",
            self.queue_retries.clone(),
        );
        registry.register_with_unit(
            "workqueue_queue_duration",
            "Time that objects waited in the queue",
            Unit::Seconds,
            self.queue_waited.clone(),
        );
        registry.register_with_unit(
            "workqueue_work_duration",
            "Time that the reconcile of an object from the queue took",
            Unit::Seconds,
            self.queue_worked.clone(),
        );
    }

    /// Notes that a reconcile of `object` by `controller` begins.
    pub fn reconcile_started(&self, controller: &str) {
        self.active
            .get_or_create(&ControllerLabel {
                controller: controller.to_owned(),
            })
            .inc();
    }

    /// Notes the end of a reconcile: `result` is `success`, `error`, `requeue` or `requeue_after`.
    pub fn reconcile_finished(&self, controller: &str, object: &ObjectLabels, result: &str, took: Duration) {
        let label = ControllerLabel {
            controller: controller.to_owned(),
        };
        self.active.get_or_create(&label).dec();
        self.queue_worked
            .get_or_create(&QueueLabels::of(controller))
            .observe(took.as_secs_f64());
        self.controller_time
            .get_or_create(&label)
            .observe(took.as_secs_f64());
        self.reconcile_duration
            .get_or_create(object)
            .observe(took.as_secs_f64());
        if result == "error" {
            self.errors.get_or_create(&label).inc();
        }
        self.results
            .get_or_create(&ResultLabels {
                controller: controller.to_owned(),
                result: result.to_owned(),
            })
            .inc();
    }

    /// Notes a reconcile that panicked.
    pub fn panicked(&self, controller: &str) {
        self.panics
            .get_or_create(&ControllerLabel {
                controller: controller.to_owned(),
            })
            .inc();
    }

    /// Notes how many reconciles `controller` runs at once.
    pub fn concurrency(&self, controller: &str, workers: u16) {
        self.workers
            .get_or_create(&ControllerLabel {
                controller: controller.to_owned(),
            })
            .set(i64::from(workers));
    }

    /// The number of objects that wait in the queue of `controller`.
    #[must_use]
    pub(crate) fn queue_depth(&self, controller: &str) -> Gauge {
        self.queue_depth.get_or_create_owned(&QueueLabels::of(controller))
    }

    /// Notes an object that left the queue of `controller`, in which it was for so long.
    pub(crate) fn dequeued(&self, controller: &str, waited: Duration) {
        let labels = QueueLabels::of(controller);
        self.queue_adds.get_or_create(&labels).inc();
        self.queue_waited
            .get_or_create(&labels)
            .observe(waited.as_secs_f64());
    }

    /// Notes an object that `controller` tries again after a failure.
    pub(crate) fn retried(&self, controller: &str) {
        self.queue_retries
            .get_or_create(&QueueLabels::of(controller))
            .inc();
    }

    /// Notes an answered request to the API server; `code` is the status, or `<error>`.
    pub fn request(&self, host: &str, method: &str, code: &str) {
        let labels = RequestLabels {
            code: code.to_owned(),
            host: host.to_owned(),
            method: method.to_owned(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Notes whether this process holds the lease `name`.
    pub fn leading(&self, name: &str, holds: bool) {
        self.leader
            .get_or_create(&NameLabel {
                name: name.to_owned(),
            })
            .set(i64::from(holds));
    }

    /// Counts repaired objects that belong to `owner`.
    pub fn drift_repaired(&self, owner: &ObjectLabels, objects: u64) {
        self.drift_repairs.get_or_create(owner).inc_by(objects);
    }

    /// Counts a repair put off because another writer contends for an object of `owner`.
    pub fn drift_contended(&self, owner: &ObjectLabels) {
        self.drift_contended.get_or_create(owner).inc();
    }

    /// Notes that a pass over `object` looked for a token in the cache.
    pub fn token_looked_up(&self, object: &ObjectLabels, is_hit: bool) {
        self.token_events
            .get_or_create(&TokenLabels::of(object, is_hit))
            .inc();
    }

    /// Notes that a token was given, or could not be got.
    pub fn token_answered(&self, has_token: bool) {
        let status = if has_token { "success" } else { "failure" };
        let status = status.to_owned();
        self.token_requests.get_or_create(&StatusLabel { status }).inc();
    }

    /// Notes that a token had to make room in the cache.
    pub fn token_evicted(&self) {
        self.token_evictions.get_or_create(&Vec::new()).inc();
    }

    /// Notes that so many tokens more are kept, or fewer. The caches of a process are counted together.
    pub fn tokens_changed(&self, by: i64) {
        self.tokens.get_or_create(&Vec::new()).inc_by(by);
    }

    /// Drops the series of an object that is gone.
    pub fn forget(&self, object: &ObjectLabels) {
        self.reconcile_duration.remove(object);
        self.drift_repairs.remove(object);
        self.drift_contended.remove(object);
        for is_hit in [true, false] {
            self.token_events.remove(&TokenLabels::of(object, is_hit));
        }
    }
}

/// `process_*` as the Prometheus client libraries export them, read from /proc when scraped.
#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(usage) = ProcessUsage::read() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(usage.cpu_seconds);
        cpu.encode(encoder.encode_descriptor(
            "process_cpu_seconds",
            "CPU time used",
            None,
            prometheus_client::metrics::MetricType::Counter,
        )?)?;
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Resident memory",
                usage.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory",
                usage.virtual_bytes,
            ),
            ("process_open_fds", "Open file descriptors", usage.open_files),
        ] {
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}

struct ProcessUsage {
    cpu_seconds: f64,
    resident_bytes: i64,
    virtual_bytes: i64,
    open_files: i64,
}

impl ProcessUsage {
    /// Reads /proc/self; none where there is no such thing. Linux counts CPU time in 1/100 s and memory in 4 KiB pages
    /// on every platform that the images are built for.
    fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
        let ticks = number(11)? + number(12)?;
        Some(Self {
            cpu_seconds: f64::from(i32::try_from(ticks).unwrap_or(i32::MAX)) / 100.0,
            virtual_bytes: number(20)?,
            resident_bytes: number(21)? * 4096,
            open_files: std::fs::read_dir("/proc/self/fd").ok()?.count().try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_until_their_object_is_gone() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let values = text.lines().filter(|line| line.starts_with("gotk_token"));
            values.map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(text().is_empty());
        let object = ObjectLabels {
            kind: "Bucket".into(),
            name: "b".into(),
            namespace: "n".into(),
        };
        metrics.token_looked_up(&object, false);
        metrics.token_looked_up(&object, true);
        metrics.token_answered(true);
        metrics.token_answered(false);
        metrics.token_evicted();
        metrics.tokens_changed(9);
        metrics.tokens_changed(-2);
        let labels = r#"kind="Bucket",name="b",namespace="n",operation="reconcile""#;
        let found = text();
        for expected in [
            format!(r#"gotk_token_cache_events_total{{event_type="cache_hit",{labels}}} 1"#),
            format!(r#"gotk_token_cache_events_total{{event_type="cache_miss",{labels}}} 1"#),
            r#"gotk_token_cache_requests_total{status="success"} 1"#.to_owned(),
            r#"gotk_token_cache_requests_total{status="failure"} 1"#.to_owned(),
            "gotk_token_cache_evictions_total{} 1".to_owned(),
            "gotk_token_cached_items{} 7".to_owned(),
        ] {
            assert!(found.contains(&expected), "{expected} not in {found:#?}");
        }
        metrics.forget(&object);
        assert!(
            !text()
                .iter()
                .any(|line| line.starts_with("gotk_token_cache_events"))
        );
    }

    #[test]
    fn metrics_have_the_names_that_dashboards_use() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        let object = ObjectLabels {
            kind: "Kustomization".into(),
            name: "apps".into(),
            namespace: "default".into(),
        };
        metrics.reconcile_started("kustomization");
        metrics.reconcile_finished("kustomization", &object, "error", Duration::from_millis(20));
        metrics.queue_depth("kustomization").set(3);
        metrics.dequeued("kustomization", Duration::from_secs(1));
        metrics.retried("kustomization");
        metrics.request("h", "GET", "200");
        metrics.leading("kustomize-controller-leader-election", true);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for expected in [
            r#"gotk_reconcile_duration_seconds_count{kind="Kustomization",name="apps",namespace="default"} 1"#,
            r#"controller_runtime_reconcile_total{controller="kustomization",result="error"} 1"#,
            r#"controller_runtime_reconcile_errors_total{controller="kustomization"} 1"#,
            r#"controller_runtime_active_workers{controller="kustomization"} 0"#,
            r#"workqueue_depth{controller="kustomization",name="kustomization"} 3"#,
            r#"workqueue_adds_total{controller="kustomization",name="kustomization"} 1"#,
            r#"workqueue_retries_total{controller="kustomization",name="kustomization"} 1"#,
            r#"workqueue_queue_duration_seconds_sum{controller="kustomization",name="kustomization"} 1"#,
            r#"workqueue_work_duration_seconds_count{controller="kustomization",name="kustomization"} 1"#,
            r#"rest_client_requests_total{code="200",host="h",method="GET"} 1"#,
            r#"leader_election_master_status{name="kustomize-controller-leader-election"} 1"#,
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
        ] {
            assert!(text.contains(expected), "{expected} is missing in:\n{text}");
        }
        metrics.forget(&object);
        text.clear();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(!text.contains(r#"name="apps""#));
    }
}
