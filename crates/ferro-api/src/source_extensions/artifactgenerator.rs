//! `ArtifactGenerator`.

use kube_core::ResourceExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::cel;
use crate::macros::{flux_object, kind, string_enum};
use crate::meta::{CommonMetadata, Condition, Duration};
use crate::object::FluxStatus;
use crate::vocabulary::{annotation, condition, group};

kind! {
    /// A recipe that makes ExternalArtifacts out of files of one or more sources.
    ArtifactGenerator {
        group: group::SOURCE_EXTENSIONS,
        version: "v1beta1",
        plural: "artifactgenerators",
        short_names: ["ag"],
        spec: ArtifactGeneratorSpec,
        status: ArtifactGeneratorStatus,
    }
}
flux_object!(
    ArtifactGenerator,
    ArtifactGeneratorStatus,
    interval: |_| Some(ArtifactGenerator::INTERVAL),
    suspend: |o| {
        let value = o.annotations().get(annotation::ARTIFACT_GENERATOR_RECONCILE);
        value.is_some_and(|value| value.eq_ignore_ascii_case(annotation::DISABLED))
    }
);

impl ArtifactGenerator {
    /// The time between two reconciles, which is not configurable.
    pub const INTERVAL: Duration = Duration::from_mins(60);
}

string_enum! {
    /// Kinds of sources.
    pub enum ArtifactGeneratorSourceKind {
        /// A bucket.
        Bucket = "Bucket",
        /// A Git repository.
        #[default]
        GitRepository = "GitRepository",
        /// An OCI artifact.
        OCIRepository = "OCIRepository",
        /// A Helm chart.
        HelmChart = "HelmChart",
        /// An artifact made by another controller.
        ExternalArtifact = "ExternalArtifact",
    }
}

string_enum! {
    /// What happens where the destination exists.
    pub enum CopyStrategy {
        /// It is replaced.
        #[default]
        Overwrite = "Overwrite",
        /// YAML files are merged into it.
        Merge = "Merge",
        /// An archive is unpacked over it.
        Extract = "Extract",
    }
}

/// Which sources are used, and what is made of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[(
    r"has(self.pathPattern) && size(self.pathPattern) > 0 || self.artifacts.all(a, a.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))",
    "artifact names must be valid Kubernetes object names when pathPattern is not set",
)])))]
pub struct ArtifactGeneratorSpec {
    /// The artifacts to make.
    #[schemars(extend("minItems" = 1, "maxItems" = 1000))]
    pub artifacts: Vec<OutputArtifact>,
    /// Labels and annotations for every ExternalArtifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Directories of a source, as `@alias/path/{name}`; each one that matches gives its own artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 1024, "pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)/(.*)$"))]
    pub path_pattern: Option<String>,
    /// The sources to use.
    #[schemars(extend("minItems" = 1, "maxItems" = 1000))]
    pub sources: Vec<SourceReference>,
}

/// A source, and what it is called in the recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SourceReference {
    /// What the source is called in the recipe; no two may be called the same.
    #[schemars(extend("maxLength" = 63, "pattern" = "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"))]
    pub alias: String,
    /// Kind of the source.
    pub kind: ArtifactGeneratorSourceKind,
    /// Name of the source.
    #[schemars(extend("maxLength" = 253, "pattern" = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the source; without it, the namespace of the generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63, "pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
}

/// An artifact to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct OutputArtifact {
    /// What goes into the artifact, one step after the other.
    #[schemars(extend("minItems" = 1))]
    pub copy: Vec<CopyOperation>,
    /// Name of the ExternalArtifact.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// The source, as `@alias`, whose origin is given as that of the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64, "pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)$"))]
    pub origin_revision: Option<String>,
    /// The source, as `@alias`, whose revision is used for the artifact; without it, the revision is
    /// made from the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64, "pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)$"))]
    pub revision: Option<String>,
}

/// One step: files of a source, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CopyOperation {
    /// Patterns of files to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 100))]
    pub exclude: Vec<String>,
    /// What to copy, as `@alias/path`, where the path may have wildcards.
    #[schemars(extend(
        "minLength" = 1, "maxLength" = 1024, "pattern" = "^@([a-z0-9]([a-z0-9_-]*[a-z0-9])?)/(.*)$"
    ))]
    pub from: String,
    /// What happens where the destination exists: Overwrite (the default), Merge (for YAML files) or
    /// Extract (for archives).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<CopyStrategy>,
    /// Where it goes, as `@artifact/path`.
    #[schemars(extend("minLength" = 1, "maxLength" = 1024, "pattern" = "^@(artifact)/(.*)$"))]
    pub to: String,
}

/// What was last made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ArtifactGeneratorStatus {
    /// What is known about the generator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The ExternalArtifacts that were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<ExternalArtifactReference>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Digest of the sources that were used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_sources_digest: Option<String>,
}

impl FluxStatus for ArtifactGeneratorStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn conditions_mut(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    /// Returns the generation that the condition Ready speaks of: the status has no field for it.
    fn observed_generation(&self) -> Option<i64> {
        self.conditions
            .iter()
            .find(|c| c.type_ == condition::READY)?
            .observed_generation
    }

    fn set_observed_generation(&mut self, _: i64) {}

    fn last_handled_reconcile_at(&self) -> Option<&str> {
        self.last_handled_reconcile_at.as_deref()
    }

    fn set_last_handled_reconcile_at(&mut self, token: &str) {
        self.last_handled_reconcile_at = Some(token.to_owned());
    }
}

/// An ExternalArtifact that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExternalArtifactReference {
    /// Digest of the file, as `<algorithm>:<checksum>`.
    pub digest: String,
    /// Name of the file.
    pub filename: String,
    /// Name of the ExternalArtifact.
    pub name: String,
    /// Namespace of the ExternalArtifact.
    pub namespace: String,
}
