//! Packs: tars with the outputs of all photos of an input tar. A pack has one entry in the manifest.

use std::fs;
use std::path::Path;

use serde_json::Map;

use crate::error::Result;
use crate::io::inputs::{Source, TarArchive};
use crate::io::manifest::entry::ManifestLine;
use crate::io::manifest::{ExpectedOrigin, Ledger, ManifestEntry, OutputFreshness, TaskDigests};
use crate::system::files::{Digest, FileStamp};

/// The inputs of a pack (a tar of outputs).
#[derive(Debug, Clone, Copy)]
pub struct PackInputs<'p> {
    /// The tar of the photos.
    pub archive: &'p TarArchive,
    /// The photos, with the digests of those that were read in this run.
    pub photos: &'p [(&'p Source, Option<Digest>)],
    /// The digests of each task with outputs in it.
    pub tasks: &'p [&'p TaskDigests],
    /// Maximum number of bytes to read of a photo.
    pub max_photo_bytes: u64,
}

impl Ledger {
    /// Compares the pack at `path` with what would be made.
    ///
    /// # Errors
    /// Names the pack that cannot be read.
    pub fn pack_freshness(&self, path: &Path, packed: PackInputs<'_>) -> Result<OutputFreshness> {
        let Some(manifest) = self.manifest.as_ref().filter(|_| path.exists()) else {
            return Ok(OutputFreshness::Absent);
        };
        let (photo, recipe) = self.origin_of_pack(packed);
        manifest.freshness(
            path,
            &ExpectedOrigin {
                photo: &photo,
                recipe: &recipe,
                fit: None,
            },
        )
    }

    /// Calls `write`, which writes the pack at `path`, between its `begun` and `done` lines.
    ///
    /// # Errors
    /// Those of `write`; as [`Manifest::finish`](crate::io::manifest::Manifest::finish).
    pub fn note_pack(
        &self,
        path: &Path,
        packed: PackInputs<'_>,
        write: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return write();
        };
        let (photo, recipe) = self.origin_of_pack(packed);
        let tasks: Vec<&str> = packed
            .tasks
            .iter()
            .map(|digests| digests.task.as_str())
            .collect();
        let input = &packed.archive.path;
        let entry = ManifestEntry {
            task: format!("{TASK_PREFIX}{}", tasks.join(SEPARATOR)),
            input: std::path::absolute(input).unwrap_or_else(|_| input.clone()),
            page: None,
            photo,
            recipe,
            fit: None,
            outputs: vec![path.to_owned()],
            facts: Map::new(),
        };
        manifest.begin(&entry)?;
        write()?;
        manifest.finish(&entry, |_| None)
    }

    /// A stamp that represents all photos of a pack, and a recipe for all its outputs.
    fn origin_of_pack(&self, packed: PackInputs<'_>) -> (FileStamp, Digest) {
        let mut photos = Vec::new();
        for (source, known_digest) in packed.photos {
            let digest = known_digest.or_else(|| {
                let stamp = self.stamp_of(source, packed.max_photo_bytes).ok();
                stamp.map(|stamp| stamp.digest)
            });
            photos.extend(source.relative().as_os_str().as_encoded_bytes());
            photos.push(0);
            photos.extend(source.page_number().to_le_bytes());
            photos.extend(digest.as_ref().map_or(&[0; 32], Digest::as_bytes));
        }
        let mut recipes = b"tar\0".to_vec();
        for digests in packed.tasks {
            recipes.extend(digests.recipe_of_all().as_bytes());
        }
        (FileStamp::of_bytes(&photos), Digest::of_bytes(&recipes))
    }
}

/// The task of a pack in the manifest is this prefix, then its tasks.
const TASK_PREFIX: &str = "tar of ";

/// Separates the tasks of a pack.
const SEPARATOR: &str = ", ";

/// The end of the file name of a pack with outputs of these tasks: `.depth+segment.tar`.
pub fn pack_ending<'k>(tasks: impl IntoIterator<Item = &'k str>) -> String {
    let tasks: Vec<&str> = tasks.into_iter().collect();
    format!(".{}.tar", tasks.join("+"))
}

/// The name prefixes of the outputs that are in the packs of `line`; empty if it is not about packs.
pub(super) fn packed_prefixes(line: &ManifestLine) -> Vec<Vec<u8>> {
    let Some(tasks) = line.task.strip_prefix(TASK_PREFIX) else {
        return Vec::new();
    };
    let ending = pack_ending(tasks.split(SEPARATOR));
    let begin = |name: &[u8]| {
        let stem = name.strip_suffix(ending.as_bytes())?;
        Some([stem, b"/"].concat())
    };
    line.outputs()
        .filter_map(|(name, _)| begin(&name))
        .collect()
}

/// Removes the file or folder at `path`, and then its parent folders that are empty, up to and including `folder`.
///
/// # Errors
/// Names `path` if it cannot be removed.
pub fn remove_with_empty_parents(path: &Path, folder: &Path) -> Result<()> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    removed.map_err(|error| crate::Error::io(path, &error))?;
    for above in path.ancestors().skip(1) {
        if !above.starts_with(folder) || fs::remove_dir(above).is_err() {
            break;
        }
    }
    Ok(())
}
