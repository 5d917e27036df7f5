//! Dependencies: which subcharts take part, under which names and with which defaults.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferro_template::{Map as Table, Value};
use serde_json::{Map, Value as Json};

use super::coalesce::coalesce_values;
use super::convert::{copy, to_map};
use super::{Error, import};
use crate::Notice;
use crate::chart::{Chart, Crd, Dependency, is_compatible_range};

/// A chart in its place in a tree, as values have made it: under the name that its parent gives it, with the
/// subcharts that are enabled and the defaults that it imported from them.
#[derive(Clone, Debug)]
pub struct Instance {
    chart: Arc<Chart>,
    name: String,
    path: String,
    is_root: bool,
    dependencies: Vec<Self>,
    metadata: Arc<Mutex<Metadata>>,
    listed: Option<Vec<Dependency>>,
    imported: Option<Map<String, Json>>,
}

/// What a chart's metadata lists, while dependencies are resolved. A subchart that nobody lists shares it with the
/// same one below another alias of its parent, so the second finds what became of it for the first.
#[derive(Debug, Default)]
struct Metadata {
    listed: Option<Vec<Dependency>>,
    /// Whether the imports are written out as pairs; upstream does not know those again.
    has_imported: bool,
}

/// Resolves the dependencies of a chart: aliases, conditions, tags, imported values.
pub fn resolve(
    chart: &Arc<Chart>,
    values: &Map<String, Json>,
    notices: &mut Vec<Notice>,
) -> Result<Instance, Error> {
    let mut root = Instance::new(chart, chart.name());
    root.enable(&to_map(values), "", notices)?;
    root.import_values(notices)?;
    root.set_path("", true);
    Ok(root)
}

impl Instance {
    /// Takes a chart with all its subcharts.
    fn new(chart: &Arc<Chart>, name: &str) -> Self {
        let listed = chart.metadata.dependencies.as_ref();
        let metadata = Metadata {
            listed: listed.map(|listed| listed.iter().flatten().cloned().collect()),
            has_imported: false,
        };
        Self {
            chart: Arc::clone(chart),
            name: name.to_owned(),
            path: String::new(),
            is_root: false,
            dependencies: chart
                .dependencies
                .iter()
                .map(|subchart| Self::new(subchart, subchart.name()))
                .collect(),
            metadata: Arc::new(Mutex::new(metadata)),
            listed: None,
            imported: None,
        }
    }

    /// A chart with all its subcharts, under their own names.
    pub(crate) fn whole(chart: &Arc<Chart>) -> Self {
        let mut root = Self::new(chart, chart.name());
        root.set_path("", true);
        root
    }

    /// The chart.
    pub fn chart(&self) -> &Arc<Chart> {
        &self.chart
    }

    /// What its parent calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path from the root chart on: `app/charts/database`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Tells whether it is nobody's subchart.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// The subcharts that are enabled.
    pub fn dependencies(&self) -> &[Self] {
        &self.dependencies
    }

    /// The dependencies in its metadata that are enabled.
    pub fn listed(&self) -> Option<&[Dependency]> {
        self.listed.as_deref()
    }

    /// Its defaults.
    pub fn values(&self) -> &Map<String, Json> {
        self.imported.as_ref().unwrap_or(&self.chart.values)
    }

    /// Tells whether there are defaults at all, be they empty: Go tells a nil map from an empty one.
    pub(crate) fn has_values(&self) -> bool {
        self.imported.is_some()
            || !self.chart.values.is_empty()
            || self.chart.raw.iter().any(|file| file.name == "values.yaml")
    }

    /// The custom resource definitions of it and its subcharts.
    pub fn crds(&self) -> Vec<Crd> {
        let own = self.chart.crd_files().map(|file| Crd {
            name: file.name.clone(),
            filename: ferro_gocompat::path::clean(&format!("{}/{}", self.path, file.name)),
            data: Arc::clone(&file.data),
        });
        let inner = self.dependencies.iter().flat_map(Self::crds);
        own.chain(inner).collect()
    }

    fn metadata(&self) -> MutexGuard<'_, Metadata> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy with metadata of its own.
    fn detached(&self) -> Self {
        let metadata = self.metadata();
        let own = Metadata {
            listed: metadata.listed.clone(),
            has_imported: metadata.has_imported,
        };
        Self {
            metadata: Arc::new(Mutex::new(own)),
            ..self.clone()
        }
    }

    /// Fixes what is listed, and where the chart is.
    fn set_path(&mut self, parent: &str, is_root: bool) {
        let listed = self.metadata().listed.clone();
        self.listed = listed;
        self.is_root = is_root;
        self.path = if is_root {
            self.name.clone()
        } else {
            format!("{parent}/charts/{}", self.name)
        };
        for subchart in &mut self.dependencies {
            subchart.set_path(&self.path, false);
        }
    }

    /// Leaves the subcharts that are enabled, under the names that they are listed by.
    fn enable(&mut self, values: &Table, path: &str, notices: &mut Vec<Notice>) -> Result<(), Error> {
        let Some(mut listed) = self.metadata().listed.take() else {
            return Ok(());
        };
        self.dependencies = take_listed(&self.dependencies, &mut listed);
        let values = coalesce_values(self, copy(values)?, notices)?;
        for dependency in &mut listed {
            dependency.enabled = true;
        }
        apply_tags(&mut listed, &values, notices);
        apply_conditions(&mut listed, &values, path, notices);
        let disabled: BTreeSet<String> = listed
            .iter()
            .filter(|dependency| !dependency.enabled)
            .map(|dependency| dependency.name.clone())
            .collect();
        self.dependencies
            .retain(|subchart| !disabled.contains(&subchart.name));
        listed.retain(|dependency| !disabled.contains(&dependency.name));
        for subchart in &mut self.dependencies {
            let path = format!("{path}{}.", subchart.name);
            subchart.enable(&values, &path, notices)?;
        }
        self.metadata().listed = (!listed.is_empty()).then_some(listed);
        Ok(())
    }

    fn import_values(&mut self, notices: &mut Vec<Notice>) -> Result<(), Error> {
        for subchart in &mut self.dependencies {
            subchart.import_values(notices)?;
        }
        let Some(mut listed) = self.metadata().listed.take() else {
            return Ok(());
        };
        if self.metadata().has_imported {
            listed
                .iter_mut()
                .for_each(|dependency| dependency.import_values.clear());
        }
        let imported = import::import_values(self, &mut listed, notices);
        *self.metadata() = Metadata {
            listed: Some(listed),
            has_imported: true,
        };
        self.imported = Some(imported?);
        Ok(())
    }
}

/// The loaded subcharts that are not listed, and then those that are in the order of the list.
fn take_listed(loaded: &[Instance], listed: &mut [Dependency]) -> Vec<Instance> {
    let fits = |subchart: &Instance, dependency: &Dependency| {
        subchart.name == dependency.name
            && is_compatible_range(&dependency.version, &subchart.chart.metadata.version)
    };
    let is_listed = |subchart: &&Instance| listed.iter().any(|dependency| fits(subchart, dependency));
    let mut taken: Vec<Instance> = loaded
        .iter()
        .filter(|subchart| !is_listed(subchart))
        .cloned()
        .collect();
    for dependency in listed {
        if let Some(found) = loaded.iter().find(|subchart| fits(subchart, dependency)) {
            let mut subchart = found.detached();
            dependency.shown_name().clone_into(&mut subchart.name);
            taken.push(subchart);
        }
        dependency.name = dependency.shown_name().to_owned();
    }
    taken
}

fn apply_tags(listed: &mut [Dependency], values: &Table, notices: &mut Vec<Notice>) {
    let Some(Value::Map(tags)) = values.get("tags") else {
        return;
    };
    for dependency in listed {
        let (mut has_true, mut has_false) = (false, false);
        for tag in &dependency.tags {
            match tags.get(tag) {
                None => {}
                Some(Value::Bool(true)) => has_true = true,
                Some(Value::Bool(false)) => has_false = true,
                Some(_) => notices.push(
                    Notice::warn("returned non-bool value")
                        .with("tag", tag.as_str())
                        .with("chart", dependency.name.as_str()),
                ),
            }
        }
        dependency.enabled = has_true || !has_false;
    }
}

fn apply_conditions(listed: &mut [Dependency], values: &Table, path: &str, notices: &mut Vec<Notice>) {
    for dependency in listed {
        let condition = dependency.condition.trim();
        for condition in condition.split(',').filter(|condition| !condition.is_empty()) {
            match path_value(values, &format!("{path}{condition}")) {
                None => {}
                Some(Value::Bool(enabled)) => {
                    dependency.enabled = enabled;
                    break;
                }
                Some(_) => notices.push(
                    Notice::warn("returned non-bool value")
                        .with("path", condition)
                        .with("chart", dependency.name.as_str()),
                ),
            }
        }
    }
}

/// The table at a path of names with dots between them.
pub(crate) fn table_at(values: &Table, path: &str) -> Result<Table, String> {
    path.split('.')
        .try_fold(values.clone(), |table, name| match table.get(name) {
            Some(Value::Map(inner)) => Ok(inner),
            _ => Err(name.to_owned()),
        })
}

/// The value at a path, unless it is a table.
pub(crate) fn path_value(values: &Table, path: &str) -> Option<Value> {
    let (table, key) = match path.rsplit_once('.') {
        Some((tables, key)) => (Cow::Owned(table_at(values, tables).ok()?), key),
        None => (Cow::Borrowed(values), path),
    };
    table.get(key).filter(|value| !matches!(value, Value::Map(_)))
}
