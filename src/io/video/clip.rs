//! A clip: what is known of it before its frames are decoded.

use std::path::{Path, PathBuf};

use super::animation::{self, AnimationFormat};
use super::colour::ColorTags;
use super::image_sequence;
use super::probe::{self, VideoStream};
use super::ratio::Ratio;
use super::times::FrameTime;
use crate::error::Result;

/// A clip.
#[derive(Debug, Clone)]
pub struct Clip {
    /// The file or folder, as the user named it.
    pub path: PathBuf,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// By how many degrees the stored pictures are turned clockwise to stand upright: 0, 90, 180 or 270.
    pub rotation: u32,
    /// Width to height of a pixel; not 1:1 in anamorphic clips, whose pixels are taken as they are.
    pub pixel_aspect: (u32, u32),
    /// Every frame, in the order in which they are shown. There is at least one.
    pub frames: Vec<FrameTime>,
    /// Seconds of a tick.
    pub time_base: Ratio,
    /// The tick that players show as 0.
    pub origin: i64,
    /// Frames a second, on average.
    pub rate: Ratio,
    /// In ffmpeg's word: `h264`, `vp9`, `gif`.
    pub codec: String,
    /// In ffmpeg's word: `yuv420p`, `yuv420p10le`.
    pub pixel_format: String,
    /// Bits of a sample.
    pub bits: u32,
    /// What the samples mean.
    pub colour: ColorTags,
    /// The track of sound that players take, if there is one.
    pub audio: Option<AudioStream>,
    /// What there would be more of if the file were whole, as a sentence about it.
    pub truncated: Option<String>,
    /// Sentences about the file that its user may want to know.
    pub notes: Vec<String>,
    pub(super) reader: ClipReader,
}

/// A track of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioStream {
    /// In ffmpeg's word: `aac`, `opus`.
    pub codec: String,
    /// Its number in the file.
    pub(super) stream: u32,
}

/// Who decodes a clip.
#[derive(Debug, Clone)]
pub(super) enum ClipReader {
    /// A child ffmpeg.
    Ffmpeg(VideoStream),
    /// A decoder of this program.
    Animation(AnimationFormat),
    /// The decoders of photos.
    Images(Vec<PathBuf>),
}

impl Clip {
    /// Looks at the file at `path`: through ffprobe, or at GIF, APNG and animated WebP without it.
    ///
    /// # Errors
    /// Names the file: if ffmpeg is missing, it holds no pictures that move, no frames, or cannot be understood.
    pub fn probe(path: &Path) -> Result<Self> {
        match AnimationFormat::of_file(path)? {
            Some(animation) => animation::probe(path, animation),
            None => probe::probe(path),
        }
    }

    /// Takes the pictures of a folder as frames at `rate`, in the order of the numbers in their names.
    ///
    /// # Errors
    /// Names the folder, if there are no pictures in it.
    pub fn from_folder(folder: &Path, rate: Ratio) -> Result<Self> {
        let images = image_sequence::list_images(folder)?;
        Clip::from_images(folder, images, rate)
    }

    /// Takes `images` as frames at `rate`; `path` is what they are called together.
    ///
    /// # Errors
    /// If there are none, or the first cannot be read.
    pub fn from_images(path: &Path, images: Vec<PathBuf>, rate: Ratio) -> Result<Self> {
        image_sequence::probe(path, images, rate)
    }

    /// Width and height, upright.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Whether its frames have transparent parts, by the pixel format.
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

    /// Whether all frames stay equally long, but for what rounding to ticks makes of it.
    pub fn has_constant_rate(&self) -> bool {
        let all = self.frames.split_last().map_or(&[][..], |(_, rest)| rest);
        let shortest = all.iter().map(|frame| frame.duration).min();
        let longest = all.iter().map(|frame| frame.duration).max();
        shortest.zip(longest).is_none_or(|(a, b)| b - a <= 1)
    }
}
