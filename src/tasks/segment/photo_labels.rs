//! One photo with its labels, as the writers of its files take it.

use image::RgbImage;

use crate::io::output::OutputJob;
use crate::model::input::Geometry;
use crate::system::files::FileStamp;
use crate::vision::postprocess::{ClassArea, LabelMap, PixelBox, Regions};

/// What regions are, and are not.
pub const REGION_RULE: &str = "connected regions of one class (8-connectivity), not instances";

/// A photo as it was seen.
#[derive(Clone, Copy)]
pub struct LabelInput<'a> {
    /// Where its results go.
    pub job: &'a OutputJob,
    /// Upright.
    pub photo: &'a RgbImage,
    /// Of the bytes that it was decoded from.
    pub stamp: Option<&'a FileStamp>,
    /// How it lay in the backbone's input.
    pub geometry: &'a Geometry,
}

/// Pixels whose class is not probable enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct UnsurePixels {
    /// The probability that a class has at least; none where all are shown.
    pub min_probability: Option<f32>,
    /// Whether they have no class in files and figures either.
    pub in_files: bool,
    /// How many they are.
    pub pixels: u64,
}

/// One photo with its labels.
pub(super) struct PhotoLabels<'a> {
    pub job: &'a OutputJob,
    pub photo: &'a RgbImage,
    pub stamp: Option<&'a FileStamp>,
    pub geometry: &'a Geometry,
    /// At the photo's size, with the classes that are kept.
    pub map: LabelMap,
    pub areas: Vec<ClassArea>,
    /// What is left out for its low probability.
    pub unsure: UnsurePixels,
    /// If they were asked for.
    pub regions: Option<Regions>,
    /// Around what a cutout shows, if one was asked for and there is anything.
    pub cutout_box: Option<PixelBox>,
}
