//! The manifest of an output folder: records which outputs were made from which photo with which settings, so that a
//! later run can decide whether an existing output is up to date.
//!
//! [`Ledger`] is a run's interface: it compares a plan of outputs with the manifest before (`inspection.rs`,
//! `reconcile.rs`, `failure_notes.rs`, `fits.rs`), and records outputs while they are made (`notes.rs`, `packs.rs`).
//! [`Manifest`] is the file with its index in memory (`log.rs` appends, `line_reader.rs` reads, `entry.rs` defines a
//! line, `index.rs` and `history.rs` index the lines). [`merge`], [`verify`], [`find_missing`] and
//! [`summarise_failures`] read manifests outside of runs.
//!
//! # Format of a record
//! The file is `manifest.jsonl` in the folder of outputs; each run appends to it. A run of one of several shards
//! appends to `manifest-003-of-100.jsonl` beside it, and reads all of them. In the folder of a dataset, the names begin
//! with an underscore. Each line is one record, a JSON object:
//!
//! | key | value |
//! |---|---|
//! | `format` | 2 (1 is read too); a line with a larger number was written by a newer dino and is refused |
//! | `state` | `begun` before the outputs of a photo are written, `done` after; `failed` if they could not be made |
//! | `task`, `input`, `page` | the task, the photo's absolute path, and the page if it has several; see [`ManifestEntry`] |
//! | `time` | when the line was written, in milliseconds since 1970; larger than in all lines known to the writer |
//! | `photo` | [`FileStamp`](crate::system::files::FileStamp) of the photo: `bytes`, `modified` (nanoseconds since 1970), `digest` (BLAKE3); `tar_bytes` too for a member of a tar; may be absent if `failed` |
//! | `recipe`, `fit` | digests of the settings, and of the fit to several photos; if `failed`, `recipe` is that of decoding |
//! | `outputs` | by path below the folder, the stamp of each output; if `begun`, the stamp of the file that is replaced, or null |
//! | `in_place` | if `begun`: whether outputs are written over the files that they replace |
//! | `error` | if `failed`: `kind`, a word of [`FailureKind`], and `message` |
//! | `facts` | further facts about what was done, see below; nothing depends on them |
//!
//! | fact | value |
//! |---|---|
//! | `model`, `head` | of the backbone, `name` and `fingerprint`; of the head, `name` and `digest`; no head if none ran |
//! | `dtype`, `photos` | number type in which the backbone computed; decoding options that are not defaults |
//! | `parameters` | the settings that are not defaults |
//! | `min`, `max`, `unit` | of depths: least and largest value of this photo, and their unit |
//! | `classes` | of labels: the number of classes in the photo |
//! | `seconds` | time for the photo, from its file to its outputs |
//! | `program` | of failures: version of the program |
//!
//! A photo whose name is not UTF-8 also has its exact bytes, percent-encoded, in `input_bytes`; outputs with such names
//! are in `outputs_bytes`, by their percent-encoded bytes, instead of `outputs`. Other keys are ignored. Outputs
//! outside the folder are listed by absolute path.
//!
//! # After a crash
//! An output appears complete or not at all ([`write_atomic`](crate::system::files::write_atomic)), between its lines
//! `begun` and `done`, as in a write-ahead log. An existing output is attributed by these rules:
//!
//! - if it has the stamp of its last `done`, that line accounts for it;
//! - else by the last of the later `begun` lines whose replaced file is not the existing file. Several may follow each
//!   other, and a file of the user's that the first of them found remains the user's;
//! - else it was modified since, or made by something else: it is [`OutputFreshness::Foreign`].
//!
//! An output that cannot be replaced atomically (its folder takes no new files, or it is a mount point) is written in
//! place, and its `begun` line has `in_place`: unless it has the stamp of its last `done`, it is unfinished and made
//! again. So is an empty file that should have content, as a power loss may leave.
//!
//! A line that a killed program left truncated is dropped: the next append begins with a blank line, which marks a
//! preceding line that is not JSON as torn. Any other line that is not understood is an error.
//!
//! # Failures
//! A photo whose own bytes were at fault ([`FailureKind::is_lasting`]) is not retried while its bytes, the decoding
//! options, the limits and the program's version are the same.
//!
//! # Several files
//! Lines of several files are ordered by `time`, so the clocks of machines that work on the same photo one after the
//! other must agree to within the time between their runs. Shards share no photo.
//!
//! # Memory
//! About 300 bytes for a photo with one output, and 170 for each further output; a million photos take 300 MB.
//!
//! # Limits
//! A file counts as unchanged if its size and modification time are: an edit that restores both, or one within the same
//! tick of the file system's clock, is not detected. While an output has only `begun` lines, a file that the user puts
//! in its place is not detected either; so `begun` is written right before the outputs.

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
