//! The end-to-end cases, one file a subject.

#![allow(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for a key that it does not have"
)]

mod apply;
mod build;
mod cli;
mod cli_objects;
mod cli_releases;
mod concurrency;
mod dependencies;
mod drift;
mod health;
mod helm_charts;
mod helm_diff;
mod helm_failures;
mod helm_interrupted;
mod helm_killed;
mod helm_options;
mod helm_releases;
mod helm_retries;
mod helm_waits;
mod helm_witness;
mod hostile;
mod install;
mod install_rights;
mod prune;
mod resilience;
mod scale;
mod sources;
mod sources_failing;
mod sources_generated;
mod sources_gitea;
mod sources_kinds;
mod sources_lfs;
mod sources_registry;
mod sources_replicas;
mod sources_revoked;
mod sources_rules;
mod sources_signed;
mod tenants;
mod watcher_replicas;

use std::process::ExitCode;

fn main() -> ExitCode {
    let all = [
        sources::cases(),
        sources_failing::cases(),
        sources_generated::cases(),
        sources_gitea::cases(),
        sources_kinds::cases(),
        sources_lfs::cases(),
        sources_registry::cases(),
        sources_revoked::cases(),
        sources_rules::cases(),
        sources_signed::cases(),
        apply::cases(),
        build::cases(),
        prune::cases(),
        dependencies::cases(),
        health::cases(),
        helm_releases::cases(),
        helm_charts::cases(),
        helm_options::cases(),
        helm_failures::cases(),
        helm_retries::cases(),
        helm_diff::cases(),
        helm_waits::cases(),
        helm_witness::cases(),
        drift::cases(),
        tenants::cases(),
        cli::cases(),
        cli_objects::cases(),
        cli_releases::cases(),
        hostile::cases(),
        install::cases(),
        // The longest of those that share a world, when the others are over: they fill the machine.
        scale::cases(),
        install_rights::cases(),
        sources_replicas::cases(),
        watcher_replicas::cases(),
        concurrency::cases(),
        resilience::cases(),
        helm_killed::cases(),
        helm_interrupted::cases(),
    ];
    e2e::main(all.into_iter().flatten().collect())
}
