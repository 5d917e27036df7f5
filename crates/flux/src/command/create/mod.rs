//! `flux create`: makes objects of flags, applies them and waits until they are ready, or prints them.

mod credentials;
mod kustomization;
mod release;
mod secret;
mod source;
mod ssh;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};
use ferro_api::field_manager;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Map, Value, json};

use super::resume::is_reconciled;
use super::session::Session;
use crate::args::create::{self as args, CreateArgs};
use crate::cluster::explain;
use crate::kind::KindRow;
use crate::manifest;
use crate::object::ObjectExt as _;
use crate::wait;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    match matches.subcommand() {
        Some(("helmrelease", leaf)) => release::run(leaf, session).await,
        Some(("kustomization", leaf)) => kustomization::run(leaf, session).await,
        Some(("secret", group)) => secret::run(group, session).await,
        Some(("source", group)) => source::run(group, session).await,
        _ => bail!("a resource type is required"),
    }
}

/// What all creations have in common.
struct Common {
    name: String,
    labels: BTreeMap<String, String>,
    args: CreateArgs,
}

impl Common {
    /// Reads it from the flags of a command.
    fn read(leaf: &ArgMatches) -> Result<Self> {
        let name = args::name(leaf)?.to_owned();
        let args = CreateArgs::from_arg_matches(leaf)?;
        let labels = args.labels()?;
        Ok(Self { name, labels, args })
    }

    fn metadata(&self, session: &Session<'_>) -> Value {
        let mut metadata = json!({"name": self.name, "namespace": session.namespace});
        if let (Some(fields), false) = (metadata.as_object_mut(), self.labels.is_empty()) {
            fields.insert("labels".to_owned(), json!(self.labels));
        }
        metadata
    }
}

/// A spec in the making: fields that have no value are left out.
#[derive(Default)]
struct Spec(Map<String, Value>);

impl Spec {
    /// Sets a field.
    fn set(&mut self, field: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(field.to_owned(), value.into());
        self
    }

    /// Sets a field if there is something to set it to.
    fn text(&mut self, field: &str, text: Option<&str>) -> &mut Self {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => self.set(field, text),
            None => self,
        }
    }

    /// Sets a field to a reference, if there is something to refer to.
    fn reference(&mut self, field: &str, name: Option<&str>) -> &mut Self {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => self.set(field, json!({"name": name})),
            None => self,
        }
    }

    /// Sets a switch that is on.
    fn switch(&mut self, field: &str, is_on: bool) -> &mut Self {
        if is_on { self.set(field, true) } else { self }
    }

    /// Sets a duration, if there is one.
    fn duration(&mut self, field: &str, duration: Option<ferro_api::Duration>) -> &mut Self {
        match duration.filter(|duration| !duration.to_std().is_zero()) {
            Some(duration) => self.set(field, duration.to_string()),
            None => self,
        }
    }
}

/// How the messages about a kind of objects are worded.
struct Words {
    /// What is created.
    thing: &'static str,
    /// What was created.
    changed: &'static str,
    /// What there is to say when it is ready.
    ending: Ending,
}

/// What there is to say about an object that is ready.
enum Ending {
    /// Which revision was fetched, or that there is none.
    Fetched { missing: &'static str },
    /// Which revision was applied.
    Applied,
}

/// An object that was made of flags.
struct Draft {
    row: &'static KindRow,
    object: Value,
}

impl Draft {
    fn new(kind: &str, common: &Common, spec: Spec, session: &Session<'_>) -> Result<Self> {
        let row = KindRow::find(kind).ok_or_else(|| anyhow!("unknown kind {kind}"))?;
        let object = manifest::complete(row, &common.metadata(session), &Value::Object(spec.0))?;
        Ok(Self { row, object })
    }

    fn print(&self, session: &mut Session<'_>) -> Result<()> {
        let text = manifest::document(&self.object)?;
        session.terminal.print(&text);
        Ok(())
    }

    /// Creates or updates the object, and waits until it is ready.
    async fn apply(&self, words: &Words, session: &mut Session<'_>) -> Result<()> {
        let (row, thing) = (self.row, words.thing);
        session.terminal.action(format_args!("applying {thing}"));
        let api = session.api(row).await?;
        let name = text(&self.object, "/metadata/name").to_owned();
        let is_new = upsert(&api, &name, &self.object, overwrite).await?;
        let done = if is_new { "created" } else { "updated" };
        session.terminal.success(format_args!("{} {done}", words.changed));

        session
            .terminal
            .waiting(format_args!("waiting for {thing} reconciliation"));
        let ready = wait::until(&api, &name, session.deadline(), |object| {
            Ok(is_reconciled(row, object)?.then(|| object.clone()))
        })
        .await?;
        match words.ending {
            Ending::Applied => {
                session
                    .terminal
                    .success(format_args!("{} {name} is ready", row.info.kind));
                let achievement = (row.achievement)(&ready);
                session.terminal.success(format_args!("{achievement}"));
            }
            Ending::Fetched { missing } => {
                session
                    .terminal
                    .success(format_args!("{thing} reconciliation completed"));
                let revision = ready.text("/status/artifact/revision");
                if row.static_message(&ready).is_some() {
                    // It is only read when a chart is asked for, and has no artifact.
                } else if revision.is_empty() {
                    bail!(missing);
                } else {
                    session
                        .terminal
                        .success(format_args!("fetched revision: {revision}"));
                }
            }
        }
        Ok(())
    }
}

/// Gives an object that is there the labels and the spec of another one.
fn overwrite(existing: &mut DynamicObject, wanted: &Value) {
    existing.metadata.labels = wanted
        .pointer("/metadata/labels")
        .and_then(|labels| serde_json::from_value(labels.clone()).ok());
    if let (Some(data), Some(spec)) = (existing.data.as_object_mut(), wanted.get("spec")) {
        data.insert("spec".to_owned(), spec.clone());
    }
}

/// Creates an object, or changes the one that is there. Reports whether it is new.
async fn upsert(
    api: &Api<DynamicObject>,
    name: &str,
    wanted: &Value,
    change: impl Fn(&mut DynamicObject, &Value),
) -> Result<bool> {
    let params = PostParams {
        field_manager: Some(field_manager::FLUX_CLI.to_owned()),
        ..PostParams::default()
    };
    let Some(mut existing) = api.get_opt(name).await.map_err(explain)? else {
        let object: DynamicObject = serde_json::from_value(wanted.clone())?;
        api.create(&params, &object).await.map_err(explain)?;
        return Ok(true);
    };
    change(&mut existing, wanted);
    api.replace(name, &params, &existing).await.map_err(explain)?;
    Ok(false)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Where a release or a Kustomization depends on others: `name` or `namespace/name`.
fn dependencies(names: &[String]) -> Vec<Value> {
    let dependency = |text: &String| match text.split_once('/') {
        Some((namespace, name)) => json!({"namespace": namespace, "name": name}),
        None => json!({"name": text}),
    };
    names.iter().map(dependency).collect()
}
