//! One pass over an object, from the freshest form of it to the moment when the next pass is due.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_api::FluxObject;
use ferro_api::object::FluxStatus;
use futures::FutureExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument;

use crate::backoff::{Backoff, jittered};
use crate::controller::Triggers;
use crate::events::Recorder;
use crate::metrics::{Metrics, ObjectLabels};
use crate::reconcile::{Cause, Draft, Interrupt, Outcome, Pass, Reconciler};
use crate::status::Writer;

/// A pass shorter than this writes the status once, at its end.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

type Written<K> = Mutex<HashMap<ObjectRef<K>, Arc<K>>>;

/// What every pass of a controller shares.
pub(crate) struct Env<R: Reconciler> {
    pub(crate) reconciler: R,
    pub(crate) writer: Writer,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) backoff: Backoff<ObjectRef<R::Object>>,
    pub(crate) jitter: u8,
    /// Objects as the server returned them to us, until the watch has caught up.
    pub(crate) written: Written<R::Object>,
    pub(crate) triggers: Triggers<R::Object>,
    pub(crate) store: Store<R::Object>,
    pub(crate) name: String,
}

impl<R: Reconciler> Env<R> {
    pub(crate) fn writer_client(&self) -> Client {
        self.writer.client()
    }

    /// Forgets our copy of an object once the watch shows it, or something newer.
    pub(crate) fn caught_up(&self, key: &ObjectRef<R::Object>, seen: &R::Object) {
        let mut written = lock(&self.written);
        if written
            .get(key)
            .is_some_and(|ours| !is_newer(ours.as_ref(), seen))
        {
            written.remove(key);
        }
    }

    pub(crate) fn forget(&self, key: &ObjectRef<R::Object>) {
        lock(&self.written).remove(key);
        self.backoff.reset(key);
        self.metrics.forget(&labels(key));
    }

    /// The newest form of the object that this process knows: the store may lag behind our own writes.
    fn freshest(&self, cached: Arc<R::Object>) -> Arc<R::Object> {
        let written = lock(&self.written);
        match written.get(&ObjectRef::from_obj(cached.as_ref())) {
            Some(ours) if is_newer(ours.as_ref(), cached.as_ref()) => Arc::clone(ours),
            _ => cached,
        }
    }

    /// One pass, with its log span, its metrics and its panics.
    pub(crate) async fn pass(self: Arc<Self>, cached: Arc<R::Object>) -> Action {
        let key = ObjectRef::from_obj(cached.as_ref());
        let id: u128 = rand::random();
        let span = tracing::info_span!(
            "reconcile",
            controller = self.name,
            controllerGroup = R::Object::GROUP,
            controllerKind = R::Object::KIND,
            name = key.name,
            namespace = key.namespace.as_deref().unwrap_or_default(),
            reconcileID = format!("{id:032x}"),
        );
        let interrupt = Interrupt::default();
        lock(&self.triggers.running).insert(key.clone(), interrupt.clone());
        self.metrics.dequeued(&self.name, self.triggers.taken(&key));
        self.metrics.reconcile_started(&self.name);
        let started = Instant::now();
        let steps = AssertUnwindSafe(self.steps(self.freshest(cached), interrupt))
            .catch_unwind()
            .instrument(span.clone())
            .await;
        // The reconciler's own panics are caught within; this is one in the steps around it.
        let ended = steps.unwrap_or_else(|panic| Ended {
            outcome: self.panicked(panic.as_ref()),
            interval: None,
            gone: false,
        });
        lock(&self.triggers.running).remove(&key);
        let gone = ended.gone;
        let (action, result) = span.in_scope(|| self.next(&key, ended));
        self.metrics
            .reconcile_finished(&self.name, &labels(&key), result, started.elapsed());
        if gone {
            // The watch told of it during the pass, which has made its series again.
            self.forget(&key);
        }
        action
    }

    /// When the next pass comes, and the word for the metrics.
    fn next(&self, key: &ObjectRef<R::Object>, ended: Ended) -> (Action, &'static str) {
        let Ended {
            outcome, interval, ..
        } = ended;
        if !matches!(outcome, Outcome::Backoff { .. }) {
            self.backoff.reset(key);
        }
        match outcome {
            Outcome::Done => match interval {
                Some(interval) => (after(jittered(interval, self.jitter)), "requeue_after"),
                None => (Action::await_change(), "success"),
            },
            Outcome::Wait(wait) | Outcome::Deferred(wait) => (after(wait), "requeue_after"),
            Outcome::Retry { error, after: wait } => {
                tracing::error!(error, "Reconciler error");
                (after(wait), "error")
            }
            Outcome::Backoff { error } => {
                tracing::error!(error, "Reconciler error");
                self.metrics.retried(&self.name);
                (Action::requeue(self.backoff.failed(key.clone())), "error")
            }
            Outcome::Stalled { error } => {
                tracing::error!(error, "Reconciler error, no retry until the object changes");
                (Action::await_change(), "error")
            }
            Outcome::Superseded => (Action::requeue(Duration::ZERO), "requeue"),
            Outcome::Stopped => (Action::await_change(), "success"),
        }
    }

    /// The order of a pass (style: observe, act, report).
    async fn steps(&self, object: Arc<R::Object>, interrupt: Interrupt) -> Ended {
        let interval = object.interval().map(Duration::from);
        let mut base = R::Object::clone(&object);
        drop(object);
        let ended = |outcome| Ended {
            outcome,
            interval,
            gone: false,
        };
        if base.meta().deletion_timestamp.is_some() {
            let outcome = self.finalize(base, interrupt).await;
            return Ended {
                gone: outcome == Outcome::Done,
                outcome,
                interval: None,
            };
        }
        if self.reconciler.is_static(&base) {
            let outcome = self.retire(base, interrupt).await;
            return Ended {
                outcome,
                interval: None,
                gone: false,
            };
        }
        if !base.finalizers().iter().any(|name| name == R::FINALIZER) {
            base = match self.writer.finalizer(&base, R::FINALIZER, true).await {
                Ok(written) => self.remember(written),
                Err(error) => return ended(refused(&error)),
            };
        }
        let (mut pass, drafts) = Pass::new(base.clone(), interrupt, self.recorder.clone());
        let suspended = base.is_suspended();
        // The request that this pass answers; one that arrives meanwhile is answered by the next.
        let requested = base.reconcile_requested_at().map(str::to_owned);
        let (outcome, base) = if suspended {
            tracing::info!("reconciliation is suspended for this object");
            self.reconciler.suspended(&mut pass.object);
            (Outcome::Done, base)
        } else {
            let publisher = tokio::spawn(publish(self.writer.clone(), base.clone(), drafts));
            let outcome = self.guarded(&mut pass).await;
            let object = std::mem::take(&mut pass.object);
            drop(pass);
            let base = publisher.await.unwrap_or(base);
            let (again, _) = Pass::new(object, Interrupt::default(), self.recorder.clone());
            pass = again;
            self.reconciler.finish(&mut pass.object, &outcome);
            (outcome, base)
        };
        if matches!(outcome, Outcome::Stopped | Outcome::Deferred(_)) {
            return ended(outcome);
        }
        if let Some(token) = requested {
            pass.object.set_last_handled_reconcile_at(&token);
        }
        match self.writer.status(&base, &pass.object).await {
            Ok(Some(written)) => drop(self.remember(written)),
            Ok(None) => {}
            Err(error) if is_not_found(&error) => {
                return Ended {
                    outcome: Outcome::Done,
                    interval: None,
                    gone: true,
                };
            }
            Err(error) => return ended(refused(&error)),
        }
        Ended {
            outcome,
            interval: interval.filter(|_| !suspended),
            gone: false,
        }
    }

    /// Runs the reconciler; a panic becomes a failure of this object alone.
    async fn guarded(&self, pass: &mut Pass<R::Object>) -> Outcome {
        let caught = AssertUnwindSafe(self.reconciler.reconcile(pass))
            .catch_unwind()
            .await;
        caught.unwrap_or_else(|panic| self.panicked(panic.as_ref()))
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> Outcome {
        self.metrics.panicked(&self.name);
        Outcome::Backoff {
            error: format!("panic: {}", panic_text(panic)),
        }
    }

    async fn finalize(&self, object: R::Object, interrupt: Interrupt) -> Outcome {
        if !object.finalizers().iter().any(|name| name == R::FINALIZER) {
            return Outcome::Done;
        }
        let (mut pass, drafts) = Pass::new(object.clone(), interrupt.clone(), self.recorder.clone());
        // Nobody writes them: the object is about to go.
        drop(drafts);
        let caught = AssertUnwindSafe(self.reconciler.finalize(&mut pass))
            .catch_unwind()
            .await;
        if let Err(error) =
            caught.unwrap_or_else(|panic| Err(format!("panic: {}", panic_text(panic.as_ref()))))
        {
            // What was left undone is done by the next process.
            if interrupt.cause() == Some(Cause::Shutdown) {
                return Outcome::Stopped;
            }
            self.tell_why(&object, &pass.object).await;
            return Outcome::Backoff { error };
        }
        match self.writer.finalizer(&pass.object, R::FINALIZER, false).await {
            Ok(_) => Outcome::Done,
            Err(error) if is_not_found(&error) => Outcome::Done,
            Err(error) => refused(&error),
        }
    }

    /// Writes what the reconciler says of a deletion that failed: users must see what holds the object.
    async fn tell_why(&self, base: &R::Object, object: &R::Object) {
        match self.writer.status(base, object).await {
            Ok(Some(written)) => drop(self.remember(written)),
            Ok(None) => {}
            // It is tried again with the deletion.
            Err(error) => tracing::debug!(error = crate::process::chain(&error), "status not written"),
        }
    }

    /// Takes from a static object what it has from the time when it was reconciled. One that is suspended is left as it is.
    async fn retire(&self, object: R::Object, interrupt: Interrupt) -> Outcome {
        let has_finalizer = object.finalizers().iter().any(|name| name == R::FINALIZER);
        if object.is_suspended() || (!has_finalizer && is_blank(object.status())) {
            return Outcome::Done;
        }
        let mut blank = object.clone();
        if has_finalizer {
            match self.finalize(object, interrupt).await {
                Outcome::Done => {}
                outcome => return outcome,
            }
            // The finalizer went in a write of its own.
            blank.meta_mut().resource_version = None;
        }
        let base = blank.clone();
        blank.set_status(Some(Default::default()));
        match self.writer.status(&base, &blank).await {
            Ok(_) => Outcome::Done,
            Err(error) => refused(&error),
        }
    }

    /// Keeps what was written until the watch shows it, unless it has done so already.
    fn remember(&self, written: R::Object) -> R::Object {
        let key = ObjectRef::from_obj(&written);
        let mut kept = written.clone();
        kept.meta_mut().managed_fields = None;
        let mut all = lock(&self.written);
        let lags = self.store.get(&key).is_some_and(|seen| is_newer(&kept, &seen));
        if lags {
            all.insert(key, Arc::new(kept));
        }
        written
    }
}

/// Whether a status says nothing: it was never written, or emptied.
fn is_blank<S: FluxStatus>(status: Option<&S>) -> bool {
    let Some(status) = status else { return true };
    let mut unobserved = S::default();
    unobserved.set_observed_generation(-1);
    *status == S::default() || *status == unobserved
}

/// How a pass ended, and the interval that the object asks for.
struct Ended {
    outcome: Outcome,
    interval: Option<Duration>,
    /// The object is gone.
    gone: bool,
}

/// The next pass after `wait`. None at all means none, as in upstream's runtime, and not at once for ever.
fn after(wait: Duration) -> Action {
    if wait.is_zero() {
        Action::await_change()
    } else {
        Action::requeue(wait)
    }
}

/// Writes drafts: at once where somebody waits for it, else when the pass lasts. Returns the object as last written, once the pass is over.
async fn publish<K: FluxObject>(
    writer: Writer,
    mut base: K,
    mut drafts: mpsc::UnboundedReceiver<Draft<K>>,
) -> K {
    let (mut pending, mut due) = (None, Instant::now());
    loop {
        tokio::select! {
            draft = drafts.recv() => match draft {
                None => return base,
                Some(Draft { object, written: None }) => {
                    if pending.is_none() {
                        due = Instant::now() + PROGRESS_AFTER;
                    }
                    pending = Some(object);
                }
                Some(Draft { object, written: Some(written) }) => {
                    pending = None;
                    let outcome = write_draft(&writer, &mut base, &object).await;
                    // Whoever asked may have been cancelled.
                    let _unheard = written.send(outcome);
                }
            },
            () = tokio::time::sleep_until(due), if pending.is_some() => {
                if let Some(object) = pending.take()
                    && let Err(error) = write_draft(&writer, &mut base, &object).await
                {
                    tracing::debug!(error, "progress not written");
                }
            }
        }
    }
}

async fn write_draft<K: FluxObject>(writer: &Writer, base: &mut K, draft: &K) -> Result<(), String> {
    match writer.status(base, draft).await {
        Ok(Some(written)) => *base = written,
        Ok(None) => {}
        Err(error) => return Err(crate::process::chain(&error)),
    }
    Ok(())
}

fn refused(error: &kube::Error) -> Outcome {
    if is_not_found(error) {
        return Outcome::Done;
    }
    Outcome::Backoff {
        error: crate::process::chain(error),
    }
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Resource versions are numbers that grow, since Kubernetes 1.35 by contract and before that in fact.
fn is_newer<K: FluxObject>(a: &K, b: &K) -> bool {
    let number = |object: &K| {
        object
            .resource_version()
            .and_then(|version| version.parse::<u64>().ok())
    };
    a.uid() == b.uid() && number(a) > number(b)
}

fn labels<K: FluxObject>(key: &ObjectRef<K>) -> ObjectLabels {
    ObjectLabels {
        kind: K::KIND.to_owned(),
        name: key.name.clone(),
        namespace: key.namespace.clone().unwrap_or_default(),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pass_tests.rs"]
mod tests;
