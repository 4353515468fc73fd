//! From what was typed to upright RGB pixels: which files are meant, and what is in them.
//!
//! [`collect`] turns files, folders, globs, lists and `-` into [`Source`]s without decoding anything; a [`PhotoDecoder`] turns one
//! source into a [`Photo`]: a format's decoder gives the samples as they are stored, which are then stretched, coloured,
//! composited and turned. A file's type comes from its bytes, never from its name.

mod archive;
mod braces;
mod codec;
mod collect;
mod decode;
mod develop;
mod footprint;
mod foreign;
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
