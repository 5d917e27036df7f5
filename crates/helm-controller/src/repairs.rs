//! Has releases looked at when their objects change, and not only when their interval is over.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::helm::{DriftDetectionMode, HelmRelease};
use ferro_api::{FluxObject, reason};
use ferro_apply::Drift;
use ferro_apply::contention::{Contention, Verdict};
use ferro_runtime::controller::Triggers;
use ferro_runtime::events::{Recorder, Severity};
use ferro_runtime::reconcile::event;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::lock;
use crate::reconciler::Key;

/// What turns drift into passes.
pub(crate) struct Repairs {
    pub(crate) store: Store<HelmRelease>,
    pub(crate) triggers: Triggers<HelmRelease>,
    pub(crate) recorder: Recorder,
    pub(crate) contention: Arc<Mutex<Contention>>,
    /// Those that are looked at later already.
    pub(crate) postponed: Arc<Mutex<HashSet<Key>>>,
}

impl Repairs {
    /// Has the release of each drifted object looked at: at once, or, where somebody else keeps writing the object, after a wait that grows.
    pub(crate) async fn run(self, mut drifts: mpsc::UnboundedReceiver<Drift>) {
        while let Some(drift) = drifts.recv().await {
            let key = ObjectRef::new(&drift.owner.name).within(&drift.owner.namespace);
            let Some(release) = self.store.get(&key) else {
                continue;
            };
            if !is_followed(&release) {
                continue;
            }
            let what = if drift.deleted { "deleted" } else { "changed" };
            tracing::info!(object = %drift.object, release = %key, writer = drift.writer, "drift: released object was {what}");
            let verdict = lock(&self.contention).drifted(&drift.object, Instant::now());
            match verdict {
                Verdict::Now => self.triggers.enqueue(key),
                Verdict::After { wait, repairs } => self.postpone(&release, key, &drift, (wait, repairs)),
            }
        }
    }

    fn postpone(&self, release: &HelmRelease, key: Key, drift: &Drift, (wait, repairs): (Duration, u32)) {
        if !lock(&self.postponed).insert(key.clone()) {
            return;
        }
        let writer = drift.writer.as_ref().map_or_else(
            || "another writer".to_owned(),
            |writer| format!("field manager '{writer}'"),
        );
        let message = format!(
            "{} was changed again by {writer}; it was undone {repairs} times, next look in {}",
            drift.object,
            ferro_api::meta::Duration::from(wait)
        );
        let told = event(
            release,
            Severity::Error,
            reason::DRIFT_DETECTED,
            &message,
            BTreeMap::new(),
        );
        self.recorder.send(told);
        let (triggers, postponed) = (self.triggers.clone(), Arc::clone(&self.postponed));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            lock(&postponed).remove(&key);
            triggers.enqueue(key);
        });
    }
}

/// Whether drift of the release's objects matters now.
fn is_followed(release: &HelmRelease) -> bool {
    release.spec.drift_detection_mode() != DriftDetectionMode::Disabled
        && !release.is_suspended()
        && release.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn drift_matters_where_it_is_looked_for() {
        let followed = |spec: serde_json::Value| {
            is_followed(
                &serde_json::from_value(json!({ "metadata": { "name": "a" }, "spec": spec })).unwrap(),
            )
        };
        assert!(!followed(json!({})));
        assert!(!followed(json!({ "driftDetection": { "mode": "disabled" } })));
        assert!(followed(json!({ "driftDetection": { "mode": "warn" } })));
        assert!(!followed(
            json!({ "driftDetection": { "mode": "enabled" }, "suspend": true })
        ));
    }
}
