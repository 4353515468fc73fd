//! The heads of Depth Anything V2 (Yang et al., 2024), as a table: names here and at the publisher's, the blocks that
//! they read and their units. Each was trained together with its encoder, which is a row of
//! [`VARIANTS`](crate::model::backbone::VARIANTS) for it alone.

use std::path::Path;

use serde_json::Value;

use crate::model::backbone::variants::{self, Variant};
use crate::model::head::meta::HeadOrigin;
use crate::model::head::{DepthReadout, HeadInput, HeadMeta, HeadTask, RELATIVE_INVERSE_DEPTH};
use crate::model::head_zoo::signature::HeadSignature;
use crate::model::input::Unpad;

/// The quantity that a head predicts, and the scenes that it was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepthAnythingScene {
    /// Relative inverse depth of any scene, without metres.
    Relative,
    /// Metres indoors, 0 to 20 m.
    Indoor,
    /// Metres outdoors (streets), 0 to 80 m.
    Outdoor,
}

/// Size of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderSize {
    /// ViT-S.
    Small,
    /// ViT-B.
    Base,
    /// ViT-L.
    Large,
}

/// A head of Depth Anything V2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthAnythingHead {
    /// The quantity that it predicts.
    pub scene: DepthAnythingScene,
    /// The size of its encoder.
    pub size: EncoderSize,
}

/// All scenes.
pub const SCENES: [DepthAnythingScene; 3] = [
    DepthAnythingScene::Relative,
    DepthAnythingScene::Indoor,
    DepthAnythingScene::Outdoor,
];

/// All sizes, smallest first.
pub const SIZES: [EncoderSize; 3] = [EncoderSize::Small, EncoderSize::Base, EncoderSize::Large];

/// All heads of Depth Anything V2: every scene in every size.
pub fn all() -> impl Iterator<Item = DepthAnythingHead> {
    SCENES
        .into_iter()
        .flat_map(|scene| SIZES.map(|size| DepthAnythingHead { scene, size }))
}

/// The head called `name`.
pub fn find(name: &str) -> Option<DepthAnythingHead> {
    all().find(|head| head.name() == name)
}

impl EncoderSize {
    fn name(self) -> &'static str {
        match self {
            EncoderSize::Small => "small",
            EncoderSize::Base => "base",
            EncoderSize::Large => "large",
        }
    }

    /// The letter in names of backbones and of the authors' files.
    fn letter(self) -> char {
        match self {
            EncoderSize::Small => 's',
            EncoderSize::Base => 'b',
            EncoderSize::Large => 'l',
        }
    }
}

impl DepthAnythingScene {
    /// The part of names between `da2` and the size.
    fn infix(self) -> &'static str {
        match self {
            DepthAnythingScene::Relative => "",
            DepthAnythingScene::Indoor => "-indoor",
            DepthAnythingScene::Outdoor => "-outdoor",
        }
    }

    /// The data of the last stage of training.
    fn data(self) -> &'static str {
        match self {
            DepthAnythingScene::Relative => {
                "synthetic images, and 62 million labelled by a larger model"
            }
            DepthAnythingScene::Indoor => "Hypersim",
            DepthAnythingScene::Outdoor => "Virtual KITTI 2",
        }
    }

    /// The predicted quantity in a few words, for lists and messages.
    pub fn description(self) -> &'static str {
        match self {
            DepthAnythingScene::Relative => "what is nearer than what, no metres",
            DepthAnythingScene::Indoor => "metres in rooms, to 20 m",
            DepthAnythingScene::Outdoor => "metres in streets, to 80 m",
        }
    }
}

impl DepthAnythingHead {
    /// Its name, such as `da2-indoor-small`.
    pub fn name(&self) -> String {
        format!("da2{}-{}", self.scene.infix(), self.size.name())
    }

    /// The name of its encoder, a row of [`VARIANTS`](crate::model::backbone::VARIANTS).
    pub fn backbone(&self) -> String {
        format!("vit{}14-da2{}", self.size.letter(), self.scene.infix())
    }

    /// The row of its encoder; a test makes sure that there is one.
    pub fn variant(&self) -> Option<&'static Variant> {
        variants::find(&self.backbone())
    }

    /// Its repository on the Hugging Face hub.
    pub fn repository(&self) -> String {
        let (scene, size) = match (self.scene, self.size.name()) {
            (DepthAnythingScene::Relative, size) => ("", size),
            (DepthAnythingScene::Indoor, size) => ("Metric-Indoor-", size),
            (DepthAnythingScene::Outdoor, size) => ("Metric-Outdoor-", size),
        };
        let (first, rest) = size.split_at(1);
        let size = format!("{}{rest}", first.to_ascii_uppercase());
        format!("depth-anything/Depth-Anything-V2-{scene}{size}-hf")
    }

    /// The name of its authors' file without the ending.
    pub fn file_stem(&self) -> String {
        let scene = match self.scene {
            DepthAnythingScene::Relative => "",
            DepthAnythingScene::Indoor => "_metric_hypersim",
            DepthAnythingScene::Outdoor => "_metric_vkitti",
        };
        format!("depth_anything_v2{scene}_vit{}", self.size.letter())
    }

    /// The head whose metadata `meta` are, by their origin: it may have been renamed.
    pub fn of(meta: &HeadMeta) -> Option<Self> {
        let origin = meta.origin.as_ref()?;
        all().find(|head| origin.source == head.repository())
    }

    /// Whether a file or folder called `part` is certainly this head, by its name here or at its publisher's. Heads of
    /// all three scenes have the same tensors, so that only names tell them apart.
    fn matches_name(&self, part: &str) -> bool {
        let part = part.to_ascii_lowercase();
        let stem = [".safetensors", ".pth", ".pt", ".bin"]
            .iter()
            .find_map(|end| part.strip_suffix(end))
            .unwrap_or(&part);
        let repository = self.repository().to_ascii_lowercase();
        let name = repository.rsplit('/').next().unwrap_or_default();
        // The folder's name in the hub's cache.
        let cached = format!("models--{}", repository.replace('/', "--"));
        stem == self.name()
            || stem == self.file_stem()
            || stem == name
            || Some(stem) == name.strip_suffix("-hf")
            || stem == cached
    }

    /// The head that the path or repository `hint` names; none where it names none or several.
    pub fn from_path(hint: &str) -> Option<Self> {
        let mut found =
            all().filter(|head| hint.split(['/', '\\']).any(|part| head.matches_name(part)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The 0-based blocks that it reads.
    fn blocks(&self) -> Vec<usize> {
        match self.size {
            EncoderSize::Small | EncoderSize::Base => vec![2, 5, 8, 11],
            EncoderSize::Large => vec![4, 11, 17, 23],
        }
    }

    /// The sizes of its tensors.
    pub fn signature(&self) -> HeadSignature {
        let features = match self.size {
            EncoderSize::Small => 64,
            EncoderSize::Base => 128,
            EncoderSize::Large => 256,
        };
        HeadSignature::DepthAnything {
            dim: self.variant().map_or(0, |variant| variant.config.dim),
            features,
        }
    }

    /// The metadata of its file once it is converted.
    pub fn meta(&self) -> HeadMeta {
        let (readout, unit) = match self.scene {
            DepthAnythingScene::Relative => (
                DepthReadout::Inverse { farthest: 0.0 },
                RELATIVE_INVERSE_DEPTH,
            ),
            DepthAnythingScene::Indoor => (DepthReadout::Sigmoid { whole: 20.0 }, "m"),
            DepthAnythingScene::Outdoor => (DepthReadout::Sigmoid { whole: 80.0 }, "m"),
        };
        HeadMeta {
            format: 1,
            name: self.name(),
            task: HeadTask::Depth {
                readout,
                unit: unit.to_owned(),
            },
            backbone: self.backbone(),
            fingerprint: String::new(),
            blocks: self.blocks(),
            norm: true,
            context: Vec::new(),
            globals: Vec::new(),
            input: HeadInput {
                size: "fit:518".into(),
                padding: "none".into(),
                coarse: None,
                crop: None,
            },
            protocol: None,
            unpad: Unpad::Cubic,
            label_sets: Vec::new(),
            origin: Some(HeadOrigin {
                source: self.repository(),
                license: self
                    .variant()
                    .map_or("unknown", |variant| variant.license)
                    .to_owned(),
                data: self.scene.data().into(),
            }),
            calibration: None,
            training: None,
            metrics: Vec::new(),
        }
    }
}

/// The scene by `config.json` of transformers, in the folder `path` or beside the file `path`: `depth_estimation_type`
/// and `max_depth`. `None` where there is no such file, or it is of another model.
pub fn read_scene(path: &Path) -> Option<DepthAnythingScene> {
    let folder = match path.is_dir() {
        true => path,
        false => path.parent()?,
    };
    let text = std::fs::read(folder.join("config.json")).ok()?;
    let config: Value = serde_json::from_slice(&text).ok()?;
    if config.get("model_type")?.as_str()? != "depth_anything" {
        return None;
    }
    let kind = config.get("depth_estimation_type").and_then(Value::as_str);
    let farthest = config.get("max_depth").and_then(Value::as_f64);
    match (kind.unwrap_or("relative"), farthest) {
        ("relative", _) => Some(DepthAnythingScene::Relative),
        ("metric", Some(20.0)) => Some(DepthAnythingScene::Indoor),
        ("metric", Some(80.0)) => Some(DepthAnythingScene::Outdoor),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::backbone::variants::VariantSource;

    #[test]
    fn every_head_has_a_row_of_its_own_and_says_nothing_impossible() {
        let mut rows: Vec<&str> = Vec::new();
        for head in all() {
            let variant = head.variant().unwrap();
            let repository = head.repository();
            assert!(matches!(variant.source, VariantSource::Hub(repo) if repo == repository));
            assert_eq!(head.meta().find_problem(), None, "{}", head.name());
            assert_eq!(find(&head.name()), Some(head));
            assert_eq!(DepthAnythingHead::of(&head.meta()), Some(head));
            assert!(!rows.contains(&variant.name));
            rows.push(variant.name);
            let free = head.size == EncoderSize::Small;
            assert_eq!(variant.license == "Apache-2.0", free, "{}", variant.name);
        }
        assert_eq!(rows.len(), 9);
    }

    #[test]
    fn names_tell_the_scene_or_nothing_does() {
        let named = |hint: &str| DepthAnythingHead::from_path(hint).map(|head| head.name());
        for (hint, name) in [
            ("depth-anything/Depth-Anything-V2-Small-hf", "da2-small"),
            (
                "depth-anything/Depth-Anything-V2-Metric-Outdoor-Large-hf",
                "da2-outdoor-large",
            ),
            ("/tmp/depth_anything_v2_vitb.pth", "da2-base"),
            (
                "/tmp/depth_anything_v2_metric_hypersim_vits.pth",
                "da2-indoor-small",
            ),
            ("x/da2-outdoor-base.safetensors", "da2-outdoor-base"),
            (
                "hub/models--depth-anything--Depth-Anything-V2-Base-hf/snapshots/0a/model.safetensors",
                "da2-base",
            ),
        ] {
            assert_eq!(named(hint).as_deref(), Some(name), "{hint}");
        }
        for hint in [
            "model.safetensors",
            "somebody/Depth-Anything-V2-Small-finetuned",
            "depth_anything_v2_vits_latest.pth",
            "Depth-Anything-V2/model.safetensors",
        ] {
            assert_eq!(named(hint), None, "{hint}");
        }
    }
}
