//! A head together with its inference mode and its copies on devices: from the backbone's output to scores.

use std::sync::OnceLock;

use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::Result;
use crate::model::backbone::Backbone;
use crate::model::head::{Head, Scores};
use crate::model::head_zoo::calibration::digest_of;
use crate::system::files::Digest;
use crate::tasks::TaskOutput;
use crate::tasks::inference::device_heads::DeviceHeads;
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::recipe::HeadRecipe;
use crate::terminal::console::Console;

/// Scores the backbone's output with one head.
pub struct HeadScorer {
    head: DeviceHeads,
    mode: InferenceMode,
    digest: OnceLock<Digest>,
}

impl HeadScorer {
    /// A scorer of `head` with the options of `recipe`, on a backbone with patches of `patch_size` pixels.
    ///
    /// # Errors
    /// As [`InferenceMode::new`].
    pub fn new(
        recipe: &HeadRecipe,
        head: Head,
        patch_size: usize,
        console: &Console,
    ) -> Result<Self> {
        Ok(HeadScorer {
            mode: InferenceMode::new(recipe, &head, patch_size, console)?,
            head: head.into(),
            digest: OnceLock::new(),
        })
    }

    /// Copies the head to each device that has a backbone.
    ///
    /// # Errors
    /// If a device fails, or has no memory for the head.
    pub fn attach_backbones(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.head = DeviceHeads::on_devices_of(self.head.loaded(), backbones)?;
        Ok(())
    }

    /// The head, as it was loaded.
    pub fn head(&self) -> &Head {
        self.head.loaded()
    }

    /// How photos go through the backbone for the head.
    pub fn mode(&self) -> &InferenceMode {
        &self.mode
    }

    /// Digest of the head, its record and its weights; computed once.
    ///
    /// # Errors
    /// If its weights cannot be serialised.
    pub fn digest(&self) -> Result<Digest> {
        if let Some(digest) = self.digest.get() {
            return Ok(*digest);
        }
        let digest = digest_of(self.head())?;
        Ok(*self.digest.get_or_init(|| digest))
    }

    /// The scores of a photo, or of a window of it.
    ///
    /// # Errors
    /// If the head gives values that are not finite, or the device fails.
    pub fn score(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        score_features(
            self.head.on_device_of(&backbone_output.features)?,
            backbone_output,
            self.mode.has_mirror_view(),
        )
    }

    /// As [`HeadScorer::score`], for each photo of a batch.
    ///
    /// # Errors
    /// If the device fails, which concerns all photos.
    pub fn score_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        let head = self.head.on_device_of(&batch.features)?;
        score_batch(head, batch, self.mode.has_mirror_view())
    }
}

/// The scores of a photo's or a window's features, and with `mirrors` those of the mirror image's features.
///
/// # Errors
/// If the head gives values that are not finite, or the device fails.
pub fn score_features(
    head: &Head,
    backbone_output: &BackboneOutput,
    mirrors: bool,
) -> Result<TaskOutput> {
    let mirrored = backbone_output.mirrored.as_ref().filter(|_| mirrors);
    Ok(TaskOutput::Scores {
        scores: head.scores(&backbone_output.features)?,
        mirrored: mirrored.map(|features| head.scores(features)).transpose()?,
        room_probability: None,
    })
}

/// As [`score_features`], for each photo of a batch; in one run of the head where it can score a batch.
///
/// # Errors
/// If the device fails.
pub fn score_batch(
    head: &Head,
    batch: &BackboneBatchOutput,
    mirrors: bool,
) -> Result<Vec<Result<TaskOutput>>> {
    let Some(plain) = head.batch_scores(&batch.features)? else {
        return map_photos(batch, |backbone_output| {
            score_features(head, backbone_output, mirrors)
        });
    };
    let mirrored = batch.mirrored.as_ref().filter(|_| mirrors);
    let mirrored = match mirrored {
        Some(features) => head.batch_scores(features)?,
        None => None,
    };
    let mut mirrored = mirrored.map(Vec::into_iter);
    let one = |scores: Result<Scores>| {
        let mirrored = mirrored.as_mut().and_then(Iterator::next).transpose();
        Ok(TaskOutput::Scores {
            scores: scores?,
            mirrored: mirrored?,
            room_probability: None,
        })
    };
    Ok(plain.into_iter().map(one).collect())
}

/// Splits a batch and calls `predict` for each photo.
///
/// # Errors
/// If the device fails.
pub fn map_photos(
    batch: &BackboneBatchOutput,
    predict: impl Fn(&BackboneOutput) -> Result<TaskOutput>,
) -> Result<Vec<Result<TaskOutput>>> {
    Ok(batch.split()?.iter().map(predict).collect())
}
