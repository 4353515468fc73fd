//! The code that runs the transformer blocks of a backbone, chosen by device and number type.
//!
//! | executor | device and number type | where LayerScale is applied |
//! |---|---|---|
//! | [`CpuBackbone`](crate::model::backbone::cpu::CpuBackbone) | CPU, f32 | folded into the weights of `attn.proj` and of the feed-forward network's last layer when they are packed, in `cpu/network.rs` |
//! | `cuda::HalfPrecisionBackbone` | NVIDIA GPU from Ampere on, f16 or bf16 | folded into the same weights when they are uploaded, in `cuda/layers.rs` |
//! | candle tensors ([`Block`]) | every other device and type | multiplied onto each branch, `apply_layer_scale` in `block.rs` |
//! | [`ConstantBackbone`] | CPU, f32 | not at all: its features are made up |

use candle_core::{DType, Device};
use candle_nn::LayerNorm;

use crate::model::backbone::block::Block;
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::constant::ConstantBackbone;
use crate::model::backbone::cpu;
#[cfg(feature = "cuda")]
use crate::model::backbone::cuda;

/// The blocks and the final LayerNorm of a backbone, in the form that its device runs.
#[derive(Debug)]
pub(super) enum Executor {
    /// SIMD kernels of this crate, for f32 on CPUs.
    Cpu(Box<cpu::CpuBackbone>),
    /// CUDA kernels of this crate, for half precision on NVIDIA GPUs.
    #[cfg(feature = "cuda")]
    Cuda(Box<cuda::HalfPrecisionBackbone>),
    /// candle's tensor operations, for other GPUs and number types.
    Tensors { blocks: Vec<Block>, norm: LayerNorm },
    /// Made-up features in place of a forward pass, to measure the time of everything else.
    Constant(ConstantBackbone),
}

/// A choice of [`Executor`] for weights that are still to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExecutorKind {
    CpuKernels,
    #[cfg(feature = "cuda")]
    CudaKernels,
    Tensors,
}

impl ExecutorKind {
    /// The fastest executor for a backbone of this shape, device and number type.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables))]
    pub fn fastest_for(config: &BackboneConfig, device: &Device, dtype: DType) -> Self {
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
