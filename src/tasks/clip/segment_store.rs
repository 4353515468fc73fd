//! The segments of films that are kept on disk until the film is whole: `NAME.TASK.parts/000001/` and so on, each with a
//! `segment.json` that tells what it is of, and with a digest of its files.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::files::{Digest, FileStamp};
use crate::tasks::clip::ClipPaths;

/// Frames in a segment: the most that is rendered again after an interrupted run.
pub const SEGMENT_FRAMES: usize = 250;

/// The ending of the folder of segments, in the place of the film's.
const FOLDER_EXTENSION: &str = "parts";

/// The file that tells what a segment is.
pub(super) const SEGMENT_JSON: &str = "segment.json";

/// The file by which a run holds the folder.
const LOCK_FILE: &str = ".dino-lock";

/// What the frames up to the end of a segment leave.
pub(super) const STATE_FILE: &str = "state.safetensors";

/// What is known of a segment that was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClipSegment {
    /// Digest of all that decides how it came out.
    pub made_from: String,
    pub frames: usize,
    /// When the first frame appears, in ticks.
    pub begin: i64,
    /// When the last one does.
    pub last: i64,
    /// When it ends.
    pub end: i64,
    /// The number of the last frame in the clip.
    pub index: u64,
    /// Numbers that a format clipped.
    pub clipped: usize,
    /// Of the pictures, and of the numbers.
    pub sizes: [(u32, u32); 2],
    /// Digests of all other files of it.
    pub content: BTreeMap<String, Digest>,
}

/// The folder of the segments of what goes to `places`.
pub(super) fn segments_folder(places: &ClipPaths) -> Option<PathBuf> {
    // The film is the first, if there is one.
    let first = places.all().next()?;
    Some(first.with_extension(FOLDER_EXTENSION))
}

/// The segments in a folder, in order, as far as there are no gaps.
pub(super) fn read_segments(folder: &Path) -> Vec<ClipSegment> {
    let read = |number: usize| {
        let bytes = fs::read(segment_path(folder, number).join(SEGMENT_JSON)).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    (0..).map_while(read).collect()
}

pub(super) fn segment_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{:06}", number + 1))
}

/// Holds the folder of segments, if it is there, until what is returned is dropped.
///
/// # Errors
/// Names the folder, if another run holds it.
pub(super) fn lock_folder(folder: &Path) -> Result<Option<File>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Error::io(folder, &error);
    let file = File::create(folder.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::file(
            folder,
            "another run is making this film; wait for it, end it, or choose another place (-o DIR)",
        )),
        // Where a file system has no locks, nobody can be told.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Digests of the files and folders of a segment, by their names, but of what tells of it.
pub(super) fn digest_files(folder: &Path) -> Result<BTreeMap<String, Digest>> {
    let failed = |error: std::io::Error| Error::io(folder, &error);
    let mut content = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != SEGMENT_JSON {
            content.insert(name, FileStamp::of_file(&entry.path())?.digest);
        }
    }
    Ok(content)
}

/// Refuses to take a folder for one of segments that has something else in it.
pub(super) fn check_folder(folder: &Path, kept: &[ClipSegment]) -> Result<()> {
    let is_vacant = folder.symlink_metadata().is_err();
    // A segment that was never finished has a hidden name.
    let is_bare = || {
        let mut entries = fs::read_dir(folder).into_iter().flatten();
        entries.all(|entry| {
            entry.is_ok_and(|entry| entry.file_name().as_encoded_bytes().starts_with(b".dino-"))
        })
    };
    match is_vacant || !kept.is_empty() || folder.is_dir() && is_bare() {
        true => Ok(()),
        false => Err(Error::file(
            folder,
            "is where segments of the film go, and has something else in it; move it, or choose another place (-o DIR)",
        )),
    }
}

pub(super) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(folder, &error))
        }
        _ => Ok(()),
    }
}
