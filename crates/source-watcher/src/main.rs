//! The program `source-watcher`.

use std::process::ExitCode;

use clap::Parser;
use ferro_api::controller;
use ferro_runtime::artifacts::StorageFlags;
use ferro_runtime::flags::{self, ProcessFlags};
use ferro_runtime::process;
use source_watcher::args::{SharedFlags, WatcherFlags};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Composes artifacts out of files of other artifacts, and serves them.
#[derive(Parser)]
#[command(name = controller::SOURCE_WATCHER, version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    storage: StorageFlags,
    #[command(flatten)]
    shared: SharedFlags,
    #[command(flatten)]
    watcher: WatcherFlags,
}

fn main() -> ExitCode {
    let cli = flags::parse::<Cli>();
    process::main(controller::SOURCE_WATCHER, cli.process, |process| {
        source_watcher::run(process, cli.storage, cli.shared, cli.watcher)
    })
}
