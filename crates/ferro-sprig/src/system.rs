//! The machine as charts may see it.

use std::io::Read;
use std::time::SystemTime;

use ferro_gocompat::time::Time;

use crate::Environment;

/// The time and the randomness of this machine, and nothing else of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Environment for System {
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
            // Keys that anybody can guess would be worse than none.
            .expect("a system has randomness");
    }
}
