//! Numbers drawn by lot from a seed: the same seed gives the same numbers on every machine.

use std::cell::Cell;

/// A sequence of numbers drawn by lot (SplitMix64).
#[derive(Debug)]
pub struct Random(Cell<u64>);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        let random = Random(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        random.next();
        random
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mixed = (self.0.get() ^ (self.0.get() >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence_and_another_seed_another_one() {
        let draw = |seed| {
            let random = Random::new(seed);
            (0..8).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
