//! Our own transports behind gitoxide's protocol code.

pub(crate) mod dial;
pub(crate) mod http;
pub(crate) mod listing;
pub(crate) mod ssh;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// How we present ourselves in the protocol.
pub(crate) fn agent() -> String {
    gix_protocol::agent(concat!("ferroflux-", env!("CARGO_PKG_VERSION")))
}

/// Where a transport leaves its typed error, as it cannot travel through the protocol code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// Keeps the first error and returns one for the caller to pass on.
    pub(crate) fn record(&self, error: Error) -> io::Error {
        let text = error.to_string();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        io::Error::other(text)
    }

    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
