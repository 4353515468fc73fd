//! Why a photo has no outputs, as it is noted, and whether trying again can help.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, FileFault};

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// The photo is not there.
    Missing,
    /// The system did not let it be read.
    Unreadable,
    /// It is no image.
    #[serde(rename = "not an image")]
    NotImage,
    /// It is an image of a kind that is not decoded.
    Unsupported,
    /// It is damaged.
    Decode,
    /// It has more pixels than were allowed.
    #[serde(rename = "too large")]
    TooLarge,
    /// There was too little memory for it.
    Memory,
    /// Another program that reads it was not there, or failed.
    Program,
    /// It lacks what an option asks of it.
    Option,
    /// It was changed while it was in use.
    Changed,
    /// A result could not be written, or something was in its place.
    Output,
    /// The device failed.
    Device,
    /// The model or the head gave nothing of use.
    Model,
    /// A transfer failed.
    Network,
    /// Anything else, and whatever a later dino calls by another name.
    #[serde(other)]
    Other,
}

impl FailureKind {
    /// What kind `error` is, with which `photo` failed.
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

    /// Whether the photo's own bytes are at fault, so that the same program fails with them again. Whatever else failed may
    /// have passed since.
    pub fn is_lasting(self) -> bool {
        matches!(
            self,
            FailureKind::NotImage
                | FailureKind::Unsupported
                | FailureKind::Decode
                | FailureKind::TooLarge
        )
    }

    /// The error of a photo that failed so before.
    pub(super) fn fault(self) -> FileFault {
        match self {
            FailureKind::NotImage => FileFault::NotImage,
            FailureKind::Unsupported => FileFault::Unsupported,
            FailureKind::Decode => FileFault::Damaged,
            FailureKind::TooLarge => FileFault::TooLarge,
            _ => FileFault::Other,
        }
    }

    /// As it is noted.
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
pub struct PhotoFailure {
    /// In a word of a fixed set.
    pub kind: FailureKind,
    /// In a sentence, without the photo's name in front.
    pub message: String,
}

impl PhotoFailure {
    /// What `error` says, with which `photo` failed.
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
