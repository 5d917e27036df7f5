//! The program `ferroflux`: all controllers in one process, for a laptop, an edge box or a demo.

use std::process::ExitCode;

mod cli;
mod run;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = ferro_runtime::flags::parse::<cli::Cli>();
    ferro_runtime::process::main("ferroflux", cli.process.clone(), |process| {
        run::controllers(process, cli)
    })
}
