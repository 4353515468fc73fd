//! EXIF and XMP: what a file records about its photo besides the pixels.
//!
//! [`blocks`] holds the [`EmbeddedMetadata`] of a file and reads fields of it, [`containers`] finds it in JPEG, PNG,
//! WebP, TIFF and others, [`orientation`] and [`focal`] interpret it. Missing or damaged blocks are never an error of
//! the photo.
//!
//! The EXIF orientation is read in [`orientation`], stored in the [`SourceRaster`](super::raster::SourceRaster) by
//! [`formats`](super::formats), and applied to the pixels by [`develop`](super::develop); TIFF's own tag 274 is read by
//! [`tiff`](super::tiff).

mod blocks;
mod containers;
pub(super) mod focal;
mod orientation;

pub(super) use blocks::{EmbeddedMetadata, xmp_value};
