//! What follows a failure: remediation with retries, or trying again (`spec/helm.md` A.3, C.2).

use std::time::Duration;

use ferro_api::helm::{
    HelmRelease, PostRenderStrategy, ReleaseAction, Remediation, RemediationStrategy, StrategyName,
    WaitStrategyName,
};

use crate::args::gate;
use crate::reconciler::HelmReconciler;

/// How strategies that are not named are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strategies {
    pub(crate) default: StrategyName,
}

/// How failures of the last action are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) action: ReleaseAction,
    pub(crate) strategy: RemediationStrategy,
    pub(crate) failures: i64,
    pub(crate) is_exhausted: bool,
    pub(crate) remediates_last: bool,
    pub(crate) ignores_tests: bool,
}

impl Strategies {
    /// The time after which the last action is tried again, if it is.
    pub(crate) fn active_retry(self, release: &HelmRelease) -> Option<Duration> {
        let (spec, status) = (&release.spec, release.status.as_ref()?);
        let (name, interval) = match status.last_attempted_release_action? {
            ReleaseAction::Install => {
                let strategy = spec.install.as_ref().and_then(|install| install.strategy.clone());
                let interval = strategy.clone().unwrap_or_default().retry_interval_or_default();
                (strategy.map(|strategy| strategy.name), interval)
            }
            ReleaseAction::Upgrade => {
                let strategy = spec.upgrade.as_ref().and_then(|upgrade| upgrade.strategy.clone());
                let interval = strategy.clone().unwrap_or_default().retry_interval_or_default();
                (strategy.map(|strategy| strategy.name), interval)
            }
        };
        (name.unwrap_or(self.default) == StrategyName::RetryOnFailure).then(|| interval.to_std())
    }

    /// How a failure of the last action is undone; nothing before the first action.
    pub(crate) fn active_remediation(self, release: &HelmRelease) -> Option<Active> {
        Some(of(
            release,
            release.status.as_ref()?.last_attempted_release_action?,
        ))
    }

    pub(crate) fn ignores_test_failures(self, release: &HelmRelease) -> bool {
        let by_default = release
            .spec
            .test
            .as_ref()
            .is_some_and(|test| test.ignore_failures);
        self.active_remediation(release)
            .map_or(by_default, |active| active.ignores_tests)
    }

    /// Whether an action has failed too often to be tried once more.
    pub(crate) fn is_exhausted(self, release: &HelmRelease, action: ReleaseAction) -> bool {
        of(release, action).is_exhausted
    }
}

fn of(release: &HelmRelease, action: ReleaseAction) -> Active {
    let (spec, status) = (&release.spec, release.status.as_ref());
    let tests_ignored = spec.test.as_ref().is_some_and(|test| test.ignore_failures);
    let active = |remediation: &dyn Remediation, failures: i64| Active {
        action,
        strategy: remediation.strategy(),
        failures,
        is_exhausted: remediation.is_exhausted(failures),
        remediates_last: remediation.remediates_last_failure(),
        ignores_tests: remediation.ignores_test_failures(tests_ignored),
    };
    match action {
        ReleaseAction::Install => {
            let install = spec
                .install
                .as_ref()
                .and_then(|install| install.remediation.clone());
            active(
                &install.unwrap_or_default(),
                status.map_or(0, |status| status.install_failures),
            )
        }
        ReleaseAction::Upgrade => {
            let upgrade = spec
                .upgrade
                .as_ref()
                .and_then(|upgrade| upgrade.remediation.clone());
            active(
                &upgrade.unwrap_or_default(),
                status.map_or(0, |status| status.upgrade_failures),
            )
        }
    }
}

/// What the gate `UseHelm3Defaults` and the spec say together.
impl HelmReconciler {
    pub(crate) fn has_helm3_defaults(&self) -> bool {
        self.gates.enabled(gate::USE_HELM3_DEFAULTS)
    }

    /// What is post-rendered where the spec does not say.
    pub(crate) fn post_render_strategy(&self) -> PostRenderStrategy {
        match self.has_helm3_defaults() {
            true => PostRenderStrategy::NoHooks,
            false => PostRenderStrategy::Combined,
        }
    }

    /// Whether Helm 3's rules say what is ready.
    pub(crate) fn waits_as_helm3(&self, release: &HelmRelease) -> bool {
        match &release.spec.wait_strategy {
            Some(strategy) => strategy.name == WaitStrategyName::Legacy,
            None => self.has_helm3_defaults(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STRATEGIES: Strategies = Strategies {
        default: StrategyName::RemediateOnFailure,
    };

    #[test]
    fn retries_are_those_of_the_last_action() {
        let release = |action: serde_json::Value| -> HelmRelease {
            serde_json::from_value(json!({ "spec": {
                "install": { "remediation": { "retries": 1 } },
                "upgrade": { "strategy": { "name": "RetryOnFailure", "retryInterval": "1m" }, "remediation": { "retries": 3 } } },
                "status": { "lastAttemptedReleaseAction": action, "installFailures": 2, "upgradeFailures": 3 } }))
            .unwrap()
        };
        let none = release(json!(null));
        assert_eq!(
            (
                STRATEGIES.active_retry(&none),
                STRATEGIES.active_remediation(&none)
            ),
            (None, None)
        );
        let install = STRATEGIES.active_remediation(&release(json!("install"))).unwrap();
        assert!(install.is_exhausted && !install.remediates_last);
        assert_eq!(STRATEGIES.active_retry(&release(json!("install"))), None);
        let upgrade = STRATEGIES.active_remediation(&release(json!("upgrade"))).unwrap();
        assert!(!upgrade.is_exhausted && upgrade.remediates_last);
        assert_eq!(upgrade.strategy, RemediationStrategy::Rollback);
        assert_eq!(
            STRATEGIES.active_retry(&release(json!("upgrade"))),
            Some(Duration::from_secs(60))
        );
        let retry = Strategies {
            default: StrategyName::RetryOnFailure,
        };
        assert_eq!(
            retry.active_retry(&release(json!("install"))),
            Some(Duration::from_secs(300))
        );
    }
}
