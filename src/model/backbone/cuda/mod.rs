//! The forward pass on NVIDIA GPUs in half precision (f16 or bf16): the products by cuBLASLt, everything between them
//! by kernels of our own.
//!
//! What half precision could not hold is f32: the residual stream, the statistics of LayerNorm and softmax, the
//! position embedding, the sums of all products, and what is returned. A block is seven launches: LayerNorm, queries,
//! keys and values, attention, projection, LayerNorm, and the two layers of the feed-forward network. Nothing is
//! copied on the way: attention reads queries, keys and values where their product left them, and the ends of both
//! branches are added to the stream, with their LayerScale and bias, as their products are written.
//!
//! `halves` chooses between f16 and bf16, `pass` is one batch through the network, `kernels` compiles and launches
//! what `tokens.cu` and `attention_*.cu` say, `products` are the matrix products, `memory` and `staging` are where
//! tensors lie and how pixels get there.

mod half_precision;
mod kernels;
mod matmul;
mod memory;
mod pass;
mod staging;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{CudaDevice, DType, Device, Tensor};

use crate::error::Result;
use crate::model::backbone::block::PrefixedWeights;
use crate::model::backbone::config::{BackboneConfig, Ffn};
use crate::model::backbone::pos_embed;
use crate::model::backbone::vit::{LayerFeatures, LayerRequest};
use crate::model::input::Grid;

pub use half_precision::HalfPrecisionBackbone;
pub use memory::prepare_device;

use kernels::CudaKernels;
use matmul::CublasLt;
use memory::DeviceAddress;
use pass::CudaPass;
use staging::StagingBuffer;

/// The width of a head that the attention kernels are written for; every DINO has it.
const HEAD_DIM: usize = 64;

/// Position embeddings of this many grid sizes are kept; a folder of photos rarely has more.
const CACHED_GRIDS: usize = 16;

/// A network with its weights on a GPU.
#[derive(Debug)]
pub struct CudaBackbone {
    config: BackboneConfig,
    device: CudaDevice,
    /// Of what is multiplied.
    half: DType,
    kernels: CudaKernels,
    products: CublasLt,
    /// `[D, cut]`, zeros behind a patch's own numbers.
    patch_weight: Tensor,
    /// `[D]`, added to every position.
    patch_bias: Vec<f32>,
    /// `[S, D]`: the cls token with its position, and the registers.
    specials: Tensor,
    /// `[native, native, D]`.
    positions: Vec<f32>,
    position_cache: Mutex<HashMap<Grid, Tensor>>,
    blocks: Vec<CudaBlock>,
    norm: CudaLayerNorm,
    staging: Mutex<StagingBuffer>,
}

#[derive(Debug)]
struct CudaBlock {
    norm1: CudaLayerNorm,
    qkv: CudaLinear,
    /// The end of the first residual branch.
    proj: CudaLinear,
    norm2: CudaLayerNorm,
    ffn_in: CudaLinear,
    /// The end of the second.
    ffn_out: CudaLinear,
}

/// `[outputs, inputs]` and `[outputs]`, in half precision; at the end of a branch, the bias is f32.
#[derive(Debug)]
struct CudaLinear {
    weight: Tensor,
    bias: Tensor,
}

impl CudaLinear {
    fn new(weights: &PrefixedWeights<'_>, name: &str) -> Result<Self> {
        Ok(CudaLinear {
            weight: weights.get(&format!("{name}.weight"))?,
            bias: weights.get(&format!("{name}.bias"))?,
        })
    }

    /// The end of a residual branch, with its LayerScale in it; the bias stays in f32, as the stream does.
    fn with_layer_scale(
        wide: &PrefixedWeights<'_>,
        name: &str,
        gamma: Option<Tensor>,
        half: DType,
    ) -> Result<Self> {
        let mut weight = wide.get(&format!("{name}.weight"))?;
        let mut bias = wide.get(&format!("{name}.bias"))?;
        if let Some(gamma) = gamma {
            weight = weight.broadcast_mul(&gamma.unsqueeze(1)?)?;
            bias = (bias * gamma)?;
        }
        Ok(CudaLinear {
            weight: weight.to_dtype(half)?,
            bias,
        })
    }

    /// With the weight in another type, and the bias too unless it is f32.
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(CudaLinear {
            weight: self.weight.to_dtype(dtype)?,
            bias: match self.bias.dtype() {
                DType::F32 => self.bias.clone(),
                _ => self.bias.to_dtype(dtype)?,
            },
        })
    }

    fn addresses(&self) -> candle_core::Result<(DeviceAddress, DeviceAddress)> {
        Ok((
            DeviceAddress::of(&self.weight)?,
            DeviceAddress::of(&self.bias)?,
        ))
    }
}

/// `[D]` each, in f32.
#[derive(Debug, Clone)]
struct CudaLayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl CudaLayerNorm {
    fn new(weights: &PrefixedWeights<'_>, name: &str) -> Result<Self> {
        Ok(CudaLayerNorm {
            weight: weights.get(&format!("{name}.weight"))?,
            bias: weights.get(&format!("{name}.bias"))?,
        })
    }

    fn addresses(&self) -> candle_core::Result<(DeviceAddress, DeviceAddress)> {
        Ok((
            DeviceAddress::of(&self.weight)?,
            DeviceAddress::of(&self.bias)?,
        ))
    }
}

impl CudaBlock {
    fn new(
        (narrow, wide): (&PrefixedWeights<'_>, &PrefixedWeights<'_>),
        index: usize,
        config: &BackboneConfig,
        half: DType,
    ) -> Result<Self> {
        let at = |name: &str| format!("blocks.{index}.{name}");
        let (first, second) = match config.ffn {
            Ffn::Mlp { .. } => ("mlp.fc1", "mlp.fc2"),
            Ffn::SwiGlu { .. } => ("mlp.w12", "mlp.w3"),
        };
        let ending = |name: &str, gamma: &str| {
            let gamma = || wide.get(&at(gamma));
            let gamma = config.layer_scale.then(gamma).transpose()?;
            CudaLinear::with_layer_scale(wide, &at(name), gamma, half)
        };
        Ok(CudaBlock {
            norm1: CudaLayerNorm::new(wide, &at("norm1"))?,
            qkv: CudaLinear::new(narrow, &at("attn.qkv"))?,
            proj: ending("attn.proj", "ls1.gamma")?,
            norm2: CudaLayerNorm::new(wide, &at("norm2"))?,
            ffn_in: CudaLinear::new(narrow, &at(first))?,
            ffn_out: ending(second, "ls2.gamma")?,
        })
    }

    /// With its products' weights in another type.
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(CudaBlock {
            norm1: self.norm1.clone(),
            qkv: self.qkv.to_dtype(dtype)?,
            proj: self.proj.to_dtype(dtype)?,
            norm2: self.norm2.clone(),
            ffn_in: self.ffn_in.to_dtype(dtype)?,
            ffn_out: self.ffn_out.to_dtype(dtype)?,
        })
    }
}

impl CudaBackbone {
    /// Whether the kernels are written for networks of this shape, and for this card.
    pub fn supports(config: &BackboneConfig, device: &CudaDevice) -> bool {
        let capability = device.cuda_stream().context().compute_capability();
        config.dim == config.heads * HEAD_DIM
            && config.dim.is_multiple_of(128)
            && capability.is_ok_and(|(major, _)| major >= 8)
    }

    /// Copies the weights to a GPU. `narrow` gives them as `half`, which is f16 or bf16, `wide` as f32, both on that GPU; `positions` is the
    /// position embedding `[native * native, D]` of the patches and `[D]` of the cls token.
    ///
    /// # Errors
    /// If a weight is missing, the kernels cannot be compiled, or there is no memory.
    pub(super) fn new(
        config: BackboneConfig,
        (narrow, wide): (&PrefixedWeights<'_>, &PrefixedWeights<'_>),
        positions: Vec<f32>,
        (device, half): (&CudaDevice, DType),
    ) -> Result<Self> {
        let dim = config.dim;
        let patch = 3 * config.patch_size.pow(2);
        // Rows of a multiple of 16 bytes.
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
            position_cache: Mutex::default(),
            blocks: blocks.collect::<Result<_>>()?,
            norm: CudaLayerNorm::new(wide, "norm")?,
            staging: Mutex::new(StagingBuffer::new(device)?),
            device: device.clone(),
            half,
            config,
        })
    }

    /// The same network in bf16.
    ///
    /// # Errors
    /// If the kernels cannot be compiled, or there is no memory.
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
            position_cache: Mutex::default(),
            blocks: blocks.collect::<Result<_>>()?,
            norm: self.norm.clone(),
            staging: Mutex::new(StagingBuffer::new(&self.device)?),
            device: self.device.clone(),
            half,
            config: self.config,
        })
    }

    /// Whether what is multiplied is f16, which larger numbers overflow.
    pub fn is_f16(&self) -> bool {
        self.half == DType::F16
    }

    /// Runs normalised RGB `pixels` `[B, 3, H, W]`, on the CPU or on this GPU, and returns the requested layers in their
    /// order, as f32; nothing if a number is not finite. The blocks after the deepest of them are not run. `tick` is called
    /// behind each block with how many of how many are begun.
    ///
    /// # Errors
    /// If there is not enough memory, or the GPU fails.
    pub fn forward(
        &self,
        pixels: &Tensor,
        grid: Grid,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Option<Vec<LayerFeatures>>> {
        let deepest = requests.iter().map(|r| r.block).max().unwrap_or(0);
        let mut pass = CudaPass::begin(self, pixels, grid)?;
        let flag = Tensor::zeros(1, DType::U32, &Device::Cuda(self.device.clone()))?;
        let mut layers: Vec<Option<LayerFeatures>> = vec![None; requests.len()];
        for index in 0..=deepest {
            pass.run_block(index)?;
            tick(index + 1, deepest + 1);
            for (slot, request) in layers.iter_mut().zip(requests) {
                if request.block == index {
                    *slot = Some(pass.split_tokens(*request, &flag)?);
                }
            }
        }
        // Waits for the GPU.
        let is_finite = flag.to_vec1::<u32>()?[0] == 0;
        Ok(is_finite.then(|| layers.into_iter().flatten().collect()))
    }

    /// Photos of normalised RGB, each `[3, H, W]`, as pixels `[B, 3, H, W]` on the GPU.
    ///
    /// # Errors
    /// If there is not enough memory, or their sizes differ.
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

    /// Queries, keys and values of `block`, `[B, N, 3 * D]` in half precision; of that block, no more is computed.
    ///
    /// # Errors
    /// As [`CudaBackbone::forward`].
    pub fn queries_keys_values(&self, pixels: &Tensor, grid: Grid, block: usize) -> Result<Tensor> {
        let mut pass = CudaPass::begin(self, pixels, grid)?;
        for index in 0..block {
            pass.run_block(index)?;
        }
        pass.compute_qkv(block)?;
        pass.queries_keys_values()
    }

    /// Position embedding of a grid's patches, with the bias of their product, `[P, D]` in f32.
    fn grid_positions(&self, grid: Grid) -> Result<Tensor> {
        let mut grids = self
            .position_cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = grids.get(&grid) {
            return Ok(known.clone());
        }
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
        let tensor = Tensor::from_vec(values, shape, &Device::Cuda(self.device.clone()))?;
        if grids.len() >= CACHED_GRIDS {
            grids.clear();
        }
        grids.insert(grid, tensor.clone());
        Ok(tensor)
    }

    /// Width of what is widest between two products.
    fn max_width(&self) -> usize {
        self.config.ffn.width().max(3 * self.config.dim)
    }
}
