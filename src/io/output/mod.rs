//! Outputs: the planning of file names, and the encoders of all output formats.
//!
//! [`OutputPlan`] decides all names before any work is done, with [`OutputRegistry`], which checks that they can be
//! written and replace no input. [`write_output`] writes to one [`Destination`]: a file, atomically by
//! [`write_stamped`](crate::system::files::write_stamped), or standard output. [`put_path`] writes paths into JSON.
//!
//! # Adding a format
//! An encoder is a file here with one function that writes to any [`std::io::Write`], so that stdout works like a file;
//! then an arm of the enum that dispatches to it: [`PictureFormat`] for RGB pictures, [`FloatFormat`] for maps of one
//! float a pixel, [`CloudFormat`] for point clouds. The options that choose it are in `tasks::recipe` and `cli`, and
//! the compiler names every `match` that lacks the new arm. The program recognises its own files by the signatures of
//! [`signature`](crate::system::files::signature), which an encoder writes if its format has room for text.

pub mod coco;
mod depth_png;
mod exr;
mod float_map;
mod folder;
mod glb;
mod job;
mod json_lines;
pub mod label_map;
mod map_size;
mod names;
mod npy;
mod path_json;
mod pfm;
mod picture;
mod plan;
mod ply;
mod png;
mod point_cloud;
mod points;
mod registry;
mod shorten;
mod target;
mod tiff;
mod writer;

pub use depth_png::{QuantisedDepth, write_depth_png};
pub use exr::write_exr;
pub use float_map::{
    CONTENT_KEY, DEPTH_CONTENT, DEPTH_SCALE_KEY, FloatFormat, FloatMap, INVERSE_CONTENT, UNIT_KEY,
};
pub use folder::{check_folder, create_folder, is_written_in_place};
pub use glb::write_glb;
pub use job::{Destination, MASKS_EXTENSION, OutputJob, PICTURE_EXTENSION};
pub use json_lines::{JsonLines, LineStatus, LineSubject, print_input_errors};
pub use label_map::{MASK_CLASS_KEY, MASK_CLASSES_KEY};
pub use npy::{write_npy, write_npy_rows};
pub use path_json::{path_bytes, put_all, put_path, put_source};
pub use pfm::write_pfm;
pub use picture::{PictureFormat, write_picture};
pub use plan::{OutputOptions, OutputPlan};
pub use ply::write_ply;
pub use png::{PngPixels, write_png};
pub use point_cloud::CloudFormat;
pub use registry::{OutputKind, OutputRegistry};
pub use shorten::shorten_name;
pub use target::OutputTarget;
pub use tiff::write_tiff;
pub use writer::write_output;
