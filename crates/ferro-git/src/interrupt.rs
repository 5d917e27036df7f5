//! Cancellation and deadline of one operation, for code that blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// Bytes that a remote may send before and beside packs: half a million refs.
const MAX_TALK: u64 = 64 << 20;
/// How long to wait for something that gives no notice.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// How long an operation may take and how it is called off.
#[derive(Debug, Clone)]
pub struct Context {
    /// Ends the operation when it is cancelled.
    pub cancel: CancellationToken,
    /// Ends the operation when it has passed.
    pub deadline: Instant,
}

impl Context {
    /// An operation that may take `timeout` from now on.
    pub fn with_timeout(timeout: std::time::Duration) -> Self {
        Self {
            cancel: CancellationToken::new(),
            deadline: Instant::now() + timeout,
        }
    }
}

/// A [`Context`] at work: asynchronous steps are raced against it, and `flag` rises for code that polls.
#[derive(Debug)]
pub(crate) struct Interrupt {
    context: Context,
    runtime: Handle,
    flag: Arc<AtomicBool>,
    /// Bytes that may still arrive.
    allowance: AtomicU64,
    watcher: JoinHandle<()>,
}

impl Interrupt {
    /// Must be called on a thread that belongs to a runtime.
    pub(crate) fn new(context: Context) -> Arc<Self> {
        let runtime = Handle::current();
        let flag = Arc::new(AtomicBool::new(false));
        let (raised, watched) = (flag.clone(), context.clone());
        let watcher = runtime.spawn(async move {
            tokio::select! {
                () = watched.cancel.cancelled() => {}
                () = tokio::time::sleep_until(watched.deadline) => {}
            }
            raised.store(true, Ordering::Relaxed);
        });
        Arc::new(Self {
            context,
            runtime,
            flag,
            allowance: AtomicU64::new(MAX_TALK),
            watcher,
        })
    }

    /// Runs a step to its end, or stops it at cancellation or deadline. Blocks the thread.
    pub(crate) fn block_on<T>(&self, step: impl Future<Output = T>) -> Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.context.cancel.cancelled() => Err(Error::Cancelled),
                () = tokio::time::sleep_until(self.context.deadline) => Err(Error::Timeout),
                value = step => Ok(value),
            }
        })
    }

    /// The error if the operation has been ended.
    pub(crate) fn check(&self) -> Result<()> {
        if self.context.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if Instant::now() >= self.context.deadline {
            return Err(Error::Timeout);
        }
        Ok(())
    }

    /// Lets a pack of at most `bytes` in.
    pub(crate) fn allow(&self, bytes: u64) {
        self.allowance.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what has arrived; a remote that does not stop talking is an error, since refs are held in memory.
    pub(crate) fn received(&self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        let left = self.allowance.load(Ordering::Relaxed);
        // Only the thread of the operation reads.
        self.allowance
            .store(left.saturating_sub(bytes), Ordering::Relaxed);
        if bytes > left {
            return Err(Error::UnexpectedAnswer {
                reason: format!("more than {MAX_TALK} bytes of refs and messages"),
            });
        }
        Ok(())
    }

    /// Waits a moment, unless the operation has been ended.
    pub(crate) fn pause(&self) -> Result<()> {
        self.block_on(tokio::time::sleep(PAUSE))
    }

    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.flag
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn received_beyond_the_allowance_is_an_error() {
        let interrupt = Interrupt::new(Context::with_timeout(std::time::Duration::from_secs(60)));
        let megabyte = 1 << 20;
        let talk = |megabytes: u64| (0..megabytes).try_for_each(|_| interrupt.received(megabyte));
        talk(64).unwrap();
        assert!(matches!(
            interrupt.received(1),
            Err(Error::UnexpectedAnswer { .. })
        ));
        interrupt.allow(3 << 20);
        talk(3).unwrap();
        assert!(talk(1).is_err());
    }
}
