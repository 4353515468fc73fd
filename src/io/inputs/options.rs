//! The options of decoding: limits on a photo, and how its samples become colours.

use std::fmt;
use std::str::FromStr;

use crate::system::memory;

/// How the photos of a run are decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeOptions {
    /// Maximum number of pixels of a photo; checked from the header, before anything is allocated.
    pub max_pixels: u64,
    /// Maximum memory for decoding a photo, in bytes; also checked from the header.
    pub max_memory: u64,
    /// Which sample values become black and white.
    pub stretch: ContrastStretch,
    /// The bands, counted from 1, to use as red, green and blue; `None` for the colours of the file.
    pub bands: Option<[u16; 3]>,
    /// The page or frame, counted from 1, to decode of a source that names none itself.
    pub page: Option<u32>,
    /// Whether colours are converted to sRGB by the ICC profile of the file.
    pub icc: bool,
    /// The colour behind transparent pixels.
    pub background: Background,
}

impl Default for DecodeOptions {
    /// 200 megapixels, the usual memory limit of this machine, automatic contrast stretch, the ICC profile applied, and
    /// the mean colour behind transparent pixels.
    fn default() -> Self {
        DecodeOptions {
            max_pixels: 200_000_000,
            max_memory: memory::default_limit(),
            stretch: ContrastStretch::Auto,
            bands: None,
            page: None,
            icc: true,
            background: Background::Mean,
        }
    }
}

impl DecodeOptions {
    /// The options that differ from the default, as a part of the names of cached results; empty if none does. The
    /// limits are omitted, since they change no pixel, and so is the page.
    pub fn tag(&self) -> String {
        let usual = DecodeOptions::default();
        let mut parts = Vec::new();
        if self.stretch != usual.stretch {
            parts.push(format!("stretch{}", self.stretch));
        }
        if let Some([r, g, b]) = self.bands {
            parts.push(format!("bands{r},{g},{b}"));
        }
        if self.icc != usual.icc {
            parts.push("noicc".to_owned());
        }
        if self.background != usual.background {
            parts.push(format!("background{}", self.background));
        }
        parts.join("-").replace(',', "_").replace('#', "")
    }
}

/// Which sample values become black and white (`--stretch`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ContrastStretch {
    /// The whole range of the samples, unless integers of more than 8 bits use little of it or floats leave 0 to 1.
    Auto,
    /// The whole range of the samples: 0 to the largest integer, or 0 to 1 for floats.
    None,
    /// The smallest and the largest value of the photo.
    MinMax,
    /// Two percentiles of the values of the photo, 0 to 100, the lower first.
    Percentiles(f32, f32),
}

impl FromStr for ContrastStretch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(ContrastStretch::Auto),
            "none" => return Ok(ContrastStretch::None),
            "minmax" => return Ok(ContrastStretch::MinMax),
            _ => {}
        }
        let number = |text: &str| text.trim().parse::<f32>().ok();
        match text.split_once(',').map(|(a, b)| (number(a), number(b))) {
            Some((Some(low), Some(high))) if 0.0 <= low && low < high && high <= 100.0 => {
                Ok(ContrastStretch::Percentiles(low, high))
            }
            _ => Err(
                "expected auto, none, minmax, or two rising percentiles from 0 to 100 such as 2,98"
                    .into(),
            ),
        }
    }
}

impl fmt::Display for ContrastStretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContrastStretch::Auto => f.write_str("auto"),
            ContrastStretch::None => f.write_str("none"),
            ContrastStretch::MinMax => f.write_str("minmax"),
            ContrastStretch::Percentiles(low, high) => write!(f, "{low},{high}"),
        }
    }
}

/// The colour behind transparent pixels (`--background`, `--drop-alpha`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// ImageNet's mean colour, which normalisation turns into 0.
    Mean,
    /// One colour, as red, green and blue.
    Colour([u8; 3]),
    /// Alpha is ignored: the colours stored under transparent pixels are used, as in the published DINOv2 code.
    Ignored,
}

impl Background {
    /// ImageNet's mean, rounded to 8 bits.
    const MEAN: [u8; 3] = [124, 116, 104];

    /// The colour behind transparent pixels; `None` if alpha is ignored.
    pub fn colour(self) -> Option<[u8; 3]> {
        match self {
            Background::Mean => Some(Self::MEAN),
            Background::Colour(colour) => Some(colour),
            Background::Ignored => None,
        }
    }
}

impl FromStr for Background {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = |digits: &str| -> Option<[u8; 3]> {
            let value = u32::from_str_radix(digits, 16).ok()?;
            let [_, r, g, b] = value.to_be_bytes();
            (digits.len() == 6 && digits.is_ascii()).then_some([r, g, b])
        };
        let numbers = || -> Option<[u8; 3]> {
            let parts: Vec<u8> = text
                .split(',')
                .map(|part| part.trim().parse().ok())
                .collect::<Option<_>>()?;
            parts.try_into().ok()
        };
        let colour = match text {
            "mean" => return Ok(Background::Mean),
            "black" => Some([0; 3]),
            "white" => Some([255; 3]),
            "grey" | "gray" => Some([128; 3]),
            _ => match text.strip_prefix('#') {
                Some(digits) => hex(digits),
                None => numbers(),
            },
        };
        colour.map(Background::Colour).ok_or_else(|| {
            "expected mean, black, white, grey, R,G,B from 0 to 255, or #rrggbb".into()
        })
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Background::Mean => f.write_str("mean"),
            Background::Colour([r, g, b]) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
            Background::Ignored => f.write_str("ignored"),
        }
    }
}

/// Parses `--bands`: one band, which is used for all three colours, or three separated by commas, each counted from 1.
///
/// # Errors
/// The form that was expected.
pub fn parse_bands(text: &str) -> Result<[u16; 3], String> {
    let parts: Option<Vec<u16>> = text
        .split(',')
        .map(|part| part.trim().parse().ok().filter(|&band| band > 0))
        .collect();
    match parts.as_deref() {
        Some(&[band]) => Ok([band; 3]),
        Some(&[r, g, b]) => Ok([r, g, b]),
        _ => Err("expected one band or three, counted from 1, such as 4,3,2".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_words_or_numbers() {
        assert_eq!("minmax".parse(), Ok(ContrastStretch::MinMax));
        assert_eq!("2, 98".parse(), Ok(ContrastStretch::Percentiles(2.0, 98.0)));
        for wrong in ["", "98,2", "2", "-1,50", "0,101", "nan,3"] {
            assert!(wrong.parse::<ContrastStretch>().is_err(), "{wrong}");
        }
        assert_eq!("#ff8000".parse(), Ok(Background::Colour([255, 128, 0])));
        assert_eq!("1,2,3".parse(), Ok(Background::Colour([1, 2, 3])));
        for wrong in ["", "#fff", "1,2", "1,2,256", "#ééé", "pink"] {
            assert!(wrong.parse::<Background>().is_err(), "{wrong}");
        }
        assert_eq!(parse_bands("4,3,2"), Ok([4, 3, 2]));
        assert_eq!(parse_bands("1"), Ok([1; 3]));
        assert!(parse_bands("0,1,2").is_err() && parse_bands("1,2").is_err());
    }

    #[test]
    fn only_what_changes_pixels_has_a_tag() {
        let mut options = DecodeOptions {
            max_pixels: 5,
            page: Some(2),
            ..DecodeOptions::default()
        };
        assert_eq!(options.tag(), "");
        options.icc = false;
        options.stretch = ContrastStretch::Percentiles(2.0, 98.0);
        assert_eq!(options.tag(), "stretch2_98-noicc");
    }
}
