//! The tokens that enter the first block: patch embedding, position embedding, cls token and registers
//! (`prepare_tokens_with_masks` of facebookresearch/dinov2, `Dinov2Embeddings` of transformers).
//!
//! Pixels `[B, 3, H, W]` in, tokens `[B, 1 + R + rows * cols, D]` out. [`Embeddings::prepare_tokens`] serves the candle
//! executor. The CPU and CUDA executors assemble the same tokens in kernels of their own, with a position embedding
//! that [`pos_embed`] interpolates. The goldens in `tests/suite/backbone_goldens.rs` hold each of these steps against
//! PyTorch.

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::model::backbone::bounded_cache::BoundedCache;
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::pos_embed::{self, CACHED_GRIDS};
use crate::model::input::PatchGrid;

/// The embeddings of a backbone, on the device and in the number type that it runs in.
#[derive(Debug)]
pub(super) struct Embeddings {
    config: BackboneConfig,
    weights: EmbeddingWeights,
    pos_cache: BoundedCache<PatchGrid, Tensor>,
    device: Device,
    dtype: DType,
}

/// The weights of [`Embeddings`], with their canonical names in a checkpoint.
#[derive(Debug)]
pub(super) struct EmbeddingWeights {
    /// `patch_embed.proj.weight` as a matrix, `[D, 3 * p * p]`.
    pub patch_weight: Tensor,
    /// `patch_embed.proj.bias`, `[D]`.
    pub patch_bias: Tensor,
    /// `cls_token`, `[1, 1, D]`.
    pub cls_token: Tensor,
    /// `register_tokens`, `[1, R, D]`, in models that have them.
    pub registers: Option<Tensor>,
    /// The first row of `pos_embed`, `[1, 1, D]`: the position of the cls token.
    pub pos_cls: Tensor,
    /// The other rows of `pos_embed`, `[native, native, D]`, in f32 whatever the number type.
    pub pos_patches: Vec<f32>,
}

impl Embeddings {
    /// Embeddings of the shape `config`; `weights` are on `device` in `dtype`.
    pub fn new(
        config: BackboneConfig,
        weights: EmbeddingWeights,
        device: &Device,
        dtype: DType,
    ) -> Self {
        Embeddings {
            config,
            weights,
            pos_cache: BoundedCache::with_capacity(CACHED_GRIDS),
            device: device.clone(),
            dtype,
        }
    }

    /// Patch tokens before position embedding: `[B, 3, H, W]` to `[B, rows * cols, D]`.
    ///
    /// # Errors
    /// [`Error::Model`] for sides that are no multiples of the patch size, [`Error::Tensor`] if the device fails.
    pub fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let PatchGrid { rows, cols } = self.patch_grid(pixels)?;
        let (b, p) = (pixels.dim(0)?, self.config.patch_size);
        // A stride-p convolution with a p x p kernel is one matrix product over cut-out patches.
        let patches = pixels
            .to_device(&self.device)?
            .to_dtype(self.dtype)?
            .reshape(vec![b, 3, rows, p, cols, p])?
            .permute(vec![0, 2, 4, 1, 3, 5])? // [B, rows, cols, 3, p, p]
            .reshape((b * rows * cols, 3 * p * p))?;
        let tokens = patches
            .matmul(&self.weights.patch_weight.t()?)?
            .broadcast_add(&self.weights.patch_bias)?;
        Ok(tokens.reshape((b, rows * cols, self.config.dim))?)
    }

    /// The position embedding of a grid's patches, `[1, rows * cols, D]`, interpolated once per grid size in f32.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device fails.
    pub fn position_embedding(&self, grid: PatchGrid) -> Result<Tensor> {
        self.pos_cache.get_or_compute(grid, || {
            let (side, dim) = (self.config.native_grid, self.config.dim);
            let values = pos_embed::interpolate(
                &self.weights.pos_patches,
                side,
                dim,
                self.config.pos_embed,
                grid.rows,
                grid.cols,
            );
            Ok(
                Tensor::from_vec(values, (1, grid.len(), dim), &Device::Cpu)?
                    .to_device(&self.device)?
                    .to_dtype(self.dtype)?,
            )
        })
    }

    /// Cls token, registers and patch tokens as they enter the first block: `[B, 1 + R + rows * cols, D]`.
    pub fn prepare_tokens(&self, pixels: &Tensor, grid: PatchGrid) -> Result<Tensor> {
        let patches = self
            .embed_patches(pixels)?
            .broadcast_add(&self.position_embedding(grid)?)?;
        let (b, _, d) = patches.dims3()?;
        let cls = (&self.weights.cls_token + &self.weights.pos_cls)?.broadcast_as((b, 1, d))?;
        Ok(match &self.weights.registers {
            // Registers have no position embedding.
            Some(registers) => Tensor::cat(
                &[
                    &cls,
                    &registers.broadcast_as((b, self.config.registers, d))?,
                    &patches,
                ],
                1,
            )?,
            None => Tensor::cat(&[&cls, &patches], 1)?,
        })
    }

    /// The patch grid of `pixels` `[B, 3, H, W]`.
    ///
    /// # Errors
    /// [`Error::Model`] for other than 3 channels, and sides that are no multiples of the patch size.
    pub fn patch_grid(&self, pixels: &Tensor) -> Result<PatchGrid> {
        let (_, c, h, w) = pixels.dims4()?;
        let p = self.config.patch_size;
        if c != 3 || h == 0 || w == 0 || h % p != 0 || w % p != 0 {
            return Err(Error::Model(format!(
                "the backbone takes 3 channels with sides that are multiples of {p}, found {c} channels of {w}x{h}"
            )));
        }
        Ok(PatchGrid {
            rows: h / p,
            cols: w / p,
        })
    }
}
