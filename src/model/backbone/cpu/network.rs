//! A backbone's weights for the CPU, packed as the kernels read them; LayerScale and the softmax's scale are folded
//! into them here.

use rayon::prelude::*;

use super::matmul::PackedLinear;
use super::pointwise::CpuLayerNorm;
use super::simd::Isa;
use crate::model::backbone::config::{BackboneConfig, Ffn};

/// A backbone with its weights packed for the vector unit of this machine.
#[derive(Debug)]
pub struct CpuBackbone {
    pub(super) config: BackboneConfig,
    pub(super) isa: Isa,
    pub(super) patch_embed: PackedLinear,
    /// The special tokens, `[D]` each: the cls token with its position embedding, then the registers.
    pub(super) specials: Vec<Vec<f32>>,
    pub(super) blocks: Vec<CpuBlock>,
    /// The final LayerNorm.
    pub(super) norm: CpuLayerNorm,
}

/// The packed weights of a transformer block.
#[derive(Debug)]
pub(super) struct CpuBlock {
    pub norm1: CpuLayerNorm,
    /// Queries, keys and values; queries are scaled by `log2 e / sqrt(head_dim)`.
    pub qkv: PackedLinear,
    /// The last layer of the attention branch, with `ls1.gamma` folded in.
    pub proj: PackedLinear,
    pub norm2: CpuLayerNorm,
    pub ffn_in: PackedLinear,
    /// The last layer of the feed-forward branch, with `ls2.gamma` folded in.
    pub ffn_out: PackedLinear,
}

/// The tokens of one requested layer, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuLayerTokens {
    /// Cls token and registers, `[B, 1 + R, D]`.
    pub specials: Vec<f32>,
    /// Patch tokens, `[B, rows * cols, D]`.
    pub patches: Vec<f32>,
}

impl CpuBackbone {
    /// Packs the weights of a backbone of shape `config`, blocks in parallel, for the selected vector unit. Each tensor
    /// is read from `tensors` once, by its canonical name.
    ///
    /// # Errors
    /// Those of `tensors`.
    pub fn new<E: Send>(
        config: BackboneConfig,
        tensors: impl TensorProvider<E>,
    ) -> Result<Self, E> {
        let dim = config.dim;
        let isa = Isa::selected();
        let blocks = (0..config.depth).into_par_iter();
        let blocks = blocks.map(|index| CpuBlock::new(isa, &config, index, &tensors));
        let blocks = blocks.collect::<Result<Vec<_>, E>>()?;
        let mut cls = copy_tensor(&tensors, "cls_token")?;
        tensors("pos_embed", &mut |positions| {
            cls.iter_mut().zip(positions).for_each(|(cls, p)| *cls += p);
        })?;
        let mut specials = vec![cls];
        if config.registers > 0 {
            let registers = copy_tensor(&tensors, "register_tokens")?;
            specials.extend(registers.chunks_exact(dim).map(<[f32]>::to_vec));
        }
        Ok(Self {
            isa,
            patch_embed: pack_linear(isa, &tensors, "patch_embed.proj", None, |_| 1.0)?,
            specials,
            blocks,
            norm: read_layer_norm(&tensors, "norm", &config)?,
            config,
        })
    }
}

impl CpuBlock {
    /// Packs block `index`.
    fn new<E>(
        isa: Isa,
        config: &BackboneConfig,
        index: usize,
        tensors: &impl TensorProvider<E>,
    ) -> Result<Self, E> {
        let at = |name: &str| format!("blocks.{index}.{name}");
        let head_dim = config.dim / config.heads;
        // The softmax's scale, and log2 e, since the kernels' exponential is 2^x.
        let query_scale = ((head_dim as f64).powf(-0.5) * std::f64::consts::LOG2_E) as f32;
        let scale = |row: usize| if row < config.dim { query_scale } else { 1.0 };
        let (first, second) = match config.ffn {
            Ffn::Mlp { .. } => ("mlp.fc1", "mlp.fc2"),
            Ffn::SwiGlu { .. } => ("mlp.w12", "mlp.w3"),
        };
        let layer = |name: &str, gamma: Option<&str>| {
            let gamma = gamma.filter(|_| config.layer_scale).map(at);
            pack_linear(isa, tensors, &at(name), gamma.as_deref(), |_| 1.0)
        };
        Ok(CpuBlock {
            norm1: read_layer_norm(tensors, &at("norm1"), config)?,
            qkv: pack_linear(isa, tensors, &at("attn.qkv"), None, scale)?,
            proj: layer("attn.proj", Some("ls1.gamma"))?,
            norm2: read_layer_norm(tensors, &at("norm2"), config)?,
            ffn_in: layer(first, None)?,
            ffn_out: layer(second, Some("ls2.gamma"))?,
        })
    }
}

/// A function `(name, take)` that calls `take` with the numbers of the tensor `name`, row-major.
pub trait TensorProvider<E>: Fn(&str, &mut dyn FnMut(&[f32])) -> Result<(), E> + Sync {}

impl<E, F: Fn(&str, &mut dyn FnMut(&[f32])) -> Result<(), E> + Sync> TensorProvider<E> for F {}

/// Packs the layer `name`, each row of weight and bias times its `scale` and its entry of the LayerScale tensor
/// `gamma`.
fn pack_linear<E>(
    isa: Isa,
    tensors: &impl TensorProvider<E>,
    name: &str,
    gamma: Option<&str>,
    scale: impl Fn(usize) -> f32 + Sync,
) -> Result<PackedLinear, E> {
    let gamma = gamma.map(|gamma| copy_tensor(tensors, gamma)).transpose()?;
    let bias = copy_tensor(tensors, &format!("{name}.bias"))?;
    let scale = |row: usize| scale(row) * gamma.as_ref().map_or(1.0, |gamma| gamma[row]);
    let mut packed = PackedLinear::default();
    tensors(&format!("{name}.weight"), &mut |weight| {
        packed = PackedLinear::new(isa, weight, &bias, scale);
    })?;
    Ok(packed)
}

/// Reads `name.weight` and `name.bias`.
fn read_layer_norm<E>(
    tensors: &impl TensorProvider<E>,
    name: &str,
    config: &BackboneConfig,
) -> Result<CpuLayerNorm, E> {
    Ok(CpuLayerNorm {
        weight: copy_tensor(tensors, &format!("{name}.weight"))?,
        bias: copy_tensor(tensors, &format!("{name}.bias"))?,
        eps: config.norm_eps as f32,
    })
}

/// A copy of the tensor `name`, for small ones.
fn copy_tensor<E>(tensors: &impl TensorProvider<E>, name: &str) -> Result<Vec<f32>, E> {
    let mut copy = Vec::new();
    tensors(name, &mut |values| copy = values.to_vec())?;
    Ok(copy)
}
