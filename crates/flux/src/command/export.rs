//! `flux export`: prints objects as they could be applied again.

use anyhow::{Context as _, Result, bail};
use clap::ArgMatches;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use super::session::{Session, list};
use crate::args::export::{ALL, NAME, WITH_CREDENTIALS};
use crate::args::target::{self, Target};
use crate::cluster::explain;
use crate::kind::KindRow;
use crate::manifest;
use crate::object::ObjectExt as _;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let Some((Target::Kind(row), leaf)) = target::read(matches) else {
        bail!("a resource type is required")
    };
    let is_set = |flag: &str| leaf.try_get_one(flag).ok().flatten().copied().unwrap_or(false);
    let name = leaf.get_one::<String>(NAME);
    let api = session.api(row).await?;
    let objects = match name {
        _ if is_set(ALL) => {
            let objects = list(row, &api, &ListParams::default()).await?.items;
            if objects.is_empty() {
                bail!("no objects found in {} namespace", session.namespace);
            }
            objects
        }
        Some(name) => vec![api.get(name).await.map_err(explain)?],
        None => bail!("name is required"),
    };
    for object in &objects {
        export(row, object, is_set(WITH_CREDENTIALS), session).await?;
    }
    Ok(())
}

async fn export(
    row: &KindRow,
    object: &DynamicObject,
    with_credentials: bool,
    session: &mut Session<'_>,
) -> Result<()> {
    let mut text = manifest::document(&manifest::reduced(row, object)?)?;
    let secret = object.text("/spec/secretRef/name");
    if with_credentials && !secret.is_empty() {
        let client = session.client().await?;
        let namespace = object.metadata.namespace.as_deref().unwrap_or(&session.namespace);
        let api: Api<Secret> = Api::namespaced(client, namespace);
        let found = api.get(secret).await.map_err(explain);
        let found = found.with_context(|| format!("failed to retrieve secret {secret}, error"))?;
        text.push_str(&manifest::document(&credentials(&found))?);
    }
    session.terminal.print(&text);
    Ok(())
}

fn credentials(secret: &Secret) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret.metadata.name, "namespace": secret.metadata.namespace},
    });
    for (field, value) in [("data", json!(secret.data)), ("type", json!(secret.type_))] {
        if let (Some(fields), false) = (object.as_object_mut(), value.is_null()) {
            fields.insert(field.to_owned(), value);
        }
    }
    object
}
