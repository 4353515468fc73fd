//! The containers that films are written to, by the extension of the file.

use std::path::Path;

use crate::error::{Error, Result};

/// A container format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VideoContainer {
    Mp4,
    Mov,
    Matroska,
    WebM,
    /// ffmpeg's NUT, for parts of films in Matroska or WebM, which round times to milliseconds.
    Nut,
}

/// The extension of a part of a film whose own extension is `ending`: its container keeps times exact.
pub fn part_extension(ending: &str) -> &str {
    match ending {
        "mkv" | "webm" => "nut",
        other => other,
    }
}

impl VideoContainer {
    /// The container for a file's extension.
    ///
    /// # Errors
    /// Names the file and the known extensions, if the file has another one.
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

    /// ffmpeg's name of the muxer.
    pub fn ffmpeg_format(self) -> &'static str {
        match self {
            VideoContainer::Mp4 => "mp4",
            VideoContainer::Mov => "mov",
            VideoContainer::Matroska => "matroska",
            VideoContainer::WebM => "webm",
            VideoContainer::Nut => "nut",
        }
    }

    /// Whether it is MP4 or QuickTime, which share a muxer.
    pub fn is_mp4(self) -> bool {
        matches!(self, VideoContainer::Mp4 | VideoContainer::Mov)
    }

    /// Whether audio of this codec (ffmpeg's name) can be copied into it.
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
