//! Threads for work that blocks, at most so many at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Runs `work` on a thread of its own, once there is a permit for it. When the returned future is dropped, the token that `work` got is
/// cancelled; the permit is given back when the thread has really ended. None if `work` panicked.
pub async fn off_thread<T: Send + 'static>(
    workers: &Arc<Semaphore>,
    work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
) -> Option<T> {
    let permit = Arc::clone(workers).acquire_owned().await.ok()?;
    let cancel = CancellationToken::new();
    let _cancelled_with_the_caller: DropGuard = cancel.clone().drop_guard();
    let running = tokio::task::spawn_blocking(move || {
        let result = work(&cancel);
        drop(permit);
        result
    });
    running.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn off_thread_gives_the_permit_back_and_survives_a_panic() {
        let workers = Arc::new(Semaphore::new(1));
        assert_eq!(
            off_thread(&workers, |cancel| cancel.is_cancelled()).await,
            Some(false)
        );
        assert_eq!(off_thread(&workers, |_| -> u8 { panic!("lost") }).await, None);
        assert_eq!(workers.available_permits(), 1);
    }
}
