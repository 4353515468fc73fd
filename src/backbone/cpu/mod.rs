//! The forward pass on a CPU, in `f32`: everything a transformer block does, a panel of tokens at a time.
//!
//! A block has one place where panels need each other: attention reads the keys and values of all. So a pass is one
//! parallel loop over panels a block. In it a panel's queries meet all keys, and without leaving the core's cache it
//! goes on through the projection, the feed-forward network and both residuals to the next block's queries, keys and
//! values. Nothing of the size of tokens x tokens exists, nor the wide layer of more than a panel.
//!
//! [`panel`] is how tokens lie in memory, [`simd`] the vector units, [`product`] the matrix products, [`attention`]
//! and [`pointwise`] the rest. What is folded into the weights when they are packed: LayerScale into the last layer of
//! each branch, the softmax's scale and base into the queries.

pub mod attention;
pub mod panel;
mod pass;
pub mod pointwise;
pub mod product;
pub mod simd;
#[cfg(test)]
mod testing;

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
    /// Packs the weights of `config`. `lend` calls what it is given with the numbers of a tensor, by its canonical
    /// name, once for each.
    ///
    /// # Errors
    /// What `lend` returns.
    pub fn new<E>(
        config: BackboneConfig,
        mut lend: impl FnMut(&str, &mut dyn FnMut(&[f32])) -> Result<(), E>,
    ) -> Result<Self, E> {
        let dim = config.dim;
        let mut layer = |name: &str, gamma: Option<&str>, scale: &(dyn Fn(usize) -> f32 + Sync)| {
            let gamma = gamma.map(|gamma| copy(&mut lend, gamma)).transpose()?;
            let bias = copy(&mut lend, &format!("{name}.bias"))?;
            let scale = |row: usize| scale(row) * gamma.as_ref().map_or(1.0, |gamma| gamma[row]);
            let mut packed = Packed::default();
            lend(&format!("{name}.weight"), &mut |weight| {
                packed = Packed::new(weight, &bias, scale);
            })?;
            Ok(packed)
        };
        let head_dim = dim / config.heads;
        let softmax = (head_dim as f64).powf(-0.5) * std::f64::consts::LOG2_E;
        let queries = |row: usize| if row < dim { softmax as f32 } else { 1.0 };
        let same = |_: usize| 1.0;
        let (first, second) = match config.ffn {
            Ffn::Mlp { .. } => ("mlp.fc1", "mlp.fc2"),
            Ffn::SwiGlu { .. } => ("mlp.w12", "mlp.w3"),
        };
        let patch = layer("patch_embed.proj", None, &same)?;
        let mut products = Vec::with_capacity(config.depth);
        for index in 0..config.depth {
            let at = |name: &str| format!("blocks.{index}.{name}");
            let (ls1, ls2) = (at("ls1.gamma"), at("ls2.gamma"));
            let gamma = |name| config.layer_scale.then_some(name);
            products.push((
                layer(&at("attn.qkv"), None, &queries)?,
                layer(&at("attn.proj"), gamma(ls1.as_str()), &same)?,
                layer(&at(first), None, &same)?,
                layer(&at(second), gamma(ls2.as_str()), &same)?,
            ));
        }
        let mut norm = |name: &str| {
            Ok(Norm {
                weight: copy(&mut lend, &format!("{name}.weight"))?,
                bias: copy(&mut lend, &format!("{name}.bias"))?,
                eps: config.norm_eps as f32,
            })
        };
        let mut blocks = Vec::with_capacity(config.depth);
        for (index, (qkv, proj, first, second)) in products.into_iter().enumerate() {
            blocks.push(Block {
                norm1: norm(&format!("blocks.{index}.norm1"))?,
                qkv,
                proj,
                norm2: norm(&format!("blocks.{index}.norm2"))?,
                first,
                second,
            });
        }
        let last = norm("norm")?;
        let mut cls = copy(&mut lend, "cls_token")?;
        lend("pos_embed", &mut |positions| {
            cls.iter_mut().zip(positions).for_each(|(cls, p)| *cls += p);
        })?;
        let mut specials = vec![cls];
        if config.registers > 0 {
            let registers = copy(&mut lend, "register_tokens")?;
            specials.extend(registers.chunks_exact(dim).map(<[f32]>::to_vec));
        }
        Ok(Self {
            config,
            isa: Isa::best(),
            patch,
            specials,
            blocks,
            norm: last,
        })
    }
}

/// A small tensor of its own.
fn copy<E>(
    lend: &mut impl FnMut(&str, &mut dyn FnMut(&[f32])) -> Result<(), E>,
    name: &str,
) -> Result<Vec<f32>, E> {
    let mut copy = Vec::new();
    lend(name, &mut |values| copy = values.to_vec())?;
    Ok(copy)
}
