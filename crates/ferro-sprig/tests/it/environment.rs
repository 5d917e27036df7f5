//! An environment that always answers the same.

use std::sync::atomic::{AtomicU64, Ordering};

use ferro_gocompat::time::Time;
use ferro_sprig::Environment;

/// A clock that stands still, and pseudo-random bytes.
#[derive(Default)]
pub(crate) struct Fixed {
    pub(crate) state: AtomicU64,
    /// Bytes that come before the pseudo-random ones.
    pub(crate) prefix: std::sync::Mutex<Vec<u8>>,
    pub(crate) seconds: i64,
}

impl Environment for Fixed {
    fn now(&self) -> Time {
        Time::from_unix(self.seconds, 0)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let mut prefix = self.prefix.lock().unwrap();
        if prefix.len() >= bytes.len() {
            bytes.copy_from_slice(&prefix[..bytes.len()]);
            prefix.drain(..bytes.len());
            return;
        }
        for byte in bytes {
            let state = self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (mixed ^ mixed >> 31) as u8;
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/users/me".to_owned())
    }
}
