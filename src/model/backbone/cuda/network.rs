//! A backbone on a GPU: its weights, compiled kernels, plans of matrix products, position embeddings by grid, and
//! pinned memory for uploads.

use std::sync::{Mutex, PoisonError};

use candle_core::{CudaDevice, DType, Device, Tensor};

use super::kernels::{CudaKernels, HEAD_DIM};
use super::layers::{CudaBlock, CudaLayerNorm};
use super::matmul::CublasLt;
use super::staging::StagingBuffer;
use crate::error::Result;
use crate::model::backbone::block::PrefixedWeights;
use crate::model::backbone::bounded_cache::BoundedCache;
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::pos_embed::{self, CACHED_GRIDS};
use crate::model::input::PatchGrid;

/// A backbone with its weights on a GPU, in one half-precision type.
#[derive(Debug)]
pub struct CudaBackbone {
    pub(super) config: BackboneConfig,
    pub(super) device: CudaDevice,
    /// The type of both sides of every matrix product: f16 or bf16.
    pub(super) half: DType,
    pub(super) kernels: CudaKernels,
    pub(super) products: CublasLt,
    /// `patch_embed.proj.weight`, `[D, cut]`; rows are zero beyond the `3 * p * p` numbers of a patch.
    pub(super) patch_weight: Tensor,
    /// `patch_embed.proj.bias`, `[D]`, added to the position embedding of every patch.
    patch_bias: Vec<f32>,
    /// The special tokens `[1 + R, D]` in f32: the cls token with its position embedding, and the registers.
    pub(super) specials: Tensor,
    /// The position embedding of the patches, `[native, native, D]`.
    positions: Vec<f32>,
    position_cache: BoundedCache<PatchGrid, Tensor>,
    pub(super) blocks: Vec<CudaBlock>,
    pub(super) norm: CudaLayerNorm,
    pub(super) staging: Mutex<StagingBuffer>,
}

impl CudaBackbone {
    /// Whether the kernels run backbones of this shape (heads 64 wide, D a multiple of 128) on this card (compute
    /// capability 8.0 or newer).
    pub fn supports(config: &BackboneConfig, device: &CudaDevice) -> bool {
        let capability = device.cuda_stream().context().compute_capability();
        config.dim == config.heads * HEAD_DIM
            && config.dim.is_multiple_of(128)
            && capability.is_ok_and(|(major, _)| major >= 8)
    }

    /// Reads the weights. `narrow` gives them as `half`, which is f16 or bf16, and `wide` as f32, both on `device`;
    /// `positions` is the position embedding of the patches, `[native * native, D]`.
    ///
    /// # Errors
    /// If a weight is missing, the kernels cannot be compiled, or the GPU has not enough memory.
    pub(in crate::model::backbone) fn new(
        config: BackboneConfig,
        (narrow, wide): (&PrefixedWeights<'_>, &PrefixedWeights<'_>),
        positions: Vec<f32>,
        (device, half): (&CudaDevice, DType),
    ) -> Result<Self> {
        let dim = config.dim;
        let patch = 3 * config.patch_size.pow(2);
        // Rows of a multiple of 16 bytes, as cuBLASLt's fast kernels need them.
        let cut = patch.next_multiple_of(8);
        let weight = narrow.get("patch_embed.proj.weight")?;
        let weight = weight.reshape((dim, patch))?;
        let cls = (wide.get("cls_token")? + wide.get("pos_embed")?.narrow(1, 0, 1)?)?;
        let cls = cls.reshape((1, dim))?;
        let specials = match config.registers {
            0 => cls,
            count => {
                let registers = wide.get("register_tokens")?.reshape((count, dim))?;
                Tensor::cat(&[&cls, &registers], 0)?
            }
        };
        let blocks =
            (0..config.depth).map(|index| CudaBlock::new((narrow, wide), index, &config, half));
        Ok(CudaBackbone {
            kernels: CudaKernels::new(device, &config, half, cut)?,
            products: CublasLt::new(device, half)?,
            patch_weight: weight.pad_with_zeros(1, 0, cut - patch)?.contiguous()?,
            patch_bias: wide.get("patch_embed.proj.bias")?.to_vec1()?,
            specials: specials.contiguous()?,
            positions,
            position_cache: BoundedCache::with_capacity(CACHED_GRIDS),
            blocks: blocks.collect::<Result<_>>()?,
            norm: CudaLayerNorm::new(wide, "norm")?,
            staging: Mutex::new(StagingBuffer::new(device)?),
            device: device.clone(),
            half,
            config,
        })
    }

    /// The same backbone in bf16, converted from the weights on the GPU.
    ///
    /// # Errors
    /// If the kernels cannot be compiled, or the GPU has not enough memory.
    pub fn to_bf16(&self) -> Result<Self> {
        let half = DType::BF16;
        let blocks = self.blocks.iter().map(|block| block.to_dtype(half));
        Ok(CudaBackbone {
            kernels: CudaKernels::new(&self.device, &self.config, half, self.patch_weight.dim(1)?)?,
            products: CublasLt::new(&self.device, half)?,
            patch_weight: self.patch_weight.to_dtype(half)?,
            patch_bias: self.patch_bias.clone(),
            specials: self.specials.clone(),
            positions: self.positions.clone(),
            position_cache: BoundedCache::with_capacity(CACHED_GRIDS),
            blocks: blocks.collect::<Result<_>>()?,
            norm: self.norm.clone(),
            staging: Mutex::new(StagingBuffer::new(&self.device)?),
            device: self.device.clone(),
            half,
            config: self.config,
        })
    }

    /// Whether products are of f16, which overflows beyond 65 504.
    pub fn is_f16(&self) -> bool {
        self.half == DType::F16
    }

    /// Uploads photos of normalised RGB, each `[3, H, W]` in f32, as pixels `[B, 3, H, W]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the sizes of the photos differ.
    pub fn stage_pixels(
        &self,
        photos: &[&[f32]],
        (height, width): (usize, usize),
    ) -> Result<Tensor> {
        let staging = self.staging.lock();
        let mut staging = staging.unwrap_or_else(PoisonError::into_inner);
        let shape = (photos.len(), 3, height, width).into();
        Ok(staging.upload_parts(photos, shape)?)
    }

    /// The position embedding of a grid's patches plus the bias of the patch embedding, `[rows * cols, D]` in f32.
    pub(super) fn grid_positions(&self, grid: PatchGrid) -> Result<Tensor> {
        self.position_cache.get_or_compute(grid, || {
            let (side, dim) = (self.config.native_grid, self.config.dim);
            let rule = self.config.pos_embed;
            let mut values =
                pos_embed::interpolate(&self.positions, side, dim, rule, grid.rows, grid.cols);
            for patch in values.chunks_exact_mut(dim) {
                patch
                    .iter_mut()
                    .zip(&self.patch_bias)
                    .for_each(|(value, bias)| *value += bias);
            }
            let shape = (grid.len(), dim);
            let device = Device::Cuda(self.device.clone());
            Ok(Tensor::from_vec(values, shape, &device)?)
        })
    }

    /// Width of the widest layer between two products: queries, keys and values, or the feed-forward network's.
    pub(super) fn max_width(&self) -> usize {
        self.config.ffn.width().max(3 * self.config.dim)
    }
}
