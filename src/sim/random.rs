//! Random numbers that are the same everywhere and for ever: SplitMix64, so that a scenario's seed names one run.

/// A generator. Two with the same seed give the same numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// A generator for one purpose: `stream` keeps the draws of two purposes apart.
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        Self { state: seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03) }
    }

    /// The next 64 bits (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
    pub(super) const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        match self.next().checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence() {
        // Reference values of splitmix64.c for the seed 1234567.
        let mut random = Random::new(1_234_567, 0);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_differ_and_bounds_hold() {
        let (mut one, mut other) = (Random::new(1, 1), Random::new(1, 2));
        assert_ne!(one.next(), other.next());
        assert!((0..1000).all(|_| one.below(10) < 10));
        assert_eq!(one.below(0), 0);
    }
}
