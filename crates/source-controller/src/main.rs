//! The program `source-controller`.

use std::process::ExitCode;

use clap::Parser;
use ferro_api::controller;
use ferro_runtime::flags::{self, ProcessFlags};
use ferro_runtime::process;
use source_controller::args::SourceFlags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fetches what sources hold, and serves it as artifacts.
#[derive(Parser)]
#[command(name = controller::SOURCE, version)]
struct Cli {
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    source: SourceFlags,
}

fn main() -> ExitCode {
    let cli = flags::parse::<Cli>();
    process::main(controller::SOURCE, cli.process, |process| {
        source_controller::run(process, cli.source)
    })
}
