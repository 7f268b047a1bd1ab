//! What an administrator may write for a size, an amount of CPU or a duration, and what is wrong when it is none.

use thiserror::Error;

/// Why a text is not the quantity that was asked for. The message fits "failed to read …: {error}".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// Nothing but white space.
    #[error("the value is empty; write {expected}")]
    Empty {
        /// The forms that are accepted.
        expected: &'static str,
    },
    /// Digits are missing, or something follows that is no unit.
    #[error("\"{text}\" is not {what}; write {expected}")]
    Malformed {
        /// The text as written.
        text: String,
        /// The kind of quantity.
        what: &'static str,
        /// The forms that are accepted.
        expected: &'static str,
    },
    /// The number does not fit.
    #[error("\"{text}\" is out of range; {range}")]
    OutOfRange {
        /// The text as written.
        text: String,
        /// The range that is accepted, as a clause.
        range: &'static str,
    },
}

/// A decimal number split from its unit: `"1.5G"` is 1 and 500 000 millionths, followed by `"G"`.
pub(crate) struct Decimal<'a> {
    /// The number in millionths, so that fractions stay exact integers.
    pub(crate) millionths: u128,
    /// What follows the digits, without white space around it.
    pub(crate) unit: &'a str,
}

/// Splits `text` into number and unit; `None` when it does not start with a digit, has more than six decimals, or more than
/// twenty digits before the point: as many as the most bytes have.
pub(crate) fn split_decimal(text: &str) -> Option<Decimal<'_>> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let dangling_point = number.contains('.') && fraction.is_empty();
    if whole.is_empty() || whole.len() > 20 || fraction.len() > 6 || dangling_point {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let fraction: u128 = format!("{fraction:0<6}").parse().ok()?;
    Some(Decimal { millionths: whole * 1_000_000 + fraction, unit: unit.trim() })
}
