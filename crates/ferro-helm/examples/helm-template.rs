//! `helm template`, natively: the same output, messages and exit codes.
//!
//! `helm-template NAME CHART [--namespace NS] [--kube-version V] [--api-versions A]… [--include-crds]
//! [-f FILE]… [--set …]… [--set-string …]… [--set-json …]… [--set-file …]… [--set-literal …]…
//! [--show-only FILE]… [--is-upgrade] [--skip-tests] [--no-hooks] [--skip-schema-validation]`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to people"
)]

#[path = "helm-template/arguments.rs"]
mod arguments;
#[path = "helm-template/input.rs"]
mod input;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;

use arguments::Arguments;
use ferro_helm::release::{self, ReleaseOptions, Rendered};
use ferro_helm::render::{Ahead, Engine, Release, Renderer};
use ferro_helm::{Capabilities, KubeVersion, Level, Notice};

fn main() -> ExitCode {
    let mut notices = Vec::new();
    let result = run(&mut notices);
    for notice in notices {
        eprintln!("{notice}");
    }
    let written = match result {
        Ok(output) => {
            let written = output.write();
            // The process ends; there is no use in taking everything apart before.
            std::mem::forget(output);
            written
        }
        Err(message) => {
            eprintln!("Error: {message}");
            return ExitCode::FAILURE;
        }
    };
    // A reader that has seen enough closes the pipe.
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What is printed, and what it was made of.
struct Output {
    rendered: Rendered,
    arguments: Arguments,
    /// The files that were asked for, if not all were.
    shown: Option<String>,
    _renderer: Renderer,
}

impl Output {
    fn write(&self) -> std::io::Result<()> {
        // The standard output of the library looks for line ends, which is of no use here.
        let stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        let mut out = BufWriter::with_capacity(64 << 10, stdout);
        match &self.shown {
            Some(shown) => out.write_all(shown.as_bytes())?,
            None => {
                let Arguments {
                    include_crds,
                    skip_tests,
                    ..
                } = self.arguments;
                self.rendered
                    .write_template_output(include_crds, skip_tests, |part| out.write_all(part.as_bytes()))?;
            }
        }
        out.flush()
    }
}

fn run(notices: &mut Vec<Notice>) -> Result<Output, String> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let mut capabilities = Capabilities::default();
    if let Some(version) = &arguments.kube_version {
        capabilities.kube_version = KubeVersion::parse(version)
            .map_err(|error| format!("invalid kube version '{version}': {error}"))?;
    }
    capabilities
        .api_versions
        .extend(arguments.api_versions.iter().cloned());
    let path = input::locate(&arguments.chart)?;
    let values = input::values(&arguments)?;
    let engine = Engine::new(Arc::new(ferro_sprig::System));
    let mut ahead = Ahead::new(&engine);
    let chart = input::load(&path, &mut |file| ahead.push(file), notices)?;
    input::check_installable(&chart, notices)?;
    let options = ReleaseOptions {
        release: Release {
            name: arguments.name.clone(),
            namespace: arguments.namespace.clone(),
            revision: 1,
            is_upgrade: arguments.is_upgrade,
        },
        capabilities,
        lookup: None,
        skip_schema_validation: arguments.skip_schema_validation,
        sub_notes: false,
    };
    let renderer = Renderer::new(engine, chart).with_ahead(ahead);
    let rendered = release::render(&renderer, &values, &options, notices).map_err(|error| {
        notices.extend(log(&error));
        let hint = if error.has_release() {
            "\n\nUse --debug flag to render out invalid YAML"
        } else {
            ""
        };
        format!("{error}{hint}")
    })?;
    let mut rendered = rendered;
    if arguments.no_hooks {
        rendered.hooks.clear();
    }
    let mut shown = None;
    if !arguments.show_only.is_empty() {
        let all = rendered.template_output(arguments.include_crds, arguments.skip_tests);
        let files = release::show_only(&all, &arguments.show_only);
        shown = Some(files.map_err(|pattern| format!("could not find template {pattern} in chart"))?);
    }
    Ok(Output {
        rendered,
        arguments,
        shown,
        _renderer: renderer,
    })
}

/// Some failures upstream logs, too.
fn log(error: &release::Error) -> Option<Notice> {
    let (message, problem) = match error {
        release::Error::Dependencies(problem) => {
            ("chart dependencies processing failed", problem.to_string())
        }
        release::Error::Name { name, problem } => (
            "release name check failed",
            format!("release name {name:?}: {problem}"),
        ),
        _ => return None,
    };
    Some(Notice::new(Level::Error, message).with("error", problem))
}
