//! What the kinds have in common: identity, and the state that every reconciler reads and writes.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube_core::{Resource, ResourceExt as _};
use serde::{Serialize, de::DeserializeOwned};

use crate::meta::{Condition, ConditionStatus, Duration};
use crate::vocabulary::{annotation, condition};

/// The identity of an API kind, known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// API group, such as `source.toolkit.fluxcd.io`.
    pub group: &'static str,
    /// Version that is stored and that controllers use.
    pub version: &'static str,
    /// Kind, such as `GitRepository`.
    pub kind: &'static str,
    /// Name in URLs and on the command line, such as `gitrepositories`.
    pub plural: &'static str,
    /// Abbreviations that `kubectl` accepts.
    pub short_names: &'static [&'static str],
    /// What the kind is, line by line.
    pub description: &'static [&'static str],
}

impl KindInfo {
    /// Returns `group/version`.
    #[must_use]
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// Returns the singular name, which for every Flux kind is the kind in lower case.
    #[must_use]
    pub fn singular(&self) -> String {
        self.kind.to_ascii_lowercase()
    }
}

/// An API kind of this crate.
pub trait Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> {
    /// The identity of the kind.
    const INFO: KindInfo;
}

/// The part of a status that every reconciler maintains.
pub trait FluxStatus:
    Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync
{
    /// Returns the conditions in stored order.
    fn conditions(&self) -> &[Condition];

    /// Returns the conditions for change.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;

    /// Returns the generation that the status speaks of, if the kind records it (-1: never reconciled).
    fn observed_generation(&self) -> Option<i64>;

    /// Records the generation that the status speaks of; kinds without the field ignore it.
    fn set_observed_generation(&mut self, generation: i64);

    /// Returns the last reconcile request that was handled.
    fn last_handled_reconcile_at(&self) -> Option<&str>;

    /// Records the last reconcile request that was handled; kinds without the field ignore it.
    fn set_last_handled_reconcile_at(&mut self, token: &str);
}

/// An object that a controller reconciles.
///
/// Setters create an empty status when there is none.
pub trait FluxObject:
    Kind + Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The status of the kind.
    type Status: FluxStatus;

    /// API group, such as `source.toolkit.fluxcd.io`.
    const GROUP: &'static str = Self::INFO.group;
    /// Kind, such as `GitRepository`.
    const KIND: &'static str = Self::INFO.kind;
    /// Version that is stored and that controllers use.
    const VERSION: &'static str = Self::INFO.version;
    /// Annotations that say what is to be done, as the spec does: they change without the generation.
    const INSTRUCTIONS: &'static [&'static str] = &[];

    /// Returns the time between two successful reconciles, `None` where only changes trigger one.
    fn interval(&self) -> Option<Duration>;

    /// Reports whether the user has suspended reconciliation.
    fn is_suspended(&self) -> bool;

    /// Returns the status, if any was ever written.
    fn status(&self) -> Option<&Self::Status>;

    /// Returns the status for change, creating it if absent.
    fn status_mut(&mut self) -> &mut Self::Status;

    /// Replaces the status.
    fn set_status(&mut self, status: Option<Self::Status>);

    /// Returns the conditions in stored order.
    fn conditions(&self) -> &[Condition] {
        self.status().map_or(&[], FluxStatus::conditions)
    }

    /// Returns the conditions for change.
    fn conditions_mut(&mut self) -> &mut Vec<Condition> {
        self.status_mut().conditions_mut()
    }

    /// Returns the condition of a type.
    fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions().iter().find(|c| c.type_ == type_)
    }

    /// Reports whether the condition of a type is present and `True`.
    fn is_condition_true(&self, type_: &str) -> bool {
        self.condition(type_)
            .is_some_and(|c| c.status == ConditionStatus::True)
    }

    /// Reports whether the object is ready, for whatever generation.
    fn is_ready(&self) -> bool {
        self.is_condition_true(condition::READY)
    }

    /// Returns the generation that the status speaks of (-1: never reconciled).
    fn observed_generation(&self) -> Option<i64> {
        self.status().and_then(FluxStatus::observed_generation)
    }

    /// Records the generation that the status speaks of.
    fn set_observed_generation(&mut self, generation: i64) {
        self.status_mut().set_observed_generation(generation);
    }

    /// Returns the last reconcile request that was handled.
    fn last_handled_reconcile_at(&self) -> Option<&str> {
        self.status().and_then(FluxStatus::last_handled_reconcile_at)
    }

    /// Records the last reconcile request that was handled.
    fn set_last_handled_reconcile_at(&mut self, token: &str) {
        self.status_mut().set_last_handled_reconcile_at(token);
    }

    /// Returns the reconcile request that the object's annotation carries.
    fn reconcile_requested_at(&self) -> Option<&str> {
        self.annotations()
            .get(annotation::RECONCILE_REQUESTED_AT)
            .map(String::as_str)
    }

    /// Whether somebody asks for a reconcile and has not been answered.
    fn has_open_request(&self) -> bool {
        let requested = self.reconcile_requested_at();
        requested.is_some() && requested != self.last_handled_reconcile_at()
    }
}
