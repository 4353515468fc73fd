//! JPEG, decoded strictly.
//!
//! The `image` crate asks its JPEG decoder (zune-jpeg) for as much as can be had of a damaged file, which turns half
//! a photo grey without a word. Here a file that ends early, or whose entropy-coded data does not parse, is an error.

use image::RgbImage;
use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Decodes a JPEG of any kind to RGB, not yet turned upright; `check` sees the size before the pixels are decoded.
pub(super) fn decode(
    bytes: &[u8],
    check: impl Fn(u32, u32) -> Result<(), String>,
) -> Result<(RgbImage, Orientation), String> {
    let layout = Layout::of(bytes);
    let damaged = |error: String| match layout.complete {
        false => "truncated JPEG: the file ends before the image does".to_owned(),
        true => format!("damaged JPEG: {error}"),
    };
    // Garbage between the headers hurts nobody; any other irregularity costs pixels.
    let attempt = |strict| read(bytes, strict, layout.adobe, &check);
    let decoded = match attempt(true) {
        Err(Failure::Damaged(why)) if why.contains("Extra bytes between headers") => attempt(false),
        other => other,
    };
    match decoded {
        Ok(_) if !layout.complete => Err(damaged(String::new())),
        Ok(decoded) => Ok(decoded),
        Err(Failure::Damaged(why)) => Err(damaged(why)),
        Err(Failure::Refused(why)) => Err(why),
    }
}

enum Failure {
    /// The data are not as they should be.
    Damaged(String),
    /// The data may be fine, but we don't take them.
    Refused(String),
}

impl From<zune_jpeg::errors::DecodeErrors> for Failure {
    fn from(error: zune_jpeg::errors::DecodeErrors) -> Self {
        match error {
            zune_jpeg::errors::DecodeErrors::Unsupported(_) => Failure::Refused(
                "this kind of JPEG (lossless or arithmetic coding) is not supported; save it as baseline JPEG or PNG"
                    .into(),
            ),
            zune_jpeg::errors::DecodeErrors::FormatStatic(why) => Failure::Damaged(why.into()),
            other => Failure::Damaged(other.to_string()),
        }
    }
}

fn read(
    bytes: &[u8],
    strict: bool,
    adobe: bool,
    check: impl Fn(u32, u32) -> Result<(), String>,
) -> Result<(RgbImage, Orientation), Failure> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers()?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (width as u32, height as u32); // A JPEG's sides have 16 bits.
    check(width, height).map_err(Failure::Refused)?;
    let orientation = decoder
        .exif()
        .and_then(|exif| Orientation::from_exif_chunk(exif));

    // Adobe's programs store inks inverted, and zune-jpeg takes that for granted.
    let plain_cmyk = decoder.input_colorspace() == Some(ColorSpace::CMYK) && !adobe;
    if plain_cmyk {
        decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::CMYK));
    }
    let pixels = decoder.decode()?;
    let pixels = if plain_cmyk {
        cmyk_to_rgb(&pixels)
    } else {
        pixels
    };
    let image = RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| Failure::Damaged("the image is smaller than its header says".into()))?;
    Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// Inks on white paper; without a colour profile this is all that can be said.
fn cmyk_to_rgb(pixels: &[u8]) -> Vec<u8> {
    let shine = |ink: u8, black: u8| {
        let product = u32::from(255 - ink) * u32::from(255 - black);
        ((product + 127) / 255) as u8
    };
    pixels
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|&[c, m, y, k]| [shine(c, k), shine(m, k), shine(y, k)])
        .collect()
}

/// What the markers alone tell about a JPEG (ITU-T T.81, annex B).
struct Layout {
    /// Whether it goes on to its end-of-image marker.
    complete: bool,
    /// Whether there is an Adobe segment.
    adobe: bool,
}

impl Layout {
    fn of(bytes: &[u8]) -> Self {
        const END_OF_IMAGE: u8 = 0xd9;
        let mut layout = Layout {
            complete: false,
            adobe: false,
        };
        let mut at = 2;
        while let Some(offset) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&b| b == 0xff))
        {
            at += offset + 1;
            match bytes.get(at) {
                Some(&END_OF_IMAGE) => {
                    layout.complete = true;
                    break;
                }
                // A fill byte: the next byte may be the marker.
                Some(0xff) => {}
                // A stuffed zero, a restart, TEM, SOI: no segment follows. Entropy-coded data is stepped over alike.
                Some(0x00 | 0x01 | 0xd0..=0xd8) | None => at += 1,
                Some(marker) => {
                    let length = match bytes.get(at + 1..at + 3) {
                        Some(&[high, low]) => usize::from(high) << 8 | usize::from(low),
                        _ => break,
                    };
                    layout.adobe |= *marker == 0xee && bytes.get(at + 3..at + 8) == Some(b"Adobe");
                    at += 1 + length.max(2);
                }
            }
        }
        layout
    }
}
