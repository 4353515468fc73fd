//! BLAKE3 digests of bytes, files and settings, by which later runs recognise inputs, outputs and settings.

use std::fs::{self, File};
use std::path::Path;
use std::str::FromStr;
use std::{fmt, io};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// A BLAKE3 digest, 32 bytes; as text and in JSON it is 64 lower-case hex digits, as `b3sum` prints them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digests bytes in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }

    /// Digests the content of a regular file, 64 KiB at a time.
    ///
    /// # Errors
    /// [`Error::File`] names the file, with the system's reason, or if it is a folder, a pipe or a device.
    pub fn of_file(path: &Path) -> Result<Self> {
        // Checked before it is opened, since opening a pipe waits for its writer.
        let metadata = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
        if !metadata.is_file() {
            return Err(Error::file(path, "is no regular file, where one is meant"));
        }
        let digest = File::open(path).and_then(|file| Self::of_open_file(&file));
        digest
            .map(|(digest, _)| digest)
            .map_err(|error| Error::io(path, &error))
    }

    /// Digests a setting as its compact JSON with all keys sorted, so that the order of keys does not matter.
    ///
    /// Numbers are digested as they are written, so that 1 and 1.0 are different settings.
    pub fn of_json(value: &Value) -> Self {
        let mut value = value.clone();
        value.sort_all_objects();
        Self::of_bytes(value.to_string().as_bytes())
    }

    /// Digests the rest of `file` from its current position, and returns the number of bytes with it.
    pub(crate) fn of_open_file(file: &File) -> io::Result<(Self, u64)> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        Ok((hasher.finalize().into(), hasher.count()))
    }

    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match blake3::Hash::from_hex(text) {
            Ok(hash) => Ok(hash.into()),
            Err(_) => Err(format!("`{text}` is no digest of 64 hex digits")),
        }
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Digest(hash.into())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// From its hex digits, without copying them: manifests hold millions.
impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DigestVisitor;

        impl Visitor<'_> for DigestVisitor {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest of 64 hex digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(DigestVisitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_have_the_digest_of_their_bytes() {
        // From the BLAKE3 test vectors: the empty input.
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of_bytes(b"").to_string(), empty);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large");
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        fs::write(&file, &bytes).unwrap();
        assert_eq!(Digest::of_file(&file).unwrap(), Digest::of_bytes(&bytes));
        let error = Digest::of_file(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no regular file"), "{error}");
        let error = Digest::of_file(&folder.path().join("gone")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("gone: no such file or directory")
        );
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_all_else_does() {
        let one = Digest::of_json(&json!({"head": {"a": 1, "b": [1, 2]}, "size": 518}));
        assert_eq!(
            one,
            Digest::of_json(&json!({"size": 518, "head": {"b": [1, 2], "a": 1}}))
        );
        for other in [
            json!({"size": 518, "head": {"b": [2, 1], "a": 1}}),
            json!({"size": 518, "head": {"b": [1, 2], "a": null}}),
            json!({"size": "518", "head": {"b": [1, 2], "a": 1}}),
        ] {
            assert_ne!(one, Digest::of_json(&other), "{other}");
        }
    }

    #[test]
    fn hex_digits_are_read_back() {
        let digest = Digest::of_bytes(b"abc");
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(text.len(), 66);
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        for wrong in ["", "abc", &"x".repeat(64), &"é".repeat(32)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
