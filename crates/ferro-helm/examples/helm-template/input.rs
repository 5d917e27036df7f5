//! The chart and the values.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferro_helm::Notice;
use ferro_helm::chart::{self, Chart, File, RealDirectory, archive};
use ferro_helm::strvals::{Grammar, parse_files_into, parse_into};
use ferro_helm::values;
use serde_json::{Map, Value as Json};

use crate::arguments::Arguments;

/// Finds the chart, which must be here: this program downloads none.
pub(crate) fn locate(chart: &str) -> Result<PathBuf, String> {
    let chart = chart.trim();
    if Path::new(chart).exists() {
        return std::path::absolute(chart).map_err(|error| error.to_string());
    }
    if chart.starts_with(['/', '.']) {
        return Err(format!("path {chart:?} not found"));
    }
    Err(match chart.split_once('/') {
        Some((repository, _)) => format!("repo {repository} not found"),
        None => format!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {chart}"),
    })
}

/// Loads a folder or archive, and shows each file before it makes a chart of them.
pub(crate) fn load(
    path: &Path,
    see: &mut dyn FnMut(&File),
    notices: &mut Vec<Notice>,
) -> Result<Arc<Chart>, String> {
    let loaded = if path.is_dir() {
        let name = path.join("Chart.yaml");
        if let Err(error) = std::fs::metadata(&name) {
            let name = name.display();
            return Err(format!(
                "unable to detect chart at {name}: open {name}: {}",
                go_text(&error)
            ));
        }
        let directory = RealDirectory::new(path);
        let files = chart::read_directory_seeing(&directory, see).map_err(|error| error.to_string());
        notices.extend(directory.into_notices());
        let files = files?;
        // Upstream has found the version before rules may ignore the file that tells it.
        if files.iter().any(|file| file.name == "Chart.yaml") {
            chart::load_versioned(files)
        } else {
            chart::load_files(files)
        }
    } else {
        let files = read_archive(path)?;
        files.iter().for_each(see);
        chart::load_versioned(files)
    };
    let loaded = loaded.map_err(|error| error.to_string())?;
    notices.extend(loaded.notices);
    Ok(loaded.chart)
}

fn read_archive(path: &Path) -> Result<Vec<File>, String> {
    let name = path.display();
    let content = std::fs::read(path).map_err(|error| format!("open {name}: {}", go_text(&error)))?;
    if !content.starts_with(b"\x1F\x8B\x08") {
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yml" || extension == "yaml");
        return Err(if is_yaml {
            format!("file '{name}' seems to be a YAML file, but expected a gzipped archive")
        } else {
            // What is shorter is looked at with zeros behind it.
            let mut start = content;
            start.resize(512, 0);
            let kind = content_type(&start);
            format!("file '{name}' does not appear to be a gzipped archive; got '{kind}'")
        });
    }
    archive::read(&content).map_err(|_| "unable to load chart archive".to_owned())
}

/// The content types that Go detects in what may be meant for a chart.
fn content_type(content: &[u8]) -> &'static str {
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F);
    match content {
        [b'P', b'K', 3, 4, ..] => "application/zip",
        [b'%', b'P', b'D', b'F', ..] => "application/pdf",
        content if content.iter().any(is_binary) => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    }
}

/// Refuses libraries and charts whose dependencies are not there.
pub(crate) fn check_installable(chart: &Chart, notices: &mut Vec<Notice>) -> Result<(), String> {
    let kind = &chart.metadata.kind;
    if !kind.is_empty() && kind != "application" {
        return Err(format!("{kind} charts are not installable"));
    }
    if chart.metadata.deprecated {
        notices.push(Notice::warn("this chart is deprecated"));
    }
    let missing = chart.missing_dependencies();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' to \
         fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
        missing.join(", ")
    ))
}

/// Puts the values of the command line together, in upstream's order of flags.
pub(crate) fn values(arguments: &Arguments) -> Result<Map<String, Json>, String> {
    let mut merged = Map::new();
    for path in &arguments.value_files {
        let read = values::read(&read_file(path)?);
        values::merge(
            &mut merged,
            read.map_err(|error| format!("failed to parse {path}: {error}"))?,
        );
    }
    for text in &arguments.set_json {
        set_json(&mut merged, text)?;
    }
    for (flag, texts, grammar) in [
        ("set", &arguments.set, Grammar::Typed),
        ("set-string", &arguments.set_string, Grammar::Strings),
    ] {
        for text in texts {
            parse_into(&mut merged, text, grammar)
                .map_err(|error| format!("failed parsing --{flag} data: {error}"))?;
        }
    }
    for text in &arguments.set_file {
        let load = |path: &str| {
            let content = read_file(path)?;
            Ok(String::from_utf8_lossy(&content).into_owned())
        };
        parse_files_into(&mut merged, text, load)
            .map_err(|error| format!("failed parsing --set-file data: {error}"))?;
    }
    for text in &arguments.set_literal {
        parse_into(&mut merged, text, Grammar::Literal)
            .map_err(|error| format!("failed parsing --set-literal data: {error}"))?;
    }
    Ok(merged)
}

fn set_json(merged: &mut Map<String, Json>, text: &str) -> Result<(), String> {
    let trimmed = text.trim();
    if !trimmed.starts_with('{') {
        return parse_into(merged, text, Grammar::Json)
            .map_err(|_| format!("failed parsing --set-json data {text}"));
    }
    let object: Map<String, Json> =
        serde_json::from_str(trimmed).map_err(|_| format!("failed parsing --set-json data JSON: {text}"))?;
    let object = object
        .into_iter()
        .map(|(key, value)| (key, values::with_float_numbers(value)))
        .collect();
    values::merge(merged, object);
    Ok(())
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    if path.trim() == "-" {
        let mut content = Vec::new();
        let read = std::io::Read::read_to_end(&mut std::io::stdin(), &mut content);
        return read.map(|_| content).map_err(|error| error.to_string());
    }
    std::fs::read(path).map_err(|error| format!("open {path}: {}", go_text(&error)))
}

fn go_text(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}
