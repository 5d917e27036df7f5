//! The kustomize-controller program.

use std::process::ExitCode;

use clap::Parser;
use ferro_runtime::flags::{self, ProcessFlags};
use kustomize_controller::args::{KustomizeFlags, PaceFlags};

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
}

fn main() -> ExitCode {
    let Args {
        process,
        kustomize,
        pace,
    } = flags::parse::<Args>();
    ferro_runtime::process::main("kustomize-controller", process, |process| {
        kustomize_controller::run(process, kustomize, pace)
    })
}
