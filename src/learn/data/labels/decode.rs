//! From the bytes of a label file to its pixels. The format is told by the first bytes, never by the file's name,
//! because extensions often lie.
//!
//! One module decodes one format, from the whole file in memory to a [`LabelRaster`]; [`decode()`] chooses among them.
//! A format is added as such a module with `decode(bytes) -> Result<LabelRaster, String>` (the error says in words what
//! is wrong with the file), a line with its first bytes here, its extension in `folder_names::LABEL_EXTENSIONS` (and in
//! `DATA_EXTENSIONS` where it is never a photo's), and a test in `tests/`.

use std::path::Path;

use super::raster::{LabelRaster, raster_from_image};
use super::{bmp, exr, gif, npy, pfm, pgm, png, tiff};
use crate::error::{Error, Result};

/// Reads and decodes a label file. Of an archive with several arrays it takes the one with the first name of `keys`
/// that exists.
///
/// # Errors
/// Where the file cannot be read, is of no known format, damaged, or has no pixels.
pub(super) fn read(path: &Path, keys: &[&str]) -> Result<LabelRaster> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    decode(&bytes, keys).map_err(|why| Error::file(path, why))
}

/// Decodes the bytes of a label file, as [`read`] does.
pub(super) fn decode(bytes: &[u8], keys: &[&str]) -> Result<LabelRaster, String> {
    let raster = match bytes {
        [] => return Err("is empty".into()),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy::decode(bytes),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => npy::decode_archive(bytes, keys),
        [0x76, 0x2f, 0x31, 1, ..] => exr::decode(bytes),
        [b'P', b'f' | b'F', space, ..] if space.is_ascii_whitespace() => pfm::decode(bytes),
        [b'P', b'I', b'E', b'H', ..] => pfm::decode_dpt(bytes),
        [b'P', b'2' | b'5', space, ..] if space.is_ascii_whitespace() => pgm::decode(bytes),
        [0x89, b'P', b'N', b'G', ..] => png::decode(bytes),
        [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => tiff::decode(bytes),
        [b'G', b'I', b'F', b'8', ..] => gif::decode(bytes),
        [b'B', b'M', ..] => bmp::decode(bytes),
        [0x89, b'H', b'D', b'F', ..] => Err(format!(
            "is an HDF5 file, {UNPACK}; of NYU's labelled .mat the fields are images and depths"
        )),
        _ if bytes.starts_with(b"MATLAB ") => {
            Err(format!("is a MATLAB file, {UNPACK} (scipy.io, h5py)"))
        }
        _ => decode_picture(bytes),
    }?;
    match raster.width * raster.height {
        0 => Err("has no pixels".into()),
        _ => Ok(raster),
    }
}

/// The advice about containers of whole data sets.
const UNPACK: &str = "which holds many arrays; unpack it into one file a photo (PNG or NPY)";

/// Decodes image formats that the `image` crate reads and that have no module here.
fn decode_picture(bytes: &[u8]) -> Result<LabelRaster, String> {
    let format = match bytes {
        [0xff, 0xd8, 0xff, ..] => "JPEG",
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => "WebP",
        _ => "picture",
    };
    let picture = image::load_from_memory(bytes).map_err(|error| match error {
        image::ImageError::Unsupported(_) => {
            "is in no format that labels are read from (PNG, TIFF, NPY, NPZ, PFM, EXR, GIF, BMP, PGM, WebP)".to_owned()
        }
        error => format!("is a damaged {format}: {error}"),
    })?;
    let mut raster = raster_from_image(picture, format);
    match format {
        "JPEG" => raster.is_lossy = true,
        "WebP" if webp_has(bytes, *b"ANIM") => {
            return Err("is a WebP of several frames; a label has one".into());
        }
        // Lossy images have a chunk VP8, lossless ones VP8L.
        "WebP" => raster.is_lossy = webp_has(bytes, *b"VP8 "),
        _ => {}
    }
    Ok(raster)
}

/// Whether a WebP (a RIFF container) has a chunk of this name.
fn webp_has(bytes: &[u8], name: [u8; 4]) -> bool {
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let [a, b, c, d, s0, s1, s2, s3, after @ ..] = rest {
        if [*a, *b, *c, *d] == name {
            return true;
        }
        let size = u32::from_le_bytes([*s0, *s1, *s2, *s3]) as usize;
        rest = after.get(size + size % 2..).unwrap_or_default();
    }
    false
}
