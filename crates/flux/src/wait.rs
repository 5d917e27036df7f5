//! Waiting for an object.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use futures::StreamExt as _;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::{sleep, timeout};

use crate::cluster::explain;
use crate::object::ObjectExt as _;

/// Time between two looks where watching is not allowed.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Watches an object until a check succeeds or fails, for a limited time.
///
/// # Errors
///
/// Returns the error of the check, that of the API server if it refuses, and what is known of the object
/// when the time is over.
pub async fn until<T>(
    api: &Api<DynamicObject>,
    name: &str,
    limit: Duration,
    mut check: impl FnMut(&DynamicObject) -> Result<Option<T>>,
) -> Result<T> {
    let mut last = None;
    let found = timeout(limit, watch(api, name, &mut last, &mut check)).await;
    found.unwrap_or_else(|_| {
        let object: Option<DynamicObject> = last;
        match object.as_ref().and_then(|object| object.ready()) {
            Some(ready) if ready.status != "True" => bail!("context deadline exceeded: {}", ready.message),
            _ => bail!("context deadline exceeded"),
        }
    })
}

async fn watch<T>(
    api: &Api<DynamicObject>,
    name: &str,
    last: &mut Option<DynamicObject>,
    check: &mut impl FnMut(&DynamicObject) -> Result<Option<T>>,
) -> Result<T> {
    let mut objects = pin!(watcher::watch_object(api.clone(), name).default_backoff());
    while let Some(event) = objects.next().await {
        match event {
            Ok(Some(object)) => {
                let result = check(&object)?;
                *last = Some(object);
                if let Some(result) = result {
                    return Ok(result);
                }
            }
            Ok(None) => bail!("object '{name}' not found"),
            Err(error) if is_refused(&error) => return poll(api, name, last, check).await,
            // The watch is taken up again by itself.
            Err(_) => {}
        }
    }
    Err(anyhow!("the watch of '{name}' has ended"))
}

/// Reports whether the API server allows neither listing nor watching.
fn is_refused(error: &watcher::Error) -> bool {
    let api_error = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        watcher::Error::WatchError(status) => return status.code == 403,
        watcher::Error::NoResourceVersion => return false,
    };
    matches!(api_error, kube::Error::Api(status) if status.code == 403)
}

async fn poll<T>(
    api: &Api<DynamicObject>,
    name: &str,
    last: &mut Option<DynamicObject>,
    check: &mut impl FnMut(&DynamicObject) -> Result<Option<T>>,
) -> Result<T> {
    loop {
        let object = api.get(name).await.map_err(explain)?;
        let result = check(&object)?;
        *last = Some(object);
        if let Some(result) = result {
            return Ok(result);
        }
        sleep(POLL_INTERVAL).await;
    }
}
