//! What is refused rather than done in another way than it was asked for.

use ferro_api::helm::{HelmRelease, ServerSideApplyMode, WaitStrategyName};

/// What of the spec this version cannot do.
pub(crate) fn unsupported(release: &HelmRelease) -> Option<String> {
    let spec = &release.spec;
    let upgrade = spec.upgrade.as_ref();
    let disabled = |mode: Option<ServerSideApplyMode>| mode == Some(ServerSideApplyMode::Disabled);
    let renderers = || {
        spec.post_renderers
            .iter()
            .filter_map(|renderer| renderer.kustomize.as_ref())
    };
    let cases = [
        (
            spec.kube_config
                .as_ref()
                .is_some_and(|remote| remote.config_map_ref.is_some()),
            "spec.kubeConfig.configMapRef",
        ),
        (
            spec.wait_strategy
                .as_ref()
                .is_some_and(|strategy| strategy.name == WaitStrategyName::Legacy),
            "spec.waitStrategy.name 'legacy'",
        ),
        (
            spec.install
                .as_ref()
                .is_some_and(|install| install.server_side_apply == Some(false)),
            "spec.install.serverSideApply false",
        ),
        (
            upgrade.is_some_and(|upgrade| disabled(upgrade.server_side_apply)),
            "spec.upgrade.serverSideApply 'disabled'",
        ),
        (
            spec.rollback
                .as_ref()
                .is_some_and(|rollback| disabled(rollback.server_side_apply)),
            "spec.rollback.serverSideApply 'disabled'",
        ),
        (
            upgrade.is_some_and(|upgrade| upgrade.preserve_values),
            "spec.upgrade.preserveValues",
        ),
        (
            renderers().any(|kustomize| {
                !kustomize.patches_json6902.is_empty() || !kustomize.patches_strategic_merge.is_empty()
            }),
            "patchesJson6902 and patchesStrategicMerge of spec.postRenderers",
        ),
    ];
    let found = cases.into_iter().find(|(is_used, _)| *is_used);
    found.map(|(_, what)| format!("{what} is not supported by this version; the release is left as it is"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn unsupported_names_the_field() {
        let refused = |spec: Value| {
            let release: HelmRelease = serde_json::from_value(json!({ "spec": spec })).unwrap();
            unsupported(&release)
        };
        assert_eq!(refused(json!({})), None);
        assert_eq!(
            refused(json!({ "waitStrategy": { "name": "poller" }, "driftDetection": {} })),
            None
        );
        assert_eq!(
            refused(json!({ "kubeConfig": { "secretRef": { "name": "a" } } })),
            None
        );
        assert_eq!(
            refused(json!({ "kubeConfig": { "configMapRef": { "name": "a" } } })).unwrap(),
            "spec.kubeConfig.configMapRef is not supported by this version; the release is left as it is"
        );
        for spec in [
            json!({ "waitStrategy": { "name": "legacy" } }),
            json!({ "install": { "serverSideApply": false } }),
            json!({ "upgrade": { "serverSideApply": "disabled" } }),
            json!({ "rollback": { "serverSideApply": "disabled" } }),
            json!({ "upgrade": { "preserveValues": true } }),
            json!({ "postRenderers": [{ "kustomize": { "patchesStrategicMerge": [{}] } }] }),
        ] {
            assert!(refused(spec.clone()).is_some(), "{spec}");
        }
    }
}
