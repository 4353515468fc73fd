//! The heads of Depth Anything V2 (Yang et al., 2024), as a table: their names here and there, and what they read. Each was
//! trained together with its encoder, which is a row of [`VARIANTS`](crate::model::backbone::VARIANTS) for it alone.

use std::path::Path;

use serde_json::Value;

use crate::model::backbone::variants::{self, Variant};
use crate::model::head::meta::Origin;
use crate::model::head::{HeadMeta, InputRecipe, RELATIVE, Readout, Task};
use crate::model::head_zoo::official::Shape;
use crate::model::input::Unpad;

/// What a head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// What is nearer than what, anywhere.
    Relative,
    /// Metres in rooms, to 20 m.
    Indoor,
    /// Metres in streets, to 80 m.
    Outdoor,
}

/// How large its encoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// ViT-S.
    Small,
    /// ViT-B.
    Base,
    /// ViT-L.
    Large,
}

/// A head of Depth Anything V2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthAnything {
    /// What it tells.
    pub scene: Scene,
    /// The size of its encoder.
    pub size: Size,
}

/// All of them.
pub const SCENES: [Scene; 3] = [Scene::Relative, Scene::Indoor, Scene::Outdoor];

/// All of them, smallest first.
pub const SIZES: [Size; 3] = [Size::Small, Size::Base, Size::Large];

/// All heads.
pub fn all() -> impl Iterator<Item = DepthAnything> {
    SCENES
        .into_iter()
        .flat_map(|scene| SIZES.map(|size| DepthAnything { scene, size }))
}

/// The head called `name`.
pub fn find(name: &str) -> Option<DepthAnything> {
    all().find(|head| head.name() == name)
}

impl Size {
    fn word(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Base => "base",
            Size::Large => "large",
        }
    }

    /// As the names of backbones and of the authors' files have it.
    fn letter(self) -> char {
        match self {
            Size::Small => 's',
            Size::Base => 'b',
            Size::Large => 'l',
        }
    }
}

impl Scene {
    /// Between `da2` and what follows.
    fn infix(self) -> &'static str {
        match self {
            Scene::Relative => "",
            Scene::Indoor => "-indoor",
            Scene::Outdoor => "-outdoor",
        }
    }

    /// What it was trained on, in the end.
    fn data(self) -> &'static str {
        match self {
            Scene::Relative => "synthetic images, and 62 million labelled by a larger model",
            Scene::Indoor => "Hypersim",
            Scene::Outdoor => "Virtual KITTI 2",
        }
    }

    /// What it tells, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Scene::Relative => "what is nearer than what, no metres",
            Scene::Indoor => "metres in rooms, to 20 m",
            Scene::Outdoor => "metres in streets, to 80 m",
        }
    }
}

impl DepthAnything {
    /// `da2-indoor-small`.
    pub fn name(&self) -> String {
        format!("da2{}-{}", self.scene.infix(), self.size.word())
    }

    /// Its encoder, as a row of the table is called.
    pub fn backbone(&self) -> String {
        format!("vit{}14-da2{}", self.size.letter(), self.scene.infix())
    }

    /// The row of its encoder. A test looks each up.
    pub fn variant(&self) -> Option<&'static Variant> {
        variants::find(&self.backbone())
    }

    /// Its repository on the Hugging Face hub.
    pub fn repository(&self) -> String {
        let (scene, size) = match (self.scene, self.size.word()) {
            (Scene::Relative, size) => ("", size),
            (Scene::Indoor, size) => ("Metric-Indoor-", size),
            (Scene::Outdoor, size) => ("Metric-Outdoor-", size),
        };
        let (first, rest) = size.split_at(1);
        let size = format!("{}{rest}", first.to_ascii_uppercase());
        format!("depth-anything/Depth-Anything-V2-{scene}{size}-hf")
    }

    /// Its authors' file, without the ending.
    pub fn file_stem(&self) -> String {
        let scene = match self.scene {
            Scene::Relative => "",
            Scene::Indoor => "_metric_hypersim",
            Scene::Outdoor => "_metric_vkitti",
        };
        format!("depth_anything_v2{scene}_vit{}", self.size.letter())
    }

    /// The head that `meta` is of, whatever it is called now.
    pub fn of(meta: &HeadMeta) -> Option<Self> {
        let origin = meta.origin.as_ref()?;
        all().find(|head| origin.source == head.repository())
    }

    /// Whether a file or folder called `part` is certainly this head: its own name, or its publisher's. Heads of all three
    /// scenes have the same tensors, so that nothing else tells.
    fn is_called(&self, part: &str) -> bool {
        let part = part.to_ascii_lowercase();
        let stem = [".safetensors", ".pth", ".pt", ".bin"]
            .iter()
            .find_map(|end| part.strip_suffix(end))
            .unwrap_or(&part);
        let repository = self.repository().to_ascii_lowercase();
        let name = repository.rsplit('/').next().unwrap_or_default();
        // As the hub's cache spells it.
        let cached = format!("models--{}", repository.replace('/', "--"));
        stem == self.name()
            || stem == self.file_stem()
            || stem == name
            || Some(stem) == name.strip_suffix("-hf")
            || stem == cached
    }

    /// The head that the path or repository `hint` names; none where it names none or several.
    pub fn named_in(hint: &str) -> Option<Self> {
        let mut found =
            all().filter(|head| hint.split(['/', '\\']).any(|part| head.is_called(part)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The 0-based blocks that it reads.
    fn blocks(&self) -> Vec<usize> {
        match self.size {
            Size::Small | Size::Base => vec![2, 5, 8, 11],
            Size::Large => vec![4, 11, 17, 23],
        }
    }

    /// The shape of its weights.
    pub fn shape(&self) -> Shape {
        let features = match self.size {
            Size::Small => 64,
            Size::Base => 128,
            Size::Large => 256,
        };
        Shape::DepthAnything {
            dim: self.variant().map_or(0, |variant| variant.config.dim),
            features,
        }
    }

    /// What its file will say about it.
    pub fn meta(&self) -> HeadMeta {
        let (readout, unit) = match self.scene {
            Scene::Relative => (Readout::Inverse { farthest: 0.0 }, RELATIVE),
            Scene::Indoor => (Readout::Share { whole: 20.0 }, "m"),
            Scene::Outdoor => (Readout::Share { whole: 80.0 }, "m"),
        };
        HeadMeta {
            format: 1,
            name: self.name(),
            task: Task::Depth {
                readout,
                unit: unit.to_owned(),
            },
            backbone: self.backbone(),
            fingerprint: String::new(),
            blocks: self.blocks(),
            norm: true,
            context: Vec::new(),
            globals: Vec::new(),
            input: InputRecipe {
                size: "fit:518".into(),
                padding: "none".into(),
                coarse: None,
                crop: None,
            },
            protocol: None,
            unpad: Unpad::Cubic,
            label_sets: Vec::new(),
            origin: Some(Origin {
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

/// The scene that `config.json` in the folder `path`, or beside the file `path`, tells: transformers writes it. None where
/// there is no such file, or of other models.
pub fn scene_beside(path: &Path) -> Option<Scene> {
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
        ("relative", _) => Some(Scene::Relative),
        ("metric", Some(20.0)) => Some(Scene::Indoor),
        ("metric", Some(80.0)) => Some(Scene::Outdoor),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::backbone::variants::Source;

    #[test]
    fn every_head_has_a_row_of_its_own_and_says_nothing_impossible() {
        let mut rows: Vec<&str> = Vec::new();
        for head in all() {
            let variant = head.variant().unwrap();
            let repository = head.repository();
            assert!(matches!(variant.source, Source::Hub(repo) if repo == repository));
            assert_eq!(head.meta().problem(), None, "{}", head.name());
            assert_eq!(find(&head.name()), Some(head));
            assert_eq!(DepthAnything::of(&head.meta()), Some(head));
            assert!(!rows.contains(&variant.name));
            rows.push(variant.name);
            let free = head.size == Size::Small;
            assert_eq!(variant.license == "Apache-2.0", free, "{}", variant.name);
        }
        assert_eq!(rows.len(), 9);
    }

    #[test]
    fn names_tell_the_scene_or_nothing_does() {
        let named = |hint: &str| DepthAnything::named_in(hint).map(|head| head.name());
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
