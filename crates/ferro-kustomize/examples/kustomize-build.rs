//! `kustomize-build [DIR] [flags]` prints what `kustomize build` prints and fails as it fails.
//!
//! It takes the flags of kustomize 5.8.1; `--help` says which of them have nothing to do here. Charts are rendered by
//! `ferro-helm`, and neither charts nor remote bases are fetched.

#[path = "kustomize-build/arguments.rs"]
mod arguments;
#[path = "kustomize-build/machine.rs"]
mod machine;

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use arguments::{Arguments, HELP};
use ferro_kustomize::{Charts, Error, HelmEngine, Options, Quirks, Resources, SchemaMode, build};
use ferro_sprig::System;
use machine::MachineFiles;

/// Switches the label on when it is `on`.
const MANAGED_BY: &str = "KUSTOMIZE_ENABLE_MANAGEDBY_LABEL";

/// The error's text, with the place in the files behind it.
fn text(error: &Error) -> String {
    format!("{error:#}")
}

fn built(arguments: &Arguments, errors: &mut impl Write) -> Result<Resources, String> {
    let engine = HelmEngine::new(Arc::new(System))
        .with_kube_version(&arguments.helm_kube_version)
        .with_api_versions(&arguments.helm_api_versions);
    let options = Options {
        load_restrictions: arguments.load_restrictions,
        reorder: arguments.reorder,
        managed_by_label: arguments.managed_by_label || env::var(MANAGED_BY).is_ok_and(|value| value == "on"),
        schema_mode: SchemaMode::Replace,
        quirks: Quirks::Upstream,
        charts: if arguments.renders_charts {
            Charts::RenderedBy(&engine)
        } else {
            Charts::Refused
        },
        remote: None,
    };
    let files = MachineFiles::new().map_err(|error| error.to_string())?;
    let built = build(&files, &arguments.dir, &options);
    let warnings = match &built {
        Ok(resources) => resources.warnings(),
        Err(error) => error.warnings(),
    };
    for warning in warnings {
        // There is nowhere left to tell if this fails.
        writeln!(errors, "{warning}").ok();
    }
    built.map_err(|error| text(&error))
}

fn write(resources: &Resources, output: &str) -> Result<(), String> {
    if Path::new(output).is_dir() {
        let dir = Path::new(output);
        let files = resources.to_files().map_err(|error| text(&error))?;
        return files
            .into_iter()
            .try_for_each(|(name, content)| save(&dir.join(name), &content));
    }
    let yaml = resources.to_yaml().map_err(|error| text(&error))?;
    if output.is_empty() {
        let written = io::stdout().write_all(yaml.as_bytes());
        return written.map_err(|error| error.to_string());
    }
    save(Path::new(output), &yaml)
}

fn save(file: &Path, content: &str) -> Result<(), String> {
    std::fs::write(file, content).map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::NotADirectory => "not a directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        format!("open {}: {problem}", file.display())
    })
}

fn run(errors: &mut impl Write) -> Result<(), String> {
    let (notes, arguments) = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => (arguments.notes.clone(), Ok(arguments)),
        Err((notes, error)) => (notes, Err(error)),
    };
    for note in notes {
        writeln!(errors, "{note}").ok();
    }
    let arguments = arguments?;
    if arguments.wants_help {
        let written = io::stdout().write_all(HELP.as_bytes());
        return written.map_err(|error| error.to_string());
    }
    let resources = built(&arguments, errors)?;
    write(&resources, &arguments.output)
}

fn main() -> ExitCode {
    let mut errors = io::stderr();
    match run(&mut errors) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            writeln!(errors, "Error: {text}").ok();
            ExitCode::FAILURE
        }
    }
}
