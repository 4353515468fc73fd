//! What published heads give, against plain PyTorch in f64 (`tests/goldens/official.py`): the backbone, the head, its
//! protocol and the way back to the photo's pixels, all together.

use std::collections::BTreeMap;

use candle_core::{DType, Device};
use dino::engine::{BackbonePass, FlipViews, InputScales};
use dino::model::backbone::{Backbone, BackboneConfig, Checkpoint, Ffn, variants};
use dino::model::head::{DptHead, Head, HeadNetwork, Protocol};
use dino::model::head_zoo::convert::recognise;
use dino::model::head_zoo::official::{self, OfficialHead};
use dino::model::input::Unpad;
use dino::vision::inference::protocol;
use dino::vision::postprocess::depth::{BinSpread, DepthDecoder, decode_photo};
use dino::vision::postprocess::{LabelMap, views};
use dino::vision::preprocess::{Preprocessor, Resample};

use super::seeded::{self, Tensors, thirds};
use crate::goldens::{Golden, max_abs};

/// Metres, logits and probabilities.
const GATE: f64 = 1e-3;
/// Metres of DPT heads: a tanh GELU, or a least depth that is not added, moves them by no more than 1e-3.
const DPT: f64 = 2e-4;
/// Labels that may differ.
const LABELS: f64 = 1e-3;

/// The models of `official.py`: real small ones, and the others shrunken in width.
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

fn backbone(size: &str) -> Backbone {
    let config = config(size);
    let checkpoint =
        Checkpoint::from_raw("seeded", seeded::filled(config.tensor_shapes())).unwrap();
    Backbone::new(config, checkpoint, &Device::Cpu, DType::F32).unwrap()
}

fn network(tensors: Tensors) -> HeadNetwork {
    recognise(tensors).unwrap().into_network().unwrap()
}

/// The published head of that name with seeded weights.
fn head(name: &str, network: HeadNetwork) -> Head {
    Head {
        meta: official::find(name).unwrap().meta(),
        network,
    }
}

/// How the head says that photos are seen.
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

/// Depths of the seeded photo, every third of every third row; and the head's own map before bounds, the same.
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

/// Labels of the seeded photo under a protocol, with what the blend of the first view is made of.
fn labels(
    backbone: &Backbone,
    head: &Head,
    protocol: Protocol,
    (width, height): (u32, u32),
) -> (LabelMap, Vec<protocol::ScoredView>) {
    let pass = pass(head, FlipViews::Plain);
    let photo = seeded::photo(width, height);
    let looks = protocol::views(protocol, (width, height)).unwrap();
    let seen = protocol::score_views(&photo, looks, 14, 4, |windows| {
        let windows: Vec<_> = windows.iter().collect();
        let features = pass.forward(backbone, &windows, &|_| ())?.split()?;
        features
            .iter()
            .map(|seen| head.scores(&seen.features))
            .collect()
    })
    .unwrap();
    let size = (width as usize, height as usize);
    (views::label_views(&seen, size, Unpad::Squeeze), seen)
}

/// How far the labels, and where there are some the probabilities of the best ones, are from the golden.
fn compare(golden: &Golden, name: &str, map: &LabelMap, every: usize) {
    let rows = map.ids.chunks_exact(map.width).step_by(every);
    let found: Vec<u16> = rows
        .flat_map(|row| row.iter().step_by(every).copied())
        .collect();
    let expected = golden.numbers(&format!("{name}.labels"));
    assert_eq!(found.len(), expected.len());
    let wrong = found
        .iter()
        .zip(&expected)
        .filter(|(a, b)| f64::from(**a) != **b)
        .count() as f64
        / found.len() as f64;
    println!("{name}: {:.3} % of the labels differ", 100.0 * wrong);
    assert!(wrong < LABELS, "{name}: {wrong}");
}

fn winners(golden: &Golden, name: &str, map: &LabelMap, every: usize) {
    let rows = map.confidence.chunks_exact(map.width).step_by(every);
    let found: Vec<f64> = rows
        .flat_map(|row| row.iter().step_by(every))
        .map(|&v| f64::from(v))
        .collect();
    let off = max_abs(&found, &golden.numbers(&format!("{name}.winner")));
    println!("{name}: probabilities {off:.1e}");
    assert!(off < GATE, "{name}: {off:e}");
}

#[test]
fn segmentation_heads_give_the_papers_labels() {
    let golden = Golden::load("official");
    let small = backbone("S");
    let ade = head("ade20k-linear-vits14", network(seeded::segmenter(384, 150)));
    let (map, seen) = labels(&small, &ade, Protocol::Slide, (200, 150));
    // [150, 16, 22]: every 32nd row and column of the view, before it is resized to the photo.
    let rows = (0..512).step_by(32).map(|row| {
        let scores = views::blended_row(&seen[0], row, Unpad::Squeeze);
        let pixels = scores.chunks_exact(150).step_by(32);
        pixels.map(<[f32]>::to_vec).collect::<Vec<_>>()
    });
    let rows: Vec<Vec<Vec<f32>>> = rows.collect();
    let found: Vec<f64> = (0..150)
        .flat_map(|class| {
            rows.iter()
                .flatten()
                .map(move |pixel| f64::from(pixel[class]))
        })
        .collect();
    let off = max_abs(&found, &golden.numbers("seg.ade20k.linear.S.slide.logits"));
    println!("seg.ade20k.linear.S.slide: logits {off:.1e}");
    assert!(off < GATE, "logits: {off:e}");
    compare(&golden, "seg.ade20k.linear.S.slide", &map, 1);
    winners(&golden, "seg.ade20k.linear.S.slide", &map, 5);
    let (map, _) = labels(&small, &ade, Protocol::Whole, (200, 150));
    compare(&golden, "seg.ade20k.linear.S.whole", &map, 1);
    let (map, _) = labels(&small, &ade, Protocol::Slide, (1190, 600));
    compare(&golden, "seg.ade20k.linear.S.shrunk.slide", &map, 4);
    winners(&golden, "seg.ade20k.linear.S.shrunk.slide", &map, 20);
    let voc = head("voc2012-linear-vits14", network(seeded::segmenter(384, 21)));
    let (map, _) = labels(&small, &voc, Protocol::Slide, (200, 150));
    compare(&golden, "seg.voc2012.linear.S.slide", &map, 1);
}

#[test]
fn many_scales_give_the_papers_labels() {
    let golden = Golden::load("official");
    let tiny = backbone("t");
    for (data, classes) in [("ade20k", 150), ("voc2012", 21)] {
        let network = network(seeded::segmenter(4 * 32, classes));
        let mut head = head(&format!("{data}-ms-vits14"), network);
        head.meta.blocks = vec![0, 1, 2, 3];
        let (map, _) = labels(&tiny, &head, Protocol::Ms, (64, 56));
        let name = format!("seg.{data}.ms.t.ms");
        compare(&golden, &name, &map, 1);
        // The golden has every class at every eighth pixel; the best of them is what the map has.
        let probabilities = golden.numbers(&format!("{name}.probabilities"));
        let (rows, cols) = (56 / 8, 64 / 8);
        for row in 0..rows {
            for col in 0..cols {
                let best = (0..classes)
                    .map(|class| probabilities[(class * rows + row) * cols + col])
                    .fold(0.0, f64::max);
                let found = f64::from(map.confidence[row * 8 * 64 + col * 8]);
                assert!((best - found).abs() < GATE, "{row} {col}: {best} {found}");
            }
        }
    }
}

#[test]
fn classifiers_give_the_papers_logits() {
    let golden = Golden::load("official");
    for (size, model) in [("S", "vits14"), ("S-reg", "vits14-reg")] {
        let backbone = backbone(size);
        for (method, parts) in [("linear", 2), ("linear4", 5)] {
            let network = network(seeded::classifier(384 * parts));
            let head = head(&format!("imagenet-{method}-{model}"), network);
            let check = |photo: (u32, u32), name: &str| {
                let pass = pass(&head, FlipViews::Plain);
                let photo = seeded::photo(photo.0, photo.1);
                let prepared = pass.preprocessor.prepare(&photo).unwrap();
                let seen = pass
                    .forward(&backbone, &[&prepared], &|_| ())
                    .unwrap()
                    .split()
                    .unwrap()
                    .remove(0);
                let features = seen.features;
                let found: Vec<f64> = head
                    .classify(&features)
                    .unwrap()
                    .into_iter()
                    .map(f64::from)
                    .collect();
                let off = max_abs(&found, &golden.numbers(&format!("{name}.logits")));
                println!("{name}: {off:.1e}");
                assert!(off < GATE, "{name}: {off:e}");
            };
            check((200, 150), &format!("classify.{method}.{size}"));
            if (method, size) == ("linear", "S") {
                check((620, 500), "classify.linear.S.shrunk");
            }
        }
    }
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
