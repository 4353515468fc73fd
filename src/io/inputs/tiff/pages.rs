//! The pages of a TIFF: which directories of its chain are images of their own, and which accompany another (smaller
//! copies, transparency masks).

use std::collections::HashSet;

use super::directory::{Ifd, TRUNCATED, Tiff};
use super::tags;

/// Maximum number of directories that are followed, as in libtiff.
const MAX_DIRECTORIES: usize = 1 << 20;

/// Whether a directory is a smaller copy (1) or a transparency mask (4) of another one.
fn is_companion(directory: &Ifd) -> bool {
    let kind = |tag| directory.integer(tag).ok().flatten();
    match kind(tags::NEW_SUBFILE_TYPE) {
        Some(bits) => bits & (1 | 4) != 0,
        None => kind(tags::SUBFILE_TYPE) == Some(2),
    }
}

/// Walks through the chain of directories until `visit` returns true, or the chain ends or loops.
fn walk<'a>(tiff: Tiff<'a>, first: u64, mut visit: impl FnMut(Ifd<'a>) -> bool) {
    let mut seen = HashSet::new();
    let mut next = first;
    // Overlapping directories could list more tags than the file can hold.
    let mut tags_left = tiff.bytes.len() / 4;
    while next != 0 && seen.len() < MAX_DIRECTORIES && seen.insert(next) {
        let Some((directory, following)) = tiff.read_ifd(next) else {
            return;
        };
        tags_left = match tags_left.checked_sub(directory.len()) {
            Some(left) => left,
            None => return,
        };
        if visit(directory) {
            return;
        }
        next = following;
    }
}

/// The number of pages, at least 1.
pub(super) fn count(tiff: Tiff, first: u64) -> usize {
    let mut pages = 0;
    walk(tiff, first, |directory| {
        pages += usize::from(!is_companion(&directory) && directory.has(tags::IMAGE_WIDTH));
        false
    });
    pages.max(1)
}

/// The directory of page `page`, counted from 0.
///
/// # Errors
/// If there is no such page, the file is truncated, or it is a camera raw file.
pub(super) fn find(tiff: Tiff, first: u64, page: usize) -> Result<Ifd, String> {
    let mut pages = 0;
    let mut found = None;
    let mut companion = None;
    walk(tiff, first, |directory| {
        if is_companion(&directory) || !directory.has(tags::IMAGE_WIDTH) {
            companion.get_or_insert(directory);
            return false;
        }
        pages += 1;
        if pages == page + 1 {
            found = Some(directory);
        }
        found.is_some()
    });
    let found = match (found, companion) {
        (Some(directory), _) => directory,
        // Only companions: the first of them is the image.
        (None, Some(directory)) if pages == 0 && page == 0 => directory,
        (None, None) if pages == 0 => return Err(TRUNCATED.into()),
        _ => {
            return Err(format!("has no page {}: it has {}", page + 1, pages.max(1)));
        }
    };
    match is_camera_raw(&found) {
        _ if found.is_truncated => Err(TRUNCATED.into()),
        true => Err("this is a camera raw file (DNG, NEF, CR2, ARW), which is not supported; develop it to JPEG or TIFF first".into()),
        false => Ok(found),
    }
}

/// Whether the directory holds a camera's sensor data or their preview (DNG, Canon CR2, and others by their
/// sub-images).
fn is_camera_raw(directory: &Ifd) -> bool {
    let is_sensor_data = |directory: &Ifd| {
        let photometric = directory.integer(tags::PHOTOMETRIC).ok().flatten();
        matches!(photometric, Some(32803 | 34892))
    };
    let has_sensor_data_below = || {
        let offsets = directory.integers(tags::SUB_IFDS).ok().flatten();
        let mut offsets = offsets.into_iter().flatten().take(64);
        offsets
            .any(|at| matches!(directory.tiff.read_ifd(at), Some((sub, _)) if is_sensor_data(&sub)))
    };
    let canon = directory.tiff.bytes.get(4..12) == Some(b"\x10\0\0\0CR\x02\0");
    directory.has(tags::DNG_VERSION)
        || canon
        || is_sensor_data(directory)
        || has_sensor_data_below()
}
