//! Secrets that sources read credentials from.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use ferro_api::secret_key as key;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::ssh::Keys;
use super::upsert;
use crate::command::Session;
use crate::local::read_file;

/// A Secret in the making.
pub(super) struct Credentials {
    pub(super) name: String,
    labels: BTreeMap<String, String>,
    type_: Option<&'static str>,
    entries: BTreeMap<String, String>,
}

impl Credentials {
    pub(super) fn new(name: &str, labels: &BTreeMap<String, String>) -> Self {
        Self {
            name: name.to_owned(),
            labels: labels.clone(),
            type_: None,
            entries: BTreeMap::new(),
        }
    }

    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// An entry.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// Says what kind of Secret it is.
    pub(super) fn of_type(&mut self, type_: &'static str) -> &mut Self {
        self.type_ = Some(type_);
        self
    }

    /// Sets an entry.
    pub(super) fn set(&mut self, key: &str, text: impl Into<String>) -> &mut Self {
        self.entries.insert(key.to_owned(), text.into());
        self
    }

    /// Sets an entry, if there is something to set it to.
    pub(super) fn optional(&mut self, key: &str, text: Option<&str>) -> &mut Self {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => self.set(key, text),
            None => self,
        }
    }

    /// User and password, if both are there.
    pub(super) fn basic(&mut self, username: Option<&str>, password: Option<&str>) {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        if let (Some(username), Some(password)) = (given(username), given(password)) {
            self.set(key::USERNAME, username).set(key::PASSWORD, password);
        }
    }

    /// A key pair, and the key of the server. The password is that of the private key.
    pub(super) fn ssh(&mut self, keys: Keys, password: Option<&str>) {
        self.set(key::IDENTITY, keys.private)
            .set(key::IDENTITY_PUB, keys.public)
            .set(key::KNOWN_HOSTS, keys.known_hosts)
            .optional(key::PASSWORD, password);
    }

    /// The certificate authority of a server.
    pub(super) fn ca(&mut self, pem: &[u8]) -> Result<()> {
        self.set(key::CA_CERT, text(pem)?);
        Ok(())
    }

    /// Keys of an S3 storage, if both are there.
    pub(super) fn bucket(&mut self, access: Option<&str>, secret: Option<&str>) {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        if let (Some(access), Some(secret)) = (given(access), given(secret)) {
            self.set("accesskey", access).set("secretkey", secret);
        }
    }

    /// What a certificate consists of: certificate and key, certificate authority, as far as they are given.
    pub(super) fn tls(&mut self, files: (Option<&str>, Option<&str>, Option<&str>)) -> Result<()> {
        let (certificate, private_key, ca) = files;
        if let Some(path) = ca {
            self.ca(&read_file(path).context("unable to read TLS CA file")?)?;
        }
        if let (Some(certificate), Some(private_key)) = (certificate, private_key) {
            let certificate = read_file(certificate).context("failed to read cert file")?;
            let private_key = read_file(private_key).context("failed to read key file")?;
            self.set(key::TLS_CERT, text(&certificate)?)
                .set(key::TLS_KEY, text(&private_key)?);
        }
        Ok(())
    }

    /// What a Helm repository is read with: a client certificate or else a user, and a certificate authority.
    pub(super) fn helm(
        &mut self,
        (username, password): (Option<&str>, Option<&str>),
        files: (Option<&str>, Option<&str>, Option<&str>),
    ) -> Result<()> {
        self.tls(files)?;
        if self.entries.contains_key(key::TLS_CERT) {
            self.of_type("kubernetes.io/tls");
            return Ok(());
        }
        let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        match (given(username), given(password)) {
            (false, false) => {}
            (false, true) => bail!("username is required"),
            (true, false) => bail!("password is required"),
            (true, true) => {
                self.of_type("kubernetes.io/basic-auth").basic(username, password);
            }
        }
        Ok(())
    }

    fn object(&self, namespace: &str) -> Value {
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": namespace},
        });
        let mut set = |pointer: &str, field: &str, value: Value| {
            if let Some(fields) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
                fields.insert(field.to_owned(), value);
            }
        };
        if !self.labels.is_empty() {
            set("/metadata", "labels", json!(self.labels));
        }
        if !self.entries.is_empty() {
            set("", "stringData", json!(self.entries));
        }
        if let Some(type_) = self.type_ {
            set("", "type", json!(type_));
        }
        object
    }

    /// The text of the Secret, which is as secret as what it holds.
    pub(super) fn print(&self, session: &mut Session<'_>) -> Result<()> {
        let text = crate::manifest::document(&self.object(&session.namespace))?;
        session.terminal.print(&text);
        Ok(())
    }

    /// Creates the Secret, or changes the entries of the one that is there.
    pub(super) async fn apply(&self, session: &mut Session<'_>) -> Result<()> {
        let resource = ApiResource::erase::<Secret>(&());
        let client = session.client().await?;
        let api: Api<DynamicObject> = Api::namespaced_with(client, &session.namespace, &resource);
        let object = self.object(&session.namespace);
        upsert(&api, &self.name, &object, |existing, wanted| {
            if let (Some(data), Some(entries)) = (existing.data.as_object_mut(), wanted.get("stringData")) {
                data.insert("stringData".to_owned(), entries.clone());
            }
        })
        .await?;
        Ok(())
    }
}

/// What is in a file that must be text.
pub(super) fn text(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|_| anyhow!("the file is not PEM-encoded text"))?;
    Ok(text.to_owned())
}
