//! [`Clip`]: the metadata of a clip, known before its frames are decoded, and which decoder reads it.

use std::path::PathBuf;

use super::animation_header::AnimationFormat;
use super::colour::ColorTags;
use super::ratio::Ratio;
use super::times::FrameTime;

/// A video file, an animated picture or a folder of images, as its header describes it.
#[derive(Debug, Clone)]
pub struct Clip {
    /// The file or folder, as the user named it.
    pub path: PathBuf,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// Degrees by which the stored frames are rotated clockwise to be upright: 0, 90, 180 or 270.
    pub rotation: u32,
    /// Pixel aspect ratio, width to height; not 1:1 in anamorphic clips, whose frames are not rescaled.
    pub pixel_aspect: (u32, u32),
    /// The times of all frames, in increasing order; at least one.
    pub frames: Vec<FrameTime>,
    /// Length of a tick in seconds.
    pub time_base: Ratio,
    /// The tick that players show as time 0.
    pub origin: i64,
    /// Frames per second, on average.
    pub rate: Ratio,
    /// ffmpeg's name of the codec: `h264`, `vp9`, `gif`; for a folder, the extension of its first image.
    pub codec: String,
    /// ffmpeg's name of the pixel format: `yuv420p`, `yuv420p10le`.
    pub pixel_format: String,
    /// Bits per sample, 8 to 16.
    pub bits: u32,
    /// Colour tags of the stream.
    pub colour: ColorTags,
    /// The audio stream that players choose by default, if there is one.
    pub audio: Option<AudioStream>,
    /// For a truncated file, a sentence that says how much is missing; its subject is the file.
    pub truncated: Option<String>,
    /// Warnings for the user, as sentences whose subject is the file.
    pub notes: Vec<String>,
    pub(super) reader: ClipReader,
}

/// An audio stream of a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioStream {
    /// ffmpeg's name of the codec: `aac`, `opus`.
    pub codec: String,
    /// Index of the stream in the file.
    pub(super) stream: u32,
}

/// Which decoder reads the frames of a clip.
#[derive(Debug, Clone)]
pub(super) enum ClipReader {
    /// A child process `ffmpeg`.
    Ffmpeg(VideoStream),
    /// The decoders of the `image` crates.
    Animation(AnimationFormat),
    /// The decoders of photos; one file per frame, in order.
    Images(Vec<PathBuf>),
}

/// The video stream of a file that ffmpeg decodes.
#[derive(Debug, Clone)]
pub(super) struct VideoStream {
    /// Index of the stream in the file.
    pub index: u32,
    /// Times of the key frames in ticks, in increasing order; decoding can begin at any of them.
    pub keyframes: Vec<i64>,
    /// Whether ffmpeg rotates the frames upright; false for angles that are not multiples of 90°.
    pub autorotates: bool,
}

impl Clip {
    /// Width and height in pixels, upright.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Whether frames are decoded with alpha: the pixel format has it, and the clip is not HDR, whose filters drop it.
    pub fn has_alpha(&self) -> bool {
        let name = self.pixel_format.as_str();
        let with = [
            "yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16",
        ];
        self.colour.hdr().is_none() && with.iter().any(|start| name.starts_with(start))
    }

    /// Seconds from the clip's beginning to a time in ticks.
    pub fn seconds(&self, time: i64) -> f64 {
        (time - self.origin) as f64 * self.time_base.value()
    }

    /// Seconds from the first frame's appearance to the end of the last.
    pub fn duration(&self) -> f64 {
        let (Some(first), Some(last)) = (self.frames.first(), self.frames.last()) else {
            return 0.0;
        };
        (last.time + last.duration - first.time) as f64 * self.time_base.value()
    }

    /// Whether all frames but the last have the same duration, give or take one tick of rounding.
    pub fn has_constant_rate(&self) -> bool {
        let all = self.frames.split_last().map_or(&[][..], |(_, rest)| rest);
        let shortest = all.iter().map(|frame| frame.duration).min();
        let longest = all.iter().map(|frame| frame.duration).max();
        shortest.zip(longest).is_none_or(|(a, b)| b - a <= 1)
    }
}
