//! The sources that Kustomizations refer to.

use ferro_api::kustomize::{Kustomization, KustomizationSourceKind};
use ferro_runtime::sources::{Source, SourceId, SourceKind};
use kube::ResourceExt;

/// The kinds of sources.
pub(crate) const KINDS: [SourceKind; 4] = [
    kind(KustomizationSourceKind::GitRepository, "gitrepositories"),
    kind(KustomizationSourceKind::OCIRepository, "ocirepositories"),
    kind(KustomizationSourceKind::Bucket, "buckets"),
    kind(KustomizationSourceKind::ExternalArtifact, "externalartifacts"),
];

const fn kind(kind: KustomizationSourceKind, plural: &'static str) -> SourceKind {
    SourceKind {
        kind: kind.as_str(),
        plural,
    }
}

/// Whether a source is ready is not asked, so that one that fails keeps its last artifact in use
/// (`spec/kustomize-and-notification.md` B.7).
pub(crate) fn unready(_kind: &str, _source: &Source) -> Option<String> {
    None
}

/// The source of a Kustomization.
pub(crate) fn source_of(kustomization: &Kustomization) -> SourceId {
    let source = &kustomization.spec.source_ref;
    let named = source.namespace.clone().filter(|namespace| !namespace.is_empty());
    SourceId {
        kind: source.kind.as_str(),
        namespace: named.unwrap_or_else(|| kustomization.namespace().unwrap_or_default()),
        name: source.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_of_a_kustomization_defaults_to_its_namespace() {
        let kustomization: Kustomization = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "apps", "namespace": "team" },
            "spec": { "sourceRef": { "kind": "Bucket", "name": "b" } }
        }))
        .unwrap();
        assert_eq!(source_of(&kustomization).to_string(), "Bucket/team/b");
    }
}
