//! `flux get`: tables of objects and their status.

use std::collections::HashMap;
use std::pin::pin;

use anyhow::{Result, bail};
use clap::{ArgMatches, FromArgMatches as _};
use futures::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};

use super::session::{NoSuchKind, Session, list, name_of};
use crate::args::get::{GetArgs, NAME, SHOW_SOURCE};
use crate::args::target::{self, Target};
use crate::cluster::explain;
use crate::kind::{KINDS, KindRow, source};
use crate::object::ObjectExt as _;
use crate::table::Table;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let Some((target, leaf)) = target::read(matches) else {
        bail!("a resource type is required")
    };
    let args = GetArgs::from_arg_matches(leaf)?;
    let selector = args
        .status_selector
        .as_deref()
        .map(StatusSelector::parse)
        .transpose()?;
    let mut view = View {
        args,
        selector,
        shows_source: false,
        shows_kind: false,
    };
    match target {
        Target::Kind(row) => {
            view.shows_source = leaf
                .try_get_one(SHOW_SOURCE)
                .ok()
                .flatten()
                .copied()
                .unwrap_or(false);
            let name = leaf.get_one::<String>(NAME).map(String::as_str);
            if view.args.watch {
                return watch_kind(row, name, &view, session).await;
            }
            get_kind(row, name, &view, session).await
        }
        Target::All(group) => {
            if view.args.watch {
                bail!("expected a single resource type, but found all");
            }
            view.shows_kind = true;
            for row in KINDS.iter().filter(|row| group.is_none() || row.group == group) {
                get_all_of_kind(row, &view, session).await?;
            }
            Ok(())
        }
    }
}

async fn get_kind(row: &KindRow, name: Option<&str>, view: &View, session: &mut Session<'_>) -> Result<()> {
    let objects = view.list(row, name, session).await?;
    if objects.is_empty() {
        let namespace = if view.args.all_namespaces {
            "any".to_owned()
        } else {
            format!("{:?}", session.namespace)
        };
        match name {
            Some(name) => bail!(
                "{} object '{name}' not found in {namespace} namespace",
                row.info.kind
            ),
            None => bail!("no {} objects found in {namespace} namespace", row.info.kind),
        }
    }
    let text = view.table(row).rows(&view.rows(row, &objects));
    session.terminal.print(&text);
    Ok(())
}

/// Prints a table with a blank line after it, or nothing if there are no objects or the cluster does not
/// know the kind.
async fn get_all_of_kind(row: &KindRow, view: &View, session: &mut Session<'_>) -> Result<()> {
    let objects = match view.list(row, None, session).await {
        Ok(objects) => objects,
        Err(error) if error.is::<NoSuchKind>() => return Ok(()),
        Err(error) => return Err(error),
    };
    if !objects.is_empty() {
        let text = view.table(row).rows(&view.rows(row, &objects));
        session.terminal.print(&text);
        session.terminal.print("\n");
    }
    Ok(())
}

/// Prints a row for each object and for each change, until it is interrupted.
async fn watch_kind(row: &KindRow, name: Option<&str>, view: &View, session: &mut Session<'_>) -> Result<()> {
    let api = view.api(row, session).await?;
    let params = view.params(name);
    let config = watcher::Config {
        label_selector: params.label_selector,
        field_selector: params.field_selector,
        ..watcher::Config::default()
    };
    let mut table = view.table(row);
    // When the watch starts anew, it begins with objects that were printed already.
    let mut printed = HashMap::new();
    let mut events = pin!(watch(api, config).default_backoff());
    while let Some(event) = events.next().await {
        let object = match event {
            Ok(Event::InitApply(object) | Event::Apply(object) | Event::Delete(object)) => object,
            Err(watcher::Error::InitialListFailed(error)) => return Err(explain(error)),
            Err(watcher::Error::WatchStartFailed(error)) if is_refusal(&error) => return Err(explain(error)),
            Ok(Event::Init | Event::InitDone) | Err(_) => continue,
        };
        let key = (object.metadata.namespace.clone(), object.metadata.name.clone());
        let version = object.metadata.resource_version.clone();
        if printed.insert(key, version.clone()) == Some(version) {
            continue;
        }
        let rows = view.rows(row, std::slice::from_ref(&object));
        if !rows.is_empty() {
            let text = table.rows(&rows);
            session.terminal.print(&text);
        }
    }
    Ok(())
}

/// Reports whether asking again would change nothing.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [401, 403, 404].contains(&status.code))
}

/// Which objects are shown, and what of them.
struct View {
    args: GetArgs,
    selector: Option<StatusSelector>,
    shows_source: bool,
    /// Whether names are led by the kind.
    shows_kind: bool,
}

impl View {
    async fn api(&self, row: &KindRow, session: &mut Session<'_>) -> Result<Api<DynamicObject>> {
        if self.args.all_namespaces {
            session.api_everywhere(row).await
        } else {
            session.api(row).await
        }
    }

    fn params(&self, name: Option<&str>) -> ListParams {
        ListParams {
            label_selector: self.args.label_selector.clone(),
            // A list, so that objects can be looked for in all namespaces.
            field_selector: name.map(|name| format!("metadata.name={name}")),
            ..ListParams::default()
        }
    }

    async fn list(
        &self,
        row: &KindRow,
        name: Option<&str>,
        session: &mut Session<'_>,
    ) -> Result<Vec<DynamicObject>> {
        let api = self.api(row, session).await?;
        Ok(list(row, &api, &self.params(name)).await?.items)
    }

    fn table(&self, row: &KindRow) -> Table {
        if self.args.no_header {
            return Table::without_header();
        }
        let namespace = self.args.all_namespaces.then_some("Namespace");
        let source = self.shows_source.then_some("Source");
        let columns = row.columns.iter().map(|column| column.name);
        Table::new(
            &namespace
                .into_iter()
                .chain(["Name"])
                .chain(source)
                .chain(columns)
                .collect::<Vec<_>>(),
        )
    }

    fn rows(&self, row: &KindRow, objects: &[DynamicObject]) -> Vec<Vec<String>> {
        let selected = objects
            .iter()
            .filter(|o| self.selector.as_ref().is_none_or(|s| s.matches(o)));
        selected.map(|object| self.row(row, object)).collect()
    }

    fn row(&self, row: &KindRow, object: &DynamicObject) -> Vec<String> {
        let mut cells = Vec::with_capacity(row.columns.len() + 3);
        if self.args.all_namespaces {
            cells.push(object.metadata.namespace.clone().unwrap_or_default());
        }
        let name = name_of(object);
        cells.push(if self.shows_kind {
            format!("{}/{name}", row.info.singular())
        } else {
            name.to_owned()
        });
        if self.shows_source {
            cells.push(source(row, object));
        }
        cells.extend(row.columns.iter().map(|column| (column.cell)(row, object)));
        cells
    }
}

/// A condition that objects must have, or must not have.
#[derive(Debug, PartialEq, Eq)]
struct StatusSelector {
    type_: String,
    status: String,
    is_negated: bool,
}

impl StatusSelector {
    fn parse(text: &str) -> Result<Self> {
        let Some((type_, status)) = text.split_once('=') else {
            bail!("expected status selector in type=status format, but found: {text}");
        };
        let (type_, is_negated) = match type_.strip_suffix('!') {
            Some(type_) => (type_, true),
            None => (type_, false),
        };
        Ok(Self {
            type_: type_.to_owned(),
            status: status.to_owned(),
            is_negated,
        })
    }

    fn matches(&self, object: &DynamicObject) -> bool {
        let has_status = object.conditions().any(|condition| {
            condition.type_.eq_ignore_ascii_case(&self.type_)
                && condition.status.eq_ignore_ascii_case(&self.status)
        });
        has_status != self.is_negated
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn status_selectors() {
        let object = |status: Option<&str>| -> DynamicObject {
            let conditions: Vec<_> = status
                .iter()
                .map(|status| json!({"type": "Ready", "status": status}))
                .collect();
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap()
        };
        for (selector, on_true, on_false, on_none) in [
            ("ready=true", true, false, false),
            ("READY=False", false, true, false),
            ("ready!=true", false, true, true),
            ("stalled=true", false, false, false),
            ("stalled!=true", true, true, true),
        ] {
            let selector = StatusSelector::parse(selector).unwrap();
            assert_eq!(selector.matches(&object(Some("True"))), on_true, "{selector:?}");
            assert_eq!(selector.matches(&object(Some("False"))), on_false, "{selector:?}");
            assert_eq!(selector.matches(&object(None)), on_none, "{selector:?}");
        }
        let error = StatusSelector::parse("ready").unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected status selector in type=status format, but found: ready"
        );
    }
}
