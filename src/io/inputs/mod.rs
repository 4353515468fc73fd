//! Inputs: from what the user typed to upright 8-bit sRGB pixels, `[height, width, 3]`.
//!
//! [`collect()`] turns files, folders, glob patterns, tars, lists, URLs and `-` into [`Source`]s without decoding
//! anything; a [`PhotoDecoder`] turns one source into a [`Photo`]. A file's format comes from its bytes, never from its
//! name.
//!
//! | step | file | input → output |
//! |---|---|---|
//! | find the photos | `collect/`, `list.rs`, `braces.rs`, `archive.rs`, `watch.rs` | inputs → [`Source`]s |
//! | keep one shard of them | [`shard`], `scheduler.rs` | sources → those of one [`Shard`] |
//! | read the bytes | `source.rs`, `remote/` | source → bytes |
//! | identify the format, count pages | `sniff.rs`, `pages/` | first bytes → `FileKind`; bytes → number of pages |
//! | decode the stored samples | `formats.rs` → `jpeg/`, `tiff/`, `codec.rs`, `foreign/` | bytes → `SourceRaster` (`raster.rs`) |
//! | read the EXIF or XMP orientation | `metadata/orientation.rs`; of TIFF `tiff/mod.rs` | bytes → `SourceRaster::orientation` |
//! | develop | `develop.rs` | `SourceRaster` → [`Photo`] |
//!
//! A raster is developed in this order: levels (`levels.rs`, [`ContrastStretch`]), ICC profile (`profile.rs`),
//! [`Background`] behind transparent pixels, orientation. `develop.rs` is the only place that applies the EXIF
//! orientation to a photo; [`orientation()`] returns it to callers that rotate other data, such as labels, along with
//! the photo.
//!
//! To add an input format:
//!
//! 1. its signature and name in `sniff.rs`, and its extension in `sniff::is_image_name`;
//! 2. its decoder: a feature of the crate `image` in `Cargo.toml` suffices if `codec.rs` can decode it; else a variant
//!    of `ForeignFormat` and an arm in `foreign/mod.rs`;
//! 3. `pages/`, if its files hold several images, and `metadata/containers.rs`, if they store EXIF in a way of their
//!    own;
//! 4. the list of known formats in the message of `formats.rs`.

mod archive;
mod braces;
mod codec;
mod collect;
mod decode;
mod develop;
mod footprint;
mod foreign;
mod formats;
mod jpeg;
mod levels;
mod list;
mod metadata;
pub(crate) mod natural;
mod options;
mod orientation;
mod pages;
mod presence;
mod profile;
mod raster;
mod remote;
mod scheduler;
pub mod shard;
mod sniff;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod tiff;
mod watch;

pub use archive::{TarArchive, TarMember};
pub use collect::{CollectedInputs, InputFailure, InputRequest, collect};
pub use decode::{OpenedPhoto, Photo, PhotoDecoder, PhotoHeader};
pub use list::Separator;
pub use metadata::focal::focal_length_35mm;
pub use options::{Background, ContrastStretch, DecodeOptions, parse_bands};
pub use orientation::orientation;
pub(crate) use presence::PresenceCache;
pub use remote::{Fetcher, RemotePhoto, is_address};
pub use shard::{Shard, ShardRequest};
pub use sniff::has_video_extension;
pub use source::{Page, Source};
pub(crate) use summary::PLURAL_KINDS;
pub use summary::{SearchSummary, SkipSeverity, SkippedFiles};
pub use watch::{WatchRequest, Watcher};
