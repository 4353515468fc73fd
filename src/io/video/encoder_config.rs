//! The parameters of a film to encode: frame size, times, codec, tags and sound.

use std::path::PathBuf;

use super::clip::Clip;
use super::encoders::{RawPixelFormat, VideoCodec};
use super::ratio::Ratio;
use super::times::FrameSelection;

/// A film to encode: format and times of the frames, codec, tags and sound.
#[derive(Debug, Clone)]
pub struct EncoderConfig {
    /// Width of the frames in pixels. For YUV pixel formats, an odd last column is cropped.
    pub width: u32,
    /// Height of the frames in pixels. For YUV pixel formats, an odd last row is cropped.
    pub height: u32,
    /// Layout of the bytes of a frame.
    pub pixel_format: RawPixelFormat,
    /// The codec of the film.
    pub codec: VideoCodec,
    /// Length of a tick in seconds; all times are in ticks.
    pub time_base: Ratio,
    /// The tick that becomes time 0 of the film.
    pub origin: i64,
    /// Frames per second, on average; determines the key frame interval of two seconds (FFV1 has key frames only).
    pub rate: Ratio,
    /// Whether frame durations vary: B-frames are then disabled, since ffmpeg writes the exact end of the last frame
    /// only without them.
    pub is_variable: bool,
    /// Pixel aspect ratio, width to height.
    pub pixel_aspect: (u32, u32),
    /// Names and values of the file's metadata tags; Matroska stores names in upper case.
    pub tags: Vec<(String, String)>,
    /// The sound to copy into it.
    pub audio: Option<AudioTrack>,
}

impl EncoderConfig {
    /// RGB pictures in H.264 with the size and times of the frames that `selection` takes of `clip`; no tags and no
    /// sound.
    pub fn from_clip(clip: &Clip, selection: &FrameSelection) -> Self {
        let plan = selection.plan(&clip.frames, clip.time_base, clip.origin);
        let durations = || plan.iter().map(|planned| planned.duration);
        let span = durations().min().zip(durations().max());
        EncoderConfig {
            width: clip.width,
            height: clip.height,
            pixel_format: RawPixelFormat::Rgb24,
            codec: VideoCodec::default(),
            time_base: clip.time_base,
            // The clip's beginning, or the first frame where a later one than the clip's first was selected.
            origin: match plan.first() {
                Some(first) if first.index > 0 => first.time,
                _ => clip.origin,
            },
            rate: selection.rate(clip.rate),
            // A difference of one tick is rounding.
            is_variable: span.is_some_and(|(shortest, longest)| longest - shortest > 1),
            pixel_aspect: clip.pixel_aspect,
            tags: Vec::new(),
            audio: None,
        }
    }
}

/// An audio stream to copy, from the beginning of the film to the end of its last frame.
#[derive(Debug, Clone)]
pub struct AudioTrack {
    pub(super) path: PathBuf,
    pub(super) stream: u32,
    pub(super) codec: String,
    /// The origin of its clip, in ticks.
    pub(super) origin: i64,
}

impl AudioTrack {
    /// The audio stream of `clip`, if it has one.
    pub fn of(clip: &Clip) -> Option<Self> {
        clip.audio.as_ref().map(|audio| AudioTrack {
            path: clip.path.clone(),
            stream: audio.stream,
            codec: audio.codec.clone(),
            origin: clip.origin,
        })
    }
}
