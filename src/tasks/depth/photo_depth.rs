//! [`PhotoDepth`]: one photo with its depths, the input of the writers of its files.

use image::RgbImage;

use crate::engine::stage_timings::StageTimings;
use crate::io::output::OutputJob;
use crate::model::head::HeadMeta;
use crate::model::head_zoo::DepthCalibration;
use crate::model::input::Geometry;
use crate::vision::postprocess::MetricConversion;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::render::{Colormap, ValueRange};

/// A photo with its depths and the range of its colours.
pub struct PhotoDepth<'a> {
    /// The photo's source and the destinations of its files.
    pub job: &'a OutputJob,
    /// The decoded photo; always there where `DepthWriter::uses_photo`.
    pub photo: Option<&'a RgbImage>,
    /// How the photo lies in the backbone's input.
    pub geometry: &'a Geometry,
    /// Depths `[height, width]` at the photo's size, in the unit of `meta`.
    pub depth: &'a dyn RowSource,
    /// Standard deviations of the same size and unit, where they are asked for and the head has bins.
    pub deviation: Option<&'a dyn RowSource>,
    /// The depths that the colours span.
    pub range: ValueRange,
    /// The head's record, with the unit and range of the converted depths.
    pub meta: &'a HeadMeta,
    /// The conversion of the head's values to metres, where there is one.
    pub conversion: Option<MetricConversion>,
    /// The calibration that the conversion comes from, if it does.
    pub calibration: Option<&'a DepthCalibration>,
    /// The depth, in metres, that stands for everything farther; `None` without a conversion of inverse depth.
    pub farthest: Option<f32>,
    /// The probability that the photo shows a room, from 0 to 1, where it is known.
    pub room_probability: Option<f32>,
    /// Seconds that each stage took so far.
    pub timings: StageTimings,
}

/// One map of a photo: its depths, or their standard deviations.
pub struct DepthLayer<'m> {
    /// The values `[height, width]` at the photo's size.
    pub rows: &'m dyn RowSource,
    /// The values that the colours span.
    pub range: ValueRange,
    /// The colormap, whose first colour is that of the low end.
    pub colormap: &'m Colormap,
    /// Whether the values are standard deviations.
    pub is_std: bool,
}

/// The depth at one pixel of `--at`.
pub struct DepthReading {
    /// (column, row).
    pub pixel: (u32, u32),
    /// The depth, in the unit of the depths.
    pub depth: f32,
    /// The standard deviation in the same unit; `None` where the head has no bins.
    pub std: Option<f32>,
}
