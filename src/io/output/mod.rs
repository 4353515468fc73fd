//! From results to files: what they are called, how they are encoded, and that they are written whole or not at all.
//!
//! [`Plan`] decides all names before any work is done, and [`Outputs`] whether they can be written; [`write_atomic`]
//! writes one, whatever its path leads to ([`Place`]); [`put_path`] names files in JSON; the encoders write to any
//! [`std::io::Write`], so that stdout works like a file.

pub mod coco;
mod deliver;
mod depth_png;
mod exr;
mod float_map;
mod glb;
pub mod ids;
mod lines;
mod names;
mod npy;
mod outputs;
mod path_json;
mod pfm;
mod picture;
mod plan;
mod ply;
mod png;
mod point_cloud;
mod shorten;
mod tiff;

use std::io::{self, Write};

pub use deliver::deliver;
pub use depth_png::{DepthSteps, write_depth_png};
pub use exr::write_exr;
pub use float_map::{
    CONTENT, DEPTH_CONTENT, DEPTH_SCALE, FloatFormat, FloatMap, INVERSE_CONTENT, UNIT,
};
pub use glb::write_glb;
pub use ids::{MASK_CLASS, MASK_CLASSES};
pub use lines::{Lines, Status, Subject, tell_end};
pub use npy::{write_npy, write_npy_rows};
pub use outputs::{OutputKind, Outputs, check_folder, create_folder, is_written_in_place};
pub use path_json::{path_bytes, put_all, put_path, put_source};
pub use pfm::write_pfm;
pub use picture::{PictureFormat, write_picture};
pub use plan::{Destination, Job, MASKS, OutputOptions, PICTURE, Plan, Target};
pub use ply::write_ply;
pub use png::{Pixels, write_png};
pub use point_cloud::CloudFormat;
pub use shorten::shorten;
pub use tiff::write_tiff;

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
