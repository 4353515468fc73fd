//! Windows bitmap (BMP) as it is stored: indices where it has a palette, else colours.

use std::collections::HashMap;
use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{DynamicImage, ImageDecoder, ImageError};

use super::raster::{LabelRaster, RasterContent, raster_from_image, unpack};

/// Decodes a BMP of any bit depth.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    let damaged = |error: ImageError| format!("is a damaged BMP: {error}");
    let mut decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let size = decoder.dimensions();
    let (width, height) = (size.0 as usize, size.1 as usize);
    let palette = decoder.get_palette().map(<[[u8; 3]]>::to_vec);
    let (Some(palette), Some(storage)) = (palette, Storage::of(bytes)) else {
        let picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        return Ok(raster_from_image(picture, "BMP"));
    };
    let indices = match storage {
        Storage {
            bits: 8,
            is_plain: true,
            ..
        } => {
            // The `image` crate gives indices for these alone.
            decoder.set_indexed_color(true);
            let mut indices = vec![0; width * height];
            decoder.read_image(&mut indices).map_err(damaged)?;
            indices
        }
        Storage {
            bits: 1 | 2 | 4,
            is_plain: true,
            ..
        } => storage
            .unpack(bytes, (width, height))
            .ok_or("is a damaged BMP: it ends before its pixels do")?,
        _ => {
            let picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
            return Ok(match indices_of(&picture, &palette) {
                Some(indices) => indexed((width, height), indices, palette),
                None => raster_from_image(picture, "BMP"),
            });
        }
    };
    Ok(indexed((width, height), indices, palette))
}

/// A raster of indices and their palette.
fn indexed(size: (usize, usize), indices: Vec<u8>, palette: Vec<[u8; 3]>) -> LabelRaster {
    LabelRaster::new(size, RasterContent::Indexed { indices, palette }, "BMP")
}

/// How the pixels of a BMP are stored, according to its header.
struct Storage {
    /// Bits of a pixel.
    bits: usize,
    /// Whether pixels are neither compressed nor packed by bit masks.
    is_plain: bool,
    /// Byte at which the pixels begin.
    start: usize,
    /// Whether the first stored row is the lowest of the image.
    is_bottom_up: bool,
}

impl Storage {
    /// Reads the header; none where it is cut.
    fn of(bytes: &[u8]) -> Option<Self> {
        let short = |at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let long = |at: usize| Some(u32::from(short(at)?) | u32::from(short(at + 2)?) << 16);
        let start = long(10)? as usize;
        // The header of OS/2 1.x has 12 bytes and no compression.
        Some(match long(14)? {
            12 => Storage {
                bits: usize::from(short(24)?),
                is_plain: true,
                start,
                is_bottom_up: true,
            },
            _ => Storage {
                bits: usize::from(short(28)?),
                is_plain: long(30)? == 0,
                start,
                is_bottom_up: long(22)? >> 31 == 0,
            },
        })
    }

    /// Unpacks indices of 1, 2 or 4 bits; rows begin on multiples of four bytes. None where pixels are missing.
    fn unpack(&self, bytes: &[u8], (width, height): (usize, usize)) -> Option<Vec<u8>> {
        let line = (width * self.bits).div_ceil(8);
        let step = line.next_multiple_of(4);
        let row = |at: usize| {
            let place = if self.is_bottom_up {
                height - 1 - at
            } else {
                at
            };
            let start = self.start.checked_add(place * step)?;
            bytes.get(start..start.checked_add(line)?)
        };
        let rows: Option<Vec<&[u8]>> = (0..height).map(row).collect();
        Some(unpack(&rows?.concat(), (width, height), self.bits))
    }
}

/// The indices of the colours of a picture, where each colour has exactly one index; else none.
fn indices_of(picture: &DynamicImage, palette: &[[u8; 3]]) -> Option<Vec<u8>> {
    let mut index_of: HashMap<[u8; 3], Option<u8>> = HashMap::new();
    // Unfilled entries at the end of the palette are black and no indices of their own.
    let filled = palette.iter().rposition(|color| *color != [0; 3]);
    let mut end = filled.map_or(0, |last| last + 1);
    if !palette[..end].contains(&[0; 3]) {
        end += 1;
    }
    for (index, &color) in palette.iter().enumerate().take(end.min(256)) {
        let index = u8::try_from(index).ok();
        index_of
            .entry(color)
            .and_modify(|own| *own = None)
            .or_insert(index);
    }
    let rgb = picture.to_rgb8();
    let index = |pixel: &image::Rgb<u8>| index_of.get(&pixel.0).copied().flatten();
    rgb.pixels().map(index).collect()
}
