//! The actions on a release, as Helm performs them, with what the status tells of them (`spec/helm.md` C.5, F.4, F.5).

pub(crate) mod deploy;
pub(crate) mod hooks;
pub(crate) mod install;
pub(crate) mod legacy;
pub(crate) mod log;
mod output;
pub(crate) mod release;
pub(crate) mod render;
pub(crate) mod rollback;
pub(crate) mod test;
pub(crate) mod uninstall;
pub(crate) mod unlock;
pub(crate) mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use ferro_api::helm::{HelmRelease, ReleaseSnapshot};
use ferro_api::meta::{Artifact, ResourceInventory};
use ferro_apply::{Cluster, Owner};
use ferro_artifact::digest::Algorithm;
use ferro_helm::record::Record;
use ferro_kstatus::HealthExprs;
use kube::ResourceExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::capabilities::Discovery;
use crate::release::{Desired, Target};
use crate::snapshot;
use crate::storage::{Storage, StorageError};

/// Where a release is, and with whose rights it is worked on.
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) target: Target,
    pub(crate) storage: Storage,
    /// What is known of the APIs of the cluster.
    pub(crate) discovery: Arc<Discovery>,
    /// Cuts the work short.
    pub(crate) cancel: CancellationToken,
}

/// What the actions of one pass work with.
pub(crate) struct Work {
    pub(crate) site: Site,
    pub(crate) desired: Desired,
    pub(crate) artifact: Arc<Artifact>,
    /// Whether the chart's version shows the digest of its source.
    pub(crate) tracked: bool,
    /// Readiness of custom kinds, and of Jobs that must only begin.
    pub(crate) exprs: Arc<HealthExprs>,
    /// The same where Jobs must complete.
    pub(crate) exprs_with_jobs: Arc<HealthExprs>,
}

/// How an action is done.
#[derive(Clone, Debug)]
pub(crate) struct ActionOptions {
    pub(crate) timeout: Duration,
    pub(crate) waits: bool,
    pub(crate) waits_for_jobs: bool,
    /// Whether Helm 3's rules say what is ready.
    pub(crate) is_legacy: bool,
    pub(crate) runs_hooks: bool,
}

/// An action was not done.
#[derive(Debug)]
pub(crate) struct ActionError(pub(crate) String);

impl From<StorageError> for ActionError {
    fn from(error: StorageError) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for ActionError {
    fn from(error: String) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for ActionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.trim())
    }
}

/// What an action has written: a snapshot of each record, in the order of their first writes.
pub(crate) struct Journal {
    action: &'static str,
    oci_digest: String,
    algorithm: Algorithm,
    pub(crate) written: Vec<ReleaseSnapshot>,
    /// The objects of the newest record.
    pub(crate) inventory: Option<ResourceInventory>,
    /// What was done last.
    log: log::Log,
    /// Whether that has what a hook has printed.
    has_output: bool,
}

impl Journal {
    pub(crate) fn new(action: &'static str, oci_digest: &str, algorithm: Algorithm) -> Self {
        Self {
            action,
            oci_digest: oci_digest.to_owned(),
            algorithm,
            written: Vec::new(),
            inventory: None,
            log: log::Log::default(),
            has_output: false,
        }
    }

    /// Notes a step, which the controller's log gets too.
    pub(crate) fn step(&mut self, step: &str, details: &Value) {
        tracing::debug!(%details, "{step}");
        self.log.note(step, details);
    }

    /// Notes what a hook has printed.
    pub(crate) fn printed(&mut self, line: &Value) {
        self.log.note("printed by a hook", line);
        self.has_output = true;
    }

    /// The text of an event about a failure: with the last steps.
    pub(crate) fn failure(&self, message: &str) -> String {
        self.log.behind(message)
    }

    /// The text of an event about tests that failed: upstream has no steps in it, and no more than what was asked for is added.
    pub(crate) fn test_failure(&self, message: &str) -> String {
        match self.has_output {
            true => self.failure(message),
            false => message.to_owned(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    pub(crate) fn note(&mut self, record: &Record) {
        let taken = snapshot::take(record, self.action, &self.oci_digest, self.algorithm);
        match self
            .written
            .iter_mut()
            .find(|known| known.version == record.version)
        {
            Some(known) => *known = taken,
            None => self.written.push(taken),
        }
    }

    /// Adds a record to the storage.
    pub(crate) async fn create(&mut self, storage: &Storage, record: &Record) -> Result<(), ActionError> {
        storage.create(record).await?;
        self.note(record);
        Ok(())
    }

    /// Writes a record anew.
    pub(crate) async fn update(&mut self, storage: &Storage, record: &Record) -> Result<(), ActionError> {
        storage.update(record).await?;
        self.note(record);
        Ok(())
    }
}

/// To whom the objects of a release belong.
pub(crate) fn owner(release: &HelmRelease) -> Owner {
    Owner {
        namespace: release.namespace().unwrap_or_default(),
        name: release.name_any(),
    }
}
