//! serde helpers for values that settings files store as the text that command-line options take (`#[serde(with =
//! "value")]`): they are written by [`Display`] and read by [`FromStr`]. Numbers need no quotes.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer};

/// For a value that must be there.
pub mod value {
    use super::*;

    /// Writes `value` as its text.
    ///
    /// # Errors
    /// Those of the serializer `to`.
    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    /// Reads text, or a number as its text.
    ///
    /// # Errors
    /// Those of `T`'s `FromStr`.
    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err = String>,
        D: Deserializer<'de>,
    {
        let text = TextOrNumber::deserialize(from)?.into_text();
        text.parse()
            .map_err(|why| serde::de::Error::custom(format!("`{text}`: {why}")))
    }
}

/// For a value that may be left out.
pub mod option {
    use super::*;

    /// Writes the text of `value`, or nothing if there is none.
    ///
    /// # Errors
    /// Those of the serializer `to`.
    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    /// Reads text, or a number as its text.
    ///
    /// # Errors
    /// Those of `T`'s `FromStr`.
    pub fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err = String>,
        D: Deserializer<'de>,
    {
        value::deserialize(from).map(Some)
    }
}

/// The text of a value, with or without quotes if it is a number.
#[derive(Deserialize)]
#[serde(expecting = "text or a number")]
#[serde(untagged)]
enum TextOrNumber {
    Quoted(String),
    Whole(i64),
    Number(f64),
}

impl TextOrNumber {
    fn into_text(self) -> String {
        match self {
            TextOrNumber::Quoted(text) => text,
            TextOrNumber::Whole(number) => number.to_string(),
            TextOrNumber::Number(number) => number.to_string(),
        }
    }
}
