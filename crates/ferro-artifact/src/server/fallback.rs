//! Where files come from that a server does not have: another replica's storage.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;

/// The request header of a replica, which is told what is there and nothing else.
pub const REPLICA: http::HeaderName = http::HeaderName::from_static("ferroflux-replica");

/// Knows how to come by files.
pub trait Fallback: Send + Sync {
    /// Tries to have the file at this path of the storage put there, within a time that a client waits; true if it may be there now.
    fn obtain<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, bool>;
}

/// Those who are asked for files that are not there, one after the other. Cheap to clone.
#[derive(Clone, Default)]
pub struct Fallbacks(Arc<RwLock<Vec<Arc<dyn Fallback>>>>);

impl Fallbacks {
    /// Asks this one, too, from now on.
    pub fn add(&self, fallback: Arc<dyn Fallback>) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fallback);
    }

    pub(super) async fn obtain(&self, path: &Path) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        for fallback in all {
            if fallback.obtain(path).await {
                return true;
            }
        }
        false
    }
}

impl fmt::Debug for Fallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_tuple("Fallbacks").field(&count).finish()
    }
}
