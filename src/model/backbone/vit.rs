//! The forward pass of a DINO Vision Transformer, after `DinoVisionTransformer` in facebookresearch/dinov2.
//!
//! One pass serves any union of blocks: it returns the patch tokens, cls token and registers of every requested
//! block and stops after the deepest one.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};
use candle_nn::{LayerNorm, Module};

use crate::error::{Error, Result};
use crate::model::backbone::block::{Block, PrefixedWeights};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::constant::ConstantBackbone;
use crate::model::backbone::cpu;
#[cfg(feature = "cuda")]
use crate::model::backbone::cuda;
use crate::model::backbone::pos_embed;
use crate::model::backbone::tensor_source::{
    CheckpointTensorSource, FiniteTensorSource, TensorSource, with_floats,
};
use crate::model::input::Grid;

/// Position embeddings of this many grid sizes are kept; a folder of photos rarely has more.
const CACHED_GRIDS: usize = 16;

/// One block's output, asked of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerRequest {
    /// 0-based index of the block.
    pub block: usize,
    /// Whether the backbone's final LayerNorm is applied to it.
    pub norm: bool,
}

/// The tokens of one block.
#[derive(Debug, Clone)]
pub struct LayerFeatures {
    /// What was asked for.
    pub request: LayerRequest,
    /// `[B, rows * cols, D]`, row-major.
    pub patch_tokens: Tensor,
    /// `[B, D]`.
    pub cls_token: Tensor,
    /// `[B, R, D]`; R is 0 in models without registers.
    pub registers: Tensor,
}

/// The result of a forward pass.
#[derive(Debug, Clone)]
pub struct Features {
    /// In the order of the requests.
    pub layers: Vec<LayerFeatures>,
    /// The patch grid of the input.
    pub grid: Grid,
    /// Of a coarser look at the same input, where there was one.
    pub coarse: Option<Box<Features>>,
}

impl Features {
    /// Refuses what no sound weights give.
    fn check_finite(&self) -> Result<()> {
        for layer in &self.layers {
            let tokens = [&layer.patch_tokens, &layer.cls_token, &layer.registers];
            for tokens in tokens {
                // One number crosses from the device; a NaN or an infinity is in it too, where it is in any of them.
                let tokens = tokens.flatten_all()?;
                if tokens.elem_count() > 0 && !tokens.sum_all()?.to_scalar::<f32>()?.is_finite() {
                    return Err(Error::Model(format!(
                        "the backbone gave numbers that are not finite in block {}: its weights are damaged, or too large for \
                         the number type it runs in (`dino models info NAME --verify` looks at the file, --dtype f32 is the widest)",
                        layer.request.block
                    )));
                }
            }
        }
        Ok(())
    }
}

/// A frozen backbone, ready to run on one device.
#[derive(Debug)]
pub struct Backbone {
    config: BackboneConfig,
    patch_weight: Tensor, // [D, 3 * p * p]
    patch_bias: Tensor,   // [D]
    cls_token: Tensor,    // [1, 1, D]
    registers: Option<Tensor>,
    pos_cls: Tensor,       // [1, 1, D]
    pos_patches: Vec<f32>, // [native, native, D]
    pos_cache: Mutex<HashMap<Grid, Tensor>>,
    pub(super) executor: Executor,
    device: Device,
    dtype: DType,
}

/// What runs the blocks.
#[derive(Debug)]
pub(super) enum Executor {
    /// Kernels of our own, for `f32` on CPUs.
    Cpu(Box<cpu::CpuBackbone>),
    /// Kernels of our own, for half precision on NVIDIA GPUs.
    #[cfg(feature = "cuda")]
    Cuda(Box<cuda::HalfPrecisionBackbone>),
    /// candle's tensors, for other GPUs and number types.
    Tensors { blocks: Vec<Block>, norm: LayerNorm },
    /// Nothing: what they would give is made up.
    Constant(ConstantBackbone),
}

/// A choice of [`Executor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExecutorKind {
    CpuKernels,
    #[cfg(feature = "cuda")]
    CudaKernels,
    Tensors,
}

impl ExecutorKind {
    /// The fastest that there is for a network.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    fn fastest_for(config: &BackboneConfig, device: &Device, dtype: DType) -> Self {
        match (device, dtype) {
            (Device::Cpu, DType::F32) => ExecutorKind::CpuKernels,
            #[cfg(feature = "cuda")]
            (Device::Cuda(gpu), DType::F16 | DType::BF16)
                if cuda::CudaBackbone::supports(config, gpu) =>
            {
                ExecutorKind::CudaKernels
            }
            _ => ExecutorKind::Tensors,
        }
    }
}

impl Backbone {
    /// Builds the network of `config` from a checkpoint that must hold exactly its tensors. They are let go of one by
    /// one, so that weights are not in memory twice.
    pub fn new(
        config: BackboneConfig,
        checkpoint: Checkpoint,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        Self::from_source(
            config,
            &CheckpointTensorSource::from(checkpoint),
            device,
            dtype,
        )
    }

    /// As [`Backbone::new`], from wherever the tensors are.
    pub fn from_source(
        config: BackboneConfig,
        source: &dyn TensorSource,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let by = ExecutorKind::fastest_for(&config, device, dtype);
        Self::build(config, source, device, dtype, by)
    }

    /// As [`Backbone::new`], but by candle's tensors on every device: slower on a CPU, and the same numbers.
    pub fn with_tensors(
        config: BackboneConfig,
        checkpoint: Checkpoint,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let source = CheckpointTensorSource::from(checkpoint);
        Self::build(config, &source, device, dtype, ExecutorKind::Tensors)
    }

    /// A network of the shape of `config` on the CPU that gives the same features for every photo of a size, at once: to
    /// measure everything but the network.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn constant(config: BackboneConfig) -> Result<Self> {
        let (d, device, dtype) = (config.dim, Device::Cpu, DType::F32);
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dtype, &device);
        Ok(Self {
            patch_weight: zeros(&[d, 3 * config.patch_size.pow(2)])?,
            patch_bias: zeros(&[d])?,
            cls_token: zeros(&[1, 1, d])?,
            registers: match config.registers {
                0 => None,
                count => Some(zeros(&[1, count, d])?),
            },
            pos_cls: zeros(&[1, 1, d])?,
            pos_patches: vec![0.0; config.native_grid.pow(2) * d],
            pos_cache: Mutex::default(),
            executor: Executor::Constant(ConstantBackbone::default()),
            device,
            dtype,
            config,
        })
    }

    fn build(
        config: BackboneConfig,
        source: &dyn TensorSource,
        device: &Device,
        dtype: DType,
        by: ExecutorKind,
    ) -> Result<Self> {
        source.validate(&config)?;
        let source = &FiniteTensorSource(source);
        let d = config.dim;
        let native = config.native_grid * config.native_grid;
        // Interpolated in f32 whatever the dtype, as the reference does.
        let pos_embed = source
            .tensor("pos_embed")?
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?;
        let weights = PrefixedWeights::new(source, device, dtype);
        let patch_weight = weights
            .get("patch_embed.proj.weight")?
            .reshape((d, 3 * config.patch_size.pow(2)))?;
        let patch_bias = weights.get("patch_embed.proj.bias")?;
        let cls_token = weights.get("cls_token")?;
        let registers = match config.registers {
            0 => None,
            _ => Some(weights.get("register_tokens")?),
        };
        let pos_cls = weights.get("pos_embed")?.narrow(1, 0, 1)?;
        let pos_patches: Vec<f32> = pos_embed.narrow(1, 1, native)?.flatten_all()?.to_vec1()?;
        let executor = match by {
            ExecutorKind::CpuKernels => {
                let lend =
                    |name: &str, take: &mut dyn FnMut(&[f32])| source.consume_tensor(name, take);
                Executor::Cpu(Box::new(cpu::CpuBackbone::new(config, lend)?))
            }
            #[cfg(feature = "cuda")]
            ExecutorKind::CudaKernels => {
                let wide = PrefixedWeights::new(source, device, DType::F32);
                let gpu = device.as_cuda_device()?;
                let positions = pos_patches.clone();
                let gpu = (gpu, dtype);
                let network = cuda::CudaBackbone::new(config, (&weights, &wide), positions, gpu)?;
                Executor::Cuda(Box::new(network.into()))
            }
            ExecutorKind::Tensors => Executor::Tensors {
                blocks: (0..config.depth)
                    .map(|i| Block::new(&weights, i, &config))
                    .collect::<Result<_, _>>()?,
                norm: weights.layer_norm("norm", config.norm_eps)?,
            },
        };
        Ok(Self {
            patch_weight,
            patch_bias,
            cls_token,
            registers,
            pos_cls,
            pos_patches,
            pos_cache: Mutex::default(),
            executor,
            device: device.clone(),
            dtype,
            config,
        })
    }

    /// The shape of the network.
    pub fn config(&self) -> &BackboneConfig {
        &self.config
    }

    /// The device it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes that [`Backbone::forward`] is going to need on a CPU for one photo and `layers` requests, with its pixels
    /// and what it returns, beside the weights; unknown elsewhere.
    pub fn planned_memory(&self, grid: Grid, layers: usize) -> Option<u64> {
        match self.executor {
            Executor::Cpu(_) => (),
            Executor::Constant(_) => return Some(self.feature_memory(grid, layers)),
            _ => return None,
        }
        let d = self.config.dim;
        let tokens = 1 + self.config.registers + grid.len();
        // The stream; queries, keys and values of a block and the next; what is returned.
        let features = tokens * d * (1 + 2 * 3 + layers);
        let pixels = 3 * grid.len() * self.config.patch_size.pow(2);
        let positions = grid.len() * d;
        Some(4 * (features + pixels + positions) as u64)
    }

    /// Bytes of its device that [`Backbone::forward`] takes for one photo and `layers` requests, beside the weights
    /// and what does not grow with the number of photos: an estimate from above, for the choice of a batch.
    pub fn device_memory(&self, grid: Grid, layers: usize) -> u64 {
        let config = &self.config;
        let tokens = 1 + config.registers + grid.len();
        let blocks = tokens * config.bytes_per_token(self.dtype.size_in_bytes());
        // As they come, and as patches.
        let pixels = 2 * 4 * 3 * grid.len() * config.patch_size.pow(2);
        (blocks + pixels) as u64 + self.feature_memory(grid, layers)
    }

    /// Bytes of the features of one photo, of `layers` requests.
    pub fn feature_memory(&self, grid: Grid, layers: usize) -> u64 {
        let tokens = 1 + self.config.registers + grid.len();
        4 * (tokens * self.config.dim * layers) as u64
    }

    /// Runs normalised RGB `pixels` `[B, 3, H, W]` (sides multiples of the patch size) and returns the requested
    /// layers in the order of `requests`, as f32.
    ///
    /// # Errors
    /// [`Error::Model`] for a block that is not there, sides that do not fit, and features that are not finite;
    /// [`Error::Memory`] or [`Error::Tensor`] if the device has not enough.
    pub fn forward(&self, pixels: &Tensor, requests: &[LayerRequest]) -> Result<Features> {
        self.forward_with_progress(pixels, requests, &|_, _| ())
    }

    /// As [`Backbone::forward`]; `tick` is called behind each block with how many of how many are done.
    ///
    /// # Errors
    /// As [`Backbone::forward`].
    pub fn forward_with_progress(
        &self,
        pixels: &Tensor,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Features> {
        let deepest = requests.iter().map(|r| r.block).max().unwrap_or(0);
        self.check_block(deepest)?;
        let grid = self.patch_grid(pixels)?;
        let layers = match &self.executor {
            Executor::Cpu(network) => self.forward_on_cpu(network, pixels, grid, requests, tick)?,
            // It looks for numbers that are not finite itself.
            #[cfg(feature = "cuda")]
            Executor::Cuda(network) => {
                let layers = network.forward(pixels, grid, requests, tick)?;
                return Ok(Features {
                    layers,
                    grid,
                    coarse: None,
                });
            }
            // Finite as it is.
            Executor::Constant(constant) => {
                tick(deepest + 1, deepest + 1);
                let batch = pixels.dim(0)?;
                return Ok(Features {
                    layers: constant.layers(&self.config, grid, batch, requests)?,
                    grid,
                    coarse: None,
                });
            }
            Executor::Tensors { blocks, norm } => {
                let mut x = self.prepare_tokens(pixels, grid)?;
                let mut layers: Vec<Option<LayerFeatures>> = vec![None; requests.len()];
                for (index, block) in blocks.iter().enumerate().take(deepest + 1) {
                    x = block.forward(&x)?;
                    tick(index + 1, deepest + 1);
                    for (slot, request) in layers.iter_mut().zip(requests) {
                        if request.block == index {
                            *slot = Some(self.split_tokens(&x, norm, *request)?);
                        }
                    }
                }
                layers.into_iter().flatten().collect()
            }
        };
        let features = Features {
            layers,
            grid,
            coarse: None,
        };
        features.check_finite()?;
        Ok(features)
    }

    /// Photos of normalised RGB, each `[3, H, W]`, as pixels `[B, 3, H, W]` where this backbone reads them, in one copy;
    /// nothing where it reads them from a stack of them on the CPU.
    ///
    /// # Errors
    /// If there is not enough memory, or their sizes differ.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    pub fn stage_pixels(&self, photos: &[&[f32]], size: (usize, usize)) -> Result<Option<Tensor>> {
        match &self.executor {
            #[cfg(feature = "cuda")]
            Executor::Cuda(network) => network.stage_pixels(photos, size).map(Some),
            _ => Ok(None),
        }
    }

    /// The number type that products are computed in: that which was asked for, or bf16 where f16 has overflowed.
    pub fn dtype(&self) -> DType {
        match &self.executor {
            #[cfg(feature = "cuda")]
            Executor::Cuda(network) => network.dtype(),
            _ => self.dtype,
        }
    }

    /// Whether f16 was asked for and did not hold this network's numbers.
    pub fn has_overflowed(&self) -> bool {
        self.dtype() != self.dtype
    }

    /// Refuses a block that is not there.
    pub(super) fn check_block(&self, block: usize) -> Result<()> {
        match block < self.config.depth {
            true => Ok(()),
            false => Err(Error::Model(format!(
                "block {block} was asked for, but this backbone has blocks 0 to {}",
                self.config.depth - 1
            ))),
        }
    }

    fn forward_on_cpu(
        &self,
        network: &cpu::CpuBackbone,
        pixels: &Tensor,
        grid: Grid,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Vec<LayerFeatures>> {
        let b = pixels.dim(0)?;
        let (d, registers) = (self.config.dim, self.config.registers);
        let positions = self.position_embedding(grid)?;
        let found = with_floats(pixels, |pixels| {
            with_floats(&positions, |positions| {
                network.forward(pixels, grid, positions, requests, tick)
            })
        })???;
        let layer = |(tokens, &request): (cpu::CpuLayerTokens, &LayerRequest)| {
            let specials = Tensor::from_vec(tokens.specials, (b, 1 + registers, d), &Device::Cpu)?;
            let patches = (b, grid.len(), d);
            Ok(LayerFeatures {
                request,
                patch_tokens: Tensor::from_vec(tokens.patches, patches, &Device::Cpu)?,
                cls_token: specials.narrow(1, 0, 1)?.squeeze(1)?,
                registers: specials.narrow(1, 1, registers)?,
            })
        };
        found.into_iter().zip(requests).map(layer).collect()
    }

    /// Patch tokens before position embedding: `[B, 3, H, W]` to `[B, rows * cols, D]`.
    pub fn embed_patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let Grid { rows, cols } = self.patch_grid(pixels)?;
        let (b, p) = (pixels.dim(0)?, self.config.patch_size);
        // A stride-p convolution with a p x p kernel is one matrix product over cut-out patches.
        let patches = pixels
            .to_device(&self.device)?
            .to_dtype(self.dtype)?
            .reshape(vec![b, 3, rows, p, cols, p])?
            .permute(vec![0, 2, 4, 1, 3, 5])? // [B, rows, cols, 3, p, p]
            .reshape((b * rows * cols, 3 * p * p))?;
        let tokens = patches
            .matmul(&self.patch_weight.t()?)?
            .broadcast_add(&self.patch_bias)?;
        Ok(tokens.reshape((b, rows * cols, self.config.dim))?)
    }

    /// The position embedding of a grid's patches, `[1, rows * cols, D]`, interpolated once per grid size.
    pub fn position_embedding(&self, grid: Grid) -> Result<Tensor> {
        let mut cache = self
            .pos_cache
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = cache.get(&grid) {
            return Ok(known.clone());
        }
        let (side, dim) = (self.config.native_grid, self.config.dim);
        let values = pos_embed::interpolate(
            &self.pos_patches,
            side,
            dim,
            self.config.pos_embed,
            grid.rows,
            grid.cols,
        );
        let tensor = Tensor::from_vec(values, (1, grid.len(), dim), &Device::Cpu)?
            .to_device(&self.device)?
            .to_dtype(self.dtype)?;
        if cache.len() >= CACHED_GRIDS {
            cache.clear();
        }
        cache.insert(grid, tensor.clone());
        Ok(tensor)
    }

    /// cls token, registers and patch tokens as they enter the first block: `[B, 1 + R + rows * cols, D]`.
    pub(super) fn prepare_tokens(&self, pixels: &Tensor, grid: Grid) -> Result<Tensor> {
        let patches = self
            .embed_patches(pixels)?
            .broadcast_add(&self.position_embedding(grid)?)?;
        let (b, _, d) = patches.dims3()?;
        let cls = (&self.cls_token + &self.pos_cls)?.broadcast_as((b, 1, d))?;
        Ok(match &self.registers {
            // Registers get no position embedding.
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

    /// Splits the tokens `x` `[B, N, D]` after a block into their kinds.
    fn split_tokens(
        &self,
        x: &Tensor,
        norm: &LayerNorm,
        request: LayerRequest,
    ) -> Result<LayerFeatures> {
        let x = if request.norm {
            norm.forward(x)?
        } else {
            x.clone()
        }
        .to_dtype(DType::F32)?;
        let skip = 1 + self.config.registers;
        Ok(LayerFeatures {
            request,
            cls_token: x.narrow(1, 0, 1)?.squeeze(1)?,
            registers: x.narrow(1, 1, self.config.registers)?,
            patch_tokens: x.narrow(1, skip, x.dim(1)? - skip)?.contiguous()?,
        })
    }

    pub(super) fn patch_grid(&self, pixels: &Tensor) -> Result<Grid> {
        let (_, c, h, w) = pixels.dims4()?;
        let p = self.config.patch_size;
        if c != 3 || h == 0 || w == 0 || h % p != 0 || w % p != 0 {
            return Err(Error::Model(format!(
                "the backbone takes 3 channels with sides that are multiples of {p}, found {c} channels of {w}x{h}"
            )));
        }
        Ok(Grid {
            rows: h / p,
            cols: w / p,
        })
    }
}
