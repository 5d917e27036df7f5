//! Waiting for an object.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use futures::StreamExt as _;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::explain;
use crate::object::ObjectExt as _;

/// Time between two looks where watching is not allowed.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Watches an object until a check succeeds or fails, or the time is over.
///
/// # Errors
///
/// Returns the error of the check, that of the API server if it refuses, and what is known of the object
/// when the time is over.
pub async fn until<T>(
    api: &Api<DynamicObject>,
    name: &str,
    deadline: Instant,
    mut check: impl FnMut(&DynamicObject) -> Result<Option<T>>,
) -> Result<T> {
    let mut seen = Seen::default();
    let found = timeout_at(deadline, watch(api, name, &mut seen, &mut check)).await;
    found.unwrap_or_else(|_| {
        let ready = seen.object.as_ref().and_then(|object| object.ready());
        match (seen.trouble, ready) {
            (Some(trouble), _) => Err(explain(trouble).context("context deadline exceeded")),
            (None, Some(ready)) if ready.status != "True" => {
                bail!("context deadline exceeded: {}", ready.message)
            }
            _ => bail!("context deadline exceeded"),
        }
    })
}

/// What a wait has seen so far.
#[derive(Default)]
struct Seen {
    object: Option<DynamicObject>,
    /// Why nothing newer is known, where the API server cannot be watched just now.
    trouble: Option<kube::Error>,
}

async fn watch<T>(
    api: &Api<DynamicObject>,
    name: &str,
    seen: &mut Seen,
    check: &mut impl FnMut(&DynamicObject) -> Result<Option<T>>,
) -> Result<T> {
    let mut objects = pin!(watcher::watch_object(api.clone(), name).default_backoff());
    while let Some(event) = objects.next().await {
        match event {
            Ok(Some(object)) => {
                let result = check(&object)?;
                seen.object = Some(object);
                seen.trouble = None;
                if let Some(result) = result {
                    return Ok(result);
                }
            }
            Ok(None) => bail!("object '{name}' not found"),
            Err(error) => match answer(error) {
                Some(kube::Error::Api(status)) if status.code == 403 => {
                    return poll(api, name, seen, check).await;
                }
                Some(error @ kube::Error::Api(_)) if is_final(&error) => return Err(explain(error)),
                // The watch is taken up again by itself.
                Some(error) => seen.trouble = Some(error),
                None => {}
            },
        }
    }
    Err(anyhow!("the watch of '{name}' has ended"))
}

/// Reports whether asking again cannot help: the credentials are not accepted.
fn is_final(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 401)
}

/// What the API server said, or why it did not, when a watch failed.
fn answer(error: watcher::Error) -> Option<kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(status) => Some(kube::Error::Api(status)),
        watcher::Error::NoResourceVersion => None,
    }
}

async fn poll<T>(
    api: &Api<DynamicObject>,
    name: &str,
    seen: &mut Seen,
    check: &mut impl FnMut(&DynamicObject) -> Result<Option<T>>,
) -> Result<T> {
    loop {
        let object = api.get(name).await.map_err(explain)?;
        let result = check(&object)?;
        seen.object = Some(object);
        if let Some(result) = result {
            return Ok(result);
        }
        sleep(POLL_INTERVAL).await;
    }
}
