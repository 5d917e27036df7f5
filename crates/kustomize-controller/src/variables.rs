//! The variables of post-build substitution (`spec/kustomize-and-notification.md` D.2).

use std::collections::BTreeMap;

use ferro_api::kustomize::{PostBuild, SubstituteReference, SubstituteSourceKind, SubstituteStrategy};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

/// Variables could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VariablesError {
    /// A ConfigMap or Secret could not be read.
    #[error("substitute from '{kind}/{name}' error: {source}")]
    Source {
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// A value is no text.
    #[error("substitute from 'Secret/{name}' error: the value of key '{key}' is not UTF-8")]
    NotText {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
}

/// Reads the variables in the order of the spec: later sources win, `substitute` wins over all. Newlines are deleted from values.
/// None if no substitution is to take place.
pub(crate) async fn load(
    client: &Client,
    namespace: &str,
    post_build: Option<&PostBuild>,
) -> Result<Option<BTreeMap<String, String>>, VariablesError> {
    let Some(post_build) = post_build else {
        return Ok(None);
    };
    let mut variables = BTreeMap::new();
    for reference in &post_build.substitute_from {
        variables.extend(read(client, namespace, reference).await?);
    }
    variables.extend(post_build.substitute.clone());
    for value in variables.values_mut() {
        value.retain(|c| c != '\n');
    }
    let always = post_build.substitute_strategy == Some(SubstituteStrategy::Always);
    Ok((always || !variables.is_empty()).then_some(variables))
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
                Ok(found) => found
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|entry| text(name, entry))
                    .collect(),
                Err(error) if reference.optional && is_not_found(&error) => Ok(BTreeMap::new()),
                Err(error) => Err(failed("Secret")(error)),
            }
        }
    }
}

fn text(
    name: &str,
    (key, ByteString(value)): (String, ByteString),
) -> Result<(String, String), VariablesError> {
    match String::from_utf8(value) {
        Ok(value) => Ok((key, value)),
        Err(_) => Err(VariablesError::NotText {
            name: name.to_owned(),
            key,
        }),
    }
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
