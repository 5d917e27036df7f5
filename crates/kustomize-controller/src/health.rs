//! Waiting until what was applied is healthy (`spec/kustomize-and-notification.md` part G).

use std::collections::BTreeSet;
use std::sync::Arc;

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::{Artifact, Duration};
use ferro_api::{FluxObject, condition, reason};
use ferro_apply::ignore::RuleSpec;
use ferro_apply::{ChangeSet, Cluster, Entry, ObjectId, WaitError, WaitOptions};
use ferro_kstatus::{HealthExpr, HealthExprs};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use kube::ResourceExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::mask::Mask;
use crate::notice::of_artifact;
use crate::stop::Stop;

/// What is to be checked: all that was applied, or what the spec names; never the Kustomization itself. None if there is nothing to check.
pub(crate) fn targets(kustomization: &Kustomization, changes: &ChangeSet) -> Option<Vec<Entry>> {
    let spec = &kustomization.spec;
    let mut entries: Vec<Entry> = if spec.wait {
        let managed: BTreeSet<&ObjectId> = changes.managed().collect();
        changes
            .entries()
            .into_iter()
            .filter(|entry| managed.contains(&entry.id))
            .collect()
    } else if spec.health_checks.is_empty() {
        return None;
    } else {
        spec.health_checks.iter().map(named).collect()
    };
    let own = (
        kustomization.namespace().unwrap_or_default(),
        kustomization.name_any(),
    );
    entries.retain(|Entry { id, .. }| {
        id.kind != Kustomization::KIND || (&id.namespace, &id.name) != (&own.0, &own.1)
    });
    (!entries.is_empty()).then_some(entries)
}

fn named(check: &ferro_api::kustomize::HealthCheck) -> Entry {
    let api_version = check.api_version_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let id = ObjectId {
        group: group.to_owned(),
        kind: check.kind.clone(),
        namespace: check.namespace.clone().unwrap_or_default(),
        name: check.name.clone(),
    };
    Entry {
        id,
        version: version.to_owned(),
    }
}

/// What a check needs besides the targets.
pub(crate) struct Check<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) exprs: &'a Arc<HealthExprs>,
    pub(crate) fail_fast: bool,
    pub(crate) artifact: &'a Artifact,
    /// Jobs of the build that vanish by themselves when done.
    pub(crate) vanishing: Vec<ObjectId>,
    /// Whether this run changed anything.
    pub(crate) changed: bool,
    /// Cuts the check short.
    pub(crate) cancel: &'a CancellationToken,
    /// What errors must not show.
    pub(crate) mask: &'a Mask,
}

/// A check did not pass.
pub(crate) enum CheckError {
    /// Something is not healthy.
    Failed(Stop),
    /// It was cut short.
    Cancelled,
}

/// Waits for `targets`; sets the Healthy condition.
pub(crate) async fn check(
    pass: &mut Pass<Kustomization>,
    targets: Option<Vec<Entry>>,
    check: Check<'_>,
) -> Result<(), CheckError> {
    let Some(targets) = targets else {
        conditions::delete(&mut pass.object, condition::HEALTHY);
        return Ok(());
    };
    let timeout = pass.object.spec.timeout_or_default();
    let revision = &check.artifact.revision;
    let was_healthy = pass.object.is_condition_true(condition::HEALTHY);
    let applied = pass
        .object
        .status()
        .and_then(|status| status.last_applied_revision.clone());
    let message = format!("Running health checks for revision {revision} with a timeout of {timeout}");
    pass.progress(&message);
    if !was_healthy {
        conditions::mark_unknown(
            &mut pass.object,
            condition::HEALTHY,
            reason::PROGRESSING,
            &message,
        );
        pass.publish();
    }
    let options = WaitOptions {
        timeout: timeout.to_std(),
        fail_fast: check.fail_fast,
        exprs: Arc::clone(check.exprs),
        cancel: check.cancel.clone(),
        vanishing: check.vanishing,
    };
    let started = Instant::now();
    let outcome = check.cluster.wait(&targets, &options).await;
    let took = Duration::from(started.elapsed());
    match outcome {
        Ok(()) => {
            let message = format!("Health check passed in {took}");
            let news = !was_healthy || (applied.as_deref() != Some(revision) && check.changed);
            if news {
                conditions::mark_true(&mut pass.object, condition::HEALTHY, reason::SUCCEEDED, &message);
                let reason = pass.ready_reason(Severity::Info);
                pass.event(Severity::Info, &reason, &message, of_artifact(check.artifact));
            } else {
                renew(&mut pass.object);
            }
            Ok(())
        }
        Err(WaitError::Cancelled) => Err(CheckError::Cancelled),
        Err(error) => {
            let message = check.mask.hide(error.to_string());
            conditions::mark_false(
                &mut pass.object,
                condition::HEALTHY,
                reason::HEALTH_CHECK_FAILED,
                &message,
            );
            Err(CheckError::Failed(Stop::failed(
                reason::HEALTH_CHECK_FAILED,
                format!("health check failed after {took}: {message}"),
            )))
        }
    }
}

/// Healthy still holds, for this generation too.
fn renew(kustomization: &mut Kustomization) {
    let known = kustomization.condition(condition::HEALTHY);
    let known = known.map(|healthy| (healthy.reason.clone(), healthy.message.clone()));
    if let Some((reason, message)) = known {
        conditions::mark_true(kustomization, condition::HEALTHY, &reason, &message);
    }
}

/// The Jobs among `objects` that clean up after themselves.
pub(crate) fn vanishing(objects: &[ferro_apply::Object]) -> Vec<ObjectId> {
    let vanishes = |object: &&ferro_apply::Object| {
        object.id().kind == "Job"
            && object.id().group == "batch"
            && object
                .value()
                .pointer("/spec/ttlSecondsAfterFinished")
                .is_some_and(|ttl| !ttl.is_null())
    };
    objects
        .iter()
        .filter(vanishes)
        .map(|object| object.id().clone())
        .collect()
}

/// A health expression of the spec.
pub(crate) fn expression(check: &ferro_api::meta::CustomHealthCheck) -> HealthExpr<'_> {
    HealthExpr {
        api_version: &check.api_version,
        kind: check.kind.as_deref().unwrap_or_default(),
        current: &check.current,
        in_progress: check.in_progress.as_deref().filter(|text| !text.is_empty()),
        failed: check.failed.as_deref().filter(|text| !text.is_empty()),
    }
}

/// A rule of `spec.ignore`.
pub(crate) fn ignore_rule(rule: &ferro_api::kustomize::DriftIgnoreRule) -> RuleSpec {
    let target = rule.target.as_ref().map(|target| ferro_apply::ignore::Selector {
        group: target.group.clone(),
        version: target.version.clone(),
        kind: target.kind.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        label_selector: target.label_selector.clone(),
        annotation_selector: target.annotation_selector.clone(),
    });
    RuleSpec {
        target,
        paths: rule.paths.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_apply::Action;

    fn kustomization(spec: &serde_json::Value) -> Kustomization {
        serde_json::from_value(
            serde_json::json!({ "metadata": { "name": "self", "namespace": "ns" }, "spec": spec }),
        )
        .unwrap()
    }

    fn entry(group: &str, kind: &str, name: &str) -> Entry {
        let id = ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: "ns".into(),
            name: name.into(),
        };
        Entry {
            id,
            version: "v1".into(),
        }
    }

    #[test]
    fn targets_with_wait_are_all_but_skipped_objects_and_itself() {
        let mut changes = ChangeSet::default();
        changes.push(entry("apps", "Deployment", "a"), Action::Unchanged);
        changes.push(entry("apps", "Deployment", "b"), Action::Skipped);
        changes.push(
            entry("kustomize.toolkit.fluxcd.io", "Kustomization", "self"),
            Action::Created,
        );
        let waiting = targets(&kustomization(&serde_json::json!({ "wait": true })), &changes).unwrap();
        assert_eq!(waiting, [entry("apps", "Deployment", "a")]);
        let nothing = targets(
            &kustomization(&serde_json::json!({ "wait": true })),
            &ChangeSet::default(),
        );
        assert_eq!(nothing, None);
        assert_eq!(targets(&kustomization(&serde_json::json!({})), &changes), None);
    }

    #[test]
    fn targets_named_in_the_spec_default_to_apps() {
        let spec =
            serde_json::json!({ "healthChecks": [{ "kind": "Deployment", "name": "a", "namespace": "ns" }] });
        assert_eq!(
            targets(&kustomization(&spec), &ChangeSet::default()).unwrap(),
            [entry("apps", "Deployment", "a")]
        );
    }
}
