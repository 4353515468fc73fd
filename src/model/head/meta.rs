//! What a head says about itself, as the JSON in its file.

use serde::{Deserialize, Serialize};

use crate::model::backbone::LayerRequest;
use crate::model::head::context;
use crate::model::head::global_token::GlobalToken;
use crate::model::input::{CoarseScale, Unpad};

/// Everything there is to know about a head but its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadMeta {
    /// Version of this format.
    pub format: u32,
    /// What the head is called on the command line.
    pub name: String,
    /// What it predicts.
    pub task: HeadTask,
    /// The backbone it was trained on, as `dino models list` names it.
    pub backbone: String,
    /// That backbone's tensor fingerprint. Empty if its publisher names none: any weights of that row of the table.
    pub fingerprint: String,
    /// 0-based blocks whose patch tokens it reads, rising.
    pub blocks: Vec<usize>,
    /// Whether the backbone's final norm is applied to them.
    pub norm: bool,
    /// Sides, in patches, of the squares around a patch whose mean tokens follow each block's patch token: odd, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<usize>,
    /// The tokens of the whole photo that follow these, rising.
    #[serde(default)]
    pub globals: Vec<GlobalToken>,
    /// The input it was trained for.
    pub input: HeadInput,
    /// How its publisher runs it on a photo; heads without one are run as options say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// How its maps are brought from the padded input to the photo.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unpad: Unpad,
    /// What the ids of data sets mean in its classes, by which it can be judged on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_sets: Vec<LabelSet>,
    /// Who published it, of a head that was not trained here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<HeadOrigin>,
    /// How far off its depths are, of a depth head that was tried on photos it had not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<SpreadCalibration>,
    /// How it was made, of one that was.
    pub training: Option<TrainingRecord>,
    /// What was measured.
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// What a head predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum HeadTask {
    /// Depth at every pixel.
    Depth {
        /// What the head's numbers mean.
        #[serde(flatten)]
        readout: DepthReadout,
        /// `m` for metres; [`RELATIVE`] where what is near has the larger numbers.
        unit: String,
    },
    /// One class a pixel.
    Segment {
        /// By index.
        classes: Vec<Class>,
    },
    /// One class a photo.
    Classify {
        /// By index.
        classes: Vec<String>,
    },
}

/// The unit of heads that tell what is nearer than what, but not by how much: `1 / depth` times some number, plus another.
pub const RELATIVE_INVERSE_DEPTH: &str = "relative inverse depth";

/// How a depth head's numbers become depths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DepthReadout {
    /// An expectation over bins.
    Bins {
        /// The bin centres.
        bins: Bins,
        /// How much finer than the patch grid the bins are read out.
        upsample: usize,
    },
    /// The head gives the depth above `min` itself.
    Direct {
        /// Added, and the least depth.
        min: f64,
        /// The greatest depth; what is beyond it is lowered to it.
        max: f64,
    },
    /// The logistic function of the head's number is the share of the greatest depth.
    Sigmoid {
        /// The greatest depth.
        whole: f64,
    },
    /// The head gives [`RELATIVE`] depth itself.
    Inverse {
        /// The least inverse depth, of what is infinitely far as far as the head knows; what is below is raised to it.
        farthest: f64,
    },
}

/// A published way to run a head on a photo (facebookresearch/dinov2's notebooks and configurations).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Depth: the photo at its own size.
    Plain,
    /// Depth: the mean with the mirrored photo.
    Flip,
    /// Segmentation: the short side at 512, all at once.
    Whole,
    /// Segmentation: the short side at 512, in windows of 512 every 341 pixels.
    Slide,
    /// Segmentation: five sizes, each mirrored too, in windows of 640 every 320 pixels.
    Ms,
}

/// Bin centres from `min` to `max`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    /// How they are spaced.
    pub spacing: Spacing,
    /// First centre.
    pub min: f64,
    /// Last centre.
    pub max: f64,
    /// Number of bins.
    pub count: usize,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How bins are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// Equal differences.
    Linear,
    /// Equal ratios.
    Log,
}

/// A class and its colour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// A plain English noun.
    pub name: String,
    /// Red, green, blue.
    pub color: [u8; 3],
}

/// What the ids of one data set mean in a head's classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSet {
    /// What the data set is called.
    pub name: String,
    /// By id, the indices of the classes that it can be; none for ids that are not judged.
    pub allowed: Vec<Vec<u16>>,
    /// The id that means "any class not named", if there is one.
    pub background: Option<u16>,
}

/// The input that a head was trained for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadInput {
    /// As `--size` reads it: a short side, `native`, or `WxH`.
    pub size: String,
    /// How sides are brought to multiples of the patch size: `center` or `none` (see
    /// [`Padding`](crate::model::input::Padding)).
    pub padding: String,
    /// How much coarser a second look at the photo is, whose tokens follow the squares' of each block; none for no such
    /// look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse: Option<CoarseScale>,
    /// For classes of whole photos: the side of the square that is cut out of the middle of the resized photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<u32>,
}

/// How a head was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Data sets with their licences.
    pub data: Vec<String>,
    /// The command that made it.
    pub command: String,
    /// Seed of everything random.
    pub seed: u64,
}

/// Where a head comes from that was not trained here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadOrigin {
    /// Publisher and file.
    pub source: String,
    /// Of the weights, as the publisher states it.
    pub license: String,
    /// What it was trained on.
    pub data: String,
}

/// How the spread of a depth head over its bins becomes a standard deviation that is true of photos it has not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpreadCalibration {
    /// The bins' standard deviation is multiplied by this.
    pub scale: f64,
    /// Share of labelled pixels whose depth lies within one standard deviation.
    pub coverage: f64,
    /// Within two.
    pub coverage_2: f64,
    /// Share within one standard deviation at a scale of 1.
    pub uncalibrated: f64,
    /// On what.
    pub data: String,
}

/// Figures measured on one data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// On what.
    pub data: String,
    /// Which figure.
    pub name: String,
    /// Its value.
    pub value: f64,
}

impl SpreadCalibration {
    fn is_sound(&self) -> bool {
        let shares = [self.coverage, self.coverage_2, self.uncalibrated];
        (0.001..=100.0).contains(&self.scale)
            && shares.iter().all(|share| (0.0..=1.0).contains(share))
    }
}

impl DepthReadout {
    /// The least and the greatest number that can come out; infinity where there is no greatest.
    pub fn range(&self) -> (f64, f64) {
        match self {
            DepthReadout::Bins { bins, .. } => (bins.min, bins.max),
            DepthReadout::Direct { min, max } => (*min, *max),
            DepthReadout::Sigmoid { whole } => (0.0, *whole),
            DepthReadout::Inverse { farthest } => (*farthest, f64::INFINITY),
        }
    }

    /// Whether larger numbers are nearer.
    pub fn is_inverse(&self) -> bool {
        matches!(self, DepthReadout::Inverse { .. })
    }

    /// Numbers a cell.
    pub fn outputs(&self) -> usize {
        match self {
            DepthReadout::Bins { bins, .. } => bins.count,
            DepthReadout::Direct { .. }
            | DepthReadout::Sigmoid { .. }
            | DepthReadout::Inverse { .. } => 1,
        }
    }

    fn problem(&self) -> Option<String> {
        let (min, max) = self.range();
        // Nothing that is measured in any unit lies beyond.
        let sound = min >= 1e-9 && max <= 1e9 && max > min;
        match self {
            DepthReadout::Sigmoid { whole } => (!(1e-9..=1e9).contains(whole))
                .then(|| format!("has the impossible greatest depth {whole}")),
            DepthReadout::Inverse { farthest } => (!(0.0..=1e9).contains(farthest))
                .then(|| format!("has the impossible least inverse depth {farthest}")),
            DepthReadout::Bins { bins, upsample } => {
                let few = (2..=4096).contains(&bins.count) && (1..=16).contains(upsample);
                (!sound || !few)
                    .then(|| format!("has impossible bins: {bins:?}, upsampled {upsample} times"))
            }
            DepthReadout::Direct { .. } => {
                (!sound).then(|| format!("has the impossible range {min} to {max}"))
            }
        }
    }
}

impl Protocol {
    /// All of them, with what each is for.
    pub const ALL: [Protocol; 5] = [
        Protocol::Plain,
        Protocol::Flip,
        Protocol::Whole,
        Protocol::Slide,
        Protocol::Ms,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Plain => "plain",
            Protocol::Flip => "flip",
            Protocol::Whole => "whole",
            Protocol::Slide => "slide",
            Protocol::Ms => "ms",
        }
    }

    /// The task whose heads are run so.
    pub fn task(self) -> &'static str {
        match self {
            Protocol::Plain | Protocol::Flip => "depth",
            Protocol::Whole | Protocol::Slide | Protocol::Ms => "segment",
        }
    }
}

impl Bins {
    /// The centres.
    pub fn centres(&self) -> Vec<f32> {
        let last = (self.count.max(2) - 1) as f64;
        (0..self.count)
            .map(|i| {
                let t = i as f64 / last;
                match self.spacing {
                    Spacing::Linear => self.min + (self.max - self.min) * t,
                    Spacing::Log => self.min * (self.max / self.min).powf(t),
                }
            })
            .map(|centre| centre as f32)
            .collect()
    }
}

impl HeadMeta {
    /// Scores a patch: bins or classes.
    pub fn outputs(&self) -> usize {
        match &self.task {
            HeadTask::Depth { readout, .. } => readout.outputs(),
            HeadTask::Segment { classes } => classes.len(),
            HeadTask::Classify { classes } => classes.len(),
        }
    }

    /// Numbers that the first layer reads of a patch (of a photo, for heads of whole photos), for tokens of width `dim`.
    pub fn inputs(&self, dim: usize) -> usize {
        match self.task {
            HeadTask::Classify { .. } => (self.blocks.len() + 1) * dim,
            _ => self.blocks.len() * dim * (self.tokens_per_patch() + self.globals.len()),
        }
    }

    /// Tokens of each block that are read of a patch's own place: its own, those of squares, and that of a coarser look.
    pub fn tokens_per_patch(&self) -> usize {
        1 + self.context.len() + usize::from(self.input.coarse.is_some())
    }

    /// The layers to ask of the backbone.
    pub fn requests(&self) -> Vec<LayerRequest> {
        self.blocks
            .iter()
            .map(|&block| LayerRequest {
                block,
                norm: self.norm,
            })
            .collect()
    }

    /// Whether it gives relative inverse depth, whose larger numbers are nearer.
    pub fn is_inverse_depth(&self) -> bool {
        matches!(&self.task, HeadTask::Depth { readout, .. } if readout.is_inverse())
    }

    /// The word of the task, as commands spell it.
    pub fn task_name(&self) -> &'static str {
        match self.task {
            HeadTask::Depth { .. } => "depth",
            HeadTask::Segment { .. } => "segment",
            HeadTask::Classify { .. } => "classify",
        }
    }

    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<String> {
        if self.format != 1 {
            return Some(format!(
                "is of format {}; this version of dino reads format 1",
                self.format
            ));
        }
        if !self.globals.is_sorted_by(|a, b| a < b) {
            return Some(format!(
                "names the global tokens {:?}; expected each once, in the order {:?}",
                self.globals,
                GlobalToken::ALL
            ));
        }
        if let Some(why) = context::sides_problem(&self.context) {
            return Some(format!("reads squares of patches of the sides {why}"));
        }
        if self.blocks.is_empty() || !self.blocks.is_sorted_by(|a, b| a < b) {
            return Some(format!(
                "names the blocks {:?}; expected rising numbers",
                self.blocks
            ));
        }
        if self
            .input
            .size
            .parse::<crate::model::input::SizeRule>()
            .is_err()
        {
            return Some(format!(
                "asks for the input size {:?}, which is none",
                self.input.size
            ));
        }
        if let Err(why) = self.input.padding.parse::<crate::model::input::Padding>() {
            return Some(format!("has no possible input: {why}"));
        }
        if let Some(calibration) = &self.calibration
            && !calibration.is_sound()
        {
            return Some(format!("has an impossible calibration: {calibration:?}"));
        }
        if let Some(protocol) = self.protocol.filter(|it| it.task() != self.task_name()) {
            return Some(format!(
                "is for {}, but asks for the protocol {}",
                self.task_name(),
                protocol.name()
            ));
        }
        let classes = match &self.task {
            // What is far would be taken for near, and numbers of no unit for metres.
            HeadTask::Depth { readout, unit }
                if readout.is_inverse() != (unit == RELATIVE_INVERSE_DEPTH) =>
            {
                return Some(format!(
                    "gives {} depth, but names the unit {unit}",
                    match readout.is_inverse() {
                        true => "relative inverse",
                        false => "plain",
                    }
                ));
            }
            HeadTask::Depth { readout, .. } => return readout.problem(),
            HeadTask::Segment { classes } => classes.len(),
            HeadTask::Classify { classes } => classes.len(),
        };
        (!(1..=65535).contains(&classes))
            .then(|| format!("has {classes} classes"))
            .or_else(|| {
                self.label_sets
                    .iter()
                    .find_map(|set| self.label_set_problem(set))
            })
    }

    fn label_set_problem(&self, set: &LabelSet) -> Option<String> {
        let classes = self.outputs();
        let mut indices = set.allowed.iter().flatten();
        if let Some(index) = indices.find(|&&class| usize::from(class) >= classes) {
            return Some(format!(
                "names class {index} in the label set {}, but has {classes} classes",
                set.name
            ));
        }
        set.background
            .filter(|&id| usize::from(id) >= set.allowed.len())
            .map(|id| format!("has no background {id} in the label set {}", set.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readouts_are_told_apart_by_their_fields() {
        for readout in [
            DepthReadout::Direct {
                min: 0.001,
                max: 10.0,
            },
            DepthReadout::Sigmoid { whole: 20.0 },
            DepthReadout::Inverse { farthest: 0.0 },
        ] {
            let unit = match readout.is_inverse() {
                true => RELATIVE_INVERSE_DEPTH,
                false => "m",
            };
            let task = HeadTask::Depth {
                readout,
                unit: unit.into(),
            };
            let json = serde_json::to_string(&task).unwrap_or_default();
            assert_eq!(serde_json::from_str::<HeadTask>(&json).ok(), Some(task));
        }
    }

    #[test]
    fn centres_include_both_ends() {
        let linear = Bins {
            spacing: Spacing::Linear,
            min: 1.0,
            max: 3.0,
            count: 3,
        };
        assert_eq!(linear.centres(), [1.0, 2.0, 3.0]);
        let log = Bins {
            spacing: Spacing::Log,
            min: 1.0,
            max: 4.0,
            count: 3,
        };
        assert_eq!(log.centres(), [1.0, 2.0, 4.0]);
    }
}
