//! `kustomize-build [OPTION]... [DIR]` prints what `kustomize build` prints and fails as it fails.
//!
//! Remote bases are not fetched; everything else is the program's, quirks included.

use std::env;
use std::io::Write;
use std::process::ExitCode;

use ferro_kustomize::{
    DirFiles, LoadRestrictions, Options, Quirks, Reorder, Resources, Result, SchemaMode, build,
};

const USAGE: &str = "usage: kustomize-build [--load-restrictor LoadRestrictionsRootOnly|LoadRestrictionsNone] \
                     [--reorder legacy|none] [--enable-alpha-plugins] [-o FILE] [DIR]";

struct Arguments {
    dir: String,
    output: Option<String>,
    options: Options<'static>,
}

fn arguments() -> std::result::Result<Arguments, String> {
    let options = Options {
        reorder: Reorder::Legacy,
        schema_mode: SchemaMode::Replace,
        quirks: Quirks::Upstream,
        ..Options::default()
    };
    let mut parsed = Arguments {
        dir: ".".to_owned(),
        output: None,
        options,
    };
    let mut given = env::args().skip(1);
    while let Some(argument) = given.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| given.next())
                .ok_or_else(|| format!("flag needs an argument: {name}"))
        };
        match name.as_str() {
            "--load-restrictor" => {
                parsed.options.load_restrictions = match value()?.as_str() {
                    "LoadRestrictionsRootOnly" => LoadRestrictions::RootOnly,
                    "LoadRestrictionsNone" => LoadRestrictions::None,
                    other => {
                        return Err(format!(
                            "illegal flag value --load-restrictor {other}; legal values: [LoadRestrictionsRootOnly LoadRestrictionsNone]"
                        ));
                    }
                }
            }
            "--reorder" => {
                parsed.options.reorder = match value()?.as_str() {
                    "legacy" => Reorder::Legacy,
                    "none" => Reorder::None,
                    other => {
                        return Err(format!(
                            "illegal flag value --reorder {other}; legal values: [legacy none]"
                        ));
                    }
                }
            }
            "-o" | "--output" => parsed.output = Some(value()?),
            // Plugins are refused whatever is said; charts too.
            "--enable-alpha-plugins" | "--enable-exec" | "--enable-helm" => {}
            flag if flag.starts_with('-') => return Err(format!("unknown flag: {flag}\n{USAGE}")),
            dir => parsed.dir = dir.to_owned(),
        }
    }
    Ok(parsed)
}

/// The directory as an absolute path; a URL stays what it is.
fn absolute(dir: &str) -> String {
    if dir.starts_with('/') || ferro_kustomize::GitUrl::parse(dir).is_some() {
        return dir.to_owned();
    }
    let current = env::current_dir().unwrap_or_default();
    current.join(dir).to_string_lossy().into_owned()
}

fn run(arguments: &Arguments) -> Result<(Resources, String)> {
    let files = DirFiles::unconfined();
    let resources = build(&files, &absolute(&arguments.dir), &arguments.options)?;
    let text = resources.to_yaml()?;
    Ok((resources, text))
}

fn main() -> ExitCode {
    let mut errors = std::io::stderr();
    let failed = |errors: &mut std::io::Stderr, text: &str| {
        // There is nowhere left to tell if this fails too.
        writeln!(errors, "Error: {text}").ok();
        ExitCode::FAILURE
    };
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(text) => return failed(&mut errors, &text),
    };
    match run(&arguments) {
        Ok((resources, text)) => {
            for warning in resources.warnings() {
                writeln!(errors, "{warning}").ok();
            }
            let written = match &arguments.output {
                Some(file) => std::fs::write(file, &text),
                None => std::io::stdout().write_all(text.as_bytes()),
            };
            written.map_or_else(
                |error| failed(&mut errors, &error.to_string()),
                |()| ExitCode::SUCCESS,
            )
        }
        Err(error) => failed(&mut errors, &format!("{error:#}")),
    }
}
