//! From a photo's scores to its depths: the head, the decoding of its bins, and the conversion to metres.

use image::RgbImage;

use super::conversion::{converted_task, metric_conversion};
use super::full_size::FullSizeDepth;
use super::head::{METRE, bin_spread, depth_readout, not_finite_error, unit};
use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::Result;
use crate::model::backbone::Backbone;
use crate::model::head::{Head, HeadMeta};
use crate::model::head_zoo::scene::SceneClassifier;
use crate::model::input::Geometry;
use crate::system::files::Digest;
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::inference::memory_cost::{pixel_cost, score_bytes};
use crate::tasks::inference::scorer::HeadScorer;
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::{TaskOutput, TaskPredictor, no_scores_error};
use crate::terminal::console::Console;
use crate::vision::postprocess::depth::{self, BinSpread, DepthDecoder};
use crate::vision::postprocess::rows::RowSource;
use crate::vision::postprocess::{DepthMap, MetricConversion};

/// Whether borders are fitted to the photo's edges without `--refine`.
pub const DEFAULT_REFINE: bool = false;

/// Decodes a head's scores to depths.
pub struct DepthPredictor {
    scorer: HeadScorer,
    decoder: DepthDecoder,
    has_deviation: bool,
    refines: bool,
    /// The head's record, with the unit and range of the converted depths.
    meta: HeadMeta,
    conversion: Option<MetricConversion>,
    /// Tells rooms from outdoor scenes, for heads whose pass yields the token that it reads.
    scene_classifier: Option<SceneClassifier>,
}

impl DepthPredictor {
    /// A predictor of `head` with the options of `recipe`, on a backbone with patches of `patch_size` pixels. With
    /// `has_deviation` it computes standard deviations too, of a head with bins.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for options that contradict each other,
    /// [`Error::Model`](crate::Error::Model) for a head that is not for depth.
    pub fn new(
        recipe: &HeadRecipe,
        head: Head,
        has_deviation: bool,
        patch_size: usize,
        console: &Console,
    ) -> Result<Self> {
        let spread = match has_deviation {
            true => bin_spread(&head.meta),
            false => BinSpread::Omitted,
        };
        let scorer = HeadScorer::new(recipe, head, patch_size, console)?;
        Ok(DepthPredictor {
            decoder: DepthDecoder::new(depth_readout(&scorer.head().meta)?, spread),
            has_deviation,
            refines: recipe.refine.unwrap_or(DEFAULT_REFINE),
            meta: scorer.head().meta.clone(),
            conversion: None,
            scene_classifier: SceneClassifier::of_weights(&scorer.head().meta.fingerprint)
                .filter(|classifier| classifier.reads_one_of(&scorer.head().meta.requests())),
            scorer,
        })
    }

    /// Converts the head's values to metres by `scale` and `shift`; see [`metric_conversion`].
    ///
    /// # Errors
    /// As [`metric_conversion`].
    pub fn with_conversion(mut self, scale: f64, shift: Option<f64>) -> Result<Self> {
        let conversion = metric_conversion(&self.meta, scale, shift)?;
        self.meta.task = converted_task(&self.meta, conversion)?;
        self.conversion = Some(conversion);
        Ok(self)
    }

    /// The conversion of the head's values to metres, where there is one.
    pub fn conversion(&self) -> Option<MetricConversion> {
        self.conversion
    }

    /// The inference mode in words; a calibration notes it.
    pub fn describe_input(&self) -> String {
        self.scorer.mode().describe()
    }

    /// The head's record, with the unit and range of the converted depths.
    pub fn meta(&self) -> &HeadMeta {
        &self.meta
    }

    /// The depth, in metres, that stands for everything farther; `None` without a conversion of inverse depth.
    pub fn farthest(&self) -> Option<f32> {
        self.conversion.and_then(MetricConversion::max_metres)
    }

    /// Copies the head to each device that has a backbone.
    ///
    /// # Errors
    /// If a device fails, or has no memory for the head.
    pub fn attach_backbones(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.scorer.attach_backbones(backbones)
    }

    /// The head, as it was loaded.
    pub fn head(&self) -> &Head {
        self.scorer.head()
    }

    /// Digest of the head.
    ///
    /// # Errors
    /// As [`HeadScorer::digest`].
    pub fn digest(&self) -> Result<Digest> {
        self.scorer.digest()
    }

    /// The unit of the depths, `m` for metres.
    pub fn unit(&self) -> &str {
        unit(&self.meta)
    }

    /// Whether the depths are metres.
    pub fn is_metric(&self) -> bool {
        self.unit() == METRE
    }

    /// Whether depths are fitted to the photo's edges.
    pub fn refines(&self) -> bool {
        self.refines
    }

    /// The depths of `output` over the padded input, in the head's own unit (not converted).
    ///
    /// # Errors
    /// If the head's values are not finite.
    pub fn read_out(&self, output: &TaskOutput, geometry: &Geometry) -> Result<DepthMap> {
        let TaskOutput::Scores {
            scores, mirrored, ..
        } = output
        else {
            return Err(no_scores_error(self.head()));
        };
        let map = depth::decode_photo(scores, mirrored.as_ref(), geometry, &self.decoder);
        match map.is_finite() {
            true => Ok(map),
            false => Err(not_finite_error(&self.head().meta)),
        }
    }

    /// The depths of `output` at the size of `photo`, `[height, width]`, converted to metres where there is a
    /// conversion.
    ///
    /// # Errors
    /// As [`DepthPredictor::read_out`]; and if memory runs out.
    pub fn read(
        &self,
        output: TaskOutput,
        geometry: &Geometry,
        photo: &RgbImage,
    ) -> Result<DepthMap> {
        let map = self.read_out(&output, geometry)?;
        drop(output);
        let mut buffer = Vec::new();
        let guide = self.refines.then_some(photo);
        let full = self.full_size(&map, geometry, guide, &mut buffer)?;
        let (width, height) = full.depth.size();
        let deviation = full.deviation().map(<dyn RowSource>::collect).transpose()?;
        let depth = match guide {
            Some(_) if self.conversion.is_none() => {
                drop(full);
                buffer
            }
            _ => full.depth.collect()?,
        };
        Ok(DepthMap {
            width,
            height,
            depth,
            deviation: deviation.unwrap_or_default(),
        })
    }

    /// The depths of a `map` over the padded input, at the photo's size; see [`FullSizeDepth::new`].
    ///
    /// # Errors
    /// As [`refine_depth`](super::refine_depth).
    pub(super) fn full_size<'m>(
        &self,
        map: &'m DepthMap,
        geometry: &Geometry,
        guide: Option<&RgbImage>,
        buffer: &'m mut Vec<f32>,
    ) -> Result<FullSizeDepth<'m>> {
        let reading = (&self.scorer.head().meta, self.conversion);
        FullSizeDepth::new(reading, map, geometry, guide, buffer)
    }

    /// The head and its inference mode.
    pub(super) fn scorer(&self) -> &HeadScorer {
        &self.scorer
    }
}

impl TaskPredictor for DepthPredictor {
    fn mode(&self) -> &InferenceMode {
        self.scorer.mode()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        let maps = 1 + u64::from(self.has_deviation);
        score_bytes(self.head(), geometry) + pixel_cost(4 * maps)(geometry)
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        let mut output = self.scorer.score(backbone_output)?;
        if let Some(classifier) = &self.scene_classifier {
            let rooms = classifier.probabilities(&backbone_output.features)?;
            output.set_room_probability(rooms.first().copied());
        }
        Ok(output)
    }

    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        let mut outputs = self.scorer.score_batch(batch)?;
        if let Some(classifier) = &self.scene_classifier {
            let rooms = classifier.probabilities(&batch.features)?;
            for (output, room) in outputs.iter_mut().zip(rooms) {
                if let Ok(output) = output {
                    output.set_room_probability(Some(room));
                }
            }
        }
        Ok(outputs)
    }
}
