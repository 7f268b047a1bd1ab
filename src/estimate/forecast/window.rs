//! The last numbers of a row, oldest first, and which of them has a given rank.

use super::packed;
use crate::units::Ppm;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::VecDeque;

/// The longest window: residuals where the quantile is high (two days).
pub(super) const LONGEST: usize = 576;

/// A row that forgets its oldest number when it is full. Room for all is taken with the first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::estimate) struct Window {
    numbers: VecDeque<f32>,
}

impl Window {
    /// Adds the newest; of more than `most` the oldest go.
    pub(in crate::estimate) fn push(&mut self, number: f32, most: usize) {
        let most = most.clamp(1, LONGEST);
        while self.len() >= most {
            self.numbers.pop_front();
        }
        self.numbers.reserve_exact(most - self.len());
        self.numbers.push_back(number);
    }

    pub(in crate::estimate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The newest, at most `count`, oldest first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = f32> {
        self.numbers.iter().skip(self.len().saturating_sub(count)).copied()
    }

    /// The greatest of the newest `count`; none where there are fewer.
    pub(super) fn most_of_last(&self, count: usize) -> Option<f32> {
        let last = self.numbers.iter().rev().take(count);
        (count > 0 && self.len() >= count).then(|| last.copied().fold(f32::MIN, f32::max))
    }

    /// The smallest; none where the window is empty.
    pub(in crate::estimate) fn least(&self) -> Option<f32> {
        self.numbers.iter().copied().reduce(f32::min)
    }

    /// The greatest; none where the window is empty.
    pub(in crate::estimate) fn most(&self) -> Option<f32> {
        self.most_of_last(self.len())
    }

    /// For each share the number of rank ⌈share · (n + 1)⌉, at most n: it covers the next number of an exchangeable row with that
    /// probability. None in an empty window.
    pub(super) fn ranks(&self, shares: [Ppm; 2]) -> Option<[f32; 2]> {
        let mut keys = [0_i32; LONGEST];
        let keys = keys.get_mut(..self.len())?;
        keys.iter_mut().zip(&self.numbers).for_each(|(place, number)| *place = key(*number));
        let [one, other] = shares.map(|share| place(share, self.len()));
        let (low, high) = (one?.min(other?), one?.max(other?));
        // What is above the lower of the two is little: to find the other in it costs next to nothing.
        let (_, at_low, above) = keys.select_nth_unstable(low);
        let at_low = *at_low;
        let at_high = match (high - low).checked_sub(1) {
            Some(further) if further < above.len() => *above.select_nth_unstable(further).1,
            Some(_) | None => at_low,
        };
        let (low_first, found) = (one <= other, [number(at_low), number(at_high)]);
        let [low, high] = found;
        Some(if low_first { [low, high] } else { [high, low] })
    }

    /// The smallest number that `share` of the weight lies at or below, where each older number weighs `keep` of the one after it.
    /// Looks at the newest 144 alone.
    pub(super) fn fading_rank(&self, share: f32, keep: f32) -> Option<f32> {
        let mut weighed = [(0_i32, 0.0_f32); 144];
        let (mut weight, mut total, mut count) = (1.0, 0.0, 0_usize);
        for (place, number) in weighed.iter_mut().zip(self.numbers.iter().rev()) {
            *place = (key(*number), weight);
            total += weight;
            weight *= keep;
            count += 1;
        }
        let weighed = weighed.get_mut(..count)?;
        weighed.sort_unstable_by_key(|(key, _)| *key);
        let mut below = 0.0;
        let found = weighed.iter().find(|(_, weight)| {
            below += weight;
            below >= share * total
        });
        found.or(weighed.last()).map(|(key, _)| number(*key))
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(in crate::estimate) fn heap(&self) -> usize {
        self.numbers.capacity() * size_of::<f32>()
    }
}

/// Where the number of rank ⌈share · (n + 1)⌉ stands among `count` in order; none where there are none.
fn place(share: Ppm, count: usize) -> Option<usize> {
    let most = u64::try_from(count).ok()?.checked_sub(1)?;
    let rank = (u64::from(share.get()) * (most + 2)).div_ceil(1_000_000);
    usize::try_from(rank.saturating_sub(1).min(most)).ok()
}

/// An integer that stands among others as the number does among numbers: integers are compared faster.
const fn key(number: f32) -> i32 {
    flipped(number.to_bits().cast_signed())
}

/// The number of a key.
const fn number(key: i32) -> f32 {
    f32::from_bits(flipped(key).cast_unsigned())
}

/// Numbers below zero are in falling order of their bits: all bits but the sign are turned round. Twice is as before.
const fn flipped(bits: i32) -> i32 {
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        packed::serialize(&self.numbers, serializer)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = packed::at_most(deserializer, LONGEST)?;
        Ok(Self { numbers: numbers.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(numbers: &[f32]) -> Window {
        let mut window = Window::default();
        numbers.iter().for_each(|number| window.push(*number, LONGEST));
        window
    }

    #[test]
    fn ranks_are_those_of_the_textbook() {
        let hundred = window(&(1..=99_u8).map(f32::from).collect::<Vec<_>>());
        let (half, most) = (Ppm::percent(50), Ppm::percent(95));
        assert_eq!(hundred.ranks([half, most]), Some([50.0, 95.0]));
        assert_eq!(hundred.ranks([most, half]), Some([95.0, 50.0]));
        let last = hundred.ranks([Ppm::WHOLE, Ppm::WHOLE]);
        assert_eq!(last, Some([99.0, 99.0]), "no rank above the last");
        assert_eq!(window(&[]).ranks([half, most]), None);
        assert_eq!(window(&[3.0]).ranks([half, most]), Some([3.0, 3.0]));
    }

    #[test]
    fn what_is_old_weighs_less() {
        let mut numbers = vec![100.0; 20];
        numbers.extend([1.0; 20]);
        assert_eq!(window(&numbers).fading_rank(0.5, 1.0), Some(1.0));
        assert_eq!(window(&numbers).fading_rank(0.6, 1.0), Some(100.0));
        assert_eq!(window(&numbers).fading_rank(0.8, 0.9), Some(1.0));
        assert_eq!(window(&[]).fading_rank(0.5, 0.9), None);
    }

    proptest! {
        #[test]
        fn a_rank_is_a_member_with_that_share_below(
            numbers in prop::collection::vec(-1e6_f32..1e6, 1..700), percent in 1_u32..100
        ) {
            let window = window(&numbers);
            prop_assert!(window.len() <= LONGEST);
            let kept = &numbers[numbers.len() - window.len()..];
            let mut sorted = kept.to_vec();
            sorted.sort_by(f32::total_cmp);
            let at = |percent: usize| {
                let rank = ((kept.len() + 1) * percent).div_ceil(100).clamp(1, kept.len());
                sorted[rank - 1]
            };
            let shares = [percent, 60].map(Ppm::percent);
            let expected = Some([at(percent as usize), at(60)]);
            prop_assert_eq!(window.ranks(shares), expected);
            prop_assert_eq!(window.most(), kept.iter().copied().reduce(f32::max));
        }
    }
}
