//! Values as sections: what they look like and the numbers in them, apart. Must not know what is packed.
//!
//! **Problem.** Two looks at a host differ in a few hundred numbers out of thousands, and nothing else. A text of each is a hundred times
//! what is new in it, and what is new has to be found again in both.
//!
//! **Approach.** A [`Packer`] is a serde serializer that writes a value's *shape* (names, words and how they nest) to one buffer and its
//! *numbers* to another. Of two sections of one shape only the numbers differ, place by place. The shape describes itself, so that
//! another version reads what it knows and goes past the rest ([`super::unpack`]).
//!
//! **Properties**, each a test in `record/tests`: what is packed is unpacked equal; a packer that has grown asks for no memory.

use serde::ser::{self, Serialize};
use std::fmt::{self, Write as _};
use thiserror::Error;

/// What stands in a shape before each part of a value.
pub(super) mod token {
    pub(crate) const NONE: u8 = b'-';
    pub(crate) const SOME: u8 = b'+';
    pub(crate) const UNIT: u8 = b'0';
    pub(crate) const BOOL: u8 = b'b';
    pub(crate) const UNSIGNED: u8 = b'u';
    pub(crate) const SIGNED: u8 = b'i';
    pub(crate) const FLOAT: u8 = b'f';
    /// Length in four bytes, then the text.
    pub(crate) const TEXT: u8 = b's';
    pub(crate) const LIST: u8 = b'[';
    pub(crate) const END_OF_LIST: u8 = b']';
    pub(crate) const MAP: u8 = b'{';
    pub(crate) const END_OF_MAP: u8 = b'}';
}

/// Why a value cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot be recorded: {why}")]
pub struct PackError {
    why: String,
}

impl ser::Error for PackError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self { why: why.to_string() }
    }
}

/// Where one section begins, and what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    kind: u8,
    shape: usize,
    number: usize,
}

/// Sections one after the other, in buffers that are used again.
#[derive(Debug, Default)]
pub struct Packer {
    shape: Vec<u8>,
    numbers: Vec<u64>,
    starts: Vec<Start>,
}

/// One section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// Of what kind it is: sections of one kind stand together, in an order that is theirs.
    pub kind: u8,
    /// Names, words and how they nest.
    pub shape: &'a [u8],
    /// The numbers, in the order of their places in the shape.
    pub numbers: &'a [u64],
}

impl Packer {
    /// Forgets all sections and keeps the buffers.
    pub fn clear(&mut self) {
        self.shape.clear();
        self.numbers.clear();
        self.starts.clear();
    }

    /// Adds a section.
    ///
    /// # Errors
    /// [`PackError`] for numbers above 64 bits; the section is then left out.
    pub fn section<T: Serialize + ?Sized>(&mut self, kind: u8, value: &T) -> Result<(), PackError> {
        let start = Start { kind, shape: self.shape.len(), number: self.numbers.len() };
        self.starts.push(start);
        value.serialize(&mut *self).inspect_err(|_| {
            self.starts.pop();
            self.shape.truncate(start.shape);
            self.numbers.truncate(start.number);
        })
    }

    /// All sections, in the order in which they were added.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.starts.iter().enumerate().map(|(place, start)| {
            let next = self.starts.get(place + 1);
            let shape_end = next.map_or(self.shape.len(), |next| next.shape);
            let number_end = next.map_or(self.numbers.len(), |next| next.number);
            Section {
                kind: start.kind,
                shape: self.shape.get(start.shape..shape_end).unwrap_or_default(),
                numbers: self.numbers.get(start.number..number_end).unwrap_or_default(),
            }
        })
    }

    fn number(&mut self, token: u8, number: u64) {
        self.shape.push(token);
        self.numbers.push(number);
    }

    /// A text whose length is known only when it is written.
    fn text(&mut self, write: impl FnOnce(&mut Vec<u8>) -> fmt::Result) -> Result<(), PackError> {
        self.shape.push(token::TEXT);
        let length_at = self.shape.len();
        self.shape.extend_from_slice(&[0; 4]);
        write(&mut self.shape).map_err(ser::Error::custom)?;
        let length = self.shape.len() - length_at - 4;
        let length = u32::try_from(length).map_err(ser::Error::custom)?;
        if let Some(place) = self.shape.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }

    fn variant(&mut self, variant: &'static str) -> Result<(), PackError> {
        self.shape.push(token::MAP);
        ser::Serializer::serialize_str(self, variant)
    }
}

/// Writes what is displayed to the end of a buffer.
struct Tail<'a>(&'a mut Vec<u8>);

impl fmt::Write for Tail<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A signed number so that small ones, above and below zero, are small.
pub(super) const fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

/// The number that [`zigzag`] made this of.
pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// A list, map, or what else has parts, that is being packed.
#[derive(Debug)]
pub struct Parts<'a> {
    packer: &'a mut Packer,
    end: &'static [u8],
}

impl Parts<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PackError> {
        value.serialize(&mut *self.packer)
    }

    fn end(self) {
        self.packer.shape.extend_from_slice(self.end);
    }
}

const LIST: &[u8] = &[token::END_OF_LIST];
const MAP: &[u8] = &[token::END_OF_MAP];
const LIST_IN_MAP: &[u8] = &[token::END_OF_LIST, token::END_OF_MAP];
const MAP_IN_MAP: &[u8] = &[token::END_OF_MAP, token::END_OF_MAP];

impl<'a> ser::Serializer for &'a mut Packer {
    type Ok = ();
    type Error = PackError;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), PackError> {
        self.number(token::BOOL, u64::from(value));
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), PackError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i16(self, value: i16) -> Result<(), PackError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i32(self, value: i32) -> Result<(), PackError> {
        self.serialize_i64(i64::from(value))
    }

    fn serialize_i64(self, value: i64) -> Result<(), PackError> {
        self.number(token::SIGNED, zigzag(value));
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), PackError> {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u16(self, value: u16) -> Result<(), PackError> {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u32(self, value: u32) -> Result<(), PackError> {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_u64(self, value: u64) -> Result<(), PackError> {
        self.number(token::UNSIGNED, value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), PackError> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), PackError> {
        self.number(token::FLOAT, value.to_bits());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), PackError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), PackError> {
        self.text(|shape| Tail(shape).write_str(value))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), PackError> {
        self.text(|shape| write!(Tail(shape), "{value}"))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), PackError> {
        let mut list = self.serialize_seq(Some(value.len()))?;
        value.iter().try_for_each(|byte| list.part(byte))?;
        list.end();
        Ok(())
    }

    fn serialize_none(self) -> Result<(), PackError> {
        self.shape.push(token::NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), PackError> {
        self.shape.push(token::SOME);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), PackError> {
        self.shape.push(token::UNIT);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), PackError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), PackError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), PackError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), PackError> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.shape.push(token::END_OF_MAP);
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, PackError> {
        self.shape.push(token::LIST);
        Ok(Parts { packer: self, end: LIST })
    }

    fn serialize_tuple(self, length: usize) -> Result<Parts<'a>, PackError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<Parts<'a>, PackError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, PackError> {
        self.variant(variant)?;
        self.shape.push(token::LIST);
        Ok(Parts { packer: self, end: LIST_IN_MAP })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, PackError> {
        self.shape.push(token::MAP);
        Ok(Parts { packer: self, end: MAP })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, PackError> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, PackError> {
        self.variant(variant)?;
        self.shape.push(token::MAP);
        Ok(Parts { packer: self, end: MAP_IN_MAP })
    }
}

impl ser::SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PackError> {
        self.part(value)
    }

    fn end(self) -> Result<(), PackError> {
        Parts::end(self);
        Ok(())
    }
}

impl ser::SerializeTuple for Parts<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PackError> {
        self.part(value)
    }

    fn end(self) -> Result<(), PackError> {
        Parts::end(self);
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Parts<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PackError> {
        self.part(value)
    }

    fn end(self) -> Result<(), PackError> {
        Parts::end(self);
        Ok(())
    }
}

impl ser::SerializeTupleVariant for Parts<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PackError> {
        self.part(value)
    }

    fn end(self) -> Result<(), PackError> {
        Parts::end(self);
        Ok(())
    }
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), PackError> {
        self.part(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PackError> {
        self.part(value)
    }

    fn end(self) -> Result<(), PackError> {
        Parts::end(self);
        Ok(())
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), PackError> {
        self.part(key)?;
        self.part(value)
    }

    fn end(self) -> Result<(), PackError> {
        Parts::end(self);
        Ok(())
    }
}

impl ser::SerializeStructVariant for Parts<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), PackError> {
        self.part(key)?;
        self.part(value)
    }

    fn end(self) -> Result<(), PackError> {
        Parts::end(self);
        Ok(())
    }
}
