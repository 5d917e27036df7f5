//! Where releases are: in which cluster, and with whose rights they are worked on (`spec/helm.md` D.9).
//!
//! Records and objects of a release are in the cluster of its kubeconfig, if it names one; its HelmChart, its sources and what its values
//! come from are in that of the controller.

use std::sync::{Arc, Mutex, Weak};

use ferro_api::helm::HelmRelease;
use ferro_apply::targets::{Destination, TargetError};
use ferro_apply::{Cluster, Mapper};
use tokio_util::sync::CancellationToken;

use crate::action::{self, Site};
use crate::capabilities::Discovery;
use crate::lock;
use crate::reconciler::HelmReconciler;
use crate::release::Target;
use crate::storage::Storage;

/// Where a release goes, and with whose rights.
pub(crate) fn destination(release: &HelmRelease) -> Destination<'_> {
    Destination {
        owner: action::owner(release),
        account: release.spec.service_account_name.as_deref(),
        kube_config: release.spec.kube_config.as_ref(),
    }
}

/// Why there is no way to the cluster, in upstream's words.
pub(crate) fn no_way(error: &TargetError) -> String {
    match error {
        TargetError::NotFound { id, problem } | TargetError::Secret { id, problem } => {
            format!("could not get KubeConfig secret '{id}': {problem}")
        }
        TargetError::NoConfigMap { id, problem } | TargetError::ConfigMap { id, problem } => {
            format!("could not get KubeConfig ConfigMap '{id}': {problem}")
        }
        error => error.to_string(),
    }
}

impl HelmReconciler {
    /// The place of a release in a cluster.
    pub(crate) fn site(&self, cluster: Cluster, target: Target, cancel: CancellationToken) -> Site {
        let storage = Storage::new(cluster.client.clone(), &target.storage_namespace, &target.name);
        Site {
            storage: storage.with(Arc::clone(&self.memory.records)),
            discovery: self.discoveries.of(&cluster),
            cluster,
            target,
            cancel,
        }
    }
}

/// What is known of the APIs of each cluster in use.
#[derive(Default)]
pub(crate) struct Discoveries(Mutex<Vec<(Weak<Mapper>, Arc<Discovery>)>>);

impl Discoveries {
    /// What is known of a cluster, whoever's rights it is looked at with: there is one mapper for each.
    fn of(&self, cluster: &Cluster) -> Arc<Discovery> {
        let mut known = lock(&self.0);
        known.retain(|(mapper, _)| mapper.strong_count() > 0);
        let wanted = Arc::downgrade(&cluster.mapper);
        if let Some((_, found)) = known.iter().find(|(mapper, _)| mapper.ptr_eq(&wanted)) {
            return Arc::clone(found);
        }
        let found = Arc::new(Discovery::default());
        known.push((wanted, Arc::clone(&found)));
        found
    }
}
