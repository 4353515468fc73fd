//! The manifest files of a folder: one for runs without shards, and one per shard.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::features::DatasetFormat;
use crate::io::inputs::Shard;
use crate::io::manifest::entry::ManifestLine;
use crate::io::manifest::line_reader::{ManifestFileEnd, read_lines};

/// File name of the manifest in a folder of outputs, for runs without shards.
pub const MANIFEST_FILE: &str = "manifest.jsonl";

/// Name of the file that a run of `shard` appends to. Each shard appends to its own file, so that shards can share a
/// folder on network file systems without locks.
pub(super) fn file_name(shard: Option<Shard>) -> String {
    match shard.filter(|shard| shard.is_part()) {
        None => MANIFEST_FILE.to_owned(),
        Some(shard) => format!("manifest-{}.jsonl", shard.label()),
    }
}

/// The file that a run of `shard` with outputs in `folder` appends to.
pub(super) fn manifest_path(folder: &Path, shard: Option<Shard>) -> PathBuf {
    folder.join(format!("{}{}", name_prefix(folder), file_name(shard)))
}

/// Prefix of manifest file names in `folder`: an underscore in a dataset, whose readers skip such names.
fn name_prefix(folder: &Path) -> &'static str {
    match DatasetFormat::from_path(folder) {
        Some(_) => "_",
        None => "",
    }
}

/// Whether `name` is that of a shard's manifest: `manifest-N-of-M.jsonl`.
pub(super) fn is_shard_file(name: &str) -> bool {
    let parts = name
        .strip_prefix("manifest-")
        .and_then(|rest| rest.strip_suffix(".jsonl"))
        .and_then(|rest| rest.split_once("-of-"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    parts.is_some_and(|(number, of)| is_number(number) && is_number(of))
}

/// The manifest files that exist in `folder`: that of runs without shards first, then those of shards by name.
///
/// # Errors
/// Names the folder if it cannot be read; a missing folder has no files.
pub(super) fn manifest_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let path = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let failed = |error: &std::io::Error| Error::io(folder, error);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(&error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| failed(&error))?.file_name();
        if let Some(name) = name.to_str()
            && name
                .strip_prefix(name_prefix(folder))
                .is_some_and(is_shard_file)
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let own = manifest_path(folder, None);
    let own = own.exists().then_some(own);
    let shards = names.into_iter().map(|name| folder.join(name));
    Ok(own.into_iter().chain(shards).collect())
}

/// As [`manifest_files`], but with an error if there is none.
///
/// # Errors
/// Names the folder if it has no manifest or cannot be read.
pub(super) fn require_manifest_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = manifest_files(folder)?;
    match files.is_empty() {
        true => Err(Error::file(
            folder,
            format!(
                "has no {MANIFEST_FILE}, in which dino notes what it has made; name a folder of outputs"
            ),
        )),
        false => Ok(files),
    }
}

/// Calls `take` with each line of the file at `path`, and with its text.
///
/// # Errors
/// Names the file if it is not a regular one; as [`read_lines`].
pub(super) fn read_file(
    path: &Path,
    take: impl FnMut(&ManifestLine, &[u8]) -> Result<()>,
) -> Result<ManifestFileEnd> {
    // Checked before it is opened, since opening a pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
    if !metadata.is_file() {
        return Err(Error::file(
            path,
            "is no regular file, where dino notes what it has made; move it away, or choose another output folder",
        ));
    }
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    read_lines(path, &file, take)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_a_file_of_its_own() {
        let shard = |number, of| Some(Shard::new(number, of).unwrap());
        assert_eq!(file_name(None), MANIFEST_FILE);
        assert_eq!(file_name(shard(1, 1)), MANIFEST_FILE);
        assert_eq!(file_name(shard(3, 100)), "manifest-003-of-100.jsonl");
        assert_eq!(file_name(shard(3, 7)), "manifest-3-of-7.jsonl");
        assert!(is_shard_file("manifest-003-of-100.jsonl"));
        for other in [
            "manifest.jsonl",
            "manifest-.jsonl",
            "manifest-x-of-2.jsonl",
            "manifest-1-of-2.json",
            "my-manifest-1-of-2.jsonl",
        ] {
            assert!(!is_shard_file(other), "{other}");
        }
    }

    #[test]
    fn the_files_of_a_folder_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            manifest_files(&folder.path().join("gone"))
                .unwrap()
                .is_empty()
        );
        for name in ["manifest-2-of-2.jsonl", "manifest-1-of-2.jsonl", "a.png"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names = || {
            let files = manifest_files(folder.path()).unwrap().into_iter();
            let names = files.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(), ["manifest-1-of-2.jsonl", "manifest-2-of-2.jsonl"]);
        fs::write(folder.path().join(MANIFEST_FILE), "").unwrap();
        assert_eq!(names()[0], MANIFEST_FILE);
        assert_eq!(names().len(), 3);
    }
}
