//! The pixels of a label file as they are stored, `[height, width]`, before their numbers have a meaning; and what the
//! decoders of several formats share.

use image::DynamicImage;

/// The numbers or colours of a label file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RasterContent {
    /// One whole number for each pixel.
    Integers {
        /// `[height, width]`.
        values: Vec<i64>,
        /// Bits of the stored type, as it is in the file.
        bits: u8,
    },
    /// One truth value for each pixel (NumPy's bool), 0 or 1.
    Booleans(Vec<i64>),
    /// One floating-point number for each pixel, of any stored width.
    Floats(Vec<f64>),
    /// Indices into a palette.
    Indexed {
        /// `[height, width]`.
        indices: Vec<u8>,
        /// Red, green and blue by index; it may be shorter than the largest index.
        palette: Vec<[u8; 3]>,
    },
    /// 8-bit red, green and blue for each pixel.
    Colors(Vec<[u8; 3]>),
    /// Colours that cannot be those of classes; the text names them, such as `16-bit colours`.
    OtherColors(&'static str),
}

/// A decoded label file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LabelRaster {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The pixels, row by row from the top.
    pub content: RasterContent,
    /// Name of the format for messages, such as `PNG`.
    pub format: &'static str,
    /// Whether the compression is lossy, so that numbers are not those that were saved.
    pub is_lossy: bool,
    /// Number of pixels that are not opaque.
    pub transparent: usize,
    /// Metadata that this program wrote, as keyword and value; empty for files of other programs.
    pub notes: Vec<(String, String)>,
    /// The scale factor that the file states, which is not applied (PFM).
    pub unapplied_scale: Option<f64>,
    /// The whole number that stands for no value according to the file (GDAL_NODATA in TIFF).
    pub nodata: Option<i64>,
}

impl LabelRaster {
    /// An opaque raster of a lossless format, without metadata.
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

    /// The value that this program wrote under `keyword`.
    pub fn note(&self, keyword: &str) -> Option<&str> {
        let mut notes = self.notes.iter();
        notes
            .find(|(key, _)| key == keyword)
            .map(|(_, value)| value.as_str())
    }

    /// The pixel with index `at` as `x,y`, for messages.
    pub fn pixel(&self, at: usize) -> String {
        let width = self.width.max(1);
        format!("{},{}", at % width, at / width)
    }

    /// Whether the file is a picture that this program drew (a colour map or an overlay), which holds no numbers.
    pub fn is_own_picture(&self) -> bool {
        !self.notes.is_empty() && matches!(self.content, RasterContent::Colors(_))
    }
}

/// The raster of an image that the `image` crate decoded.
pub(super) fn raster_from_image(picture: DynamicImage, format: &'static str) -> LabelRaster {
    let size = (picture.width() as usize, picture.height() as usize);
    let mut transparent = 0;
    let mut count_opacity = |is_opaque: bool| transparent += usize::from(!is_opaque);
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
            grey.pixels().for_each(|p| count_opacity(p.0[1] == u8::MAX));
            RasterContent::Integers {
                values: grey.pixels().map(|p| i64::from(p.0[0])).collect(),
                bits: 8,
            }
        }
        DynamicImage::ImageRgb8(rgb) => RasterContent::Colors(rgb.pixels().map(|p| p.0).collect()),
        DynamicImage::ImageRgba8(rgba) => {
            rgba.pixels().for_each(|p| count_opacity(p.0[3] == u8::MAX));
            RasterContent::Colors(rgba.pixels().map(|p| [p.0[0], p.0[1], p.0[2]]).collect())
        }
        DynamicImage::ImageRgb16(rgb) => deep_colors(rgb.pixels().map(|p| p.0).collect()),
        DynamicImage::ImageRgba16(rgba) => {
            rgba.pixels()
                .for_each(|p| count_opacity(p.0[3] == u16::MAX));
            deep_colors(rgba.pixels().map(|p| [p.0[0], p.0[1], p.0[2]]).collect())
        }
        _ => RasterContent::OtherColors("colours of an unusual kind"),
    };
    LabelRaster {
        transparent,
        ..LabelRaster::new(size, content, format)
    }
}

/// The content of 16-bit colours: grey ones are whole numbers, and 8-bit colours that were widened are 8-bit colours
/// again.
pub(super) fn deep_colors(colors: Vec<[u16; 3]>) -> RasterContent {
    if colors.iter().all(|[r, g, b]| r == g && g == b) {
        return RasterContent::Integers {
            values: colors.iter().map(|color| i64::from(color[0])).collect(),
            bits: 16,
        };
    }
    // Widening 8 bits to 16 multiplies by 257 = 65535 / 255.
    if colors.iter().flatten().all(|channel| channel % 257 == 0) {
        let narrow = |color: &[u16; 3]| color.map(|channel| (channel / 257) as u8);
        return RasterContent::Colors(colors.iter().map(narrow).collect());
    }
    RasterContent::OtherColors("16-bit colours")
}

/// Unpacks numbers of 1, 2 or 4 `bits`, the first in the highest bits; every row begins on a byte.
pub(super) fn unpack(bytes: &[u8], (width, height): (usize, usize), bits: usize) -> Vec<u8> {
    let line = (width * bits).div_ceil(8);
    let mask = ((1u16 << bits) - 1) as u8;
    let rows = bytes.chunks_exact(line.max(1)).take(height);
    rows.flat_map(|row| {
        (0..width).map(move |x| (row[x * bits / 8] >> (8 - bits - (x * bits) % 8)) & mask)
    })
    .collect()
}
