//! The sink that posts events to `--events-addr`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Event;

const TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 4;

/// `--events-addr` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It is no URL.
    #[error("`{0}` is not a URL to which events can be posted")]
    Url(String),
    /// The HTTP client cannot be made.
    #[error("cannot make the client that posts events")]
    Client(#[source] reqwest::Error),
}

pub(super) struct Webhook {
    client: reqwest::Client,
    url: reqwest::Url,
    controller: String,
    instance: String,
    stop: CancellationToken,
}

impl Webhook {
    pub(super) fn new(url: &str, controller: &str, stop: CancellationToken) -> Result<Self, WebhookError> {
        let url = reqwest::Url::parse(url).map_err(|_| WebhookError::Url(url.to_owned()))?;
        let mut client = reqwest::Client::builder().timeout(TIMEOUT);
        if url.scheme() == "http" {
            // Within a cluster no certificates are needed, and an image need not have any.
            client = client.tls_certs_only(std::iter::empty());
        }
        let client = client.build().map_err(WebhookError::Client)?;
        Ok(Self {
            client,
            url,
            controller: controller.to_owned(),
            instance: crate::hostname(),
            stop,
        })
    }

    pub(super) async fn run(self, mut queue: mpsc::Receiver<Event>) {
        while let Some(event) = queue.recv().await {
            if let Some(body) = payload(&event, &self.controller, &self.instance) {
                self.post(body.to_string()).await;
            } else {
                tracing::debug!(
                    reason = event.reason,
                    "event not posted: the object has no kind, name or namespace"
                );
            }
        }
    }

    /// Posts with upstream's patience: up to four more tries after a refused connection or a server error, though not once the process is
    /// to end. 429 says that it is a duplicate.
    async fn post(&self, body: String) {
        let mut pause = Duration::from_secs(1);
        for attempt in 0..=RETRIES {
            let request = self
                .client
                .post(self.url.clone())
                .header("Content-Type", "application/json")
                .body(body.clone());
            let error = match request.send().await {
                Ok(response) if response.status().is_server_error() => response.status().to_string(),
                Ok(response) => {
                    let status = response.status();
                    if status.is_client_error() && status != reqwest::StatusCode::TOO_MANY_REQUESTS {
                        tracing::error!(%status, "event not posted: the receiver refused it; is --events-addr right?");
                    }
                    return;
                }
                Err(error) => error.without_url().to_string(),
            };
            let is_last = attempt == RETRIES
                || tokio::select! {
                    () = self.stop.cancelled() => true,
                    () = tokio::time::sleep(pause) => false,
                };
            if is_last {
                tracing::error!(error, "event not posted");
                return;
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }
}

/// The JSON of an event in the shape of `event.toolkit.fluxcd.io/v1beta1`; none for an object without kind, name or namespace, which
/// receivers refuse.
#[must_use]
pub fn payload(event: &Event, controller: &str, instance: &str) -> Option<Value> {
    let object = &event.object;
    let mut involved = Map::new();
    for (key, value, required) in [
        ("kind", &object.kind, true),
        ("namespace", &object.namespace, true),
        ("name", &object.name, true),
        ("uid", &object.uid, false),
        ("apiVersion", &object.api_version, false),
        ("resourceVersion", &object.resource_version, false),
    ] {
        match value.as_deref().filter(|value| !value.is_empty()) {
            Some(value) => {
                involved.insert(key.to_owned(), value.into());
            }
            None if required => return None,
            None => {}
        }
    }
    let mut body = json!({
        "involvedObject": involved,
        "severity": event.severity.as_str(),
        "timestamp": format!("{:.0}", event.at),
        "message": event.message,
        "reason": event.reason,
        "reportingController": controller,
        "reportingInstance": instance,
    });
    if !event.metadata.is_empty()
        && let Some(fields) = body.as_object_mut()
    {
        fields.insert("metadata".to_owned(), json!(event.metadata));
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;

    fn event() -> Event {
        Event {
            object: ObjectReference {
                kind: Some("Kustomization".into()),
                name: Some("apps".into()),
                namespace: Some("default".into()),
                ..ObjectReference::default()
            },
            severity: Severity::Info,
            reason: "Progressing".into(),
            message: "yes".into(),
            metadata: std::collections::BTreeMap::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// Waiting for a receiver that is down must not keep the process from ending; each event is tried nevertheless.
    #[tokio::test(flavor = "multi_thread")]
    async fn post_after_the_stop_is_tried_once() {
        // Fails where another test has done it.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let (sender, mut seen) = mpsc::unbounded_channel();
        let server = ferro_testkit::http::Server::start(move |_| {
            let _ended = sender.send(());
            ferro_testkit::http::Response::new(500, "")
        });
        let stop = CancellationToken::new();
        let webhook = Webhook::new(&server.url("/"), "c", stop.clone()).unwrap();
        let (queue, queued) = mpsc::channel(4);
        let running = tokio::spawn(webhook.run(queued));
        queue.send(event()).await.unwrap();
        queue.send(event()).await.unwrap();
        seen.recv().await.unwrap();
        stop.cancel();
        drop(queue);
        running.await.unwrap();
        let mut tries = 1;
        while seen.try_recv().is_ok() {
            tries += 1;
        }
        assert_eq!(tries, 2);
    }

    /// Counts lines of errors.
    struct Errors(std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Errors {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            if *event.metadata().level() == tracing::Level::ERROR {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    }

    #[tokio::test]
    async fn refusal_by_the_receiver_is_told_but_a_duplicate_is_not() {
        use tracing_subscriber::layer::SubscriberExt;
        // Fails where another test has done it.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        for (status, expected) in [(401, 1), (404, 1), (429, 0), (202, 0)] {
            let server =
                ferro_testkit::http::Server::start(move |_| ferro_testkit::http::Response::new(status, ""));
            let webhook = Webhook::new(&server.url("/"), "c", CancellationToken::new()).unwrap();
            let errors = Errors(std::sync::Arc::default());
            let lines = std::sync::Arc::clone(&errors.0);
            let logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(errors));
            webhook.post("{}".to_owned()).await;
            drop(logging);
            assert_eq!(
                lines.load(std::sync::atomic::Ordering::SeqCst),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn payload_has_the_receivers_shape() {
        let mut event = Event {
            object: ObjectReference {
                api_version: Some("kustomize.toolkit.fluxcd.io/v1".into()),
                kind: Some("Kustomization".into()),
                name: Some("apps".into()),
                namespace: Some("default".into()),
                uid: Some("u".into()),
                ..ObjectReference::default()
            },
            severity: Severity::Error,
            reason: "BuildFailed".into(),
            message: "no".into(),
            metadata: [(
                "kustomize.toolkit.fluxcd.io/revision".to_owned(),
                "main@sha1:1".to_owned(),
            )]
            .into(),
            at: "2026-01-02T03:04:05.9Z".parse().unwrap(),
        };
        let body = payload(&event, "kustomize-controller", "pod").unwrap();
        assert_eq!(
            body["involvedObject"]["apiVersion"],
            "kustomize.toolkit.fluxcd.io/v1"
        );
        assert_eq!(body["severity"], "error");
        assert_eq!(body["timestamp"], "2026-01-02T03:04:05Z");
        assert_eq!(
            body["metadata"]["kustomize.toolkit.fluxcd.io/revision"],
            "main@sha1:1"
        );
        assert!(body["involvedObject"].get("resourceVersion").is_none());
        event.object.namespace = None;
        assert!(payload(&event, "c", "i").is_none());
    }
}
