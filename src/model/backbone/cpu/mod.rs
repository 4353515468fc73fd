//! The forward pass on a CPU, in `f32`: everything a transformer block does, a panel of tokens at a time.
//!
//! A block has one place where panels need each other: attention reads the keys and values of all. So a pass is one
//! parallel loop over panels a block. In it a panel's queries meet all keys, and without leaving the core's cache it
//! goes on through the projection, the feed-forward network and both residuals to the next block's queries, keys and
//! values. Nothing of the size of tokens x tokens exists, nor the wide layer of more than a panel.
//!
//! [`panel`] is how tokens lie in memory, [`simd`] the vector units, [`product`] the matrix products, [`attention`]
//! and [`pointwise`] the rest, and `cls` what the cls token alone attends to. What is folded into the weights when they are packed: LayerScale into the last layer of
//! each branch, the softmax's scale and base into the queries.

pub mod attention;
mod cls;
pub mod matmul;
pub mod panel;
mod pass;
pub mod pointwise;
pub mod simd;
#[cfg(test)]
mod testing;

use rayon::prelude::*;

use super::config::{BackboneConfig, Ffn};
use matmul::PackedLinear;
use pointwise::CpuLayerNorm;
use simd::Isa;

/// A network with its weights packed for this machine.
#[derive(Debug)]
pub struct CpuBackbone {
    config: BackboneConfig,
    isa: Isa,
    patch_embed: PackedLinear,
    /// The cls token, with its position embedding, and the registers.
    specials: Vec<Vec<f32>>,
    blocks: Vec<CpuBlock>,
    norm: CpuLayerNorm,
}

#[derive(Debug)]
struct CpuBlock {
    norm1: CpuLayerNorm,
    qkv: PackedLinear,
    proj: PackedLinear,
    norm2: CpuLayerNorm,
    ffn_in: PackedLinear,
    ffn_out: PackedLinear,
}

/// The tokens of one requested layer.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuLayerTokens {
    /// `[B, 1 + registers, D]`.
    pub specials: Vec<f32>,
    /// `[B, rows * cols, D]`.
    pub patches: Vec<f32>,
}

impl CpuBackbone {
    /// Packs the weights of `config`, several blocks at once. `lend` calls what it is given with the numbers of a tensor,
    /// by its canonical name, once for each.
    ///
    /// # Errors
    /// What `lend` returns.
    pub fn new<E: Send>(config: BackboneConfig, lend: impl TensorProvider<E>) -> Result<Self, E> {
        let dim = config.dim;
        let isa = Isa::selected();
        let blocks = (0..config.depth).into_par_iter();
        let blocks = blocks.map(|index| CpuBlock::new(isa, &config, index, &lend));
        let blocks = blocks.collect::<Result<Vec<_>, E>>()?;
        let mut cls = copy_tensor(&lend, "cls_token")?;
        lend("pos_embed", &mut |positions| {
            cls.iter_mut().zip(positions).for_each(|(cls, p)| *cls += p);
        })?;
        let mut specials = vec![cls];
        if config.registers > 0 {
            let registers = copy_tensor(&lend, "register_tokens")?;
            specials.extend(registers.chunks_exact(dim).map(<[f32]>::to_vec));
        }
        Ok(Self {
            isa,
            patch_embed: pack_linear(isa, &lend, "patch_embed.proj", None, |_| 1.0)?,
            specials,
            blocks,
            norm: read_layer_norm(&lend, "norm", &config)?,
            config,
        })
    }
}

impl CpuBlock {
    fn new<E>(
        isa: Isa,
        config: &BackboneConfig,
        index: usize,
        lend: &impl TensorProvider<E>,
    ) -> Result<Self, E> {
        let at = |name: &str| format!("blocks.{index}.{name}");
        let head_dim = config.dim / config.heads;
        let softmax = ((head_dim as f64).powf(-0.5) * std::f64::consts::LOG2_E) as f32;
        let queries = |row: usize| if row < config.dim { softmax } else { 1.0 };
        let (first, second) = match config.ffn {
            Ffn::Mlp { .. } => ("mlp.fc1", "mlp.fc2"),
            Ffn::SwiGlu { .. } => ("mlp.w12", "mlp.w3"),
        };
        let layer = |name: &str, gamma: Option<&str>| {
            let gamma = gamma.filter(|_| config.layer_scale).map(at);
            pack_linear(isa, lend, &at(name), gamma.as_deref(), |_| 1.0)
        };
        Ok(CpuBlock {
            norm1: read_layer_norm(lend, &at("norm1"), config)?,
            qkv: pack_linear(isa, lend, &at("attn.qkv"), None, queries)?,
            proj: layer("attn.proj", Some("ls1.gamma"))?,
            norm2: read_layer_norm(lend, &at("norm2"), config)?,
            ffn_in: layer(first, None)?,
            ffn_out: layer(second, Some("ls2.gamma"))?,
        })
    }
}

/// What lends tensors by name.
pub trait TensorProvider<E>: Fn(&str, &mut dyn FnMut(&[f32])) -> Result<(), E> + Sync {}

impl<E, F: Fn(&str, &mut dyn FnMut(&[f32])) -> Result<(), E> + Sync> TensorProvider<E> for F {}

/// A layer, each row times its `scale` and its entry of `gamma`.
fn pack_linear<E>(
    isa: Isa,
    lend: &impl TensorProvider<E>,
    name: &str,
    gamma: Option<&str>,
    scale: impl Fn(usize) -> f32 + Sync,
) -> Result<PackedLinear, E> {
    let gamma = gamma.map(|gamma| copy_tensor(lend, gamma)).transpose()?;
    let bias = copy_tensor(lend, &format!("{name}.bias"))?;
    let scale = |row: usize| scale(row) * gamma.as_ref().map_or(1.0, |gamma| gamma[row]);
    let mut packed = PackedLinear::default();
    lend(&format!("{name}.weight"), &mut |weight| {
        packed = PackedLinear::new(isa, weight, &bias, scale);
    })?;
    Ok(packed)
}

fn read_layer_norm<E>(
    lend: &impl TensorProvider<E>,
    name: &str,
    config: &BackboneConfig,
) -> Result<CpuLayerNorm, E> {
    Ok(CpuLayerNorm {
        weight: copy_tensor(lend, &format!("{name}.weight"))?,
        bias: copy_tensor(lend, &format!("{name}.bias"))?,
        eps: config.norm_eps as f32,
    })
}

/// A small tensor of its own.
fn copy_tensor<E>(lend: &impl TensorProvider<E>, name: &str) -> Result<Vec<f32>, E> {
    let mut copy = Vec::new();
    lend(name, &mut |values| copy = values.to_vec())?;
    Ok(copy)
}
