//! The loop around a [`Reconciler`]: one watch, one store, one queue; a pass never fails the loop.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ferro_api::FluxObject;
use futures::{FutureExt, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event as WatchEvent};
use kube::{Api, Client, ResourceExt};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::events::Recorder;
use crate::pass::{Env, lock};
use crate::process::Process;
use crate::reconcile::{Cause, Interrupt, Reconciler};
use crate::status::Writer;
use crate::watch::{self, Change};

/// Objects fetched at once when a watch starts: bounds what is in memory before it is reduced.
const PAGE: u32 = 100;

/// Asks for reconciles of objects of one kind, from outside of its own watch. Cheap to clone.
#[derive(Clone)]
pub struct Triggers<K: FluxObject> {
    queue: mpsc::UnboundedSender<ObjectRef<K>>,
    /// Objects that wait for a pass, and since when.
    waiting: Arc<Mutex<HashMap<ObjectRef<K>, Instant>>>,
    depth: Arc<OnceLock<Gauge>>,
    pub(crate) running: Arc<Mutex<HashMap<ObjectRef<K>, Interrupt>>>,
}

impl<K: FluxObject> Triggers<K> {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<ObjectRef<K>>) {
        let (queue, queued) = mpsc::unbounded_channel();
        (
            Self {
                queue,
                waiting: Arc::default(),
                depth: Arc::default(),
                running: Arc::default(),
            },
            queued,
        )
    }

    /// Has the object reconciled, after the pass that runs now, if any.
    pub fn enqueue(&self, object: ObjectRef<K>) {
        let mut waiting = lock(&self.waiting);
        waiting.entry(object.clone()).or_insert_with(Instant::now);
        self.measure(waiting.len());
        drop(waiting);
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

    /// Ends the wait of an object; how long it lasted. One whose time has come by itself did not wait.
    pub(crate) fn taken(&self, object: &ObjectRef<K>) -> Duration {
        let mut waiting = lock(&self.waiting);
        let since = waiting.remove(object);
        self.measure(waiting.len());
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn measure(&self, waiting: usize) {
        if let Some(depth) = self.depth.get() {
            depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
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
        triggers.depth.get_or_init(|| process.metrics.queue_depth(&name));
        let env = Arc::new(Env {
            reconciler,
            writer: Writer::new(process.client.clone(), &options.manager),
            recorder,
            metrics: process.metrics.clone(),
            backoff: Backoff::new(process.flags.min_retry_delay, process.flags.max_retry_delay),
            jitter: process.flags.interval_jitter_percentage,
            written: Mutex::default(),
            triggers: triggers.clone(),
            store: store.clone(),
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
        let mut pending = process.register();
        let known = store.clone();
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
            () = applier.for_each(|ended| {
                // Deleted before its turn.
                if let Err(controller::Error::ObjectNotFound(object)) = ended {
                    let key = ObjectRef::new(&object.name);
                    triggers.taken(&key.within(object.namespace.as_deref().unwrap_or_default()));
                }
                std::future::ready(())
            }) => {}
            () = watching => {}
            () = async {
                stopping.cancelled().await;
                triggers.stop_all();
                // No pass has begun where nothing was ever listed, and the applier would wait for that.
                if known.wait_until_ready().now_or_never().is_some() {
                    std::future::pending::<()>().await;
                }
            } => {}
        }
    }
}

/// A pass catches its own panics; should the task itself be lost, the object is tried again in a while.
fn requeue_of(ended: Result<Action, tokio::task::JoinError>) -> Action {
    ended.unwrap_or_else(|_| Action::requeue(Duration::from_secs(60)))
}

/// Follows the objects of a kind; a malformed one is left out instead of stalling the watch.
async fn follow<R: Reconciler>(
    api: Api<R::Object>,
    config: watcher::Config,
    store: reflector::store::Writer<R::Object>,
    env: Arc<Env<R>>,
    initialised: impl FnMut() + Send,
) {
    let guarded: Api<DeserializeGuard<R::Object>> = narrow(&api, env.writer_client());
    let mut following = Following {
        store,
        seen: HashMap::new(),
        initialised,
        env: Arc::clone(&env),
    };
    let keep = |object| decoded(object, &env.name);
    watch::follow(guarded, config, keep, |change| following.told(change)).await;
}

/// Keeps the store current and asks for a reconcile when what users write has changed: the generation, an
/// annotation that says what is to be done, the reconcile request, the deletion.
struct Following<R: Reconciler, F> {
    env: Arc<Env<R>>,
    store: reflector::store::Writer<R::Object>,
    seen: HashMap<ObjectRef<R::Object>, Token>,
    initialised: F,
}

impl<R: Reconciler, F: FnMut()> Following<R, F> {
    fn told(&mut self, change: Change<R::Object>) {
        match change {
            Change::Failing { error, .. } => {
                let error = crate::process::chain(&error);
                tracing::error!(controller = self.env.name, error, "watch failed");
            }
            Change::Applied(object) => {
                let event = WatchEvent::Apply(object);
                self.store.apply_watcher_event(&event);
                if let WatchEvent::Apply(object) = event {
                    self.shown(&object);
                }
            }
            Change::Deleted(object) => {
                let key = ObjectRef::from_obj(&object);
                self.store.apply_watcher_event(&WatchEvent::Delete(object));
                self.gone(&key);
            }
            Change::Listed(objects) => self.listed(objects),
        }
    }

    /// The store has the whole list before anybody is told of an object in it: a pass that starts meanwhile must not see
    /// less than what started it.
    fn listed(&mut self, objects: Vec<R::Object>) {
        let objects = objects.into_iter().map(WatchEvent::InitApply);
        let objects: Vec<_> = objects.collect();
        self.store.apply_watcher_event(&WatchEvent::Init);
        for object in &objects {
            self.store.apply_watcher_event(object);
        }
        self.store.apply_watcher_event(&WatchEvent::InitDone);
        let mut missing: HashSet<_> = self.seen.keys().cloned().collect();
        for event in &objects {
            if let WatchEvent::InitApply(object) = event {
                missing.remove(&ObjectRef::from_obj(object));
                self.shown(object);
            }
        }
        for key in missing {
            self.gone(&key);
        }
        (self.initialised)();
    }

    fn shown(&mut self, object: &R::Object) {
        let key = ObjectRef::from_obj(object);
        self.env.caught_up(&key, object);
        let known = self.seen.get(&key);
        let token = Token::of(object, known);
        if known != Some(&token) {
            if known.is_some() {
                self.env.backoff.reset(&key);
            }
            self.seen.insert(key.clone(), token);
            self.env.triggers.supersede(key.clone(), subject(&key));
        }
        self.env.reconciler.observed(object);
    }

    fn gone(&mut self, key: &ObjectRef<R::Object>) {
        self.seen.remove(key);
        self.env.forget(key);
    }
}

/// The same resources, decoded so that a malformed object is an item instead of an error that stalls the watch.
fn narrow<K: FluxObject>(api: &Api<K>, client: Client) -> Api<DeserializeGuard<K>> {
    match api.namespace() {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// Unwraps an object; a malformed one is reported and skipped. Managed fields are dropped: nothing here reads them.
fn decoded<K: FluxObject>(guard: DeserializeGuard<K>, controller: &str) -> Option<K> {
    match guard.0 {
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
    }
}

/// Differs exactly when an object must be reconciled because of what was done to the object itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    uid: Option<String>,
    generation: Option<i64>,
    is_deleted: bool,
    /// Where that is an annotation, it changes without the generation.
    is_suspended: bool,
    instructions: Vec<(&'static str, String)>,
    requested_at: Option<String>,
}

impl Token {
    /// The annotations that an object is steered by.
    fn instructions<K: FluxObject>(object: &K) -> Vec<(&'static str, String)> {
        let given = |name: &&'static str| Some((*name, object.annotations().get(*name)?.clone()));
        K::INSTRUCTIONS.iter().filter_map(given).collect()
    }

    /// The token of an object that was `known` before. A request that is taken back asks for nothing.
    fn of<K: FluxObject>(object: &K, known: Option<&Self>) -> Self {
        let requested_at = object.reconcile_requested_at().map(str::to_owned);
        Self {
            uid: object.uid(),
            generation: object.meta().generation,
            is_deleted: object.meta().deletion_timestamp.is_some(),
            is_suspended: object.is_suspended(),
            instructions: Self::instructions(object),
            requested_at: requested_at.or_else(|| known?.requested_at.clone()),
        }
    }
}

fn subject<K: FluxObject>(key: &ObjectRef<K>) -> String {
    format!(
        "{}/{}/{}",
        K::KIND,
        key.namespace.as_deref().unwrap_or_default(),
        key.name
    )
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
