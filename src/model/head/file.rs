//! A head as the bytes of one self-describing safetensors file.
//!
//! Tensors of a linear head: `weight` `[outputs, inputs]` and `bias` `[outputs]`, with a hidden layer before them also
//! `hidden.weight` and `hidden.bias`; any normalisation of the features is folded in. Inputs are, block by block, the
//! patch token and then, where the head reads them, the means of squares around it and the tokens of the whole photo;
//! for classifiers the cls token of each block, then the mean patch token of the last. Tensors of a DPT head: see
//! `dpt_tensors`. The metadata ([`HeadMeta`]) is JSON under the key `dino.head`.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::model::head::meta::HeadMeta;
use crate::model::head::{Dense, DptHead, Head, HeadNetwork, LinearHead};

/// Key of the JSON in the file's metadata.
const METADATA_KEY: &str = "dino.head";

/// Serialises `head`.
///
/// # Errors
/// A message if a tensor has numbers that are not finite.
pub fn to_bytes(head: &Head) -> Result<Vec<u8>, String> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    match &head.network {
        HeadNetwork::Linear(LinearHead { hidden, output, .. }) => {
            let mut add = |prefix: &str, layer: &Dense| {
                let (weight, bias) = (floats_to_bytes(&layer.weight), floats_to_bytes(&layer.bias));
                let shape = vec![layer.outputs(), layer.inputs];
                tensors.push((format!("{prefix}weight"), shape, weight));
                tensors.push((format!("{prefix}bias"), vec![layer.outputs()], bias));
            };
            if let Some(hidden) = hidden {
                add("hidden.", hidden);
            }
            add("", output);
        }
        HeadNetwork::Dpt(dpt) => {
            for (name, tensor) in dpt.weights() {
                let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>());
                let values = values.map_err(|e| format!("{name}: {e}"))?;
                tensors.push((
                    name.clone(),
                    tensor.dims().to_vec(),
                    floats_to_bytes(&values),
                ));
            }
        }
    }
    for (name, _, bytes) in &tensors {
        check_finite(name, bytes)?;
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| e.to_string())?;
    let json = serde_json::to_string(&head.meta).map_err(|e| e.to_string())?;
    safetensors::serialize(
        views,
        Some(HashMap::from([(METADATA_KEY.to_owned(), json)])),
    )
    .map_err(|e| e.to_string())
}

/// Refuses the tensor `name`, f32 in little-endian `bytes`, if it has numbers that are not finite.
fn check_finite(name: &str, bytes: &[u8]) -> Result<(), String> {
    let mut values = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b));
    match values.all(f32::is_finite) {
        true => Ok(()),
        false => Err(format!("has numbers in {name} that are not finite")),
    }
}

/// Little-endian bytes.
fn floats_to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Reads a file of [`to_bytes`].
///
/// # Errors
/// A message without the file's name: not such a file, invalid metadata, or tensors that do not fit it.
pub fn from_bytes(bytes: &[u8]) -> Result<Head, String> {
    let not_ours = "is not a head; expected a .safetensors file written by `dino train`";
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("{not_ours} ({e})"))?;
    let json = header
        .metadata()
        .as_ref()
        .and_then(|m| m.get(METADATA_KEY))
        .ok_or(not_ours)?;
    let meta: HeadMeta = serde_json::from_str(json).map_err(|e| format!("{not_ours} ({e})"))?;
    if let Some(problem) = meta.find_problem() {
        return Err(problem);
    }
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("{not_ours} ({e})"))?;
    let network = match file.tensor("weight") {
        Ok(_) => HeadNetwork::Linear(read_linear(&file, &meta)?),
        Err(_) => HeadNetwork::Dpt(read_dpt(&file)?),
    };
    Ok(Head { meta, network })
}

/// Reads the tensors of a linear head.
fn read_linear(file: &SafeTensors<'_>, meta: &HeadMeta) -> Result<LinearHead, String> {
    let hidden = match file.names().contains(&"hidden.weight") {
        true => Some(read_dense(file, "hidden.")?),
        false => None,
    };
    let output = read_dense(file, "")?;
    let known = if hidden.is_some() { 4 } else { 2 };
    if file.len() != known {
        return Err(format!("has {} tensors, expected {known}", file.len()));
    }
    if output.outputs() != meta.outputs() {
        return Err(format!(
            "gives {} scores, but names {} bins or classes",
            output.outputs(),
            meta.outputs()
        ));
    }
    if let Some(hidden) = &hidden
        && hidden.outputs() != output.inputs
    {
        return Err(format!(
            "has a hidden layer of {}, but an output layer for {}",
            hidden.outputs(),
            output.inputs
        ));
    }
    Ok(LinearHead::new(hidden, output))
}

/// Reads the tensors of a DPT head.
fn read_dpt(file: &SafeTensors<'_>) -> Result<DptHead, String> {
    let mut weights = BTreeMap::new();
    for (name, view) in file.tensors() {
        let (values, shape) = read_tensor(file, &name, view.shape().len())?;
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).map_err(|e| e.to_string())?;
        weights.insert(name, tensor);
    }
    DptHead::new(weights)
}

/// Reads the layer `{prefix}weight`, `{prefix}bias`.
fn read_dense(file: &SafeTensors<'_>, prefix: &str) -> Result<Dense, String> {
    let (weight, shape) = read_tensor(file, &format!("{prefix}weight"), 2)?;
    let (bias, _) = read_tensor(file, &format!("{prefix}bias"), 1)?;
    if bias.len() != shape[0] || weight.is_empty() {
        return Err(format!(
            "has {prefix}weight of {shape:?}, but {prefix}bias of [{}]",
            bias.len()
        ));
    }
    Ok(Dense {
        inputs: shape[1],
        weight,
        bias,
    })
}

/// The values, row-major, and the shape of the f32 tensor `name`, which must be finite and have `rank` axes.
fn read_tensor(
    file: &SafeTensors<'_>,
    name: &str,
    rank: usize,
) -> Result<(Vec<f32>, Vec<usize>), String> {
    let view = file
        .tensor(name)
        .map_err(|_| format!("has no tensor {name}"))?;
    if view.dtype() != Dtype::F32 || view.shape().len() != rank {
        return Err(format!(
            "has {name} as {:?} {:?}, expected F32 of rank {rank}",
            view.dtype(),
            view.shape()
        ));
    }
    check_finite(name, view.data())?;
    let values: Vec<f32> = view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Ok((values, view.shape().to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::model::head::meta::{Class, HeadInput, HeadTask};
    use crate::model::input::Unpad;

    fn linear(head: &mut Head) -> &mut LinearHead {
        match &mut head.network {
            HeadNetwork::Linear(linear) => linear,
            HeadNetwork::Dpt(_) => panic!("a linear head"),
        }
    }

    /// Three classes over one block of width 2.
    pub(crate) fn head() -> Head {
        let class = |name: &str, level| Class {
            name: name.into(),
            color: [level; 3],
        };
        Head {
            meta: HeadMeta {
                format: 1,
                name: "toy".into(),
                task: HeadTask::Segment {
                    classes: vec![class("sky", 0), class("road", 9), class("car", 99)],
                },
                backbone: "vits14".into(),
                fingerprint: "abc".into(),
                blocks: vec![3],
                norm: false,
                context: Vec::new(),
                globals: Vec::new(),
                input: HeadInput {
                    size: "518".into(),
                    padding: "center".into(),
                    coarse: None,
                    crop: None,
                },
                label_sets: Vec::new(),
                calibration: None,
                training: None,
                metrics: vec![],
                protocol: None,
                origin: None,
                unpad: Unpad::Crop,
            },
            network: HeadNetwork::Linear(LinearHead::new(
                None,
                Dense {
                    inputs: 2,
                    weight: vec![1.0, 0.0, 0.0, 1.0, -1.0, -1.0],
                    bias: vec![0.0, 0.5, 1.0],
                },
            )),
        }
    }

    #[test]
    fn round_trip() {
        let mut head = head();
        assert_eq!(from_bytes(&to_bytes(&head).unwrap()).unwrap(), head);
        linear(&mut head).hidden = Some(Dense {
            inputs: 5,
            weight: vec![0.5; 10],
            bias: vec![1.0; 2],
        });
        assert_eq!(from_bytes(&to_bytes(&head).unwrap()).unwrap(), head);
    }

    #[test]
    fn hostile_files_are_refused_in_words() {
        let good = head();
        let bytes = to_bytes(&good).unwrap();
        for cut in [0, 7, 8, 50, bytes.len() - 1] {
            assert!(from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let refused = |change: fn(&mut Head), words: &str| {
            let mut bad = head();
            change(&mut bad);
            let error = from_bytes(&to_bytes(&bad).unwrap()).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        for number in [f32::NAN, f32::INFINITY] {
            let mut bytes = bytes.clone();
            let last = bytes.len() - 4;
            bytes[last..].copy_from_slice(&number.to_le_bytes());
            assert!(from_bytes(&bytes).unwrap_err().contains("not finite"));
            let mut bad = head();
            linear(&mut bad).output.bias[1] = number;
            assert!(
                to_bytes(&bad).unwrap_err().contains("bias"),
                "is not written either"
            );
        }
        refused(|head| head.meta.format = 9, "format 9");
        refused(|head| head.meta.blocks = vec![], "blocks");
        refused(|head| head.meta.input.size = "huge".into(), "huge");
        refused(|head| head.meta.input.padding = "left".into(), "left");
        refused(
            |head| {
                if let HeadTask::Segment { classes } = &mut head.meta.task {
                    classes.pop();
                }
            },
            "3 scores",
        );
        // A header that claims a gigabyte.
        let mut lying = bytes;
        lying[..8].copy_from_slice(&(1u64 << 30).to_le_bytes());
        assert!(from_bytes(&lying).is_err());
    }
}
