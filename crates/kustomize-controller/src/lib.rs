//! kustomize-controller: builds what Kustomizations describe, applies it, prunes what left it, waits until it is healthy, and undoes
//! drift as it happens.
//!
//! One run over a Kustomization is in [`reconciler`], step by step: gate → fetch → build → apply → prune → health. Around it:
//! [`source`] follows the sources, [`watches`] turns events of other objects and drift into runs, [`finalize`] cleans up. The behaviour
//! is that of Flux 2.9 (`spec/kustomize-and-notification.md` parts A to I).
//!
//! Beyond upstream: drift is repaired when it happens, not at the next interval; those that wait for a dependency are told
//! when it is ready; a dependency cycle is named; newer work always ends a wait for health; a failed apply does not lose
//! objects from the inventory.

mod act;
pub mod args;
mod build;
mod dependency;
mod dependency_gate;
mod finalize;
mod health;
mod history;
mod inventory;
mod mask;
mod notice;
mod path;
mod reconciler;
mod refusal;
mod remote;
#[cfg(test)]
mod scenario;
mod source;
mod stop;
mod variables;
mod watches;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_api::kustomize::Kustomization;
use ferro_api::{FluxObject as _, controller, label};
use ferro_apply::targets::{TargetOptions, Targets};
use ferro_apply::{Cluster, Drift, LiveIndex, Mapper, Ownership};
use ferro_artifact::fetch::{Cache, CacheOptions};
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

use crate::args::{FEATURE_GATES, KustomizeFlags, Settings, gate};
use crate::dependency::Dependents;
use crate::reconciler::KustomizeReconciler;
use crate::remote::{Limits, RemoteBases};
use crate::watches::{Repairs, refers_to, source_changed};

/// Runs the controller until the process stops; it acts only while it holds its lease.
///
/// # Errors
/// When a flag cannot be honoured.
pub async fn run(process: Process, settings: Settings, pace: PaceFlags) -> Result<(), Fatal> {
    let gates = FeatureGates::parse(&FEATURE_GATES, &process.flags.feature_gates)?;
    settings.validate(&gates)?;
    let namespace = process.flags.watch_namespace()?;
    let artifacts = Cache::new(cache_options(&settings))?;
    let remote_bases = remote_bases(&settings.kustomize)?;
    let Some(leadership) = process.lead(controller::KUSTOMIZE).await else {
        return Ok(());
    };

    let mut tasks = JoinSet::new();
    let (recorder, senders) = Recorder::start(
        process.client.clone(),
        controller::KUSTOMIZE,
        &process.flags.events_addr,
        &process.stop,
    )?;
    let kustomizations = Controller::<Kustomization>::default();
    let (store, triggers) = (kustomizations.store.clone(), kustomizations.triggers.clone());
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
        &source::KINDS,
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
    let contention = Arc::default();
    if settings.kustomize.watch_drift {
        let repairs = Repairs {
            store: store.clone(),
            triggers: triggers.clone(),
            recorder: recorder.clone(),
            metrics: process.metrics.clone(),
            contention: Arc::clone(&contention),
            postponed: Arc::default(),
        };
        tasks.spawn(repairs.run(drifts));
    }
    let wake = Box::new(move |key| triggers.enqueue(key));
    let targets = Targets::new(
        cluster,
        TargetOptions {
            has_object_identities: gates.enabled(gate::OBJECT_LEVEL_WORKLOAD_IDENTITY),
            token_age: process.flags.token_cache_max_duration,
            ..target_options(&settings, drifted, process.metrics.clone())
        },
    );
    let reconciler = KustomizeReconciler {
        client: process.client.clone(),
        targets,
        sources,
        store,
        dependents: Dependents::default(),
        wake,
        stop: process.stop.clone(),
        artifacts,
        remote_bases,
        settings: Arc::new(settings),
        pace,
        gates,
        settled: Mutex::default(),
        contention,
        metrics: process.metrics.clone(),
        patient: Mutex::default(),
    };
    let options = options(pace);
    kustomizations
        .run(&process, namespace, recorder, options, reconciler)
        .await;
    tasks.shutdown().await;
    senders.finish().await;
    leadership.release().await;
    Ok(())
}

fn ownership(settings: &Settings) -> Ownership {
    Ownership {
        group: group_of(label::KUSTOMIZE_NAME),
        manager: controller::KUSTOMIZE.to_owned(),
        override_managers: settings.shared.override_manager.clone(),
        undoes_edits: true,
    }
}

/// How long tokens for other clusters are kept where no flag says so.
const TOKEN_AGE: Duration = Duration::from_secs(3600);

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
        kind: Kustomization::KIND,
        metrics,
    }
}

fn options(pace: PaceFlags) -> Options {
    Options {
        manager: format!("gotk-{}", controller::KUSTOMIZE),
        concurrent: pace.concurrent,
    }
}

/// Labels of the ConfigMaps and Secrets whose changes count, if any do.
fn config_selector(gates: &FeatureGates, selector: &str) -> Option<String> {
    (!gates.enabled(gate::DISABLE_CONFIG_WATCHERS)).then(|| selector.to_owned())
}

/// The cache of remote bases, unless they are refused.
fn remote_bases(flags: &KustomizeFlags) -> Result<Option<Arc<RemoteBases>>, Fatal> {
    if flags.no_remote_bases {
        return Ok(None);
    }
    // In the folder of the artifacts, which was emptied before, because no other may be writable.
    let directory = cache_path(flags).join("remote");
    let limits = Limits {
        max_kept: flags.artifact_cache_size,
        ..Limits::default()
    };
    Ok(Some(Arc::new(RemoteBases::new(directory, limits)?)))
}

fn cache_path(flags: &KustomizeFlags) -> PathBuf {
    if flags.artifact_cache_path.is_empty() {
        std::env::temp_dir().join(format!("{}-artifacts", controller::KUSTOMIZE))
    } else {
        flags.artifact_cache_path.clone().into()
    }
}

fn cache_options(settings: &Settings) -> CacheOptions {
    CacheOptions {
        path: cache_path(&settings.kustomize),
        max_bytes: settings.kustomize.artifact_cache_size,
        retries: settings.shared.http_retry,
        ..CacheOptions::default()
    }
}

/// The part of a label before the slash.
fn group_of(label: &str) -> String {
    label.split_once('/').map_or(label, |(group, _)| group).to_owned()
}

/// A panic while something was locked leaves it as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
