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
#[cfg(test)]
pub(crate) mod testing;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ferro_api::{FluxObject, reason};
use ferro_artifact::storage::Storage;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass};
use kube::Client;
use kube::runtime::reflector::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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
        ferro_runtime::workers::off_thread(&self.workers, work)
            .await
            .ok_or_else(|| Failure::plain("the worker thread was lost".to_owned()))
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
    let ending = ferro_runtime::reconcile::ending(
        &source.shared().stop,
        source.store(),
        &pass.object,
        &pass.interrupt,
    );
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
    ferro_runtime::conditions::keep_times(&mut pass.object, &before.conditions);
    outcome
}

async fn checked_steps<S: Source>(source: &S, pass: &mut Pass<S::Object>) -> Result<Settled, Failure> {
    storage::check(source.shared(), pass).await?;
    source.steps(pass).await
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
