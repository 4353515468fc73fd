//! Strict JPEG decoding: bytes to a [`SourceRaster`] of 8-bit samples, or a sentence about what is wrong.
//!
//! The `image` crate has its JPEG decoder (zune-jpeg) recover what it can of a damaged file, which may leave half a
//! photo grey without a warning. Here [`structure`] walks through the file first (ITU-T T.81): its entropy-coded data
//! decide whether a picture is complete, not an end marker, and unsupported kinds are named. The samples then come from
//! zune-jpeg, or from jpeg-decoder for the layouts that zune-jpeg decodes wrongly.

mod bits;
mod error;
mod frame;
mod huffman;
mod markers;
mod scan;
mod structure;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::footprint::Footprint;
use super::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};
use error::JpegError;
use structure::JpegStructure;

pub(super) use markers::encoded_length;

/// A decoded JPEG, and the causes for warnings.
#[derive(Debug)]
pub(super) struct DecodedJpeg {
    /// The samples, before the EXIF orientation is applied, with the ICC profile of the file.
    pub raster: SourceRaster,
    /// Bytes of the scans' data that belong to no pixel; more than a few mean that pixels may be wrong.
    pub stray_bytes: usize,
    /// Whether the last refinement scans are missing, although the file has its end marker.
    pub lacks_fine_scans: bool,
}

/// Decodes a baseline, extended sequential or progressive JPEG of 8 bits; `check` may refuse its [`Footprint`] before
/// any pixel is decoded.
///
/// # Errors
/// What is wrong with the file, as a part of a sentence about it: truncated, damaged, of an unsupported kind, or
/// refused by `check`.
pub(super) fn decode(
    bytes: &[u8],
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<DecodedJpeg, String> {
    let structure = structure::read(bytes, |frame| {
        let size = (frame.width as u32, frame.height as u32); // A JPEG's sides have 16 bits.
        let channels = frame.components.len();
        // The coefficients of all components are kept until the last scan.
        let scratch = match frame.is_progressive() {
            true => 2 * channels as u64,
            false => 0,
        };
        check(Footprint::new(size, channels, 1).with_scratch(scratch))
    })
    .map_err(explain)?;
    // The picture may be followed by another one, by a video, or by nothing where an end marker should be.
    let whole = [&bytes[..structure.end.min(bytes.len())], b"\xff\xd9"].concat();
    // Garbage between the headers does no harm; any other irregularity costs pixels.
    let strict = match structure.has_unusual_layout {
        true => decode_with_jpeg_decoder(&whole, &structure),
        false => decode_with_zune(&whole, &structure, true),
    };
    let decoded = match strict {
        Err(JpegError::Damaged(why)) if why.contains("Extra bytes between headers") => {
            decode_with_zune(&whole, &structure, false)
        }
        other => other,
    };
    Ok(DecodedJpeg {
        raster: decoded.map_err(explain)?,
        lacks_fine_scans: structure.lacks_fine_scans,
        stray_bytes: structure.stray_bytes,
    })
}

/// The error as a part of a sentence about the file.
fn explain(error: JpegError) -> String {
    match error {
        JpegError::Truncated => "truncated JPEG: the file ends before the image does".to_owned(),
        JpegError::Damaged(why) => format!("damaged JPEG: {why}"),
        JpegError::Unsupported(why) => why,
    }
}

impl From<zune_jpeg::errors::DecodeErrors> for JpegError {
    fn from(error: zune_jpeg::errors::DecodeErrors) -> Self {
        match error {
            zune_jpeg::errors::DecodeErrors::Unsupported(_) => {
                JpegError::Unsupported("this kind of JPEG is not supported; save it as PNG".into())
            }
            zune_jpeg::errors::DecodeErrors::FormatStatic(why) => JpegError::Damaged(why.into()),
            other => JpegError::Damaged(other.to_string()),
        }
    }
}

/// The colour space of a picture's components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JpegColorSpace {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

impl JpegColorSpace {
    /// Decides as libjpeg does: by the number and identifiers of the components, JFIF and Adobe segments.
    fn of(structure: &JpegStructure) -> Self {
        let ids: Vec<u8> = structure.frame.components.iter().map(|c| c.id).collect();
        match (
            ids.as_slice(),
            structure.has_jfif,
            structure.adobe_transform,
        ) {
            ([_], ..) => JpegColorSpace::Grey,
            ([_, _, _], true, _) => JpegColorSpace::YCbCr,
            ([_, _, _], false, Some(0)) | ([b'R', b'G', b'B'], false, None) => JpegColorSpace::Rgb,
            ([_, _, _], ..) => JpegColorSpace::YCbCr,
            (_, _, Some(2)) => JpegColorSpace::Ycck,
            _ => JpegColorSpace::Cmyk,
        }
    }
}

/// Decodes what zune-jpeg decodes wrongly: sequential pictures in several scans, and sampling factors of 3.
fn decode_with_jpeg_decoder(
    bytes: &[u8],
    structure: &JpegStructure,
) -> Result<SourceRaster, JpegError> {
    let failed = |error: jpeg_decoder::Error| JpegError::Damaged(error.to_string());
    let coding = JpegColorSpace::of(structure);
    let transform = match coding {
        JpegColorSpace::Grey => jpeg_decoder::ColorTransform::Grayscale,
        JpegColorSpace::YCbCr => jpeg_decoder::ColorTransform::YCbCr,
        JpegColorSpace::Rgb => jpeg_decoder::ColorTransform::RGB,
        JpegColorSpace::Cmyk | JpegColorSpace::Ycck => {
            return Err(JpegError::Unsupported(
                "CMYK JPEG in several scans is not supported; save it as baseline JPEG or PNG"
                    .into(),
            ));
        }
    };
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_color_transform(transform);
    let samples = decoder.decode().map_err(failed)?;
    raster_from_components(samples, decoder.icc_profile(), structure, coding, false)
}

/// Decodes with zune-jpeg; `strict` refuses any irregularity between the markers.
fn decode_with_zune(
    bytes: &[u8],
    structure: &JpegStructure,
    strict: bool,
) -> Result<SourceRaster, JpegError> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers()?;
    let assumed = decoder.input_colorspace();
    let coding = JpegColorSpace::of(structure);
    // Components are taken as stored wherever zune-jpeg and libjpeg disagree about the colours.
    let raw = match (coding, assumed) {
        (JpegColorSpace::Grey, _) => Some(ColorSpace::Luma),
        // For an Adobe transform of 0 zune-jpeg reports CMYK, and decodes three components as RGB.
        (JpegColorSpace::YCbCr, Some(ColorSpace::YCbCr))
        | (JpegColorSpace::Rgb, Some(ColorSpace::RGB | ColorSpace::CMYK)) => None,
        (
            JpegColorSpace::YCbCr
            | JpegColorSpace::Rgb
            | JpegColorSpace::Cmyk
            | JpegColorSpace::Ycck,
            other,
        ) => other,
    };
    if let Some(space) = raw {
        decoder.set_options(options.jpeg_set_out_colorspace(space));
    }
    let samples = decoder.decode()?;
    raster_from_components(
        samples,
        decoder.icc_profile(),
        structure,
        coding,
        raw.is_some(),
    )
}

/// Converts the decoded components to the colour model of a raster; `raw` means that they are as stored, without colour
/// conversion.
///
/// # Errors
/// [`JpegError::Damaged`] if there are fewer samples than the size needs.
fn raster_from_components(
    mut samples: Vec<u8>,
    icc: Option<Vec<u8>>,
    structure: &JpegStructure,
    coding: JpegColorSpace,
    raw: bool,
) -> Result<SourceRaster, JpegError> {
    let colour = match coding {
        JpegColorSpace::Grey => ColorModel::Grey,
        JpegColorSpace::YCbCr | JpegColorSpace::Rgb => ColorModel::Rgb,
        JpegColorSpace::Cmyk | JpegColorSpace::Ycck => ColorModel::Cmyk,
    };
    match coding {
        JpegColorSpace::YCbCr if raw => samples
            .as_chunks_mut::<3>()
            .0
            .iter_mut()
            .for_each(ycc_to_rgb),
        JpegColorSpace::Ycck => {
            for [y, cb, cr, _] in samples.as_chunks_mut::<4>().0 {
                let mut rgb = [*y, *cb, *cr];
                ycc_to_rgb(&mut rgb);
                // YCCK codes CMY as inverted RGB.
                [*y, *cb, *cr] = rgb.map(|value| 255 - value);
            }
        }
        _ => {}
    }
    // Adobe's programs store inks inverted.
    if colour == ColorModel::Cmyk && structure.adobe_transform.is_some() {
        samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    let size = (structure.frame.width as u32, structure.frame.height as u32);
    let samples = RasterSamples::U8(samples);
    let raster = SourceRaster::new(size, colour, Alpha::None, samples, 255.0, icc);
    match raster.is_whole() {
        true => Ok(raster),
        false => Err(JpegError::Damaged(
            "the image is smaller than its header says".into(),
        )),
    }
}

/// Converts one pixel in place from YCbCr to RGB, 8 bits each, with the coefficients of JFIF.
fn ycc_to_rgb([y, cb, cr]: &mut [u8; 3]) {
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
