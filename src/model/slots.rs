//! Arrays of any length as lists: serde itself knows those of up to 32 places.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Writes every place.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Serialize, S: Serializer, const N: usize>(
    slots: &[T; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(slots)
}

/// Reads as many places as there are.
///
/// # Errors
/// When there are more or fewer.
pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[T; N], D::Error> {
    let read = Vec::deserialize(deserializer)?;
    let count = read.len();
    read.try_into().map_err(|_| D::Error::invalid_length(count, &"as many places as there are"))
}
