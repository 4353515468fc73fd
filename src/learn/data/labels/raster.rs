//! What a label file holds, one pixel after the other, before it is known what its numbers mean. The kind of a file
//! comes from its bytes, never from its name.

use image::DynamicImage;

/// The numbers or colours of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RasterContent {
    /// One whole number a pixel, stored with so many bits.
    Integers {
        /// `[height, width]`.
        values: Vec<i64>,
        /// Of the file's own type.
        bits: u8,
    },
    /// One truth a pixel (NumPy's bool), 0 or 1.
    Booleans(Vec<i64>),
    /// One float a pixel, as wide as it is stored.
    Floats(Vec<f64>),
    /// Indices into a palette.
    Indexed {
        /// `[height, width]`.
        indices: Vec<u8>,
        /// The colours that the file names, by index.
        palette: Vec<[u8; 3]>,
    },
    /// 8-bit red, green and blue.
    Colors(Vec<[u8; 3]>),
    /// Colours that cannot be a class's, such as `16-bit colours`.
    OtherColors(&'static str),
}

/// A label file, decoded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LabelRaster {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `[height, width]`.
    pub content: RasterContent,
    /// What the format is called, such as `PNG`.
    pub format: &'static str,
    /// Whether the format changes numbers to save room.
    pub is_lossy: bool,
    /// Pixels that are not opaque.
    pub transparent: usize,
    /// What this program wrote in the file about it, as keyword and value; empty for the files of others.
    pub notes: Vec<(String, String)>,
    /// A scale factor that the file states and that is not applied (PFM).
    pub unapplied_scale: Option<f64>,
    /// The whole number that the file itself says stands for no value (GDAL's in TIFF).
    pub nodata: Option<i64>,
}

impl LabelRaster {
    /// An opaque raster of a lossless format.
    pub fn new(
        (width, height): (usize, usize),
        content: RasterContent,
        format: &'static str,
    ) -> Self {
        LabelRaster {
            width,
            height,
            content,
            format,
            is_lossy: false,
            transparent: 0,
            notes: Vec::new(),
            unapplied_scale: None,
            nodata: None,
        }
    }

    /// What this program wrote under `keyword`.
    pub fn note(&self, keyword: &str) -> Option<&str> {
        let mut notes = self.notes.iter();
        notes
            .find(|(key, _)| key == keyword)
            .map(|(_, value)| value.as_str())
    }

    /// A pixel by its place in the content, as people name it.
    pub fn pixel(&self, at: usize) -> String {
        let width = self.width.max(1);
        format!("{},{}", at % width, at / width)
    }

    /// Whether this program drew the file as a picture to look at, which holds no numbers.
    pub fn is_own_picture(&self) -> bool {
        !self.notes.is_empty() && matches!(self.content, RasterContent::Colors(_))
    }
}

/// The pixels of a decoded picture.
pub(super) fn raster_from_image(picture: DynamicImage, format: &'static str) -> LabelRaster {
    let size = (picture.width() as usize, picture.height() as usize);
    let mut transparent = 0;
    let mut see = |is_opaque: bool| transparent += usize::from(!is_opaque);
    let content = match picture {
        DynamicImage::ImageLuma8(grey) => RasterContent::Integers {
            values: grey.iter().map(|&v| i64::from(v)).collect(),
            bits: 8,
        },
        DynamicImage::ImageLuma16(grey) => RasterContent::Integers {
            values: grey.iter().map(|&v| i64::from(v)).collect(),
            bits: 16,
        },
        DynamicImage::ImageLumaA8(grey) => {
            grey.pixels().for_each(|p| see(p.0[1] == u8::MAX));
            RasterContent::Integers {
                values: grey.pixels().map(|p| i64::from(p.0[0])).collect(),
                bits: 8,
            }
        }
        DynamicImage::ImageRgb8(rgb) => RasterContent::Colors(rgb.pixels().map(|p| p.0).collect()),
        DynamicImage::ImageRgba8(rgba) => {
            rgba.pixels().for_each(|p| see(p.0[3] == u8::MAX));
            RasterContent::Colors(rgba.pixels().map(|p| [p.0[0], p.0[1], p.0[2]]).collect())
        }
        DynamicImage::ImageRgb16(rgb) => deep_colors(rgb.pixels().map(|p| p.0).collect()),
        DynamicImage::ImageRgba16(rgba) => {
            rgba.pixels().for_each(|p| see(p.0[3] == u16::MAX));
            deep_colors(rgba.pixels().map(|p| [p.0[0], p.0[1], p.0[2]]).collect())
        }
        _ => RasterContent::OtherColors("colours of an unusual kind"),
    };
    LabelRaster {
        transparent,
        ..LabelRaster::new(size, content, format)
    }
}

/// 16-bit colours: grey ones are numbers, and those that 8 bits give are colours of 8 bits.
pub(super) fn deep_colors(colors: Vec<[u16; 3]>) -> RasterContent {
    if colors.iter().all(|[r, g, b]| r == g && g == b) {
        return RasterContent::Integers {
            values: colors.iter().map(|color| i64::from(color[0])).collect(),
            bits: 16,
        };
    }
    // 257 = 65535 / 255
    if colors.iter().flatten().all(|channel| channel % 257 == 0) {
        let narrow = |color: &[u16; 3]| color.map(|channel| (channel / 257) as u8);
        return RasterContent::Colors(colors.iter().map(narrow).collect());
    }
    RasterContent::OtherColors("16-bit colours")
}

/// Unpacks rows of `bits` (1, 2 or 4) a number, the first in the highest bits, that each begin on a byte.
pub(super) fn unpack(bytes: &[u8], (width, height): (usize, usize), bits: usize) -> Vec<u8> {
    let line = (width * bits).div_ceil(8);
    let mask = ((1u16 << bits) - 1) as u8;
    let rows = bytes.chunks_exact(line.max(1)).take(height);
    rows.flat_map(|row| {
        (0..width).map(move |x| (row[x * bits / 8] >> (8 - bits - (x * bits) % 8)) & mask)
    })
    .collect()
}
