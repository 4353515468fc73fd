//! Tars of what was made of the photos of a tar, which are known by all that is in them.

use std::fs;
use std::path::Path;

use serde_json::Map;

use crate::error::Result;
use crate::io::inputs::{Source, TarArchive};
use crate::io::manifest::entry::ManifestLine;
use crate::io::manifest::{ExpectedOrigin, Ledger, ManifestEntry, OutputFreshness, TaskDigests};
use crate::system::files::{Digest, FileStamp};

/// What a tar of outputs is made of.
#[derive(Debug, Clone, Copy)]
pub struct PackInputs<'p> {
    /// The tar of the photos.
    pub archive: &'p TarArchive,
    /// The photos, with the digests of those that were seen.
    pub photos: &'p [(&'p Source, Option<Digest>)],
    /// How what is in it is made, by task.
    pub tasks: &'p [&'p TaskDigests],
    /// Bytes of a photo, at most.
    pub max_photo_bytes: u64,
}

impl Ledger {
    /// How the tar of outputs at `path` stands to what would be made.
    ///
    /// # Errors
    /// Names what cannot be read.
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

    /// Has `write` write the tar at `path`, and notes that it is about to be written, and that it was.
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
        let kinds: Vec<&str> = packed
            .tasks
            .iter()
            .map(|making| making.task.as_str())
            .collect();
        let input = &packed.archive.path;
        let entry = ManifestEntry {
            task: format!("{TASK_PREFIX}{}", kinds.join(SEPARATOR)),
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

    /// What stands for all photos of a tar, and for all that is made of them.
    fn origin_of_pack(&self, packed: PackInputs<'_>) -> (FileStamp, Digest) {
        let mut photos = Vec::new();
        for (source, seen) in packed.photos {
            let digest = seen.or_else(|| {
                let stamp = self.stamp_of(source, packed.max_photo_bytes).ok();
                stamp.map(|stamp| stamp.digest)
            });
            photos.extend(source.relative().as_os_str().as_encoded_bytes());
            photos.push(0);
            photos.extend(source.page_number().to_le_bytes());
            photos.extend(digest.as_ref().map_or(&[0; 32], Digest::as_bytes));
        }
        let mut recipes = b"tar\0".to_vec();
        for making in packed.tasks {
            recipes.extend(making.recipe_of_all().as_bytes());
        }
        (FileStamp::of_bytes(&photos), Digest::of_bytes(&recipes))
    }
}

/// How the tasks of tars of outputs are called, before those that are in it.
const TASK_PREFIX: &str = "tar of ";

/// What stands between those.
const SEPARATOR: &str = ", ";

/// How the names of tars end that hold what these tasks made.
pub fn pack_ending<'k>(kinds: impl IntoIterator<Item = &'k str>) -> String {
    let kinds: Vec<&str> = kinds.into_iter().collect();
    format!(".{}.tar", kinds.join("+"))
}

/// What the names of outputs begin with that `line` says were put into a tar, if it says so.
pub(super) fn packed_prefixes(line: &ManifestLine) -> Vec<Vec<u8>> {
    let Some(kinds) = line.task.strip_prefix(TASK_PREFIX) else {
        return Vec::new();
    };
    let ending = pack_ending(kinds.split(SEPARATOR));
    let begin = |name: &[u8]| {
        let stem = name.strip_suffix(ending.as_bytes())?;
        Some([stem, b"/"].concat())
    };
    line.outputs()
        .filter_map(|(name, _)| begin(&name))
        .collect()
}

/// Removes the file at `path`, and the folders above it that are empty then, up to `folder`.
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
