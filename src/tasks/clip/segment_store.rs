//! The segments of a film on disk until the film is complete: `NAME.TASK.parts/000001/` and so on, each with a
//! `segment.json` that describes its frames and holds a digest of each of its files.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::files::{Digest, FileStamp};
use crate::tasks::clip::ClipPaths;

/// Frames in a segment: the most that is rendered again after an interrupted run.
pub const SEGMENT_FRAMES: usize = 250;

/// The extension of the folder of segments, in place of the film's.
const FOLDER_EXTENSION: &str = "parts";

/// The file that describes a segment.
pub(super) const SEGMENT_JSON: &str = "segment.json";

/// The file whose lock a run holds while it writes to the folder.
const LOCK_FILE: &str = ".dino-lock";

/// The state after the last frame of a segment.
pub(super) const STATE_FILE: &str = "state.safetensors";

/// The description of a segment that is complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "the record of a segment")]
pub(super) struct ClipSegment {
    /// Digest of the settings and inputs that decide its content.
    pub made_from: String,
    pub frames: usize,
    /// When the first frame appears, in ticks of the clip's time base.
    pub begin: i64,
    /// When the last frame appears, in ticks.
    pub last: i64,
    /// When the last frame ends, in ticks.
    pub end: i64,
    /// The index of the last frame in the clip.
    pub index: u64,
    /// Values that a format clipped.
    pub clipped: usize,
    /// (width, height) of the pictures, and of the values.
    pub sizes: [(u32, u32); 2],
    /// Digests of its other files and folders, by name.
    pub content: BTreeMap<String, Digest>,
}

/// The folder of the segments of the film at `paths`; `None` if nothing is written.
pub(super) fn segments_folder(paths: &ClipPaths) -> Option<PathBuf> {
    // The film of pictures comes first, if there is one.
    let first = paths.all().next()?;
    Some(first.with_extension(FOLDER_EXTENSION))
}

/// The descriptions of the segments in a folder, in order, up to the first that is missing.
pub(super) fn read_segments(folder: &Path) -> Vec<ClipSegment> {
    let read = |number: usize| {
        let bytes = fs::read(segment_path(folder, number).join(SEGMENT_JSON)).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    (0..).map_while(read).collect()
}

/// The folder of the segment of this number, from 0.
pub(super) fn segment_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{:06}", number + 1))
}

/// Locks the folder of segments, if it exists, until the returned file is dropped.
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
        // A file system without locks cannot exclude other runs.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Digests of the files and folders of a segment, by name, without its description.
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

/// Refuses an existing folder that has no complete segment (`kept`) and holds anything but unfinished ones.
///
/// # Errors
/// Names the folder.
pub(super) fn check_folder(folder: &Path, kept: &[ClipSegment]) -> Result<()> {
    let is_vacant = folder.symlink_metadata().is_err();
    // A segment that was never completed has a hidden name.
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

/// Removes a folder with its contents, if it exists.
///
/// # Errors
/// Names the folder.
pub(super) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(folder, &error))
        }
        _ => Ok(()),
    }
}
