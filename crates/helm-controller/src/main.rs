//! The helm-controller program.

use std::process::ExitCode;

use clap::Parser;
use ferro_runtime::flags::{self, AccountFlags, ApplierFlags, PaceFlags, ProcessFlags};
use helm_controller::args::HelmFlags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Releases the charts that HelmReleases name.
#[derive(Parser)]
#[command(name = "helm-controller", version, max_term_width = 100)]
struct Args {
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    helm: HelmFlags,
    #[command(flatten)]
    shared: ApplierFlags,
    #[command(flatten)]
    pace: PaceFlags,
    #[command(flatten)]
    account: AccountFlags,
}

fn main() -> ExitCode {
    let args = flags::parse::<Args>();
    let settings = args.helm.with(args.shared, args.account);
    let pace = args.pace;
    ferro_runtime::process::main("helm-controller", args.process, move |process| {
        helm_controller::run(process, settings, pace)
    })
}
