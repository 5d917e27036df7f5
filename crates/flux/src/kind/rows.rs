//! The kinds, one row each.

use ferro_api::helm::HelmRelease;
use ferro_api::image::{ImagePolicy, ImageRepository, ImageUpdateAutomation};
use ferro_api::kustomize::Kustomization;
use ferro_api::notification::{Alert, Provider, Receiver};
use ferro_api::source::{Bucket, ExternalArtifact, GitRepository, HelmChart, HelmRepository, OCIRepository};
use ferro_api::source_extensions::ArtifactGenerator;
use ferro_api::{Kind, annotation};
use kube::api::DynamicObject;

use super::cell::{
    MESSAGE, PLAIN, READY, REVISION, SHORT_MESSAGE, SHORT_REVISION, SOURCE, SUSPENDED, artifact_revision,
    field, release_revision, source,
};
use super::{Column, Group, KindRow, Readiness, Reference, typed};
use crate::object::ObjectExt as _;
use crate::text::{shorten_hashes, title_case};

/// Every kind, in the order of `get all`.
pub const KINDS: &[KindRow] = &[
    KindRow {
        info: OCIRepository::INFO,
        typed: typed::<OCIRepository>,
        label: "source oci",
        group: Some(Group::Source),
        words: &["oci"],
        columns: SOURCE,
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: fetched_revision,
        sources: None,
    },
    KindRow {
        info: Bucket::INFO,
        typed: typed::<Bucket>,
        label: "source bucket",
        group: Some(Group::Source),
        words: &["bucket"],
        columns: SOURCE,
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: fetched_revision,
        sources: None,
    },
    KindRow {
        info: GitRepository::INFO,
        typed: typed::<GitRepository>,
        label: "source git",
        group: Some(Group::Source),
        words: &["git"],
        columns: SOURCE,
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: fetched_revision,
        sources: None,
    },
    KindRow {
        info: HelmRepository::INFO,
        typed: typed::<HelmRepository>,
        label: "source helm",
        group: Some(Group::Source),
        words: &["helm"],
        columns: SOURCE,
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::StaticIf(|o| o.text("/spec/type") == "oci", "Helm repository is Ready"),
        achievement: fetched_revision,
        sources: None,
    },
    KindRow {
        info: HelmChart::INFO,
        typed: typed::<HelmChart>,
        label: "source chart",
        group: Some(Group::Source),
        words: &["chart"],
        columns: &[REVISION, SUSPENDED, READY, SHORT_MESSAGE],
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: fetched_revision,
        sources: Some(source_ref),
    },
    KindRow {
        info: ExternalArtifact::INFO,
        typed: typed::<ExternalArtifact>,
        label: "source external",
        group: Some(Group::Source),
        words: &["external"],
        columns: &[
            SHORT_REVISION,
            Column {
                name: "Source",
                cell: source,
            },
            READY,
            SHORT_MESSAGE,
        ],
        can_suspend: false,
        can_reconcile: false,
        readiness: Readiness::Reconciled,
        achievement: fetched_revision,
        sources: Some(source_ref),
    },
    KindRow {
        info: ImageRepository::INFO,
        typed: typed::<ImageRepository>,
        label: "image repository",
        group: Some(Group::Image),
        words: &["repository", "repositories"],
        columns: &[
            field!("Last scan", "/status/lastScanResult/scanTime"),
            SUSPENDED,
            READY,
            MESSAGE,
        ],
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: |o| {
            format!(
                "scan fetched {} tags",
                o.number("/status/lastScanResult/tagCount").unwrap_or(0)
            )
        },
        sources: None,
    },
    KindRow {
        info: ImagePolicy::INFO,
        typed: typed::<ImagePolicy>,
        label: "image policy",
        group: Some(Group::Image),
        words: &["policy", "policies"],
        columns: &[
            field!("Image", "/status/latestRef/name"),
            field!("Tag", "/status/latestRef/tag"),
            READY,
            MESSAGE,
        ],
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: selected_image,
        sources: None,
    },
    KindRow {
        info: ImageUpdateAutomation::INFO,
        typed: typed::<ImageUpdateAutomation>,
        label: "image update automation",
        group: Some(Group::Image),
        words: &["update", "updates"],
        columns: &[
            field!("Last run", "/status/lastAutomationRunTime"),
            SUSPENDED,
            READY,
            MESSAGE,
        ],
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: automation_result,
        sources: None,
    },
    KindRow {
        info: ArtifactGenerator::INFO,
        typed: typed::<ArtifactGenerator>,
        label: "artifact generator",
        group: Some(Group::Artifact),
        words: &["generator", "generators"],
        columns: &[
            Column {
                name: "Suspended",
                cell: |_, o| title_case(is_generator_disabled(o)).to_owned(),
            },
            READY,
            MESSAGE,
        ],
        can_suspend: false,
        can_reconcile: false,
        readiness: Readiness::Reconciled,
        achievement: |_| String::new(),
        sources: None,
    },
    KindRow {
        info: HelmRelease::INFO,
        typed: typed::<HelmRelease>,
        label: "helmrelease",
        group: None,
        words: &["helmrelease", "helmreleases", "hr"],
        columns: &[
            Column {
                name: "Revision",
                cell: |_, o| release_revision(o),
            },
            SUSPENDED,
            READY,
            MESSAGE,
        ],
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: |o| format!("applied revision {}", release_revision(o)),
        sources: Some(release_sources),
    },
    KindRow {
        info: Kustomization::INFO,
        typed: typed::<Kustomization>,
        label: "kustomization",
        group: None,
        words: &["kustomization", "kustomizations", "ks"],
        columns: &[
            Column {
                name: "Revision",
                cell: |_, o| shorten_hashes(o.text("/status/lastAppliedRevision")),
            },
            SUSPENDED,
            READY,
            SHORT_MESSAGE,
        ],
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: |o| format!("applied revision {}", o.text("/status/lastAppliedRevision")),
        sources: Some(source_ref),
    },
    KindRow {
        info: Receiver::INFO,
        typed: typed::<Receiver>,
        label: "receiver",
        group: None,
        words: &["receiver", "receivers"],
        columns: PLAIN,
        can_suspend: true,
        can_reconcile: true,
        readiness: Readiness::Reconciled,
        achievement: |_| "Receiver reconciliation completed".to_owned(),
        sources: None,
    },
    KindRow {
        info: Provider::INFO,
        typed: typed::<Provider>,
        label: "alert provider",
        group: None,
        words: &["alert-provider", "alert-providers"],
        columns: &[READY, MESSAGE],
        can_suspend: true,
        can_reconcile: false,
        readiness: Readiness::Static("Provider is Ready"),
        achievement: |_| "Provider reconciliation completed".to_owned(),
        sources: None,
    },
    KindRow {
        info: Alert::INFO,
        typed: typed::<Alert>,
        label: "alert",
        group: None,
        words: &["alert", "alerts"],
        columns: PLAIN,
        can_suspend: true,
        can_reconcile: false,
        readiness: Readiness::Static("Alert is Ready"),
        achievement: |_| "Alert reconciliation completed".to_owned(),
        sources: None,
    },
];

fn fetched_revision(object: &DynamicObject) -> String {
    format!("fetched revision {}", artifact_revision(object))
}

fn source_ref(object: &DynamicObject) -> Vec<Reference> {
    Reference::read(object, "/spec/sourceRef").into_iter().collect()
}

/// The source of a release's chart and, where it is made for the release, the HelmChart next to it.
fn release_sources(object: &DynamicObject) -> Vec<Reference> {
    if let Some(source) = Reference::read(object, "/spec/chartRef") {
        return vec![source];
    }
    let Some(source) = Reference::read(object, "/spec/chart/spec/sourceRef") else {
        return Vec::new();
    };
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let name = format!(
        "{}-{}",
        text(&object.metadata.namespace),
        text(&object.metadata.name)
    );
    let chart = Reference {
        kind: HelmChart::INFO.kind.to_owned(),
        namespace: source.namespace.clone(),
        name,
    };
    vec![source, chart]
}

fn selected_image(object: &DynamicObject) -> String {
    let text = |field: &str| object.text(&format!("/status/latestRef/{field}")).to_owned();
    let digest = text("digest");
    let digest = if digest.is_empty() {
        digest
    } else {
        format!("@{digest}")
    };
    format!("selected ref {}:{}{digest}", text("name"), text("tag"))
}

fn automation_result(object: &DynamicObject) -> String {
    match (object.ready(), object.text("/status/lastAutomationRunTime")) {
        (Some(ready), _) => ready.message.to_owned(),
        (None, "") => "automation not yet run".to_owned(),
        (None, time) => format!("last run {time}"),
    }
}

fn is_generator_disabled(object: &DynamicObject) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get(annotation::ARTIFACT_GENERATOR_RECONCILE))
        .is_some_and(|value| value.eq_ignore_ascii_case(annotation::DISABLED))
}
