//! TIFF with one 32-bit float per pixel, which geographic and scientific programs read.
//!
//! The tags Software and ImageDescription hold the program's name and the meaning of the values.

use std::io::{self, Cursor, Write};

use tiff::TiffError;
use tiff::encoder::TiffEncoder;
use tiff::encoder::colortype::Gray32Float;
use tiff::tags::Tag;

use crate::io::output::map_size::check_size;
use crate::system::files::signature::PROGRAM;

/// Writes `values` `[height, width]`, uncompressed, with `description` as the tag ImageDescription.
///
/// # Errors
/// If writing fails, or `values` does not fill the size.
pub fn write_tiff(
    mut writer: impl Write,
    (width, height): (usize, usize),
    values: &[f32],
    description: &str,
) -> io::Result<()> {
    check_size((width, height), values.len())?;
    // The header holds the position of the directory, which follows the pixels: the file is built in memory.
    let mut file = Cursor::new(Vec::with_capacity(values.len() * 4 + 1024));
    encode(
        &mut file,
        (width as u32, height as u32),
        values,
        description,
    )
    .map_err(|error| match error {
        TiffError::IoError(error) => error,
        other => io::Error::other(other),
    })?;
    writer.write_all(&file.into_inner())
}

/// Encodes the image into `file`.
fn encode(
    file: &mut Cursor<Vec<u8>>,
    (width, height): (u32, u32),
    values: &[f32],
    description: &str,
) -> Result<(), TiffError> {
    let mut encoder = TiffEncoder::new(file)?;
    let mut image = encoder.new_image::<Gray32Float>(width, height)?;
    // Before the pixels, so that `is_own_tiff` finds it.
    image.encoder().write_tag(Tag::Software, PROGRAM)?;
    image
        .encoder()
        .write_tag(Tag::ImageDescription, description)?;
    image.write_data(values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tiff::decoder::{Decoder, DecodingResult};

    use super::*;
    use crate::system::files::signature::is_own_tiff;

    #[test]
    fn numbers_and_words_come_back() {
        // More than one strip.
        let values: Vec<f32> = (0..700 * 500).map(|i| 0.5 + i as f32 / 700.0).collect();
        let mut bytes = Vec::new();
        write_tiff(&mut bytes, (700, 500), &values, "depth in m").unwrap();
        assert!(is_own_tiff(&bytes[..4096]));
        let mut decoder = Decoder::new(Cursor::new(&bytes)).unwrap();
        assert_eq!(decoder.dimensions().unwrap(), (700, 500));
        assert_eq!(
            decoder.get_tag_ascii_string(Tag::ImageDescription).unwrap(),
            "depth in m"
        );
        let DecodingResult::F32(found) = decoder.read_image().unwrap() else {
            panic!("expected floats");
        };
        assert_eq!(found, values);
    }

    #[test]
    fn other_tiffs_are_not_ours() {
        let mut file = Cursor::new(Vec::new());
        image::RgbImage::new(3, 3)
            .write_to(&mut file, image::ImageFormat::Tiff)
            .unwrap();
        assert!(!is_own_tiff(&file.into_inner()));
        assert!(!is_own_tiff(b"II"));
    }

    #[test]
    fn a_wrong_size_is_refused() {
        assert!(write_tiff(Vec::new(), (2, 2), &[0.0; 3], "").is_err());
        assert!(write_tiff(Vec::new(), (0, 2), &[], "").is_err());
    }
}
