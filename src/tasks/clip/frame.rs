//! One frame of a clip: the images that it is rendered from, its picture, and the exact values behind the picture.

use image::RgbImage;

use crate::vision::postprocess::LabelMap;

/// The exact values behind a rendered frame, `[height, width]` at the clip's size.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameValues {
    /// No values.
    None,
    /// Depths in the head's unit.
    Depths(Vec<f32>),
    /// Class ids with their confidences.
    Labels(LabelMap),
}

/// What a task made of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedFrame {
    /// (width, height) of the clip.
    pub size: (u32, u32),
    /// The picture, at the clip's size, or twice as wide with `--side-by-side`.
    pub picture: RgbImage,
    /// The values behind the picture.
    pub numbers: FrameValues,
}

/// Lossless FFV1 video of the values behind pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueVideo {
    /// The extension of its file, such as `ids.mkv`.
    pub extension: &'static str,
    /// Bytes of a value: 1, or 2 in little-endian order.
    pub bytes: usize,
}

/// The images of a frame that is to be rendered, both at the clip's size.
#[derive(Debug, Clone, Copy)]
pub struct FrameImages<'f> {
    /// The frame as it is shown.
    pub photo: &'f RgbImage,
    /// The image to whose edges borders are fitted: the frame, or the running mean of frames (`RunningGuide`).
    pub guide: &'f RgbImage,
}
