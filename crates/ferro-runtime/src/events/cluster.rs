//! The sink that writes events to the API server, with client-go's habits: a repeated event raises a count instead of
//! making another object, and an object that causes too many is cut short.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Event;

/// Events of one object that pass at once (client-go's spam filter).
const BURST: f64 = 25.0;
/// After the burst, one event passes in this time.
const REFILL: Duration = Duration::from_secs(300);
/// A repeated event is counted on the first one for so long.
const AGGREGATE: Duration = Duration::from_secs(600);
/// Objects and events remembered before the oldest are swept.
const REMEMBERED: usize = 4096;

/// Writes the events of `queue`, one after another, so that reporting never crowds out the work that it reports.
pub(super) async fn run(client: Client, controller: String, mut queue: mpsc::Receiver<Event>) {
    let mut sink = Sink {
        client,
        controller,
        host: crate::hostname(),
        buckets: HashMap::new(),
        seen: HashMap::new(),
    };
    while let Some(event) = queue.recv().await {
        if !sink.admit(&event, Instant::now()) {
            continue;
        }
        if let Err(error) = sink.write(&event).await {
            tracing::debug!(%error, reason = event.reason, "event not recorded");
        }
    }
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

struct Recorded {
    name: String,
    count: i32,
    at: Instant,
}

struct Sink {
    client: Client,
    controller: String,
    host: String,
    buckets: HashMap<String, Bucket>,
    seen: HashMap<u64, Recorded>,
}

impl Sink {
    /// Takes a token from the object's bucket; false if it is empty.
    fn admit(&mut self, event: &Event, now: Instant) -> bool {
        if self.buckets.len() > REMEMBERED {
            self.buckets.retain(|_, bucket| now - bucket.at < REFILL);
        }
        let uid = event.object.uid.clone().unwrap_or_default();
        let bucket = self.buckets.entry(uid).or_insert(Bucket {
            tokens: BURST,
            at: now,
        });
        let refilled = (now - bucket.at).as_secs_f64() / REFILL.as_secs_f64();
        bucket.tokens = (bucket.tokens + refilled).min(BURST);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    async fn write(&mut self, event: &Event) -> kube::Result<()> {
        let now = Instant::now();
        if self.seen.len() > REMEMBERED {
            self.seen.retain(|_, recorded| now - recorded.at < AGGREGATE);
        }
        let key = key(event);
        let api: Api<CoreEvent> = Api::namespaced(self.client.clone(), namespace(event));
        if let Some(recorded) = self
            .seen
            .get_mut(&key)
            .filter(|recorded| now - recorded.at < AGGREGATE)
        {
            let count = recorded.count.saturating_add(1);
            let patch = serde_json::json!({ "count": count, "lastTimestamp": Time(event.at) });
            match api
                .patch_metadata(&recorded.name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Ok(_) => {
                    recorded.count = count;
                    recorded.at = now;
                    return Ok(());
                }
                // The API server forgets events after an hour.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        let name = event_name(event);
        api.create(&PostParams::default(), &self.object(event, name.clone()))
            .await?;
        self.seen.insert(
            key,
            Recorded {
                name,
                count: 1,
                at: now,
            },
        );
        Ok(())
    }

    fn object(&self, event: &Event, name: String) -> CoreEvent {
        CoreEvent {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace(event).to_owned()),
                annotations: (!event.metadata.is_empty()).then(|| event.metadata.clone()),
                ..ObjectMeta::default()
            },
            involved_object: event.object.clone(),
            reason: Some(event.reason.clone()),
            message: Some(bounded(&event.message)),
            source: Some(EventSource {
                component: Some(self.controller.clone()),
                host: None,
            }),
            reporting_component: Some(self.controller.clone()),
            reporting_instance: Some(self.host.clone()),
            first_timestamp: Some(Time(event.at)),
            last_timestamp: Some(Time(event.at)),
            count: Some(1),
            type_: Some(event.severity.event_type().to_owned()),
            ..CoreEvent::default()
        }
    }
}

fn namespace(event: &Event) -> &str {
    event
        .object
        .namespace
        .as_deref()
        .filter(|ns| !ns.is_empty())
        .unwrap_or("default")
}

/// client-go's form: the object's name and a number that grows with time.
fn event_name(event: &Event) -> String {
    let salt: u16 = rand::random();
    let nanos = event.at.as_nanosecond();
    format!(
        "{}.{nanos:x}{salt:04x}",
        event.object.name.as_deref().unwrap_or_default()
    )
}

/// What makes two events the same.
fn key(event: &Event) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    event.object.uid.hash(&mut hasher);
    event.severity.event_type().hash(&mut hasher);
    event.reason.hash(&mut hasher);
    event.message.hash(&mut hasher);
    hasher.finish()
}

/// The API server refuses a message of more than 1,024 bytes.
fn bounded(message: &str) -> String {
    const LIMIT: usize = 1024;
    if message.len() <= LIMIT {
        return message.to_owned();
    }
    let mut end = LIMIT - 3;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", message.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;

    fn event(message: &str) -> Event {
        Event {
            object: ObjectReference {
                name: Some("apps".into()),
                namespace: Some("default".into()),
                uid: Some("1".into()),
                ..ObjectReference::default()
            },
            severity: Severity::Info,
            reason: "Succeeded".into(),
            message: message.into(),
            metadata: std::collections::BTreeMap::new(),
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    #[test]
    fn bounded_message_ends_on_a_character() {
        assert_eq!(bounded("short"), "short");
        let long = bounded(&"é".repeat(600));
        assert!(long.len() <= 1024 && long.ends_with("..."), "{}", long.len());
    }

    #[tokio::test]
    async fn admit_cuts_an_object_that_spams() {
        let (service, _handle) = tower_service();
        let mut sink = Sink {
            client: service,
            controller: "c".into(),
            host: "h".into(),
            buckets: HashMap::new(),
            seen: HashMap::new(),
        };
        let now = Instant::now();
        let admitted = (0..40).filter(|_| sink.admit(&event("m"), now)).count();
        assert_eq!(admitted, 25);
        assert!(sink.admit(&event("m"), now + REFILL));
        assert!(!sink.admit(&event("m"), now + REFILL));
    }

    fn tower_service() -> (Client, ()) {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::empty()))
        });
        (Client::new(service, "default"), ())
    }

    #[test]
    fn key_tells_messages_apart() {
        assert_eq!(key(&event("a")), key(&event("a")));
        assert_ne!(key(&event("a")), key(&event("b")));
    }
}
