//! What the first bytes of a file say it is.
//!
//! The `image` crate's signatures, tightened where two bytes would claim ordinary text (`BM…`, `P1 …`), and the
//! camera formats that this program knows by sight but cannot decode.

use std::path::Path;

use image::ImageFormat;

use crate::output::{is_own_picture, is_own_tiff};

/// How many leading bytes [`identify`] needs.
pub(super) const HEAD: usize = 4096;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An image that can be decoded.
    Image(ImageFormat),
    /// A picture that this program made; folders are searched for photos, not for these.
    OwnPicture,
    /// A photo in a format that has no decoder in Rust without C code.
    Undecodable(&'static str),
    /// An image that is no finished photo (camera raw, a texture): nobody misses it in a folder.
    Unsuitable(&'static str),
    /// Anything else.
    Other,
}

/// Names the kind of a file from its first [`HEAD`] bytes (or all of it, if shorter).
pub(super) fn identify(head: &[u8]) -> Kind {
    if let Some(name) = undecodable(head) {
        return Kind::Undecodable(name);
    }
    if is_camera_raw(head) {
        return Kind::Unsuitable("camera raw");
    }
    match image::guess_format(head) {
        Ok(ImageFormat::Pnm) if !is_pnm(head) => Kind::Other,
        Ok(ImageFormat::Bmp) if !is_bmp(head) => Kind::Other,
        Ok(ImageFormat::Png) if is_own_picture(head) => Kind::OwnPicture,
        Ok(ImageFormat::Tiff) if is_own_tiff(head) => Kind::Unsuitable("a map of depths"),
        Ok(format) if format.reading_enabled() => Kind::Image(format),
        Ok(ImageFormat::OpenExr) => Kind::Unsuitable("OpenEXR"),
        Ok(ImageFormat::Hdr) => Kind::Unsuitable("Radiance HDR"),
        Ok(ImageFormat::Dds) => Kind::Unsuitable("DDS"),
        _ => Kind::Other,
    }
}

/// Whether a file's name promises an image, so that content that is none deserves a word.
pub(super) fn is_image_name(path: &Path) -> bool {
    ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled())
}

/// Photo formats that have no decoder in Rust without C code.
fn undecodable(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(&[0xff, 0x0a]) || head.starts_with(b"\0\0\0\x0cJXL \r\n\x87\n") {
        return Some("JPEG XL");
    }
    if head.starts_with(b"\0\0\0\x0cjP  \r\n\x87\n") {
        return Some("JPEG 2000");
    }
    match (head.get(4..8)?, head.get(8..12)?) {
        (b"ftyp", b"avif" | b"avis") => Some("AVIF"),
        (
            b"ftyp",
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1",
        ) => Some("HEIC"),
        _ => None,
    }
}

/// Whether a TIFF is a camera raw file (CR2, NEF, ARW, DNG, …): its first directory describes a small preview
/// (NewSubfileType 1) or carries a DNGVersion, and decoding it would quietly give the preview.
fn is_camera_raw(head: &[u8]) -> bool {
    const NEW_SUBFILE_TYPE: u16 = 254;
    const DNG_VERSION: u16 = 50706;
    let little = head.starts_with(b"II*\0");
    if !little && !head.starts_with(b"MM\0*") {
        return false;
    }
    let u16_at = |at: usize| {
        let bytes: [u8; 2] = head.get(at..at + 2)?.try_into().ok()?;
        Some(if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    };
    let u32_at = |at: usize| {
        let bytes: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
        Some(if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    };
    let directory = u32_at(4).map_or(usize::MAX / 2, |at| at as usize);
    let entries = u16_at(directory).map_or(0, usize::from);
    head.get(8..10) == Some(b"CR")
        || (0..entries)
            .map(|i| directory + 2 + 12 * i)
            .any(|entry| match u16_at(entry) {
                Some(NEW_SUBFILE_TYPE) => u32_at(entry + 8).is_some_and(|kind| kind & 1 == 1),
                tag => tag == Some(DNG_VERSION),
            })
}

/// A magic number and white space (or a comment) follow each other in every PNM.
fn is_pnm(head: &[u8]) -> bool {
    head.get(2)
        .is_some_and(|&c| c.is_ascii_whitespace() || c == b'#')
        && head.get(3).is_some_and(|&c| {
            c.is_ascii_digit() || c.is_ascii_whitespace() || c == b'#' || c == b'W'
        })
}

/// The size of the second header tells a bitmap from a text that starts with "BM".
fn is_bmp(head: &[u8]) -> bool {
    let size = head
        .get(14..18)
        .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
        .map(u32::from_le_bytes);
    matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_taken_for_an_image() {
        for text in [
            "BMW and other cars, a list",
            "P1 bugs: none",
            "P3",
            "",
            "hello",
        ] {
            assert_eq!(identify(text.as_bytes()), Kind::Other, "{text:?}");
        }
        assert_eq!(identify(b"P5 3 4 255\n"), Kind::Image(ImageFormat::Pnm));
        assert_eq!(
            identify(b"P2\n# made by hand\n1 1 1 1"),
            Kind::Image(ImageFormat::Pnm)
        );
    }

    #[test]
    fn phone_formats_are_known_by_name() {
        assert_eq!(
            identify(b"\0\0\0\x18ftypheic\0\0\0\0"),
            Kind::Undecodable("HEIC")
        );
        assert_eq!(
            identify(b"\0\0\0\x1cftypavif\0\0\0\0"),
            Kind::Undecodable("AVIF")
        );
        assert_eq!(identify(b"\0\0\0\x18ftypisom\0\0\0\0"), Kind::Other);
    }

    #[test]
    fn camera_raw_is_not_taken_for_its_preview() {
        // A directory at 8 with one entry: NewSubfileType, LONG, count 1.
        let tiff = |kind: u8| {
            [
                b"II*\0\x08\0\0\0\x01\0\xfe\0\x04\0\x01\0\0\0".as_slice(),
                &[kind, 0, 0, 0],
            ]
            .concat()
        };
        assert_eq!(identify(&tiff(1)), Kind::Unsuitable("camera raw"));
        assert_eq!(identify(&tiff(0)), Kind::Image(ImageFormat::Tiff));
        assert_eq!(
            identify(b"II*\0\x10\0\0\0CR\x02\0"),
            Kind::Unsuitable("camera raw")
        );
        assert_eq!(
            identify(b"MM\0*\xff\xff\xff\xff"),
            Kind::Image(ImageFormat::Tiff)
        );
    }
}
