//! The charts that are rendered: some of the shared corpus.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xtask::paths;

/// A chart of the corpus.
pub(super) struct Chart {
    pub(super) name: &'static str,
    /// The values that it is rendered with, as `--set` takes them.
    pub(super) set: &'static str,
}

pub(super) const CHARTS: [Chart; 6] = [
    Chart {
        name: "vault",
        set: "",
    },
    Chart {
        name: "external-dns",
        set: "",
    },
    Chart {
        name: "prometheus",
        set: "",
    },
    Chart {
        name: "tempo-distributed",
        set: "",
    },
    Chart {
        name: "argo-rollouts",
        set: "",
    },
    Chart {
        name: "kube-prometheus-stack",
        // The subcharts that the corpus does not have; the dashboards are in this one.
        set: "kubeStateMetrics.enabled=false,nodeExporter.enabled=false,grafana.enabled=false,grafana.forceDeployDashboards=true",
    },
];

/// Where the corpus is, if it is there.
pub(super) fn corpus() -> Option<PathBuf> {
    let dir = paths::root().join("../shared/corpus/charts");
    dir.is_dir().then_some(dir)
}

/// Copies a chart, without the dependencies that it names and does not have: Helm would render none of it.
pub(super) fn prepare(from: &Path, to: &Path) -> Result<()> {
    copy(from, to)?;
    let file = to.join("Chart.yaml");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let kept = without_missing(&text, |name| to.join("charts").join(name).exists());
    if kept != text {
        fs::write(&file, kept)?;
        // It would no longer be in step.
        drop(fs::remove_file(to.join("Chart.lock")));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Takes dependencies out of a Chart.yaml whose list has the usual form.
fn without_missing(text: &str, has: impl Fn(&str) -> bool) -> String {
    let mut kept = String::new();
    let (mut is_listed, mut is_missing) = (false, false);
    for line in text.split_inclusive('\n') {
        let is_item = line.trim_start().starts_with("- ");
        if !line.starts_with(' ') && !is_item {
            (is_listed, is_missing) = (line.trim_end() == "dependencies:", false);
        } else if is_listed && is_item {
            let item = text.get(text.len() - remaining(text, line)..).unwrap_or_default();
            is_missing = !name_of(item).is_some_and(&has);
        }
        if !is_missing {
            kept.push_str(line);
        }
    }
    kept
}

/// How much of the text there is from this part of it on.
fn remaining(text: &str, part: &str) -> usize {
    text.len() - (part.as_ptr().addr() - text.as_ptr().addr())
}

/// The name of the first item.
fn name_of(items: &str) -> Option<&str> {
    let mut lines = items.lines();
    let first = lines.next()?.trim_start().strip_prefix("- ")?;
    let rest = lines.take_while(|line| line.starts_with(' ') && !line.trim_start().starts_with("- "));
    let mut fields = std::iter::once(first).chain(rest.map(str::trim_start));
    fields
        .find_map(|field| field.strip_prefix("name:"))
        .map(|name| name.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_that_are_missing_go() {
        let text = "name: a\ndependencies:\n  - name: b\n    version: 1\n  - version: 2\n    name: \"c\"\n  - name: d\ntype: x\n";
        let kept = without_missing(text, |name| name != "c");
        assert_eq!(
            kept,
            "name: a\ndependencies:\n  - name: b\n    version: 1\n  - name: d\ntype: x\n"
        );
        let kept = without_missing(text, |name| name == "c");
        assert_eq!(
            kept,
            "name: a\ndependencies:\n  - version: 2\n    name: \"c\"\ntype: x\n"
        );
    }
}
