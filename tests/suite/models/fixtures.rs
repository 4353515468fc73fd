//! Weights in the shape of DINO's ViT-S/16, in bf16 to keep files small, with the tensor names of each publisher; and
//! PyTorch files written by hand, ordinary and hostile.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use candle_core::{Device, Tensor};
use dino::model::backbone::variants;
use half::bf16;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The model in the table of variants whose shape the fixtures have.
pub const NAME: &str = "dino-vits16";

/// Reproducible noise of any finite size, with the canonical tensor names.
pub fn canonical() -> &'static BTreeMap<String, Tensor> {
    static TENSORS: OnceLock<BTreeMap<String, Tensor>> = OnceLock::new();
    TENSORS.get_or_init(|| {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = bf16::from_bits((state >> 16) as u16);
            match number.is_finite() {
                true => number,
                false => bf16::ONE,
            }
        };
        let config = variants::find(NAME).unwrap().config;
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let values: Vec<bf16> = (0..shape.iter().product()).map(|_| next()).collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        };
        config.tensor_shapes().into_iter().map(tensor).collect()
    })
}

/// The same tensors as `ViTModel` of transformers names them, with its pooler.
pub fn transformers() -> BTreeMap<String, Tensor> {
    let mut renamed = BTreeMap::new();
    for (name, tensor) in canonical() {
        let name = name
            .replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
            .replace("pos_embed", "embeddings.position_embeddings")
            .replace("cls_token", "embeddings.cls_token")
            .replace("blocks.", "encoder.layer.")
            .replace("norm1", "layernorm_before")
            .replace("norm2", "layernorm_after")
            .replace("attn.proj", "attention.output.dense")
            .replace("mlp.fc1", "intermediate.dense")
            .replace("mlp.fc2", "output.dense");
        if let Some((before, kind)) = name.split_once("attn.qkv.") {
            for (part, rows) in ["query", "key", "value"]
                .iter()
                .zip(tensor.chunk(3, 0).unwrap())
            {
                renamed.insert(format!("{before}attention.attention.{part}.{kind}"), rows);
            }
        } else {
            let name = if name.starts_with("norm.") {
                format!("layer{name}")
            } else {
                name
            };
            renamed.insert(name, tensor.clone());
        }
    }
    renamed.insert(
        "pooler.dense.bias".into(),
        Tensor::zeros(384, candle_core::DType::F32, &Device::Cpu).unwrap(),
    );
    renamed
}

/// A safetensors file in memory.
pub fn safetensors(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    safetensors::serialize(
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)),
        None,
    )
    .unwrap()
}

/// A file as `torch.save({"teacher": tensors, EXTRA})` writes it; `extra` is a pickled key and value.
pub fn torch_file(tensors: &BTreeMap<String, Tensor>, extra: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    text(&mut pickle, "teacher");
    pickle.extend(b"}(");
    for (index, (name, tensor)) in tensors.iter().enumerate() {
        text(&mut pickle, &format!("backbone.{name}"));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nBFloat16Storage\n");
        text(&mut pickle, &index.to_string());
        text(&mut pickle, "cpu");
        int(&mut pickle, tensor.elem_count());
        pickle.extend(b"tQK\x00");
        let sides = tensor.dims();
        let strides: Vec<usize> = (0..sides.len())
            .map(|i| sides[i + 1..].iter().product())
            .collect();
        for numbers in [sides, &strides] {
            pickle.push(b'(');
            numbers.iter().for_each(|number| int(&mut pickle, *number));
            pickle.push(b't');
        }
        pickle.extend(b"\x89}tR");
    }
    pickle.push(b'u');
    pickle.extend(extra);
    pickle.extend(b"u.");
    let data = |tensor: &Tensor| safetensors::View::data(tensor).into_owned();
    let numbers = tensors
        .values()
        .enumerate()
        .map(|(index, tensor)| (format!("archive/data/{index}"), data(tensor)));
    zip_file(
        [("archive/data.pkl".to_owned(), pickle)]
            .into_iter()
            .chain(numbers),
    )
}

/// A zip file of uncompressed entries, in memory.
pub fn zip_file(entries: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(
            name,
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored),
        )
        .unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The pickled key `x` with the value `os.system("touch MARKER")`, as an attacker would write it.
pub fn attack(marker: &Path) -> Vec<u8> {
    let mut pickle = Vec::new();
    text(&mut pickle, "x");
    pickle.extend(b"cos\nsystem\n");
    text(&mut pickle, &format!("touch '{}'", marker.display()));
    pickle.extend(b"\x85R");
    pickle
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn int(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend((number as i32).to_le_bytes());
}
