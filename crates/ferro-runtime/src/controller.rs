//! The loop around a [`Reconciler`]: one watch, one store, one queue; a pass never fails the loop.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::FluxObject;
use futures::{FutureExt, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event as WatchEvent, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;

use crate::backoff::Backoff;
use crate::events::Recorder;
use crate::pass::{Env, lock};
use crate::process::Process;
use crate::reconcile::{Cause, Interrupt, Reconciler};
use crate::status::Writer;

/// Objects fetched at once when a watch starts: bounds what is in memory before it is reduced.
const PAGE: u32 = 100;

/// Asks for reconciles of objects of one kind, from outside of its own watch. Cheap to clone.
#[derive(Clone)]
pub struct Triggers<K: FluxObject> {
    queue: mpsc::UnboundedSender<ObjectRef<K>>,
    pub(crate) running: Arc<Mutex<HashMap<ObjectRef<K>, Interrupt>>>,
}

impl<K: FluxObject> Triggers<K> {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<ObjectRef<K>>) {
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
