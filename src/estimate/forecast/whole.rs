//! Whole numbers from floats: what leaves the room is an integer, and no float can make it anything but one.

/// The greatest whole number that is not above `value`; 0 for what is below 0 or no number, and the greatest there is for what is beyond.
#[must_use]
pub fn whole(value: f64) -> u64 {
    // Bit by bit, from the highest: a cast would do the same in silence.
    (0..u64::BITS).rev().fold(0, |found, bit| {
        let next = found | 1 << bit;
        if next as f64 <= value { next } else { found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_amount_is_nothing() {
        for value in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 0.999] {
            assert_eq!(whole(value), 0, "{value}");
        }
        assert_eq!(whole(f64::INFINITY), u64::MAX);
    }

    proptest! {
        #[test]
        fn whole_numbers_stay_what_they_are(number in 0_u64..1 << 53, part in 0.0_f64..0.4) {
            prop_assert_eq!(whole(number as f64), number);
            prop_assert_eq!(whole((number >> 4) as f64 + part), number >> 4);
        }
    }
}
