//! helm-controller: installs, upgrades, tests, rolls back and uninstalls what HelmReleases describe, without Helm.
//!
//! One pass over a HelmRelease is in `reconciler`, up to the point where chart and values are known; `atomic` then brings the release to
//! where it should be: `state` determines where it stands and decides, `action` does it. What is kept of a release are Helm's own
//! records (`storage`), so that the `helm` program and upstream's controller can take over at any time, and the other way round.
//! The behaviour is that of Flux 2.9 (`spec/helm.md` parts A to D and F).
//!
//! Beyond upstream: waits ride on watches; those that wait for a dependency are told when it is ready; a chart is parsed once for all its
//! releases; only the record that is needed is decoded. Objects are written by server-side apply only: a release of Helm 3 moves to it with
//! its next upgrade. What this version cannot do is refused, see `refusal`.

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
mod capabilities;
mod chart;
mod conditions;
mod dependency;
mod helmchart;
mod notice;
mod objects;
mod postrender;
mod reconciler;
mod refusal;
mod release;
#[cfg(test)]
mod scenario;
mod snapshot;
mod source;
mod state;
mod storage;
mod strategy;
mod values;
mod watches;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferro_api::helm::HelmRelease;
use ferro_api::{controller, label};
use ferro_apply::{Cluster, LiveIndex, Mapper, Ownership};
use ferro_runtime::controller::{Controller, Options, Triggers};
use ferro_runtime::events::Recorder;
use ferro_runtime::flags::FeatureGates;
use ferro_runtime::process::{Fatal, Process};
use kube::runtime::reflector::Store;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::args::{FEATURE_GATES, PaceFlags, Settings, gate};
use crate::capabilities::Discovery;
use crate::chart::Charts;
use crate::reconciler::HelmReconciler;
use crate::source::{SourceId, Sources};
use crate::watches::{follow_configs, source_changed};

/// Runs the controller until the process stops; it acts only while it holds its lease.
///
/// # Errors
/// When a flag cannot be honoured.
pub async fn run(process: Process, settings: Settings, pace: PaceFlags) -> Result<(), Fatal> {
    let gates = FeatureGates::parse(&FEATURE_GATES, &process.flags.feature_gates)?;
    if gates.enabled(gate::USE_HELM3_DEFAULTS) {
        return Err(format!(
            "the feature gate {} is not supported by this version",
            gate::USE_HELM3_DEFAULTS
        )
        .into());
    }
    let namespace = process.flags.watch_namespace()?;
    let helm = &settings.helm;
    let charts = Charts::new(
        settings.shared.http_retry,
        helm.http_timeout,
        helm.chart_cache_size,
    )?;
    let Some(leadership) = process.lead(controller::HELM).await else {
        return Ok(());
    };

    let mut tasks = JoinSet::new();
    let (recorder, senders) = Recorder::start(
        process.client.clone(),
        controller::HELM,
        &process.flags.events_addr,
        &process.stop,
    )?;
    let releases = Controller::<HelmRelease>::default();
    let (store, triggers) = (releases.store.clone(), releases.triggers.clone());
    let (drifts, _repaired_by_nobody_yet) = mpsc::unbounded_channel();
    let live = LiveIndex::reporting_to(
        process.client.clone(),
        ownership(&settings),
        namespace.clone(),
        drifts,
    );
    let cluster = Cluster {
        client: process.client.clone(),
        mapper: Arc::new(Mapper::new(process.client.clone())),
        live,
    };
    let sources = follow_sources(&process, namespace.clone(), &store, &triggers, &mut tasks).await;
    if !gates.enabled(gate::DISABLE_CONFIG_WATCHERS) {
        tasks.spawn(follow_configs(
            process.client.clone(),
            namespace.clone(),
            process.flags.watch_configs_label_selector.clone(),
            store.clone(),
            triggers.clone(),
        ));
    }
    let reconciler = HelmReconciler {
        client: process.client.clone(),
        cluster,
        sources,
        charts,
        discovery: Discovery::default(),
        store,
        wake: Box::new(move |key| triggers.enqueue(key)),
        stop: process.stop.clone(),
        settings,
        pace,
        gates,
        running: Mutex::default(),
        applied_charts: Mutex::default(),
    };
    let options = Options {
        manager: reconciler::manager(),
        concurrent: pace.concurrent,
    };
    releases
        .run(&process, namespace, recorder, options, reconciler)
        .await;
    tasks.shutdown().await;
    senders.finish().await;
    leadership.release().await;
    Ok(())
}

fn ownership(settings: &Settings) -> Ownership {
    Ownership {
        group: label::HELM_NAME
            .split_once('/')
            .map_or("", |(group, _)| group)
            .to_owned(),
        manager: controller::HELM.to_owned(),
        override_managers: settings.shared.override_manager.clone(),
    }
}

/// Follows the sources; returns once each kind was listed or found to be missing, so that the first passes do not miss a source that is there.
async fn follow_sources(
    process: &Process,
    namespace: Option<String>,
    store: &Store<HelmRelease>,
    triggers: &Triggers<HelmRelease>,
    tasks: &mut JoinSet<()>,
) -> Arc<Sources> {
    let sources = Arc::new(Sources::default());
    let (listed, mut all_listed) = watch::channel(false);
    let (client, followed) = (process.client.clone(), Arc::clone(&sources));
    let (store, triggers) = (store.clone(), triggers.clone());
    tasks.spawn(async move {
        let changed = |id: &SourceId| {
            let artifact = followed.get(id).and_then(|standing| standing.artifact);
            source_changed(&store, &triggers, id, artifact.as_deref());
        };
        followed
            .follow(&client, namespace.as_deref(), &listed, changed)
            .await;
    });
    tokio::select! {
        _ = all_listed.wait_for(|listed| *listed) => {}
        () = process.stop.cancelled() => {}
    }
    sources
}

/// A panic while something was locked leaves it as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
