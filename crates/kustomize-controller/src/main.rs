//! The kustomize-controller program.

use std::process::ExitCode;

use clap::Parser;
use ferro_runtime::flags::{self, ProcessFlags};
use kustomize_controller::args::{AccountFlags, KustomizeFlags, PaceFlags};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Applies what Kustomizations describe.
#[derive(Parser)]
#[command(name = "kustomize-controller", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    kustomize: KustomizeFlags,
    #[command(flatten)]
    pace: PaceFlags,
    #[command(flatten)]
    account: AccountFlags,
}

fn main() -> ExitCode {
    let Args {
        process,
        kustomize,
        pace,
        account,
    } = flags::parse::<Args>();
    ferro_runtime::process::main("kustomize-controller", process, |process| {
        kustomize_controller::run(process, kustomize.with_account(account), pace)
    })
}
