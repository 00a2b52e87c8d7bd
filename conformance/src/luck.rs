//! Choices out of a seed: the same seed, family and number give the same scenario, whatever else is generated.
//! Knows nothing of what is chosen.

use fastrand::Rng;

/// A source of choices.
pub(crate) struct Luck(Rng);

impl Luck {
    /// The choices of one scenario.
    pub(crate) fn new(seed: u64, family: &str, number: usize) -> Self {
        let text = format!("{seed}/{family}/{number}");
        // FNV-1a: any hash that never changes will do.
        Self(Rng::with_seed(text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))))
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of some.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// What is made, in `percent` of 100 cases.
    pub(crate) fn maybe<T>(&mut self, percent: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(percent).then(|| make(self))
    }

    /// Between none and `most` of what is made.
    pub(crate) fn upto<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// Some of some, in their order.
    pub(crate) fn some<T: Copy>(&mut self, percent: usize, of: &[T]) -> Vec<T> {
        of.iter().copied().filter(|_| self.chance(percent)).collect()
    }
}
