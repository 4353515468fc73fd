//! GIF (GIF89a) as it is stored: indices and their palette, which are not turned into colours.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, DecodingError};

use super::raster::{LabelRaster, RasterContent};

/// Decodes a GIF of one frame that covers the whole image.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    let damaged = |error: DecodingError| format!("is a damaged GIF: {error}");
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = (decoder.width(), decoder.height());
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder
        .read_next_frame()
        .map_err(damaged)?
        .ok_or("is a GIF without a picture")?;
    if (frame.left, frame.top, frame.width, frame.height) != (0, 0, width, height) {
        return Err(format!(
            "is a GIF whose picture fills {} x {} of {width} x {height} pixels; a label has a number for every pixel",
            frame.width, frame.height
        ));
    }
    let palette = frame.palette.clone().or(global).unwrap_or_default();
    let content = RasterContent::Indexed {
        indices: frame.buffer.to_vec(),
        palette: palette.as_chunks::<3>().0.to_vec(),
    };
    // Some programs omit the end mark; the image is complete all the same.
    if matches!(decoder.next_frame_info(), Ok(Some(_))) {
        return Err("is a GIF of several frames; a label has one".into());
    }
    Ok(LabelRaster::new(
        (usize::from(width), usize::from(height)),
        content,
        "GIF",
    ))
}
