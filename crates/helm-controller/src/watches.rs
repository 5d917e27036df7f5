//! What else than a HelmRelease itself asks for its reconcile (`spec/helm.md` B.9).

use ferro_api::helm::{HelmRelease, ValuesSourceKind};
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition};
use ferro_release::files::{files_of, has_files};
use ferro_runtime::configs::ConfigKind;
use ferro_runtime::controller::Triggers;
use ferro_runtime::sources::SourceId;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::source::source_of;

/// Has all reconciled that use `source`, unless they are at its artifact already.
pub(crate) fn source_changed(
    store: &Store<HelmRelease>,
    triggers: &Triggers<HelmRelease>,
    source: &SourceId,
    artifact: Option<&Artifact>,
) {
    for release in store.state() {
        let is_chart = source_of(&release).as_ref() == Some(source);
        if (is_chart && !(is_settled(&release) && is_at(&release, artifact)))
            || takes_values(&release, source)
        {
            triggers.supersede(ObjectRef::from_obj(release.as_ref()), source.to_string());
        }
    }
}

fn is_settled(release: &HelmRelease) -> bool {
    release.is_ready() || release.is_condition_true(condition::RECONCILING)
}

/// Whether a file of the source has values of the release.
fn takes_values(release: &HelmRelease, source: &SourceId) -> bool {
    has_files(release) && files_of(release).is_ok_and(|files| files.iter().any(|file| file.source == *source))
}

/// Whether the last attempt was with the artifact: by its digest where that is known, else by its revision.
fn is_at(release: &HelmRelease, artifact: Option<&Artifact>) -> bool {
    let (Some(artifact), Some(status)) = (artifact, release.status()) else {
        return false;
    };
    match &status.last_attempted_revision_digest {
        Some(digest) => artifact.revision.ends_with(digest.as_str()),
        None => status.last_attempted_revision.as_deref() == Some(&artifact.revision),
    }
}

/// Whether the spec reads the ConfigMap or Secret `name`.
pub(crate) fn refers_to(release: &HelmRelease, kind: ConfigKind, name: &str) -> bool {
    let spec = &release.spec;
    let remote = spec.kube_config.as_ref();
    let (wanted, config) = match kind {
        ConfigKind::ConfigMap => {
            let config = remote.and_then(|remote| remote.config_map_ref.as_ref());
            (ValuesSourceKind::ConfigMap, config.map(|config| &config.name))
        }
        ConfigKind::Secret => {
            let config = remote.and_then(|remote| remote.secret_ref.as_ref());
            (ValuesSourceKind::Secret, config.map(|config| &config.name))
        }
    };
    let mut values = spec.values_from.iter();
    config.is_some_and(|config| config == name) || values.any(|from| from.kind == wanted && from.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn is_at_compares_digests_where_they_are_known() {
        let release = |status: serde_json::Value| -> HelmRelease {
            serde_json::from_value(json!({ "status": status })).unwrap()
        };
        let artifact = |revision: &str| Artifact {
            revision: revision.into(),
            ..Artifact::default()
        };
        let tracked = release(
            json!({ "lastAttemptedRevision": "1.0.0+abc", "lastAttemptedRevisionDigest": "sha256:abc" }),
        );
        assert!(is_at(&tracked, Some(&artifact("1.0.0@sha256:abc"))));
        assert!(!is_at(&tracked, Some(&artifact("1.0.0@sha256:def"))));
        let plain = release(json!({ "lastAttemptedRevision": "1.0.0" }));
        assert!(is_at(&plain, Some(&artifact("1.0.0"))) && !is_at(&plain, None));
    }

    #[test]
    fn sources_of_files_with_values_are_known() {
        let release: HelmRelease = serde_json::from_value(
            json!({ "metadata": { "name": "a", "namespace": "n", "annotations": {
            "helm.toolkit.fluxcd.io/valuesFiles": "- {kind: Bucket, name: b, path: v}" } } }),
        )
        .unwrap();
        let id = |kind, namespace: &str| SourceId {
            kind,
            namespace: namespace.to_owned(),
            name: "b".to_owned(),
        };
        assert!(takes_values(&release, &id("Bucket", "n")));
        assert!(!takes_values(&release, &id("GitRepository", "n")));
        assert!(!takes_values(&release, &id("Bucket", "other")));
        assert!(!takes_values(&HelmRelease::default(), &id("Bucket", "n")));
    }

    #[test]
    fn refers_to_finds_every_reference() {
        let release: HelmRelease = serde_json::from_value(json!({ "spec": {
            "valuesFrom": [{ "kind": "Secret", "name": "a" }], "kubeConfig": { "secretRef": { "name": "remote" } }
        }}))
        .unwrap();
        assert!(
            refers_to(&release, ConfigKind::Secret, "a") && !refers_to(&release, ConfigKind::ConfigMap, "a")
        );
        assert!(refers_to(&release, ConfigKind::Secret, "remote"));
        assert!(!refers_to(&release, ConfigKind::ConfigMap, "remote"));
    }
}
