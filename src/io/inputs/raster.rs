//! One image as its file stores it: samples before contrast stretch, colour conversion, compositing and orientation.
//!
//! Every format's decoder returns a [`SourceRaster`], which states what its samples mean, and
//! [`develop`](super::develop) turns it into the photo.

use image::metadata::Orientation;

/// Interleaved samples, row by row, with their meaning.
#[derive(Debug, Clone)]
pub(super) struct SourceRaster {
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// Colour model of a pixel's samples, without alpha.
    pub colour: ColorModel,
    /// Whether each pixel ends with an alpha sample, and how it relates to the colours.
    pub alpha: Alpha,
    /// The samples, `[height, width, channels]`, alpha last.
    pub samples: RasterSamples,
    /// The sample value of full intensity: 255, 65535, 4095 for 12 bits, 1 for floats.
    pub white: f32,
    /// The value that means "no measurement", if the file states one (GDAL's nodata tag).
    pub nodata: Option<f64>,
    /// The ICC profile of the file.
    pub icc: Option<Vec<u8>>,
    /// The transform that makes the stored image upright, by EXIF or XMP; applied by [`develop`](super::develop).
    pub orientation: Orientation,
}

/// The colour model of a raster, without alpha.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColorModel {
    /// One sample; 0 is black.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Four inks: 0 is no ink, white is full ink.
    Cmyk,
    /// CIE L*a*b* as ICC encodes it: 0 to white is 0 to 100 for L*, -128 to 127 for a* and b*.
    Lab,
}

impl ColorModel {
    /// Number of colour samples per pixel, without alpha.
    pub fn channels(self) -> usize {
        match self {
            ColorModel::Grey => 1,
            ColorModel::Rgb | ColorModel::Lab => 3,
            ColorModel::Cmyk => 4,
        }
    }
}

/// Where the opacity of pixels is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    /// Nowhere: all pixels are opaque.
    None,
    /// In the last sample; colours are not multiplied by it.
    Straight,
    /// In the last sample; colours are already multiplied by it.
    Premultiplied,
}

/// Sample values in the narrowest of three types that holds them.
#[derive(Debug, Clone)]
pub(super) enum RasterSamples {
    /// Unsigned integers of up to 8 bits.
    U8(Vec<u8>),
    /// Unsigned integers of 9 to 16 bits.
    U16(Vec<u16>),
    /// Wider or signed integers, and floats of any width, as `f32`.
    F32(Vec<f32>),
}

impl RasterSamples {
    /// The number of samples of all pixels.
    pub fn len(&self) -> usize {
        match self {
            RasterSamples::U8(values) => values.len(),
            RasterSamples::U16(values) => values.len(),
            RasterSamples::F32(values) => values.len(),
        }
    }
}

impl SourceRaster {
    /// A raster of `(width, height)` pixels without a nodata value, whose orientation is upright.
    pub fn new(
        (width, height): (u32, u32),
        colour: ColorModel,
        alpha: Alpha,
        samples: RasterSamples,
        white: f32,
        icc: Option<Vec<u8>>,
    ) -> Self {
        SourceRaster {
            width,
            height,
            colour,
            alpha,
            samples,
            white,
            nodata: None,
            icc,
            orientation: Orientation::NoTransforms,
        }
    }

    /// Number of samples per pixel, including alpha.
    pub fn channels(&self) -> usize {
        self.colour.channels() + usize::from(self.alpha != Alpha::None)
    }

    /// Whether there are exactly as many samples as the size needs.
    pub fn is_whole(&self) -> bool {
        self.samples.len() == self.width as usize * self.height as usize * self.channels()
    }
}
