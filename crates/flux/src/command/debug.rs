//! `flux debug`: what a controller knows and uses, secrets included.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};
use ferro_api::Kind as _;
use ferro_api::helm::HelmRelease;
use ferro_api::kustomize::{Kustomization, SubstituteReference};
use ferro_release::values;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::session::Session;
use crate::args::debug::{DebugKustomizationArgs, DebugReleaseArgs};
use crate::cluster::explain;
use crate::kind::KindRow;
use crate::manifest::yaml;
use crate::release::files;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    match matches.subcommand() {
        Some(("helmrelease", leaf)) => release(&DebugReleaseArgs::from_arg_matches(leaf)?, session).await,
        Some(("kustomization", leaf)) => {
            kustomization(&DebugKustomizationArgs::from_arg_matches(leaf)?, session).await
        }
        _ => bail!("a resource type is required"),
    }
}

async fn release(args: &DebugReleaseArgs, session: &mut Session<'_>) -> Result<()> {
    if !args.show_status && !args.show_values && !args.show_history {
        bail!("either --show-status, --show-values, or --show-history must be set");
    }
    let object = get(HelmRelease::INFO.kind, &args.name, session).await?;
    let mut parts = Vec::new();
    if args.show_status {
        parts.push(yaml(&status(&object, ""))?);
    }
    if args.show_values {
        let release: HelmRelease = typed(&object)?;
        let client = session.client().await?;
        let files = files::read(&release, Some(&client)).await?;
        let composed = values::compose(&client, &release, files).await?;
        parts.push(yaml(&Value::Object(values::stored(&composed)))?);
    }
    if args.show_history {
        parts.push(yaml(&status(&object, "/history"))?);
    }
    session.terminal.print(&parts.join("---\n"));
    Ok(())
}

async fn kustomization(args: &DebugKustomizationArgs, session: &mut Session<'_>) -> Result<()> {
    if !args.show_status && !args.show_vars && !args.show_history {
        bail!("either --show-status, --show-vars, or --show-history must be set");
    }
    let object = get(Kustomization::INFO.kind, &args.name, session).await?;
    let mut parts = Vec::new();
    if args.show_status {
        parts.push(yaml(&status(&object, ""))?);
    }
    if args.show_vars {
        parts.push(variables(&typed(&object)?, session).await?);
    }
    if args.show_history {
        parts.push(yaml(&status(&object, "/history"))?);
    }
    session.terminal.print(&parts.join("---\n"));
    Ok(())
}

async fn get(kind: &str, name: &str, session: &mut Session<'_>) -> Result<DynamicObject> {
    let row = KindRow::find(kind).ok_or_else(|| anyhow!("unknown kind {kind}"))?;
    let api = session.api(row).await?;
    api.get(name).await.map_err(explain)
}

/// The object as one of its kind.
fn typed<K: DeserializeOwned>(object: &DynamicObject) -> Result<K> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let value = serde_json::to_value(object)?;
    serde_json::from_value(value).with_context(|| format!("'{name}' cannot be read"))
}

/// A part of the status, empty where there is none.
fn status(object: &DynamicObject, pointer: &str) -> Value {
    let found = object
        .data
        .get("status")
        .and_then(|status| status.pointer(pointer));
    found.cloned().unwrap_or_else(|| match pointer {
        "" => Value::Object(serde_json::Map::new()),
        _ => Value::Array(Vec::new()),
    })
}

/// The variables of the substitution, a line each: those that are given in the object win.
async fn variables(object: &Kustomization, session: &mut Session<'_>) -> Result<String> {
    let Some(substitution) = &object.spec.post_build else {
        return Ok(String::new());
    };
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let mut variables = BTreeMap::new();
    for reference in &substitution.substitute_from {
        variables.extend(entries(reference, &namespace, session).await?);
    }
    variables.extend(substitution.substitute.clone());
    let line = |(key, value): (&String, &String)| format!("{key}={}\n", quoted(&value.replace('\n', "")));
    Ok(variables.iter().map(line).collect())
}

/// A value as `.env` files have it.
fn quoted(text: &str) -> String {
    if text.parse::<i64>().is_ok() {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if "\\\"$`!\r".contains(c) {
            quoted.push('\\');
        }
        quoted.push(if c == '\r' { 'r' } else { c });
    }
    quoted.push('"');
    quoted
}

async fn entries(
    reference: &SubstituteReference,
    namespace: &str,
    session: &mut Session<'_>,
) -> Result<BTreeMap<String, String>> {
    let client = session.client().await?;
    let (kind, name) = (reference.kind.as_str(), reference.name.as_str());
    let found = match kind {
        "Secret" => {
            let api: Api<Secret> = Api::namespaced(client, namespace);
            let found = api.get_opt(name).await.map_err(explain)?;
            found.map(|secret| {
                let data = secret.data.unwrap_or_default().into_iter();
                data.map(|(key, bytes)| (key, String::from_utf8_lossy(&bytes.0).into_owned()))
                    .collect()
            })
        }
        _ => {
            let api: Api<ConfigMap> = Api::namespaced(client, namespace);
            let found = api.get_opt(name).await.map_err(explain)?;
            found.map(|map| map.data.unwrap_or_default())
        }
    };
    match found {
        Some(entries) => Ok(entries),
        None if reference.optional => Ok(BTreeMap::new()),
        None => bail!("substitute from '{kind}/{name}' error: {kind} '{namespace}/{name}' not found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_shells() {
        for (text, shown) in [("1", "1"), ("a b", "\"a b\""), ("$a\"", "\"\\$a\\\"\"")] {
            assert_eq!(quoted(text), shown);
        }
    }
}
