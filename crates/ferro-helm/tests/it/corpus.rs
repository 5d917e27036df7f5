//! The shared corpus: public charts, and what Helm 4.2 prints for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferro_helm::chart::{RealDirectory, load_directory};
use ferro_helm::release::{self, ReleaseOptions};
use ferro_helm::render::{Engine, Release, Renderer};
use ferro_helm::{Capabilities, KubeVersion, values};
use serde_json::Map;

use crate::environment::Still;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/charts")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// What `helm template` prints, or its error.
fn render(renderer: &Renderer, case: &Path) -> Result<String, String> {
    let user = match std::fs::read(case.join("values.yaml")) {
        Ok(text) => values::read(&text).map_err(|error| error.to_string())?,
        Err(_) => Map::new(),
    };
    let options = ReleaseOptions {
        release: Release {
            name: "rel".to_owned(),
            namespace: "ns1".to_owned(),
            revision: 1,
            is_upgrade: false,
        },
        capabilities: Capabilities {
            kube_version: KubeVersion::parse("1.34.0").unwrap(),
            ..Capabilities::default()
        },
        lookup: None,
        skip_schema_validation: false,
        sub_notes: false,
    };
    let rendered = release::render(renderer, &user, &options, &mut Vec::new());
    rendered
        .map(|rendered| rendered.template_output(true, false))
        .map_err(|error| error.to_string())
}

/// The first line that differs.
fn difference(ours: &str, theirs: &str) -> String {
    let mut lines = theirs.lines();
    for (index, our) in ours.lines().enumerate() {
        let their = lines.next();
        if their != Some(our) {
            return format!("line {}: ours {our:?}, upstream's {their:?}", index + 1);
        }
    }
    format!("ours ends before {:?}", lines.next())
}

fn check(renderer: &Renderer, case: &Path) -> Result<(), String> {
    let ours = render(renderer, case);
    match std::fs::read_to_string(case.join("expected.yaml")) {
        Ok(expected) => match ours {
            Ok(output) if output == expected => Ok(()),
            Ok(output) => Err(difference(&output, &expected)),
            Err(error) => Err(format!("fails: {error}")),
        },
        Err(_) => {
            let expected = std::fs::read_to_string(case.join("error.txt")).unwrap();
            match ours {
                Err(error) if expected.starts_with(&format!("Error: {error}\n")) => Ok(()),
                Err(error) => Err(format!("fails with {error:?} where upstream says {expected:?}")),
                Ok(_) => Err(format!("does not fail with {expected:?}")),
            }
        }
    }
}

#[test]
fn public_charts_render_to_the_byte() {
    let charts = folders(&corpus());
    if charts.is_empty() {
        eprintln!("skipped: there is no corpus at {}", corpus().display());
        return;
    }
    let wanted = std::env::var("FERRO_CHART").ok();
    let engine = Engine::new(Arc::new(Still::default()));
    let (mut passed, mut failed) = (0, Vec::new());
    for chart in charts {
        let name = chart.file_name().unwrap().to_string_lossy().into_owned();
        if wanted.as_ref().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let loaded = load_directory(&RealDirectory::new(chart.join("chart"))).unwrap();
        let renderer = Renderer::new(engine.clone(), loaded.chart);
        for case in folders(&chart.join("cases")) {
            match check(&renderer, &case) {
                Ok(()) => passed += 1,
                Err(problem) => failed.push(format!(
                    "{name}/{}: {problem}",
                    case.file_name().unwrap().display()
                )),
            }
        }
    }
    eprintln!("{passed} cases as upstream, {} not", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
