//! Events: each goes to the API server as a `core/v1` Event, and, where `--events-addr` is given, as JSON to the
//! notification-controller (`spec/sources-and-images.md` section 4, `spec/kustomize-and-notification.md` I.1 and K.1).
//!
//! Unlike upstream, sending never blocks a reconcile: events wait in bounded queues, and when a queue is full the newest
//! is dropped, with a line in the log.

mod cluster;
mod webhook;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use webhook::{WebhookError, payload};

/// Events that may wait in a queue; at two kilobytes each, eight megabytes at the worst.
const QUEUE: usize = 4096;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Recorded in the cluster only, as a Normal event.
    Trace,
    /// Something changed.
    Info,
    /// Something failed: a Warning event.
    Error,
}

impl Severity {
    /// The word in the webhook's JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Info => "info",
            Self::Error => "error",
        }
    }

    fn event_type(self) -> &'static str {
        match self {
            Self::Error => "Warning",
            Self::Trace | Self::Info => "Normal",
        }
    }
}

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub struct Event {
    /// The object it happened to.
    pub object: ObjectReference,
    /// How much it matters.
    pub severity: Severity,
    /// One CamelCase word.
    pub reason: String,
    /// What happened, for people.
    pub message: String,
    /// Keys such as `kustomize.toolkit.fluxcd.io/revision`.
    pub metadata: BTreeMap<String, String>,
    /// When it happened.
    pub at: jiff::Timestamp,
}

/// Sends events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    cluster: mpsc::Sender<Event>,
    webhook: Option<mpsc::Sender<Event>>,
}

/// Time that events get to leave when the process ends.
const FLUSH: Duration = Duration::from_secs(2);

/// The tasks that send events.
#[derive(Debug)]
pub struct Senders(JoinSet<()>);

impl Senders {
    /// Lets the events that wait go out, within bounds; to be called when all recorders are dropped.
    pub async fn finish(mut self) {
        let sent = async { while self.0.join_next().await.is_some() {} };
        if tokio::time::timeout(FLUSH, sent).await.is_err() {
            tracing::error!("events were lost: they could not be sent in time");
            self.0.shutdown().await;
        }
    }
}

impl Recorder {
    /// Starts the senders of the controller `controller`. After `stop` they try each event only once more.
    ///
    /// # Errors
    /// When `events_addr` is not empty and no URL.
    pub fn start(
        client: Client,
        controller: &str,
        events_addr: &str,
        stop: &CancellationToken,
    ) -> Result<(Self, Senders), WebhookError> {
        let mut senders = JoinSet::new();
        let (cluster, queue) = mpsc::channel(QUEUE);
        senders.spawn(cluster::run(client, controller.to_owned(), queue));
        let webhook = if events_addr.is_empty() {
            None
        } else {
            let sink = webhook::Webhook::new(events_addr, controller, stop.clone())?;
            let (sender, queue) = mpsc::channel(QUEUE);
            senders.spawn(sink.run(queue));
            Some(sender)
        };
        Ok((Self { cluster, webhook }, Senders(senders)))
    }

    /// A recorder whose events can be read from the returned receiver, for tests.
    #[must_use]
    pub fn for_test() -> (Self, mpsc::Receiver<Event>) {
        let (cluster, queue) = mpsc::channel(QUEUE);
        (
            Self {
                cluster,
                webhook: None,
            },
            queue,
        )
    }

    /// Queues `event`.
    pub fn send(&self, event: Event) {
        if let Some(webhook) = &self.webhook
            && event.severity != Severity::Trace
            && webhook.try_send(event.clone()).is_err()
        {
            tracing::error!(reason = event.reason, "event not posted: the queue is full");
        }
        if let Err(mpsc::error::TrySendError::Full(event)) = self.cluster.try_send(event) {
            tracing::error!(reason = event.reason, "event not recorded: the queue is full");
        }
    }
}
