//! The kinds of files that clips are written to.

use std::path::Path;

use crate::error::{Error, Result};

/// A kind of file that frames are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Mp4,
    Mov,
    Matroska,
    WebM,
}

impl Container {
    /// By a file's ending.
    ///
    /// # Errors
    /// Names the file and the endings that there are.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match ending.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Ok(Container::Mp4),
            "mov" => Ok(Container::Mov),
            "mkv" => Ok(Container::Matroska),
            "webm" => Ok(Container::WebM),
            _ => Err(Error::Usage(format!(
                "{}: clips are written to .mp4, .mov, .mkv or .webm",
                path.display()
            ))),
        }
    }

    /// In ffmpeg's word.
    pub fn format(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Matroska => "matroska",
            Container::WebM => "webm",
        }
    }

    pub fn is_mp4(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }

    /// Whether it can hold sound of this codec as it is.
    pub fn holds(self, codec: &str) -> bool {
        match self {
            Container::Matroska => true,
            Container::WebM => matches!(codec, "opus" | "vorbis"),
            Container::Mov => {
                codec.starts_with("pcm_")
                    || matches!(codec, "aac" | "mp3" | "ac3" | "eac3" | "alac")
            }
            Container::Mp4 => matches!(
                codec,
                "aac" | "mp3" | "mp2" | "ac3" | "eac3" | "alac" | "opus" | "flac"
            ),
        }
    }
}
