//! Building a [`Backbone`] from the tensors of a checkpoint, for one device and number type.
//!
//! Tensors come from a [`TensorSource`] under canonical names, must be exactly those of the [`BackboneConfig`], and
//! must be finite; the [`Executor`] is the fastest that the device has.

use candle_core::{DType, Device, Tensor};

use crate::error::Result;
use crate::model::backbone::block::{Block, PrefixedWeights};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::constant::ConstantBackbone;
use crate::model::backbone::cpu;
#[cfg(feature = "cuda")]
use crate::model::backbone::cuda;
use crate::model::backbone::embeddings::{EmbeddingWeights, Embeddings};
use crate::model::backbone::executor::{Executor, ExecutorKind};
use crate::model::backbone::tensor_source::{
    CheckpointTensorSource, FiniteTensorSource, TensorSource,
};
use crate::model::backbone::vit::Backbone;

impl Backbone {
    /// Builds the backbone of shape `config` on `device`, computing in `dtype`. The checkpoint must hold exactly the
    /// tensors of that shape. For f32 on a CPU each tensor is freed as soon as it has been packed, so that weights are
    /// not in memory twice; else the checkpoint is freed at the end.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) for tensors that are missing, left over, of another shape or not finite;
    /// [`Error::Tensor`](crate::Error::Tensor) if the device has not enough memory.
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

    /// As [`Backbone::new`], with the tensors read one by one from `source`.
    ///
    /// # Errors
    /// As [`Backbone::new`], and those of `source`.
    pub fn from_source(
        config: BackboneConfig,
        source: &dyn TensorSource,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let kind = ExecutorKind::fastest_for(&config, device, dtype);
        Self::build(config, source, device, dtype, kind)
    }

    /// As [`Backbone::new`], but with candle's tensor operations on every device. On a CPU this is slower than the
    /// kernels of this crate and serves as their reference in tests.
    ///
    /// # Errors
    /// As [`Backbone::new`].
    pub fn with_tensors(
        config: BackboneConfig,
        checkpoint: Checkpoint,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let source = CheckpointTensorSource::from(checkpoint);
        Self::build(config, &source, device, dtype, ExecutorKind::Tensors)
    }

    /// A backbone of shape `config` on the CPU that returns the same made-up features for every photo of a size,
    /// without computing them, to measure the time of everything else.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if there is not enough memory.
    pub fn constant(config: BackboneConfig) -> Result<Self> {
        let (d, device, dtype) = (config.dim, Device::Cpu, DType::F32);
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dtype, &device);
        let weights = EmbeddingWeights {
            patch_weight: zeros(&[d, 3 * config.patch_size.pow(2)])?,
            patch_bias: zeros(&[d])?,
            cls_token: zeros(&[1, 1, d])?,
            registers: match config.registers {
                0 => None,
                count => Some(zeros(&[1, count, d])?),
            },
            pos_cls: zeros(&[1, 1, d])?,
            pos_patches: vec![0.0; config.native_grid.pow(2) * d],
        };
        Ok(Self {
            embeddings: Embeddings::new(config, weights, &device, dtype),
            executor: Executor::Constant(ConstantBackbone::new()),
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
        kind: ExecutorKind,
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
        let executor = match kind {
            ExecutorKind::CpuKernels => {
                let tensors =
                    |name: &str, take: &mut dyn FnMut(&[f32])| source.consume_tensor(name, take);
                Executor::Cpu(Box::new(cpu::CpuBackbone::new(config, tensors)?))
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
        let weights = EmbeddingWeights {
            patch_weight,
            patch_bias,
            cls_token,
            registers,
            pos_cls,
            pos_patches,
        };
        Ok(Self {
            embeddings: Embeddings::new(config, weights, device, dtype),
            executor,
            device: device.clone(),
            dtype,
            config,
        })
    }
}
