//! The objects whose artifacts are charts: HelmCharts, OCIRepositories, ExternalArtifacts (`spec/helm.md` B.2, B.3), and those whose
//! artifacts have files with values.

use ferro_api::condition;
use ferro_api::helm::{ChartRefKind, HelmChartTemplate, HelmRelease};
use ferro_api::meta::ConditionStatus;
use ferro_runtime::sources::{Source, SourceId, SourceKind};
use kube::ResourceExt;

/// The HelmCharts that are made for releases.
pub const CHART: SourceKind = kind(ChartRefKind::HelmChart, "helmcharts");

/// The kinds of sources that have charts.
pub const KINDS: [SourceKind; 3] = [CHART, OCI, EXTERNAL_ARTIFACT];

/// The kinds of sources that have files with values.
pub const FILE_KINDS: [SourceKind; 4] = [GIT, OCI, BUCKET, EXTERNAL_ARTIFACT];

/// All of them.
pub const ALL_KINDS: [SourceKind; 5] = [CHART, OCI, EXTERNAL_ARTIFACT, GIT, BUCKET];

const OCI: SourceKind = kind(ChartRefKind::OCIRepository, "ocirepositories");
const EXTERNAL_ARTIFACT: SourceKind = kind(EXTERNAL, "externalartifacts");
const GIT: SourceKind = SourceKind {
    kind: "GitRepository",
    plural: "gitrepositories",
};
const BUCKET: SourceKind = SourceKind {
    kind: "Bucket",
    plural: "buckets",
};

const EXTERNAL: ChartRefKind = ChartRefKind::ExternalArtifact;

const fn kind(kind: ChartRefKind, plural: &'static str) -> SourceKind {
    SourceKind {
        kind: kind.as_str(),
        plural,
    }
}

/// The name of the HelmChart of a release.
#[must_use]
pub fn chart_name(release: &HelmRelease) -> String {
    format!(
        "{}-{}",
        release.namespace().unwrap_or_default(),
        release.name_any()
    )
}

/// The namespace of the HelmChart of a release, which is that of the chart's source.
#[must_use]
pub fn chart_namespace(release: &HelmRelease, template: &HelmChartTemplate) -> String {
    let named = non_empty(template.spec.source_ref.namespace.as_deref());
    named.map_or_else(|| release.namespace().unwrap_or_default(), str::to_owned)
}

/// The source of a release; none if its spec names none, or two.
#[must_use]
pub fn source_of(release: &HelmRelease) -> Option<SourceId> {
    let own = release.namespace().unwrap_or_default();
    match (&release.spec.chart, &release.spec.chart_ref) {
        (None, Some(reference)) => Some(SourceId {
            kind: reference.kind.as_str(),
            namespace: non_empty(reference.namespace.as_deref()).map_or(own, str::to_owned),
            name: reference.name.clone(),
        }),
        (Some(template), None) => Some(SourceId {
            kind: CHART.kind,
            namespace: chart_namespace(release, template),
            name: chart_name(release),
        }),
        _ => None,
    }
}

/// A text that is there and not empty.
#[must_use]
pub fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Why a source cannot be used, if it cannot.
#[must_use]
pub fn unready(kind: &str, source: &Source) -> Option<String> {
    let (status, generation) = (&source.status, source.metadata.generation.unwrap_or_default());
    let found = |type_: &str, wanted| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_);
        found.filter(|condition| condition.status == wanted)
    };
    // Whoever makes these keeps no conditions that could be relied on.
    if kind != EXTERNAL.as_str() {
        if status.observed_generation != Some(generation) {
            let told = found(condition::READY, ConditionStatus::False).map(|ready| ready.message.clone());
            let untold = "latest generation of object has not been reconciled";
            return Some(told.unwrap_or_else(|| untold.to_owned()));
        }
        if let Some(stalled) = found(condition::STALLED, ConditionStatus::True) {
            return Some(stalled.message.clone());
        }
    }
    status
        .artifact
        .is_none()
        .then(|| "does not have an artifact".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn old_artifact_of_a_failing_source_is_used_once_the_source_has_seen_its_spec() {
        let artifact = json!({ "revision": "1.0.0", "digest": "sha256:a", "url": "u", "path": "p", "lastUpdateTime": "2026-01-01T00:00:00Z" });
        let failing = json!([{ "type": "Ready", "status": "False", "reason": "X", "message": "no route", "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
        let standing = |kind: ChartRefKind, status: Value| {
            let source =
                json!({ "metadata": { "name": "a", "namespace": "n", "generation": 2 }, "status": status });
            unready(kind.as_str(), &serde_json::from_value(source).unwrap())
        };
        let chart = |status: Value| standing(ChartRefKind::HelmChart, status);
        assert_eq!(
            chart(json!({ "artifact": artifact, "conditions": failing, "observedGeneration": 2 })),
            None
        );
        assert_eq!(
            chart(json!({ "artifact": artifact, "conditions": failing, "observedGeneration": 1 })).unwrap(),
            "no route"
        );
        assert_eq!(
            chart(json!({ "artifact": artifact, "observedGeneration": 1 })).unwrap(),
            "latest generation of object has not been reconciled"
        );
        assert_eq!(
            chart(json!({ "observedGeneration": 2 })).unwrap(),
            "does not have an artifact"
        );
        assert_eq!(standing(EXTERNAL, json!({ "artifact": artifact })), None);
    }
}
