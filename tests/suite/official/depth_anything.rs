//! Depth Anything V2: what its heads give, against transformers in f64 (`tests/goldens/depth_anything.py`), and how
//! they come into the store.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use dino::engine::{BackbonePass, FlipViews, InputScales};
use dino::model::backbone::{Backbone, BackboneConfig, Checkpoint, Ffn, variants};
use dino::model::head::{DepthReadout, Head, HeadNetwork, HeadTask, file};
use dino::model::head_zoo::convert::recognise;
use dino::model::head_zoo::depth_anything::find;
use dino::tasks::inference_mode::trained_preprocessor;
use dino::vision::postprocess::depth::{BinSpread, DepthDecoder, decode_photo};
use serde_json::Value;

use super::seeded::{self, Tensors};
use crate::goldens::{Golden, max_abs};
use crate::models::server::{Reply, Server};
use crate::models::{dino, fixtures, out, run};

/// Of the largest number of a map.
const GATE: f64 = 2e-4;

/// The model's sizes and tensors by the names of the hub.
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

/// The same by the names that the authors' files have, as transformers' conversion script pairs them.
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

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn network(tensors: &Tensors) -> HeadNetwork {
    recognise(tensors.clone()).unwrap().into_network().unwrap()
}

#[test]
fn both_spellings_are_the_same_weights() {
    let (_, hub) = model();
    let authors = by_authors_names(&hub);
    assert_ne!(
        hub.keys().collect::<Vec<_>>(),
        authors.keys().collect::<Vec<_>>()
    );
    let (own, other) = (network(&hub), network(&authors));
    assert!(own == other);
    let backbone = |tensors: &Tensors| {
        Checkpoint::from_raw("file", tensors.clone())
            .unwrap()
            .tensors
    };
    let (own, other) = (backbone(&hub), backbone(&authors));
    assert_eq!(
        own.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, tensor) in &own {
        assert_eq!(numbers(tensor), numbers(&other[name]), "{name}");
    }
}

#[test]
fn photos_become_the_pixels_of_transformers() {
    let golden = Golden::load("depth_anything");
    let (config, tensors) = model();
    let checkpoint = Checkpoint::from_raw("seeded", tensors.clone()).unwrap();
    let backbone = Backbone::new(config, checkpoint, &Device::Cpu, DType::F32).unwrap();
    for (kind, name) in [("relative", "da2-small"), ("metric", "da2-indoor-small")] {
        let mut head = Head {
            meta: find(name).unwrap().meta(),
            network: network(&tensors),
        };
        head.meta.blocks = (0..config.depth).collect();
        let HeadTask::Depth { readout, .. } = head.meta.task.clone() else {
            panic!("a depth head");
        };
        assert_eq!(readout.is_inverse(), kind == "relative");
        let decoder = DepthDecoder::new(&readout, BinSpread::Omitted);
        let pass = BackbonePass {
            preprocessor: trained_preprocessor(&head, 14).unwrap(),
            requests: head.meta.requests(),
            views: FlipViews::Plain,
            scales: InputScales::Full,
        };
        for (width, height, every) in [(532, 518, 7), (151, 101, 3), (700, 600, 7)] {
            let photo = seeded::photo(width, height);
            let prepared = pass.preprocessor.prepare(&photo).unwrap();
            let batch = pass.forward(&backbone, &[&prepared], &|_| ()).unwrap();
            let seen = batch.split().unwrap().remove(0);
            let scores = head.scores(&seen.features).unwrap();
            let map = decode_photo(&scores, None, &prepared.geometry, &decoder);
            let strided = |map: &[f32], width: usize, every: usize| -> Vec<f64> {
                let rows = map.chunks_exact(width).step_by(every);
                rows.flat_map(|row| row.iter().step_by(every))
                    .map(|&v| f64::from(v))
                    .collect()
            };
            let name = format!("{kind}.{width}x{height}");
            let extent = golden.numbers(&format!("{name}.extent"));
            let expected = golden.numbers(&format!("{name}.raw"));
            let off = max_abs(&strided(&map.depth, map.width, 7), &expected) / extent[1];
            println!("{name}: its own map {off:.1e} of the largest");
            assert!(off < GATE, "{name}: its own map {off:e}");
            let whole = map.to_photo(&prepared.geometry);
            assert_eq!(
                (whole.width, whole.height),
                (width as usize, height as usize)
            );
            // transformers' cubic way back overshoots what the model says anywhere.
            let expected: Vec<f64> = golden
                .numbers(&name)
                .into_iter()
                .map(|value| value.clamp(extent[0], extent[1]))
                .collect();
            let found = strided(&whole.depth, whole.width, every);
            let off = max_abs(&found, &expected) / extent[1];
            println!("{name}: {off:.1e} of the largest");
            assert!(off < GATE, "{name}: {off:e}");
            // A few rows at a time they are the same.
            let rows = map.depth_rows(&prepared.geometry).collect().unwrap();
            assert_eq!(rows, whole.depth, "{name}");
        }
    }
}

/// The whole of a checkpoint in the real shape of the small model, in half precision, by the hub's names.
fn small() -> Tensors {
    let (_, shrunken) = model();
    let wide = |side: usize| match side {
        48 => 384,
        192 => 1536,
        other => other,
    };
    let mut tensors = Tensors::new();
    let mut add = |name: &str, shape: Vec<usize>| {
        let values = seeded::numbers(name, &shape);
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        tensors.insert(name.to_owned(), tensor.to_dtype(DType::BF16).unwrap());
    };
    for (name, tensor) in &shrunken {
        let mut shape = tensor.dims().to_vec();
        if name.starts_with("backbone.") {
            shape.iter_mut().for_each(|side| *side = wide(*side));
            if name.ends_with("position_embeddings") {
                shape[1] = 1 + 37 * 37;
            }
            match name.strip_prefix("backbone.encoder.layer.0.") {
                Some(rest) => (0..12).for_each(|i| {
                    add(&format!("backbone.encoder.layer.{i}.{rest}"), shape.clone())
                }),
                None if name.contains(".layer.") => {}
                None => add(name, shape),
            }
            continue;
        }
        // Neck 6, 12, 24, 48 of 48, fusion 16: each is an eighth, or a quarter, of the real one.
        let outputs = shape.len() == 1 || name.contains("convs") || name.starts_with("head.");
        let fused = name.contains("fusion_stage") || name.starts_with("head.");
        for (at, side) in shape.iter_mut().enumerate() {
            *side = match (at, *side) {
                (0 | 1, 1 | 32) => *side,
                (0 | 1, 8) if fused => 32,
                (0 | 1, 16) if fused || outputs => 64,
                (0 | 1, 6 | 12 | 24 | 48) => 8 * *side,
                _ => *side,
            };
        }
        add(name, shape);
    }
    tensors
}

fn installed(home: &Path, name: &str) -> Head {
    let path = home.join("heads").join(format!("{name}.safetensors"));
    file::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_head_comes_with_its_encoder_and_reads_no_other() {
    let home = tempfile::tempdir().unwrap();
    let tensors = small();
    let body = Arc::new(fixtures::safetensors(&tensors));
    let bytes = body.clone();
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/depth-anything/Depth-Anything-V2-Small-hf/resolve/main/model.safetensors" => {
            Reply::file(request, &bytes).with("ETag", "\"1\"")
        }
        _ => Reply::status(404),
    });
    let pull = |name: &str| {
        run(dino(home.path())
            .args(["heads", "pull", name])
            .env("HF_ENDPOINT", server.url())
            .env("DINO_HTTP_TIMEOUT", "2"))
    };
    let done = pull("da2-small")
        .expect_code(0)
        .expect_stderr("the backbone vits14-da2 came with it")
        .expect_stderr("da2-small installed (for `dino depth` on vits14-da2, licence Apache-2.0)");
    assert!(out(&done).trim().ends_with("heads/da2-small.safetensors"));
    let asked = server.requests().len();
    for name in ["da2-small", "depth-anything/Depth-Anything-V2-Small-hf"] {
        pull(name)
            .expect_code(0)
            .expect_stderr("was installed before");
    }
    assert_eq!(server.requests().len(), asked);
    pull("da2-smal")
        .expect_code(2)
        .expect_stderr("did you mean `da2-small`");
    let models = run(dino(home.path()).args(["models", "list"])).expect_code(0);
    let row = |name: &str| {
        let list = out(&models);
        let row = list.lines().find(|line| line.starts_with(name));
        row.unwrap().to_owned()
    };
    assert!(row("vits14-da2 ").contains("Apache-2.0") && row("vits14-da2 ").ends_with("installed"));
    assert!(row("vitl14-da2-outdoor ").contains("CC-BY-NC-4.0"));
    let heads = out(&run(dino(home.path()).args(["heads", "list"])).expect_code(0));
    assert!(
        heads.contains("da2-small*") && heads.contains("da2-outdoor-large "),
        "{heads}"
    );
    let info = out(&run(dino(home.path()).args(["heads", "info", "da2-small"])).expect_code(0));
    assert!(
        info.contains("relative inverse depth (larger is nearer, no metres)"),
        "{info}"
    );
    // It is for its own encoder, by weights and not by name.
    let head = installed(home.path(), "da2-small");
    let config = variants::find("vits14").unwrap().config;
    assert_eq!(head.meta.fingerprint.len(), 64);
    for other in ["vits14", "vits14-da2", "vits14-da2-indoor"] {
        assert!(
            head.check_backbone(other, (other, "others"), &config)
                .is_err()
        );
    }
    let fingerprint = head.meta.fingerprint.clone();
    head.check_backbone("vits14-da2", ("vits14-da2", &fingerprint), &config)
        .unwrap();
    // Nobody's default model, for all that it is the only one.
    run(dino(home.path()).args(["pca", "nothing.jpg", "--offline"]))
        .expect_code(1)
        .expect_stderr("vits14-focus");

    // From a file, whose name alone tells its scene.
    let import = |name: &str, tensors: &Tensors, more: &[&str]| {
        let path = home.path().join(name);
        std::fs::write(&path, fixtures::safetensors(tensors)).unwrap();
        run(dino(home.path())
            .args(["heads", "import"])
            .arg(&path)
            .args(more))
    };
    import("weights.safetensors", &tensors, &[])
        .expect_code(1)
        .expect_stderr("could be da2-small or da2-indoor-small or da2-outdoor-small")
        .expect_stderr("--as NAME");
    import("weights.safetensors", &tensors, &["--as", "da2-base"])
        .expect_code(1)
        .expect_stderr("but da2-base is a head of Depth Anything with 128 channels");
    let authors = by_authors_names(&tensors);
    import("depth_anything_v2_vits.safetensors", &authors, &[]).expect_code(0);
    assert!(
        head == installed(home.path(), "da2-small"),
        "the same from either"
    );
    import(
        "depth_anything_v2_metric_hypersim_vits.safetensors",
        &authors,
        &[],
    )
    .expect_code(0)
    .expect_stderr("the backbone vits14-da2-indoor came with it");
    let HeadTask::Depth { readout, unit } = installed(home.path(), "da2-indoor-small").meta.task
    else {
        panic!("a depth head");
    };
    assert_eq!(
        (readout, &*unit),
        (DepthReadout::Sigmoid { whole: 20.0 }, "m")
    );
    // Another encoder under the name of one that is there.
    let mut tuned = authors;
    let norm = tuned["pretrained.norm.bias"].clone();
    tuned.insert("pretrained.norm.bias".into(), (norm + 1.0).unwrap());
    import("depth_anything_v2_vits.safetensors", &tuned, &[])
        .expect_code(1)
        .expect_stderr("has another encoder than vits14-da2")
        .expect_stderr("`dino models rm vits14-da2` first");
    assert!(
        head == installed(home.path(), "da2-small"),
        "nothing was replaced"
    );

    // What lies beside a file tells its scene where the name does not, and is not contradicted without a word.
    let config = home.path().join("config.json");
    let metric =
        r#"{"model_type": "depth_anything", "depth_estimation_type": "metric", "max_depth": 80}"#;
    std::fs::write(&config, metric).unwrap();
    import("depth_anything_v2_vits.safetensors", &tensors, &[])
        .expect_code(1)
        .expect_stderr("would be da2-small, but config.json")
        .expect_stderr("to 80 m");
    import(
        "weights.safetensors",
        &tensors,
        &["--as", "da2-indoor-small"],
    )
    .expect_code(1)
    .expect_stderr("would be da2-indoor-small, but config.json");
    import("weights.safetensors", &tensors, &[]).expect_code(0);
    installed(home.path(), "da2-outdoor-small");
    // A damaged head leaves nothing of itself behind.
    std::fs::remove_file(&config).unwrap();
    let models = home.path().join("models/vits14-da2-outdoor");
    let remove =
        |kind: &str, name: &str| run(dino(home.path()).args([kind, "rm", name])).expect_code(0);
    remove("heads", "da2-outdoor-small");
    remove("models", "vits14-da2-outdoor");
    let mut damaged = tensors;
    let name = damaged
        .keys()
        .find(|name| name.starts_with("head."))
        .unwrap()
        .clone();
    let infinite = (damaged[&name].ones_like().unwrap() / 0.0).unwrap();
    damaged.insert(name, infinite);
    import(
        "weights.safetensors",
        &damaged,
        &["--as", "da2-outdoor-small"],
    )
    .expect_code(1);
    assert!(!models.exists());
}
