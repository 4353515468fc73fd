//! Weights and photos made by the formulas of `tests/goldens/official_weights.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use dino::model::backbone::variants;

/// The photo of this size.
pub use dino::tasks::selfcheck::test_pattern as photo;

use crate::models::fixtures::zip_file;

/// Tensors by their published names.
pub type Tensors = BTreeMap<String, Tensor>;

fn rule(key: &str, shape: &[usize]) -> (f64, f64) {
    const NORMS: [&str; 5] = [
        "norm1.weight",
        "norm2.weight",
        "norm.weight",
        "layernorm.weight",
        "bn.weight",
    ];
    const TOKENS: [&str; 5] = [
        "cls_token",
        "pos_embed",
        "position_embeddings",
        "register_tokens",
        "mask_token",
    ];
    let ends = |endings: &[&str]| endings.iter().any(|end| key.ends_with(end));
    let root = (shape[1..].iter().product::<usize>() as f64).sqrt();
    match () {
        () if ends(&["running_var"]) => (0.02, 0.0199),
        () if ends(&NORMS) => (1.0, 0.2),
        () if key.contains("gamma") || key.contains("lambda1") => (0.3, 0.1),
        () if ends(&TOKENS) => (0.0, 0.5),
        () if shape.len() == 1 => (0.0, 0.1),
        () if ends(&["head.4.weight"]) => (1.25, 20.0 / root),
        () if ends(&["conv_seg.weight"]) => (0.0, 0.5 / root),
        () => (0.0, 1.7 / root),
    }
}

/// The numbers of the tensor called `key`.
pub fn numbers(key: &str, shape: &[usize]) -> Vec<f32> {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let (offset, scale) = rule(key, shape);
    let value = |i: u64| {
        let mut z = hash.wrapping_add((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (offset + scale * ((z >> 40) as f64 / f64::from(1 << 23) - 1.0)) as f32
    };
    (0..shape.iter().product::<usize>() as u64)
        .map(value)
        .collect()
}

/// Seeded tensors of these names and shapes.
pub fn filled(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Tensors {
    let tensor = |(key, shape): (String, Vec<usize>)| {
        let values = numbers(&key, &shape);
        (key, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    shapes.into_iter().map(tensor).collect()
}

/// The tensors of the backbone of that name in the table of variants.
pub fn backbone(variant: &str) -> Tensors {
    filled(variants::find(variant).unwrap().config.tensor_shapes())
}

/// The tensors of a linear depth head for `inputs` numbers per patch.
pub fn linear_depth(inputs: usize) -> Tensors {
    let name = "decode_head.conv_depth";
    filled([
        (format!("{name}.weight"), vec![256, inputs, 1, 1]),
        (format!("{name}.bias"), vec![256]),
    ])
}

/// The tensors of a linear segmentation head.
pub fn segmenter(inputs: usize, classes: usize) -> Tensors {
    let mut shapes = vec![
        (
            "decode_head.conv_seg.weight".to_owned(),
            vec![classes, inputs, 1, 1],
        ),
        ("decode_head.conv_seg.bias".to_owned(), vec![classes]),
    ];
    for kind in ["weight", "bias", "running_mean", "running_var"] {
        shapes.push((format!("decode_head.bn.{kind}"), vec![inputs]));
    }
    filled(shapes)
}

/// The tensors of a photo classifier.
pub fn classifier(inputs: usize) -> Tensors {
    filled([
        ("weight".to_owned(), vec![1000, inputs]),
        ("bias".to_owned(), vec![1000]),
    ])
}

/// The tensors of a DPT head for tokens of width `dim`, with `channels` after the four stages.
pub fn dpt(dim: usize, channels: usize) -> Tensors {
    let mut shapes = Vec::new();
    let mut conv = |name: String, out: usize, ins: usize, side: usize, bias: bool| {
        let name = format!("decode_head.{name}");
        shapes.push((format!("{name}.weight"), vec![out, ins, side, side]));
        if bias {
            shapes.push((format!("{name}.bias"), vec![out]));
        }
    };
    conv("conv_depth.head.0".into(), channels / 2, channels, 3, true);
    conv("conv_depth.head.2".into(), 32, channels / 2, 3, true);
    conv("conv_depth.head.4".into(), 1, 32, 1, true);
    conv("project.conv".into(), channels, channels, 3, true);
    for (i, side) in [4, 2, 0, 3].into_iter().enumerate() {
        let size = dim >> (3 - i);
        let block = "reassemble_blocks";
        conv(format!("{block}.projects.{i}.conv"), size, dim, 1, true);
        if side > 0 {
            conv(format!("{block}.resize_layers.{i}"), size, size, side, true);
        }
        conv(format!("convs.{i}.conv"), channels, size, 3, false);
        let fusion = format!("fusion_blocks.{i}");
        conv(
            format!("{fusion}.project.conv"),
            channels,
            channels,
            1,
            true,
        );
        for unit in if i > 0 { 1..=2 } else { 2..=2 } {
            for part in 1..=2 {
                let name = format!("{fusion}.res_conv_unit{unit}.conv{part}.conv");
                conv(name, channels, channels, 3, false);
            }
        }
    }
    for i in 0..4 {
        let name = format!("decode_head.reassemble_blocks.readout_projects.{i}.0");
        shapes.push((format!("{name}.weight"), vec![dim, 2 * dim]));
        shapes.push((format!("{name}.bias"), vec![dim]));
    }
    filled(shapes)
}

/// Every third number of every third row of a map.
pub fn thirds<T: Copy + Into<f64>>(map: &[T], width: usize) -> Vec<f64> {
    let rows = map.chunks_exact(width).step_by(3);
    rows.flat_map(|row| row.iter().step_by(3))
        .map(|&v| v.into())
        .collect()
}

/// The path of a file that torch.save wrote, or of a part of one.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens/official")
        .join(name)
}

/// The whole file whose pickle is the fixture `name`, filled with the numbers of `tensors`, and with noise as training
/// state.
pub fn torch_file(name: &str, tensors: &Tensors) -> Vec<u8> {
    let pickle = std::fs::read(fixture(&format!("{name}.pkl"))).unwrap();
    let list = std::fs::read(fixture(&format!("{name}.json"))).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let mut entries = vec![("archive/data.pkl".to_owned(), pickle)];
    for (number, storage) in list["storages"].as_object().unwrap() {
        let count = storage["count"].as_u64().unwrap() as usize;
        let width = if storage["dtype"] == "int64" { 8 } else { 4 };
        let key = storage["key"].as_str().and_then(|key| tensors.get(key));
        let bytes = match key {
            Some(tensor) => safetensors::View::data(tensor).into_owned(),
            None => vec![0x5a; count * width],
        };
        assert_eq!(bytes.len(), count * width, "{name} {number}");
        entries.push((format!("archive/data/{number}"), bytes));
    }
    entries.push(("archive/version".to_owned(), b"3\n".to_vec()));
    zip_file(entries)
}
