//! A small source of random choices with a fixed seed.

/// A generator (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// Starts from a seed, and from the one in `FERRO_SEED` for other cases than usual.
    pub(crate) fn new(seed: u64) -> Self {
        let wished = std::env::var("FERRO_SEED").ok();
        let wished = wished.and_then(|seed| seed.parse::<u64>().ok()).unwrap_or(0);
        Self(seed ^ wished.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }
}
