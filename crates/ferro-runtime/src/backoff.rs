//! How long to wait before the next reconcile: exponential after failures, jittered after successes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

/// Exponential backoff per object (`--min-retry-delay`, `--max-retry-delay`): kube's scheduler tells neither attempts nor
/// successes, so they are counted here.
#[derive(Debug)]
pub struct Backoff<K> {
    min: Duration,
    max: Duration,
    failures: Mutex<HashMap<K, u32>>,
}

impl<K: Eq + Hash> Backoff<K> {
    /// Waits from `min` to `max`, doubling.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            failures: Mutex::new(HashMap::new()),
        }
    }

    /// Counts a failure of `key` and returns the time to wait.
    pub fn failed(&self, key: K) -> Duration {
        let mut failures = self
            .failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = failures.entry(key).or_insert(0);
        let factor = 2_u32.checked_pow(*count).unwrap_or(u32::MAX);
        *count = count.saturating_add(1);
        self.min.saturating_mul(factor).min(self.max)
    }

    /// Forgets the failures of `key`: it succeeded, changed or is gone.
    pub fn reset(&self, key: &K) {
        self.failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(key);
    }
}

/// Shortens or lengthens `interval` at random by up to `percentage` percent, so that objects made together spread out.
#[must_use]
pub fn jittered(interval: Duration, percentage: u8) -> Duration {
    let share = f64::from(percentage) / 100.0;
    interval.mul_f64(1.0 + share * (2.0 * rand::random::<f64>() - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_doubles_up_to_the_maximum_until_reset() {
        let backoff = Backoff::new(Duration::from_millis(750), Duration::from_secs(900));
        let waits: Vec<_> = (0..3).map(|_| backoff.failed("a").as_millis()).collect();
        assert_eq!(waits, [750, 1500, 3000]);
        for _ in 0..60 {
            backoff.failed("a");
        }
        assert_eq!(backoff.failed("a"), Duration::from_secs(900));
        assert_eq!(backoff.failed("b"), Duration::from_millis(750));
        backoff.reset(&"a");
        assert_eq!(backoff.failed("a"), Duration::from_millis(750));
    }

    #[test]
    fn jittered_stays_within_the_percentage() {
        for _ in 0..1000 {
            let wait = jittered(Duration::from_secs(100), 5).as_secs_f64();
            assert!((95.0..=105.0).contains(&wait), "{wait}");
        }
        assert_eq!(jittered(Duration::from_secs(100), 0), Duration::from_secs(100));
    }
}
