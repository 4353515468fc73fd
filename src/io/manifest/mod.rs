//! What was made from which photo by which recipe, so that a later run can tell whether what is already there is what it
//! would make.
//!
//! The folder of outputs has a file `manifest.jsonl`, to which every run appends and which nobody else needs to read; runs
//! of one of several shards append to `manifest-003-of-100.jsonl` beside it, and all of them are read. Each line is an
//! object:
//!
//! | key | |
//! |---|---|
//! | `format` | 2 (1 is read too); a line with a larger one was written by a newer dino and is refused |
//! | `state` | `begun` before the outputs of a photo are written, `done` after; `failed` if they could not be made |
//! | `task`, `input`, `page` | what was made of which page of which photo, by its absolute path; see [`ManifestEntry`] |
//! | `time` | when it was written, in milliseconds since 1970; never less than in lines that were known then |
//! | `photo` | [`FileStamp`] of the photo: `bytes`, `modified` (nanoseconds since 1970), `digest` (BLAKE3); of one in a tar, `tar_bytes` too; of one that failed only where it is known |
//! | `recipe`, `fit` | digests of the settings, and of what was fitted to other photos; of one that failed, of how it is decoded |
//! | `outputs` | by the path below the folder, the stamp of each output; in a line that is `begun`, that of what it replaces, or null |
//! | `in_place` | of a line that is `begun`: whether outputs are written over what they replace |
//! | `error` | why it failed: `kind`, one of the words of [`FailureKind`], and `message` |
//! | `facts` | what else is worth noting of what is done, see below; nothing depends on it |
//!
//! | fact | |
//! |---|---|
//! | `model`, `head` | `name` with the weights' `fingerprint`, and with the head's `digest`; no head where none ran |
//! | `dtype`, `photos` | the number type of the backbone; how photos were decoded, where that was not as usual |
//! | `parameters` | the settings that were not the usual ones |
//! | `min`, `max`, `unit` | of depths: the least and the largest of this photo, and their unit |
//! | `classes` | of labels: how many classes the photo has |
//! | `seconds` | how long the photo took, from its file to its outputs |
//! | `program` | of what failed: the version of the program |
//!
//! A photo whose name is no UTF-8 has its exact bytes, percent-encoded, in `input_bytes`; outputs with such names are not
//! in `outputs` but, by their percent-encoded bytes, in `outputs_bytes`. Keys that are not listed are passed over. Outputs
//! outside the folder are listed by their absolute paths.
//!
//! # After a crash
//! Outputs appear complete or not at all ([`write_atomic`](crate::system::files::write_atomic)), between the line that says
//! `begun` and the one that says `done`. So of an output that is there:
//!
//! - if it has the stamp of its last `done`, it is what that line says;
//! - else, if lines that say `begun` follow, the last of them made it that did not find it as it is now. Several may
//!   follow each other, and the first may have found a file of the user's: that is nobody's work still;
//! - else it was changed since, or something else put it there: it is [`OutputFreshness::Foreign`].
//!
//! An output that cannot appear so (its folder takes no new files, or it is mounted by itself) is written in place, which
//! its `begun` says by `in_place`: if it is not as its last `done` says, it is unfinished and made again. So is an empty file
//! that was to have content; loss of power leaves such.
//!
//! A line that a killed program left unfinished is dropped. The next one is preceded by a blank line, which marks a line
//! that is no JSON as torn; any other is an error.
//!
//! # Failures
//! A photo whose own bytes were at fault ([`FailureKind::is_lasting`]) is not tried again as long as they, the way in which
//! photos are decoded, its limits and the program's version are the same.
//!
//! # Several files
//! Lines of several files count in the order of their times, so that the clocks of machines that work on the same
//! photo, one after the other, must agree as well as the two are apart. Shards share no photo.
//!
//! # Memory
//! About 300 bytes are kept for a photo with one output, and 170 for each further one; a million photos take 300 MB.
//!
//! # Limits
//! A file is taken for unchanged if its size and its time of modification are: an edit that restores both, or one within
//! the same tick of the file system's clock, is not noticed. While only `begun` is known of an output, it is not noticed
//! either if the user puts another file there; so it is written just before the outputs are.

mod entry;
mod failure;
mod failure_notes;
mod failure_summary;
mod files;
mod fit_files;
mod fits;
mod folder_manifest;
mod freshness;
mod history;
mod index;
mod inspection;
mod ledger;
mod line_reader;
mod log;
mod merge;
mod missing;
mod notes;
mod output_names;
mod packs;
mod photo_name;
mod reconcile;
mod stale_outputs;
mod task_digests;
mod verify;

pub use entry::ManifestEntry;
pub use failure::{FailureKind, PhotoFailure};
pub use failure_notes::SkippedFailures;
pub use failure_summary::{FailureGroup, summarise_failures};
pub use files::MANIFEST_FILE;
pub use folder_manifest::Manifest;
pub use freshness::{ExpectedOrigin, OutputFreshness, StaleReasons};
pub use ledger::Ledger;
pub use merge::{MergeReport, merge};
pub use missing::{MissingRule, find_missing};
pub use notes::{DatasetRowNote, photo_changed_error};
pub use packs::{PackInputs, pack_ending, remove_with_empty_parents};
pub use photo_name::PhotoName;
pub use reconcile::{FormerFits, RefusedPhotos};
pub use task_digests::TaskDigests;
pub use verify::{OutputVerdict, verify};

#[cfg(test)]
use crate::system::files::{Digest, FileStamp};
#[cfg(test)]
use entry::FailedEntry;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests/mod.rs"]
mod tests;
