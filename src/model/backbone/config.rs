//! The shape of a DINO Vision Transformer as data, the tensors that such a shape needs, and its cost in floating-point
//! operations and bytes.
//!
//! Field by field the arguments of `DinoVisionTransformer` in facebookresearch/dinov2; the values of the published
//! models are in [`variants`](super::variants).

/// Everything that distinguishes one ViT of the family from another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackboneConfig {
    /// Side of a square patch, in pixels.
    pub patch_size: usize,
    /// Width of a token (D).
    pub dim: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Number of attention heads; each is `dim / heads` wide.
    pub heads: usize,
    /// The feed-forward network of a block.
    pub ffn: Ffn,
    /// Number of register tokens (R), between the cls token and the patch tokens.
    pub registers: usize,
    /// Whether each residual branch has LayerScale, a factor per channel (DINOv2: yes, DINO v1: no).
    pub layer_scale: bool,
    /// Side of the square patch grid that the position embedding was trained at, in patches.
    pub native_grid: usize,
    /// How the position embedding is interpolated to another grid.
    pub pos_embed: PosEmbedRule,
    /// Epsilon of every LayerNorm, added to the variance.
    pub norm_eps: f64,
}

/// The feed-forward network of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ffn {
    /// `fc2(gelu(fc1(x)))` with the exact (erf) GELU.
    Mlp {
        /// Width between the two layers; 4 D in all published models.
        hidden: usize,
    },
    /// SwiGLU (Shazeer, 2020): `w3(silu(x1) * x2)` with `[x1, x2] = w12(x)`.
    SwiGlu {
        /// Width of `x1` and of `x2`.
        hidden: usize,
    },
}

impl Ffn {
    /// Width of the first layer's output: `hidden`, or both halves of SwiGLU.
    pub fn width(self) -> usize {
        match self {
            Ffn::Mlp { hidden } => hidden,
            Ffn::SwiGlu { hidden } => 2 * hidden,
        }
    }
}

/// How a position embedding is interpolated to another grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PosEmbedRule {
    /// Added to the grid's side before it is divided by the native side (`interpolate_offset`), in patches; 0 is the
    /// exact size.
    pub offset: f64,
    /// Whether the bicubic kernel is antialiased (A = -0.5) instead of plain (A = -0.75).
    pub antialias: bool,
}

impl BackboneConfig {
    /// Floating-point operations of the matrix products in a pass of one photo of `patches` patches: patch embedding
    /// and all blocks. A multiply-add counts as two.
    pub fn flops(&self, patches: usize) -> f64 {
        let tokens = (1 + self.registers + patches) as f64;
        let d = self.dim as f64;
        let ffn = match self.ffn {
            Ffn::Mlp { hidden } => 2.0 * d * hidden as f64,
            Ffn::SwiGlu { hidden } => 3.0 * d * hidden as f64,
        };
        let block = tokens * (4.0 * d * d + ffn) + 2.0 * tokens * tokens * d;
        let embed = patches as f64 * d * 3.0 * self.patch_size.pow(2) as f64;
        2.0 * (embed + self.depth as f64 * block)
    }

    /// Bytes of intermediate results per token in a block that computes in numbers of `size` bytes, with the f32
    /// residual stream.
    pub fn bytes_per_token(&self, size: usize) -> usize {
        // The LayerNorm's output; queries, keys and values; attention's output; the feed-forward network's first layer.
        4 * self.dim + size * (self.dim * (1 + 3 + 1) + self.ffn.width())
    }

    /// Name and shape of every tensor of this shape, under the names of the original DINO and DINOv2 checkpoints and in
    /// a fixed order.
    ///
    /// `mask_token` is left out: it is not used at inference.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let d = self.dim;
        let mut shapes = vec![
            ("cls_token".to_owned(), vec![1, 1, d]),
            (
                "pos_embed".to_owned(),
                vec![1, 1 + self.native_grid * self.native_grid, d],
            ),
        ];
        if self.registers > 0 {
            shapes.push(("register_tokens".to_owned(), vec![1, self.registers, d]));
        }
        shapes.push((
            "patch_embed.proj.weight".to_owned(),
            vec![d, 3, self.patch_size, self.patch_size],
        ));
        shapes.push(("patch_embed.proj.bias".to_owned(), vec![d]));
        for i in 0..self.depth {
            let mut add =
                |name: &str, shape: Vec<usize>| shapes.push((format!("blocks.{i}.{name}"), shape));
            add("norm1.weight", vec![d]);
            add("norm1.bias", vec![d]);
            add("attn.qkv.weight", vec![3 * d, d]);
            add("attn.qkv.bias", vec![3 * d]);
            add("attn.proj.weight", vec![d, d]);
            add("attn.proj.bias", vec![d]);
            if self.layer_scale {
                add("ls1.gamma", vec![d]);
            }
            add("norm2.weight", vec![d]);
            add("norm2.bias", vec![d]);
            let (first, second, wide, hidden) = match self.ffn {
                Ffn::Mlp { hidden } => ("mlp.fc1", "mlp.fc2", hidden, hidden),
                Ffn::SwiGlu { hidden } => ("mlp.w12", "mlp.w3", 2 * hidden, hidden),
            };
            add(&format!("{first}.weight"), vec![wide, d]);
            add(&format!("{first}.bias"), vec![wide]);
            add(&format!("{second}.weight"), vec![d, hidden]);
            add(&format!("{second}.bias"), vec![d]);
            if self.layer_scale {
                add("ls2.gamma", vec![d]);
            }
        }
        shapes.push(("norm.weight".to_owned(), vec![d]));
        shapes.push(("norm.bias".to_owned(), vec![d]));
        shapes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::backbone::variants;

    #[test]
    fn a_token_takes_what_its_block_holds_of_it() {
        let small = variants::find("vits14").unwrap().config;
        assert_eq!(small.bytes_per_token(2), 384 * (4 + 2 + 6 + 2 + 2 * 4));
        assert_eq!(small.bytes_per_token(4), 384 * (4 + 4 + 12 + 4 + 4 * 4));
        let gated = BackboneConfig {
            ffn: Ffn::SwiGlu { hidden: 1024 },
            ..small
        };
        assert_eq!(gated.bytes_per_token(2), 384 * 14 + 2 * 2 * 1024);
    }
}
