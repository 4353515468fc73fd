//! The heads that Meta published with DINOv2, as a table: their names here and there, what they read, and the figures of
//! the paper (Oquab et al., 2023, tables 10 and 11; ImageNet's from the repository's README).

use std::fmt;

use serde_json::from_str;

use crate::model::backbone::variants;
use crate::model::head::global_token::GlobalToken;
use crate::model::head::meta::{HeadOrigin, LabelSet};
use crate::model::head::{
    Bins, Class, DepthReadout, HeadInput, HeadMeta, HeadTask, Metric, Protocol, Spacing,
};
use crate::model::input::Unpad;

/// What a head was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfficialDataset {
    /// Depth of rooms, to 10 m.
    Nyu,
    /// Depth of streets, to 80 m.
    Kitti,
    /// 150 classes of anything.
    Ade20k,
    /// 20 classes of things, and background.
    Voc2012,
    /// 1000 classes of photos.
    Imagenet,
}

/// What it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadMethod {
    /// One linear layer on the last block.
    Linear,
    /// One linear layer on four blocks.
    Linear4,
    /// Convolutions on four blocks.
    Dpt,
    /// One linear layer on the last four blocks, run at five sizes.
    MultiScale,
}

/// A published head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficialHead {
    /// Its data set.
    pub dataset: OfficialDataset,
    /// Its kind.
    pub method: HeadMethod,
    /// Its backbone: a row of [`VARIANTS`](variants::VARIANTS).
    pub backbone: &'static str,
}

/// The groups of heads, each of which is there for every backbone of a kind.
pub const GROUPS: [(OfficialDataset, HeadMethod); 12] = [
    (OfficialDataset::Nyu, HeadMethod::Linear),
    (OfficialDataset::Nyu, HeadMethod::Linear4),
    (OfficialDataset::Nyu, HeadMethod::Dpt),
    (OfficialDataset::Kitti, HeadMethod::Linear),
    (OfficialDataset::Kitti, HeadMethod::Linear4),
    (OfficialDataset::Kitti, HeadMethod::Dpt),
    (OfficialDataset::Ade20k, HeadMethod::Linear),
    (OfficialDataset::Ade20k, HeadMethod::MultiScale),
    (OfficialDataset::Voc2012, HeadMethod::Linear),
    (OfficialDataset::Voc2012, HeadMethod::MultiScale),
    (OfficialDataset::Imagenet, HeadMethod::Linear),
    (OfficialDataset::Imagenet, HeadMethod::Linear4),
];

/// Backbones with heads for every task, smallest first.
pub const PLAIN_BACKBONES: [&str; 4] = ["vits14", "vitb14", "vitl14", "vitg14"];
/// Backbones with registers, for which there are classifiers alone.
pub const REGISTER_BACKBONES: [&str; 4] = ["vits14-reg", "vitb14-reg", "vitl14-reg", "vitg14-reg"];

/// All published heads.
pub fn all() -> impl Iterator<Item = OfficialHead> {
    GROUPS.into_iter().flat_map(|(data, method)| {
        let registers: &[&str] = match data {
            OfficialDataset::Imagenet => &REGISTER_BACKBONES,
            _ => &[],
        };
        let backbones = PLAIN_BACKBONES.iter().chain(registers);
        backbones.map(move |&backbone| OfficialHead {
            dataset: data,
            method,
            backbone,
        })
    })
}

/// The published head called `name`.
pub fn find(name: &str) -> Option<OfficialHead> {
    all().find(|head| head.name() == name)
}

/// The published heads that `text` means: a whole name, or how the names of one or more heads of `model` begin
/// (`nyu-dpt`, `nyu`), or `official` for all of `model`.
pub fn matching(text: &str, model: &str) -> Vec<OfficialHead> {
    if let Some(one) = find(text) {
        return vec![one];
    }
    let of_model = all().filter(|head| head.backbone == model);
    of_model
        .filter(|head| {
            let group = head.group();
            text == "official" || text == group || text == head.dataset.name()
        })
        .collect()
}

impl OfficialDataset {
    /// As names begin.
    pub fn name(self) -> &'static str {
        match self {
            OfficialDataset::Nyu => "nyu",
            OfficialDataset::Kitti => "kitti",
            OfficialDataset::Ade20k => "ade20k",
            OfficialDataset::Voc2012 => "voc2012",
            OfficialDataset::Imagenet => "imagenet",
        }
    }

    /// In full, with what the paper measured on.
    fn full(self) -> &'static str {
        match self {
            OfficialDataset::Nyu => "NYU Depth V2",
            OfficialDataset::Kitti => "KITTI",
            OfficialDataset::Ade20k => "ADE20K",
            OfficialDataset::Voc2012 => "PASCAL VOC 2012",
            OfficialDataset::Imagenet => "ImageNet-1k",
        }
    }

    /// The task of its heads.
    pub fn task(self) -> &'static str {
        match self {
            OfficialDataset::Nyu | OfficialDataset::Kitti => "depth",
            OfficialDataset::Ade20k | OfficialDataset::Voc2012 => "segment",
            OfficialDataset::Imagenet => "classify",
        }
    }
}

impl HeadMethod {
    /// As names go on.
    pub fn name(self) -> &'static str {
        match self {
            HeadMethod::Linear => "linear",
            HeadMethod::Linear4 => "linear4",
            HeadMethod::Dpt => "dpt",
            HeadMethod::MultiScale => "ms",
        }
    }
}

impl OfficialHead {
    /// `nyu-linear4-vits14`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.group(), self.backbone)
    }

    /// The name without the backbone.
    pub fn group(&self) -> String {
        format!("{}-{}", self.dataset.name(), self.method.name())
    }

    /// Where the file lies on the publisher's host. Not as the repository's README links some of them.
    pub fn remote_path(&self) -> String {
        let (folder, stem) = stem(self.backbone);
        let (data, method) = (self.dataset.name(), self.method.name());
        match self.dataset {
            OfficialDataset::Imagenet => format!("{folder}/{stem}_{method}_head.pth"),
            _ => format!("{folder}/{stem}_{data}_{method}_head.pth"),
        }
    }

    /// The 0-based blocks that it reads.
    pub fn blocks(&self) -> Vec<usize> {
        let Some(variant) = variants::find(self.backbone) else {
            return Vec::new();
        };
        let depth = variant.config.depth;
        match (self.method, self.dataset, depth) {
            (HeadMethod::Linear, ..) => vec![depth - 1],
            (HeadMethod::MultiScale, ..) | (HeadMethod::Linear4, OfficialDataset::Imagenet, _) => {
                (depth - 4..depth).collect()
            }
            // Not evenly spread for the large one: so it was trained.
            (_, _, 24) => vec![4, 11, 17, 23],
            (_, _, 40) => vec![9, 19, 29, 39],
            _ => vec![2, 5, 8, 11],
        }
    }

    /// Width of its backbone's tokens.
    pub fn dim(&self) -> usize {
        variants::find(self.backbone).map_or(0, |variant| variant.config.dim)
    }

    /// The paper's figure: what it is of, and its value in the paper's unit. None where it gives none.
    pub fn paper_metric(&self) -> Option<(&'static str, f64)> {
        let size = PLAIN_BACKBONES
            .iter()
            .chain(&REGISTER_BACKBONES)
            .position(|name| *name == self.backbone)?;
        #[rustfmt::skip]
        let row = match (self.dataset, self.method) {
            (OfficialDataset::Nyu, HeadMethod::Linear)      => [0.449, 0.399, 0.384, 0.344],
            (OfficialDataset::Nyu, HeadMethod::Linear4)     => [0.417, 0.362, 0.333, 0.298],
            (OfficialDataset::Nyu, HeadMethod::Dpt)         => [0.356, 0.317, 0.293, 0.279],
            (OfficialDataset::Kitti, HeadMethod::Linear)    => [3.10, 2.90, 2.78, 2.62],
            (OfficialDataset::Kitti, HeadMethod::Linear4)   => [2.86, 2.59, 2.50, 2.35],
            (OfficialDataset::Kitti, HeadMethod::Dpt)       => [2.34, 2.23, 2.14, 2.11],
            (OfficialDataset::Ade20k, HeadMethod::Linear)   => [44.3, 47.3, 47.7, 49.0],
            (OfficialDataset::Ade20k, HeadMethod::MultiScale)       => [47.2, 51.3, 53.1, 53.0],
            (OfficialDataset::Voc2012, HeadMethod::Linear)  => [81.1, 82.5, 82.1, 83.0],
            (OfficialDataset::Voc2012, HeadMethod::MultiScale)      => [82.6, 84.9, 86.0, 86.2],
            (OfficialDataset::Imagenet, HeadMethod::Linear) if size < 4 => [81.1, 84.5, 86.3, 86.5],
            (OfficialDataset::Imagenet, HeadMethod::Linear) => [80.9, 84.6, 86.7, 87.1],
            _ => return None,
        };
        let what = match self.dataset.task() {
            "depth" => "RMSE",
            "segment" => "mIoU",
            _ => "top-1",
        };
        Some((what, row[size % 4]))
    }

    /// The shape of its weights.
    pub fn signature(&self) -> HeadSignature {
        let (dim, blocks) = (self.dim(), self.blocks().len());
        match (self.dataset.task(), self.method) {
            (_, HeadMethod::Dpt) => HeadSignature::Dpt { dim },
            ("depth", _) => HeadSignature::Depth {
                inputs: 2 * dim * blocks,
            },
            ("segment", _) => HeadSignature::Segment {
                classes: self.classes().len(),
                inputs: dim * blocks,
            },
            _ => HeadSignature::Classify {
                inputs: dim * (blocks + 1),
            },
        }
    }

    /// Its classes, of a head for segmentation.
    fn classes(&self) -> Vec<Class> {
        let text = match self.dataset {
            OfficialDataset::Ade20k => include_str!("classes/ade20k.json"),
            OfficialDataset::Voc2012 => include_str!("classes/voc2012.json"),
            _ => "[]",
        };
        // A test reads both.
        from_str(text).unwrap_or_default()
    }

    /// What the ids of its data set's masks mean: ADE20K's are one more than the classes, and 0 is not judged.
    fn label_sets(&self) -> Vec<LabelSet> {
        let classes = self.classes().len() as u16;
        if classes == 0 {
            return Vec::new();
        }
        let unjudged = match self.dataset {
            OfficialDataset::Ade20k => vec![Vec::new()],
            _ => Vec::new(),
        };
        vec![LabelSet {
            name: self.dataset.name().into(),
            allowed: unjudged
                .into_iter()
                .chain((0..classes).map(|class| vec![class]))
                .collect(),
            background: None,
        }]
    }

    /// The published head that `meta` is of, whatever it is called now.
    pub fn of(meta: &HeadMeta) -> Option<Self> {
        let origin = meta.origin.as_ref()?;
        all().find(|head| origin.source.ends_with(&head.remote_path()))
    }

    /// What its file will say about it.
    pub fn meta(&self) -> HeadMeta {
        let max = match self.dataset {
            // The repository's own loader decodes NYU heads with 80, eight times too deep.
            OfficialDataset::Nyu => 10.0,
            _ => 80.0,
        };
        let (min, unit) = (0.001, "m".to_owned());
        let task = match (self.dataset.task(), self.method) {
            ("depth", HeadMethod::Dpt) => HeadTask::Depth {
                readout: DepthReadout::Direct { min, max },
                unit,
            },
            ("depth", _) => HeadTask::Depth {
                readout: DepthReadout::Bins {
                    bins: Bins {
                        spacing: Spacing::Linear,
                        min,
                        max,
                        count: BINS,
                    },
                    upsample: 4,
                },
                unit,
            },
            ("segment", _) => HeadTask::Segment {
                classes: self.classes(),
            },
            _ => HeadTask::Classify {
                classes: imagenet(),
            },
        };
        let (size, crop, protocol) = match (self.dataset.task(), self.method) {
            ("depth", _) => ("native", None, Some(Protocol::Plain)),
            ("segment", HeadMethod::MultiScale) => ("518", None, Some(Protocol::Ms)),
            ("segment", _) => ("518", None, Some(Protocol::Slide)),
            _ => ("256", Some(224), None),
        };
        let segments = self.dataset.task() == "segment";
        HeadMeta {
            format: 1,
            name: self.name(),
            task,
            backbone: self.backbone.to_owned(),
            fingerprint: String::new(),
            blocks: self.blocks(),
            norm: self.dataset.task() != "depth",
            context: Vec::new(),
            globals: match segments {
                true => Vec::new(),
                false => vec![GlobalToken::Cls],
            },
            input: HeadInput {
                size: size.into(),
                padding: "center".into(),
                coarse: None,
                crop,
            },
            protocol,
            unpad: Unpad::Squeeze,
            label_sets: self.label_sets(),
            origin: Some(HeadOrigin {
                source: format!("facebookresearch/dinov2: {}", self.remote_path()),
                license: "Apache-2.0".into(),
                data: self.dataset.full().into(),
            }),
            calibration: None,
            training: None,
            metrics: self
                .paper_metric()
                .map(|(name, value)| Metric {
                    data: format!("{} (the paper's figure)", self.dataset.full()),
                    name: name.to_lowercase(),
                    value,
                })
                .into_iter()
                .collect(),
        }
    }

    /// Its place among heads for one task, the one to use first having the least: rooms before streets, and the better
    /// of two unless it takes fifty times as long.
    pub fn rank(&self) -> usize {
        let group = GROUPS
            .iter()
            .position(|group| *group == (self.dataset, self.method));
        let group = match (group, self.dataset.task()) {
            // Linear, linear4, dpt rise in quality.
            (Some(at), "depth") => at / 3 * 3 + (2 - at % 3),
            (Some(at), _) => at,
            (None, _) => usize::MAX / 100,
        };
        let backbones = PLAIN_BACKBONES
            .iter()
            .rev()
            .chain(REGISTER_BACKBONES.iter().rev());
        let size = backbones
            .clone()
            .position(|name| *name == self.backbone)
            .unwrap_or(99);
        group * 100 + size
    }
}

/// Bins of the linear depth heads.
const BINS: usize = 256;

/// Which tensors a head has, as far as that tells heads apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadSignature {
    /// 256 bins.
    Depth {
        /// Numbers read of a patch.
        inputs: usize,
    },
    /// Classes of pixels.
    Segment {
        /// How many.
        classes: usize,
        /// Numbers read of a patch.
        inputs: usize,
    },
    /// 1000 classes of photos.
    Classify {
        /// Numbers read of a photo.
        inputs: usize,
    },
    /// Convolutions.
    Dpt {
        /// Width of a token.
        dim: usize,
    },
    /// Convolutions, as Depth Anything V2 has them.
    DepthAnything {
        /// Width of a token.
        dim: usize,
        /// Channels where the four stages come together.
        features: usize,
    },
}

impl fmt::Display for HeadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadSignature::Depth { inputs } => {
                write!(f, "a linear depth head that reads {inputs} numbers")
            }
            HeadSignature::Segment { classes, inputs } => write!(
                f,
                "a segmentation head of {classes} classes that reads {inputs} numbers"
            ),
            HeadSignature::Classify { inputs } => {
                write!(f, "a classifier that reads {inputs} numbers")
            }
            HeadSignature::Dpt { dim } => write!(f, "a DPT head for tokens of {dim} numbers"),
            HeadSignature::DepthAnything { dim, features } => write!(
                f,
                "a head of Depth Anything with {features} channels for tokens of {dim} numbers"
            ),
        }
    }
}

/// Folder and stem of a backbone's files on the publisher's host.
fn stem(backbone: &str) -> (String, String) {
    match backbone.strip_suffix("-reg") {
        Some(plain) => (format!("dinov2_{plain}"), format!("dinov2_{plain}_reg4")),
        None => (format!("dinov2_{backbone}"), format!("dinov2_{backbone}")),
    }
}

/// Where the weights of a backbone lie on the publisher's host.
pub fn backbone_path(backbone: &str) -> String {
    let (folder, stem) = stem(backbone);
    format!("{folder}/{stem}_pretrain.pth")
}

/// The names of ImageNet's classes.
fn imagenet() -> Vec<String> {
    include_str!("classes/imagenet.txt")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn there_are_56_heads_each_with_a_name_and_a_file_of_its_own() {
        assert_eq!(all().count(), 24 + 16 + 16);
        let names: HashSet<String> = all().map(|head| head.name()).collect();
        let paths: HashSet<String> = all().map(|head| head.remote_path()).collect();
        assert_eq!((names.len(), paths.len()), (56, 56));
    }

    #[test]
    fn what_they_say_of_themselves_holds_together() {
        for head in all() {
            let meta = head.meta();
            assert_eq!(meta.problem(), None, "{}", head.name());
            assert_eq!(meta.task_name(), head.dataset.task());
            let shape = head.signature();
            let inputs = match shape {
                HeadSignature::Dpt { dim } | HeadSignature::DepthAnything { dim, .. } => dim,
                HeadSignature::Depth { inputs }
                | HeadSignature::Segment { inputs, .. }
                | HeadSignature::Classify { inputs } => inputs,
            };
            match shape {
                HeadSignature::Dpt { .. } => assert_eq!(inputs, head.dim()),
                _ => assert_eq!(inputs, meta.inputs(head.dim()), "{}", head.name()),
            }
            let expected = match head.dataset {
                OfficialDataset::Ade20k => 150,
                OfficialDataset::Voc2012 => 21,
                OfficialDataset::Imagenet => 1000,
                _ if head.method == HeadMethod::Dpt => 1,
                _ => 256,
            };
            assert_eq!(meta.outputs(), expected, "{}", head.name());
        }
    }

    #[test]
    fn files_have_their_right_names() {
        let path = |name| {
            find(name)
                .map(|head| head.remote_path())
                .unwrap_or_default()
        };
        assert_eq!(
            path("nyu-linear-vitb14"),
            "dinov2_vitb14/dinov2_vitb14_nyu_linear_head.pth"
        );
        assert_eq!(
            path("imagenet-linear-vitg14-reg"),
            "dinov2_vitg14/dinov2_vitg14_reg4_linear_head.pth"
        );
        assert_eq!(
            path("voc2012-ms-vits14"),
            "dinov2_vits14/dinov2_vits14_voc2012_ms_head.pth"
        );
        assert_eq!(
            backbone_path("vits14-reg"),
            "dinov2_vits14/dinov2_vits14_reg4_pretrain.pth"
        );
    }

    #[test]
    fn names_may_be_cut_short() {
        let names = |text, model| {
            matching(text, model)
                .iter()
                .map(OfficialHead::name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("nyu-dpt", "vitb14"), ["nyu-dpt-vitb14"]);
        assert_eq!(names("nyu-dpt-vitl14", "vitb14"), ["nyu-dpt-vitl14"]);
        assert_eq!(names("kitti", "vits14").len(), 3);
        assert_eq!(names("official", "vits14").len(), 12);
        assert_eq!(names("official", "vits14-reg").len(), 2);
        assert!(names("nyu-d", "vits14").is_empty() && names("nyu", "vits14-reg").is_empty());
    }

    #[test]
    fn the_best_comes_first() {
        let rank = |name| find(name).map(|head| head.rank());
        assert!(rank("nyu-dpt-vits14") < rank("nyu-linear4-vitg14"));
        assert!(rank("nyu-linear-vits14") < rank("kitti-dpt-vitg14"));
        assert!(rank("nyu-dpt-vitg14") < rank("nyu-dpt-vits14"));
        assert!(rank("ade20k-linear-vits14") < rank("ade20k-ms-vits14"));
    }
}
