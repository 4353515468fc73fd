//! The metadata of a head: task, backbone, layers, input, origin and measured figures, stored as JSON in the head's
//! file.
//!
//! Field names are those of the JSON (format 1) and do not change. `check` validates what is read.

use serde::{Deserialize, Serialize};

use crate::model::backbone::LayerRequest;
use crate::model::head::global_token::GlobalToken;
pub use crate::model::head::protocol::Protocol;
pub use crate::model::head::readout::{
    Bins, DepthReadout, RELATIVE_INVERSE_DEPTH, Spacing, SpreadCalibration,
};
use crate::model::input::{CoarseScale, Unpad};

/// Everything about a head but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadMeta {
    /// Version of the format; this version of dino reads and writes 1.
    pub format: u32,
    /// The head's name on the command line.
    pub name: String,
    /// What the head predicts.
    pub task: HeadTask,
    /// The backbone that it was trained on, as `dino models list` names it.
    pub backbone: String,
    /// The fingerprint of that backbone's tensors. Empty for published heads, which take any weights of that variant.
    pub fingerprint: String,
    /// 0-based blocks whose tokens it reads, in rising order.
    pub blocks: Vec<usize>,
    /// Whether the backbone's final LayerNorm is applied to them.
    pub norm: bool,
    /// Sides, in patches, of the squares around a patch whose mean tokens follow each block's patch token: odd, in
    /// rising order (see [`context`](super::context)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<usize>,
    /// The tokens of the whole photo that follow the tokens of each patch, for each block, in the order of
    /// [`GlobalToken::ALL`].
    #[serde(default)]
    pub globals: Vec<GlobalToken>,
    /// The input that it was trained for.
    pub input: HeadInput,
    /// The publisher's test-time protocol; heads without one run as the command's options say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// How its maps are resampled from the padded input to the photo; default [`Unpad::Crop`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub unpad: Unpad,
    /// Per data set, which of its classes each label id stands for, so that it can be evaluated on that data set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_sets: Vec<LabelSet>,
    /// The origin of a published head, which was not trained by `dino train`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<HeadOrigin>,
    /// The calibrated uncertainty of a depth head, measured on held-out photos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<SpreadCalibration>,
    /// How it was trained, for heads of `dino train`.
    pub training: Option<TrainingRecord>,
    /// Its measured metrics.
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// What a head predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "a task with its kind: depth, segment or classify")]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum HeadTask {
    /// Depth at every pixel.
    Depth {
        /// The rule that turns the head's output into depths.
        #[serde(flatten)]
        readout: DepthReadout,
        /// The unit: `m` for metres, or
        /// [`RELATIVE_INVERSE_DEPTH`].
        unit: String,
    },
    /// One class per pixel.
    Segment {
        /// The classes, by index.
        classes: Vec<Class>,
    },
    /// One class per photo.
    Classify {
        /// The names of the classes, by index.
        classes: Vec<String>,
    },
}

/// Whether a field has its default value and is left out of the JSON.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A class of pixels: its name, and its colour in pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its name in any script, such as `sky`.
    pub name: String,
    /// Red, green, blue, 0 to 255.
    pub color: [u8; 3],
}

/// For one data set, the classes of a head that each label id stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSet {
    /// Name of the data set.
    pub name: String,
    /// By label id, the indices of the classes that count as correct; empty for ids that are not evaluated.
    pub allowed: Vec<Vec<u16>>,
    /// The label id that stands for all classes that no other id names (also listed in `allowed`); `None` if there is
    /// none.
    pub background: Option<u16>,
}

/// The input that a head was trained for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "the input of a head: size, padding, coarse, crop")]
pub struct HeadInput {
    /// The size, in the syntax of `--size` (see [`SizeRule`](crate::model::input::SizeRule)): a short side, `native`,
    /// `WxH`, or `fit:SIDE`.
    pub size: String,
    /// How sides become multiples of the patch size: `center` or `none` (see
    /// [`Padding`](crate::model::input::Padding)).
    pub padding: String,
    /// The coarse scale whose tokens follow those of the squares for each block; `None` for heads of one scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse: Option<CoarseScale>,
    /// For classifiers: the side in pixels of the square that is cut out of the middle of the resized photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<u32>,
}

/// Data, command and seed of a head's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "the record of a training")]
pub struct TrainingRecord {
    /// The data sets, with their licences.
    pub data: Vec<String>,
    /// The command line.
    pub command: String,
    /// Seed of the random generators for initial weights, sampling and augmentation.
    pub seed: u64,
}

/// The origin of a published head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "the origin of a head")]
pub struct HeadOrigin {
    /// The publisher and the file.
    pub source: String,
    /// The licence of the weights, as the publisher states it.
    pub license: String,
    /// The data that it was trained on.
    pub data: String,
}

/// A metric that was measured on a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The data set.
    pub data: String,
    /// Its short name, such as `rmse` or `miou`.
    pub name: String,
    /// Its value: `rmse` in metres, shares from 0 to 1; accuracy and mIoU of published heads in percent, as in the
    /// paper.
    pub value: f64,
}

impl HeadMeta {
    /// Scores per cell: bins, classes, or 1 for a depth.
    pub fn outputs(&self) -> usize {
        match &self.task {
            HeadTask::Depth { readout, .. } => readout.outputs(),
            HeadTask::Segment { classes } => classes.len(),
            HeadTask::Classify { classes } => classes.len(),
        }
    }

    /// Width of the input layer, per patch (per photo for classifiers), for tokens of width `dim`.
    pub fn inputs(&self, dim: usize) -> usize {
        match self.task {
            HeadTask::Classify { .. } => (self.blocks.len() + 1) * dim,
            _ => self.blocks.len() * dim * (self.tokens_per_patch() + self.globals.len()),
        }
    }

    /// Tokens per block that differ from patch to patch: its own, those of squares, and that of the coarse scale.
    pub fn tokens_per_patch(&self) -> usize {
        1 + self.context.len() + usize::from(self.input.coarse.is_some())
    }

    /// The layers to request from the backbone, in the order in which the head reads them.
    pub fn requests(&self) -> Vec<LayerRequest> {
        self.blocks
            .iter()
            .map(|&block| LayerRequest {
                block,
                norm: self.norm,
            })
            .collect()
    }

    /// Whether it gives relative inverse depth, which is larger where nearer.
    pub fn is_inverse_depth(&self) -> bool {
        matches!(&self.task, HeadTask::Depth { readout, .. } if readout.is_inverse())
    }

    /// The name of the task, as commands spell it.
    pub fn task_name(&self) -> &'static str {
        match self.task {
            HeadTask::Depth { .. } => "depth",
            HeadTask::Segment { .. } => "segment",
            HeadTask::Classify { .. } => "classify",
        }
    }
}
