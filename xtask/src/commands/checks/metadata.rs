//! What `cargo metadata` says, as far as the checks want to know.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::paths;

/// A dependency's place in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Dev,
    Build,
}

/// A package of the graph.
#[derive(Debug, Default)]
pub(super) struct Package {
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    pub is_member: bool,
    /// What its manifest names.
    pub declared: Vec<(String, Kind)>,
    /// The ids of what it is linked with, tests aside.
    pub linked: Vec<String>,
    pub features: BTreeSet<String>,
}

/// The packages of the workspace and all that they depend on, by id.
#[derive(Debug)]
pub(super) struct Metadata {
    pub packages: BTreeMap<String, Package>,
}

impl Metadata {
    pub(super) fn load() -> Result<Self> {
        let res = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version=1", "--locked"])
            .current_dir(paths::root())
            .output()
            .context("cannot start cargo")?;
        ensure!(
            res.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&res.stderr).trim()
        );
        Ok(Self::parse(&serde_json::from_slice(&res.stdout)?))
    }

    fn parse(root: &Value) -> Self {
        let members: BTreeSet<&str> = list(root, "workspace_members")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut packages: BTreeMap<String, Package> = list(root, "packages")
            .iter()
            .map(|it| {
                let id = text(it, "id");
                let package = Package {
                    name: text(it, "name"),
                    version: text(it, "version"),
                    license: it.get("license").and_then(Value::as_str).map(str::to_owned),
                    is_member: members.contains(id.as_str()),
                    declared: list(it, "dependencies")
                        .iter()
                        .map(|dep| (text(dep, "name"), kind(dep)))
                        .collect(),
                    ..Package::default()
                };
                (id, package)
            })
            .collect();
        for node in root.get("resolve").map_or(&[][..], |it| list(it, "nodes")) {
            let Some(package) = packages.get_mut(&text(node, "id")) else {
                continue;
            };
            package.features = list(node, "features")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            let is_linked = |dep: &&Value| list(dep, "dep_kinds").iter().any(|it| kind(it) == Kind::Normal);
            package.linked = list(node, "deps")
                .iter()
                .filter(is_linked)
                .map(|dep| text(dep, "pkg"))
                .collect();
        }
        Self { packages }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Package)> {
        self.packages
            .iter()
            .filter(|(_, it)| it.is_member)
            .map(|(id, it)| (id.as_str(), it))
    }

    /// The names of everything that a package is linked with, directly or not.
    pub(super) fn closure(&self, id: &str) -> BTreeSet<&str> {
        let (mut names, mut seen, mut queue) = (BTreeSet::new(), BTreeSet::new(), vec![id]);
        while let Some(id) = queue.pop() {
            let Some(package) = self.packages.get(id) else {
                continue;
            };
            for next in &package.linked {
                if seen.insert(next.as_str()) {
                    queue.push(next);
                    names.extend(self.packages.get(next).map(|it| it.name.as_str()));
                }
            }
        }
        names
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn kind(value: &Value) -> Kind {
    match value.get("kind").and_then(Value::as_str) {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    }
}
