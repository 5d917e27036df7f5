//! The records of a release, as Helm keeps them in Secrets (`spec/helm.md` F.6).
//!
//! Only the labels of all records are listed; a record is decoded when it is needed, because a chart's text is most of it.

use std::collections::BTreeMap;

use ferro_api::controller;
use ferro_apply::error::message;
use ferro_helm::record::secret::{self, Written};
use ferro_helm::record::{Record, Status};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

/// The storage does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The API server refuses, or cannot be reached.
    #[error("{action}: {problem}")]
    Request { action: &'static str, problem: String },
    /// A record cannot be packed.
    #[error("cannot encode release record: {0}")]
    Encode(#[from] std::io::Error),
}

/// What the labels of a record say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) revision: i64,
    pub(crate) status: Status,
    /// The name of the Secret.
    secret: String,
}

/// The records of one release.
#[derive(Clone)]
pub(crate) struct Storage {
    api: Api<Secret>,
    release: String,
}

impl Storage {
    pub(crate) fn new(client: Client, namespace: &str, release: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            release: release.to_owned(),
        }
    }

    /// The records there are, the newest first.
    pub(crate) async fn heads(&self) -> Result<Vec<Head>, StorageError> {
        let selector = format!("name={},owner={}", self.release, secret::OWNER);
        let params = ListParams::default().labels(&selector);
        let listed = self.api.list_metadata(&params).await.map_err(failed("list"))?;
        let mut heads: Vec<Head> = listed
            .items
            .iter()
            .filter_map(|item| {
                let labels = item.labels();
                Some(Head {
                    revision: labels.get("version")?.parse().ok()?,
                    status: Status::parse(labels.get("status").map(String::as_str).unwrap_or_default()),
                    secret: item.name_any(),
                })
            })
            .collect();
        heads.sort_by_key(|head| std::cmp::Reverse(head.revision));
        Ok(heads)
    }

    /// The newest record that can be read.
    pub(crate) async fn last(&self) -> Result<Option<Record>, StorageError> {
        for head in self.heads().await? {
            if let Some(record) = self.read(&head.secret).await? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The record of a revision.
    pub(crate) async fn get(&self, revision: i64) -> Result<Option<Record>, StorageError> {
        self.read(&secret::name(&self.release, revision)).await
    }

    /// A record that cannot be read is none, as upstream has it.
    async fn read(&self, name: &str) -> Result<Option<Record>, StorageError> {
        let Some(found) = self.api.get_opt(name).await.map_err(failed("get"))? else {
            return Ok(None);
        };
        let labels = found.labels().clone();
        let Some(ByteString(text)) = found.data.unwrap_or_default().remove(secret::KEY) else {
            return Ok(None);
        };
        match secret::decode(&text) {
            Ok(mut record) => {
                record.labels = secret::custom_labels(&labels);
                Ok(Some(record))
            }
            Err(error) => {
                tracing::warn!(secret = name, %error, "release record cannot be read");
                Ok(None)
            }
        }
    }

    pub(crate) async fn create(&self, record: &Record) -> Result<(), StorageError> {
        let object = object(record, Written::Created(now()))?;
        self.api
            .create(&params(), &object)
            .await
            .map_err(failed("create"))?;
        Ok(())
    }

    pub(crate) async fn update(&self, record: &Record) -> Result<(), StorageError> {
        let object = object(record, Written::Modified(now()))?;
        let name = secret::name(&record.name, record.version);
        self.api
            .replace(&name, &params(), &object)
            .await
            .map_err(failed("update"))?;
        Ok(())
    }

    pub(crate) async fn delete(&self, revision: i64) -> Result<(), StorageError> {
        let name = secret::name(&self.release, revision);
        match self.api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(failed("delete")(error)),
        }
    }

    /// Makes room for one more: at most `max` records are there with it, and never the one that is deployed is removed.
    pub(crate) async fn make_room(&self, heads: &[Head], max: i64) -> Result<(), StorageError> {
        for revision in ferro_helm::plan::surplus(heads.iter().map(|head| (head.revision, &head.status)), max)
        {
            self.delete(revision).await?;
        }
        Ok(())
    }
}

fn object(record: &Record, written: Written) -> Result<Secret, StorageError> {
    let text = secret::encode(record)?;
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(secret::name(&record.name, record.version)),
            labels: Some(secret::labels(record, written)),
            ..ObjectMeta::default()
        },
        type_: Some(secret::TYPE.to_owned()),
        data: Some(BTreeMap::from([(
            secret::KEY.to_owned(),
            ByteString(text.into_bytes()),
        )])),
        ..Secret::default()
    })
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(controller::HELM.to_owned()),
        ..PostParams::default()
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn failed(action: &'static str) -> impl Fn(kube::Error) -> StorageError {
    move |error| StorageError::Request {
        action,
        problem: message(&error),
    }
}
