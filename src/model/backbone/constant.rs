//! Made-up features in place of a forward pass, to measure the time of everything else: the same for every photo of a
//! size.
//!
//! They are waves over the patch grid with another frequency and phase in every channel, so that heads find regions and
//! principal components differ, as with real photos.

use std::f32::consts::TAU;

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::model::backbone::bounded_cache::BoundedCache;
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::features::{LayerFeatures, LayerRequest};
use crate::model::input::PatchGrid;
use crate::system::memory::try_with_capacity;

/// Most layers in the cache: four for each of two photo sizes, at the full and at the coarse scale.
const CACHED_LAYERS: usize = 16;

/// The fraction of the golden ratio, whose multiples are spread evenly between whole numbers.
const GOLDEN_FRACTION: f32 = 0.618_034;

/// Returns features that do not depend on the pixels.
#[derive(Debug)]
pub(super) struct ConstantBackbone {
    /// The features of one photo (batch size 1).
    cache: BoundedCache<(PatchGrid, LayerRequest), LayerFeatures>,
}

impl ConstantBackbone {
    /// An executor with an empty cache.
    pub fn new() -> Self {
        ConstantBackbone {
            cache: BoundedCache::with_capacity(CACHED_LAYERS),
        }
    }

    /// The layers of `requests`, in their order, for `batch` photos of `grid`.
    pub fn layers(
        &self,
        config: &BackboneConfig,
        grid: PatchGrid,
        batch: usize,
        requests: &[LayerRequest],
    ) -> Result<Vec<LayerFeatures>> {
        let layer = |&request: &LayerRequest| {
            let one = self.layer(config, grid, request)?;
            if batch == 1 {
                return Ok(one);
            }
            let repeated = |tensor: &Tensor| {
                let mut shape = tensor.dims().to_vec();
                shape[0] = batch;
                tensor.broadcast_as(shape)?.contiguous()
            };
            Ok(LayerFeatures {
                request,
                patch_tokens: repeated(&one.patch_tokens)?,
                cls_token: repeated(&one.cls_token)?,
                registers: repeated(&one.registers)?,
            })
        };
        requests.iter().map(layer).collect()
    }

    fn layer(
        &self,
        config: &BackboneConfig,
        grid: PatchGrid,
        request: LayerRequest,
    ) -> Result<LayerFeatures> {
        let compute = || compute_layer(config, grid, request);
        self.cache.get_or_compute((grid, request), compute)
    }
}

/// The features of one photo: waves down plus waves across.
fn compute_layer(
    config: &BackboneConfig,
    grid: PatchGrid,
    request: LayerRequest,
) -> Result<LayerFeatures> {
    let (d, registers) = (config.dim, config.registers);
    // The channels of a token have variance 1 after the final LayerNorm, and more before it.
    let amplitude = if request.norm { 1.0 } else { 2.0 };
    let waves = |count: usize, seed: f32| -> Vec<f32> {
        let of = move |step: usize| {
            let at = step as f32 / count.max(1) as f32;
            (0..d).map(move |channel| {
                let cycles = 0.5 + 0.25 * (channel % 7) as f32;
                let phase = (GOLDEN_FRACTION * channel as f32 + seed).fract();
                amplitude * (TAU * (cycles * at + phase)).sin()
            })
        };
        (0..count).flat_map(of).collect()
    };
    let seed = 0.1 * request.block as f32;
    let (down, across) = (waves(grid.rows, seed), waves(grid.cols, seed + 0.37));
    let mut patches = try_with_capacity(grid.len() * d)?;
    for of_row in down.chunks_exact(d) {
        for of_col in across.chunks_exact(d) {
            patches.extend(of_row.iter().zip(of_col).map(|(a, b)| a + b));
        }
    }
    let cpu = &Device::Cpu;
    Ok(LayerFeatures {
        request,
        patch_tokens: Tensor::from_vec(patches, (1, grid.len(), d), cpu)?,
        cls_token: Tensor::from_vec(waves(1, seed + 0.71), (1, d), cpu)?,
        registers: Tensor::from_vec(waves(registers, seed + 0.83), (1, registers, d), cpu)?,
    })
}

/// Made-up attention of the cls token for `batch` photos: `[batch, heads, 1 + registers + rows * cols]`, each row of
/// which sums to 1.
pub(super) fn cls_attention(config: &BackboneConfig, grid: PatchGrid, batch: usize) -> Vec<f32> {
    let specials = 1 + config.registers;
    let tokens = specials + grid.len();
    let head = |head: usize| {
        let weight = move |token: usize| {
            let patch = token.saturating_sub(specials);
            let (row, col) = (patch / grid.cols, patch % grid.cols);
            let at = row as f32 / grid.rows as f32 + col as f32 / grid.cols as f32;
            1.0 + 0.5 * (TAU * (at + GOLDEN_FRACTION * head as f32)).sin()
        };
        let total: f32 = (0..tokens).map(weight).sum();
        (0..tokens).map(move |token| weight(token) / total)
    };
    let photo: Vec<f32> = (0..config.heads).flat_map(head).collect();
    photo.repeat(batch)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::model::backbone::{Backbone, Features, variants};

    fn forward(
        registers: usize,
        batch: usize,
        (rows, cols): (usize, usize),
    ) -> (BackboneConfig, Features) {
        let config = BackboneConfig {
            registers,
            ..variants::find("vits14-focus").unwrap().config
        };
        let backbone = Backbone::constant(config).unwrap();
        let p = config.patch_size;
        let pixels = Tensor::zeros((batch, 3, rows * p, cols * p), DType::F32, &Device::Cpu);
        let requests =
            [(2, false), (11, false), (11, true)].map(|(block, norm)| LayerRequest { block, norm });
        let features = backbone.forward(&pixels.unwrap(), &requests).unwrap();
        for (layer, request) in features.layers.iter().zip(requests) {
            assert_eq!(layer.request, request);
        }
        (config, features)
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let (config, features) = forward(4, 2, (3, 5));
        assert_eq!(features.grid, PatchGrid { rows: 3, cols: 5 });
        assert_eq!(features.layers.len(), 3);
        for layer in &features.layers {
            assert_eq!(layer.patch_tokens.dims(), [2, 15, config.dim]);
            assert_eq!(layer.cls_token.dims(), [2, config.dim]);
            assert_eq!(layer.registers.dims(), [2, 4, config.dim]);
        }
    }

    #[test]
    fn a_batch_is_as_single_photos_are_each_time() {
        let both = [0, 4].map(|registers| [1, 3].map(|batch| forward(registers, batch, (3, 5)).1));
        let layers = both
            .iter()
            .flat_map(|[single, batch]| single.layers.iter().zip(&batch.layers));
        for (one, all) in layers {
            for (one, all) in [
                (&one.patch_tokens, &all.patch_tokens),
                (&one.cls_token, &all.cls_token),
                (&one.registers, &all.registers),
            ] {
                assert_eq!(values(one).repeat(3), values(all));
            }
        }
    }

    #[test]
    fn patches_channels_and_layers_differ() {
        let (config, features) = forward(0, 1, (8, 8));
        let layers: Vec<Vec<f32>> = features
            .layers
            .iter()
            .map(|layer| values(&layer.patch_tokens))
            .collect();
        assert!(layers[0] != layers[1] && layers[1] != layers[2]);
        let normed = &layers[2];
        assert_ne!(normed[..config.dim], normed[config.dim..2 * config.dim]);
        let power = normed.iter().map(|value| value * value).sum::<f32>() / normed.len() as f32;
        assert!((0.8..1.2).contains(&power), "{power}");
    }

    #[test]
    fn attention_is_shared_out() {
        let (config, _) = forward(4, 1, (3, 5));
        let backbone = Backbone::constant(config).unwrap();
        let p = config.patch_size;
        let pixels = Tensor::zeros((2, 3, 3 * p, 5 * p), DType::F32, &Device::Cpu).unwrap();
        let photos = backbone.cls_attention(&pixels, 11).unwrap();
        assert_eq!((photos.len(), &photos[0]), (2, &photos[1]));
        let head: Vec<f32> = [photos[0].specials(1), photos[0].patches(1)].concat();
        assert!((head.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_ne!(photos[0].patches(0), photos[0].patches(1));
    }
}
