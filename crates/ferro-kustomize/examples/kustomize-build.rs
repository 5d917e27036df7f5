//! `kustomize-build [OPTION]... [DIR]` prints what `kustomize build` prints and fails as it fails.
//!
//! Remote bases are not fetched and charts not rendered; everything else is the program's, quirks included.

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use ferro_kustomize::{
    Charts, DirFiles, LoadRestrictions, NoChartEngine, Options, Quirks, Reorder, Resource, Resources,
    SchemaMode, build,
};

const USAGE: &str = "\
usage: kustomize-build [OPTION]... [DIR]

  --load-restrictor LoadRestrictionsRootOnly|LoadRestrictionsNone
  --reorder legacy|none
  --enable-managedby-label  adds the label app.kubernetes.io/managed-by
  --enable-helm             allows charts, which this program cannot render
  --enable-alpha-plugins    accepted; plugins are refused all the same
  --enable-exec             likewise
  -o, --output PATH         a file, or a directory for one file per object
";

const REORDER_DEPRECATED: &str =
    "Flag --reorder has been deprecated, use the new 'sortOptions' field in kustomization.yaml instead.";

struct Arguments {
    dir: String,
    output: Option<String>,
    options: Options<'static>,
    /// Lines for standard error.
    notes: Vec<&'static str>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            dir: ".".to_owned(),
            output: None,
            options: Options {
                reorder: Reorder::Legacy,
                schema_mode: SchemaMode::Replace,
                quirks: Quirks::Upstream,
                ..Options::default()
            },
            notes: Vec::new(),
        }
    }
}

/// A switch as Go's flags read it.
fn switch(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value.unwrap_or("true") {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!(
            "invalid argument \"{other}\" for \"{name}\" flag: strconv.ParseBool: parsing \"{other}\": invalid syntax"
        )),
    }
}

fn illegal<T>(name: &str, value: &str, legal: &str) -> Result<T, String> {
    Err(format!(
        "illegal flag value {name} {value}; legal values: [{legal}]"
    ))
}

impl Arguments {
    fn parse(given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut dirs = Vec::new();
        let mut given = given.peekable();
        while let Some(argument) = given.next() {
            if !argument.starts_with('-') || argument == "-" {
                dirs.push(argument);
                continue;
            }
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            parsed.flag(&name, inline, &mut given)?;
        }
        match dirs.as_slice() {
            [] => {}
            [dir] => parsed.dir.clone_from(dir),
            _ => return Err("specify one path to kustomization.yaml".to_owned()),
        }
        Ok(parsed)
    }

    fn flag(
        &mut self,
        name: &str,
        inline: Option<String>,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        match name {
            "--enable-alpha-plugins" | "--enable-exec" => {
                switch(name, inline.as_deref())?;
            }
            "--enable-managedby-label" => self.options.managed_by_label = switch(name, inline.as_deref())?,
            "--enable-helm" => {
                self.options.charts = if switch(name, inline.as_deref())? {
                    Charts::RenderedBy(&NoChartEngine)
                } else {
                    Charts::Refused
                }
            }
            "--load-restrictor" | "--reorder" | "-o" | "--output" => {
                let value = inline.or_else(|| rest.next());
                let value = value.ok_or_else(|| format!("flag needs an argument: {name}"))?;
                self.valued(name, value)?;
            }
            _ => return Err(format!("unknown flag: {name}\n{USAGE}")),
        }
        Ok(())
    }

    fn valued(&mut self, name: &str, value: String) -> Result<(), String> {
        match (name, value.as_str()) {
            ("--load-restrictor", "LoadRestrictionsRootOnly") => {
                self.options.load_restrictions = LoadRestrictions::RootOnly;
            }
            ("--load-restrictor", "LoadRestrictionsNone") => {
                self.options.load_restrictions = LoadRestrictions::None;
            }
            ("--load-restrictor", other) => {
                return illegal(name, other, "LoadRestrictionsRootOnly LoadRestrictionsNone");
            }
            ("--reorder", order) => {
                self.notes.push(REORDER_DEPRECATED);
                self.options.reorder = match order {
                    "legacy" => Reorder::Legacy,
                    "none" => Reorder::None,
                    other => return illegal(name, other, "legacy none"),
                };
            }
            _ => self.output = Some(value),
        }
        Ok(())
    }
}

/// The directory as an absolute path; a URL stays what it is.
fn absolute(dir: &str) -> String {
    if dir.starts_with('/') || ferro_kustomize::GitUrl::parse(dir).is_some() {
        return dir.to_owned();
    }
    let current = env::current_dir().unwrap_or_default();
    current.join(dir).to_string_lossy().into_owned()
}

/// The name of an object's file in an output directory.
fn file_name(resource: &Resource, with_namespace: bool) -> String {
    let gvk = resource.gvk();
    let namespace = if with_namespace { resource.namespace() } else { "" };
    let parts = [namespace, &*gvk.group, &*gvk.version, &*gvk.kind, resource.name()];
    let stated: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}.yaml", stated.join("_").to_lowercase())
}

fn write(resources: &Resources, output: Option<&str>) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    match output.map(Path::new) {
        None => {
            let yaml = resources.to_yaml().map_err(|error| format!("{error:#}"))?;
            std::io::stdout()
                .write_all(yaml.as_bytes())
                .map_err(|error| text(&error))
        }
        Some(dir) if dir.is_dir() => {
            let namespaces: BTreeSet<&str> = resources.iter().map(Resource::namespace).collect();
            for resource in resources {
                let yaml = resource.to_yaml().map_err(|error| format!("{error:#}"))?;
                let file = dir.join(file_name(resource, namespaces.len() > 1));
                std::fs::write(file, yaml).map_err(|error| text(&error))?;
            }
            Ok(())
        }
        Some(file) => {
            let yaml = resources.to_yaml().map_err(|error| format!("{error:#}"))?;
            std::fs::write(file, yaml).map_err(|error| format!("open {}: {error}", file.display()))
        }
    }
}

fn run(errors: &mut impl Write) -> Result<(), String> {
    let arguments = Arguments::parse(env::args().skip(1))?;
    for note in &arguments.notes {
        // There is nowhere left to tell if this fails.
        writeln!(errors, "{note}").ok();
    }
    let files = DirFiles::unconfined();
    let resources =
        build(&files, &absolute(&arguments.dir), &arguments.options).map_err(|error| format!("{error:#}"))?;
    for warning in resources.warnings() {
        writeln!(errors, "{warning}").ok();
    }
    write(&resources, arguments.output.as_deref())
}

fn main() -> ExitCode {
    let mut errors = std::io::stderr();
    match run(&mut errors) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            writeln!(errors, "Error: {text}").ok();
            ExitCode::FAILURE
        }
    }
}
