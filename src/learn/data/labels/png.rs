//! PNG (ISO/IEC 15948) as it is stored: numbers of 1 to 16 bits are not scaled, and indices are not turned into
//! colours.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, DecodingError};

use super::raster::{LabelRaster, RasterContent, deep_colors, unpack};

/// Decodes a PNG of one frame, of any colour type and bit depth.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    let damaged = |error: DecodingError| format!("is a damaged PNG: {error}");
    let too_large = || "is too large a PNG".to_owned();
    let mut reader = Decoder::new(Cursor::new(bytes))
        .read_info()
        .map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or_else(too_large)?;
    let mut buffer = vec![0; size];
    reader.next_frame(&mut buffer).map_err(damaged)?;
    let info = reader.info();
    if info
        .animation_control
        .is_some_and(|animation| animation.num_frames > 1)
    {
        return Err("is a PNG of several frames; a label has one".into());
    }
    let (width, height) = (info.width as usize, info.height as usize);
    let depth = info.bit_depth;
    let is_wide = depth == BitDepth::Sixteen;
    // All samples of all channels.
    let samples: Vec<u16> = match depth {
        BitDepth::Sixteen => buffer
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect(),
        BitDepth::Eight => buffer.iter().map(|&v| u16::from(v)).collect(),
        // Only grey and palettes have fewer than 8 bits: one sample for each pixel.
        narrow => unpack(&buffer, (width, height), narrow as usize)
            .into_iter()
            .map(u16::from)
            .collect(),
    };
    let opaque = if is_wide { u16::MAX } else { 255 };
    let alpha = |channels: usize| {
        let alphas = samples
            .chunks_exact(channels)
            .map(|pixel| pixel[channels - 1]);
        alphas.filter(|&alpha| alpha != opaque).count()
    };
    let grey = |step: usize| RasterContent::Integers {
        values: samples
            .iter()
            .step_by(step)
            .map(|&v| i64::from(v))
            .collect(),
        bits: depth as u8,
    };
    let colors = |channels: usize| {
        let pixels = samples.chunks_exact(channels);
        let pixels = pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]);
        match is_wide {
            true => deep_colors(pixels.collect()),
            false => RasterContent::Colors(pixels.map(|pixel| pixel.map(|v| v as u8)).collect()),
        }
    };
    let (content, transparent) = match info.color_type {
        ColorType::Grayscale => (grey(1), 0),
        ColorType::GrayscaleAlpha => (grey(2), alpha(2)),
        ColorType::Rgb => (colors(3), 0),
        ColorType::Rgba => (colors(4), alpha(4)),
        ColorType::Indexed => {
            let palette = info.palette.as_deref().unwrap_or_default();
            let content = RasterContent::Indexed {
                indices: samples.iter().map(|&v| v as u8).collect(),
                palette: palette.as_chunks::<3>().0.to_vec(),
            };
            // The opacity of a palette's colours does not change the meaning of an index.
            (content, 0)
        }
    };
    let mut raster = LabelRaster::new((width, height), content, "PNG");
    raster.transparent = transparent;
    raster.notes = own_notes(&info.uncompressed_latin1_text, &info.utf8_text);
    Ok(raster)
}

/// The text chunks of a PNG that this program wrote; empty for others.
fn own_notes(
    latin: &[png::text_metadata::TEXtChunk],
    utf8: &[png::text_metadata::ITXtChunk],
) -> Vec<(String, String)> {
    let latin = latin
        .iter()
        .map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
    let utf8 = utf8
        .iter()
        .filter_map(|chunk| Some((chunk.keyword.clone(), chunk.get_text().ok()?)));
    let all: Vec<_> = latin.chain(utf8).collect();
    match all
        .iter()
        .any(|(keyword, text)| keyword == "Software" && text.starts_with("dino "))
    {
        true => all,
        false => Vec::new(),
    }
}
