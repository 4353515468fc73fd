//! A device compared with the CPU: small backbones with random weights, of every architecture, computed by both.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::error::Result;
use crate::model::backbone::{
    Backbone, BackboneConfig, Checkpoint, Ffn, LayerRequest, PosEmbedRule,
};
use crate::model::input::PatchGrid;

/// How far a device differs from the CPU for one architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// The architecture, in words.
    pub name: &'static str,
    /// The largest relative difference of a layer's tokens: the length of the difference over that of the CPU's tokens.
    pub difference: f32,
    /// The largest relative difference that agrees.
    pub tolerance: f32,
}

impl Agreement {
    /// Whether the device agrees with the CPU within the tolerance.
    pub fn agrees(&self) -> bool {
        self.difference <= self.tolerance
    }
}

/// A backbone to compare, with the grid and the number of photos that go through it.
struct NetworkCase {
    name: &'static str,
    config: BackboneConfig,
    grid: PatchGrid,
    photos: usize,
}

/// Two blocks of a ViT-S, which the cases vary.
const BASE_CONFIG: BackboneConfig = BackboneConfig {
    patch_size: 14,
    dim: 384,
    depth: 2,
    heads: 6,
    ffn: Ffn::Mlp { hidden: 1536 },
    registers: 0,
    layer_scale: true,
    native_grid: 4,
    pos_embed: PosEmbedRule {
        offset: 0.1,
        antialias: false,
    },
    norm_eps: 1e-6,
};

/// Cases with more and with fewer tokens than the attention kernels take at once, and with every branch of a block.
const NETWORK_CASES: [NetworkCase; 4] = [
    NetworkCase {
        name: "MLP, 1370 tokens",
        config: BASE_CONFIG,
        grid: PatchGrid { rows: 37, cols: 37 },
        photos: 2,
    },
    NetworkCase {
        name: "registers and SwiGLU, 50 tokens",
        config: BackboneConfig {
            ffn: Ffn::SwiGlu { hidden: 1024 },
            registers: 4,
            ..BASE_CONFIG
        },
        grid: PatchGrid { rows: 5, cols: 9 },
        photos: 3,
    },
    NetworkCase {
        name: "no LayerScale, patches of 8, 144 tokens",
        config: BackboneConfig {
            patch_size: 8,
            layer_scale: false,
            ..BASE_CONFIG
        },
        grid: PatchGrid { rows: 11, cols: 13 },
        photos: 1,
    },
    NetworkCase {
        name: "width 1024, 257 tokens",
        config: BackboneConfig {
            dim: 1024,
            heads: 16,
            ffn: Ffn::Mlp { hidden: 4096 },
            ..BASE_CONFIG
        },
        grid: PatchGrid { rows: 16, cols: 16 },
        photos: 5,
    },
];

/// The largest relative difference that agrees, by number type.
fn tolerance_of(dtype: DType) -> f32 {
    match dtype {
        DType::F32 => 1e-4,
        DType::F16 => 4e-3,
        _ => 3e-2,
    }
}

/// Compares `device`, computing in `dtype`, with the CPU in f32.
///
/// # Errors
/// If the device fails.
pub fn compare_device(device: &Device, dtype: DType) -> Result<Vec<Agreement>> {
    NETWORK_CASES
        .iter()
        .map(|kind| {
            Ok(Agreement {
                name: kind.name,
                difference: max_difference(kind, device, dtype)?,
                tolerance: tolerance_of(dtype),
            })
        })
        .collect()
}

/// The largest relative difference of the tokens of one case.
fn max_difference(kind: &NetworkCase, device: &Device, dtype: DType) -> Result<f32> {
    let config = kind.config;
    let own = Backbone::new(config, random_weights(&config)?, &Device::Cpu, DType::F32)?;
    let other = Backbone::new(config, random_weights(&config)?, device, dtype)?;
    let p = config.patch_size;
    let shape = (kind.photos, 3, kind.grid.rows * p, kind.grid.cols * p);
    let mut random = fastrand::Rng::with_seed(1);
    let pixels: Vec<f32> = (0..kind.photos * 3 * kind.grid.len() * p * p)
        .map(|_| 4.0 * random.f32() - 2.0)
        .collect();
    let pixels = Tensor::from_vec(pixels, shape, &Device::Cpu)?;
    let requests = [(0, false), (1, true)].map(|(block, norm)| LayerRequest { block, norm });
    let expected = own.forward(&pixels, &requests)?;
    let found = other.forward(&pixels, &requests)?;
    let mut worst = 0f32;
    for (a, b) in expected.layers.iter().zip(&found.layers) {
        let kinds = [
            (&a.patch_tokens, &b.patch_tokens),
            (&a.cls_token, &b.cls_token),
            (&a.registers, &b.registers),
        ];
        for (a, b) in kinds {
            let off = relative_difference(&to_f32_vec(a)?, &to_f32_vec(b)?);
            // NaN must not count as agreement.
            if off.is_nan() || off > worst {
                worst = off;
            }
        }
    }
    Ok(worst)
}

/// Random weights with which every part of a block matters: attention is not uniform, and branches are as large as the
/// residual stream.
fn random_weights(config: &BackboneConfig) -> Result<Checkpoint> {
    let mut checkpoint = Checkpoint::random(config)?;
    let scaled: BTreeMap<String, Tensor> = checkpoint
        .tensors
        .into_iter()
        .map(|(name, tensor)| {
            let factor = match name.as_str() {
                name if name.ends_with("gamma") => 20.0,
                // The same sharpness of attention at any width.
                name if name.ends_with("qkv.weight") => 4.0 * (384.0 / config.dim as f64).sqrt(),
                "cls_token" | "pos_embed" | "register_tokens" => 10.0,
                _ => 1.0,
            };
            Ok((name, (tensor * factor)?))
        })
        .collect::<Result<_>>()?;
    checkpoint.tensors = scaled;
    Ok(checkpoint)
}

fn to_f32_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// The length of the difference of two vectors over the length of the expected one.
fn relative_difference(expected: &[f32], found: &[f32]) -> f32 {
    let length = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values
            .map(|value| f64::from(value).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let off = length(&mut expected.iter().zip(found).map(|(a, b)| a - b));
    match length(&mut expected.iter().copied()) {
        0.0 => off as f32,
        all => (off / all) as f32,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tensors_agree_with_the_kernels_of_the_cpu() {
        for kind in &NETWORK_CASES[1..3] {
            let config = kind.config;
            let own = Backbone::new(
                config,
                random_weights(&config).unwrap(),
                &Device::Cpu,
                DType::F32,
            );
            let (own, tensors) = (
                own.unwrap(),
                Backbone::with_tensors(
                    config,
                    random_weights(&config).unwrap(),
                    &Device::Cpu,
                    DType::F32,
                )
                .unwrap(),
            );
            let p = config.patch_size;
            let shape = (1, 3, kind.grid.rows * p, kind.grid.cols * p);
            let pixels = Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
            let request = [LayerRequest {
                block: 1,
                norm: true,
            }];
            let [a, b] = [&own, &tensors].map(|backbone| {
                let features = backbone.forward(&pixels, &request).unwrap();
                to_f32_vec(&features.layers[0].patch_tokens).unwrap()
            });
            let off = relative_difference(&a, &b);
            assert!(off < 1e-4, "{}: {off}", kind.name);
        }
    }

    #[test]
    fn what_is_no_number_does_not_agree() {
        let off = relative_difference(&[1.0, 2.0], &[1.0, f32::NAN]);
        let agreement = Agreement {
            name: "",
            difference: off,
            tolerance: 1.0,
        };
        assert!(!agreement.agrees());
        assert!((relative_difference(&[3.0, 4.0], &[3.0, 3.0]) - 0.2).abs() < 1e-6);
    }
}
