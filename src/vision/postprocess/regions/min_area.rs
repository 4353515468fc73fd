//! The value of `--min-region`: the area below which a region is not listed, in pixels or percent of the photo.
//!
//! It is parsed from and written as text such as `200` or `0.1%`, also in recipe files.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::system::text_value;

/// The least area of a listed region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinArea {
    /// This many pixels.
    Pixels(u64),
    /// This percentage of the photo's pixels, 0..100.
    Percent(f64),
}

impl MinArea {
    /// Whether every region has at least this area.
    pub fn keeps_all(self) -> bool {
        matches!(self, MinArea::Pixels(0 | 1) | MinArea::Percent(0.0))
    }

    /// The area in pixels for a photo of `total` pixels, rounded up; at least 1.
    pub fn pixels(self, total: usize) -> u64 {
        let pixels = match self {
            MinArea::Pixels(pixels) => pixels,
            MinArea::Percent(percent) => (percent / 100.0 * total as f64).ceil() as u64,
        };
        pixels.max(1)
    }
}

impl Display for MinArea {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MinArea::Pixels(1) => f.write_str("1 pixel"),
            MinArea::Pixels(pixels) => write!(f, "{pixels} pixels"),
            MinArea::Percent(percent) => write!(f, "{percent} % of the photo"),
        }
    }
}

/// The text that [`MinArea::from_str`] reads.
impl Serialize for MinArea {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            MinArea::Pixels(pixels) => to.collect_str(pixels),
            MinArea::Percent(percent) => to.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl<'de> Deserialize<'de> for MinArea {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text_value::value::deserialize(from)
    }
}

impl FromStr for MinArea {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected a number of pixels, such as 200, or a part of the photo, such as 0.1%"
                .to_owned()
        };
        match text.strip_suffix('%') {
            Some(number) => match number.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(MinArea::Percent(percent)),
                _ => Err(expected()),
            },
            None => text.parse().map(MinArea::Pixels).map_err(|_| expected()),
        }
    }
}
