//! The records of a release, as Helm keeps them in Secrets (`spec/helm.md` F.6).
//!
//! Only the labels of all records are listed; a record is decoded when it is needed, because a chart's text is most of it. What was seen
//! or written is remembered for a moment, so that the steps of one pass do not ask the API server for what they have just done; a write
//! that fails ends that, and so does time, because others may write too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::controller;
use ferro_apply::error::message;
use ferro_helm::record::secret::{self, Written};
use ferro_helm::record::{Record, Status};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PartialObjectMeta, PostParams};
use kube::core::Request;
use kube::{Api, Client, ResourceExt};
use tokio::time::Instant;

use crate::lock;
use crate::records::{Form, Records};

/// How long a list is relied on.
const FRESH: Duration = Duration::from_secs(10);
/// Has the API server answer a write with the metadata alone.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The storage does not do what it is asked for, in the words of Helm's own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The API server refuses, or cannot be reached.
    #[error("{attempt}: {problem}")]
    Request { attempt: String, problem: String },
    /// Somebody else has written the revision first.
    #[error("release: already exists")]
    Exists,
    /// A record cannot be packed.
    #[error("cannot encode release record: {0}")]
    Encode(#[from] std::io::Error),
}

/// What the metadata of a record say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) revision: i64,
    pub(crate) status: Status,
    /// The name of the Secret.
    secret: String,
    form: Form,
    /// Labels that users gave it.
    labels: BTreeMap<String, String>,
    /// Who wrote it last, if the API server knows.
    pub(crate) writer: Option<Writer>,
}

/// A client that wrote a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    /// Its field manager: for Helm's own command line, the name of the program.
    pub(crate) manager: String,
    pub(crate) at: jiff::Timestamp,
}

/// The records of one release.
#[derive(Clone)]
pub(crate) struct Storage {
    client: Client,
    api: Api<Secret>,
    release: String,
    records: Arc<Records>,
    view: Arc<Mutex<Option<View>>>,
}

/// The records as they were when last looked at, with what was written since.
struct View {
    at: Instant,
    /// The newest first.
    heads: Vec<Head>,
    /// The one that was read or written last.
    record: Option<Record>,
}

impl Storage {
    pub(crate) fn new(client: Client, namespace: &str, release: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            client,
            release: release.to_owned(),
            records: Arc::default(),
            view: Arc::default(),
        }
    }

    /// With texts that outlast this.
    pub(crate) fn with(self, records: Arc<Records>) -> Self {
        Self { records, ..self }
    }

    /// The records there are, the newest first.
    pub(crate) async fn heads(&self) -> Result<Vec<Head>, StorageError> {
        if let Some(view) = lock(&self.view).as_ref()
            && view.at.elapsed() < FRESH
        {
            return Ok(view.heads.clone());
        }
        let at = Instant::now();
        let selector = format!("name={},owner={}", self.release, secret::OWNER);
        let params = ListParams::default().labels(&selector);
        let listed = self.api.list_metadata(&params).await;
        let listed = listed.map_err(failed("query: failed to query with labels"))?;
        let mut heads: Vec<Head> = listed.items.iter().filter_map(head).collect();
        heads.sort_by_key(|head| std::cmp::Reverse(head.revision));
        *lock(&self.view) = Some(View {
            at,
            heads: heads.clone(),
            record: None,
        });
        Ok(heads)
    }

    /// The newest record that can be read.
    pub(crate) async fn last(&self) -> Result<Option<Record>, StorageError> {
        for head in self.heads().await? {
            if let Some(record) = self.read(&head).await? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The record of a revision.
    pub(crate) async fn get(&self, revision: i64) -> Result<Option<Record>, StorageError> {
        let heads = self.heads().await?;
        match heads.iter().find(|head| head.revision == revision) {
            Some(head) => self.read(head).await,
            None => Ok(None),
        }
    }

    /// A record that cannot be read is none, as upstream has it.
    async fn read(&self, head: &Head) -> Result<Option<Record>, StorageError> {
        if let Some(record) = self.known(head) {
            return Ok(Some(record));
        }
        let (text, labels) = match self.records.get(&head.form) {
            Some(text) => (text, head.labels.clone()),
            None => match self.fetch(head).await? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        match secret::decode(&text) {
            Ok(mut record) => {
                record.labels = labels;
                if let Some(view) = lock(&self.view).as_mut() {
                    view.record = Some(record.clone());
                }
                Ok(Some(record))
            }
            Err(error) => {
                tracing::warn!(secret = head.secret, %error, "release record cannot be read");
                Ok(None)
            }
        }
    }

    /// The record if it is the one that was read or written last.
    fn known(&self, head: &Head) -> Option<Record> {
        let view = lock(&self.view);
        let record = view.as_ref()?.record.as_ref()?;
        (record.version == head.revision).then(|| record.clone())
    }

    /// The text of a record and the labels that users gave it.
    async fn fetch(&self, head: &Head) -> Result<Option<(Vec<u8>, BTreeMap<String, String>)>, StorageError> {
        let found = self.api.get_opt(&head.secret).await;
        let attempt = format!("get: failed to get {:?}", head.secret);
        let found = found.map_err(failed(&attempt))?;
        let Some(found) = found else { return Ok(None) };
        let (form, labels) = (form(&found.metadata), secret::custom_labels(found.labels()));
        let Some(ByteString(text)) = found.data.unwrap_or_default().remove(secret::KEY) else {
            return Ok(None);
        };
        self.records.keep(&form, text.clone());
        Ok(Some((text, labels)))
    }

    pub(crate) async fn create(&self, record: &Record) -> Result<(), StorageError> {
        let text = secret::encode(record)?;
        let object = object(record, Written::Created(now()), text.clone());
        let request = |data| self.request().create(&params(), data);
        self.write(record, (&object, text), request, "create: failed to create")
            .await
    }

    pub(crate) async fn update(&self, record: &Record) -> Result<(), StorageError> {
        let text = secret::encode(record)?;
        let object = object(record, Written::Modified(now()), text.clone());
        let name = secret::name(&record.name, record.version);
        let request = |data| self.request().replace(&name, &params(), data);
        self.write(record, (&object, text), request, "update: failed to update")
            .await
    }

    fn request(&self) -> Request {
        Request::new(self.api.resource_url())
    }

    /// Sends a record on its way. The answer would repeat all of it, so only its metadata are asked for.
    async fn write<R>(
        &self,
        record: &Record,
        (object, text): (&Secret, String),
        request: R,
        attempt: &'static str,
    ) -> Result<(), StorageError>
    where
        R: FnOnce(Vec<u8>) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    {
        let failed = failed(attempt);
        let data = serde_json::to_vec(object).map_err(|error| failed(kube::Error::SerdeError(error)))?;
        let mut request = request(data).map_err(|error| failed(kube::Error::BuildRequest(error)))?;
        let accept = http::HeaderValue::from_static(METADATA);
        request.headers_mut().insert(http::header::ACCEPT, accept);
        match self.client.request::<PartialObjectMeta<Secret>>(request).await {
            Ok(written) => {
                self.wrote(record, &written, text);
                Ok(())
            }
            Err(error) => {
                *lock(&self.view) = None;
                Err(failed(error))
            }
        }
    }

    /// Notes what was written.
    fn wrote(&self, record: &Record, written: &PartialObjectMeta<Secret>, text: String) {
        let mut view = lock(&self.view);
        let form = form(&written.metadata);
        let newest = view.as_ref().and_then(|view| view.heads.first());
        // The one before is read again only to roll back.
        if newest.is_none_or(|newest| newest.revision <= record.version) {
            if let Some(newest) = newest.filter(|newest| newest.revision < record.version) {
                self.records.forget(&newest.form.uid);
            }
            self.records.keep(&form, text.into_bytes());
        } else {
            self.records.forget(&form.uid);
        }
        let Some(known) = view.as_mut() else { return };
        let Some(head) = head(written) else {
            *view = None;
            return;
        };
        known.heads.retain(|known| known.revision != head.revision);
        let place = known
            .heads
            .partition_point(|known| known.revision > head.revision);
        known.heads.insert(place, head);
        if place == 0 {
            known.record = Some(record.clone());
        } else if known
            .record
            .as_ref()
            .is_some_and(|known| known.version == record.version)
        {
            known.record = None;
        }
    }

    pub(crate) async fn delete(&self, revision: i64) -> Result<(), StorageError> {
        let name = secret::name(&self.release, revision);
        match self.api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                *lock(&self.view) = None;
                return Err(failed("delete")(error));
            }
        }
        if let Some(view) = lock(&self.view).as_mut() {
            let gone = view.heads.iter().position(|head| head.revision == revision);
            if let Some(gone) = gone {
                self.records.forget(&view.heads.remove(gone).form.uid);
            }
            if view
                .record
                .as_ref()
                .is_some_and(|record| record.version == revision)
            {
                view.record = None;
            }
        }
        Ok(())
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

fn head(found: &PartialObjectMeta<Secret>) -> Option<Head> {
    let labels = found.labels();
    Some(Head {
        revision: labels.get("version")?.parse().ok()?,
        status: Status::parse(labels.get("status").map(String::as_str).unwrap_or_default()),
        secret: found.name_any(),
        form: form(&found.metadata),
        labels: secret::custom_labels(labels),
        writer: writer(&found.metadata),
    })
}

fn writer(metadata: &ObjectMeta) -> Option<Writer> {
    let entries = metadata.managed_fields.iter().flatten();
    let writers = entries.filter_map(|entry| {
        Some(Writer {
            manager: entry.manager.clone()?,
            at: entry.time.as_ref()?.0,
        })
    });
    writers.max_by_key(|writer| writer.at)
}

fn form(metadata: &ObjectMeta) -> Form {
    Form {
        uid: metadata.uid.clone().unwrap_or_default(),
        version: metadata.resource_version.clone().unwrap_or_default(),
    }
}

fn object(record: &Record, written: Written, text: String) -> Secret {
    Secret {
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
    }
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

fn failed(attempt: &str) -> impl Fn(kube::Error) -> StorageError {
    move |error| match &error {
        kube::Error::Api(status) if status.reason == "AlreadyExists" => StorageError::Exists,
        _ => StorageError::Request {
            attempt: attempt.to_owned(),
            problem: message(&error),
        },
    }
}
