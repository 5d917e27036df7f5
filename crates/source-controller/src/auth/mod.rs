//! Credentials from Secrets (`spec/sources-and-images.md` section 8): what all source kinds read the same way.
//!
//! Secrets are read when they are needed and never kept: a change is seen by the next pass, and the process holds no copies.

pub(crate) mod cloud;
#[cfg(test)]
mod cloud_tests;
mod proxy;
pub(crate) mod registry;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

use std::collections::BTreeMap;

use ferro_http::Secret as Hidden;
use ferro_runtime::process::chain;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

pub(crate) use proxy::proxy;
pub(crate) use tls::tls;

/// The content of a Secret, with the name that messages give it.
pub(crate) struct SecretData {
    /// `namespace/name`.
    pub id: String,
    data: BTreeMap<String, Hidden<Vec<u8>>>,
}

impl SecretData {
    /// The content `data` of the Secret `id`.
    pub(crate) fn new(id: String, data: BTreeMap<String, ByteString>) -> Self {
        let hide = |(key, value): (String, ByteString)| (key, Hidden::new(value.0));
        Self {
            id,
            data: data.into_iter().map(hide).collect(),
        }
    }

    /// The bytes under `key`, be they empty.
    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(|value| value.expose().as_slice())
    }

    /// The bytes under `key`, unless there are none.
    pub(crate) fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// All entries, in the order of their names.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let entries = self.data.iter();
        entries.map(|(key, value)| (key.as_str(), value.expose().as_slice()))
    }

    /// The text under `key`; empty if there is none. What is no UTF-8 is replaced, and then refused by the server.
    pub(crate) fn text(&self, key: &str) -> Hidden<String> {
        Hidden::new(String::from_utf8_lossy(self.get(key).unwrap_or_default()).into_owned())
    }
}

/// A Secret could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// There is none of this name.
    #[error("secrets \"{0}\" not found")]
    NotFound(String),
    /// The API server refused or could not be reached.
    #[error("{0}")]
    Api(String),
}

/// Reads the Secret `name`.
///
/// # Errors
/// When there is none or it cannot be read.
pub(crate) async fn read(client: &Client, namespace: &str, name: &str) -> Result<SecretData, ReadError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match api.get_opt(name).await {
        Ok(Some(secret)) => Ok(SecretData::new(
            format!("{namespace}/{name}"),
            secret.data.unwrap_or_default(),
        )),
        Ok(None) => Err(ReadError::NotFound(name.to_owned())),
        Err(kube::Error::Api(status)) => Err(ReadError::Api(status.message.clone())),
        Err(error) => Err(ReadError::Api(chain(&error))),
    }
}

/// A Secret whose content cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContentError {
    /// A required key is missing.
    #[error("secret '{id}': key '{key}' not found")]
    KeyNotFound {
        /// The Secret.
        id: String,
        /// The key.
        key: &'static str,
    },
    /// One half of a pair is missing.
    #[error("secret '{id}' contains '{present}' but missing '{missing}'")]
    Incomplete {
        /// The Secret.
        id: String,
        /// The key that is there.
        present: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// A value is malformed.
    #[error("secret '{id}': {problem}")]
    Malformed {
        /// The Secret.
        id: String,
        /// What is wrong; shows nothing of the value.
        problem: String,
    },
}

#[cfg(test)]
pub(crate) fn secret(entries: &[(&str, &str)]) -> SecretData {
    let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
    SecretData::new("default/auth".to_owned(), entries.iter().map(entry).collect())
}
