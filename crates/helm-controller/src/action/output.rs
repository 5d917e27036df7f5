//! What the pods of a hook have printed, where the hook asks for it (`helm.sh/hook-output-log-policy`): to the log of the controller, and
//! of a failure to its event. Upstream's controller throws it away.

use std::time::Duration;

use ferro_helm::record::StoredHook;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{Journal, Site};
use crate::objects;

/// Pods that are asked. A Job that is tried as often as usual has seven at most.
const MAX_PODS: u32 = 10;
/// Lines of each container, the last ones.
const MAX_LINES: i64 = 20;
/// Bytes of each container.
const MAX_BYTES: i64 = 16 << 10;
/// How long all of it may take: an action does not wait for a log.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells what a hook has printed, if its policy says so now. What cannot be had is not told: the hook has ended all the same.
pub(super) async fn tell(site: &Site, journal: &mut Journal, hook: Option<&StoredHook>, policy: &str) {
    let Some(hook) = hook.filter(|hook| hook.output_log_policies.iter().any(|known| known == policy)) else {
        return;
    };
    let told = tokio::time::timeout(PATIENCE, read(site, journal, hook)).await;
    let problem = match told {
        Ok(Ok(())) => return,
        Ok(Err(error)) => ferro_apply::error::message(&error),
        Err(_) => format!("not within {PATIENCE:?}"),
    };
    tracing::warn!(problem, hook = hook.name, "what a hook has printed cannot be had");
}

async fn read(site: &Site, journal: &mut Journal, hook: &StoredHook) -> Result<(), kube::Error> {
    let chosen = ListParams::default().limit(MAX_PODS);
    let chosen = match hook.kind.as_str() {
        "Job" => chosen.labels(&format!("job-name={}", hook.name)),
        "Pod" => chosen.fields(&format!("metadata.name={}", hook.name)),
        _ => return Ok(()),
    };
    let made = objects::parse(&hook.manifest).unwrap_or_default();
    let named = made.first().map(|object| object.id().namespace.clone());
    let namespace = named.filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or_else(|| site.target.namespace.clone());
    let pods: Api<Pod> = Api::namespaced(site.cluster.client.clone(), &namespace);
    let mut problem = Ok(());
    for pod in pods.list(&chosen).await? {
        let name = pod.name_any();
        for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
            let params = LogParams {
                container: Some(container.name.clone()),
                tail_lines: Some(MAX_LINES),
                limit_bytes: Some(MAX_BYTES),
                ..LogParams::default()
            };
            let printed = match pods.logs(&name, &params).await {
                Ok(printed) => printed,
                // A container that has not begun has printed nothing; the others may say why.
                Err(error) => {
                    problem = Err(error);
                    continue;
                }
            };
            for line in printed.lines() {
                let (hook, container) = (&hook.name, &container.name);
                tracing::info!(hook, pod = name, container, line, "printed by a hook");
                journal.printed(&json!({ "pod": name, "container": container, "line": line }));
            }
        }
    }
    problem
}
