//! Which release a HelmRelease stands for, and what it consists of (`spec/helm.md` A.5, B.7).

use ferro_api::helm::{HelmRelease, ReleaseSnapshot};
use ferro_artifact::digest::Algorithm;
use kube::ResourceExt;
use serde_json::{Map, Value};

use crate::chart::ChartHead;
use crate::source::non_empty;

/// The longest name of a release.
const MAX_NAME: usize = 53;
/// Bytes of a longer name that are kept, and digits of its digest that tell it from others.
const SHORTENED: (usize, usize) = (40, 12);

/// Where a release is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the release.
    pub name: String,
    /// Where its objects are.
    pub namespace: String,
    /// Where its records are.
    pub storage_namespace: String,
}

impl Target {
    /// The target of a HelmRelease.
    #[must_use]
    pub fn of(release: &HelmRelease) -> Self {
        let spec = &release.spec;
        let own = release.namespace().unwrap_or_default();
        let target = non_empty(spec.target_namespace.as_deref());
        let name = match (non_empty(spec.release_name.as_deref()), target) {
            (Some(name), _) => name.to_owned(),
            (None, Some(target)) => format!("{target}-{}", release.name_any()),
            (None, None) => release.name_any(),
        };
        Self {
            name: shortened(name),
            namespace: target.unwrap_or(&own).to_owned(),
            storage_namespace: non_empty(spec.storage_namespace.as_deref())
                .unwrap_or(&own)
                .to_owned(),
        }
    }

    /// What differs between the release that there is, if there is one, and this one, so that the former has to go first.
    #[must_use]
    pub fn changed(&self, release: &HelmRelease, chart: &ChartHead, keeps_renamed: bool) -> Option<String> {
        let status = release.status.as_ref()?;
        let storage = status
            .storage_namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())?;
        let last = status.history.first()?;
        let differs = |what: &str, old: &str, new: &str| {
            (old != new).then(|| format!("{what} changed from '{old}' to '{new}'"))
        };
        differs("storage namespace", storage, &self.storage_namespace)
            .or_else(|| differs("release namespace", &last.namespace, &self.namespace))
            .or_else(|| differs("release name", &last.name, &self.name))
            .or_else(|| differs("chart name", &last.chart_name, &chart.name).filter(|_| !keeps_renamed))
    }

    /// The target of the release that there is.
    #[must_use]
    pub fn of_snapshot(snapshot: &ReleaseSnapshot, storage_namespace: &str) -> Self {
        Self {
            name: snapshot.name.clone(),
            namespace: snapshot.namespace.clone(),
            storage_namespace: storage_namespace.to_owned(),
        }
    }
}

fn shortened(name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    let digest = Algorithm::Sha256.digest(name.as_bytes());
    let kept = name.get(..SHORTENED.0).unwrap_or(&name);
    format!("{kept}-{}", digest.hex().get(..SHORTENED.1).unwrap_or_default())
}

/// What a release is to be made of.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Its chart.
    pub chart: ChartHead,
    /// Its values.
    pub values: Map<String, Value>,
    /// The digest of the values.
    pub config_digest: String,
}

impl Desired {
    /// The chart and its version: `<name>@<version>`.
    #[must_use]
    pub fn versioned_chart(&self) -> String {
        format!("{}@{}", self.chart.name, self.chart.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release(spec: Value, status: Value) -> HelmRelease {
        serde_json::from_value(json!({
            "metadata": { "name": "app", "namespace": "ns" }, "spec": spec, "status": status
        }))
        .unwrap()
    }

    #[test]
    fn names_are_those_of_upstream() {
        let name = |spec: Value| Target::of(&release(spec, json!({}))).name;
        assert_eq!(name(json!({})), "app");
        assert_eq!(name(json!({ "targetNamespace": "prod" })), "prod-app");
        assert_eq!(
            name(json!({ "targetNamespace": "prod", "releaseName": "x" })),
            "x"
        );
        let long = "a".repeat(60);
        let shortened = name(json!({ "releaseName": long }));
        assert_eq!(shortened.len(), 53);
        assert!(shortened.starts_with(&format!("{}-", "a".repeat(40))));
        let target = Target::of(&release(
            json!({ "targetNamespace": "prod", "storageNamespace": "s" }),
            json!({}),
        ));
        assert_eq!(
            (target.namespace.as_str(), target.storage_namespace.as_str()),
            ("prod", "s")
        );
    }

    #[test]
    fn changed_names_the_first_difference() {
        let chart = ChartHead {
            name: "podinfo".into(),
            version: "1.0.0".into(),
            app_version: String::new(),
            oci_digest: String::new(),
        };
        let history = json!([{ "name": "app", "namespace": "ns", "chartName": "podinfo", "version": 1 }]);
        let changed = |spec: Value, status: Value, keeps: bool| {
            let release = release(spec, status);
            Target::of(&release).changed(&release, &chart, keeps)
        };
        let status = json!({ "storageNamespace": "ns", "history": history });
        assert_eq!(changed(json!({}), status.clone(), false), None);
        assert_eq!(changed(json!({ "releaseName": "b" }), json!({}), false), None);
        assert_eq!(
            changed(json!({ "releaseName": "b" }), status, false).unwrap(),
            "release name changed from 'app' to 'b'"
        );
        let renamed = json!({ "storageNamespace": "ns",
            "history": [{ "name": "app", "namespace": "ns", "chartName": "old", "version": 1 }] });
        assert!(changed(json!({}), renamed.clone(), false).is_some());
        assert_eq!(changed(json!({}), renamed, true), None);
    }
}
