//! Rows of numbers as short text, for the state that is kept over a restart: five characters for each number, whatever its size.
//!
//! JSON's own decimals would take more than twice the room, and lose bits. What is read back is checked: a number that is none, is
//! below or above all bounds, or a row longer than its place is refused, and the caller starts over.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Digits in base 85 that a number of 32 bits takes.
const DIGITS: usize = 5;
const BASE: u32 = 85;
/// The digit 0; the 84 after it are printable too.
const FIRST: u8 = b'(';
/// Stands for the backslash, which JSON would write as two.
const INSTEAD_OF_BACKSLASH: u8 = b'}';

/// Writes the numbers as one text.
pub(super) fn serialize<'a, S, I>(numbers: I, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    I: IntoIterator<Item = &'a f32>,
{
    serializer.serialize_str(&packed(numbers))
}

/// Reads a row of at most `most` numbers.
pub(super) fn at_most<'de, D: Deserializer<'de>>(
    deserializer: D,
    most: usize,
) -> Result<Vec<f32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let numbers = unpacked(&text).ok_or_else(|| {
        D::Error::custom("a row of numbers is damaged; remove the state, and learning starts over")
    })?;
    if numbers.len() > most {
        return Err(D::Error::custom(format!(
            "a row holds {} numbers and may hold {most}; remove the state, and learning starts over",
            numbers.len()
        )));
    }
    Ok(numbers)
}

fn packed<'a>(numbers: impl IntoIterator<Item = &'a f32>) -> String {
    let mut text = String::new();
    for number in numbers {
        let mut rest = number.to_bits();
        for _ in 0..DIGITS {
            text.push(char::from(written(rest % BASE)));
            rest /= BASE;
        }
    }
    text
}

fn written(digit: u32) -> u8 {
    let digit = u8::try_from(digit).unwrap_or(0);
    match FIRST.saturating_add(digit) {
        b'\\' => INSTEAD_OF_BACKSLASH,
        plain => plain,
    }
}

/// The numbers, all of them finite; none where the text is not of this form.
fn unpacked(text: &str) -> Option<Vec<f32>> {
    let digits = text.as_bytes().chunks(DIGITS);
    digits.map(number).collect()
}

fn number(digits: &[u8]) -> Option<f32> {
    if digits.len() != DIGITS {
        return None;
    }
    let bits = digits.iter().rev().try_fold(0_u32, |bits, character| {
        let plain = match *character {
            INSTEAD_OF_BACKSLASH => b'\\',
            b'\\' => return None,
            plain => plain,
        };
        let digit = u32::from(plain.checked_sub(FIRST)?);
        if digit >= BASE {
            return None;
        }
        bits.checked_mul(BASE)?.checked_add(digit)
    })?;
    Some(f32::from_bits(bits)).filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back_to_the_bit(numbers in prop::collection::vec(-1e30_f32..1e30, 0..40)) {
            let text = packed(&numbers);
            prop_assert_eq!(text.len(), numbers.len() * DIGITS);
            prop_assert!(!text.contains(['\\', '"']));
            let back = unpacked(&text).unwrap();
            let bits = |row: &[f32]| row.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&numbers));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            if let Some(numbers) = unpacked(&text) {
                prop_assert!(numbers.iter().all(|number| number.is_finite()));
                prop_assert_eq!(packed(&numbers), text);
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(unpacked(&packed(&[1.0, number])), None);
        }
        assert_eq!(unpacked("(((("), None, "cut short");
    }
}
