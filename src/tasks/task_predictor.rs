//! [`TaskPredictor`]: the device's half of a task, from the backbone's output to a [`TaskOutput`].

use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::Result;
use crate::model::input::Geometry;
use crate::tasks::TaskOutput;
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::inference::scorer::map_photos;

/// The device's half of a task: which pass of the backbone it needs, and what it makes of the pass's output.
pub trait TaskPredictor: Sync {
    /// How photos go through the backbone for this task.
    fn mode(&self) -> &InferenceMode;

    /// Bytes that a photo of this layout takes after the backbone; the decoded photo itself is not counted.
    fn memory(&self, geometry: &Geometry) -> u64;

    /// Pixels (column, row) that a photo must have; a smaller one is refused before it is decoded. None by default.
    fn required_pixels(&self) -> &[(u32, u32)] {
        &[]
    }

    /// The task's output for one photo, or one window of it.
    ///
    /// # Errors
    /// If a head gives values that are not finite, a layer was not computed, or the device fails.
    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput>;

    /// Whether [`PredictedPhoto`](super::PredictedPhoto) must have the SHA-256 of the photo's bytes. Not by default.
    fn needs_sha256(&self) -> bool {
        false
    }

    /// Whether pixels of the photo are read after the backbone; if not, photos with stored features are not decoded.
    fn needs_photo(&self) -> bool {
        true
    }

    /// As [`TaskPredictor::predict`], for each photo of a batch. By default the batch is brought to the CPU and split.
    ///
    /// # Errors
    /// If the device fails, which concerns all photos.
    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        map_photos(&batch.to_host()?, |output| self.predict(output))
    }
}
