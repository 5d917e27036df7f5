//! Running the chosen controllers side by side. Each has its own lease, so that none ever acts beside another replica or beside upstream's.

use ferro_runtime::flags::{FeatureGates, FlagError};
use ferro_runtime::process::{Fatal, Process};
use tokio::task::JoinSet;

use crate::cli::{Cli, Which};

#[cfg(test)]
type Gates = &'static [(&'static str, bool)];

/// Runs until all have ended. When one fails, the process ends.
///
/// # Errors
/// With that of the first controller that could not run.
pub(crate) async fn controllers(process: Process, cli: Cli) -> Result<(), Fatal> {
    let known = [
        source_controller::args::FEATURE_GATES.as_slice(),
        kustomize_controller::args::FEATURE_GATES.as_slice(),
        helm_controller::args::FEATURE_GATES.as_slice(),
        source_watcher::args::FEATURE_GATES.as_slice(),
    ];
    validate(&cli.process.feature_gates, &known)?;
    let mut running = JoinSet::new();
    for which in &cli.controllers {
        match which {
            Which::Source => {
                let process = process.with_feature_gates(own_gates(
                    &process.flags.feature_gates,
                    &source_controller::args::FEATURE_GATES,
                ));
                running.spawn(source_controller::run(process, cli.source.clone()));
            }
            Which::Kustomize => {
                let process = process.with_feature_gates(own_gates(
                    &process.flags.feature_gates,
                    &kustomize_controller::args::FEATURE_GATES,
                ));
                running.spawn(kustomize_controller::run(process, cli.kustomize(), cli.pace()));
            }
            Which::Helm => {
                let process = process.with_feature_gates(own_gates(
                    &process.flags.feature_gates,
                    &helm_controller::args::FEATURE_GATES,
                ));
                running.spawn(helm_controller::run(process, cli.helm(), cli.pace()));
            }
            Which::Watcher => {
                let process = process.with_feature_gates(own_gates(
                    &process.flags.feature_gates,
                    &source_watcher::args::FEATURE_GATES,
                ));
                // The store of source-controller, whose server is shared, too.
                let (storage, shared) = (cli.source.storage.clone(), cli.watcher_shared());
                running.spawn(source_watcher::run(process, storage, shared, cli.watcher));
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        let outcome = ended.map_err(Fatal::from).flatten();
        if outcome.is_err() {
            process.fail();
            while running.join_next().await.is_some() {}
            return outcome;
        }
    }
    Ok(())
}

/// Refuses gates that no controller knows.
fn validate(text: &str, known: &[&[(&'static str, bool)]]) -> Result<(), FlagError> {
    let all: Vec<_> = known.concat();
    FeatureGates::parse(&all, text).map(|_| ())
}

/// Those entries of the flag that one controller knows.
fn own_gates(text: &str, known: &[(&'static str, bool)]) -> String {
    let is_known = |entry: &&str| {
        let name = entry.split('=').next().unwrap_or_default().trim();
        known.iter().any(|gate| gate.0 == name)
    };
    text.split(',').filter(is_known).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Gates = &[("Shared", false), ("OnlyA", false)];
    const B: Gates = &[("Shared", false)];

    #[test]
    fn each_controller_gets_the_gates_that_it_knows() {
        assert_eq!(own_gates("Shared=true,OnlyA=true", B), "Shared=true");
        assert_eq!(own_gates("Shared=true,OnlyA=true", A), "Shared=true,OnlyA=true");
        assert!(validate("OnlyA=true", &[A, B]).is_ok());
        assert!(validate("Nobody=true", &[A, B]).is_err());
    }
}
