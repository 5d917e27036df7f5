//! The kustomize-controller program.

use std::process::ExitCode;

use clap::Parser;
use ferro_runtime::flags::{self, AccountFlags, ApplierFlags, PaceFlags, ProcessFlags};
use kustomize_controller::args::KustomizeFlags;

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
    shared: ApplierFlags,
    #[command(flatten)]
    pace: PaceFlags,
    #[command(flatten)]
    account: AccountFlags,
}

fn main() -> ExitCode {
    let args = flags::parse::<Args>();
    let settings = args.kustomize.with(args.shared, args.account);
    let pace = args.pace;
    ferro_runtime::process::main("kustomize-controller", args.process, move |process| {
        kustomize_controller::run(process, settings, pace)
    })
}
