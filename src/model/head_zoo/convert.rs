//! Conversion of published checkpoints into heads: recognised by their tensors, their batch normalisation folded into
//! the weights.
//!
//! In: tensors under the names of mmseg (Meta's files), transformers or Depth Anything's authors. Out: a [`Head`] with
//! the metadata of its row of the table. Names become those of Meta's DPT head without `decode_head.`.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use crate::model::head::{Dense, DptHead, Head, HeadNetwork, LinearHead};
use crate::model::head_zoo::published::{PublishedHead, all};
use crate::model::head_zoo::signature::HeadSignature;

/// Epsilon of the published batch normalisations.
const BATCH_NORM_EPS: f64 = 1e-5;

/// The tensors of a published head, under their published names without `decode_head.`.
#[derive(Debug, Clone)]
pub struct RawHeadTensors {
    tensors: BTreeMap<String, Tensor>,
    /// Kind of head and sizes of its tensors.
    pub signature: HeadSignature,
}

/// Whether a checkpoint's tensor of this name may belong to a head; batch normalisation's step counters are left out.
pub fn is_head_tensor(name: &str) -> bool {
    canonical_name(name).is_some()
}

/// A tensor's name in [`RawHeadTensors`].
fn canonical_name(name: &str) -> Option<String> {
    if name.ends_with("num_batches_tracked") {
        return None;
    }
    if let Some(name) = name.strip_prefix("decode_head.") {
        return Some(name.to_owned());
    }
    if name.starts_with("neck.") || name.starts_with("head.") {
        return name_from_transformers(name);
    }
    if let Some(name) = name.strip_prefix("depth_head.") {
        return name_from_depth_anything(name);
    }
    match name {
        "weight" | "bias" => Some(name.to_owned()),
        _ => ["linear_head.", "classifier."]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .map(str::to_owned),
    }
}

/// The name that Meta's heads have for a tensor of Depth Anything's decoder, as its authors call it.
fn name_from_depth_anything(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    // Depth Anything numbers the fusions from the finest (1) to the coarsest (4), Meta from the coarsest (0).
    let fusion = |name: &str| {
        let number: usize = name.strip_prefix("refinenet")?.parse().ok()?;
        4usize.checked_sub(number).filter(|_| number > 0)
    };
    let renamed = match parts.as_slice() {
        ["projects", i, kind] => format!("reassemble_blocks.projects.{i}.conv.{kind}"),
        ["resize_layers", i, kind] => format!("reassemble_blocks.resize_layers.{i}.{kind}"),
        ["scratch", "output_conv1", kind] => format!("conv_depth.head.0.{kind}"),
        ["scratch", "output_conv2", layer @ ("0" | "2"), kind] => {
            let layer = if *layer == "0" { 2 } else { 4 };
            format!("conv_depth.head.{layer}.{kind}")
        }
        ["scratch", layer, kind] => {
            let number = layer.strip_prefix("layer")?.strip_suffix("_rn")?;
            let number: usize = number.parse().ok()?;
            format!("convs.{}.conv.{kind}", number.checked_sub(1)?)
        }
        ["scratch", net, "out_conv", kind] => {
            format!("fusion_blocks.{}.project.conv.{kind}", fusion(net)?)
        }
        // As in transformers' files: the coarsest stage has no residual to add.
        ["scratch", "refinenet4", "resConfUnit1", ..] => return None,
        ["scratch", net, unit, conv, kind] => {
            let unit = unit.strip_prefix("resConfUnit")?;
            let fusion = fusion(net)?;
            format!("fusion_blocks.{fusion}.res_conv_unit{unit}.{conv}.conv.{kind}")
        }
        _ => return None,
    };
    Some(renamed)
}

/// The published name of a tensor of transformers' `DPTForDepthEstimation` or `DepthAnythingForDepthEstimation`.
fn name_from_transformers(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let renamed = match parts.as_slice() {
        ["neck", "reassemble_stage", "readout_projects", i, "0", kind] => {
            format!("reassemble_blocks.readout_projects.{i}.0.{kind}")
        }
        ["neck", "reassemble_stage", "layers", i, "projection", kind] => {
            format!("reassemble_blocks.projects.{i}.conv.{kind}")
        }
        ["neck", "reassemble_stage", "layers", i, "resize", kind] => {
            format!("reassemble_blocks.resize_layers.{i}.{kind}")
        }
        ["neck", "convs", i, kind] => format!("convs.{i}.conv.{kind}"),
        ["neck", "fusion_stage", "layers", i, "projection", kind] => {
            format!("fusion_blocks.{i}.project.conv.{kind}")
        }
        // The coarsest stage has no residual to add; transformers keeps an unused unit for it.
        ["neck", "fusion_stage", "layers", "0", "residual_layer1", ..] => return None,
        [
            "neck",
            "fusion_stage",
            "layers",
            i,
            residual,
            convolution,
            kind,
        ] => {
            let unit = residual.strip_prefix("residual_layer")?;
            let conv = convolution.strip_prefix("convolution")?;
            format!("fusion_blocks.{i}.res_conv_unit{unit}.conv{conv}.conv.{kind}")
        }
        ["head", "projection", kind] => format!("project.conv.{kind}"),
        ["head", "head", layer, kind] => format!("conv_depth.head.{layer}.{kind}"),
        ["head", "conv1", kind] => format!("conv_depth.head.0.{kind}"),
        ["head", "conv2", kind] => format!("conv_depth.head.2.{kind}"),
        ["head", "conv3", kind] => format!("conv_depth.head.4.{kind}"),
        _ => return None,
    };
    Some(renamed)
}

/// Recognises the head in a checkpoint's `tensors`.
///
/// # Errors
/// If they are of no published head; the reason is a part of a sentence about the file.
pub fn recognise(tensors: BTreeMap<String, Tensor>) -> Result<RawHeadTensors, String> {
    let tensors: BTreeMap<String, Tensor> = tensors
        .into_iter()
        .filter_map(|(name, tensor)| Some((canonical_name(&name)?, tensor)))
        .collect();
    let dims = |name: &str| tensors.get(name).map(|tensor| tensor.dims().to_vec());
    let linear = |name: &str| {
        let dims = dims(name)?;
        match dims.as_slice() {
            [outputs, inputs] | [outputs, inputs, 1, 1] => Some((*outputs, *inputs)),
            _ => None,
        }
    };
    let shape = if let Some((256, inputs)) = linear("conv_depth.weight") {
        HeadSignature::Depth { inputs }
    } else if let Some((classes, inputs)) = linear("conv_seg.weight") {
        HeadSignature::Segment { classes, inputs }
    } else if let Some(readout) = dims("reassemble_blocks.readout_projects.0.0.weight") {
        HeadSignature::Dpt {
            dim: readout.first().copied().unwrap_or(0),
        }
    } else if let Some([_, dim, ..]) = dims("reassemble_blocks.projects.0.conv.weight").as_deref() {
        HeadSignature::DepthAnything {
            dim: *dim,
            features: dims("convs.0.conv.weight")
                .map_or(0, |dims| dims.first().copied().unwrap_or(0)),
        }
    } else if let Some((1000, inputs)) = linear("weight") {
        HeadSignature::Classify { inputs }
    } else {
        let names: Vec<&str> = tensors.keys().map(String::as_str).take(4).collect();
        return Err(format!(
            "is none of the published heads: expected conv_depth, conv_seg, reassemble_blocks or a classifier's weight of \
             [1000, n]; found {}",
            if names.is_empty() {
                "no tensor of a head".to_owned()
            } else {
                names.join(", ")
            }
        ));
    };
    Ok(RawHeadTensors {
        tensors,
        signature: shape,
    })
}

impl RawHeadTensors {
    /// The published heads with these tensor sizes.
    pub fn candidates(&self) -> Vec<PublishedHead> {
        all()
            .filter(|head| head.signature() == self.signature)
            .collect()
    }

    /// The head `published`, with these tensors as weights.
    ///
    /// # Errors
    /// If the sizes are those of another head, or a tensor is missing, of a wrong shape, or not finite.
    pub fn into_head(self, published: &PublishedHead) -> Result<Head, String> {
        if published.signature() != self.signature {
            return Err(format!(
                "is {}, but {} is {}",
                self.signature,
                published.name(),
                published.signature()
            ));
        }
        Ok(Head {
            meta: published.meta(),
            network: self.into_network()?,
        })
    }

    /// The layers alone, of any width.
    ///
    /// # Errors
    /// If a tensor is missing, of a wrong shape, or not finite.
    pub fn into_network(self) -> Result<HeadNetwork, String> {
        Ok(match self.signature {
            HeadSignature::Depth { .. } => linear(self.dense("conv_depth.")?),
            HeadSignature::Classify { .. } => linear(self.dense("")?),
            HeadSignature::Segment { .. } => linear(self.fold_batch_norm()?),
            HeadSignature::Dpt { .. } | HeadSignature::DepthAnything { .. } => {
                let floats = |(name, tensor): (String, Tensor)| {
                    let tensor = tensor.to_dtype(DType::F32).map_err(|e| e.to_string())?;
                    Ok((name, tensor))
                };
                let weights = self.tensors.into_iter().map(floats);
                HeadNetwork::Dpt(DptHead::new(weights.collect::<Result<_, String>>()?)?)
            }
        })
    }

    fn dense(&self, prefix: &str) -> Result<Dense, String> {
        let weight = self.numbers(&format!("{prefix}weight"))?;
        let bias = self.numbers(&format!("{prefix}bias"))?;
        let outputs = bias.len();
        if outputs == 0 || !weight.len().is_multiple_of(outputs) {
            return Err(format!(
                "has {} weights for {outputs} biases under {prefix}",
                weight.len()
            ));
        }
        Ok(Dense {
            inputs: weight.len() / outputs,
            weight: weight.into_iter().map(|w| w as f32).collect(),
            bias: bias.into_iter().map(|b| b as f32).collect(),
        })
    }

    /// The linear layer with the batch normalisation before it folded in: `w' = w s`, `b' = b + w (beta - mean s)`,
    /// `s = gamma / sqrt(var + eps)`.
    fn fold_batch_norm(&self) -> Result<Dense, String> {
        let weight = self.numbers("conv_seg.weight")?;
        let bias = self.numbers("conv_seg.bias")?;
        let [gamma, beta, mean, var] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| self.numbers(&format!("bn.{name}")));
        let (gamma, beta, mean, var) = (gamma?, beta?, mean?, var?);
        let inputs = gamma.len();
        let fits = [&beta, &mean, &var].iter().all(|v| v.len() == inputs)
            && weight.len() == inputs * bias.len()
            && inputs > 0;
        if !fits {
            return Err(format!(
                "has a normalisation of {inputs} features, but {} weights for {} classes",
                weight.len(),
                bias.len()
            ));
        }
        let scale: Vec<f64> = gamma
            .iter()
            .zip(&var)
            .map(|(gamma, var)| gamma / (var + BATCH_NORM_EPS).sqrt())
            .collect();
        let shift: Vec<f64> = (0..inputs).map(|i| beta[i] - mean[i] * scale[i]).collect();
        let rows = weight.chunks_exact(inputs);
        let bias = rows.clone().zip(&bias).map(|(row, bias)| {
            let moved: f64 = row.iter().zip(&shift).map(|(w, shift)| w * shift).sum();
            (bias + moved) as f32
        });
        Ok(Dense {
            inputs,
            bias: bias.collect(),
            weight: rows
                .flat_map(|row| row.iter().zip(&scale).map(|(w, scale)| (w * scale) as f32))
                .collect(),
        })
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>, String> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| format!("has no tensor {name}"))?;
        let numbers = tensor
            .to_dtype(DType::F64)
            .and_then(|t| t.flatten_all()?.to_vec1::<f64>())
            .map_err(|e| format!("{name}: {e}"))?;
        match numbers.iter().all(|v| v.is_finite()) {
            true => Ok(numbers),
            false => Err(format!("has numbers in {name} that are not finite")),
        }
    }
}

fn linear(output: Dense) -> HeadNetwork {
    HeadNetwork::Linear(LinearHead::new(None, output))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
    }

    fn names(tensors: &[(&str, &[usize])]) -> Vec<String> {
        let tensors = tensors
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), zeros(shape)))
            .collect();
        let raw = recognise(tensors).unwrap();
        raw.candidates().iter().map(PublishedHead::name).collect()
    }

    #[test]
    fn shapes_tell_what_they_can() {
        let depth = |inputs| names(&[("decode_head.conv_depth.weight", &[256, inputs, 1, 1])]);
        assert_eq!(depth(768), ["nyu-linear-vits14", "kitti-linear-vits14"]);
        // A giant's one block is as wide as a small one's four.
        assert_eq!(
            depth(3072),
            [
                "nyu-linear-vitg14",
                "nyu-linear4-vits14",
                "kitti-linear-vitg14",
                "kitti-linear4-vits14"
            ]
        );
        let seg = |classes, inputs| names(&[("decode_head.conv_seg.weight", &[classes, inputs])]);
        assert_eq!(seg(150, 768), ["ade20k-linear-vitb14"]);
        assert_eq!(
            seg(21, 1536),
            ["voc2012-linear-vitg14", "voc2012-ms-vits14"]
        );
        assert_eq!(
            names(&[("weight", &[1000, 5 * 384])]),
            ["imagenet-linear4-vits14", "imagenet-linear4-vits14-reg"]
        );
    }

    #[test]
    fn what_is_no_head_is_refused_in_words() {
        for tensors in [
            vec![],
            vec![("cls_token", vec![1, 1, 384])],
            vec![("weight", vec![10, 768])],
        ] {
            let tensors = tensors
                .into_iter()
                .map(|(name, shape)| (name.to_owned(), zeros(&shape)))
                .collect();
            assert!(
                recognise(tensors)
                    .unwrap_err()
                    .contains("none of the published heads")
            );
        }
    }

    #[test]
    fn normalisation_is_folded_in() {
        let vector = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let raw = RawHeadTensors {
            tensors: [
                ("bn.weight", vector(&[2.0, 1.0])),
                ("bn.bias", vector(&[0.5, 0.0])),
                ("bn.running_mean", vector(&[1.0, -1.0])),
                ("bn.running_var", vector(&[4.0, 0.25])),
                ("conv_seg.weight", vector(&[1.0, 2.0])),
                ("conv_seg.bias", vector(&[0.25])),
            ]
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into(),
            signature: HeadSignature::Segment {
                classes: 1,
                inputs: 2,
            },
        };
        let folded = raw.fold_batch_norm().unwrap();
        let x = [3.0f64, 2.0];
        let expected = 0.25
            + (2.0 * (x[0] - 1.0) / (4.0f64 + 1e-5).sqrt() + 0.5)
            + 2.0 * ((x[1] + 1.0) / (0.25f64 + 1e-5).sqrt());
        let found = f64::from(folded.bias[0])
            + f64::from(folded.weight[0]) * x[0]
            + f64::from(folded.weight[1]) * x[1];
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn names_of_transformers_are_known() {
        for (theirs, own) in [
            (
                "neck.fusion_stage.layers.2.residual_layer1.convolution2.weight",
                Some("fusion_blocks.2.res_conv_unit1.conv2.conv.weight"),
            ),
            (
                "neck.fusion_stage.layers.0.residual_layer1.convolution2.weight",
                None,
            ),
            (
                "neck.reassemble_stage.layers.3.resize.bias",
                Some("reassemble_blocks.resize_layers.3.bias"),
            ),
            ("neck.convs.1.weight", Some("convs.1.conv.weight")),
            ("head.head.4.bias", Some("conv_depth.head.4.bias")),
            ("head.weight", None),
            // Depth Anything's, on the hub and by its authors.
            ("head.conv3.bias", Some("conv_depth.head.4.bias")),
            (
                "neck.fusion_stage.layers.3.residual_layer2.convolution1.bias",
                Some("fusion_blocks.3.res_conv_unit2.conv1.conv.bias"),
            ),
            (
                "depth_head.scratch.refinenet1.resConfUnit2.conv1.bias",
                Some("fusion_blocks.3.res_conv_unit2.conv1.conv.bias"),
            ),
            (
                "depth_head.scratch.refinenet4.resConfUnit1.conv1.bias",
                None,
            ),
            (
                "depth_head.scratch.refinenet4.out_conv.weight",
                Some("fusion_blocks.0.project.conv.weight"),
            ),
            (
                "depth_head.scratch.layer3_rn.weight",
                Some("convs.2.conv.weight"),
            ),
            (
                "depth_head.projects.2.weight",
                Some("reassemble_blocks.projects.2.conv.weight"),
            ),
            (
                "depth_head.scratch.output_conv2.2.weight",
                Some("conv_depth.head.4.weight"),
            ),
            ("depth_head.scratch.refinenet5.out_conv.weight", None),
            ("decode_head.bn.num_batches_tracked", None),
        ] {
            assert_eq!(canonical_name(theirs).as_deref(), own, "{theirs}");
        }
    }
}
