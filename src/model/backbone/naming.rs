//! The mapping from tensor names of published checkpoints to canonical names: tables for every spelling of DINO
//! weights.
//!
//! Canonical names are those of the original repositories (facebookresearch/dino and /dinov2). Also read are the
//! training checkpoints of those (`teacher.backbone.`, chunked `blocks.c.i.`), Hugging Face's `Dinov2Model`,
//! `Dinov2WithRegistersModel` and `ViTModel` as saved to disk by transformers 4 and 5 and as held in memory by
//! transformers 5 (`q_proj`, `gate_proj`, …), and timm's.

/// What a tensor of a file is in the canonical checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMapping {
    /// The canonical tensor of this name.
    Whole(String),
    /// Some rows of a canonical tensor: part `index` of `count`, stacked in that order.
    Part {
        /// The canonical name of the stack.
        name: String,
        /// Position in the stack.
        index: usize,
        /// Number of parts of the stack.
        count: usize,
    },
    /// Not part of a backbone at inference; left out.
    Ignored,
}

/// Prefixes of wrappers around a backbone; any of them, in any order, is stripped.
const PREFIXES: &[&str] = &[
    "module.",
    "_orig_mod.",
    "teacher.",
    "model.",
    "backbone.",
    "dinov2.",
    "dinov2_with_registers.",
    "vit.",
    "pretrained.",
];

/// Left out on purpose: the training-time mask token, and the modules on top of the backbone (classifiers, DINO's
/// projection heads, ViT's pooler, the decoders of depth, segmentation and saliency models).
const IGNORED_KEYS: &[&str] = &[
    "mask_token",
    "embeddings.mask_token",
    "head.",
    "dino_head.",
    "ibot_head.",
    "linear_head.",
    "classifier.",
    "pooler.",
    "neck.",
    "decoder.",
    "decode_head.",
    "auxiliary_head.",
    "depth_head.",
];

/// Those of [`IGNORED_KEYS`] that belong to the pretraining of a published backbone, and poolers.
const PRETRAINING_KEYS: &[&str] = &[
    "mask_token",
    "embeddings.mask_token",
    "head.mlp.",
    "head.last_layer.",
    "dino_head.",
    "ibot_head.",
    "pooler.",
];

/// The module on top of a backbone, such as `decode_head`, that the tensor `key` belongs to; `None` for tensors of the
/// backbone and of its pretraining. A backbone in a file with such a module may have been fine-tuned with it.
pub fn downstream_module(key: &str) -> Option<&str> {
    let name = strip_prefixes(key);
    let is_in = |list: &[&str]| {
        let mut all = list.iter();
        all.any(|it| name == *it || it.ends_with('.') && name.starts_with(it))
    };
    (is_in(IGNORED_KEYS) && !is_in(PRETRAINING_KEYS))
        .then(|| name.split('.').next().unwrap_or(name))
}

/// `key` without the [`PREFIXES`] that it starts with.
fn strip_prefixes(key: &str) -> &str {
    let mut name = key;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// Whole-model tensors: the name in the file, the canonical name.
const MODEL_TENSORS: &[(&str, &str)] = &[
    ("cls_token", "cls_token"),
    ("embeddings.cls_token", "cls_token"),
    ("pos_embed", "pos_embed"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("register_tokens", "register_tokens"),
    ("embeddings.register_tokens", "register_tokens"),
    ("reg_token", "register_tokens"),
    ("patch_embed.proj.weight", "patch_embed.proj.weight"),
    ("patch_embed.proj.bias", "patch_embed.proj.bias"),
    (
        "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.weight",
    ),
    (
        "embeddings.patch_embeddings.projection.bias",
        "patch_embed.proj.bias",
    ),
    ("norm.weight", "norm.weight"),
    ("norm.bias", "norm.bias"),
    ("layernorm.weight", "norm.weight"),
    ("layernorm.bias", "norm.bias"),
];

/// What precedes a block's number in a name.
const BLOCK_PREFIXES: &[&str] = &[
    "blocks.",
    "encoder.layer.",
    "encoder.layers.",
    "layers.",
    "layer.",
];

/// LayerScale factors of a block: the name in the file, the canonical name.
const LAYER_SCALES: &[(&str, &str)] = &[
    ("ls1.gamma", "ls1.gamma"),
    ("ls2.gamma", "ls2.gamma"),
    ("layer_scale1.lambda1", "ls1.gamma"),
    ("layer_scale2.lambda1", "ls2.gamma"),
];

/// Layers of a block with a weight and a bias: the name in the file, the canonical name.
const BLOCK_LAYERS: &[(&str, &str)] = &[
    ("norm1", "norm1"),
    ("layernorm_before", "norm1"),
    ("norm2", "norm2"),
    ("layernorm_after", "norm2"),
    ("attn.qkv", "attn.qkv"),
    ("attention.qkv", "attn.qkv"),
    ("attn.proj", "attn.proj"),
    ("attention.output.dense", "attn.proj"),
    ("attention.o_proj", "attn.proj"),
    ("mlp.fc1", "mlp.fc1"),
    ("intermediate.dense", "mlp.fc1"),
    ("mlp.fc2", "mlp.fc2"),
    ("output.dense", "mlp.fc2"),
    ("mlp.w12", "mlp.w12"),
    ("mlp.weights_in", "mlp.w12"),
    ("mlp.w3", "mlp.w3"),
    ("mlp.weights_out", "mlp.w3"),
    ("mlp.down_proj", "mlp.w3"),
];

/// Layers that are stacked in the canonical form (queries, keys, values; gate, up): the name in the file, the canonical
/// name of the stack, the part's index, the number of parts.
const STACKED_LAYERS: &[(&str, &str, usize, usize)] = &[
    ("attention.attention.query", "attn.qkv", 0, 3),
    ("attention.attention.key", "attn.qkv", 1, 3),
    ("attention.attention.value", "attn.qkv", 2, 3),
    ("attention.query", "attn.qkv", 0, 3),
    ("attention.key", "attn.qkv", 1, 3),
    ("attention.value", "attn.qkv", 2, 3),
    ("attention.q_proj", "attn.qkv", 0, 3),
    ("attention.k_proj", "attn.qkv", 1, 3),
    ("attention.v_proj", "attn.qkv", 2, 3),
    ("attn.q_proj", "attn.qkv", 0, 3),
    ("attn.k_proj", "attn.qkv", 1, 3),
    ("attn.v_proj", "attn.qkv", 2, 3),
    ("mlp.gate_proj", "mlp.w12", 0, 2),
    ("mlp.up_proj", "mlp.w12", 1, 2),
];

/// The canonical tensor that `key` of a file maps to, or `None` if the name is unknown.
pub fn map_key(key: &str) -> Option<KeyMapping> {
    let name = strip_prefixes(key);
    if IGNORED_KEYS
        .iter()
        .any(|ignored| name == *ignored || ignored.ends_with('.') && name.starts_with(ignored))
    {
        return Some(KeyMapping::Ignored);
    }
    if let Some((_, canonical)) = MODEL_TENSORS.iter().find(|(known, _)| *known == name) {
        return Some(KeyMapping::Whole((*canonical).to_owned()));
    }
    let inside = BLOCK_PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))?;
    let (block, rest) = split_block_index(inside)?;
    // Training checkpoints group blocks into chunks padded with identities: the second number is the block's index in
    // the whole model.
    let (block, rest) = split_block_index(rest).unwrap_or((block, rest));
    map_block_key(rest).map(|mapping| match mapping {
        KeyMapping::Whole(tail) => KeyMapping::Whole(format!("blocks.{block}.{tail}")),
        KeyMapping::Part { name, index, count } => KeyMapping::Part {
            name: format!("blocks.{block}.{name}"),
            index,
            count,
        },
        KeyMapping::Ignored => KeyMapping::Ignored,
    })
}

/// `"3.norm1.weight"` as `(3, "norm1.weight")`.
fn split_block_index(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// [`map_key`] for a name within a block, `norm1.weight` for instance.
fn map_block_key(name: &str) -> Option<KeyMapping> {
    if let Some((_, canonical)) = LAYER_SCALES.iter().find(|(known, _)| *known == name) {
        return Some(KeyMapping::Whole((*canonical).to_owned()));
    }
    let (layer, kind) = name
        .rsplit_once('.')
        .filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    if let Some((_, canonical)) = BLOCK_LAYERS.iter().find(|(known, _)| *known == layer) {
        return Some(KeyMapping::Whole(format!("{canonical}.{kind}")));
    }
    let (_, stack, index, count) = *STACKED_LAYERS.iter().find(|(known, ..)| *known == layer)?;
    Some(KeyMapping::Part {
        name: format!("{stack}.{kind}"),
        index,
        count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(name: &str) -> Option<KeyMapping> {
        Some(KeyMapping::Whole(name.to_owned()))
    }

    #[test]
    fn every_spelling_finds_its_place() {
        for (key, canonical) in [
            ("blocks.3.attn.proj.bias", "blocks.3.attn.proj.bias"),
            (
                "teacher.backbone.blocks.2.11.ls1.gamma",
                "blocks.11.ls1.gamma",
            ),
            ("module.backbone.norm.weight", "norm.weight"),
            (
                "dinov2.encoder.layer.7.layer_scale2.lambda1",
                "blocks.7.ls2.gamma",
            ),
            (
                "dinov2_with_registers.embeddings.register_tokens",
                "register_tokens",
            ),
            (
                "encoder.layer.0.mlp.weights_in.weight",
                "blocks.0.mlp.w12.weight",
            ),
            ("encoder.layer.0.mlp.down_proj.bias", "blocks.0.mlp.w3.bias"),
            (
                "vit.encoder.layer.1.layernorm_before.weight",
                "blocks.1.norm1.weight",
            ),
            (
                "encoder.layer.1.intermediate.dense.weight",
                "blocks.1.mlp.fc1.weight",
            ),
            (
                "layers.1.attention.o_proj.weight",
                "blocks.1.attn.proj.weight",
            ),
            ("backbone.layernorm.bias", "norm.bias"),
            ("reg_token", "register_tokens"),
            // Depth Anything's, as its authors and the hub have it.
            ("pretrained.blocks.3.norm1.bias", "blocks.3.norm1.bias"),
            (
                "backbone.embeddings.patch_embeddings.projection.bias",
                "patch_embed.proj.bias",
            ),
        ] {
            assert_eq!(map_key(key), whole(canonical), "{key}");
        }
        let key_rows = Some(KeyMapping::Part {
            name: "blocks.4.attn.qkv.bias".into(),
            index: 1,
            count: 3,
        });
        assert_eq!(
            map_key("backbone.encoder.layer.4.attention.attention.key.bias"),
            key_rows
        );
        assert_eq!(map_key("encoder.layer.4.attention.k_proj.bias"), key_rows);
        let up = Some(KeyMapping::Part {
            name: "blocks.4.mlp.w12.weight".into(),
            index: 1,
            count: 2,
        });
        assert_eq!(map_key("encoder.layer.4.mlp.up_proj.weight"), up);
    }

    #[test]
    fn parts_on_top_are_told_from_what_belongs_to_pretraining() {
        for (key, part) in [
            ("classifier.weight", Some("classifier")),
            ("head.weight", Some("head")),
            ("module.decode_head.conv_seg.bias", Some("decode_head")),
            ("neck.convs.0.weight", Some("neck")),
            ("depth_head.scratch.layer1_rn.weight", Some("depth_head")),
            ("teacher.head.mlp.0.weight", None),
            ("teacher.dino_head.last_layer.weight", None),
            ("dinov2.embeddings.mask_token", None),
            ("pooler.dense.bias", None),
            ("blocks.0.norm1.weight", None),
            ("headless", None),
        ] {
            assert_eq!(downstream_module(key), part, "{key}");
        }
    }

    #[test]
    fn heads_are_left_out_and_the_unknown_stays_unknown() {
        for key in [
            "mask_token",
            "dinov2.embeddings.mask_token",
            "head.weight",
            "pooler.dense.bias",
            "neck.convs.0.weight",
            "depth_head.scratch.layer1_rn.weight",
        ] {
            assert_eq!(map_key(key), Some(KeyMapping::Ignored), "{key}");
        }
        for key in [
            "",
            "blocks",
            "blocks.x.norm1.weight",
            "blocks.0.norm3.weight",
            "rope_embed.periods",
            "maskable",
            "headless",
        ] {
            assert_eq!(map_key(key), None, "{key}");
        }
    }
}
