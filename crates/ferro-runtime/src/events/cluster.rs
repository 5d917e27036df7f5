//! The sink that writes events to the API server, with client-go's habits: a repeated event raises a count instead of
//! making another object, and an object that causes too many is cut short.

use std::collections::{HashMap, HashSet};
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
/// So many events that differ in their messages only, each within [`AGGREGATE`] of the last, are told as one (client-go's aggregator).
const SIMILAR: usize = 10;
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
        similar: HashMap::new(),
    };
    while let Some(mut event) = queue.recv().await {
        if !sink.admit(&event, Instant::now()) {
            continue;
        }
        let key = sink.aggregate(&mut event, Instant::now());
        if let Err(error) = sink.write(&event, key).await {
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
    similar: HashMap<u64, Similar>,
}

/// Events of an object that differ in their messages only.
struct Similar {
    messages: HashSet<u64>,
    at: Instant,
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

    /// What identifies the event as a repetition. When an object causes many that are similar, their messages are marked, and they count as one.
    fn aggregate(&mut self, event: &mut Event, now: Instant) -> u64 {
        if self.similar.len() > REMEMBERED {
            self.similar.retain(|_, similar| now - similar.at < AGGREGATE);
        }
        let (alike, own) = (hash(event, None), hash(event, Some(&event.message)));
        let similar = self.similar.entry(alike).or_insert_with(|| Similar {
            messages: HashSet::new(),
            at: now,
        });
        if now - similar.at > AGGREGATE {
            similar.messages.clear();
        }
        similar.at = now;
        if similar.messages.len() + 1 < SIMILAR || similar.messages.contains(&own) {
            similar.messages.insert(own);
            return own;
        }
        event.message = format!("(combined from similar events): {}", event.message);
        alike
    }

    async fn write(&mut self, event: &Event, key: u64) -> kube::Result<()> {
        let now = Instant::now();
        if self.seen.len() > REMEMBERED {
            self.seen.retain(|_, recorded| now - recorded.at < AGGREGATE);
        }
        let api: Api<CoreEvent> = Api::namespaced(self.client.clone(), namespace(event));
        if let Some(recorded) = self
            .seen
            .get_mut(&key)
            .filter(|recorded| now - recorded.at < AGGREGATE)
        {
            let count = recorded.count.saturating_add(1);
            let message = bounded(&event.message);
            let patch =
                serde_json::json!({ "count": count, "lastTimestamp": Time(event.at), "message": message });
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

/// What makes two events the same, or, without the message, similar.
fn hash(event: &Event, message: Option<&str>) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    event.object.uid.hash(&mut hasher);
    event.severity.event_type().hash(&mut hasher);
    event.reason.hash(&mut hasher);
    message.hash(&mut hasher);
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
    use ferro_testkit::api::FakeApi;
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

    fn sink(client: Client) -> Sink {
        Sink {
            client,
            controller: "c".into(),
            host: "h".into(),
            buckets: HashMap::new(),
            seen: HashMap::new(),
            similar: HashMap::new(),
        }
    }

    #[tokio::test]
    async fn admit_cuts_an_object_that_spams() {
        let mut sink = sink(FakeApi::default().client());
        let now = Instant::now();
        let admitted = (0..40).filter(|_| sink.admit(&event("m"), now)).count();
        assert_eq!(admitted, 25);
        assert!(sink.admit(&event("m"), now + REFILL));
        assert!(!sink.admit(&event("m"), now + REFILL));
    }

    #[tokio::test]
    async fn similar_events_become_one_that_counts() {
        let api = FakeApi::default();
        let mut sink = sink(api.client());
        let mut write = async |message: &str| {
            let mut event = event(message);
            let key = sink.aggregate(&mut event, Instant::now());
            sink.write(&event, key).await.unwrap();
            let seen = api.take_requests().remove(0);
            (seen.method, seen.body.unwrap())
        };
        for number in 0..9 {
            let (method, body) = write(&format!("m{number}")).await;
            assert_eq!(
                (method.as_str(), &body["message"]),
                ("POST", &format!("m{number}").into())
            );
        }
        let (method, body) = write("m3").await;
        assert_eq!((method.as_str(), &body["count"]), ("PATCH", &2.into()));
        let (method, body) = write("m9").await;
        assert_eq!(method, "POST");
        assert_eq!(body["message"], "(combined from similar events): m9");
        let (method, body) = write("m10").await;
        assert_eq!((method.as_str(), &body["count"]), ("PATCH", &2.into()));
        assert_eq!(body["message"], "(combined from similar events): m10");
    }

    #[test]
    fn hash_tells_messages_apart() {
        let of = |message: &str| hash(&event(message), Some(message));
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        assert_eq!(hash(&event("a"), None), hash(&event("b"), None));
    }
}
