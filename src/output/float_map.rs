//! A map of one number a pixel, in any of the formats that keep the numbers.

use std::io::{self, Write};

use crate::output::{Thousandths, write_depth_png, write_exr, write_npy, write_pfm, write_tiff};

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FloatFormat {
    /// NumPy array, float32.
    Npy,
    /// 16-bit PNG in thousandths of the unit.
    Png16,
    /// Portable float map.
    Pfm,
    /// OpenEXR, float32.
    Exr,
    /// TIFF, float32.
    Tiff,
}

/// A map and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct FloatMap<'a> {
    /// Width and height.
    pub size: (usize, usize),
    /// `[height, width]`.
    pub values: &'a [f32],
    /// Keyword and value pairs, for formats that have room for words.
    pub text: &'a [(&'a str, String)],
}

impl FloatFormat {
    /// The ending of such a file. PNG names its unit, for it lies beside a picture.
    pub fn extension(self) -> &'static str {
        match self {
            FloatFormat::Npy => "npy",
            FloatFormat::Png16 => "mm.png",
            FloatFormat::Pfm => "pfm",
            FloatFormat::Exr => "exr",
            FloatFormat::Tiff => "tiff",
        }
    }

    /// Writes `map`; returns how many values the format could not hold and clipped.
    ///
    /// # Errors
    /// If writing fails, or the values don't fill the size.
    pub fn write(self, writer: impl Write, map: &FloatMap<'_>) -> io::Result<usize> {
        let (size, values) = (map.size, map.values);
        match self {
            FloatFormat::Npy => write_npy(writer, &[size.1, size.0], values)?,
            FloatFormat::Pfm => write_pfm(writer, size, values)?,
            FloatFormat::Exr => write_exr(writer, size, values, map.text)?,
            FloatFormat::Tiff => {
                let words: Vec<String> =
                    map.text.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                write_tiff(writer, size, values, &words.join("\n"))?;
            }
            FloatFormat::Png16 => {
                let whole = Thousandths::of(values);
                let unit = map.text.iter().find(|(keyword, _)| *keyword == UNIT);
                let milli = unit.map(|(_, unit)| (UNIT, format!("m{unit}")));
                let others = map.text.iter().filter(|(keyword, _)| *keyword != UNIT);
                let text: Vec<_> = milli.into_iter().chain(others.cloned()).collect();
                write_depth_png(writer, size, &whole, &text)?;
                return Ok(whole.saturated);
            }
        }
        Ok(0)
    }
}

/// The keyword of a map's unit.
pub const UNIT: &str = "dino:unit";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_format_writes_and_says_what_it_clipped() {
        let text = [(UNIT, "m".to_owned())];
        let map = FloatMap {
            size: (2, 1),
            values: &[1.5, 70.0],
            text: &text,
        };
        let written = |format: FloatFormat| {
            let mut bytes = Vec::new();
            let clipped = format.write(&mut bytes, &map).unwrap();
            (clipped, bytes)
        };
        for (format, mark) in [
            (FloatFormat::Npy, &b"\x93NUMPY"[..]),
            (FloatFormat::Pfm, b"Pf\n"),
            (FloatFormat::Exr, b"\x76\x2f\x31\x01"),
            (FloatFormat::Tiff, b"II*\0"),
        ] {
            let (clipped, bytes) = written(format);
            assert!(clipped == 0 && bytes.starts_with(mark), "{format:?}");
        }
        let (clipped, bytes) = written(FloatFormat::Png16);
        assert_eq!(clipped, 1);
        assert!(bytes.windows(12).any(|w| w == b"dino:unit\0mm"), "the unit");
    }
}
