//! PNG with text chunks, compressed at a fast setting, since pictures are read only a few times.
//!
//! Every PNG of the program is written here, and begins with the text chunk by which it is recognised later
//! ([`is_own_picture`](crate::system::files::signature::is_own_picture)).

use std::borrow::Cow;
use std::io::{self, Write};

use png::{BitDepth, ColorType, Compression, EncodingError, Filter};

use crate::system::files::signature::{PROGRAM, SOFTWARE};

/// Pixels, row by row without padding, in one of the layouts of outputs.
#[derive(Debug, Clone, Copy)]
pub enum PngPixels<'a> {
    /// Red, green and blue.
    Rgb8(&'a [u8]),
    /// Red, green, blue and opacity.
    Rgba8(&'a [u8]),
    /// 8-bit grey levels.
    Gray8(&'a [u8]),
    /// 16-bit grey levels or numbers.
    Gray16(&'a [u16]),
    /// 8-bit indices, and the palette.
    Indexed(&'a [u8], &'a [[u8; 3]]),
}

/// Writes a PNG of (width, height) with `text` as pairs of keyword and value, behind the program's own text chunk
/// ([`SOFTWARE`]).
///
/// # Errors
/// If writing fails, or the pixels do not fill the size.
pub fn write_png(
    writer: impl Write,
    (width, height): (u32, u32),
    pixels: PngPixels<'_>,
    text: &[(&str, String)],
) -> io::Result<()> {
    let mut encoder = png::Encoder::new(writer, width, height);
    encoder.set_compression(Compression::Fast);
    let (color, depth, bytes): (_, _, Cow<'_, [u8]>) = match pixels {
        PngPixels::Rgb8(rgb) => {
            // The filter that adaptive selection nearly always chooses for these pictures; fixing it saves a seventh of
            // the time.
            encoder.set_filter(Filter::Paeth);
            (ColorType::Rgb, BitDepth::Eight, rgb.into())
        }
        PngPixels::Rgba8(rgba) => {
            encoder.set_filter(Filter::Paeth);
            (ColorType::Rgba, BitDepth::Eight, rgba.into())
        }
        PngPixels::Gray8(gray) => (ColorType::Grayscale, BitDepth::Eight, gray.into()),
        PngPixels::Gray16(gray) => {
            let bytes: Vec<u8> = gray.iter().flat_map(|value| value.to_be_bytes()).collect();
            (ColorType::Grayscale, BitDepth::Sixteen, bytes.into())
        }
        PngPixels::Indexed(indices, palette) => {
            encoder.set_palette(palette.as_flattened());
            (ColorType::Indexed, BitDepth::Eight, indices.into())
        }
    };
    encoder.set_color(color);
    encoder.set_depth(depth);
    let own = (SOFTWARE, PROGRAM.to_owned());
    for (keyword, value) in std::iter::once(&own).chain(text) {
        let add = if value.chars().all(|c| u32::from(c) < 256) {
            png::Encoder::add_text_chunk
        } else {
            png::Encoder::add_itxt_chunk
        };
        add(&mut encoder, (*keyword).to_owned(), value.clone()).map_err(to_io)?;
    }
    let mut writer = encoder.write_header().map_err(to_io)?;
    writer.write_image_data(&bytes).map_err(to_io)?;
    writer.finish().map_err(to_io)
}

fn to_io(error: EncodingError) -> io::Error {
    match error {
        EncodingError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::system::files::signature::is_own_picture;

    fn decode(bytes: &[u8]) -> image::DynamicImage {
        image::load_from_memory_with_format(bytes, image::ImageFormat::Png).unwrap()
    }

    #[test]
    fn every_layout_reads_back() {
        let write = |pixels| {
            let mut bytes = Vec::new();
            write_png(&mut bytes, (2, 1), pixels, &[]).unwrap();
            decode(&bytes)
        };
        assert_eq!(
            write(PngPixels::Rgb8(&[1, 2, 3, 4, 5, 6])).into_bytes(),
            [1, 2, 3, 4, 5, 6]
        );
        let rgba = [1, 2, 3, 255, 0, 0, 0, 0];
        assert_eq!(write(PngPixels::Rgba8(&rgba)).into_bytes(), rgba);
        assert_eq!(write(PngPixels::Gray8(&[7, 200])).into_bytes(), [7, 200]);
        assert_eq!(
            write(PngPixels::Gray16(&[258, 65535]))
                .into_luma16()
                .into_raw(),
            [258, 65535]
        );
        let palette = [[9, 8, 7], [1, 1, 1]];
        assert_eq!(
            write(PngPixels::Indexed(&[1, 0], &palette))
                .into_rgb8()
                .into_raw(),
            [1, 1, 1, 9, 8, 7]
        );
    }

    #[test]
    fn text_is_kept_and_the_picture_is_known_as_ours() {
        let mut bytes = Vec::new();
        let text = [
            ("unit", "m²".to_owned()),
            ("Title", "näher als 3 →".to_owned()),
        ];
        write_png(&mut bytes, (1, 1), PngPixels::Gray8(&[0]), &text).unwrap();
        assert!(is_own_picture(&bytes));
        let reader = png::Decoder::new(io::Cursor::new(&bytes))
            .read_info()
            .unwrap();
        let latin: Vec<_> = reader
            .info()
            .uncompressed_latin1_text
            .iter()
            .map(|t| t.text.as_str())
            .collect();
        assert_eq!(latin, [PROGRAM, "m²"]);
        assert_eq!(
            reader.info().utf8_text[0].get_text().unwrap(),
            "näher als 3 →"
        );
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        assert!(write_png(Vec::new(), (2, 2), PngPixels::Rgb8(&[0; 5]), &[]).is_err());
        assert!(write_png(Vec::new(), (0, 2), PngPixels::Rgb8(&[]), &[]).is_err());
    }
}
