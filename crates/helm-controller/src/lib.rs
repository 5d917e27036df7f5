//! helm-controller: installs, upgrades, tests, rolls back and uninstalls what HelmReleases describe, without Helm.
//!
//! One pass over a HelmRelease is in `reconciler`, up to the point where chart and values are known; `atomic` then brings the release to
//! where it should be: `state` determines where it stands and decides, `action` does it. What is kept of a release are Helm's own
//! records (`storage`), so that the `helm` program and upstream's controller can take over at any time, and the other way round.
//! The behaviour is that of Flux 2.9 (`spec/helm.md` parts A to D and F).
//!
//! Beyond upstream: waits ride on watches; those that wait for a dependency are told when it is ready; a chart is parsed once for all its
//! releases; only the record that is needed is decoded.

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        clippy::redundant_clone,
        reason = "tests pass JSON around"
    )
)]

mod action;
pub mod args;
mod atomic;
mod chart;
mod conditions;
mod dependency;
mod drift;
mod files;
mod helmchart;
mod notice;
mod oom;
mod others;
mod prepare;
mod reconciler;
mod records;
mod repairs;
#[cfg(test)]
mod scenario;
mod site;
mod snapshot;
mod state;
mod storage;
mod strategy;
mod watches;
mod windows;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_api::helm::HelmRelease;
use ferro_api::{FluxObject as _, controller, label};
use ferro_apply::targets::{TargetOptions, Targets};
use ferro_apply::{Cluster, Drift, LiveIndex, Mapper, Ownership};
use ferro_release::{capabilities, objects, postrender, release, source, values};
use ferro_runtime::client::kubeconfig::Trust;
use ferro_runtime::configs::Configs;
use ferro_runtime::controller::{Controller, Options};
use ferro_runtime::events::Recorder;
use ferro_runtime::flags::{FeatureGates, PaceFlags};
use ferro_runtime::metrics::Metrics;
use ferro_runtime::process::{Fatal, Process};
use ferro_runtime::sources::Sources;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::args::{FEATURE_GATES, Settings, gate};
use crate::chart::Charts;
use crate::files::Artifacts;
use crate::reconciler::{HelmReconciler, Memory};
use crate::repairs::Repairs;
use crate::site::Discoveries;
use crate::watches::{refers_to, source_changed};

/// Runs the controller until the process stops; it acts only while it holds its lease.
///
/// # Errors
/// When a flag cannot be honoured.
pub async fn run(process: Process, settings: Settings, pace: PaceFlags) -> Result<(), Fatal> {
    let gates = FeatureGates::parse(&FEATURE_GATES, &process.flags.feature_gates)?;
    settings.validate(&gates)?;
    let namespace = process.flags.watch_namespace()?;
    process.set_grace(settings.helm.graceful_shutdown_timeout);
    let memory = memory_watch(&gates, &settings)?;
    let charts = Charts::of(&settings)?;
    let Some(leadership) = process.lead(controller::HELM).await else {
        return Ok(());
    };

    let mut tasks = JoinSet::new();
    if let Some(watch) = memory {
        tasks.spawn(watch.run(process.stop.clone()));
    }
    let (recorder, senders) = Recorder::start(
        process.client.clone(),
        controller::HELM,
        &process.flags.events_addr,
        &process.stop,
    )?;
    let releases = Controller::<HelmRelease>::default();
    let (store, triggers) = (releases.store.clone(), releases.triggers.clone());
    let (drifted, drifts) = mpsc::unbounded_channel();
    let live = LiveIndex::reporting_to(
        process.client.clone(),
        ownership(&settings),
        namespace.clone(),
        drifted.clone(),
    );
    let cluster = Cluster {
        client: process.client.clone(),
        mapper: Arc::new(Mapper::new(process.client.clone())),
        live,
    };
    let (using, waking) = (store.clone(), triggers.clone());
    let sources = Sources::follow(
        &source::ALL_KINDS,
        source::unready,
        &process,
        namespace.clone(),
        &mut tasks,
        move |id, artifact| source_changed(&using, &waking, id, artifact),
    )
    .await;
    if let Some(selector) = config_selector(&gates, &process.flags.watch_configs_label_selector) {
        let configs = Configs {
            client: process.client.clone(),
            namespace: namespace.clone(),
            selector,
            store: store.clone(),
            triggers: triggers.clone(),
            refers_to,
        };
        tasks.spawn(configs.follow());
    }
    let artifacts = Artifacts::new(&settings.helm.values_cache_path, settings.shared.http_retry);
    let targets = Targets::new(
        cluster,
        TargetOptions {
            has_object_identities: gates.enabled(gate::OBJECT_LEVEL_WORKLOAD_IDENTITY),
            token_age: process.flags.token_cache_max_duration,
            ..target_options(&settings, drifted, process.metrics.clone())
        },
    );
    let contention = Arc::default();
    let repairs = Repairs {
        store: store.clone(),
        triggers: triggers.clone(),
        recorder: recorder.clone(),
        contention: Arc::clone(&contention),
        postponed: Arc::default(),
    };
    tasks.spawn(repairs.run(drifts));
    let reconciler = HelmReconciler {
        client: process.client.clone(),
        targets,
        sources,
        charts,
        artifacts,
        discoveries: Discoveries::default(),
        store,
        wake: Box::new(move |key| triggers.enqueue(key)),
        stop: process.stop.clone(),
        settings,
        pace,
        gates,
        jitter: process.flags.interval_jitter_percentage,
        running: Mutex::default(),
        memory: Memory::default(),
        contention,
    };
    let options = options(pace);
    releases
        .run(&process, namespace, recorder, options, reconciler)
        .await;
    tasks.shutdown().await;
    senders.finish().await;
    leadership.release().await;
    Ok(())
}

/// How long tokens for other clusters are kept where no flag says so.
const TOKEN_AGE: Duration = Duration::from_secs(3600);

/// Labels of the ConfigMaps and Secrets whose changes count, if any do.
fn config_selector(gates: &FeatureGates, selector: &str) -> Option<String> {
    (!gates.enabled(gate::DISABLE_CONFIG_WATCHERS)).then(|| selector.to_owned())
}

/// What watches the memory, if it is to be watched.
fn memory_watch(gates: &FeatureGates, settings: &Settings) -> Result<Option<oom::Watch>, oom::Unwatchable> {
    let is_on = gates.enabled(gate::OOM_WATCH);
    is_on.then(|| oom::Watch::new(&settings.helm)).transpose()
}

fn options(pace: PaceFlags) -> Options {
    Options {
        manager: reconciler::manager(),
        concurrent: pace.concurrent,
    }
}

fn ownership(settings: &Settings) -> Ownership {
    Ownership {
        group: label::HELM_NAME
            .split_once('/')
            .map_or("", |(group, _)| group)
            .to_owned(),
        manager: controller::HELM.to_owned(),
        override_managers: settings.shared.override_manager.clone(),
        undoes_edits: false,
    }
}

fn target_options(
    settings: &Settings,
    drifts: mpsc::UnboundedSender<Drift>,
    metrics: Metrics,
) -> TargetOptions {
    TargetOptions {
        ownership: ownership(settings),
        drifts,
        trust: Trust {
            exec: settings.shared.insecure_kubeconfig_exec,
            insecure_tls: settings.shared.insecure_kubeconfig_tls,
        },
        default_account: settings.account.default_service_account.clone(),
        default_remote_account: settings.shared.default_kubeconfig_service_account.clone(),
        has_own_account: true,
        has_object_identities: false,
        token_age: TOKEN_AGE,
        kind: HelmRelease::KIND,
        metrics,
    }
}

/// A panic while something was locked leaves it as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
