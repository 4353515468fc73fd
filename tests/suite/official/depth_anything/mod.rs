//! Depth Anything V2: its depths against transformers in f64 (`tests/goldens/depth_anything.py`), and its installation.

mod store;
mod values;

use std::path::Path;

use candle_core::Tensor;
use dino::model::backbone::{BackboneConfig, Ffn, variants};
use serde_json::Value;

use super::seeded::{self, Tensors};

/// Configuration and tensors of the model, with the names of Hugging Face's files.
fn model() -> (BackboneConfig, Tensors) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/depth_anything.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let facts: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["facts"]).unwrap();
    let number = |key: &str| facts[key].as_u64().unwrap() as usize;
    let config = BackboneConfig {
        dim: number("dim"),
        depth: number("depth"),
        heads: number("heads"),
        ffn: Ffn::Mlp {
            hidden: 4 * number("dim"),
        },
        native_grid: number("side"),
        ..variants::find("vits14-da2").unwrap().config
    };
    let shapes = facts["shapes"].as_object().unwrap().iter();
    let shapes = shapes.map(|(key, shape)| {
        let sides = shape.as_array().unwrap().iter();
        let sides = sides.map(|side| side.as_u64().unwrap() as usize).collect();
        (key.clone(), sides)
    });
    (config, seeded::filled(shapes))
}

/// The same tensors with the names of the authors' files, as transformers' conversion script pairs them.
fn by_authors_names(hub: &Tensors) -> Tensors {
    let mut renamed = Tensors::new();
    for (name, tensor) in hub {
        let parts: Vec<&str> = name.split('.').collect();
        let number = |text: &str| text.parse::<usize>().unwrap();
        let name = match parts.as_slice() {
            ["backbone", "embeddings", "cls_token"] => "pretrained.cls_token".into(),
            ["backbone", "embeddings", "mask_token"] => "pretrained.mask_token".into(),
            ["backbone", "embeddings", "position_embeddings"] => "pretrained.pos_embed".into(),
            [
                "backbone",
                "embeddings",
                "patch_embeddings",
                "projection",
                kind,
            ] => {
                format!("pretrained.patch_embed.proj.{kind}")
            }
            ["backbone", "layernorm", kind] => format!("pretrained.norm.{kind}"),
            ["backbone", "encoder", "layer", i, rest @ ..] => {
                let block = format!("pretrained.blocks.{i}");
                match rest {
                    ["attention", "attention", "query", kind] => {
                        let part = |part: &str| {
                            let own = "backbone.encoder.layer";
                            &hub[&format!("{own}.{i}.attention.attention.{part}.{kind}")]
                        };
                        let parts = [part("query"), part("key"), part("value")];
                        let stacked = Tensor::cat(&parts, 0).unwrap();
                        renamed.insert(format!("{block}.attn.qkv.{kind}"), stacked);
                        continue;
                    }
                    ["attention", "attention", ..] => continue,
                    ["attention", "output", "dense", kind] => format!("{block}.attn.proj.{kind}"),
                    ["layer_scale1", _] => format!("{block}.ls1.gamma"),
                    ["layer_scale2", _] => format!("{block}.ls2.gamma"),
                    rest => format!("{block}.{}", rest.join(".")),
                }
            }
            ["neck", "reassemble_stage", "layers", i, "projection", kind] => {
                format!("depth_head.projects.{i}.{kind}")
            }
            ["neck", "reassemble_stage", "layers", i, "resize", kind] => {
                format!("depth_head.resize_layers.{i}.{kind}")
            }
            ["neck", "convs", i, kind] => {
                format!("depth_head.scratch.layer{}_rn.{kind}", number(i) + 1)
            }
            ["neck", "fusion_stage", "layers", i, rest @ ..] => {
                let net = format!("depth_head.scratch.refinenet{}", 4 - number(i));
                match rest {
                    ["projection", kind] => format!("{net}.out_conv.{kind}"),
                    [unit, conv, kind] => format!(
                        "{net}.{}.{}.{kind}",
                        unit.replace("residual_layer", "resConfUnit"),
                        conv.replace("convolution", "conv")
                    ),
                    other => panic!("{other:?}"),
                }
            }
            ["head", "conv1", kind] => format!("depth_head.scratch.output_conv1.{kind}"),
            ["head", "conv2", kind] => format!("depth_head.scratch.output_conv2.0.{kind}"),
            ["head", "conv3", kind] => format!("depth_head.scratch.output_conv2.2.{kind}"),
            other => panic!("{other:?}"),
        };
        renamed.insert(name, tensor.clone());
    }
    renamed
}
