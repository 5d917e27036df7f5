//! Where a release stands (`spec/helm.md` C.1), and what is to be done about it (C.3).

use ferro_api::FluxObject;
use ferro_api::helm::{DriftDetectionMode, HelmRelease, ReleaseAction, ReleaseSnapshot, RemediationStrategy};
use ferro_artifact::digest::{Algorithm, Digest};
use ferro_helm::record::{Record, Status};
use ferro_helm::values::coalesce_tables;

use crate::conditions::{common_metadata_digest, post_renderers_digest};
use crate::release::Desired;
use crate::snapshot::{self, Mismatch};
use crate::strategy::Strategies;
use crate::values;

/// Where a release stands, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    InSync,
    Locked(String),
    Absent(String),
    Unmanaged(String),
    OutOfSync(String),
    /// The record is as it should be, the cluster is not.
    Drifted,
    Untested,
    Failed(String),
}

/// Determines where a release stands from its newest record.
pub(crate) fn determine(
    release: &HelmRelease,
    last: Option<&Record>,
    desired: &Desired,
    strategies: Strategies,
) -> Result<State, String> {
    let Some(record) = last else {
        return Ok(State::Absent("no release in storage for object".to_owned()));
    };
    let status = &record.info.status;
    // An uninstall whose process has ended is no different from the other actions.
    if status.is_pending() || *status == Status::Uninstalling {
        return Ok(State::Locked(format!("release with status '{status}'")));
    }
    let Some(known) = release.status().and_then(|status| status.history.first()) else {
        return Ok(match status {
            Status::Uninstalled => State::Absent("found uninstalled release in storage".to_owned()),
            _ => State::Unmanaged("found existing release in storage".to_owned()),
        });
    };
    if let Err(mismatch) = snapshot::verify(known, record) {
        return Ok(State::Unmanaged(mismatch.to_string()));
    }
    match status {
        Status::Failed => Ok(State::Failed("release is in a failed state".to_owned())),
        Status::Uninstalled => Ok(State::Absent("release is uninstalled".to_owned())),
        Status::Deployed => Ok(deployed(release, record, known, desired, strategies)),
        other => Err(format!(
            "unable to determine state for release with status '{other}'"
        )),
    }
}

fn deployed(
    release: &HelmRelease,
    record: &Record,
    known: &ReleaseSnapshot,
    desired: &Desired,
    strategies: Strategies,
) -> State {
    let out_of_sync = |why: &str| State::OutOfSync(why.to_owned());
    let metadata = record.chart.metadata();
    if metadata.name != desired.chart.name || metadata.version != desired.chart.version {
        return out_of_sync("release chart changed");
    }
    let preserves = release
        .spec
        .upgrade
        .as_ref()
        .is_some_and(|upgrade| upgrade.preserve_values);
    let adds_nothing = || {
        let together = coalesce_tables(&values::stored(&desired.values), &record.config, &mut Vec::new());
        together.is_ok_and(|together| together == record.config)
    };
    // Values that are kept from before make the digest another one for good; upstream then upgrades again and again.
    let has_values = values::matches(&desired.values, &known.config_digest) || (preserves && adds_nothing());
    if !has_values {
        return out_of_sync("release config values changed");
    }
    if release.observed_generation() != release.metadata.generation {
        let status = release.status();
        let observed = status.and_then(|status| status.observed_post_renderers_digest.as_deref());
        if !is_same(observed, |algorithm| {
            post_renderers_digest(&release.spec.post_renderers, algorithm)
        }) {
            return out_of_sync("postrenderers digest has changed");
        }
        let observed = status.and_then(|status| status.observed_common_metadata_digest.as_deref());
        let common = release.spec.common_metadata.as_ref();
        if !is_same(observed, |algorithm| common_metadata_digest(common, algorithm)) {
            return out_of_sync("common metadata digest has changed");
        }
    }
    if release.spec.test.as_ref().is_some_and(|test| test.enable) {
        if !snapshot::is_tested(known) {
            return State::Untested;
        }
        let remediates = strategies.active_remediation(release).is_some();
        if remediates && !strategies.ignores_test_failures(release) && snapshot::has_failed_test(known) {
            return State::Failed("release has test in failed phase".to_owned());
        }
    }
    State::InSync
}

/// Whether what was observed is still so, by whatever algorithm it was noted.
fn is_same(observed: Option<&str>, wanted: impl Fn(Algorithm) -> Option<String>) -> bool {
    let observed = observed.filter(|digest| !digest.is_empty());
    let algorithm = observed.and_then(|digest| digest.parse::<Digest>().ok());
    let algorithm = algorithm.map_or(Algorithm::Sha256, |digest| digest.algorithm());
    wanted(algorithm).as_deref() == observed
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Nothing,
    Unlock,
    Install,
    Upgrade,
    CorrectDrift,
    Test,
    Rollback(Box<ReleaseSnapshot>),
    UninstallRemediation,
}

/// Why nothing is done although the release is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Hopeless {
    /// It has failed too often.
    #[error("exceeded maximum retries: {0}")]
    Exhausted(&'static str),
    /// There is no revision to go back to.
    #[error("missing target release for rollback: cannot remediate failed release")]
    NoWayBack,
}

/// Decides what is to be done. `verify` tells whether the record of a revision is still the one that it was.
pub(crate) fn decide(
    state: &State,
    release: &mut HelmRelease,
    forced: bool,
    strategies: Strategies,
) -> Result<Step, Hopeless> {
    match state {
        State::InSync => {
            shorten(release, strategies);
            Ok(if forced { Step::Upgrade } else { Step::Nothing })
        }
        State::Locked(_) => Ok(Step::Unlock),
        State::Absent(_) if !forced && strategies.is_exhausted(release, ReleaseAction::Install) => {
            Err(Hopeless::Exhausted("cannot install release"))
        }
        State::Absent(_) => Ok(Step::Install),
        State::Unmanaged(_) => {
            release.status_mut().history.clear();
            Ok(Step::Upgrade)
        }
        State::OutOfSync(_) if !forced && strategies.is_exhausted(release, ReleaseAction::Upgrade) => {
            Err(Hopeless::Exhausted("cannot upgrade release"))
        }
        State::OutOfSync(_) => Ok(Step::Upgrade),
        State::Drifted => Ok(match release.spec.drift_detection_mode() {
            DriftDetectionMode::Enabled => Step::CorrectDrift,
            DriftDetectionMode::Warn | DriftDetectionMode::Disabled => Step::Nothing,
        }),
        State::Untested => Ok(Step::Test),
        State::Failed(_) => failed(release, forced, strategies),
    }
}

fn shorten(release: &mut HelmRelease, strategies: Strategies) {
    let (retries, ignores) = (
        strategies.active_retry(release).is_some(),
        strategies.ignores_test_failures(release),
    );
    let history = &mut release.status_mut().history;
    match retries {
        true => snapshot::keep_newest(history),
        false => snapshot::truncate(history, ignores),
    }
}

fn failed(release: &mut HelmRelease, forced: bool, strategies: Strategies) -> Result<Step, Hopeless> {
    if strategies.active_retry(release).is_some() {
        snapshot::keep_newest(&mut release.status_mut().history);
        return Ok(Step::Upgrade);
    }
    let Some(active) = strategies.active_remediation(release) else {
        return Ok(Step::Upgrade);
    };
    if active.failures <= 0 || forced {
        return Ok(Step::Upgrade);
    }
    if active.is_exhausted && !active.remediates_last {
        return Err(Hopeless::Exhausted("cannot remediate failed release"));
    }
    shorten(release, strategies);
    match active.strategy {
        RemediationStrategy::Uninstall => Ok(Step::UninstallRemediation),
        RemediationStrategy::Rollback => {
            let history = release
                .status()
                .map(|status| status.history.as_slice())
                .unwrap_or_default();
            match snapshot::previous(history, active.ignores_tests) {
                Some(previous) => Ok(Step::Rollback(Box::new(previous.clone()))),
                None => Err(Hopeless::NoWayBack),
            }
        }
    }
}

/// Whether the record of a revision is still there and the one that the snapshot was taken of.
pub(crate) fn is_way_back(previous: &ReleaseSnapshot, record: Option<&Record>) -> Result<(), Mismatch> {
    record.map_or(Err(Mismatch::NotObserved), |record| {
        snapshot::verify(previous, record)
    })
}

#[cfg(test)]
mod tests;
