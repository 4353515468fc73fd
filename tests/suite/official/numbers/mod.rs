//! Published heads against plain PyTorch in f64 (`tests/goldens/official.py`): the backbone, the head, its protocol and
//! the resizing to the photo's pixels, all together.

mod depth;
mod labels;

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use dino::engine::{BackbonePass, FlipViews, InputScales};
use dino::model::backbone::{Backbone, BackboneConfig, Checkpoint, Ffn, variants};
use dino::model::head::{Head, HeadNetwork};
use dino::model::head_zoo::convert::recognise;
use dino::model::head_zoo::official::{self, OfficialHead};
use dino::vision::preprocess::{Preprocessor, Resample};

use super::seeded::{self, Tensors};
use crate::goldens::Golden;

/// Largest difference of linear depth heads in metres, of logits and of probabilities.
const GATE: f64 = 1e-3;
/// Largest difference of DPT heads in metres. It is below 1e-3, because a GELU by tanh, or a minimum depth that is not
/// added, changes depths by no more than that.
const DPT: f64 = 2e-4;

/// The models of `official.py`: `S` and `S-reg` have their real sizes, the others are narrower.
fn config(size: &str) -> BackboneConfig {
    let small = variants::find("vits14").unwrap().config;
    let narrow = |dim: usize, depth: usize| BackboneConfig {
        dim,
        depth,
        heads: 2,
        ffn: Ffn::Mlp { hidden: 4 * dim },
        ..small
    };
    match size {
        "S" => small,
        "S-reg" => variants::find("vits14-reg").unwrap().config,
        "b" => narrow(48, 12),
        "l" => narrow(32, 24),
        "g" => BackboneConfig {
            ffn: Ffn::SwiGlu { hidden: 88 },
            ..narrow(32, 40)
        },
        "t" => narrow(32, 4),
        other => panic!("no size {other}"),
    }
}

/// The backbone of that size with seeded weights.
fn backbone(size: &str) -> Backbone {
    let config = config(size);
    let checkpoint =
        Checkpoint::from_raw("seeded", seeded::filled(config.tensor_shapes())).unwrap();
    Backbone::new(config, checkpoint, &Device::Cpu, DType::F32).unwrap()
}

/// The network in published tensors.
fn network(tensors: Tensors) -> HeadNetwork {
    recognise(tensors).unwrap().into_network().unwrap()
}

/// The published head of that name with this network.
fn head(name: &str, network: HeadNetwork) -> Head {
    Head {
        meta: official::find(name).unwrap().meta(),
        network,
    }
}

/// The preprocessing and the backbone passes that this head asks for.
fn pass(head: &Head, views: FlipViews) -> BackbonePass {
    let input = &head.meta.input;
    BackbonePass {
        preprocessor: Preprocessor {
            size: input.size.parse().unwrap(),
            resample: Resample::Bicubic,
            patch_size: 14,
            padding: input.padding.parse().unwrap(),
            unpad: head.meta.unpad,
            max_patches: None,
            center_crop: input.crop,
        },
        requests: head.meta.requests(),
        views,
        scales: InputScales::Full,
    }
}

#[test]
fn the_formulas_are_those_of_the_goldens() {
    let golden = Golden::load("official");
    let mut shapes: BTreeMap<String, Vec<usize>> =
        config("S").tensor_shapes().into_iter().collect();
    for tensors in [seeded::segmenter(384, 150), seeded::dpt(384, 256)] {
        shapes.extend(
            tensors
                .into_iter()
                .map(|(key, tensor)| (key, tensor.dims().to_vec())),
        );
    }
    let mut seen = 0;
    for (key, _) in golden.under("formula.") {
        let found: Vec<f64> = seeded::numbers(&key, &shapes[&key])[..8]
            .iter()
            .map(|&v| f64::from(v))
            .collect();
        assert_eq!(found, golden.numbers(&format!("formula.{key}")), "{key}");
        seen += 1;
    }
    assert!(seen >= 8);
    let photo: Vec<f64> = seeded::photo(64, 56)
        .iter()
        .map(|&level| f64::from(level))
        .collect();
    assert_eq!(photo, golden.numbers("photo.64x56"));
}

#[test]
fn heads_of_other_backbones_are_refused() {
    let small = backbone("S");
    let network = network(seeded::linear_depth(2 * 384));
    let head = head("nyu-linear-vits14", network);
    head.check_backbone("vits14", ("vits14", "any"), small.config())
        .unwrap();
    for other in ["vits14-reg", "vits14-focus", "vitb14"] {
        let error = head
            .check_backbone(other, (other, "any"), small.config())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("trained on the backbone vits14 and reads no other"),
            "{error}"
        );
    }
    assert_eq!(
        OfficialHead::of(&head.meta)
            .map(|head| head.name())
            .as_deref(),
        Some("nyu-linear-vits14")
    );
}
