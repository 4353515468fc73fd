//! A head is installed together with its own encoder, and runs with no other.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use dino::model::backbone::variants;
use dino::model::head::{DepthReadout, Head, HeadTask, file};

use super::{by_authors_names, model};
use crate::models::server::{Reply, Server};
use crate::models::{dino, fixtures, out, run};
use crate::official::seeded::{self, Tensors};

/// A whole checkpoint in the real shape of the small model, in half precision, with the names of Hugging Face's files.
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

/// Reads the head of that name from the store.
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
