//! The loop around a [`Reconciler`]: one watch, one store, one queue; a pass never fails the loop.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_api::{FluxObject, finalizer};
use futures::{FutureExt, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event as WatchEvent, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::Instrument;

use crate::backoff::{Backoff, jittered};
use crate::events::Recorder;
use crate::metrics::{Metrics, ObjectLabels};
use crate::process::Process;
use crate::reconcile::{Cause, Interrupt, Outcome, Pass, Reconciler};
use crate::status::Writer;

/// A pass shorter than this writes the status once, at its end.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// Objects fetched at once when a watch starts: bounds what is in memory before it is reduced.
const PAGE: u32 = 100;

/// Asks for reconciles of objects of one kind, from outside of its own watch. Cheap to clone.
#[derive(Clone)]
pub struct Triggers<K: FluxObject> {
    queue: mpsc::UnboundedSender<ObjectRef<K>>,
    running: Arc<Mutex<HashMap<ObjectRef<K>, Interrupt>>>,
}

impl<K: FluxObject> Triggers<K> {
    fn new() -> (Self, mpsc::UnboundedReceiver<ObjectRef<K>>) {
        let (queue, queued) = mpsc::unbounded_channel();
        (
            Self {
                queue,
                running: Arc::default(),
            },
            queued,
        )
    }

    /// Has the object reconciled, after the pass that runs now, if any.
    pub fn enqueue(&self, object: ObjectRef<K>) {
        // Fails only when the controller has ended.
        let _stopping = self.queue.send(object);
    }

    /// Has the object reconciled at once: a pass that runs now is told that newer work by `by` (`Kind/namespace/name`) is there.
    pub fn supersede(&self, object: ObjectRef<K>, by: String) {
        if let Some(interrupt) = lock(&self.running).get(&object) {
            interrupt.fire(Cause::NewWork(by));
        }
        self.enqueue(object);
    }

    fn stop_all(&self) {
        lock(&self.running)
            .values()
            .for_each(|interrupt| interrupt.fire(Cause::Shutdown));
    }
}

/// A controller before it runs: its store and its triggers are there for the reconciler to be built with.
pub struct Controller<K: FluxObject> {
    /// The objects of the kind, as last seen.
    pub store: Store<K>,
    /// Asks for reconciles.
    pub triggers: Triggers<K>,
    writer: reflector::store::Writer<K>,
    queued: mpsc::UnboundedReceiver<ObjectRef<K>>,
}

impl<K: FluxObject> Default for Controller<K> {
    fn default() -> Self {
        let (store, writer) = reflector::store();
        let (triggers, queued) = Triggers::new();
        Self {
            store,
            triggers,
            writer,
            queued,
        }
    }
}

impl<K: FluxObject> std::fmt::Debug for Controller<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("kind", &K::KIND)
            .finish_non_exhaustive()
    }
}

/// How a controller writes and how much it does at once.
#[derive(Clone, Debug)]
pub struct Options {
    /// Field manager of status and finalizers.
    pub manager: String,
    /// Passes that may run at once.
    pub concurrent: u16,
}

impl<K: FluxObject> Controller<K> {
    /// Reconciles until the process is told to stop, then lets the passes in flight end.
    pub async fn run<R>(
        self,
        process: &Process,
        namespace: Option<String>,
        recorder: Recorder,
        options: Options,
        reconciler: R,
    ) where
        R: Reconciler<Object = K>,
    {
        let Self {
            store,
            triggers,
            writer,
            queued,
        } = self;
        let name = K::KIND.to_lowercase();
        process.metrics.concurrency(&name, options.concurrent);
        let env = Arc::new(Env {
            reconciler,
            writer: Writer::new(process.client.clone(), &options.manager),
            recorder,
            metrics: process.metrics.clone(),
            backoff: Backoff::new(process.flags.min_retry_delay, process.flags.max_retry_delay),
            jitter: process.flags.interval_jitter_percentage,
            written: Mutex::default(),
            triggers: triggers.clone(),
            name,
        });
        let api = namespace.map_or_else(
            || Api::all(process.client.clone()),
            |namespace| Api::namespaced(process.client.clone(), &namespace),
        );
        let selector = &process.flags.watch_label_selector;
        let mut config = watcher::Config::default().page_size(PAGE);
        if !selector.is_empty() {
            config = config.labels(selector);
        }
        let mut pending = process.readiness.register();
        let watching = follow(api, config, writer, Arc::clone(&env), move || pending.ready());
        let queue = futures::stream::unfold(queued, |mut queued| async {
            queued.recv().await.map(|object| (object, queued))
        })
        .map(Ok::<_, std::convert::Infallible>)
        .take_until(process.stop.clone().cancelled_owned());
        let applier = kube::runtime::applier(
            |object, env| {
                tokio::spawn(env.pass(object))
                    .map(|ended| Ok::<_, std::convert::Infallible>(requeue_of(ended)))
                    .boxed()
            },
            |_, never, _| match *never {},
            env,
            store,
            queue,
            Config::default().concurrency(options.concurrent),
        );
        let stopping = process.stop.clone();
        tokio::select! {
            () = applier.for_each(|_| std::future::ready(())) => {}
            () = watching => {}
            () = async {
                stopping.cancelled().await;
                triggers.stop_all();
                std::future::pending::<()>().await;
            } => {}
        }
    }
}

/// A pass catches its own panics; should the task itself be lost, the object is tried again in a while.
fn requeue_of(ended: Result<Action, tokio::task::JoinError>) -> Action {
    ended.unwrap_or_else(|_| Action::requeue(Duration::from_secs(60)))
}

/// Keeps the store current and asks for a reconcile when what users write has changed: the generation, the
/// reconcile request, the deletion.
async fn follow<R: Reconciler>(
    api: Api<R::Object>,
    config: watcher::Config,
    mut store: reflector::store::Writer<R::Object>,
    env: Arc<Env<R>>,
    mut initialised: impl FnMut() + Send,
) {
    let guarded: Api<DeserializeGuard<R::Object>> = narrow(&api, env.writer_client());
    let mut seen: HashMap<ObjectRef<R::Object>, u64> = HashMap::new();
    let mut events = watcher(guarded, config).boxed();
    let mut pause = Duration::from_millis(200);
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(
                    controller = env.name,
                    error = crate::process::chain(&error),
                    "watch failed"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
                continue;
            }
        };
        pause = Duration::from_millis(200);
        let Some(event) = decoded(event, &env.name) else {
            continue;
        };
        match &event {
            WatchEvent::Apply(object) | WatchEvent::InitApply(object) => {
                let key = ObjectRef::from_obj(object);
                env.caught_up(&key, object);
                let token = trigger_token(object);
                let old = seen.insert(key.clone(), token);
                store.apply_watcher_event(&event);
                if old != Some(token) {
                    env.metrics.enqueued(&env.name);
                    if old.is_some() {
                        env.backoff.reset(&key);
                    }
                    env.triggers.supersede(key.clone(), subject(&key));
                }
                env.reconciler.observed(object);
                continue;
            }
            WatchEvent::Delete(object) => {
                let key = ObjectRef::from_obj(object);
                seen.remove(&key);
                env.forget(&key);
            }
            WatchEvent::Init => {}
            WatchEvent::InitDone => initialised(),
        }
        store.apply_watcher_event(&event);
    }
}

/// The same resources, decoded so that a malformed object is an item instead of an error that stalls the watch.
fn narrow<K: FluxObject>(api: &Api<K>, client: Client) -> Api<DeserializeGuard<K>> {
    match api.namespace() {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// Unwraps an event; a malformed object is reported and skipped. Managed fields are dropped: nothing here reads them.
fn decoded<K: FluxObject>(event: WatchEvent<DeserializeGuard<K>>, controller: &str) -> Option<WatchEvent<K>> {
    let open = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(mut object) => {
            object.meta_mut().managed_fields = None;
            object
                .annotations_mut()
                .remove("kubectl.kubernetes.io/last-applied-configuration");
            Some(object)
        }
        Err(error) => {
            tracing::error!(controller, %error, "object skipped: it does not fit its schema");
            None
        }
    };
    Some(match event {
        WatchEvent::Apply(guard) => WatchEvent::Apply(open(guard)?),
        WatchEvent::InitApply(guard) => WatchEvent::InitApply(open(guard)?),
        WatchEvent::Delete(guard) => WatchEvent::Delete(open(guard)?),
        WatchEvent::Init => WatchEvent::Init,
        WatchEvent::InitDone => WatchEvent::InitDone,
    })
}

/// Changes exactly when an object must be reconciled because of what was done to the object itself.
fn trigger_token<K: FluxObject>(object: &K) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.uid().hash(&mut hasher);
    object.meta().generation.hash(&mut hasher);
    object.meta().deletion_timestamp.is_some().hash(&mut hasher);
    object.reconcile_requested_at().hash(&mut hasher);
    hasher.finish()
}

fn subject<K: FluxObject>(key: &ObjectRef<K>) -> String {
    format!(
        "{}/{}/{}",
        K::KIND,
        key.namespace.as_deref().unwrap_or_default(),
        key.name
    )
}

type Written<K> = Mutex<HashMap<ObjectRef<K>, Arc<K>>>;

/// What every pass of a controller shares.
struct Env<R: Reconciler> {
    reconciler: R,
    writer: Writer,
    recorder: Recorder,
    metrics: Metrics,
    backoff: Backoff<ObjectRef<R::Object>>,
    jitter: u8,
    /// Objects as the server returned them to us, until the watch has caught up.
    written: Written<R::Object>,
    triggers: Triggers<R::Object>,
    name: String,
}

impl<R: Reconciler> Env<R> {
    fn writer_client(&self) -> Client {
        self.writer.client()
    }

    /// Forgets our copy of an object once the watch shows it, or something newer.
    fn caught_up(&self, key: &ObjectRef<R::Object>, seen: &R::Object) {
        let mut written = lock(&self.written);
        if written
            .get(key)
            .is_some_and(|ours| !is_newer(ours.as_ref(), seen))
        {
            written.remove(key);
        }
    }

    fn forget(&self, key: &ObjectRef<R::Object>) {
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
    async fn pass(self: Arc<Self>, cached: Arc<R::Object>) -> Action {
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
        self.metrics.reconcile_started(&self.name);
        let started = Instant::now();
        let outcome = self
            .steps(self.freshest(cached), interrupt)
            .instrument(span.clone())
            .await;
        lock(&self.triggers.running).remove(&key);
        let (action, result) = span.in_scope(|| self.next(&key, outcome));
        self.metrics
            .reconcile_finished(&self.name, &labels(&key), result, started.elapsed());
        action
    }

    /// When the next pass comes, and the word for the metrics.
    fn next(&self, key: &ObjectRef<R::Object>, ended: Ended) -> (Action, &'static str) {
        let Ended { outcome, interval } = ended;
        if !matches!(outcome, Outcome::Backoff { .. }) {
            self.backoff.reset(key);
        }
        match outcome {
            Outcome::Done => match interval {
                Some(interval) => (Action::requeue(jittered(interval, self.jitter)), "requeue_after"),
                None => (Action::await_change(), "success"),
            },
            Outcome::Wait(after) => (Action::requeue(after), "requeue_after"),
            Outcome::Retry { error, after } => {
                tracing::error!(error, "Reconciler error");
                (Action::requeue(after), "error")
            }
            Outcome::Backoff { error } => {
                tracing::error!(error, "Reconciler error");
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
        let ended = |outcome| Ended { outcome, interval };
        if base.meta().deletion_timestamp.is_some() {
            return Ended {
                outcome: self.finalize(base, interrupt).await,
                interval: None,
            };
        }
        if !base.finalizers().iter().any(|name| name == finalizer::NAME) {
            base = match self.writer.finalizer(&base, finalizer::NAME, true).await {
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
            let (again, _drafts) = Pass::new(object, Interrupt::default(), self.recorder.clone());
            pass = again;
            self.reconciler.finish(&mut pass.object, &outcome);
            (outcome, base)
        };
        if outcome == Outcome::Stopped {
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
                };
            }
            Err(error) => return ended(refused(&error)),
        }
        Ended {
            outcome,
            interval: interval.filter(|_| !suspended),
        }
    }

    /// Runs the reconciler; a panic becomes a failure of this object alone.
    async fn guarded(&self, pass: &mut Pass<R::Object>) -> Outcome {
        let caught = AssertUnwindSafe(self.reconciler.reconcile(pass))
            .catch_unwind()
            .await;
        caught.unwrap_or_else(|panic| {
            self.metrics.panicked(&self.name);
            Outcome::Backoff {
                error: format!("panic: {}", panic_text(panic.as_ref())),
            }
        })
    }

    async fn finalize(&self, object: R::Object, interrupt: Interrupt) -> Outcome {
        if !object.finalizers().iter().any(|name| name == finalizer::NAME) {
            return Outcome::Done;
        }
        let (mut pass, _drafts) = Pass::new(object, interrupt, self.recorder.clone());
        let caught = AssertUnwindSafe(self.reconciler.finalize(&mut pass))
            .catch_unwind()
            .await;
        if let Err(error) =
            caught.unwrap_or_else(|panic| Err(format!("panic: {}", panic_text(panic.as_ref()))))
        {
            return Outcome::Backoff { error };
        }
        match self.writer.finalizer(&pass.object, finalizer::NAME, false).await {
            Ok(_) => Outcome::Done,
            Err(error) if is_not_found(&error) => Outcome::Done,
            Err(error) => refused(&error),
        }
    }

    fn remember(&self, written: R::Object) -> R::Object {
        let mut kept = written.clone();
        kept.meta_mut().managed_fields = None;
        lock(&self.written).insert(ObjectRef::from_obj(&kept), Arc::new(kept));
        written
    }
}

/// How a pass ended, and the interval that the object asks for.
struct Ended {
    outcome: Outcome,
    interval: Option<Duration>,
}

/// Writes drafts of a pass that lasts; returns the object as last written, once the pass is over.
async fn publish<K: FluxObject>(
    writer: Writer,
    mut base: K,
    mut drafts: watch::Receiver<Option<Box<K>>>,
) -> K {
    while drafts.changed().await.is_ok() {
        let over = tokio::time::timeout(PROGRESS_AFTER, drafts.wait_for(|_| false))
            .await
            .is_ok();
        if over {
            break;
        }
        let Some(draft) = drafts.borrow_and_update().clone() else {
            continue;
        };
        match writer.status(&base, &draft).await {
            Ok(Some(written)) => base = written,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "progress not written"),
        }
    }
    base
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
