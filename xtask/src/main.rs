//! `cargo xtask`: what the project needs beside its code.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match commands::run(&args) {
        Ok(code) => code,
        Err(err) => {
            xtask::term::note(format_args!("error: {err:#}"));
            ExitCode::FAILURE
        }
    }
}
