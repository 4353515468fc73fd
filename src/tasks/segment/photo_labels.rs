//! [`PhotoLabels`]: one photo with its labels, the input of the writers of its files.

use image::RgbImage;

use crate::io::output::OutputJob;
use crate::model::input::Geometry;
use crate::system::files::FileStamp;
use crate::vision::postprocess::{ClassArea, LabelMap, PixelBox, Regions};

/// The definition of a region, as reports and documents state it.
pub const REGION_RULE: &str = "connected regions of one class (8-connectivity), not instances";

/// A photo whose labels are to be rendered.
#[derive(Clone, Copy)]
pub struct LabelInput<'a> {
    /// The photo's source and the destinations of its files.
    pub job: &'a OutputJob,
    /// The decoded photo, its EXIF orientation applied.
    pub photo: &'a RgbImage,
    /// Stamp of the bytes that the photo was decoded from.
    pub stamp: Option<&'a FileStamp>,
    /// How the photo lies in the backbone's input.
    pub geometry: &'a Geometry,
}

/// Pixels whose class is less probable than a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct UnsurePixels {
    /// The bound, from 0 to 1; `None` where all pixels are shown.
    pub min_probability: Option<f32>,
    /// Whether they have no class in files and statistics either.
    pub in_files: bool,
    /// The number of these pixels.
    pub pixels: u64,
}

/// One photo with its labels.
pub(super) struct PhotoLabels<'a> {
    pub job: &'a OutputJob,
    pub photo: &'a RgbImage,
    pub stamp: Option<&'a FileStamp>,
    pub geometry: &'a Geometry,
    /// The labels at the photo's size, of the classes that are shown.
    pub map: LabelMap,
    /// The area of each class in the photo.
    pub areas: Vec<ClassArea>,
    /// The pixels that are left out for their low probability.
    pub unsure: UnsurePixels,
    /// Connected regions, if the recipe asks for them.
    pub regions: Option<Regions>,
    /// The bounds of what the cutout shows; `None` without a cutout, or where it is empty.
    pub cutout_box: Option<PixelBox>,
}
