//! Ids of images and annotations that follow from the photos' paths and are distinct within a run.
//!
//! JSON readers keep whole numbers below 2^53 exactly: an annotation's id consists of the 36 bits of its image's id and
//! 17 bits for its number.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bits of an annotation's id that hold its number within the image.
const ANNOTATION_BITS: u32 = 17;
/// Bits of an image's id.
const IMAGE_BITS: u32 = 36;

/// Maximum number of annotations of a photo.
pub const MAX_ANNOTATIONS: u64 = (1 << ANNOTATION_BITS) - 1;

/// The ids of all images of a run.
#[derive(Debug, Default)]
pub struct ImageIds(HashMap<PathBuf, u64>);

impl ImageIds {
    /// The ids of distinct paths. Where two hashes are equal, the later path gets the next free number.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut taken = HashSet::new();
        let ids = paths.into_iter().map(|path| {
            let id = claim_id(hash_path(path), &mut taken);
            (path.to_owned(), id)
        });
        ImageIds(ids.collect())
    }

    /// The id of a path, below 2^36; the plain hash for a path that is not of the run.
    pub fn id(&self, path: &Path) -> u64 {
        self.0.get(path).copied().unwrap_or_else(|| hash_path(path))
    }
}

/// The id of an image's annotation `number`, 1..=[`MAX_ANNOTATIONS`].
pub(super) fn annotation_id(image: u64, number: u64) -> u64 {
    (image << ANNOTATION_BITS) | number
}

/// Takes the first free number from `id` on, never 0.
fn claim_id(mut id: u64, taken: &mut HashSet<u64>) -> u64 {
    while id == 0 || !taken.insert(id) {
        id = (id + 1) & ((1 << IMAGE_BITS) - 1);
    }
    id
}

/// The first 36 bits of the SHA-256 of a path.
fn hash_path(path: &Path) -> u64 {
    let mut digest = Sha256::new();
    // With `/` on all systems; bytes, since names need not be valid Unicode.
    for (i, part) in path.iter().enumerate() {
        if i > 0 {
            digest.update(b"/");
        }
        digest.update(part.as_encoded_bytes());
    }
    let bytes = digest.finalize();
    let first = bytes.iter().take(8);
    first.fold(0, |id, &byte| (id << 8) | u64::from(byte)) >> (64 - IMAGE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_whole_path() {
        let paths = ["x/f.jpg", "y/f.jpg", "f.jpg"].map(Path::new);
        let ids = ImageIds::of(paths);
        let alone = ImageIds::of([paths[1]]);
        assert_eq!(alone.id(paths[1]), ids.id(paths[1]));
        let all: HashSet<u64> = paths.iter().map(|path| ids.id(path)).collect();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|&id| id > 0 && id < 1 << IMAGE_BITS));
    }

    #[test]
    fn ids_of_equal_hashes_are_distinct() {
        let last = (1 << IMAGE_BITS) - 1;
        let mut taken = HashSet::new();
        let ids = [7, 7, 8, last, last, 0].map(|id| claim_id(id, &mut taken));
        assert_eq!(ids, [7, 8, 9, last, 1, 2]);
    }

    #[test]
    fn json_keeps_the_largest_annotation_id() {
        let largest = annotation_id((1 << IMAGE_BITS) - 1, MAX_ANNOTATIONS);
        assert_eq!(largest, (1 << 53) - 1);
    }
}
