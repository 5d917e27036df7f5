//! The time and randomness of this machine.

use std::io::Read;
use std::time::SystemTime;

use ferro_gocompat::time::Time;

/// The system.
pub(crate) struct System;

impl ferro_sprig::Environment for System {
    fn now(&self) -> Time {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Time::from_unix(seconds, i64::from(since.subsec_nanos()))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let source = std::fs::File::open("/dev/urandom");
        source
            .and_then(|mut source| source.read_exact(bytes))
            .expect("a system has randomness");
    }
}
