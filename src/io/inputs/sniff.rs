//! Identifies a file by its first bytes: [`identify`] takes up to [`HEAD_BYTES`] and returns a [`FileKind`].
//!
//! Uses the `image` crate's signatures, with stricter checks where two bytes would match ordinary text (`BM…`, `P1 …`),
//! and signatures of other files common in photo folders: phone and camera formats, video clips, pictures that are not
//! photos. A new input format gets its signature here.

use std::path::Path;

use image::ImageFormat;

use super::foreign::format::ForeignFormat;
use super::summary::TARS;
use crate::system::files::signature::{is_own_picture, is_own_tiff};

/// Number of leading bytes of a file that [`identify`] uses.
pub(super) const HEAD_BYTES: usize = 4096;

/// The kind of a file, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// An image in a format that [`jpeg`](super::jpeg), [`tiff`](super::tiff) or [`codec`](super::codec) decodes.
    Image(ImageFormat),
    /// A PNG that this program wrote; a search through folders skips it.
    OwnPicture,
    /// A photo in a format that [`foreign`](super::foreign) decodes.
    Foreign(ForeignFormat),
    /// A tar archive.
    Tar,
    /// A video clip, with the name of its format.
    Clip(&'static str),
    /// A picture that is not read as a photo (a texture, a document), with the name of its format.
    UnsupportedPicture(&'static str),
    /// Anything else.
    Other,
}

impl FileKind {
    /// The name of the kind in a search summary.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Image(format) => format_name(format),
            FileKind::OwnPicture => "pictures by dino",
            FileKind::Foreign(foreign) => foreign.name(),
            FileKind::Clip(name) | FileKind::UnsupportedPicture(name) => name,
            FileKind::Tar => TARS,
            FileKind::Other => "other files",
        }
    }
}

/// The name of a format in messages and summaries.
pub(super) fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Gif => "GIF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Ico => "ICO",
        ImageFormat::Farbfeld => "farbfeld image",
        ImageFormat::Qoi => "QOI",
        _ => "image",
    }
}

/// Identifies a file from all of its bytes, of which it uses the first [`HEAD_BYTES`].
pub(super) fn identify_bytes(bytes: &[u8]) -> FileKind {
    identify(&bytes[..bytes.len().min(HEAD_BYTES)])
}

/// Identifies a file from its first [`HEAD_BYTES`] bytes, or all of them if there are fewer.
pub(super) fn identify(head: &[u8]) -> FileKind {
    if let Some(kind) = by_signature(head) {
        return kind;
    }
    if is_camera_raw(head) {
        return FileKind::Foreign(ForeignFormat::CameraRaw("camera raw"));
    }
    match image::guess_format(head) {
        Ok(ImageFormat::Pnm) if !is_pnm(head) => FileKind::Other,
        Ok(ImageFormat::Bmp) if !is_bmp(head) => FileKind::Other,
        Ok(ImageFormat::Png) if is_own_picture(head) => FileKind::OwnPicture,
        Ok(ImageFormat::Tiff) if is_own_tiff(head) => FileKind::UnsupportedPicture("map of depths"),
        // BigTIFF, which the `image` crate does not recognise.
        _ if head.starts_with(b"II+\0\x08\0\0\0") || head.starts_with(b"MM\0+\0\x08\0\0") => {
            FileKind::Image(ImageFormat::Tiff)
        }
        Ok(format) if format.reading_enabled() => FileKind::Image(format),
        Ok(ImageFormat::OpenExr) => FileKind::UnsupportedPicture("OpenEXR"),
        Ok(ImageFormat::Hdr) => FileKind::UnsupportedPicture("Radiance HDR"),
        Ok(ImageFormat::Dds) => FileKind::UnsupportedPicture("DDS"),
        _ => FileKind::Other,
    }
}

/// Whether a file has the extension of an image, so that other content is an error.
pub(super) fn is_image_name(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    let other_extensions = [
        "heic", "heif", "avif", "jxl", "jp2", "j2k", "raf", "cr2", "cr3", "rw2", "orf", "nef",
        "arw", "dng",
    ];
    ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled())
        || extension.is_some_and(|extension| other_extensions.contains(&extension.as_str()))
}

/// Identifies kinds that the `image` crate does not recognise or misidentifies.
fn by_signature(head: &[u8]) -> Option<FileKind> {
    const JPEG_XL: FileKind = FileKind::Foreign(ForeignFormat::JpegXl);
    const JPEG_2000: FileKind = FileKind::Foreign(ForeignFormat::Jpeg2000);
    const fn raw(name: &'static str) -> FileKind {
        FileKind::Foreign(ForeignFormat::CameraRaw(name))
    }
    const SIGNATURES: &[(&[u8], FileKind)] = &[
        (&[0xff, 0x0a], JPEG_XL),
        (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
        (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000),
        (&[0xff, 0x4f, 0xff, 0x51], JPEG_2000),
        (b"FUJIFILMCCD-RAW", raw("Fujifilm raw")),
        (b"IIU\0", raw("Panasonic raw")),
        (b"IIRO", raw("Olympus raw")),
        (b"IIRS", raw("Olympus raw")),
        (b"MMOR", raw("Olympus raw")),
        (b"FOVb", raw("Sigma raw")),
        (b"\0MRM", raw("Minolta raw")),
        (b"II\x1a\0\0\0HEAPCCDR", raw("Canon raw")),
        (
            &[0x1a, 0x45, 0xdf, 0xa3],
            FileKind::Clip("Matroska or WebM"),
        ),
        (&[0, 0, 1, 0xba], FileKind::Clip("MPEG")),
        (&[0, 0, 1, 0xb3], FileKind::Clip("MPEG")),
        (b"FLV\x01", FileKind::Clip("FLV")),
        (
            &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11],
            FileKind::Clip("Windows Media"),
        ),
        (b"8BPS", FileKind::UnsupportedPicture("Photoshop")),
        (b"gimp xcf", FileKind::UnsupportedPicture("GIMP")),
        (b"II\xbc\x01", FileKind::UnsupportedPicture("JPEG XR")),
        (b"SIMPLE  =", FileKind::UnsupportedPicture("FITS")),
        (b"%PDF-", FileKind::UnsupportedPicture("PDF")),
    ];
    let known = SIGNATURES
        .iter()
        .find(|(signature, _)| head.starts_with(signature));
    if let Some((_, kind)) = known {
        return Some(*kind);
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ") {
        return Some(FileKind::Clip("AVI"));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(FileKind::Tar);
    }
    if head.get(128..132) == Some(b"DICM") {
        return Some(FileKind::UnsupportedPicture("DICOM"));
    }
    let packets = [0, 188, 376, 564];
    if packets.iter().all(|&at| head.get(at) == Some(&0x47)) {
        return Some(FileKind::Clip("MPEG transport stream"));
    }
    by_brand(head)
}

/// Identifies an ISO base media file (ISO/IEC 14496-12) by the brands of its `ftyp` box.
fn by_brand(head: &[u8]) -> Option<FileKind> {
    if head.get(4..8)? != b"ftyp" {
        return None;
    }
    let length = u32::from_be_bytes(*head.first_chunk()?) as usize;
    let brands = head
        .get(8..length.clamp(12, head.len().max(12)))?
        .as_chunks::<4>()
        .0;
    let major = *brands.first()?;
    let has_brand = |names: &[&[u8; 4]]| {
        // The second four bytes are a version.
        let compatible = brands.iter().skip(2);
        names.iter().any(|name| major == **name)
            || compatible.into_iter().any(|brand| names.contains(&brand))
    };
    Some(if major == *b"crx " {
        FileKind::Foreign(ForeignFormat::CameraRaw("Canon raw"))
    } else if has_brand(&[b"avif", b"avis"]) {
        FileKind::Foreign(ForeignFormat::Avif)
    } else if has_brand(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
    ]) {
        FileKind::Foreign(ForeignFormat::Heic)
    } else if major == *b"qt  " {
        FileKind::Clip("QuickTime")
    } else {
        FileKind::Clip("MP4")
    })
}

/// Whether a TIFF is a camera raw file (CR2, NEF, ARW, DNG, …): its first directory describes a small preview
/// (NewSubfileType 1) or carries a DNGVersion, and decoding it would give the preview without a warning.
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

/// Whether a PNM's magic number is followed by white space or a comment, unlike in ordinary text.
fn is_pnm(head: &[u8]) -> bool {
    head.get(2)
        .is_some_and(|&c| c.is_ascii_whitespace() || c == b'#')
        && head.get(3).is_some_and(|&c| {
            c.is_ascii_digit() || c.is_ascii_whitespace() || c == b'#' || c == b'W'
        })
}

/// Whether the size of the second header is one that bitmaps have, unlike in text that starts with "BM".
fn is_bmp(head: &[u8]) -> bool {
    let size = head
        .get(14..18)
        .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
        .map(u32::from_le_bytes);
    matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// Extensions of video files, in lower case.
const VIDEO_EXTENSIONS: [&str; 36] = [
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "avi", "mpg", "mpeg", "mpe", "m1v", "m2v", "ts",
    "mts", "m2ts", "m2t", "vob", "wmv", "asf", "flv", "f4v", "3gp", "3g2", "ogv", "ogm", "y4m",
    "mxf", "gxf", "nut", "rm", "rmvb", "divx", "dv", "mjpeg", "mjpg", "ivf",
];

/// Whether a path has the extension of a video file; extensions of pictures, even animated ones, do not count.
pub fn has_video_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        VIDEO_EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    })
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
            assert_eq!(identify(text.as_bytes()), FileKind::Other, "{text:?}");
        }
        assert_eq!(identify(b"P5 3 4 255\n"), FileKind::Image(ImageFormat::Pnm));
        assert_eq!(
            identify(b"P2\n# made by hand\n1 1 1 1"),
            FileKind::Image(ImageFormat::Pnm)
        );
    }

    #[test]
    fn phone_formats_are_known_by_name() {
        assert_eq!(
            identify(b"\0\0\0\x18ftypheic\0\0\0\0"),
            FileKind::Foreign(ForeignFormat::Heic)
        );
        assert_eq!(
            identify(b"\0\0\0\x1cftypavif\0\0\0\0"),
            FileKind::Foreign(ForeignFormat::Avif)
        );
        // The major brand alone is not decisive.
        assert_eq!(
            identify(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif"),
            FileKind::Foreign(ForeignFormat::Avif)
        );
        assert_eq!(
            identify(b"\0\0\0\x18ftypisom\0\0\0\0"),
            FileKind::Clip("MP4")
        );
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
        assert_eq!(
            identify(&tiff(1)),
            FileKind::Foreign(ForeignFormat::CameraRaw("camera raw"))
        );
        assert_eq!(identify(&tiff(0)), FileKind::Image(ImageFormat::Tiff));
        assert_eq!(
            identify(b"II*\0\x10\0\0\0CR\x02\0"),
            FileKind::Foreign(ForeignFormat::CameraRaw("camera raw"))
        );
        assert_eq!(
            identify(b"MM\0*\xff\xff\xff\xff"),
            FileKind::Image(ImageFormat::Tiff)
        );
    }
}
