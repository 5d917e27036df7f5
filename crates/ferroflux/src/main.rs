//! The program `ferroflux`: all controllers in one process, for a laptop, an edge box or a demo.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod run;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    ferro_runtime::process::main("ferroflux", cli.process.clone(), |process| {
        run::controllers(process, cli)
    })
}
