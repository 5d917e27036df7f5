//! The variables of post-build substitution (`spec/kustomize-and-notification.md` D.2).

use std::collections::BTreeMap;

use ferro_api::kustomize::{PostBuild, SubstituteReference, SubstituteSourceKind, SubstituteStrategy};
use ferro_apply::error::message;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

/// Variables could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VariablesError {
    /// A ConfigMap or Secret could not be read.
    #[error("substitute from '{kind}/{name}' error: {}", message(source.as_ref()))]
    Source {
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
}

/// The values to substitute.
#[derive(Default)]
pub(crate) struct Variables {
    /// By name. None if no substitution is to take place.
    pub(crate) values: Option<BTreeMap<String, String>>,
    /// Those values that came from Secrets.
    pub(crate) secrets: Vec<String>,
}

/// Reads the variables in the order of the spec: later sources win, `substitute` wins over all. Newlines are deleted from values.
pub(crate) async fn load(
    client: &Client,
    namespace: &str,
    post_build: Option<&PostBuild>,
) -> Result<Variables, VariablesError> {
    let Some(post_build) = post_build else {
        return Ok(Variables::default());
    };
    let (mut variables, mut secrets) = (BTreeMap::new(), Vec::new());
    for reference in &post_build.substitute_from {
        let read = read(client, namespace, reference).await?;
        if reference.kind == SubstituteSourceKind::Secret {
            secrets.extend(read.values().cloned());
        }
        variables.extend(read);
    }
    variables.extend(post_build.substitute.clone());
    for value in variables.values_mut() {
        value.retain(|c| c != '\n');
    }
    let always = post_build.substitute_strategy == Some(SubstituteStrategy::Always);
    Ok(Variables {
        values: (always || !variables.is_empty()).then_some(variables),
        secrets,
    })
}

async fn read(
    client: &Client,
    namespace: &str,
    reference: &SubstituteReference,
) -> Result<BTreeMap<String, String>, VariablesError> {
    let name = &reference.name;
    let failed = |kind| {
        move |source| VariablesError::Source {
            kind,
            name: name.clone(),
            source: Box::new(source),
        }
    };
    match reference.kind {
        SubstituteSourceKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            match api.get(name).await {
                Ok(found) => Ok(found.data.unwrap_or_default()),
                Err(error) if reference.optional && is_not_found(&error) => Ok(BTreeMap::new()),
                Err(error) => Err(failed("ConfigMap")(error)),
            }
        }
        SubstituteSourceKind::Secret => {
            let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
            match api.get(name).await {
                Ok(found) => {
                    let data = found.data.unwrap_or_default();
                    Ok(data.into_iter().map(text).collect())
                }
                Err(error) if reference.optional && is_not_found(&error) => Ok(BTreeMap::new()),
                Err(error) => Err(failed("Secret")(error)),
            }
        }
    }
}

/// A value as a text. Bytes that are none must not stop those who never refer to them, such as a keystore beside a password; for the
/// others they become a text that no manifest can hold, so that its substitution fails rather than changes them.
fn text((key, ByteString(value)): (String, ByteString)) -> (String, String) {
    let value = String::from_utf8(value)
        .unwrap_or_else(|error| format!("\0{}", String::from_utf8_lossy(error.as_bytes())));
    (key, value)
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
