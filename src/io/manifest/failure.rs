//! Why a photo has no outputs, as recorded in the manifest, and whether a retry can succeed.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, FileFault};

/// Kinds of failures; the manifest records their [`FailureKind::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// The photo does not exist.
    Missing,
    /// The system refused to read it.
    Unreadable,
    /// Its bytes are not an image.
    #[serde(rename = "not an image")]
    NotImage,
    /// It is an image of a format that is not supported.
    Unsupported,
    /// It is damaged, and could not be decoded.
    Decode,
    /// It has more pixels than allowed.
    #[serde(rename = "too large")]
    TooLarge,
    /// There was too little memory for it.
    Memory,
    /// An external program that decodes it was missing, or failed.
    Program,
    /// It does not meet what an option requires.
    Option,
    /// It was changed during the run, or since its features were stored.
    Changed,
    /// An output could not be written, or its path was taken.
    Output,
    /// The device failed.
    Device,
    /// The model or the head gave no usable result.
    Model,
    /// A download failed.
    Network,
    /// Anything else, including kinds added by later versions.
    #[serde(other)]
    Other,
}

impl FailureKind {
    /// The kind of `error`, with which `photo` failed. An error about another file counts as [`FailureKind::Output`].
    pub fn of(error: &Error, photo: &Path) -> Self {
        match error {
            Error::File { path, .. } if path != photo => FailureKind::Output,
            Error::File { fault, .. } => match fault {
                FileFault::Missing => FailureKind::Missing,
                FileFault::Unreadable => FailureKind::Unreadable,
                FileFault::NotImage => FailureKind::NotImage,
                FileFault::Unsupported => FailureKind::Unsupported,
                FileFault::Damaged => FailureKind::Decode,
                FileFault::TooLarge => FailureKind::TooLarge,
                FileFault::Memory => FailureKind::Memory,
                FileFault::Program => FailureKind::Program,
                FileFault::Option => FailureKind::Option,
                FileFault::Changed => FailureKind::Changed,
                FileFault::Network => FailureKind::Network,
                FileFault::Other => FailureKind::Other,
            },
            Error::Tensor(_) => FailureKind::Device,
            Error::Model(_) => FailureKind::Model,
            Error::Download(_) => FailureKind::Network,
            Error::Memory(_) => FailureKind::Memory,
            Error::Usage(_) | Error::Inputs(_) | Error::Interrupted => FailureKind::Other,
        }
    }

    /// Whether the photo's own bytes are at fault, so that the same program would fail again: not an image,
    /// unsupported, damaged or too large. Other failures may be temporary.
    pub fn is_lasting(self) -> bool {
        matches!(
            self,
            FailureKind::NotImage
                | FailureKind::Unsupported
                | FailureKind::Decode
                | FailureKind::TooLarge
        )
    }

    /// The fault in the error of a photo that is skipped because it failed with this kind before.
    pub(super) fn fault(self) -> FileFault {
        match self {
            FailureKind::NotImage => FileFault::NotImage,
            FailureKind::Unsupported => FileFault::Unsupported,
            FailureKind::Decode => FileFault::Damaged,
            FailureKind::TooLarge => FileFault::TooLarge,
            _ => FileFault::Other,
        }
    }

    /// The kind as a word, as written to the manifest.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Missing => "missing",
            FailureKind::Unreadable => "unreadable",
            FailureKind::NotImage => "not an image",
            FailureKind::Unsupported => "unsupported",
            FailureKind::Decode => "decode",
            FailureKind::TooLarge => "too large",
            FailureKind::Memory => "memory",
            FailureKind::Program => "program",
            FailureKind::Option => "option",
            FailureKind::Changed => "changed",
            FailureKind::Output => "output",
            FailureKind::Device => "device",
            FailureKind::Model => "model",
            FailureKind::Network => "network",
            FailureKind::Other => "other",
        }
    }
}

/// Why a photo has no outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a failure")]
pub struct PhotoFailure {
    /// The kind.
    pub kind: FailureKind,
    /// The message, without the photo's path in front.
    pub message: String,
}

impl PhotoFailure {
    /// Describes `error`, with which `photo` failed.
    pub fn of(error: &Error, photo: &Path) -> Self {
        let message = match error {
            Error::File {
                path, reason: why, ..
            } if path == photo => why.clone(),
            other => other.to_string(),
        };
        PhotoFailure {
            kind: FailureKind::of(error, photo),
            message,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_file_that_is_not_the_photo_is_an_output() {
        let (photo, gone) = (Path::new("a.jpg"), io::Error::from_raw_os_error(2));
        let own = PhotoFailure::of(&Error::io(photo, &gone), photo);
        assert_eq!(own.kind, FailureKind::Missing);
        assert_eq!(own.message, "no such file or directory");
        let other = PhotoFailure::of(&Error::io("out/a.png", &gone), photo);
        assert_eq!(other.kind, FailureKind::Output);
        assert_eq!(other.message, "out/a.png: no such file or directory");
        assert!(!own.kind.is_lasting() && !other.kind.is_lasting());
    }

    #[test]
    fn kinds_are_written_as_they_are_named_and_later_ones_are_read() {
        for kind in [
            FailureKind::Missing,
            FailureKind::Unreadable,
            FailureKind::NotImage,
            FailureKind::Unsupported,
            FailureKind::Decode,
            FailureKind::TooLarge,
            FailureKind::Memory,
            FailureKind::Program,
            FailureKind::Option,
            FailureKind::Changed,
            FailureKind::Output,
            FailureKind::Device,
            FailureKind::Model,
            FailureKind::Network,
            FailureKind::Other,
        ] {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(text, format!("\"{}\"", kind.name()));
            assert_eq!(serde_json::from_str::<FailureKind>(&text).unwrap(), kind);
        }
        let later: FailureKind = serde_json::from_str("\"haunted\"").unwrap();
        assert_eq!(later, FailureKind::Other);
    }
}
