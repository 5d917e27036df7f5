//! The kinds, and what their types do not say about them.

#![expect(
    clippy::indexing_slicing,
    reason = "the values are built here, and indexing them inserts"
)]

use serde_json::{Value, json};

use super::{Manifest, older, schema, yaml};
use crate::helm::{HelmRelease, HelmReleaseSpec, HelmReleaseStatus};
use crate::image::{
    ImagePolicy, ImagePolicySpec, ImagePolicyStatus, ImageRepository, ImageRepositorySpec,
    ImageRepositoryStatus, ImageUpdateAutomation, ImageUpdateAutomationSpec, ImageUpdateAutomationStatus,
};
use crate::kustomize::{Kustomization, KustomizationSpec, KustomizationStatus};
use crate::notification::{Alert, AlertSpec, Provider, ProviderSpec, Receiver, ReceiverSpec, ReceiverStatus};
use crate::object::{Kind, KindInfo};
use crate::source::{
    Bucket, BucketSpec, BucketStatus, ExternalArtifact, ExternalArtifactSpec, ExternalArtifactStatus,
    GitRepository, GitRepositorySpec, GitRepositoryStatus, HelmChart, HelmChartSpec, HelmChartStatus,
    HelmRepository, HelmRepositorySpec, HelmRepositoryStatus, OCIRepository, OCIRepositorySpec,
    OCIRepositoryStatus,
};
use crate::source_extensions::{ArtifactGenerator, ArtifactGeneratorSpec, ArtifactGeneratorStatus};
use crate::vocabulary::{annotation, controller, group, label};

/// A column of `kubectl get`.
struct Column {
    name: &'static str,
    path: &'static str,
    type_: &'static str,
    /// Columns of a priority above 0 are shown with `-o wide` only.
    priority: u8,
}

const fn column(name: &'static str, path: &'static str) -> Column {
    Column {
        name,
        path,
        type_: "string",
        priority: 0,
    }
}

const fn wide_column(name: &'static str, path: &'static str) -> Column {
    Column {
        name,
        path,
        type_: "string",
        priority: 1,
    }
}

const AGE: Column = Column {
    name: "Age",
    path: ".metadata.creationTimestamp",
    type_: "date",
    priority: 0,
};
const READY: Column = column("Ready", r#".status.conditions[?(@.type=="Ready")].status"#);
const STATUS: Column = column("Status", r#".status.conditions[?(@.type=="Ready")].message"#);
const URL: Column = column("URL", ".spec.url");

/// How a kind reports.
enum Status {
    /// It does not.
    None,
    /// Its status starts as "not reconciled yet", so that tools wait for the first reconcile.
    Observed(fn() -> Value),
    /// Its status starts empty.
    Plain(fn() -> Value),
}

/// An API kind as the API server needs to know it.
struct Definition {
    info: KindInfo,
    columns: &'static [Column],
    spec: fn() -> Value,
    status: Status,
    /// Whether post-build substitution must leave the CRD alone.
    is_substitution_disabled: bool,
    older: &'static [older::Version],
}

const DEFINITIONS: &[Definition] = &[
    Definition {
        info: HelmRelease::INFO,
        columns: &[AGE, READY, STATUS],
        spec: schema::of::<HelmReleaseSpec>,
        status: Status::Observed(schema::of::<HelmReleaseStatus>),
        is_substitution_disabled: true,
        older: older::HELM_RELEASE,
    },
    Definition {
        info: ImagePolicy::INFO,
        columns: &[
            column("Image", ".status.latestRef.name"),
            column("Tag", ".status.latestRef.tag"),
            READY,
            STATUS,
            AGE,
        ],
        spec: schema::of::<ImagePolicySpec>,
        status: Status::Observed(schema::of::<ImagePolicyStatus>),
        is_substitution_disabled: false,
        older: older::IMAGE_POLICY,
    },
    Definition {
        info: ImageRepository::INFO,
        columns: &[
            column("Image", ".spec.image"),
            column("Tags", ".status.lastScanResult.tagCount"),
            READY,
            STATUS,
            wide_column("Last scan", ".status.lastScanResult.scanTime"),
            AGE,
        ],
        spec: schema::of::<ImageRepositorySpec>,
        status: Status::Observed(schema::of::<ImageRepositoryStatus>),
        is_substitution_disabled: false,
        older: older::IMAGE_REPOSITORY,
    },
    Definition {
        info: ImageUpdateAutomation::INFO,
        columns: &[
            READY,
            STATUS,
            wide_column("Last run", ".status.lastAutomationRunTime"),
            AGE,
        ],
        spec: schema::of::<ImageUpdateAutomationSpec>,
        status: Status::Observed(schema::of::<ImageUpdateAutomationStatus>),
        is_substitution_disabled: true,
        older: older::IMAGE_UPDATE_AUTOMATION,
    },
    Definition {
        info: Kustomization::INFO,
        columns: &[AGE, READY, STATUS],
        spec: schema::of::<KustomizationSpec>,
        status: Status::Observed(schema::of::<KustomizationStatus>),
        is_substitution_disabled: true,
        older: older::KUSTOMIZATION,
    },
    Definition {
        info: Alert::INFO,
        columns: &[AGE],
        spec: schema::of::<AlertSpec>,
        status: Status::None,
        is_substitution_disabled: true,
        older: older::ALERT,
    },
    Definition {
        info: Provider::INFO,
        columns: &[AGE],
        spec: schema::of::<ProviderSpec>,
        status: Status::None,
        is_substitution_disabled: true,
        older: older::PROVIDER,
    },
    Definition {
        info: Receiver::INFO,
        columns: &[AGE, READY, STATUS],
        spec: schema::of::<ReceiverSpec>,
        status: Status::Observed(schema::of::<ReceiverStatus>),
        is_substitution_disabled: true,
        older: older::RECEIVER,
    },
    Definition {
        info: ArtifactGenerator::INFO,
        columns: &[AGE, READY, STATUS],
        spec: schema::of::<ArtifactGeneratorSpec>,
        status: Status::Plain(schema::of::<ArtifactGeneratorStatus>),
        is_substitution_disabled: true,
        older: &[],
    },
    Definition {
        info: Bucket::INFO,
        columns: &[column("Endpoint", ".spec.endpoint"), AGE, READY, STATUS],
        spec: schema::of::<BucketSpec>,
        status: Status::Observed(schema::of::<BucketStatus>),
        is_substitution_disabled: true,
        older: older::BUCKET,
    },
    Definition {
        info: ExternalArtifact::INFO,
        columns: &[AGE, READY, STATUS, column("Source", ".spec.sourceRef.name")],
        spec: schema::of::<ExternalArtifactSpec>,
        status: Status::Plain(schema::of::<ExternalArtifactStatus>),
        is_substitution_disabled: true,
        older: &[],
    },
    Definition {
        info: GitRepository::INFO,
        columns: &[URL, AGE, READY, STATUS],
        spec: schema::of::<GitRepositorySpec>,
        status: Status::Observed(schema::of::<GitRepositoryStatus>),
        is_substitution_disabled: true,
        older: older::GIT_REPOSITORY,
    },
    Definition {
        info: HelmChart::INFO,
        columns: &[
            column("Chart", ".spec.chart"),
            column("Version", ".spec.version"),
            column("Source Kind", ".spec.sourceRef.kind"),
            column("Source Name", ".spec.sourceRef.name"),
            AGE,
            READY,
            STATUS,
        ],
        spec: schema::of::<HelmChartSpec>,
        status: Status::Observed(schema::of::<HelmChartStatus>),
        is_substitution_disabled: true,
        older: older::HELM_CHART,
    },
    Definition {
        info: HelmRepository::INFO,
        columns: &[URL, AGE, READY, STATUS],
        spec: schema::of::<HelmRepositorySpec>,
        status: Status::Observed(schema::of::<HelmRepositoryStatus>),
        is_substitution_disabled: true,
        older: older::HELM_REPOSITORY,
    },
    Definition {
        info: OCIRepository::INFO,
        columns: &[URL, READY, STATUS, AGE],
        spec: schema::of::<OCIRepositorySpec>,
        status: Status::Observed(schema::of::<OCIRepositoryStatus>),
        is_substitution_disabled: true,
        older: older::OCI_REPOSITORY,
    },
];

/// Returns the CustomResourceDefinitions of every kind, ordered by group and name.
#[must_use]
pub fn definitions() -> Vec<Value> {
    DEFINITIONS.iter().map(Definition::crd).collect()
}

/// Returns the files of `config/crd`: one for each kind, and one that lists them.
#[must_use]
pub fn manifests() -> Vec<Manifest> {
    let file = |info: &KindInfo| format!("bases/{}_{}.yaml", info.group, info.plural);
    let mut manifests: Vec<_> = DEFINITIONS
        .iter()
        .map(|definition| Manifest {
            path: file(&definition.info),
            yaml: yaml::document(&definition.crd()),
        })
        .collect();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": manifests.iter().map(|manifest| manifest.path.as_str()).collect::<Vec<_>>(),
    });
    manifests.push(Manifest {
        path: "kustomization.yaml".to_owned(),
        yaml: yaml::document(&kustomization),
    });
    manifests
}

impl Definition {
    fn crd(&self) -> Value {
        let KindInfo {
            group,
            kind,
            plural,
            short_names,
            ..
        } = self.info;
        let mut names = json!({
            "categories": ["all", "fluxcd", category(group)],
            "kind": kind,
            "listKind": format!("{kind}List"),
            "plural": plural,
            "singular": self.info.singular(),
        });
        if !short_names.is_empty() {
            names["shortNames"] = json!(short_names);
        }
        let mut metadata = json!({
            "name": format!("{plural}.{group}"),
            "labels": {
                label::COMPONENT: component(&self.info),
                label::PART_OF: label::PART_OF_FLUX,
                label::VERSION: concat!("v", env!("CARGO_PKG_VERSION")),
            },
        });
        if self.is_substitution_disabled {
            metadata["annotations"] = json!({annotation::SUBSTITUTE: annotation::DISABLED});
        }
        let current = self.version(self.info.version, &self.schema(), true);
        let older = self.older.iter().map(|version| self.older_version(version));
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": {
                "group": group,
                "names": names,
                "scope": "Namespaced",
                "versions": std::iter::once(current).chain(older).collect::<Vec<_>>(),
            },
        })
    }

    fn schema(&self) -> Value {
        let status = match self.status {
            Status::None => None,
            Status::Plain(status) => Some(status()),
            Status::Observed(status) => {
                let mut status = status();
                status["default"] = json!({"observedGeneration": -1});
                Some(status)
            }
        };
        schema::of_kind(&self.info, (self.spec)(), status)
    }

    fn version(&self, name: &str, schema: &Value, is_current: bool) -> Value {
        let columns = self.columns.iter().map(|column| {
            let mut value = json!({"name": column.name, "jsonPath": column.path, "type": column.type_});
            if column.priority > 0 {
                value["priority"] = json!(column.priority);
            }
            value
        });
        let subresources = if matches!(self.status, Status::None) {
            json!({})
        } else {
            json!({"status": {}})
        };
        json!({
            "additionalPrinterColumns": columns.collect::<Vec<_>>(),
            "name": name,
            "schema": {"openAPIV3Schema": schema},
            "served": true,
            "storage": is_current,
            "subresources": subresources,
        })
    }

    fn older_version(&self, older: &older::Version) -> Value {
        let KindInfo {
            group,
            kind,
            version: current,
            ..
        } = self.info;
        let mut schema = self.schema();
        (older.extend)(&mut schema);
        let mut version = self.version(older.name, &schema, false);
        version["deprecated"] = json!(true);
        version["deprecationWarning"] = json!(format!(
            "{group}/{} {kind} is deprecated, upgrade to {current}",
            older.name
        ));
        version
    }
}

/// Returns the controller that brings a kind. `flux check`, `version` and `migrate` find CRDs by their labels.
fn component(info: &KindInfo) -> &'static str {
    match info.group {
        group::KUSTOMIZE => controller::KUSTOMIZE,
        group::HELM => controller::HELM,
        group::NOTIFICATION => controller::NOTIFICATION,
        group::IMAGE if info.kind == ImageUpdateAutomation::INFO.kind => controller::IMAGE_AUTOMATION,
        group::IMAGE => controller::IMAGE_REFLECTOR,
        group::SOURCE => controller::SOURCE,
        _ => controller::SOURCE_WATCHER,
    }
}

/// Returns the category that the kinds of a group share.
fn category(group: &str) -> &'static str {
    match group {
        group::KUSTOMIZE | group::HELM => "fluxcd-appliers",
        group::NOTIFICATION => "fluxcd-notifications",
        group::IMAGE => "fluxcd-images",
        _ => "fluxcd-sources",
    }
}
