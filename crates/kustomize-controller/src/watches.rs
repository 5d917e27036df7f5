//! What else than a Kustomization itself asks for its reconcile (`spec/kustomize-and-notification.md` I.2), and drift.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::kustomize::{Kustomization, SubstituteSourceKind};
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, reason};
use ferro_apply::contention::{Contention, Verdict};
use ferro_apply::{Drift, ObjectId};
use ferro_runtime::configs::ConfigKind;
use ferro_runtime::controller::Triggers;
use ferro_runtime::events::{Recorder, Severity};
use ferro_runtime::metrics::Metrics;
use ferro_runtime::reconcile::event;
use ferro_runtime::sources::SourceId;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::dependency::{Key, in_order};
use crate::lock;
use crate::notice::{labels, of_last_applied};
use crate::source::source_of;

/// Has all that use `source` reconciled, dependencies first; those that are at its artifact already are left alone.
pub(crate) fn source_changed(
    store: &Store<Kustomization>,
    triggers: &Triggers<Kustomization>,
    source: &SourceId,
    artifact: Option<&Artifact>,
) {
    let revision = artifact.map(|artifact| artifact.revision.as_str());
    let concerned = store.state().into_iter().filter(|kustomization| {
        source_of(kustomization) == *source && !(is_settled(kustomization) && is_at(kustomization, revision))
    });
    let keys = concerned
        .map(|kustomization| ObjectRef::from_obj(kustomization.as_ref()))
        .collect();
    for key in in_order(store, keys) {
        triggers.supersede(key, source.to_string());
    }
}

fn is_settled(kustomization: &Kustomization) -> bool {
    kustomization.is_ready() || kustomization.is_condition_true(ferro_api::condition::RECONCILING)
}

fn is_at(kustomization: &Kustomization, revision: Option<&str>) -> bool {
    revision.is_some()
        && kustomization
            .status()
            .and_then(|status| status.last_attempted_revision.as_deref())
            == revision
}

/// Whether the spec reads the ConfigMap or Secret `name`.
pub(crate) fn refers_to(kustomization: &Kustomization, kind: ConfigKind, name: &str) -> bool {
    let spec = &kustomization.spec;
    let substitutes = spec
        .post_build
        .iter()
        .flat_map(|post_build| &post_build.substitute_from);
    let config = spec.kube_config.as_ref();
    match kind {
        ConfigKind::ConfigMap => {
            substitutes
                .clone()
                .any(|from| from.kind == SubstituteSourceKind::ConfigMap && from.name == name)
                || config
                    .and_then(|config| config.config_map_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
        }
        ConfigKind::Secret => {
            substitutes
                .clone()
                .any(|from| from.kind == SubstituteSourceKind::Secret && from.name == name)
                || config
                    .and_then(|config| config.secret_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
                || spec
                    .decryption
                    .as_ref()
                    .and_then(|decryption| decryption.secret_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
        }
    }
}

/// Repairs drift as it happens.
pub(crate) struct Repairs {
    pub(crate) store: Store<Kustomization>,
    pub(crate) triggers: Triggers<Kustomization>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) contention: Arc<Mutex<Contention>>,
    /// Those for which a repair is put off already.
    pub(crate) postponed: Arc<Mutex<HashSet<Key>>>,
}

impl Repairs {
    /// Has the owner of each drifted object reconciled: at once, or, where somebody else keeps writing the object, after a wait that grows.
    pub(crate) async fn run(self, mut drifts: mpsc::UnboundedReceiver<Drift>) {
        while let Some(drift) = drifts.recv().await {
            let key = ObjectRef::new(&drift.owner.name).within(&drift.owner.namespace);
            let Some(owner) = self.store.get(&key) else {
                continue;
            };
            if owner.is_suspended() || owner.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let what = if drift.deleted { "deleted" } else { "changed" };
            tracing::info!(object = %drift.object, owner = %key, writer = drift.writer, "drift: managed object was {what}");
            let verdict = lock(&self.contention).drifted(&drift.object, Instant::now());
            match verdict {
                Verdict::Now => self.triggers.enqueue(key),
                Verdict::After { wait, repairs } => self.postpone(&owner, key, &drift, wait, repairs),
            }
        }
    }

    fn postpone(&self, owner: &Kustomization, key: Key, drift: &Drift, wait: Duration, repairs: u32) {
        self.metrics.drift_contended(&labels(&key));
        if !lock(&self.postponed).insert(key.clone()) {
            return;
        }
        let message = contended(&drift.object, drift.writer.as_deref(), wait, repairs);
        self.recorder.send(event(
            owner,
            Severity::Error,
            reason::DRIFT_DETECTED,
            &message,
            of_last_applied(owner),
        ));
        let (triggers, postponed) = (self.triggers.clone(), Arc::clone(&self.postponed));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            lock(&postponed).remove(&key);
            triggers.enqueue(key);
        });
    }
}

fn contended(object: &ObjectId, writer: Option<&str>, wait: Duration, repairs: u32) -> String {
    let writer = writer.map_or_else(
        || "another writer".to_owned(),
        |writer| format!("field manager '{writer}'"),
    );
    format!(
        "{object} was changed again by {writer} after {repairs} corrections, next correction in {}",
        ferro_api::meta::Duration::from(wait)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refers_to_finds_every_reference() {
        let kustomization: Kustomization = serde_json::from_value(serde_json::json!({ "spec": {
            "postBuild": { "substituteFrom": [{ "kind": "ConfigMap", "name": "vars" }, { "kind": "Secret", "name": "secret-vars" }] },
            "decryption": { "provider": "sops", "secretRef": { "name": "keys" } },
            "kubeConfig": { "secretRef": { "name": "remote" } }
        }}))
        .unwrap();
        assert!(
            refers_to(&kustomization, ConfigKind::ConfigMap, "vars")
                && !refers_to(&kustomization, ConfigKind::Secret, "vars")
        );
        for name in ["secret-vars", "keys", "remote"] {
            assert!(refers_to(&kustomization, ConfigKind::Secret, name), "{name}");
        }
    }

    #[test]
    fn contended_names_the_writer_and_the_wait() {
        let object = ObjectId {
            kind: "Deployment".into(),
            namespace: "n".into(),
            name: "a".into(),
            group: "apps".into(),
        };
        let message = contended(&object, Some("hpa"), Duration::from_secs(2), 5);
        assert_eq!(
            message,
            "Deployment/n/a was changed again by field manager 'hpa' after 5 corrections, next correction in 2s"
        );
    }
}
