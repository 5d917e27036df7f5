//! When to repair an object that drifts again and again, because another writer wants something else.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::object::ObjectId;

/// Repairs that are made at once.
const FREE: u32 = 3;
/// The first wait after them; doubles with each repair.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);
/// An object that was quiet for so long starts afresh.
const QUIET: Duration = Duration::from_secs(600);

/// Whether to repair now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At once.
    Now,
    /// Later: somebody contends for the object, which has been repaired `repairs` times.
    After {
        /// For how long.
        wait: Duration,
        /// How often it was repaired.
        repairs: u32,
    },
}

#[derive(Debug)]
struct Fight {
    repairs: u32,
    /// It has drifted, and was not written since.
    drifted: bool,
    last: Instant,
}

/// Repairs of each object, forgotten when it is quiet.
#[derive(Debug, Default)]
pub struct Contention(HashMap<ObjectId, Fight>);

impl Contention {
    /// Notes that `object` drifted at `now`, and says when to see about it. Whether that takes a repair shows only then.
    pub fn drifted(&mut self, object: &ObjectId, now: Instant) -> Verdict {
        self.0
            .retain(|_, fight| now.saturating_duration_since(fight.last) < QUIET);
        let fight = self.0.entry(object.clone()).or_insert(Fight {
            repairs: 0,
            drifted: true,
            last: now,
        });
        fight.drifted = true;
        let next = fight.repairs.saturating_add(1);
        let extra = next.saturating_sub(FREE);
        let wait = match extra {
            0 => Duration::ZERO,
            n => FIRST.saturating_mul(2_u32.saturating_pow(n - 1)).min(LONGEST),
        };
        fight.last = now + wait;
        if wait.is_zero() {
            Verdict::Now
        } else {
            Verdict::After {
                wait,
                repairs: fight.repairs,
            }
        }
    }

    /// Counts a write of `object` if it had drifted, and says whether it had.
    pub fn repaired(&mut self, object: &ObjectId) -> bool {
        let Some(fight) = self.0.get_mut(object).filter(|fight| fight.drifted) else {
            return false;
        };
        fight.drifted = false;
        fight.repairs = fight.repairs.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drifted_waits_longer_and_longer_until_it_is_quiet() {
        let (mut contention, object, now) = (Contention::default(), ObjectId::default(), Instant::now());
        let fight = |contention: &mut Contention| {
            let verdict = contention.drifted(&object, now);
            assert!(contention.repaired(&object));
            verdict
        };
        let waits: Vec<_> = (0..6).map(|_| fight(&mut contention)).collect();
        let after = |seconds, repairs| Verdict::After {
            wait: Duration::from_secs(seconds),
            repairs,
        };
        assert_eq!(
            waits,
            [
                Verdict::Now,
                Verdict::Now,
                Verdict::Now,
                after(1, 3),
                after(2, 4),
                after(4, 5)
            ]
        );
        for _ in 0..20 {
            fight(&mut contention);
        }
        assert_eq!(contention.drifted(&object, now), after(300, 26));
        assert_eq!(
            contention.drifted(&object, now + Duration::from_secs(1000)),
            Verdict::Now
        );
    }

    #[tokio::test]
    async fn drift_that_nothing_had_to_be_done_about_is_no_fight() {
        let (mut contention, object, now) = (Contention::default(), ObjectId::default(), Instant::now());
        assert!(!contention.repaired(&object));
        for _ in 0..10 {
            assert_eq!(contention.drifted(&object, now), Verdict::Now);
        }
        assert!(contention.repaired(&object) && !contention.repaired(&object));
    }
}
