//! `import-values`: defaults of a subchart that its parent takes over.

use ferro_gocompat::quote::quote;
use ferro_template::{Map as Table, Value};
use serde_json::{Map, Value as Json, json};

use super::coalesce::{merge_tables, merge_values};
use super::convert::{copy, to_json, to_value};
use super::resolve::table_at;
use super::show::show;
use super::{Error, Instance};
use crate::Notice;
use crate::chart::Dependency;

/// Returns the chart's defaults over those that it imports, and writes each import as upstream does:
/// templates see it as a pair of child and parent.
pub(super) fn import_values(
    chart: &Instance,
    listed: &mut [Dependency],
    notices: &mut Vec<Notice>,
) -> Result<Map<String, Json>, Error> {
    let values = merge_values(chart, notices)?;
    let imported = Table::new();
    for dependency in listed {
        let imports = std::mem::take(&mut dependency.import_values);
        for import in imports {
            let Some(import) = Import::of(&import) else {
                continue;
            };
            let path = format!("{}.{}", dependency.name, import.child);
            match table_at(&values, &path) {
                Ok(table) => merge_tables(&imported, &nested(&import.parent, table), notices),
                Err(key) => notices.push(import.missing(&dependency.name, &key)),
            }
            dependency
                .import_values
                .push(json!({"child": import.child, "parent": import.parent}));
        }
    }
    if imported.is_empty() {
        return to_json(&values);
    }
    // The chart's own values win, and what was merged above may share tables with them.
    let own = copy(&values)?;
    merge_tables(&own, &imported, notices);
    to_json(&own)
}

struct Import {
    child: String,
    parent: String,
    is_export: bool,
}

impl Import {
    fn of(import: &Json) -> Option<Self> {
        match import {
            Json::String(export) => Some(Self {
                child: format!("exports.{export}"),
                parent: ".".to_owned(),
                is_export: true,
            }),
            Json::Object(pair) => {
                let text = |key: &str| show(&pair.get(key).map_or(Value::Nil, to_value));
                Some(Self {
                    child: text("child"),
                    parent: text("parent"),
                    is_export: false,
                })
            }
            _ => None,
        }
    }

    fn missing(&self, chart: &str, key: &str) -> Notice {
        let error = format!("{} is not a table", quote(key));
        if self.is_export {
            Notice::warn("ImportValues missing table").with("error", error)
        } else {
            Notice::warn("ImportValues missing table from chart")
                .with("chart", chart)
                .with("error", error)
        }
    }
}

/// Puts a table at a path.
fn nested(path: &str, table: Table) -> Table {
    if path == "." {
        return table;
    }
    path.rsplit('.')
        .fold(table, |inner, name| Table::from_iter([(name, Value::Map(inner))]))
}
