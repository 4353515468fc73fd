//! JPEG, decoded strictly.
//!
//! The `image` crate asks its JPEG decoder (zune-jpeg) for as much as can be had of a damaged file, which turns half
//! a photo grey without a word. Here [`structure`] walks through the file first: whether a picture is whole is what its
//! entropy-coded data say, not whether an end marker follows, and what cannot be read is called by its kind.

mod scan;
mod structure;

use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::footprint::Footprint;
use super::raster::{Alpha, Colour, Raster, Samples};
use structure::{Flaw, Structure};

pub(super) use structure::length;

/// A JPEG's pixels, and what is to be said of them.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Not turned yet, with the profile that the file carries.
    pub raster: Raster,
    /// Bytes of its data that belong to no pixel, so that others may be wrong.
    pub unused: usize,
    /// Whether the finest coefficients never came, though the file goes on to its end.
    pub coarse: bool,
}

/// Decodes a JPEG of any kind; `check` sees the size before the pixels are decoded.
///
/// # Errors
/// What is wrong with it, as a part of a sentence about the file.
pub(super) fn decode(
    bytes: &[u8],
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<Decoded, String> {
    let structure = structure::read(bytes, |frame| {
        let size = (frame.width as u32, frame.height as u32); // A JPEG's sides have 16 bits.
        let channels = frame.components.len();
        // The coefficients of all components wait for the last scan.
        let beside = match frame.is_progressive() {
            true => 2 * channels as u64,
            false => 0,
        };
        check(Footprint::new(size, channels, 1).with_beside(beside))
    })
    .map_err(explain)?;
    // What follows the picture may be another one, a video, or nothing where an end marker should be.
    let whole = [&bytes[..structure.end.min(bytes.len())], b"\xff\xd9"].concat();
    // Garbage between the headers hurts nobody; any other irregularity costs pixels.
    let first = match structure.odd_layout {
        true => read_odd(&whole, &structure),
        false => read(&whole, &structure, true),
    };
    let decoded = match first {
        Err(Flaw::Damaged(why)) if why.contains("Extra bytes between headers") => {
            read(&whole, &structure, false)
        }
        other => other,
    };
    Ok(Decoded {
        raster: decoded.map_err(explain)?,
        coarse: structure.coarse,
        unused: structure.unused,
    })
}

fn explain(flaw: Flaw) -> String {
    match flaw {
        Flaw::Truncated => "truncated JPEG: the file ends before the image does".to_owned(),
        Flaw::Damaged(why) => format!("damaged JPEG: {why}"),
        Flaw::Unsupported(why) => why,
    }
}

impl From<zune_jpeg::errors::DecodeErrors> for Flaw {
    fn from(error: zune_jpeg::errors::DecodeErrors) -> Self {
        match error {
            zune_jpeg::errors::DecodeErrors::Unsupported(_) => {
                Flaw::Unsupported("this kind of JPEG is not supported; save it as PNG".into())
            }
            zune_jpeg::errors::DecodeErrors::FormatStatic(why) => Flaw::Damaged(why.into()),
            other => Flaw::Damaged(other.to_string()),
        }
    }
}

/// How the components of a picture code its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

impl Coding {
    /// As libjpeg decides it.
    fn of(structure: &Structure) -> Self {
        let ids: Vec<u8> = structure.frame.components.iter().map(|c| c.id).collect();
        match (ids.as_slice(), structure.jfif, structure.adobe_transform) {
            ([_], ..) => Coding::Grey,
            ([_, _, _], true, _) => Coding::YCbCr,
            ([_, _, _], false, Some(0)) | ([b'R', b'G', b'B'], false, None) => Coding::Rgb,
            ([_, _, _], ..) => Coding::YCbCr,
            (_, _, Some(2)) => Coding::Ycck,
            _ => Coding::Cmyk,
        }
    }
}

/// Reads what zune-jpeg garbles: sequential pictures in several scans, and samplings of 3.
fn read_odd(bytes: &[u8], structure: &Structure) -> Result<Raster, Flaw> {
    let failed = |error: jpeg_decoder::Error| Flaw::Damaged(error.to_string());
    let coding = Coding::of(structure);
    let transform = match coding {
        Coding::Grey => jpeg_decoder::ColorTransform::Grayscale,
        Coding::YCbCr => jpeg_decoder::ColorTransform::YCbCr,
        Coding::Rgb => jpeg_decoder::ColorTransform::RGB,
        Coding::Cmyk | Coding::Ycck => {
            return Err(Flaw::Unsupported(
                "CMYK JPEG in several scans is not supported; save it as baseline JPEG or PNG"
                    .into(),
            ));
        }
    };
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_color_transform(transform);
    let samples = decoder.decode().map_err(failed)?;
    finish(samples, decoder.icc_profile(), structure, coding, false)
}

fn read(bytes: &[u8], structure: &Structure, strict: bool) -> Result<Raster, Flaw> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers()?;
    let assumed = decoder.input_colorspace();
    let coding = Coding::of(structure);
    // Components as they are stored, wherever the decoder has another idea of them than libjpeg.
    let raw = match (coding, assumed) {
        (Coding::Grey, _) => Some(ColorSpace::Luma),
        // Without a transform it first says CMYK, and goes on with RGB where there are three components.
        (Coding::YCbCr, Some(ColorSpace::YCbCr))
        | (Coding::Rgb, Some(ColorSpace::RGB | ColorSpace::CMYK)) => None,
        (Coding::YCbCr | Coding::Rgb | Coding::Cmyk | Coding::Ycck, other) => other,
    };
    if let Some(space) = raw {
        decoder.set_options(options.jpeg_set_out_colorspace(space));
    }
    let samples = decoder.decode()?;
    finish(
        samples,
        decoder.icc_profile(),
        structure,
        coding,
        raw.is_some(),
    )
}

/// Brings components to the colours of a raster; `raw` ones are as they are stored.
fn finish(
    mut samples: Vec<u8>,
    icc: Option<Vec<u8>>,
    structure: &Structure,
    coding: Coding,
    raw: bool,
) -> Result<Raster, Flaw> {
    let colour = match coding {
        Coding::Grey => Colour::Grey,
        Coding::YCbCr | Coding::Rgb => Colour::Rgb,
        Coding::Cmyk | Coding::Ycck => Colour::Cmyk,
    };
    match coding {
        Coding::YCbCr if raw => samples.as_chunks_mut::<3>().0.iter_mut().for_each(ycc),
        Coding::Ycck => {
            for [y, cb, cr, _] in samples.as_chunks_mut::<4>().0 {
                let mut rgb = [*y, *cb, *cr];
                ycc(&mut rgb);
                // Cyan is what is missing of red.
                [*y, *cb, *cr] = rgb.map(|value| 255 - value);
            }
        }
        _ => {}
    }
    // Adobe's programs store inks inverted.
    if colour == Colour::Cmyk && structure.adobe_transform.is_some() {
        samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    let raster = Raster {
        width: structure.frame.width as u32,
        height: structure.frame.height as u32,
        colour,
        alpha: Alpha::None,
        samples: Samples::U8(samples),
        white: 255.0,
        nodata: None,
        icc,
        orientation: Orientation::NoTransforms,
    };
    match raster.is_whole() {
        true => Ok(raster),
        false => Err(Flaw::Damaged(
            "the image is smaller than its header says".into(),
        )),
    }
}

/// JFIF's luma and chroma to red, green and blue.
fn ycc([y, cb, cr]: &mut [u8; 3]) {
    let (luma, blue, red) = (
        f32::from(*y),
        f32::from(*cb) - 128.0,
        f32::from(*cr) - 128.0,
    );
    let rgb = [
        luma + 1.402 * red,
        luma - 0.344_136 * blue - 0.714_136 * red,
        luma + 1.772 * blue,
    ];
    [*y, *cb, *cr] = rgb.map(|value| value.round() as u8); // `as` clamps.
}
