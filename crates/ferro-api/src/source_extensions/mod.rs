//! `source.extensions.fluxcd.io`: artifacts composed of several sources.

mod artifactgenerator;

pub use self::artifactgenerator::{
    ArtifactGenerator, ArtifactGeneratorSourceKind, ArtifactGeneratorSpec, ArtifactGeneratorStatus,
    CopyOperation, CopyStrategy, ExternalArtifactReference, OutputArtifact, SourceReference,
};
