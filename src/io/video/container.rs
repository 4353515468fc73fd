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
    /// ffmpeg's own, for parts of films of kinds that round times.
    Nut,
}

/// The ending of files with parts of films whose own ending is `ending`: times are exact in them.
pub fn ending_of_parts(ending: &str) -> &str {
    match ending {
        "mkv" | "webm" => "nut",
        other => other,
    }
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
            "nut" => Ok(Container::Nut),
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
            Container::Nut => "nut",
        }
    }

    pub fn is_mp4(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }

    /// Whether it can hold sound of this codec as it is.
    pub fn holds(self, codec: &str) -> bool {
        match self {
            Container::Matroska | Container::Nut => true,
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
