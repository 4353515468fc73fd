//! Files of every kind, made byte by byte or by the format's own encoder.

mod arrays;
mod bitmaps;
mod depth;
mod masks;
mod palettes;
mod rasters;
mod tiffs;

use std::io::Cursor;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::learn::data::labels::decode::decode;
use crate::learn::data::labels::raster::{LabelRaster, RasterContent};

/// A temporary folder with one file in it.
pub(super) struct Filed {
    pub folder: TempDir,
    pub path: PathBuf,
}

/// Writes `bytes` under `name`.
pub(super) fn filed(name: &str, bytes: &[u8]) -> Filed {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Filed { folder, path }
}

/// A PNG without this program's metadata.
pub(super) fn png(
    (width, height): (u32, u32),
    color: png::ColorType,
    depth: png::BitDepth,
    palette: &[[u8; 3]],
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if !palette.is_empty() {
        encoder.set_palette(palette.as_flattened().to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// An NPY file of the NumPy type `descr`, its header padded as NumPy pads it.
pub(super) fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// Grey or colours in any format that the `image` crate writes.
pub(super) fn encoded(picture: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// An archive of arrays.
pub(super) fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        zip.start_file(
            format!("{name}.npy"),
            zip::write::SimpleFileOptions::default(),
        )
        .unwrap();
        std::io::Write::write_all(&mut zip, array).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn read(bytes: &[u8]) -> LabelRaster {
    decode(bytes, &["depth"]).unwrap()
}

fn refused(bytes: &[u8], word: &str) {
    let why = decode(bytes, &["depth", "arr_0"]).unwrap_err();
    assert!(why.contains(word), "{why}");
}

/// The whole numbers of a file and their bits.
fn integers(bytes: &[u8]) -> (Vec<i64>, u8) {
    match read(bytes).content {
        RasterContent::Integers { values, bits } => (values, bits),
        other => panic!("{other:?}"),
    }
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    match read(bytes).content {
        RasterContent::Floats(values) => values,
        other => panic!("{other:?}"),
    }
}

fn indexed(bytes: &[u8]) -> (Vec<u8>, Vec<[u8; 3]>) {
    match read(bytes).content {
        RasterContent::Indexed { indices, palette } => (indices, palette),
        other => panic!("{other:?}"),
    }
}
