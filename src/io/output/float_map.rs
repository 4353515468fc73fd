//! Maps of one f32 per pixel, in the formats that keep numbers: the enum [`FloatFormat`] dispatches to the encoders.
//! Text under keywords (`dino:…`) states unit, scale and quantity in the file.

use std::io::{self, Write};
use std::num::NonZeroU32;

use crate::io::output::{
    QuantisedDepth, write_depth_png, write_exr, write_npy_rows, write_pfm, write_tiff,
};
use crate::vision::postprocess::rows::RowSource;

/// The file formats of maps of one f32 per pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FloatFormat {
    /// NumPy array, float32.
    Npy,
    /// 16-bit PNG with this many steps per unit.
    Png16(NonZeroU32),
    /// Portable float map.
    Pfm,
    /// OpenEXR, float32.
    Exr,
    /// TIFF, float32.
    Tiff,
}

/// A map and the text that describes it.
#[derive(Clone, Copy)]
pub struct FloatMap<'a> {
    /// The map `[height, width]`. EXR and TIFF need all rows in memory; NPY, PFM and PNG are encoded from a few rows at
    /// a time (PNG from 16-bit values in memory).
    pub rows: &'a dyn RowSource,
    /// Pairs of keyword and value, for formats that have room for text.
    pub text: &'a [(&'a str, String)],
}

impl FloatFormat {
    /// The extension of such a file. PNG has `mm.png` or `u16.png`, since the picture beside it is a PNG too.
    pub fn extension(self) -> &'static str {
        match self {
            FloatFormat::Npy => "npy",
            FloatFormat::Png16(scale) if scale.get() == MILLI => "mm.png",
            FloatFormat::Png16(_) => "u16.png",
            FloatFormat::Pfm => "pfm",
            FloatFormat::Exr => "exr",
            FloatFormat::Tiff => "tiff",
        }
    }

    /// Writes `map`, and returns the number of values that were clipped (only PNG clips).
    ///
    /// # Errors
    /// If writing fails, the map is empty, or it does not fit into memory for a format that needs all rows.
    pub fn write(self, writer: impl Write, map: &FloatMap<'_>) -> io::Result<usize> {
        let size = map.rows.size();
        let whole = || map.rows.collect().map_err(io::Error::other);
        match self {
            FloatFormat::Npy => write_npy_rows(writer, map.rows)?,
            FloatFormat::Pfm => write_pfm(writer, map.rows)?,
            FloatFormat::Exr => write_exr(writer, size, whole()?, map.text)?,
            FloatFormat::Tiff => {
                let words: Vec<String> =
                    map.text.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                write_tiff(writer, size, &whole()?, &words.join("\n"))?;
            }
            FloatFormat::Png16(scale) => {
                let whole = QuantisedDepth::quantise(map.rows, scale);
                let unit = map.text.iter().find(|(keyword, _)| *keyword == UNIT_KEY);
                let step = unit.map(|(_, unit)| match scale.get() {
                    MILLI => format!("m{unit}"),
                    other => format!("{unit}/{other}"),
                });
                let steps = [(DEPTH_SCALE_KEY, scale.to_string())];
                let step = step.map(|step| (UNIT_KEY, step)).into_iter().chain(steps);
                let others = map.text.iter().filter(|(keyword, _)| *keyword != UNIT_KEY);
                let text: Vec<_> = step.chain(others.cloned()).collect();
                write_depth_png(writer, size, &whole, &text)?;
                return Ok(whole.saturated);
            }
        }
        Ok(0)
    }
}

/// Steps per unit whose unit has a name of its own, with the prefix `m`, as in `mm`.
const MILLI: u32 = 1000;

/// The keyword of the unit of the map's numbers, such as `m`.
pub const UNIT_KEY: &str = "dino:unit";

/// The keyword of the number of steps per unit, in a map of whole numbers.
pub const DEPTH_SCALE_KEY: &str = "dino:depth-scale";

/// The keyword of the quantity that a map holds.
pub const CONTENT_KEY: &str = "dino:content";

/// The value of [`CONTENT_KEY`] in a map of depth.
pub const DEPTH_CONTENT: &str = "depth along the viewing axis";

/// The value of [`CONTENT_KEY`] in a map of relative inverse depth.
pub const INVERSE_CONTENT: &str =
    "inverse depth along the viewing axis up to an unknown scale and shift; larger is nearer";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::vision::postprocess::rows::InMemoryRows;

    #[test]
    fn every_format_writes_and_says_what_it_clipped() {
        let text = [(UNIT_KEY, "m".to_owned())];
        let map = FloatMap {
            rows: &InMemoryRows {
                width: 2,
                values: &[1.5, 70.0],
            },
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
        let png16 = |scale| FloatFormat::Png16(NonZeroU32::new(scale).unwrap());
        let says = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|w| w == text);
        let (clipped, bytes) = written(png16(1000));
        assert_eq!(clipped, 1);
        assert!(says(&bytes, b"dino:unit\0mm") && says(&bytes, b"dino:depth-scale\x001000"));
        let (clipped, bytes) = written(png16(256));
        assert_eq!(clipped, 0);
        assert!(says(&bytes, b"dino:unit\0m/256") && says(&bytes, b"dino:depth-scale\x00256"));
        assert_eq!(png16(1000).extension(), "mm.png");
        assert_eq!(png16(256).extension(), "u16.png");
    }
}
