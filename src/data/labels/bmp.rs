//! BMP: indices where it has a palette, else colours.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{DynamicImage, ImageDecoder, ImageError};

use super::raster::{Content, Raster, of_picture};

/// Decodes a BMP.
pub(super) fn decode(bytes: &[u8]) -> Result<Raster, String> {
    let damaged = |error: ImageError| format!("is a damaged BMP: {error}");
    let mut decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let Some(palette) = decoder.get_palette().map(<[[u8; 3]]>::to_vec) else {
        let picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        return Ok(of_picture(picture, "BMP"));
    };
    decoder.set_indexed_color(true);
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    let mut indices = vec![0; width * height];
    decoder.read_image(&mut indices).map_err(damaged)?;
    let content = Content::Indexed { indices, palette };
    Ok(Raster::new((width, height), content, "BMP"))
}
