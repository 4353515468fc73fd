//! The weights of a transformer block on a GPU, read from a checkpoint; LayerScale is folded into them here.

use candle_core::{DType, Tensor};

use super::memory::DeviceAddress;
use crate::error::Result;
use crate::model::backbone::block::PrefixedWeights;
use crate::model::backbone::config::{BackboneConfig, Ffn};

/// The weights of a transformer block.
#[derive(Debug)]
pub(super) struct CudaBlock {
    pub norm1: CudaLayerNorm,
    pub qkv: CudaLinear,
    /// The last layer of the attention branch, with `ls1.gamma` folded in.
    pub proj: CudaLinear,
    pub norm2: CudaLayerNorm,
    pub ffn_in: CudaLinear,
    /// The last layer of the feed-forward branch, with `ls2.gamma` folded in.
    pub ffn_out: CudaLinear,
}

/// A linear layer: weight `[outputs, inputs]` and bias `[outputs]` in half precision. The bias of a branch's last layer
/// is f32, as the residual stream that it is added to.
#[derive(Debug)]
pub(super) struct CudaLinear {
    pub weight: Tensor,
    bias: Tensor,
}

impl CudaLinear {
    /// Reads `name.weight` and `name.bias`.
    fn new(weights: &PrefixedWeights<'_>, name: &str) -> Result<Self> {
        Ok(CudaLinear {
            weight: weights.get(&format!("{name}.weight"))?,
            bias: weights.get(&format!("{name}.bias"))?,
        })
    }

    /// The last layer of a residual branch with its LayerScale factors `gamma` `[outputs]` multiplied into the rows of
    /// the weight and into the bias, in f32; then the weight is rounded to `half`.
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

    /// The layer with its weight in another type, and its bias too unless that is f32.
    fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(CudaLinear {
            weight: self.weight.to_dtype(dtype)?,
            bias: match self.bias.dtype() {
                DType::F32 => self.bias.clone(),
                _ => self.bias.to_dtype(dtype)?,
            },
        })
    }

    /// Where weight and bias lie on the GPU.
    pub fn addresses(&self) -> candle_core::Result<(DeviceAddress, DeviceAddress)> {
        Ok((
            DeviceAddress::of(&self.weight)?,
            DeviceAddress::of(&self.bias)?,
        ))
    }
}

/// Weight and bias of a LayerNorm, `[D]` each, in f32.
#[derive(Debug, Clone)]
pub(super) struct CudaLayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl CudaLayerNorm {
    /// Reads `name.weight` and `name.bias`.
    pub fn new(weights: &PrefixedWeights<'_>, name: &str) -> Result<Self> {
        Ok(CudaLayerNorm {
            weight: weights.get(&format!("{name}.weight"))?,
            bias: weights.get(&format!("{name}.bias"))?,
        })
    }

    /// Where weight and bias lie on the GPU.
    pub fn addresses(&self) -> candle_core::Result<(DeviceAddress, DeviceAddress)> {
        Ok((
            DeviceAddress::of(&self.weight)?,
            DeviceAddress::of(&self.bias)?,
        ))
    }
}

impl CudaBlock {
    /// Reads block `index`: `narrow` gives weights as `half`, `wide` as f32.
    pub fn new(
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
        let last_layer = |name: &str, gamma: &str| {
            let gamma = || wide.get(&at(gamma));
            let gamma = config.layer_scale.then(gamma).transpose()?;
            CudaLinear::with_layer_scale(wide, &at(name), gamma, half)
        };
        Ok(CudaBlock {
            norm1: CudaLayerNorm::new(wide, &at("norm1"))?,
            qkv: CudaLinear::new(narrow, &at("attn.qkv"))?,
            proj: last_layer("attn.proj", "ls1.gamma")?,
            norm2: CudaLayerNorm::new(wide, &at("norm2"))?,
            ffn_in: CudaLinear::new(narrow, &at(first))?,
            ffn_out: last_layer(second, "ls2.gamma")?,
        })
    }

    /// The block with the weights of its products in another type.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
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
