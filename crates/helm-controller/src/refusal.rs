//! What is refused rather than done in another way than it was asked for.

use ferro_api::helm::HelmRelease;

/// What of the spec this version cannot do.
pub(crate) fn unsupported(release: &HelmRelease) -> Option<String> {
    let spec = &release.spec;
    let remote = spec.kube_config.as_ref();
    let cases = [(
        remote.is_some_and(|remote| remote.config_map_ref.is_some()),
        "spec.kubeConfig.configMapRef",
    )];
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
    }
}
