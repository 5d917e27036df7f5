//! What the reconcilers of all source kinds share: the course of a pass around the steps of the kind.
//!
//! `begin → storage → steps of the kind → settle or fail → finish`. A step that fails returns a [`Failure`], which says the condition, the
//! class and the text; everything else about failures happens here, once.

mod failure;
mod finish;
mod kind;
mod progress;
mod report;
mod storage;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ferro_api::{FluxObject, reason};
use ferro_artifact::storage::Storage;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Cause, Outcome, Pass};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use failure::{Class, Failure};
pub(crate) use finish::{finish, finish_suspended};
pub(crate) use kind::SourceObject;
pub(crate) use progress::progressive;
pub(crate) use report::Settled;
pub(crate) use storage::{artifact_path, forget};

/// What the reconcilers of a process share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Client of the API server.
    pub client: Client,
    /// Where artifacts are kept.
    pub storage: Storage,
    /// Time after which an object that waits for another one is looked at again.
    pub requeue_dependency: Duration,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    /// Bounds the threads that hold a fetch, even where passes were cut short and their threads are still ending.
    pub workers: Arc<Semaphore>,
}

impl Shared {
    /// Runs `work` on a thread of its own. When the returned future is dropped, the token that `work` got is cancelled.
    ///
    /// # Errors
    /// When `work` panicked.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let lost = || Failure::plain("the worker thread was lost".to_owned());
        let permit = Arc::clone(&self.workers)
            .acquire_owned()
            .await
            .map_err(|_| lost())?;
        let cancel = CancellationToken::new();
        let _cancelled_with_the_pass: DropGuard = cancel.clone().drop_guard();
        let running = tokio::task::spawn_blocking(move || {
            let result = work(&cancel);
            drop(permit);
            result
        });
        running.await.map_err(|_| lost())
    }
}

/// The reconciler of one source kind.
pub(crate) trait Source: Send + Sync {
    /// The kind.
    type Object: SourceObject;

    /// What all reconcilers share.
    fn shared(&self) -> &Shared;

    /// The objects of the kind, as last seen.
    fn store(&self) -> &Store<Self::Object>;

    /// Makes the artifact what the object asks for. The artifact in the status, if there is one, has been found intact.
    fn steps(&self, pass: &mut Pass<Self::Object>) -> impl Future<Output = Result<Settled, Failure>> + Send;
}

/// One pass over an object.
pub(crate) async fn drive<S: Source>(source: &S, pass: &mut Pass<S::Object>) -> Outcome {
    let before = report::Before::of(&pass.object);
    let ending = ending(source, &pass.object, pass.interrupt.clone());
    let asked = progress::begin(pass);
    let result = tokio::select! {
        biased;
        outcome = ending => return outcome,
        result = checked_steps(source, pass) => result,
    };
    let outcome = match result {
        Ok(settled) => {
            report::settled(pass, &before, &settled, asked);
            Outcome::Done
        }
        Err(failure) => fail(pass, failure),
    };
    finish(&mut pass.object, &outcome);
    let outcome = finish::unless_unready(&pass.object, outcome);
    before.keep_times(&mut pass.object);
    outcome
}

async fn checked_steps<S: Source>(source: &S, pass: &mut Pass<S::Object>) -> Result<Settled, Failure> {
    storage::check(source.shared(), pass).await?;
    source.steps(pass).await
}

/// Returns when the pass is to be cut short: the process stops, or the object is no longer what the pass works on. A
/// request to reconcile is no reason: it would start a long fetch over and over.
fn ending<S: Source>(
    source: &S,
    object: &S::Object,
    interrupt: ferro_runtime::reconcile::Interrupt,
) -> impl Future<Output = Outcome> + Send + use<S> {
    let (stop, store) = (source.shared().stop.clone(), source.store().clone());
    let key = ObjectRef::from_obj(object);
    let generation = object.meta().generation;
    async move {
        let mut fires = interrupt.fires();
        let is_other =
            |now: &S::Object| now.meta().generation != generation || now.meta().deletion_timestamp.is_some();
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

/// Marks the condition of a failure, reports it and says when to try again.
fn fail<K: SourceObject>(pass: &mut Pass<K>, failure: Failure) -> Outcome {
    failure.mark(&mut pass.object);
    let Failure {
        class,
        reason,
        message,
        ..
    } = failure;
    let none = std::collections::BTreeMap::new;
    match class {
        Class::Stalling => {
            pass.event(Severity::Error, reason, &message, none());
            ferro_runtime::conditions::mark_stalled(&mut pass.object, reason, &message);
            Outcome::Stalled { error: message }
        }
        Class::Waiting(after) => {
            tracing::info!(reason, "{message}");
            pass.event(Severity::Trace, reason, &message, none());
            Outcome::Wait(after)
        }
        Class::Retried => {
            pass.event(Severity::Error, reason, &message, none());
            Outcome::Backoff { error: message }
        }
        Class::Plain => Outcome::Backoff { error: message },
    }
}

/// Removes what a deleted object stored.
///
/// # Errors
/// When the storage fails; it is tried again.
pub(crate) async fn finalize<S: Source>(source: &S, pass: &Pass<S::Object>) -> Result<(), String> {
    let removed = forget(source.shared(), &pass.object).await;
    match removed {
        Ok(false) => Ok(()),
        Ok(true) => {
            let message = "garbage collected artifacts for deleted resource";
            tracing::info!("{message}");
            let metadata = std::collections::BTreeMap::new();
            pass.event(
                Severity::Trace,
                reason::GARBAGE_COLLECTION_SUCCEEDED,
                message,
                metadata,
            );
            Ok(())
        }
        Err(failure) => {
            let metadata = std::collections::BTreeMap::new();
            pass.event(Severity::Error, failure.reason, &failure.message, metadata);
            Err(failure.message)
        }
    }
}

/// `namespace/name`, as messages name objects of the same namespace.
pub(crate) fn namespaced<K: FluxObject>(object: &K, name: &str) -> String {
    format!(
        "{}/{name}",
        object.meta().namespace.as_deref().unwrap_or_default()
    )
}
