//! Release records: what Helm keeps of each revision of a release, in a Secret or ConfigMap.
//!
//! A [`Record`] is read from and written as the JSON that Helm 3 and 4 read and write (`spec/helm.md` F.6), so that each
//! program finds the other's releases. [`secret`] wraps it into what the API server stores, and [`observation`] gives the
//! bytes whose digest tells whether a release is still the one that was made (A.4.2).
//!
//! The chart within a record is kept as the JSON text that it is: a rollback copies it, and little else asks for more than
//! its metadata and defaults.

mod chart;
mod json;
mod read;
pub mod secret;

use std::collections::BTreeMap;
use std::fmt;

use ferro_gocompat::time::Time;
use serde_json::{Map, Value as Json};

pub use self::chart::StoredChart;
pub use self::json::{observation, observed_config};
pub use self::read::Invalid;
use crate::manifest::Hook;

/// How the objects of a release that says nothing about it were applied: by patches that the client computes.
pub const CLIENT_SIDE: &str = "csa";
/// How the objects of a release were applied: by the API server.
pub const SERVER_SIDE: &str = "ssa";

/// One revision of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The name of the release.
    pub name: String,
    /// How it came to be, and what became of it.
    pub info: Info,
    /// The chart.
    pub chart: StoredChart,
    /// The values that the user gave, numbers in floating point; those of the chart are not in it.
    pub config: Map<String, Json>,
    /// The text of all manifests but the hooks.
    pub manifest: String,
    /// The hooks.
    pub hooks: Vec<StoredHook>,
    /// The revision, counted from 1.
    pub version: i64,
    /// The namespace of the release.
    pub namespace: String,
    /// [`SERVER_SIDE`] or [`CLIENT_SIDE`]; empty in records of Helm 3, which means the latter.
    pub apply_method: String,
    /// Labels that users gave the record; not part of its JSON.
    pub labels: BTreeMap<String, String>,
}

impl Record {
    /// Whether its objects were applied by the API server.
    #[must_use]
    pub fn is_server_side(&self) -> bool {
        self.apply_method == SERVER_SIDE
    }

    /// Sets the status, with the words that `helm history` shows beside it.
    pub fn set_status(&mut self, status: Status, description: impl Into<String>) {
        self.info.status = status;
        self.info.description = description.into();
    }
}

/// How a revision came to be, and what became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info {
    /// When the release was installed.
    pub first_deployed: Option<Time>,
    /// When this revision was made.
    pub last_deployed: Option<Time>,
    /// When the release was uninstalled.
    pub deleted: Option<Time>,
    /// What happened last, in words.
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// The rendered notes.
    pub notes: String,
}

/// Where a revision stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Status {
    #[default]
    Unknown,
    Deployed,
    Uninstalled,
    Superseded,
    Failed,
    Uninstalling,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
    /// A status that no version of Helm writes.
    Other(String),
}

impl Status {
    const NAMED: [(Self, &'static str); 9] = [
        (Self::Unknown, "unknown"),
        (Self::Deployed, "deployed"),
        (Self::Uninstalled, "uninstalled"),
        (Self::Superseded, "superseded"),
        (Self::Failed, "failed"),
        (Self::Uninstalling, "uninstalling"),
        (Self::PendingInstall, "pending-install"),
        (Self::PendingUpgrade, "pending-upgrade"),
        (Self::PendingRollback, "pending-rollback"),
    ];

    /// Reads the name of a status.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        let named = Self::NAMED.into_iter().find(|(_, known)| *known == name);
        named.map_or_else(|| Self::Other(name.to_owned()), |(status, _)| status)
    }

    /// Its name in records and labels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        let named = Self::NAMED.into_iter().find(|(status, _)| status == self);
        named.map_or("unknown", |(_, name)| name)
    }

    /// Whether an action is under way, or was when its program ended.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(
            self,
            Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hook, with what became of it. Events and policies are texts, because records of other versions may have others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredHook {
    /// The `metadata.name` of its object.
    pub name: String,
    /// The `kind` of its object.
    pub kind: String,
    /// The file that it comes from.
    pub path: String,
    /// The text of its object.
    pub manifest: String,
    /// The stages that it is for.
    pub events: Vec<String>,
    /// Its last execution.
    pub last_run: Execution,
    /// Its place among the hooks of a stage.
    pub weight: i64,
    /// When its object is deleted.
    pub delete_policies: Vec<String>,
    /// When the log of its pods is copied.
    pub output_log_policies: Vec<String>,
}

/// An execution of a hook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Execution {
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub completed_at: Option<Time>,
    /// `Unknown`, `Running`, `Succeeded`, `Failed`; empty before the first execution.
    pub phase: String,
}

impl StoredHook {
    /// Whether it is a test.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.events.iter().any(|event| event == "test")
    }
}

impl From<&Hook> for StoredHook {
    fn from(hook: &Hook) -> Self {
        Self {
            name: hook.name.clone(),
            kind: hook.kind.clone(),
            path: hook.path.clone(),
            manifest: hook.manifest.clone(),
            events: hook.events.iter().map(ToString::to_string).collect(),
            last_run: Execution::default(),
            weight: hook.weight,
            delete_policies: hook
                .delete_policies
                .iter()
                .map(|policy| policy.name().to_owned())
                .collect(),
            output_log_policies: hook
                .output_log_policies
                .iter()
                .map(|policy| policy.name().to_owned())
                .collect(),
        }
    }
}
