//! From results to files: what they are called, how they are encoded, and that they are written whole or not at all.
//!
//! [`Plan`] decides all names before any work is done; [`write_atomic`] writes one file; the encoders write to any
//! [`std::io::Write`], so that stdout works like a file.

mod atomic;
pub mod coco;
mod deliver;
pub mod ids;
mod names;
mod npy;
mod picture;
mod plan;
mod png;

pub use atomic::{write_atomic, write_folder_atomic};
pub use deliver::deliver;
pub use npy::write_npy;
pub use picture::{PictureFormat, write_picture};
pub use plan::{Destination, Job, OutputOptions, PICTURE, Plan, Target};
pub use png::{Pixels, is_own_picture, write_png};
