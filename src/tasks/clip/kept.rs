//! The segments of films that are kept on disk until the film is whole: `NAME.TASK.parts/000001/` and so on, each with a
//! `segment.json` that tells what it is of, and with a digest of its files.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::tasks::clip::ClipPlaces;

/// The ending of the folder of segments, in the place of the film's.
const FOLDER: &str = "parts";

/// The file that tells what a segment is.
pub(super) const SEGMENT_JSON: &str = "segment.json";

/// The file by which a run holds the folder.
const LOCK: &str = ".dino-lock";

/// What the frames up to the end of a segment leave.
pub(super) const STATE: &str = "state.safetensors";

/// What is known of a segment that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
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
    /// Digest of all other files of it.
    pub content: String,
}

/// The folder of the segments of what goes to `places`.
pub(super) fn parts_of(places: &ClipPlaces) -> Option<PathBuf> {
    places
        .all()
        .next()
        .map(|first| match places.film.as_deref() {
            Some(film) => film.with_extension(FOLDER),
            None => first.with_extension(FOLDER),
        })
}

/// How many frames lie in whole segments of what goes to `places`, of whatever they were made.
pub fn kept_frames(places: &ClipPlaces) -> usize {
    let kept = parts_of(places).map(|folder| segments_in(&folder));
    kept.map_or(0, |kept| kept.iter().map(|segment| segment.frames).sum())
}

/// The segments in a folder, in order, as far as there are no gaps.
pub(super) fn segments_in(folder: &Path) -> Vec<Segment> {
    let read = |number: usize| {
        let bytes = fs::read(name_of(folder, number).join(SEGMENT_JSON)).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    (0..).map_while(read).collect()
}

pub(super) fn name_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{:06}", number + 1))
}

/// Holds the folder of segments, if it is there, until what is returned is dropped.
///
/// # Errors
/// Names the folder, if another run holds it.
pub(super) fn hold(folder: &Path) -> Result<Option<File>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Error::io(folder, &error);
    let file = File::create(folder.join(LOCK)).map_err(failed)?;
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

/// Digest of the names and contents of all files of a segment but what tells of it.
pub(super) fn content_of(folder: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        let failed = |error: std::io::Error| Error::io(&current, &error);
        let entries = fs::read_dir(&current).map_err(failed)?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()
            .map_err(failed)?;
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default();
            match path.is_dir() {
                true => open.push(path),
                false if name == SEGMENT_JSON => {}
                false => {
                    hasher.update(name.as_encoded_bytes());
                    let read = File::open(&path)
                        .and_then(|mut file| std::io::copy(&mut file, &mut hasher));
                    read.map_err(|error| Error::io(&path, &error))?;
                }
            }
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Refuses to take a folder for one of segments that has something else in it.
pub(super) fn check_folder(folder: &Path, kept: &[Segment]) -> Result<()> {
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

pub(super) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(folder, &error))
        }
        _ => Ok(()),
    }
}
