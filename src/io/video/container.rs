//! The kinds of files that clips are written to.

use std::path::Path;

use crate::error::{Error, Result};

/// A kind of file that frames are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VideoContainer {
    Mp4,
    Mov,
    Matroska,
    WebM,
    /// ffmpeg's own, for parts of films of kinds that round times.
    Nut,
}

/// The ending of files with parts of films whose own ending is `ending`: times are exact in them.
pub fn part_extension(ending: &str) -> &str {
    match ending {
        "mkv" | "webm" => "nut",
        other => other,
    }
}

impl VideoContainer {
    /// By a file's ending.
    ///
    /// # Errors
    /// Names the file and the endings that there are.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match ending.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Ok(VideoContainer::Mp4),
            "mov" => Ok(VideoContainer::Mov),
            "mkv" => Ok(VideoContainer::Matroska),
            "webm" => Ok(VideoContainer::WebM),
            "nut" => Ok(VideoContainer::Nut),
            _ => Err(Error::Usage(format!(
                "{}: clips are written to .mp4, .mov, .mkv or .webm",
                path.display()
            ))),
        }
    }

    /// In ffmpeg's word.
    pub fn ffmpeg_format(self) -> &'static str {
        match self {
            VideoContainer::Mp4 => "mp4",
            VideoContainer::Mov => "mov",
            VideoContainer::Matroska => "matroska",
            VideoContainer::WebM => "webm",
            VideoContainer::Nut => "nut",
        }
    }

    pub fn is_mp4(self) -> bool {
        matches!(self, VideoContainer::Mp4 | VideoContainer::Mov)
    }

    /// Whether it can hold sound of this codec as it is.
    pub fn can_hold_audio(self, codec: &str) -> bool {
        match self {
            VideoContainer::Matroska | VideoContainer::Nut => true,
            VideoContainer::WebM => matches!(codec, "opus" | "vorbis"),
            VideoContainer::Mov => {
                codec.starts_with("pcm_")
                    || matches!(codec, "aac" | "mp3" | "ac3" | "eac3" | "alac")
            }
            VideoContainer::Mp4 => matches!(
                codec,
                "aac" | "mp3" | "mp2" | "ac3" | "eac3" | "alac" | "opus" | "flac"
            ),
        }
    }
}
