//! JPEG 2000 (ISO/IEC 15444-1) through the crate hayro-jpeg2000: bytes to a [`SourceRaster`] of up to 16 bits.

use hayro_jpeg2000::{ColorSpace, DecodeSettings, DecoderContext, Image};

use crate::io::inputs::footprint::Footprint;
use crate::io::inputs::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};

/// The marker EOC, which ends a codestream.
const END_OF_CODESTREAM: [u8; 2] = [0xff, 0xd9];

/// Decodes an image of any depth; more than 16 bits a sample are reduced to 16. `check` may refuse the [`Footprint`]
/// first.
///
/// # Errors
/// Truncated, damaged, of an unsupported number of channels, or refused by `check`, as a part of a sentence about the
/// file.
pub(super) fn decode(
    bytes: &[u8],
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let damaged = |error: hayro_jpeg2000::error::DecodeError| format!("damaged JPEG 2000: {error}");
    let settings = DecodeSettings {
        strict: true,
        ..DecodeSettings::default()
    };
    let image = Image::new(bytes, &settings).map_err(damaged)?;
    let colours = match image.color_space() {
        ColorSpace::Gray => 1,
        ColorSpace::RGB => 3,
        ColorSpace::CMYK => 4,
        ColorSpace::Icc { num_channels, .. } | ColorSpace::Unknown { num_channels } => {
            usize::from(*num_channels)
        }
    };
    let channels = colours + usize::from(image.has_alpha());
    // The decoder keeps coefficients and samples as floats.
    let scratch = 2 * 4 * channels as u64;
    check(Footprint::new((image.width(), image.height()), channels, 2).with_scratch(scratch))?;
    // The decoder returns a coarser picture of a truncated stream without an error.
    if !bytes.windows(2).rev().any(|pair| pair == END_OF_CODESTREAM) {
        return Err("truncated JPEG 2000: the file ends before the image does".into());
    }
    let (colour, icc) = match image.color_space() {
        ColorSpace::Gray => (ColorModel::Grey, None),
        ColorSpace::RGB => (ColorModel::Rgb, None),
        ColorSpace::CMYK => (ColorModel::Cmyk, None),
        ColorSpace::Icc {
            profile,
            num_channels,
        } => match num_channels {
            1 => (ColorModel::Grey, Some(profile.clone())),
            3 => (ColorModel::Rgb, Some(profile.clone())),
            4 => (ColorModel::Cmyk, Some(profile.clone())),
            other => return Err(unsupported(*other)),
        },
        ColorSpace::Unknown { num_channels } => match num_channels {
            1 | 2 => (ColorModel::Grey, None),
            3 => (ColorModel::Rgb, None),
            other => return Err(unsupported(*other)),
        },
    };
    let alpha = match image.has_alpha() {
        true => Alpha::Straight,
        false => Alpha::None,
    };
    let (width, height) = (image.width(), image.height());
    let channels = colour.channels() + usize::from(image.has_alpha());
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(damaged)?;
    let components = decoded.components();
    if components.len() < channels {
        return Err(unsupported(components.len() as u8));
    }
    let bits = components[0].bit_depth().min(16);
    let white = ((1u32 << bits) - 1) as f32;
    let pixels = width as usize * height as usize;
    let mut samples = vec![0u16; pixels * channels];
    for (channel, component) in components.iter().take(channels).enumerate() {
        let component_white = ((1u64 << component.bit_depth()) - 1) as f32;
        let values = samples.iter_mut().skip(channel).step_by(channels);
        for (target, &value) in values.zip(component.samples()) {
            *target = (value / component_white * white).round().clamp(0.0, white) as u16;
        }
    }
    let samples = match bits {
        0..=8 => RasterSamples::U8(samples.into_iter().map(|v| v as u8).collect()),
        _ => RasterSamples::U16(samples),
    };
    let size = (width, height);
    Ok(SourceRaster::new(size, colour, alpha, samples, white, icc))
}

/// The message for a number of channels that has no colour model.
fn unsupported(channels: u8) -> String {
    format!(
        "this kind of JPEG 2000 ({channels} channels) is not supported; convert it to JPEG or PNG first"
    )
}
