//! From results to files: what they are called, how they are encoded, and that they are written whole or not at all.
//!
//! [`OutputPlan`] decides all names before any work is done, and [`OutputRegistry`] whether they can be written; [`write_atomic`]
//! writes one, whatever its path leads to ([`Place`]); [`put_path`] names files in JSON; the encoders write to any
//! [`std::io::Write`], so that stdout works like a file.

pub mod coco;
mod depth_png;
mod exr;
mod float_map;
mod glb;
mod json_lines;
pub mod label_map;
mod names;
mod npy;
mod path_json;
mod pfm;
mod picture;
mod plan;
mod ply;
mod png;
mod point_cloud;
mod registry;
mod shorten;
mod tiff;
mod writer;

use std::io::{self, Write};

pub use depth_png::{QuantisedDepth, write_depth_png};
pub use exr::write_exr;
pub use float_map::{
    CONTENT_KEY, DEPTH_CONTENT, DEPTH_SCALE_KEY, FloatFormat, FloatMap, INVERSE_CONTENT, UNIT_KEY,
};
pub use glb::write_glb;
pub use json_lines::{JsonLines, LineStatus, LineSubject, print_input_errors};
pub use label_map::{MASK_CLASS_KEY, MASK_CLASSES_KEY};
pub use npy::{write_npy, write_npy_rows};
pub use path_json::{path_bytes, put_all, put_path, put_source};
pub use pfm::write_pfm;
pub use picture::{PictureFormat, write_picture};
pub use plan::{
    Destination, MASKS_EXTENSION, OutputJob, OutputOptions, OutputPlan, OutputTarget,
    PICTURE_EXTENSION,
};
pub use ply::write_ply;
pub use png::{PngPixels, write_png};
pub use point_cloud::CloudFormat;
pub use registry::{OutputKind, OutputRegistry, check_folder, create_folder, is_written_in_place};
pub use shorten::shorten_name;
pub use tiff::write_tiff;
pub use writer::write_output;

/// Refuses maps that do not fill their size, and empty ones.
fn check_size((width, height): (usize, usize), values: usize) -> io::Result<()> {
    match values == width * height && values > 0 {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{values} values do not fill {width} x {height}"
        ))),
    }
}

/// Points that are turned into bytes at once.
const POINTS_AT_ONCE: usize = 1 << 14;

/// Writes points with their colours, each as `encode` adds it to the bytes.
fn write_points(
    mut writer: impl Write,
    points: impl Iterator<Item = ([f32; 3], [u8; 3])>,
    encode: impl Fn(&mut Vec<u8>, [f32; 3], [u8; 3]),
) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (index, (point, color)) in points.enumerate() {
        encode(&mut bytes, point, color);
        if (index + 1).is_multiple_of(POINTS_AT_ONCE) {
            writer.write_all(&bytes)?;
            bytes.clear();
        }
    }
    writer.write_all(&bytes)
}
