//! Depths of linear and DPT heads.

use candle_core::{DType, Device};
use dino::engine::FlipViews;
use dino::model::backbone::{Backbone, BackboneConfig, Checkpoint, Ffn, variants};
use dino::model::head::{DptHead, Head, HeadNetwork};
use dino::vision::postprocess::depth::{BinSpread, DepthDecoder, decode_photo};

use super::{DPT, GATE, backbone, head, network, pass};
use crate::goldens::{Golden, max_abs};
use crate::official::seeded::{self, thirds};

/// Depths of the seeded photo at every third pixel of every third row, and those of the head's own map before its
/// bounds.
fn depths(
    backbone: &Backbone,
    head: &Head,
    (width, height): (u32, u32),
    views: FlipViews,
) -> (Vec<f64>, Vec<f64>) {
    let pass = pass(head, views);
    let photo = seeded::photo(width, height);
    let prepared = pass.preprocessor.prepare(&photo).unwrap();
    let batch = pass.forward(backbone, &[&prepared], &|_| ()).unwrap();
    let seen = batch.split().unwrap().remove(0);
    let scores = head.scores(&seen.features).unwrap();
    let mirrored = seen
        .mirrored
        .map(|features| head.scores(&features).unwrap());
    let dino::model::head::HeadTask::Depth { readout, .. } = &head.meta.task else {
        panic!("a depth head");
    };
    let decoder = DepthDecoder::new(readout, BinSpread::Unscaled);
    let map = decode_photo(&scores, mirrored.as_ref(), &prepared.geometry, &decoder)
        .to_photo(&prepared.geometry);
    assert_eq!((map.width, map.height), (width as usize, height as usize));
    let raw: Vec<f32> = scores.values.iter().map(|above| above + 0.001).collect();
    (
        thirds(&map.depth, map.width),
        thirds(&raw, scores.grid.cols * scores.k),
    )
}

#[test]
fn linear_depth_heads_give_the_papers_depths() {
    let golden = Golden::load("official");
    let small = backbone("S");
    for data in ["nyu", "kitti"] {
        for (method, blocks) in [("linear", 1), ("linear4", 4)] {
            let network = network(seeded::linear_depth(2 * 384 * blocks));
            let head = head(&format!("{data}-{method}-vits14"), network);
            for (protocol, views) in [("plain", FlipViews::Plain), ("flip", FlipViews::Both)] {
                let (found, _) = depths(&small, &head, (201, 149), views);
                let expected = golden.numbers(&format!("depth.{data}.{method}.S.{protocol}"));
                let off = max_abs(&found, &expected);
                println!("{data} {method} S {protocol}: {off:.1e} m");
                assert!(off < GATE, "{data} {method} {protocol}: {off:e}");
            }
        }
    }
    for (size, model, dim) in [
        ("b", "vitb14", 48),
        ("l", "vitl14", 32),
        ("g", "vitg14", 32),
    ] {
        let network = network(seeded::linear_depth(2 * dim * 4));
        let head = head(&format!("nyu-linear4-{model}"), network);
        let (found, _) = depths(&backbone(size), &head, (121, 90), FlipViews::Plain);
        let off = max_abs(
            &found,
            &golden.numbers(&format!("depth.nyu.linear4.{size}.plain")),
        );
        println!("nyu linear4 {size} plain: {off:.1e} m");
        assert!(off < GATE, "{size}: {off:e}");
    }
}

#[test]
fn dpt_heads_give_the_papers_depths() {
    let golden = Golden::load("official");
    let small = backbone("S");
    let check = |backbone: &Backbone, head: &Head, name: &str, photo| {
        let (found, raw) = depths(backbone, head, photo, FlipViews::Plain);
        let off = max_abs(&found, &golden.numbers(&format!("{name}.plain")));
        let raw = max_abs(&raw, &golden.numbers(&format!("{name}.raw")));
        println!("{name}: {off:.1e} m, its own map {raw:.1e} m");
        assert!(off < DPT && raw < DPT, "{name}: {off:e} {raw:e}");
    };
    let network = HeadNetwork::Dpt(match network(seeded::dpt(384, 256)) {
        HeadNetwork::Dpt(dpt) => dpt,
        HeadNetwork::Linear(_) => panic!("a DPT head"),
    });
    for data in ["nyu", "kitti"] {
        let head = head(&format!("{data}-dpt-vits14"), network.clone());
        check(&small, &head, &format!("depth.{data}.dpt.S"), (131, 101));
    }
    for (size, model, dim) in [
        ("b", "vitb14", 48),
        ("l", "vitl14", 32),
        ("g", "vitg14", 32),
    ] {
        let weights = seeded::dpt(dim, 32).into_iter().map(|(name, tensor)| {
            let name = name.strip_prefix("decode_head.").unwrap().to_owned();
            (name, tensor)
        });
        let network = HeadNetwork::Dpt(DptHead::new(weights.collect()).unwrap());
        let head = head(&format!("nyu-dpt-{model}"), network);
        let name = format!("depth.nyu.dpt.{size}");
        check(&backbone(size), &head, &name, (121, 90));
    }
}

#[test]
fn transformers_checkpoints_give_transformers_depths() {
    let golden = Golden::load("official");
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/official.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let facts = &header.metadata().as_ref().unwrap()["hf"];
    let facts: serde_json::Value = serde_json::from_str(facts).unwrap();
    let number = |key: &str| facts[key].as_u64().unwrap() as usize;
    let shapes = facts["shapes"].as_object().unwrap().iter();
    let shapes = shapes.map(|(key, shape)| {
        let sides = shape.as_array().unwrap().iter();
        let sides = sides.map(|side| side.as_u64().unwrap() as usize).collect();
        (key.clone(), sides)
    });
    let tensors = seeded::filled(shapes);
    let small = variants::find("vits14").unwrap().config;
    let config = BackboneConfig {
        dim: number("dim"),
        depth: number("depth"),
        heads: number("heads"),
        ffn: Ffn::Mlp {
            hidden: 4 * number("dim"),
        },
        native_grid: number("side"),
        // transformers brings position embeddings to the exact size.
        pos_embed: variants::find("vits14-focus").unwrap().config.pos_embed,
        ..small
    };
    // One file holds the backbone and the head.
    let checkpoint = Checkpoint::from_raw("transformers", tensors.clone()).unwrap();
    let backbone = Backbone::new(config, checkpoint, &Device::Cpu, DType::F32).unwrap();
    let mut head = head("nyu-dpt-vits14", network(tensors));
    head.meta.blocks = (0..config.depth).collect();
    for (rows, columns) in [(70, 70), (98, 70)] {
        let pass = pass(&head, FlipViews::Plain);
        let photo = seeded::photo(columns, rows);
        let prepared = pass.preprocessor.prepare(&photo).unwrap();
        let seen = pass
            .forward(&backbone, &[&prepared], &|_| ())
            .unwrap()
            .split()
            .unwrap()
            .remove(0);
        let features = seen.features;
        let scores = head.scores(&features).unwrap();
        let found: Vec<f64> = scores.values.iter().map(|&v| f64::from(v)).collect();
        let name = format!("hf.dpt.{rows}x{columns}.predicted_depth");
        let off = max_abs(&found, &golden.numbers(&name));
        println!("{name}: {off:.1e} m");
        assert!(off < DPT, "{name}: {off:e}");
    }
}
