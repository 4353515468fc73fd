//! One photo with its depths, as the writers of its files take it.

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::io::output::OutputJob;
use crate::model::head::HeadMeta;
use crate::model::head_zoo::DepthCalibration;
use crate::model::input::Geometry;
use crate::vision::postprocess::MetricConversion;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::render::{Colormap, ValueRange};

/// A photo whose depths are known.
pub struct PhotoDepth<'a> {
    /// Where its results go.
    pub job: &'a OutputJob,
    /// Where [`DepthWriter::uses_photo`].
    pub photo: Option<&'a RgbImage>,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
    /// At the photo's size.
    pub depth: &'a dyn RowSource,
    /// Standard deviations, likewise, where they are asked for and the head has a say in them.
    pub deviation: Option<&'a dyn RowSource>,
    /// Of the colours.
    pub range: ValueRange,
    /// Of the head, with the unit and the range of the depths.
    pub meta: &'a HeadMeta,
    /// How metres were made of what the head says, where they were.
    pub conversion: Option<MetricConversion>,
    /// Where the conversion comes from it.
    pub calibration: Option<&'a DepthCalibration>,
    /// What stands for all that is farther than is known, if anything does.
    pub farthest: Option<f32>,
    /// The probability that the photo shows a room, where that is known.
    pub room_probability: Option<f32>,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

/// One map of a photo on its way to its files.
pub struct DepthLayer<'m> {
    /// At the photo's size.
    pub rows: &'m dyn RowSource,
    /// Of the colours.
    pub range: ValueRange,
    /// Its first colour stands for the low end.
    pub colormap: &'m Colormap,
    /// Whether it is the standard deviation of depth, not depth itself.
    pub is_std: bool,
}

/// What one pixel says.
pub struct DepthReading {
    /// Column and row.
    pub pixel: (u32, u32),
    /// In the head's unit.
    pub depth: f32,
    /// Standard deviation, likewise; none where the head has no say in it.
    pub std: Option<f32>,
}
