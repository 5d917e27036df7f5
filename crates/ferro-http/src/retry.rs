//! When and how often a request is tried again.

use std::time::Duration;

use http::StatusCode;
use rand::RngExt;

/// Bounded exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often to try again after the first failure.
    pub retries: u32,
    /// The wait before the first repetition.
    pub min_wait: Duration,
    /// The longest wait.
    pub max_wait: Duration,
}

impl Default for Retry {
    /// Nine repetitions after 5 s up to 30 s, as Flux fetches artifacts.
    fn default() -> Self {
        Self {
            retries: 9,
            min_wait: Duration::from_secs(5),
            max_wait: Duration::from_secs(30),
        }
    }
}

impl Retry {
    /// One try only.
    pub const fn never() -> Self {
        Self {
            retries: 0,
            min_wait: Duration::ZERO,
            max_wait: Duration::ZERO,
        }
    }

    /// The wait before repetition `index`, counted from zero: doubled each time, at most `max_wait`, less
    /// up to a tenth, so that many clients do not come back at once.
    pub fn wait(&self, index: u32) -> Duration {
        let factor = 2_u32.checked_pow(index).unwrap_or(u32::MAX);
        let wait = self.min_wait.saturating_mul(factor).min(self.max_wait);
        wait.mul_f64(rand::rng().random_range(0.9..=1.0))
    }
}

/// Whether a response with this status may turn out otherwise soon.
pub(crate) fn is_transient_status(status: StatusCode) -> bool {
    let is_server_fault = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    is_server_fault || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_doubles_up_to_the_maximum() {
        let retry = Retry::default();
        for (index, seconds) in [(0, 5.0), (1, 10.0), (2, 20.0), (3, 30.0), (40, 30.0)] {
            let wait = retry.wait(index).as_secs_f64();
            assert!((seconds * 0.9..=seconds).contains(&wait), "{index}: {wait}");
        }
    }
}
