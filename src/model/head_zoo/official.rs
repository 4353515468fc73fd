//! The heads that Meta published with DINOv2 (facebookresearch/dinov2), as a table: names here and on the publisher's
//! host, backbones, the blocks that each reads, and their ranking. `official_meta` has the metadata of their files.

use crate::model::backbone::variants;
use crate::model::head::HeadMeta;

/// The data set that a head was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfficialDataset {
    /// NYU Depth V2: depth of rooms, to 10 m.
    Nyu,
    /// KITTI: depth of streets, to 80 m.
    Kitti,
    /// ADE20K: 150 classes of scenes and things.
    Ade20k,
    /// PASCAL VOC 2012: 20 classes of things, and background.
    Voc2012,
    /// ImageNet-1k: 1000 classes of photos.
    Imagenet,
}

/// The layers of a head, and the blocks that they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadMethod {
    /// One linear layer on the last block.
    Linear,
    /// One linear layer on four blocks together.
    Linear4,
    /// DPT (Ranftl et al., 2021): convolutions on four blocks.
    Dpt,
    /// One linear layer on the last four blocks, evaluated at several scales and mirrored.
    MultiScale,
}

/// One of Meta's published heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficialHead {
    /// The data set that it was trained on.
    pub dataset: OfficialDataset,
    /// Its layers.
    pub method: HeadMethod,
    /// Its backbone: a row of [`VARIANTS`](variants::VARIANTS).
    pub backbone: &'static str,
}

/// The groups of heads. Each group has a head for every backbone of [`PLAIN_BACKBONES`], those of ImageNet also for
/// every one of [`REGISTER_BACKBONES`].
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
/// Backbones with register tokens, smallest first; only classifiers were published for them.
pub const REGISTER_BACKBONES: [&str; 4] = ["vits14-reg", "vitb14-reg", "vitl14-reg", "vitg14-reg"];

/// All of Meta's heads, in the order of [`GROUPS`].
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

/// Meta's head called `name`, such as `nyu-linear4-vits14`.
pub fn find(name: &str) -> Option<OfficialHead> {
    all().find(|head| head.name() == name)
}

/// The published heads that `text` names: a full name; or for heads of `model` a group (`nyu-dpt`), a data set (`nyu`),
/// or `official` for all.
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
    /// The first part of heads' names.
    pub fn name(self) -> &'static str {
        match self {
            OfficialDataset::Nyu => "nyu",
            OfficialDataset::Kitti => "kitti",
            OfficialDataset::Ade20k => "ade20k",
            OfficialDataset::Voc2012 => "voc2012",
            OfficialDataset::Imagenet => "imagenet",
        }
    }

    /// The data set's full name.
    pub(super) fn full_name(self) -> &'static str {
        match self {
            OfficialDataset::Nyu => "NYU Depth V2",
            OfficialDataset::Kitti => "KITTI",
            OfficialDataset::Ade20k => "ADE20K",
            OfficialDataset::Voc2012 => "PASCAL VOC 2012",
            OfficialDataset::Imagenet => "ImageNet-1k",
        }
    }

    /// The task of its heads, as commands spell it: depth, segment or classify.
    pub fn task(self) -> &'static str {
        match self {
            OfficialDataset::Nyu | OfficialDataset::Kitti => "depth",
            OfficialDataset::Ade20k | OfficialDataset::Voc2012 => "segment",
            OfficialDataset::Imagenet => "classify",
        }
    }
}

impl HeadMethod {
    /// The second part of heads' names.
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
    /// Its name, such as `nyu-linear4-vits14`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.group(), self.backbone)
    }

    /// Its name without the backbone, such as `nyu-linear4`.
    pub fn group(&self) -> String {
        format!("{}-{}", self.dataset.name(), self.method.name())
    }

    /// Path of its file on the publisher's host. The repository's README links some of them wrongly.
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
            // The large one was trained with blocks that are not evenly spread.
            (_, _, 24) => vec![4, 11, 17, 23],
            (_, _, 40) => vec![9, 19, 29, 39],
            _ => vec![2, 5, 8, 11],
        }
    }

    /// Width of its backbone's tokens, 384 to 1536.
    pub fn dim(&self) -> usize {
        variants::find(self.backbone).map_or(0, |variant| variant.config.dim)
    }

    /// The published head whose metadata `meta` are, by their origin: the head may have been renamed.
    pub fn of(meta: &HeadMeta) -> Option<Self> {
        let origin = meta.origin.as_ref()?;
        all().find(|head| origin.source.ends_with(&head.remote_path()))
    }

    /// Its rank among the heads of one task, the lowest being the first choice: NYU before KITTI, ADE20K before VOC,
    /// and the more accurate method and larger backbone first, except that multi-scale heads, which take fifty times as
    /// long, come after linear ones.
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

/// Folder and stem of a backbone's files on the publisher's host.
fn stem(backbone: &str) -> (String, String) {
    match backbone.strip_suffix("-reg") {
        Some(plain) => (format!("dinov2_{plain}"), format!("dinov2_{plain}_reg4")),
        None => (format!("dinov2_{backbone}"), format!("dinov2_{backbone}")),
    }
}

/// Path of a backbone's weights on the publisher's host.
pub fn backbone_path(backbone: &str) -> String {
    let (folder, stem) = stem(backbone);
    format!("{folder}/{stem}_pretrain.pth")
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
