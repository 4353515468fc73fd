//! JPEG XL (ISO/IEC 18181) through the crate jxl-oxide: bytes to a [`SourceRaster`] of 8 or 16 bits, upright.

use jxl_oxide::{EnumColourEncoding, JxlImage, PixelFormat, RenderingIntent};

use crate::io::inputs::footprint::Footprint;
use crate::io::inputs::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};

/// The number of animation frames; at least 1.
pub(in crate::io::inputs) fn count_frames(bytes: &[u8]) -> u32 {
    JxlImage::read_with_defaults(bytes)
        .map_or(1, |image| image.num_loaded_keyframes().max(1) as u32)
}

/// Decodes frame `frame`, counted from 0; the decoder turns it upright. `check` may refuse the [`Footprint`] first.
///
/// # Errors
/// Truncated, damaged, of an unsupported number of channels, or refused by `check`, as a part of a sentence about the
/// file.
pub(super) fn decode(
    bytes: &[u8],
    frame: usize,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| {
        let why = error.to_string();
        match why.contains("end of file") || why.contains("EOF") || why.contains("unexpected end") {
            true => "truncated JPEG XL: the file ends before the image does".to_owned(),
            false => format!("damaged JPEG XL: {why}"),
        }
    };
    let mut image = JxlImage::read_with_defaults(bytes).map_err(damaged)?;
    let channels = image.pixel_format().channels();
    // Frames are rendered as floats, of which the filters keep copies.
    let scratch = 3 * 4 * channels as u64;
    check(Footprint::new((image.width(), image.height()), channels, 2).with_scratch(scratch))?;
    if !image.is_loading_done() {
        return Err("truncated JPEG XL: the file ends before the image does".into());
    }
    // Colours that the file describes by enumerated values are converted to sRGB here; an ICC profile is passed on.
    if image.original_icc().is_none() {
        image.request_color_encoding(EnumColourEncoding::srgb(RenderingIntent::Relative));
    }
    let icc = image.original_icc().is_some().then(|| image.rendered_icc());
    let (colour, alpha) = match image.pixel_format() {
        PixelFormat::Gray => (ColorModel::Grey, Alpha::None),
        PixelFormat::Graya => (ColorModel::Grey, Alpha::Straight),
        PixelFormat::Rgb => (ColorModel::Rgb, Alpha::None),
        PixelFormat::Rgba => (ColorModel::Rgb, Alpha::Straight),
        PixelFormat::Cmyk => (ColorModel::Cmyk, Alpha::None),
        PixelFormat::Cmyka => (ColorModel::Cmyk, Alpha::Straight),
    };
    let render = image.render_frame(frame).map_err(damaged)?;
    let mut stream = render.stream();
    let (width, height) = (stream.width(), stream.height());
    let channels = colour.channels() + usize::from(alpha != Alpha::None);
    if stream.channels() as usize != channels {
        return Err(format!(
            "this kind of JPEG XL ({} channels) is not supported; convert it to JPEG or PNG first",
            stream.channels()
        ));
    }
    let mut samples = vec![0u16; width as usize * height as usize * channels];
    stream.write_to_buffer(&mut samples);
    if colour == ColorModel::Cmyk {
        // The decoder represents full ink as 0.
        for pixel in samples.chunks_exact_mut(channels) {
            pixel[..4].iter_mut().for_each(|ink| *ink = 65535 - *ink);
        }
    }
    let deep = image.image_header().metadata.bit_depth.bits_per_sample() > 8;
    let (samples, white) = match deep {
        true => (RasterSamples::U16(samples), 65535.0),
        false => {
            let bytes = samples
                .iter()
                .map(|&v| ((u32::from(v) * 255 + 32_767) / 65_535) as u8);
            (RasterSamples::U8(bytes.collect()), 255.0)
        }
    };
    let size = (width, height);
    Ok(SourceRaster::new(size, colour, alpha, samples, white, icc))
}
