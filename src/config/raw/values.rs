//! What may stand behind a key: texts with a meaning, and the forms in which one thing may be written.

use super::OwnCpus;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident, $title:literal, $example:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
        #[schemars(title = $title, example = $example)]
        pub(in crate::config) struct $name(pub(in crate::config) String);
    )+};
}

texts! {
    /// Cores such as "1.5" or "1500m", or a percentage of the host's online CPUs such as "25%".
    CpuAmount, "an amount of CPU", "1.5";
    /// A size, base 1024, such as "512M" or "2GiB", or a percentage of the host's memory such as "25%".
    Size, "a size", "512M";
    /// A percentage such as "85%" or "97.5%".
    Percent, "a percentage", "85%";
    /// A duration such as "500ms", "10s" or "1m30s".
    Duration, "a duration", "10s";
    /// A calendar expression of systemd.time(7), such as "Mon..Fri 22:00".
    CalendarText, "a calendar expression", "Mon..Fri 22:00";
    /// "unix", or an address and a port such as "127.0.0.1:17768".
    ListenText, "a place to listen", "127.0.0.1:17768";
    /// CPU numbers such as "0-3,8", "shared" or "auto".
    CpuList, "a CPU list", "0-3";
    /// A glob: `*` and `?` stay within one part of a path, `**` does not, `[...]` is a set of characters.
    Glob, "a glob", "nginx.service";
    /// A regular expression in the syntax of Rust's regex crate.
    RegexText, "a regular expression", "--port=80[0-9]+";
    /// An absolute path.
    PathText, "a path", "/dev/sda";
}

/// "critical", "high", "normal" or "low", or a number: 9 and 10 are critical, 7 and 8 high, 4 to 6 normal, 1 to 3 low.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Priority {
    /// One of the four words.
    Word(String),
    /// 1 to 10.
    Number(u64),
}

/// A name, or a number of 0 to 4294967294.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Account {
    /// To be looked up.
    Name(String),
    /// The id itself.
    Number(u64),
}

/// A number, or "max".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Count {
    /// Not "max" yet: any text.
    Word(String),
    /// The number.
    Number(u64),
}

macro_rules! word_or_number {
    ($name:ident, $word:ident, $number:ident, $expecting:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl Visitor<'_> for Either {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok($name::$word(text.to_owned()))
                    }
                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$name, E> {
                        Ok($name::$number(number))
                    }
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        u64::try_from(number).map($name::$number).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Either)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

word_or_number!(Priority, Word, Number, "a priority", {
    "title": "a priority",
    "description": "\"critical\", \"high\", \"normal\" or \"low\", or a number: 9 and 10 are critical, 7 and 8 high, 4 to 6 normal, 1 to 3 low.",
    "anyOf": [
        { "enum": ["critical", "high", "normal", "low"] },
        { "type": "integer", "minimum": 1, "maximum": 10 },
    ],
});
word_or_number!(Account, Name, Number, "a name or a number", {
    "title": "a name or a number",
    "description": "A name, or a number of 0 to 4294967294.",
    "anyOf": [
        { "type": "string", "examples": ["www-data"] },
        { "type": "integer", "minimum": 0, "maximum": 4_294_967_294u32 },
    ],
});
word_or_number!(Count, Word, Number, "a number or \"max\"", {
    "title": "a number or \"max\"",
    "description": "A number, or \"max\".",
    "anyOf": [{ "enum": ["max"] }, { "type": "integer", "minimum": 0 }],
});

/// CPU numbers, a word, or a table.
#[derive(Debug, Clone)]
pub(in crate::config) enum Affinity {
    /// CPU numbers, "shared" or "auto".
    List(CpuList),
    /// CPUs of its own.
    Own(OwnCpus),
}

impl<'de> Deserialize<'de> for Affinity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Affinity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a CPU list or a table")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Affinity, E> {
                Ok(Affinity::List(CpuList(text.to_owned())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Affinity, A::Error> {
                OwnCpus::deserialize(MapAccessDeserializer::new(map)).map(Affinity::Own)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Affinity {
    fn schema_name() -> Cow<'static, str> {
        "Affinity".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (list, own) =
            (generator.subschema_for::<CpuList>(), generator.subschema_for::<OwnCpus>());
        json_schema!({ "anyOf": [list, own] })
    }
}

/// One limit, or the two between which it follows the need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Ceiling<T> {
    /// Always the same.
    Fixed(T),
    /// It follows the need.
    Between(Between<T>),
}

/// The two values between which a ceiling follows the need.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct Between<T> {
    /// It is never lowered below this.
    pub(in crate::config) min: T,
    /// It is never raised above this.
    pub(in crate::config) max: T,
    /// After any change it is not lowered for so long, "5s" to "1d"; it takes six times as long without need to be lowered at all.
    /// Default: "10m".
    pub(in crate::config) cooldown: Option<Duration>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ceiling<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CeilingVisitor(PhantomData))
    }
}

struct CeilingVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for CeilingVisitor<T> {
    type Value = Ceiling<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a limit, or a table with a least and a most")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(Value::from(text)).map(Ceiling::Fixed).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Self::Value, E> {
        T::deserialize(Value::from(number)).map(Ceiling::Fixed).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Between::deserialize(MapAccessDeserializer::new(map)).map(Ceiling::Between)
    }
}

impl<T: JsonSchema> JsonSchema for Ceiling<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Ceiling_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (fixed, between) =
            (generator.subschema_for::<T>(), generator.subschema_for::<Between<T>>());
        json_schema!({ "anyOf": [fixed, between] })
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct OneOrMany<T> {
    /// The values in the order written.
    pub(in crate::config) values: Vec<T>,
    /// Whether they were written as a list.
    pub(in crate::config) listed: bool,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<T> OneOrManyVisitor<T> {
    fn one<E>(value: Result<T, E>) -> Result<OneOrMany<T>, E> {
        value.map(|value| OneOrMany { values: vec![value], listed: false })
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value or a list of values")
    }

    // A JSON value deserialises newtypes too, which serde's own deserialiser of a single string does not.
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Self::one(T::deserialize(Value::from(text)).map_err(E::custom))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Self::one(T::deserialize(Value::from(number)).map_err(E::custom))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Self::one(T::deserialize(MapAccessDeserializer::new(map)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        let values = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        Ok(OneOrMany { values, listed: true })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
