//! Stamps of files: size, time of modification and digest, by which a later run tells whether a file is unchanged.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::error::{Error, Result};

/// The size, modification time and content digest of a file or folder, or of bytes in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "the stamp of a file")]
pub struct FileStamp {
    /// Size in bytes; of a folder, the sum of its files' sizes.
    pub bytes: u64,
    /// Time of the last modification in nanoseconds since 1970 (Unix epoch); `None` for a folder, for bytes in memory,
    /// and if the file system states no such time or one before 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<u64>,
    /// Size in bytes of the tar archive that a photo is a member of, whose time is then in `modified`; `None` for other
    /// files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar_bytes: Option<u64>,
    /// Digest of the file's content; for a folder, of the sorted names and the contents of its files.
    pub digest: Digest,
}

impl FileStamp {
    /// The stamp of bytes in memory, such as a photo from standard input.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        FileStamp {
            bytes: bytes.len() as u64,
            modified: None,
            tar_bytes: None,
            digest: Digest::of_bytes(bytes),
        }
    }

    /// The stamp of content of which only the digest is known; the size is 0.
    pub fn of_digest(digest: Digest) -> Self {
        FileStamp {
            bytes: 0,
            modified: None,
            tar_bytes: None,
            digest,
        }
    }

    /// The stamp of a file that was written: the digest and size of its content, and the time in its `metadata`, read
    /// afterwards.
    pub fn of_written_file(digest: Digest, bytes: u64, metadata: &Metadata) -> Self {
        FileStamp {
            bytes,
            modified: modified_nanos(metadata),
            tar_bytes: None,
            digest,
        }
    }

    /// The stamp of `bytes` that were read from a file whose `metadata` was read before; without a time unless it is a
    /// regular file of that size.
    pub fn of_read_file(bytes: &[u8], metadata: Option<&Metadata>) -> Self {
        let file =
            metadata.filter(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64);
        FileStamp {
            modified: file.and_then(modified_nanos),
            ..Self::of_bytes(bytes)
        }
    }

    /// The stamp of the `bytes` of a member of a tar archive of `tar_bytes`, which was last modified at `tar_modified`.
    pub fn of_tar_member(bytes: &[u8], tar_bytes: u64, tar_modified: Option<u64>) -> Self {
        FileStamp {
            modified: tar_modified,
            tar_bytes: Some(tar_bytes),
            ..Self::of_bytes(bytes)
        }
    }

    /// Computes the stamp of a regular file or a folder from its content. Of folders within a folder only the names
    /// count; the files of file managers (`.DS_Store`, `Thumbs.db`) are ignored.
    ///
    /// # Errors
    /// [`Error::File`] names the file, or the one within the folder, with the system's reason, or if it is a pipe or a
    /// device.
    pub fn of_file(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
        match (metadata.is_dir(), metadata.is_file()) {
            (true, _) => Self::of_folder(path),
            (_, true) => Self::of_regular(path).map_err(|error| Error::io(path, &error)),
            _ => Err(Error::file(
                path,
                "is neither a regular file nor a folder, so that nothing can be noted about it",
            )),
        }
    }

    fn of_regular(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // Read before the content: a concurrent write gives the file a later time, so that the stamp no longer matches.
        let modified = modified_nanos(&file.metadata()?);
        let (digest, bytes) = Digest::of_open_file(&file)?;
        Ok(FileStamp {
            bytes,
            modified,
            tar_bytes: None,
            digest,
        })
    }

    fn of_folder(folder: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io(folder, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        names.retain(|name| name != ".DS_Store" && name != "Thumbs.db");
        names.sort();
        let mut content = blake3::Hasher::new();
        let mut bytes = 0;
        for name in &names {
            let path = folder.join(name);
            let name = name.as_encoded_bytes();
            content.update(&(name.len() as u64).to_le_bytes());
            content.update(name);
            if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                let file = Self::of_regular(&path).map_err(|error| Error::io(&path, &error))?;
                content.update(file.digest.as_bytes());
                bytes += file.bytes;
            } else {
                content.update(&[0; 32]);
            }
        }
        Ok(FileStamp {
            bytes,
            modified: None,
            tar_bytes: None,
            digest: Digest::from(content.finalize()),
        })
    }

    /// Whether the file or folder at `path` still has this content. A file of the same size and time of modification is
    /// not read, as in `rsync`.
    ///
    /// # Errors
    /// As [`FileStamp::of_file`]; false without an error if nothing is there, or neither a file nor a folder.
    pub fn matches_file(&self, path: &Path) -> Result<bool> {
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io(path, &error)),
            Ok(metadata) if metadata.is_file() && metadata.len() != self.bytes => Ok(false),
            Ok(metadata) if self.matches_metadata(&metadata) => Ok(true),
            Ok(metadata) if metadata.is_file() || metadata.is_dir() => {
                Ok(Self::of_file(path)?.digest == self.digest)
            }
            Ok(_) => Ok(false),
        }
    }

    /// Whether a regular file with `metadata` has the size and the time of this stamp, so that it need not be read.
    pub fn matches_metadata(&self, metadata: &Metadata) -> bool {
        metadata.is_file()
            && metadata.len() == self.bytes
            && self.tar_bytes.is_none()
            && self.modified.is_some()
            && self.modified == modified_nanos(metadata)
    }
}

/// The time of the last modification of a file, in nanoseconds since 1970; `None` if it is unknown or earlier.
pub(crate) fn modified_nanos(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn set_modified(path: &Path, time: SystemTime) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    }

    fn photo(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("a.jpg");
        fs::write(&path, "photo").unwrap();
        set_modified(&path, UNIX_EPOCH + Duration::new(1_700_000_000, 5));
        path
    }

    #[test]
    fn a_touched_file_is_still_the_same_and_an_edited_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = photo(&folder);
        let stamp = FileStamp::of_file(&path).unwrap();
        assert_eq!(stamp.bytes, 5);
        assert_eq!(stamp.modified, Some(1_700_000_000_000_000_005));
        assert_eq!(stamp.digest, FileStamp::of_bytes(b"photo").digest);
        assert!(stamp.matches_file(&path).unwrap());
        set_modified(&path, UNIX_EPOCH + Duration::from_secs(1_600_000_000));
        assert!(stamp.matches_file(&path).unwrap());
        fs::write(&path, "photO").unwrap();
        assert!(!stamp.matches_file(&path).unwrap());
        fs::write(&path, "photograph").unwrap();
        assert!(!stamp.matches_file(&path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!stamp.matches_file(&path).unwrap());
    }

    #[test]
    fn size_and_time_spare_the_reading_and_bytes_without_a_time_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = photo(&folder);
        let (stamp, timeless) = (
            FileStamp::of_file(&path).unwrap(),
            FileStamp::of_bytes(b"photo"),
        );
        assert!(timeless.matches_file(&path).unwrap());
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "photO").unwrap();
        set_modified(&path, time);
        assert!(stamp.matches_file(&path).unwrap());
        assert!(!timeless.matches_file(&path).unwrap());
    }

    #[test]
    fn times_before_1970_are_not_relied_upon() {
        let folder = tempfile::tempdir().unwrap();
        let path = photo(&folder);
        set_modified(&path, UNIX_EPOCH - Duration::from_secs(1));
        let stamp = FileStamp::of_file(&path).unwrap();
        assert_eq!(stamp.modified, None);
        assert!(stamp.matches_file(&path).unwrap());
        fs::write(&path, "photO").unwrap();
        set_modified(&path, UNIX_EPOCH - Duration::from_secs(1));
        assert!(!stamp.matches_file(&path).unwrap());
    }

    #[test]
    fn a_folder_is_its_names_and_contents() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("masks");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.png"), "cat").unwrap();
        fs::write(folder.join("b.png"), "bench").unwrap();
        let stamp = FileStamp::of_file(&folder).unwrap();
        assert_eq!((stamp.bytes, stamp.modified), (8, None));
        fs::write(folder.join(".DS_Store"), "litter").unwrap();
        assert!(stamp.matches_file(&folder).unwrap());

        fs::write(folder.join("a.png"), "dog").unwrap();
        assert!(!stamp.matches_file(&folder).unwrap());
        fs::write(folder.join("a.png"), "cat").unwrap();
        assert!(stamp.matches_file(&folder).unwrap());
        fs::rename(folder.join("a.png"), folder.join("A.png")).unwrap();
        assert!(!stamp.matches_file(&folder).unwrap());
        fs::rename(folder.join("A.png"), folder.join("a.png")).unwrap();
        fs::create_dir(folder.join("more")).unwrap();
        assert!(!stamp.matches_file(&folder).unwrap());

        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "catbench").unwrap();
        assert!(!stamp.matches_file(&folder).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let error = FileStamp::of_file(&path).unwrap_err().to_string();
        assert!(error.contains("neither a regular file"), "{error}");
        assert!(Digest::of_file(&path).is_err());
        assert!(!FileStamp::of_bytes(b"").matches_file(&path).unwrap());
    }
}
