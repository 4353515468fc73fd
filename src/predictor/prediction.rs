//! [`Prediction`]: depths and labels of one image at its own size, with their units and classes.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::head::Class;
use crate::model::input::Geometry;
use crate::tasks::depth::METRE;
use crate::vision::postprocess::{DepthMap, LabelMap};

/// The maps of one image, one for each head that was given to the [`PredictorBuilder`](super::PredictorBuilder).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prediction {
    pub(super) depth: Option<DepthPrediction>,
    pub(super) labels: Option<LabelPrediction>,
    pub(super) notes: Vec<String>,
}

impl Prediction {
    /// The depth map.
    ///
    /// # Errors
    /// [`Error::Usage`] if the predictor has no depth head.
    pub fn depth(&self) -> Result<&DepthPrediction> {
        self.depth.as_ref().ok_or_else(|| no_head_error("depth"))
    }

    /// The label map.
    ///
    /// # Errors
    /// [`Error::Usage`] if the predictor has no label head.
    pub fn labels(&self) -> Result<&LabelPrediction> {
        self.labels.as_ref().ok_or_else(|| no_head_error("segment"))
    }

    /// Warnings in sentences, such as a damaged file that was decoded in part, an image computed at a smaller size than
    /// asked for, or a head for streets on a photo of a room.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Adds a warning if the image was computed at a smaller size than asked for.
    pub(super) fn note_reduced(&mut self, geometry: &Geometry) {
        let (width, height) = geometry.resized;
        let note =
            format!("so large an image, or so long a strip, is seen at {width} x {height} pixels");
        if geometry.reduced && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

fn no_head_error(method: &str) -> Error {
    Error::Usage(format!(
        "no head was asked for this; call .{method}(NAME) on the builder"
    ))
}

/// Depth along the viewing axis (not distance from the camera), at every pixel of the image.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthPrediction {
    map: DepthMap,
    unit: String,
}

impl DepthPrediction {
    pub(super) fn new(map: DepthMap, unit: &str) -> Self {
        DepthPrediction {
            map,
            unit: unit.to_owned(),
        }
    }

    /// (width, height) in pixels: the image's.
    pub fn size(&self) -> (u32, u32) {
        (self.map.width as u32, self.map.height as u32)
    }

    /// `[height, width]`, row by row, in the [`DepthPrediction::unit`] of the head.
    pub fn values(&self) -> &[f32] {
        &self.map.depth
    }

    /// The unit of the values, as the head names it: `m` for metres.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// [`DepthPrediction::values`] if they are metres, as those of all heads that come with the program and of Meta's.
    ///
    /// # Errors
    /// [`Error::Model`] if the head gives another unit.
    pub fn metres(&self) -> Result<&[f32]> {
        match self.unit == METRE {
            true => Ok(self.values()),
            false => Err(Error::Model(format!(
                "the head gives depths in `{}`, not in metres; .values() has them as they are",
                self.unit
            ))),
        }
    }

    /// `[height, width]`, the standard deviation of each value in the same unit; none unless
    /// [`PredictorBuilder::uncertainty`](super::PredictorBuilder::uncertainty) is set.
    pub fn deviation(&self) -> Option<&[f32]> {
        (!self.map.deviation.is_empty()).then_some(&self.map.deviation)
    }

    /// The value at column `x` of row `y`; none outside the image.
    pub fn at(&self, x: u32, y: u32) -> Option<f32> {
        let index = pixel_index(self.size(), (x, y))?;
        self.values().get(index).copied()
    }
}

/// A class for every pixel of the image.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelPrediction {
    map: LabelMap,
    classes: Arc<[Class]>,
}

impl LabelPrediction {
    pub(super) fn new(map: LabelMap, classes: Arc<[Class]>) -> Self {
        LabelPrediction { map, classes }
    }

    /// (width, height) in pixels: the image's.
    pub fn size(&self) -> (u32, u32) {
        (self.map.width as u32, self.map.height as u32)
    }

    /// `[height, width]`, row by row, indices into [`LabelPrediction::classes`].
    pub fn ids(&self) -> &[u16] {
        &self.map.ids
    }

    /// `[height, width]`, the softmax probability of each pixel's class, from 0 to 1.
    pub fn confidence(&self) -> &[f32] {
        &self.map.confidence
    }

    /// Name and colour of each class, by id.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The class at column `x` of row `y`; none outside the image.
    pub fn at(&self, x: u32, y: u32) -> Option<&Class> {
        let id = self.ids().get(pixel_index(self.size(), (x, y))?)?;
        self.classes.get(usize::from(*id))
    }
}

/// Index of pixel (x, y) in a row-major map of (width, height); none outside.
fn pixel_index((width, height): (u32, u32), (x, y): (u32, u32)) -> Option<usize> {
    (x < width && y < height).then_some(y as usize * width as usize + x as usize)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn depth(unit: &str) -> DepthPrediction {
        let map = DepthMap {
            width: 2,
            height: 1,
            depth: vec![1.5, 4.0],
            deviation: Vec::new(),
        };
        DepthPrediction::new(map, unit)
    }

    #[test]
    fn metres_are_never_something_else() {
        assert_eq!(depth("m").metres().unwrap(), [1.5, 4.0]);
        let relative = depth("relative");
        assert_eq!(relative.values(), [1.5, 4.0]);
        let why = relative.metres().unwrap_err().to_string();
        assert!(
            why.contains("`relative`") && why.contains(".values()"),
            "{why}"
        );
    }

    #[test]
    fn pixels_beyond_the_image_are_none() {
        let depth = depth("m");
        assert_eq!(depth.at(1, 0), Some(4.0));
        assert_eq!((depth.at(2, 0), depth.at(0, 1)), (None, None));
        assert_eq!(depth.deviation(), None);
    }

    #[test]
    fn what_was_not_asked_for_names_the_method() {
        let nothing = Prediction::default();
        let why = |error: Error| error.to_string();
        assert!(why(nothing.depth().unwrap_err()).contains(".depth(NAME)"));
        assert!(why(nothing.labels().unwrap_err()).contains(".segment(NAME)"));
    }
}
