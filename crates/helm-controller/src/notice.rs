//! The metadata of events about a HelmRelease (`spec/helm.md` D.2).

use std::collections::BTreeMap;

use ferro_api::helm::ReleaseSnapshot;
use ferro_api::{event, group};

use crate::release::Desired;

fn metadata(revision: &str, token: &str, app_version: &str, oci_digest: &str) -> BTreeMap<String, String> {
    let entries = [
        (event::REVISION, revision),
        (event::TOKEN, token),
        (event::APP_VERSION, app_version),
        (event::OCI_DIGEST, oci_digest),
    ];
    let entries = entries.into_iter().filter(|(_, value)| !value.is_empty());
    entries
        .map(|(key, value)| (format!("{}/{key}", group::HELM), value.to_owned()))
        .collect()
}

/// Of a revision that there is.
pub(crate) fn of_snapshot(snapshot: &ReleaseSnapshot) -> BTreeMap<String, String> {
    metadata(
        &snapshot.chart_version,
        &snapshot.config_digest,
        snapshot.app_version.as_deref().unwrap_or_default(),
        snapshot.oci_digest.as_deref().unwrap_or_default(),
    )
}

/// Of a revision that was to be.
pub(crate) fn of_desired(desired: &Desired) -> BTreeMap<String, String> {
    let chart = &desired.chart;
    metadata(
        &chart.version,
        &desired.config_digest,
        &chart.app_version,
        &chart.oci_digest,
    )
}

/// Of a revision that was gone back to, with the values that were to be.
pub(crate) fn of_remediation(previous: &ReleaseSnapshot, desired: &Desired) -> BTreeMap<String, String> {
    metadata(
        &previous.chart_version,
        &desired.config_digest,
        previous.app_version.as_deref().unwrap_or_default(),
        previous.oci_digest.as_deref().unwrap_or_default(),
    )
}
