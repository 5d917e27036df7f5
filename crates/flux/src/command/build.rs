//! `flux build helmrelease`: prints the objects of a release as helm-controller would apply them.

use std::fmt::Write as _;

use anyhow::{Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};
use ferro_apply::Object;
use ferro_helm::manifest::split;
use ferro_release::objects;
use serde_json::Value;

use super::session::Session;
use crate::args::build::BuildReleaseArgs;
use crate::manifest::yaml;
use crate::release::{Blueprint, assemble, scope};

/// What charts write before each document.
const SOURCE: &str = "# Source: ";

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let Some(("helmrelease", leaf)) = matches.subcommand() else {
        bail!("a resource type is required")
    };
    let args = BuildReleaseArgs::from_arg_matches(leaf)?;
    let how = (args.dry_run, args.is_upgrade);
    let blueprint = assemble(&args.input, how, session).await?;
    let mut text = String::new();
    if !args.skip_crds {
        for definition in &blueprint.definitions {
            push(&mut text, "", definition.value())?;
        }
    }
    for document in split(&blueprint.made.manifest) {
        let source = document
            .lines()
            .find(|line| line.starts_with(SOURCE))
            .unwrap_or_default();
        for object in settled(document, source, &blueprint).await? {
            push(&mut text, source, object.value())?;
        }
    }
    if !args.no_hooks {
        for hook in &blueprint.made.hooks {
            let source = format!("{SOURCE}{}\n# Hook: {}", hook.path, hook.events.join(", "));
            let parsed =
                objects::parse(&hook.manifest).map_err(|problem| anyhow!("hook {}: {problem}", hook.path))?;
            for object in in_namespace(parsed, &blueprint).await? {
                push(&mut text, &source, object.value())?;
            }
        }
    }
    session.terminal.print(&text);
    Ok(())
}

/// The objects of a document, marked as those of the release.
async fn settled(document: &str, source: &str, blueprint: &Blueprint) -> Result<Vec<Object>> {
    let parsed = objects::parse(document)
        .map_err(|problem| anyhow!("{}: {problem}", source.trim_start_matches(SOURCE)))?;
    let mut settled = in_namespace(parsed, blueprint).await?;
    objects::own(&mut settled, &blueprint.target);
    Ok(settled)
}

async fn in_namespace(parsed: Vec<Object>, blueprint: &Blueprint) -> Result<Vec<Object>> {
    match &blueprint.cluster {
        Some(cluster) => {
            let settled = objects::settle(cluster, parsed, &blueprint.target).await;
            settled.map_err(|problem| anyhow!(problem))
        }
        None => scope::settle(parsed, &blueprint.definitions, &blueprint.target.namespace),
    }
}

fn push(text: &mut String, comment: &str, object: &Value) -> Result<()> {
    let line_end = if comment.is_empty() { "" } else { "\n" };
    write!(text, "---\n{comment}{line_end}{}", yaml(object)?)?;
    Ok(())
}
