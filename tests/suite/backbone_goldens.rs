//! The backbone against a plain PyTorch encoder in f64 (`tests/goldens/backbone.py`): four shrunken models, each
//! at its native grid and at a larger, a smaller and a non-square one, stage by stage.

use candle_core::{DType, Device, Tensor};
use dino::model::backbone::{
    Backbone, BackboneConfig, Checkpoint, Ffn, LayerRequest, PosEmbedRule,
};
use dino::model::input::PatchGrid;

use crate::goldens::{Golden, max_abs, numbers};

const GATE: f64 = 1e-4;
pub const GRIDS: [(usize, usize); 4] = [(5, 5), (7, 7), (3, 3), (4, 6)];

pub fn config(name: &str) -> BackboneConfig {
    let plain = BackboneConfig {
        patch_size: 14,
        dim: 32,
        depth: 3,
        heads: 2,
        ffn: Ffn::Mlp { hidden: 128 },
        registers: 0,
        layer_scale: true,
        native_grid: 5,
        pos_embed: PosEmbedRule {
            offset: 0.1,
            antialias: false,
        },
        norm_eps: 1e-6,
    };
    match name {
        "plain" => plain,
        "reg" => BackboneConfig {
            registers: 4,
            pos_embed: PosEmbedRule {
                offset: 0.0,
                antialias: true,
            },
            ..plain
        },
        "swiglu" => BackboneConfig {
            ffn: Ffn::SwiGlu { hidden: 88 },
            ..plain
        },
        "v1" => BackboneConfig {
            patch_size: 8,
            layer_scale: false,
            ..plain
        },
        other => panic!("no golden model {other}"),
    }
}

fn backbone(name: &str, golden: &Golden) -> Backbone {
    backbone_with(config(name), golden)
}

fn backbone_with(config: BackboneConfig, golden: &Golden) -> Backbone {
    let checkpoint = Checkpoint::from_raw("golden", golden.under("weights.")).unwrap();
    Backbone::new(config, checkpoint, &Device::Cpu, DType::F32).unwrap()
}

/// The pixels by the formula of `backbone.py`.
pub fn pixels(b: usize, h: usize, w: usize) -> Tensor {
    let mut values = Vec::new();
    for b in 0..b {
        for c in 1..=3 {
            for y in 0..h {
                for x in 0..w {
                    let (b, c, y, x) = (b as f64, f64::from(c), y as f64, x as f64);
                    let value = (0.013 * c * y + 0.031 * x + 0.5 * b).sin()
                        + 0.3 * (0.11 * (x + 2.0 * y) * c).cos();
                    values.push(value as f32);
                }
            }
        }
    }
    Tensor::from_vec(values, (b, 3, h, w), &Device::Cpu).unwrap()
}

fn tokens(features: &dino::model::backbone::Features, layer: usize) -> Vec<f64> {
    let layer = &features.layers[layer];
    [
        numbers(&layer.cls_token),
        numbers(&layer.registers),
        numbers(&layer.patch_tokens),
    ]
    .concat()
}

/// Compares both the CPU kernels and the tensor operations that GPUs use.
fn every_stage_agrees(name: &str) {
    let golden = Golden::load(name);
    every_stage_of(&backbone(name, &golden), name, &golden);
    let checkpoint = Checkpoint::from_raw("golden", golden.under("weights.")).unwrap();
    let tensors =
        Backbone::with_tensors(config(name), checkpoint, &Device::Cpu, DType::F32).unwrap();
    every_stage_of(&tensors, name, &golden);
}

fn every_stage_of(backbone: &Backbone, name: &str, golden: &Golden) {
    let p = backbone.config().patch_size;
    for (rows, cols) in GRIDS {
        let check = |stage: &str, found: &[f64]| {
            let difference = max_abs(found, &golden.numbers(&format!("{rows}x{cols}.{stage}")));
            assert!(
                difference < GATE,
                "{name} {rows}x{cols} {stage}: {difference:e}"
            );
        };
        let pixels = pixels(1, rows * p, cols * p);
        check(
            "patch_embed",
            &numbers(&backbone.embed_patches(&pixels).unwrap()),
        );
        let grid = PatchGrid { rows, cols };
        let cls = numbers(&golden.tensor("weights.pos_embed").narrow(1, 0, 1).unwrap());
        check(
            "pos_embed",
            &[cls, numbers(&backbone.position_embedding(grid).unwrap())].concat(),
        );
        let request = |block, norm| LayerRequest { block, norm };
        let features = backbone
            .forward(
                &pixels,
                &[request(2, true), request(0, false), request(2, false)],
            )
            .unwrap();
        assert_eq!(features.grid, grid);
        check("norm", &tokens(&features, 0));
        check("block0", &tokens(&features, 1));
        check("block2", &tokens(&features, 2));
    }
}

#[test]
fn plain_agrees_with_pytorch() {
    every_stage_agrees("plain");
}

#[test]
fn registers_agree_with_pytorch() {
    every_stage_agrees("reg");
}

#[test]
fn swiglu_agrees_with_pytorch() {
    every_stage_agrees("swiglu");
}

#[test]
fn dino_v1_agrees_with_pytorch() {
    every_stage_agrees("v1");
}

#[test]
fn the_exact_size_rule_agrees_with_pytorch() {
    let golden = Golden::load("plain");
    let rule = PosEmbedRule {
        offset: 0.0,
        antialias: false,
    };
    let backbone = backbone_with(
        BackboneConfig {
            pos_embed: rule,
            ..config("plain")
        },
        &golden,
    );
    for (rows, cols) in GRIDS {
        let expected = golden.numbers(&format!("{rows}x{cols}.pos_embed_hf"));
        let found = numbers(
            &backbone
                .position_embedding(PatchGrid { rows, cols })
                .unwrap(),
        );
        let difference = max_abs(&found, &expected[backbone.config().dim..]);
        assert!(difference < GATE, "{rows}x{cols}: {difference:e}");
    }
}

#[test]
fn a_batch_equals_its_photos_one_by_one() {
    for name in ["plain", "reg", "swiglu", "v1"] {
        let golden = Golden::load(name);
        let backbone = backbone(name, &golden);
        let p = backbone.config().patch_size;
        let both = pixels(2, 4 * p, 6 * p);
        let request = [LayerRequest {
            block: 2,
            norm: false,
        }];
        let batch = backbone.forward(&both, &request).unwrap();
        for index in 0..2 {
            let one = backbone
                .forward(&both.narrow(0, index, 1).unwrap(), &request)
                .unwrap();
            let from_batch = numbers(&batch.layers[0].patch_tokens.narrow(0, index, 1).unwrap());
            let difference = max_abs(&from_batch, &numbers(&one.layers[0].patch_tokens));
            assert!(difference < 1e-5, "{name} image {index}: {difference:e}");
        }
        let second = batch.layers[0].patch_tokens.narrow(0, 1, 1).unwrap();
        let expected = golden.tensor("4x6.block2_b1");
        let skip = 1 + backbone.config().registers;
        let expected = numbers(
            &expected
                .narrow(0, skip, expected.dim(0).unwrap() - skip)
                .unwrap(),
        );
        let difference = max_abs(&numbers(&second), &expected);
        assert!(difference < GATE, "{name}: {difference:e}");
    }
}

#[test]
fn wrong_requests_are_errors() {
    let golden = Golden::load("plain");
    let backbone = backbone("plain", &golden);
    let ask =
        |pixels: &Tensor, block| backbone.forward(pixels, &[LayerRequest { block, norm: false }]);
    let error = ask(&pixels(1, 70, 70), 3).unwrap_err().to_string();
    assert!(
        error.contains("block 3") && error.contains("0 to 2"),
        "{error}"
    );
    let error = ask(&pixels(1, 70, 71), 0).unwrap_err().to_string();
    assert!(
        error.contains("multiples of 14") && error.contains("71x70"),
        "{error}"
    );
}
