//! The metadata of Meta's heads ([`HeadMeta`]): classes, readout, input, the paper's figure, and the sizes of the
//! tensors.
//!
//! Figures are those of the DINOv2 paper (Oquab et al., 2023, tables 10 and 11), ImageNet's those of the README of
//! facebookresearch/dinov2.

use serde_json::from_str;

use crate::model::head::global_token::GlobalToken;
use crate::model::head::meta::{HeadOrigin, LabelSet};
use crate::model::head::{
    Bins, Class, DepthReadout, HeadInput, HeadMeta, HeadTask, Metric, Protocol, Spacing,
};
use crate::model::head_zoo::official::{
    HeadMethod, OfficialDataset, OfficialHead, PLAIN_BACKBONES, REGISTER_BACKBONES,
};
use crate::model::head_zoo::signature::HeadSignature;
use crate::model::input::Unpad;

/// Depth bins of the linear depth heads.
const BINS: usize = 256;

impl OfficialHead {
    /// The paper's figure: RMSE in metres, mIoU in percent, or top-1 accuracy in percent. `None` where it gives none.
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

    /// The sizes of its tensors.
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

    /// Its classes; empty but for a head for segmentation.
    fn classes(&self) -> Vec<Class> {
        let text = match self.dataset {
            OfficialDataset::Ade20k => include_str!("classes/ade20k.json"),
            OfficialDataset::Voc2012 => include_str!("classes/voc2012.json"),
            _ => "[]",
        };
        // A test reads both files, so that the default is never used.
        from_str(text).unwrap_or_default()
    }

    /// The meaning of the ids in its data set's masks. ADE20K's ids are one above the classes, and 0 is ignored.
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

    /// The metadata of its file once it is converted.
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
                data: self.dataset.full_name().into(),
            }),
            calibration: None,
            training: None,
            metrics: self
                .paper_metric()
                .map(|(name, value)| Metric {
                    data: format!("{} (the paper's figure)", self.dataset.full_name()),
                    name: name.to_lowercase(),
                    value,
                })
                .into_iter()
                .collect(),
        }
    }
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
    use crate::model::head_zoo::official::all;

    #[test]
    fn what_they_say_of_themselves_holds_together() {
        for head in all() {
            let meta = head.meta();
            assert_eq!(meta.find_problem(), None, "{}", head.name());
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
}
