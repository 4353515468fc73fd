//! What a camera noted about a photo besides its pixels.

use std::io::Cursor;

use exif::{In, Reader, Tag};

use crate::inputs::source::Source;

/// The focal length that would give the photo's field of view on 36 x 24 mm film, in mm, where the camera noted it.
pub fn focal_length_35mm(source: &Source) -> Option<f64> {
    from_bytes(&source.read().ok()?)
}

fn from_bytes(bytes: &[u8]) -> Option<f64> {
    // A photo whose EXIF block is missing or broken is still a photo.
    let exif = Reader::new()
        .read_from_container(&mut Cursor::new(bytes))
        .ok()?;
    let field = exif.get_field(Tag::FocalLengthIn35mmFilm, In::PRIMARY)?;
    // 0 stands for unknown.
    match field.value.get_uint(0)? {
        0 => None,
        mm => Some(f64::from(mm)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use exif::experimental::Writer;
    use exif::{Field, Value};
    use image::ImageEncoder;
    use image::codecs::jpeg::JpegEncoder;

    use super::*;

    /// A JPEG whose EXIF block gives this focal length.
    fn jpeg(mm: u16) -> Vec<u8> {
        let field = Field {
            tag: Tag::FocalLengthIn35mmFilm,
            ifd_num: In::PRIMARY,
            value: Value::Short(vec![mm]),
        };
        let mut writer = Writer::new();
        writer.push_field(&field);
        let mut exif = Cursor::new(Vec::new());
        writer.write(&mut exif, false).unwrap();
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif.into_inner()).unwrap();
        encoder
            .write_image(&[0; 12], 2, 2, image::ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    #[test]
    fn the_focal_length_is_read_where_it_is_known() {
        assert_eq!(from_bytes(&jpeg(28)), Some(28.0));
        assert_eq!(from_bytes(&jpeg(0)), None);
        assert_eq!(from_bytes(b"no photo"), None);
    }
}
