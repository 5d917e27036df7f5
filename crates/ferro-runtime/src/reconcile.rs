//! What a kind's reconciler implements, and what it gets to work with.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::object::FluxObject;
use ferro_api::{condition, finalizer, reason};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::conditions;
use crate::events::{Event, Recorder, Severity};

/// How a pass over an object ended. It decides when the next one comes; conditions and events are the reconciler's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be; again after the object's interval, with jitter.
    Done,
    /// Something else must happen first; again after this time.
    Wait(Duration),
    /// What is waited for is a matter of moments, and not worth a word: the status stays as it was; again after this time.
    Deferred(Duration),
    /// Failed; again after this time.
    Retry {
        /// What went wrong, for the log.
        error: String,
        /// When to try again.
        after: Duration,
    },
    /// Failed; again after a time that grows with each failure.
    Backoff {
        /// What went wrong, for the log.
        error: String,
    },
    /// Only a change by the user can help.
    Stalled {
        /// What is wrong, for the log.
        error: String,
    },
    /// Cut short by newer work on the same object, which follows at once.
    Superseded,
    /// The process is stopping; nothing is written.
    Stopped,
}

/// The reconciler of one kind.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind.
    type Object: FluxObject;

    /// The finalizer that objects of the kind get.
    const FINALIZER: &'static str = finalizer::NAME;

    /// Brings the world to what the object asks for. Changes to `pass.object`'s status are written when it returns.
    fn reconcile(&self, pass: &mut Pass<Self::Object>) -> impl Future<Output = Outcome> + Send;

    /// Undoes what was done for an object that is being deleted; must be safe to repeat. After an error it is tried again.
    fn finalize(&self, pass: &mut Pass<Self::Object>) -> impl Future<Output = Result<(), String>> + Send;

    /// Told of every form of every object that the watch shows, after the store has it; must be quick.
    fn observed(&self, object: &Self::Object) {
        let _unused_by_default = object;
    }

    /// Whether the object only says something, and is never reconciled: it gets no finalizer and no status, and loses those that it has from before.
    fn is_static(&self, object: &Self::Object) -> bool {
        let _reconciled_by_default = object;
        false
    }

    /// Settles the status of an object that is suspended and therefore not reconciled. The default leaves it as it is.
    fn suspended(&self, object: &mut Self::Object) {
        let _untouched_by_default = object;
    }

    /// Sets the summarising conditions by the outcome. The default is right for kinds that set Ready themselves.
    fn finish(&self, object: &mut Self::Object, outcome: &Outcome) {
        finish(object, outcome);
    }
}

/// Removes or rewrites Reconciling and Stalled, and records the generation, as the outcome demands. Whether a generation that stalls
/// counts as observed differs between the kinds, and is theirs to say.
pub fn finish<K: FluxObject>(object: &mut K, outcome: &Outcome) {
    let generation = object.meta().generation.unwrap_or(0);
    match outcome {
        Outcome::Done => {
            conditions::delete(object, condition::RECONCILING);
            conditions::delete(object, condition::STALLED);
            object.set_observed_generation(generation);
        }
        Outcome::Stalled { .. } => conditions::delete(object, condition::RECONCILING),
        Outcome::Wait(_) | Outcome::Retry { .. } | Outcome::Backoff { .. } | Outcome::Superseded => {
            conditions::mark_retrying(object);
        }
        Outcome::Deferred(_) | Outcome::Stopped => {}
    }
}

/// Why a pass should end early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is newer work; names the object that brought it, as `Kind/namespace/name`.
    NewWork(String),
    /// The process is stopping.
    Shutdown,
}

/// Fires when a pass should end early. Whoever decides that a firing is no reason to end waits for the next one.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    token: CancellationToken,
    cause: Arc<Mutex<Option<Cause>>>,
    /// How often it fired.
    fires: Arc<watch::Sender<u64>>,
}

impl Interrupt {
    /// Fires; the first cause counts, but for the end of the process, which always does.
    pub fn fire(&self, cause: Cause) {
        let mut known = self
            .cause
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.is_none() || cause == Cause::Shutdown {
            *known = Some(cause);
        }
        drop(known);
        self.token.cancel();
        self.fires.send_modify(|count| *count += 1);
    }

    /// Counts the firings: the receiver sees each change from now on.
    #[must_use]
    pub fn fires(&self) -> watch::Receiver<u64> {
        self.fires.subscribe()
    }

    /// Returns once it fired.
    pub async fn fired(&self) -> Cause {
        self.token.cancelled().await;
        self.cause().unwrap_or(Cause::Shutdown)
    }

    /// The cause, if it fired.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.cause
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// The token beneath, for work that takes one.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// Returns when a pass is to be cut short: the process stops, or the object is no longer what the pass works on. A
/// request to reconcile is no reason: it would start a long fetch over and over.
pub fn ending<K: FluxObject>(
    stop: &CancellationToken,
    store: &Store<K>,
    object: &K,
    interrupt: &Interrupt,
) -> impl Future<Output = Outcome> + Send + use<K> {
    let (stop, store, interrupt) = (stop.clone(), store.clone(), interrupt.clone());
    let key = ObjectRef::from_obj(object);
    let generation = object.meta().generation;
    async move {
        let mut fires = interrupt.fires();
        let is_other =
            |now: &K| now.meta().generation != generation || now.meta().deletion_timestamp.is_some();
        let changed = async {
            loop {
                match interrupt.cause() {
                    Some(Cause::Shutdown) => return Outcome::Stopped,
                    Some(Cause::NewWork(_)) if store.get(&key).is_none_or(|now| is_other(&now)) => {
                        return Outcome::Superseded;
                    }
                    // Nothing yet, or a request only: a change may still follow it.
                    _ => {}
                }
                if fires.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Outcome::Stopped,
            outcome = changed => outcome,
        }
    }
}

/// A draft of an object's status, on its way to the API server.
#[derive(Debug)]
pub struct Draft<K> {
    pub(crate) object: Box<K>,
    /// Whom to tell once it is written; nobody waits for mere progress.
    pub(crate) written: Option<oneshot::Sender<Result<(), String>>>,
}

impl<K> Draft<K> {
    /// The object as it is to be written.
    #[must_use]
    pub fn object(&self) -> &K {
        &self.object
    }
}

/// One pass over an object.
#[derive(Debug)]
pub struct Pass<K: FluxObject> {
    /// The object; its status is the draft of what will be written.
    pub object: K,
    /// When the pass began.
    pub started: Instant,
    /// Fires when there is newer work for the object, or the process stops.
    pub interrupt: Interrupt,
    drafts: mpsc::UnboundedSender<Draft<K>>,
    recorder: Recorder,
}

impl<K: FluxObject> Pass<K> {
    /// A pass over `object`; drafts that are worth showing early come out of the returned receiver.
    #[must_use]
    pub fn new(
        object: K,
        interrupt: Interrupt,
        recorder: Recorder,
    ) -> (Self, mpsc::UnboundedReceiver<Draft<K>>) {
        let (drafts, queued) = mpsc::unbounded_channel();
        (
            Self {
                object,
                started: Instant::now(),
                interrupt,
                drafts,
                recorder,
            },
            queued,
        )
    }

    /// Says in the conditions what is being done. Users see it only if it takes a while: a pass that is over in a moment costs a single write.
    pub fn progress(&mut self, message: &str) {
        conditions::mark_reconciling(&mut self.object, reason::PROGRESSING, message);
        self.publish();
    }

    /// Offers the draft as it is to be written early, if the pass lasts.
    pub fn publish(&self) {
        let draft = Draft {
            object: Box::new(self.object.clone()),
            written: None,
        };
        // Nobody listens in a test of the reconciler alone.
        let _unheard = self.drafts.send(draft);
    }

    /// Writes the draft now, and returns when it is written: for what must be known before the next step, should this process be killed.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn flush(&self) -> Result<(), String> {
        let (written, outcome) = oneshot::channel();
        let draft = Draft {
            object: Box::new(self.object.clone()),
            written: Some(written),
        };
        if self.drafts.send(draft).is_err() {
            return Ok(());
        }
        outcome
            .await
            .unwrap_or_else(|_| Err("the status is no longer written".to_owned()))
    }

    /// `Kind/namespace/name`, as messages name objects.
    #[must_use]
    pub fn subject(&self) -> String {
        format!(
            "{}/{}/{}",
            K::KIND,
            self.object.namespace().unwrap_or_default(),
            self.object.name_any()
        )
    }

    /// Sends an event about the object. Annotations of the object under `event.toolkit.fluxcd.io/` go along.
    pub fn event(&self, severity: Severity, reason: &str, message: &str, metadata: BTreeMap<String, String>) {
        self.recorder
            .send(event(&self.object, severity, reason, message, metadata));
    }

    /// The reason of the Ready condition, which events carry; the severity's word where there is none.
    #[must_use]
    pub fn ready_reason(&self, severity: Severity) -> String {
        self.object
            .condition(condition::READY)
            .map_or_else(|| severity.as_str().to_owned(), |ready| ready.reason.clone())
    }
}

/// An event about `object`, with the object's own event annotations added to `metadata`.
#[must_use]
pub fn event<K: FluxObject>(
    object: &K,
    severity: Severity,
    reason: &str,
    message: &str,
    mut metadata: BTreeMap<String, String>,
) -> Event {
    let prefix = format!("{}/", ferro_api::group::EVENT);
    let own = object
        .annotations()
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix));
    metadata.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    Event {
        object: ObjectReference {
            api_version: Some(format!("{}/{}", K::GROUP, K::VERSION)),
            kind: Some(K::KIND.to_owned()),
            name: Some(object.name_any()),
            namespace: object.namespace(),
            uid: object.uid(),
            resource_version: object.resource_version(),
            ..ObjectReference::default()
        },
        severity,
        reason: reason.to_owned(),
        message: message.to_owned(),
        metadata,
        at: jiff::Timestamp::now(),
    }
}
