//! `kustomize.toolkit.fluxcd.io`: manifests applied to a cluster.

mod kustomization;

pub use self::kustomization::{
    BuildMetadataOption, Decryption, DecryptionProvider, DeletionPolicy, DriftIgnoreRule, HealthCheck,
    Kustomization, KustomizationSourceKind, KustomizationSourceReference, KustomizationSpec,
    KustomizationStatus, PostBuild, Snapshot, SubstituteReference, SubstituteSourceKind, SubstituteStrategy,
};
