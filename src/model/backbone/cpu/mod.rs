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
pub mod panel;
mod pass;
pub mod pointwise;
pub mod product;
pub mod simd;
#[cfg(test)]
mod testing;

use rayon::prelude::*;

use super::config::{BackboneConfig, Ffn};
use pointwise::Norm;
use product::Packed;
use simd::Isa;

/// A network with its weights packed for this machine.
#[derive(Debug)]
pub struct Network {
    config: BackboneConfig,
    isa: Isa,
    patch: Packed,
    /// The cls token, with its position embedding, and the registers.
    specials: Vec<Vec<f32>>,
    blocks: Vec<Block>,
    norm: Norm,
}

#[derive(Debug)]
struct Block {
    norm1: Norm,
    qkv: Packed,
    proj: Packed,
    norm2: Norm,
    first: Packed,
    second: Packed,
}

/// The tokens of one requested layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// `[B, 1 + registers, D]`.
    pub specials: Vec<f32>,
    /// `[B, rows * cols, D]`.
    pub patches: Vec<f32>,
}

impl Network {
    /// Packs the weights of `config`, several blocks at once. `lend` calls what it is given with the numbers of a tensor,
    /// by its canonical name, once for each.
    ///
    /// # Errors
    /// What `lend` returns.
    pub fn new<E: Send>(config: BackboneConfig, lend: impl Lend<E>) -> Result<Self, E> {
        let dim = config.dim;
        let isa = Isa::chosen();
        let blocks = (0..config.depth).into_par_iter();
        let blocks = blocks.map(|index| Block::new(isa, &config, index, &lend));
        let blocks = blocks.collect::<Result<Vec<_>, E>>()?;
        let mut cls = copy(&lend, "cls_token")?;
        lend("pos_embed", &mut |positions| {
            cls.iter_mut().zip(positions).for_each(|(cls, p)| *cls += p);
        })?;
        let mut specials = vec![cls];
        if config.registers > 0 {
            let registers = copy(&lend, "register_tokens")?;
            specials.extend(registers.chunks_exact(dim).map(<[f32]>::to_vec));
        }
        Ok(Self {
            isa,
            patch: packed(isa, &lend, "patch_embed.proj", None, |_| 1.0)?,
            specials,
            blocks,
            norm: norm(&lend, "norm", &config)?,
            config,
        })
    }
}

impl Block {
    fn new<E>(
        isa: Isa,
        config: &BackboneConfig,
        index: usize,
        lend: &impl Lend<E>,
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
            packed(isa, lend, &at(name), gamma.as_deref(), |_| 1.0)
        };
        Ok(Block {
            norm1: norm(lend, &at("norm1"), config)?,
            qkv: packed(isa, lend, &at("attn.qkv"), None, queries)?,
            proj: layer("attn.proj", Some("ls1.gamma"))?,
            norm2: norm(lend, &at("norm2"), config)?,
            first: layer(first, None)?,
            second: layer(second, Some("ls2.gamma"))?,
        })
    }
}

/// What lends tensors by name.
pub trait Lend<E>: Fn(&str, &mut dyn FnMut(&[f32])) -> Result<(), E> + Sync {}

impl<E, F: Fn(&str, &mut dyn FnMut(&[f32])) -> Result<(), E> + Sync> Lend<E> for F {}

/// A layer, each row times its `scale` and its entry of `gamma`.
fn packed<E>(
    isa: Isa,
    lend: &impl Lend<E>,
    name: &str,
    gamma: Option<&str>,
    scale: impl Fn(usize) -> f32 + Sync,
) -> Result<Packed, E> {
    let gamma = gamma.map(|gamma| copy(lend, gamma)).transpose()?;
    let bias = copy(lend, &format!("{name}.bias"))?;
    let scale = |row: usize| scale(row) * gamma.as_ref().map_or(1.0, |gamma| gamma[row]);
    let mut packed = Packed::default();
    lend(&format!("{name}.weight"), &mut |weight| {
        packed = Packed::new(isa, weight, &bias, scale);
    })?;
    Ok(packed)
}

fn norm<E>(lend: &impl Lend<E>, name: &str, config: &BackboneConfig) -> Result<Norm, E> {
    Ok(Norm {
        weight: copy(lend, &format!("{name}.weight"))?,
        bias: copy(lend, &format!("{name}.bias"))?,
        eps: config.norm_eps as f32,
    })
}

/// A small tensor of its own.
fn copy<E>(lend: &impl Lend<E>, name: &str) -> Result<Vec<f32>, E> {
    let mut copy = Vec::new();
    lend(name, &mut |values| copy = values.to_vec())?;
    Ok(copy)
}
