//! Coalescing: a user's values over a chart's defaults, scoped to its subcharts.
//!
//! It works on the shared tables of a render because upstream's does: a subchart's `global` table shares
//! its inner tables with the parent's, and what is merged into one shows in the other.

use ferro_gocompat::quote::quote;
use ferro_template::{Map as Table, Value};
use serde_json::{Map, Value as Json};

use super::convert::{to_json, to_map, to_value};
use super::show::{show, show_as_bool};
use super::{Error, Instance};
use crate::Notice;

/// The key of the values that all charts see.
pub(super) const GLOBAL: &str = "global";

/// What becomes of null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nulls {
    /// It deletes the default under its key.
    Delete,
    /// It is a value like others; a later coalescing will see to it.
    Keep,
}

/// Coalesces a user's values with those of a chart and its subcharts.
///
/// ```
/// use ferro_helm::chart::{File, load_files};
/// use ferro_helm::values::{coalesce, resolve};
/// use serde_json::json;
///
/// let chart = load_files(vec![
///     File::new("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
///     File::new("values.yaml", "image: {name: app, tag: v1}\nport: 80\n"),
/// ])?
/// .chart;
/// let user = json!({"image": {"tag": "v2"}, "port": null}).as_object().cloned().unwrap_or_default();
/// let mut notices = Vec::new();
/// let instance = resolve(&chart, &user, &mut notices)?;
/// let values = coalesce(&instance, &user, &mut notices)?;
/// assert_eq!(json!(values), json!({"image": {"name": "app", "tag": "v2"}}));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn coalesce(
    chart: &Instance,
    user: &Map<String, Json>,
    notices: &mut Vec<Notice>,
) -> Result<Map<String, Json>, Error> {
    to_json(&coalesce_values(chart, to_map(user), notices)?)
}

/// Coalesces two tables, the first of which wins.
pub fn coalesce_tables(
    values: &Map<String, Json>,
    defaults: &Map<String, Json>,
    notices: &mut Vec<Notice>,
) -> Result<Map<String, Json>, Error> {
    let (values, defaults) = (to_map(values), to_map(defaults));
    Coalescing::new(notices, Nulls::Delete).tables(&values, &defaults, "", Nulls::Delete);
    to_json(&values)
}

/// Coalesces into the tables of a render, which nobody else may hold.
pub fn coalesce_values(chart: &Instance, user: Table, notices: &mut Vec<Notice>) -> Result<Table, Error> {
    Coalescing::new(notices, Nulls::Delete).chart(chart, &user, "")?;
    Ok(user)
}

/// Merges the defaults of a chart and its subcharts, with all nulls.
pub(super) fn merge_values(chart: &Instance, notices: &mut Vec<Notice>) -> Result<Table, Error> {
    let values = Table::new();
    Coalescing::new(notices, Nulls::Keep).chart(chart, &values, "")?;
    Ok(values)
}

/// Merges a table under another one, with all nulls.
pub(super) fn merge_tables(values: &Table, under: &Table, notices: &mut Vec<Notice>) {
    Coalescing::new(notices, Nulls::Keep).tables(values, under, "", Nulls::Keep);
}

struct Coalescing<'n> {
    notices: &'n mut Vec<Notice>,
    nulls: Nulls,
}

impl<'n> Coalescing<'n> {
    fn new(notices: &'n mut Vec<Notice>, nulls: Nulls) -> Self {
        Self { notices, nulls }
    }

    fn say(&mut self, text: String) {
        self.notices.push(Notice::info(text));
    }

    fn chart(&mut self, chart: &Instance, values: &Table, prefix: &str) -> Result<(), Error> {
        let prefix = join(prefix, chart.name());
        self.defaults(chart, values, &prefix);
        for subchart in chart.dependencies() {
            let name = subchart.name();
            let inner = match values.get(name) {
                None => {
                    let inner = Table::new();
                    values.insert(name, Value::Map(inner.clone()));
                    inner
                }
                Some(Value::Map(inner)) => inner,
                Some(other) => {
                    return Err(Error::TypeMismatch {
                        chart: name.to_owned(),
                        found: show_as_bool(&other),
                    });
                }
            };
            self.globals(&inner, values, &prefix);
            self.chart(subchart, &inner, &prefix)?;
        }
        Ok(())
    }

    /// Puts a chart's defaults under its values.
    fn defaults(&mut self, chart: &Instance, values: &Table, prefix: &str) {
        for (key, default) in chart.values() {
            let Some(value) = values.get(key) else {
                if self.nulls == Nulls::Keep {
                    values.insert(key.as_str(), to_value(default));
                } else if !default.is_null() {
                    values.insert(key.as_str(), without_nulls(default));
                }
                continue;
            };
            match (value, default) {
                (Value::Nil, _) if self.nulls == Nulls::Delete => {
                    values.remove(key);
                }
                (Value::Map(table), Json::Object(defaults)) => {
                    // A null for a subchart must still be there when its own defaults are looked at.
                    let is_subchart = chart.dependencies().iter().any(|subchart| subchart.name() == key);
                    let nulls = if is_subchart { Nulls::Keep } else { self.nulls };
                    let defaults = if nulls == Nulls::Keep {
                        to_map(defaults)
                    } else {
                        table_without_nulls(defaults)
                    };
                    self.tables(&table, &defaults, &join(prefix, key), nulls);
                }
                (Value::Map(_), Json::Null) => {}
                (Value::Map(_), _) => {
                    self.say(format!("warning: skipped value for {prefix}.{key}: Not a table."));
                }
                _ => {}
            }
        }
    }

    /// Hands a parent's global values to a subchart, whose own are under them.
    fn globals(&mut self, child: &Table, parent: &Table, prefix: &str) {
        let Some(below) = global_table(child) else {
            self.say(format!(
                "warning: skipping globals because destination {GLOBAL} is not a table."
            ));
            return;
        };
        let Some(above) = global_table(parent) else {
            self.say(format!(
                "warning: skipping globals because source {GLOBAL} is not a table."
            ));
            return;
        };
        let above_entries = above.entries();
        for (key, value) in above_entries.texts() {
            let Value::Map(table) = value else {
                if matches!(below.get(key.as_bytes()), Some(Value::Map(_))) {
                    self.say(format!("key {key} is table. Skipping"));
                } else {
                    below.insert(key.clone(), value.clone());
                }
                continue;
            };
            // The copy is shallow: inner tables stay shared with the parent.
            let copy: Table = table
                .entries()
                .texts()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            match below.get(key.as_bytes()) {
                None => {
                    below.insert(key.clone(), Value::Map(copy));
                }
                Some(Value::Map(own)) => {
                    self.tables(&copy, &own, &join(prefix, &key.to_str()), Nulls::Keep);
                    below.insert(key.clone(), Value::Map(copy));
                }
                Some(_) => self.say(format!(
                    "Conflict: cannot merge map onto non-map for {}. Skipping.",
                    quote(&key.to_str())
                )),
            }
        }
        drop(above_entries);
        child.insert(GLOBAL, Value::Map(below));
    }

    /// Puts one table under another; upstream marks the nulls of the upper one in the lower one, too.
    fn tables(&mut self, upper: &Table, lower: &Table, prefix: &str, nulls: Nulls) {
        let given: Vec<_> = entries(lower);
        for (key, value) in entries(upper) {
            if matches!(value, Value::Nil) {
                lower.insert(key, Value::Nil);
            }
        }
        for (key, value) in entries(lower) {
            let Some(own) = upper.get(key.as_bytes()) else {
                upper.insert(key, value);
                continue;
            };
            let was_given = || {
                let mut given = given.iter();
                given.any(|(given, value)| *given == key && !matches!(value, Value::Nil))
            };
            match (own, value) {
                (Value::Nil, _) if nulls == Nulls::Delete && was_given() => {
                    upper.remove(key.as_bytes());
                }
                (Value::Map(own), Value::Map(table)) => {
                    self.tables(&own, &table, &join(prefix, &key.to_str()), nulls);
                }
                (_, table @ Value::Map(_)) => {
                    let name = join(prefix, &key.to_str());
                    self.say(format!(
                        "warning: cannot overwrite table with non table for {name} ({})",
                        show(&table)
                    ));
                }
                (Value::Map(_), value) if !matches!(value, Value::Nil) => {
                    let name = join(prefix, &key.to_str());
                    self.say(format!(
                        "warning: destination for {name} is a table. Ignoring non-table value ({})",
                        show(&value)
                    ));
                }
                _ => {}
            }
        }
    }
}

fn entries(table: &Table) -> Vec<(ferro_template::Text, Value)> {
    let entries = table.entries();
    entries
        .texts()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The global table, a new one where there is none, nothing where it is no table.
fn global_table(values: &Table) -> Option<Table> {
    match values.get(GLOBAL) {
        None => Some(Table::new()),
        Some(Value::Map(table)) => Some(table),
        Some(_) => None,
    }
}

fn without_nulls(value: &Json) -> Value {
    match value {
        Json::Object(object) => Value::Map(table_without_nulls(object)),
        other => to_value(other),
    }
}

/// Drops nulls from a table and the tables in it; those in lists stay.
fn table_without_nulls(object: &Map<String, Json>) -> Table {
    object
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.as_str(), without_nulls(value)))
        .collect()
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}
