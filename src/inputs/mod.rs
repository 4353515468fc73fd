//! From what was typed to upright RGB pixels: which files are meant, and what is in them.
//!
//! [`collect`] turns files, folders, globs and `-` into [`Source`]s without decoding anything; [`decode`] turns one
//! source into a [`Photo`]. A file's type comes from its bytes, never from its name.

mod collect;
mod decode;
mod exif;
mod jpeg;
pub(crate) mod natural;
mod orientation;
mod sniff;
mod source;
#[cfg(test)]
mod tests;

pub use collect::{Collected, collect};
pub use decode::{DecodeLimits, Photo, decode};
pub use exif::focal_length_35mm;
pub use orientation::orientation;
pub use source::Source;
