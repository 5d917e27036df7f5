//! What functions need from outside.

use ferro_gocompat::time::Time;

/// The clock, the randomness and the look-ups of whoever renders.
pub trait Environment: Send + Sync {
    /// Returns the time, in UTC.
    fn now(&self) -> Time;

    /// Fills bytes with randomness that is fit for keys.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Returns the addresses of a host, or `None` when look-ups are off, as they are by default.
    fn resolve_host(&self, name: &str) -> Option<Vec<String>> {
        let _ = name;
        None
    }

    /// Returns an environment variable. Charts never see them; there are none by default.
    fn variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}
