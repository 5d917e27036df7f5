//! The `flux` program.

use std::env;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    ExitCode::from(flux::run(env::args_os(), &mut flux::Terminal::standard()).await)
}
