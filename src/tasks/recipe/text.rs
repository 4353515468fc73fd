//! Values that a recipe file holds as the text that options take.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer};

/// A value.
pub mod value {
    use super::*;

    /// As text.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    /// From text, or a number.
    ///
    /// # Errors
    /// What the value says of text that is none.
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

/// Serialises an `Option<T>` of such a value.
pub mod option {
    use super::*;

    /// As text, or nothing.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    /// From text, or a number.
    ///
    /// # Errors
    /// What the value says of text that is none.
    pub fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err = String>,
        D: Deserializer<'de>,
    {
        value::deserialize(from).map(Some)
    }
}

/// A value as TOML has it: text, or a number without quotes.
#[derive(Deserialize)]
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
