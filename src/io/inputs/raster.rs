//! One image as its file holds it: samples that are not yet stretched, coloured, composited or turned.
//!
//! Every decoder ends here, and [`develop`](super::develop) goes on from here, so that a format says only what its bytes
//! mean.

use image::metadata::Orientation;

/// Interleaved samples, row by row, with all that is known of their meaning.
#[derive(Debug, Clone)]
pub(super) struct SourceRaster {
    /// In pixels, as stored.
    pub width: u32,
    /// In pixels, as stored.
    pub height: u32,
    /// What the colour samples of a pixel are.
    pub colour: ColorModel,
    /// Whether a last sample a pixel says how opaque it is.
    pub alpha: Alpha,
    /// `[height, width, channels]`.
    pub samples: RasterSamples,
    /// The value that stands for full intensity: 255, 65535, 4095 for 12 bits, 1 for floats.
    pub white: f32,
    /// The value that stands for "no reading", where the file names one.
    pub nodata: Option<f64>,
    /// The colour profile, as the file carries it.
    pub icc: Option<Vec<u8>>,
    /// How the stored image is turned to stand upright.
    pub orientation: Orientation,
}

/// The colour model of a raster, without alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColorModel {
    /// One sample, 0 is black.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Inks: 0 is none of it, full is all of it.
    Cmyk,
    /// CIE L*a*b* as ICC encodes it: L from 0 to white, a and b around half of it.
    Lab,
}

impl ColorModel {
    /// Samples a pixel.
    pub fn channels(self) -> usize {
        match self {
            ColorModel::Grey => 1,
            ColorModel::Rgb | ColorModel::Lab => 3,
            ColorModel::Cmyk => 4,
        }
    }
}

/// How opaque pixels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    /// All are.
    None,
    /// The last sample says; colours are as if opaque.
    Straight,
    /// The last sample says; colours are multiplied by it already.
    Premultiplied,
}

/// The numbers, as wide as the file has them (wider integers and doubles as `f32`).
#[derive(Debug, Clone)]
pub(super) enum RasterSamples {
    /// Up to 8 bits.
    U8(Vec<u8>),
    /// Up to 16 bits.
    U16(Vec<u16>),
    /// Wider or signed integers, and floats of any width.
    F32(Vec<f32>),
}

impl RasterSamples {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            RasterSamples::U8(values) => values.len(),
            RasterSamples::U16(values) => values.len(),
            RasterSamples::F32(values) => values.len(),
        }
    }
}

impl SourceRaster {
    /// Samples a pixel, alpha among them.
    pub fn channels(&self) -> usize {
        self.colour.channels() + usize::from(self.alpha != Alpha::None)
    }

    /// Whether the samples fill the size.
    pub fn is_whole(&self) -> bool {
        self.samples.len() == self.width as usize * self.height as usize * self.channels()
    }
}
