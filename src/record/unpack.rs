//! What a [`super::pack::Packer`] packed, as values again, from bytes that nobody may trust. Must not know what is unpacked.
//!
//! Nothing is believed of a shape: each length is held against what is left, and nesting ends at [`DEEPEST`].

use super::pack::token;
use super::pack::unzigzag;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use std::fmt;
use thiserror::Error;

/// No type that is recorded nests as deep; a shape that does was made up to exhaust the stack.
const DEEPEST: u8 = 64;

/// Why a section is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct UnpackError {
    why: String,
}

impl de::Error for UnpackError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self { why: why.to_string() }
    }
}

fn wrong(why: &str) -> UnpackError {
    UnpackError { why: why.to_owned() }
}

/// The value in a section.
///
/// # Errors
/// [`UnpackError`] when the section is damaged, or of another type.
pub fn unpack<T: DeserializeOwned>(shape: &[u8], numbers: &[u64]) -> Result<T, UnpackError> {
    let mut unpacker = Unpacker { shape, numbers, depth: 0 };
    let value = T::deserialize(&mut unpacker)?;
    if unpacker.shape.is_empty() && unpacker.numbers.is_empty() {
        Ok(value)
    } else {
        Err(wrong("something follows the value"))
    }
}

/// What is left of a section.
struct Unpacker<'de> {
    shape: &'de [u8],
    numbers: &'de [u64],
    depth: u8,
}

impl<'de> Unpacker<'de> {
    fn peek(&self) -> Option<u8> {
        self.shape.first().copied()
    }

    fn next(&mut self) -> Result<u8, UnpackError> {
        let (first, rest) = self.shape.split_first().ok_or_else(|| wrong("the shape is cut"))?;
        self.shape = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, UnpackError> {
        let (first, rest) =
            self.numbers.split_first().ok_or_else(|| wrong("numbers are missing"))?;
        self.numbers = rest;
        Ok(*first)
    }

    fn text(&mut self) -> Result<&'de str, UnpackError> {
        let cut = || wrong("a text is cut");
        let (length, rest) = self.shape.split_first_chunk().ok_or_else(cut)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut())?;
        let (text, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        self.shape = rest;
        std::str::from_utf8(text).map_err(|_| wrong("a text is not UTF-8"))
    }

    /// Reads what nests, up to and with its end.
    fn nested<T>(
        &mut self,
        end: u8,
        read: impl FnOnce(&mut Self) -> Result<T, UnpackError>,
    ) -> Result<T, UnpackError> {
        if self.depth == DEEPEST {
            return Err(wrong("it nests too deep"));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        if self.next()? == end { Ok(value) } else { Err(wrong("there is more than was expected")) }
    }
}

impl<'de> de::Deserializer<'de> for &mut Unpacker<'de> {
    type Error = UnpackError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UnpackError> {
        match self.next()? {
            token::NONE => visitor.visit_none(),
            token::SOME => {
                if self.depth == DEEPEST {
                    return Err(wrong("it nests too deep"));
                }
                self.depth += 1;
                let value = visitor.visit_some(&mut *self)?;
                self.depth -= 1;
                Ok(value)
            }
            token::UNIT => visitor.visit_unit(),
            token::BOOL => visitor.visit_bool(self.number()? != 0),
            token::UNSIGNED => visitor.visit_u64(self.number()?),
            token::SIGNED => visitor.visit_i64(unzigzag(self.number()?)),
            token::FLOAT => visitor.visit_f64(f64::from_bits(self.number()?)),
            token::TEXT => visitor.visit_borrowed_str(self.text()?),
            token::LIST => self.nested(token::END_OF_LIST, |list| {
                visitor.visit_seq(Parts { of: list, end: token::END_OF_LIST })
            }),
            token::MAP => self.nested(token::END_OF_MAP, |map| {
                visitor.visit_map(Parts { of: map, end: token::END_OF_MAP })
            }),
            _ => Err(wrong("the shape is damaged")),
        }
    }

    /// A value that is there is as good as one that may be missing.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UnpackError> {
        match self.peek() {
            Some(token::NONE | token::SOME) => self.deserialize_any(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, UnpackError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, UnpackError> {
        match self.next()? {
            token::TEXT => visitor.visit_enum(self.text()?.into_deserializer()),
            token::MAP => {
                self.nested(token::END_OF_MAP, |map| visitor.visit_enum(Variant { of: map }))
            }
            _ => Err(wrong("it is no variant")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// The rest of a list or a map.
struct Parts<'a, 'de> {
    of: &'a mut Unpacker<'de>,
    end: u8,
}

impl<'de> Parts<'_, 'de> {
    fn part<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, UnpackError> {
        if self.of.peek() == Some(self.end) {
            return Ok(None);
        }
        seed.deserialize(&mut *self.of).map(Some)
    }
}

impl<'de> de::SeqAccess<'de> for Parts<'_, 'de> {
    type Error = UnpackError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, UnpackError> {
        self.part(seed)
    }
}

impl<'de> de::MapAccess<'de> for Parts<'_, 'de> {
    type Error = UnpackError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, UnpackError> {
        self.part(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, UnpackError> {
        seed.deserialize(&mut *self.of)
    }
}

/// A variant with what it holds.
struct Variant<'a, 'de> {
    of: &'a mut Unpacker<'de>,
}

impl<'a, 'de> de::EnumAccess<'de> for Variant<'a, 'de> {
    type Error = UnpackError;
    type Variant = Held<'a, 'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), UnpackError> {
        let variant = seed.deserialize(&mut *self.of)?;
        Ok((variant, Held { of: self.of }))
    }
}

/// What a variant holds.
struct Held<'a, 'de> {
    of: &'a mut Unpacker<'de>,
}

impl<'de> de::VariantAccess<'de> for Held<'_, 'de> {
    type Error = UnpackError;

    fn unit_variant(self) -> Result<(), UnpackError> {
        de::Deserialize::deserialize(self.of)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, UnpackError> {
        seed.deserialize(self.of)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, UnpackError> {
        de::Deserializer::deserialize_any(self.of, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, UnpackError> {
        de::Deserializer::deserialize_any(self.of, visitor)
    }
}
