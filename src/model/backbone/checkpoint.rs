//! The tensors of one backbone under their canonical (original DINO and DINOv2) names.
//!
//! [`Checkpoint::from_raw`] converts any published spelling to that form, [`Checkpoint::validate`] compares it with a
//! [`BackboneConfig`], and [`Checkpoint::detect`] finds the variant that has its shape. Number types stay as published.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use crate::error::{Error, Result};
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::float_values::{check_finite, with_floats};
use crate::model::backbone::naming::{self, KeyMapping};

use crate::model::backbone::variants::{VARIANTS, Variant, VariantSource};

/// The tensors of a backbone by their canonical names, and the file they came from.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The file the tensors came from, for messages only.
    pub origin: String,
    /// Canonical name to tensor; see [`BackboneConfig::tensor_shapes`].
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Converts the tensors `raw`, under the names they were published with, to canonical names and layouts. `origin`
    /// is the file, for messages.
    ///
    /// Split queries, keys and values are stacked, tensors outside the backbone are left out (the list is in
    /// [`naming`]), and timm's position embedding gets its row for the cls token back.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown name, two tensors of one canonical name, and an incomplete stack.
    pub fn from_raw(
        origin: impl Into<String>,
        raw: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Self> {
        let origin = origin.into();
        let mut tensors = BTreeMap::new();
        let mut sources: BTreeMap<String, String> = BTreeMap::new();
        let mut stacks: BTreeMap<String, Vec<Option<Tensor>>> = BTreeMap::new();
        let mut claim = |slot: String, key: &str| match sources.insert(slot, key.to_owned()) {
            Some(first) => Err(Error::Model(format!(
                "{origin}: `{first}` and `{key}` are the same tensor of a backbone; expected one of them"
            ))),
            None => Ok(()),
        };
        for (key, tensor) in raw {
            match naming::map_key(&key) {
                Some(KeyMapping::Ignored) => {}
                Some(KeyMapping::Whole(name)) => {
                    claim(name.clone(), &key)?;
                    tensors.insert(name, tensor);
                }
                Some(KeyMapping::Part { name, index, count }) => {
                    claim(format!("{name}[{index}]"), &key)?;
                    stacks.entry(name).or_insert_with(|| vec![None; count])[index] = Some(tensor);
                }
                None => {
                    return Err(Error::Model(format!(
                        "{origin}: `{key}` {:?} is not a tensor of a DINO or DINOv2 backbone; \
                         expected the names of the original release, of transformers or of timm",
                        tensor.dims()
                    )));
                }
            }
        }
        for (name, parts) in stacks {
            let stacked = stack_parts(&name, parts)
                .map_err(|why| Error::Model(format!("{origin}: {why}")))?;
            if tensors.insert(name.clone(), stacked).is_some() {
                return Err(Error::Model(format!(
                    "{origin}: `{name}` is there both whole and in parts"
                )));
            }
        }
        let mut checkpoint = Checkpoint { origin, tensors };
        checkpoint.undo_timm_layout()?;
        Ok(checkpoint)
    }

    /// Random f32 weights of shape `config` from a fixed seed, to measure times, which do not depend on the weights.
    ///
    /// # Errors
    /// [`Error::Tensor`] if there is not enough memory.
    pub fn random(config: &BackboneConfig) -> Result<Self> {
        let mut random = fastrand::Rng::with_seed(0);
        let mut tensors = BTreeMap::new();
        for (name, shape) in config.tensor_shapes() {
            let count = shape.iter().product();
            // About as large as trained weights, so that activations stay in an ordinary range.
            let (middle, spread) = match name.contains("norm") && name.ends_with("weight") {
                true => (1.0, 0.1),
                false => (0.0, 0.04),
            };
            let values: Vec<f32> = (0..count)
                .map(|_| middle + spread * (2.0 * random.f32() - 1.0))
                .collect();
            let tensor = Tensor::from_vec(values, shape, &candle_core::Device::Cpu)?;
            tensors.insert(name, tensor);
        }
        Ok(Checkpoint {
            origin: "random weights".to_owned(),
            tensors,
        })
    }

    /// Undoes two conventions of timm, recognised by shapes alone: in register models the cls token's position is
    /// folded into the token, so that `pos_embed` lacks its row, and the layers of a SwiGLU are called `fc1` and `fc2`.
    fn undo_timm_layout(&mut self) -> Result<()> {
        if let Some(pos) = self.tensors.get("pos_embed")
            && let Ok((1, rows, dim)) = pos.dims3()
            && rows.isqrt().pow(2) == rows
        {
            let cls = Tensor::zeros((1, 1, dim), pos.dtype(), pos.device())?;
            let whole = Tensor::cat(&[&cls, pos], 1)?;
            self.tensors.insert("pos_embed".to_owned(), whole);
        }
        let shape = |name: &str| {
            self.tensors
                .get(name)
                .and_then(|tensor| tensor.dims2().ok())
        };
        let first = shape("blocks.0.mlp.fc1.weight");
        let second = shape("blocks.0.mlp.fc2.weight");
        if let (Some((wide, _)), Some((_, hidden))) = (first, second)
            && wide == 2 * hidden
        {
            let renamed = std::mem::take(&mut self.tensors)
                .into_iter()
                .map(|(name, tensor)| {
                    (
                        name.replace(".mlp.fc1.", ".mlp.w12.")
                            .replace(".mlp.fc2.", ".mlp.w3."),
                        tensor,
                    )
                });
            self.tensors = renamed.collect();
        }
        Ok(())
    }

    /// Checks that the tensors are exactly those of `config`, in a floating-point type.
    ///
    /// # Errors
    /// [`Error::Model`] names the first tensor that is missing, left over, or of another shape or type.
    pub fn validate(&self, config: &BackboneConfig) -> Result<()> {
        let shapes = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor.dims()));
        check_shapes(&self.origin, shapes, config)?;
        let float = |dtype| matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::F64);
        match self
            .tensors
            .iter()
            .find(|(_, tensor)| !float(tensor.dtype()))
        {
            Some((name, tensor)) => Err(Error::Model(format!(
                "{}: `{name}` holds {:?} numbers; expected f32, f16, bf16 or f64",
                self.origin,
                tensor.dtype()
            ))),
            None => Ok(()),
        }
    }

    /// Refuses tensors with numbers that are not finite.
    ///
    /// # Errors
    /// [`Error::Model`] names the first tensor with a NaN or an infinity.
    pub fn check_finite(&self) -> Result<()> {
        self.tensors.iter().try_for_each(|(name, tensor)| {
            with_floats(tensor, |values| check_finite(&self.origin, name, values))?
        })
    }

    /// The variant whose names and shapes these tensors have.
    ///
    /// Variants that share a shape are not told apart: the first row of [`VARIANTS`] on the Hugging Face hub is
    /// returned, `vits14` for the shape of `vits14-focus`.
    ///
    /// # Errors
    /// [`Error::Model`] if no variant has this shape; where one is close, with the first tensor that differs.
    pub fn detect(&self) -> Result<&'static Variant> {
        let rows = || {
            VARIANTS
                .iter()
                .filter(|variant| matches!(variant.source, VariantSource::Hub(_)))
        };
        if let Some(variant) = rows().find(|variant| self.validate(&variant.config).is_ok()) {
            return Ok(variant);
        }
        // The row of the same width, depth, patch size and registers gives the most useful message.
        let dims = |name: &str| {
            self.tensors
                .get(name)
                .map(|tensor| tensor.dims())
                .unwrap_or_default()
        };
        let dim = dims("cls_token").last().copied().unwrap_or(0);
        let patch = dims("patch_embed.proj.weight").last().copied().unwrap_or(0);
        let registers = dims("register_tokens").get(1).copied().unwrap_or(0);
        let block = |name: &String| {
            name.strip_prefix("blocks.")?
                .split('.')
                .next()?
                .parse::<usize>()
                .ok()
        };
        let depth = self
            .tensors
            .keys()
            .filter_map(block)
            .max()
            .map_or(0, |last| last + 1);
        let near = rows().find(|variant| {
            let config = &variant.config;
            (
                config.dim,
                config.patch_size,
                config.registers,
                config.depth,
            ) == (dim, patch, registers, depth)
        });
        if let Some(variant) = near {
            self.validate(&variant.config)?;
        }
        let known: Vec<_> = rows().map(|variant| variant.name).collect();
        Err(Error::Model(format!(
            "{}: no known backbone has width {dim}, depth {depth}, patch size {patch} and {registers} registers; \
             expected one of {}",
            self.origin,
            known.join(", ")
        )))
    }
}

/// Compares names and shapes with those of `config`; `origin` is the file, for the message.
///
/// # Errors
/// [`Error::Model`] names the first tensor that is missing, left over, or of another shape.
pub fn check_shapes<'a>(
    origin: &str,
    found: impl Iterator<Item = (&'a str, &'a [usize])>,
    config: &BackboneConfig,
) -> Result<()> {
    let mut found: BTreeMap<_, _> = found.collect();
    for (name, expected) in config.tensor_shapes() {
        match found.remove(name.as_str()) {
            Some(shape) if shape == expected => {}
            Some(shape) => {
                return Err(Error::Model(format!(
                    "{origin}: `{name}` is {shape:?}; expected {expected:?}"
                )));
            }
            None => {
                return Err(Error::Model(format!(
                    "{origin}: `{name}` is missing; expected it as {expected:?}"
                )));
            }
        }
    }
    match found.first_key_value() {
        Some((name, shape)) => Err(Error::Model(format!(
            "{origin}: `{name}` {shape:?} does not belong to a backbone of this shape; expected no such tensor"
        ))),
        None => Ok(()),
    }
}

/// Stacks the parts of `name` row-wise.
fn stack_parts(name: &str, parts: Vec<Option<Tensor>>) -> Result<Tensor, String> {
    let present: Vec<Tensor> = parts.iter().flatten().cloned().collect();
    if present.len() != parts.len() {
        return Err(format!(
            "`{name}` is split into {} parts, of which {} are missing",
            parts.len(),
            parts.len() - present.len()
        ));
    }
    let same = present
        .iter()
        .all(|part| part.dims() == present[0].dims() && part.dtype() == present[0].dtype());
    if !same {
        let shapes: Vec<_> = present
            .iter()
            .map(|part| format!("{:?} {:?}", part.dtype(), part.dims()))
            .collect();
        return Err(format!(
            "the parts of `{name}` differ: {}; expected equal shapes",
            shapes.join(", ")
        ));
    }
    Tensor::cat(&present, 0).map_err(|error| format!("`{name}`: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::model::backbone::variants;

    /// Zeros in the shape of the row `name`, under canonical names.
    fn zeros(name: &str) -> BTreeMap<String, Tensor> {
        let config = variants::find(name).unwrap().config;
        let zero = |(name, shape): (String, Vec<usize>)| {
            (
                name,
                Tensor::zeros(shape, DType::BF16, &Device::Cpu).unwrap(),
            )
        };
        config.tensor_shapes().into_iter().map(zero).collect()
    }

    #[test]
    fn shapes_tell_the_variant() {
        for name in [
            "vits14",
            "vits14-reg",
            "vitb14",
            "dino-vits16",
            "dino-vits8",
        ] {
            let checkpoint = Checkpoint::from_raw("file", zeros(name)).unwrap();
            assert_eq!(checkpoint.detect().unwrap().name, name);
        }
    }

    #[test]
    fn split_rows_are_stacked_in_the_order_q_k_v() {
        let part = |value: f32| Tensor::full(value, 4, &Device::Cpu).unwrap();
        let raw = ["value", "query", "key"].iter().zip([3., 1., 2.]);
        let raw = raw.map(|(part_name, value)| {
            (
                format!("encoder.layer.0.attention.attention.{part_name}.bias"),
                part(value),
            )
        });
        let checkpoint = Checkpoint::from_raw("file", raw).unwrap();
        let stacked: Vec<f32> = checkpoint.tensors["blocks.0.attn.qkv.bias"]
            .to_vec1()
            .unwrap();
        assert_eq!(stacked, [1., 1., 1., 1., 2., 2., 2., 2., 3., 3., 3., 3.]);
    }

    #[test]
    fn timm_files_become_canonical() {
        let mut raw = zeros("vits14-reg");
        let pos = raw["pos_embed"].narrow(1, 1, 1369).unwrap();
        raw.insert("pos_embed".into(), pos);
        let registers = raw.remove("register_tokens").unwrap();
        raw.insert("reg_token".into(), registers);
        assert_eq!(
            Checkpoint::from_raw("file", raw)
                .unwrap()
                .detect()
                .unwrap()
                .name,
            "vits14-reg"
        );
    }

    #[test]
    fn errors_name_file_key_and_both_shapes() {
        let config = variants::find("vits14").unwrap().config;
        let error = |edit: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
            let mut raw = zeros("vits14");
            edit(&mut raw);
            let checkpoint = Checkpoint::from_raw("a.pth", raw);
            checkpoint
                .and_then(|it| it.validate(&config).and(it.detect().map(drop)))
                .unwrap_err()
                .to_string()
        };
        let wide = Tensor::zeros(385, DType::F32, &Device::Cpu).unwrap();
        let text = error(&|raw| drop(raw.insert("norm.bias".into(), wide.clone())));
        assert_eq!(text, "a.pth: `norm.bias` is [385]; expected [384]");
        let text = error(&|raw| drop(raw.remove("blocks.3.ls1.gamma")));
        assert_eq!(
            text,
            "a.pth: `blocks.3.ls1.gamma` is missing; expected it as [384]"
        );
        let text = error(&|raw| drop(raw.insert("register_tokens".into(), wide.clone())));
        assert!(
            text.starts_with("a.pth: `register_tokens` [385] does not belong"),
            "{text}"
        );
        let text = error(&|raw| drop(raw.insert("blocks.0.norm9.bias".into(), wide.clone())));
        assert!(
            text.starts_with("a.pth: `blocks.0.norm9.bias` [385] is not a tensor of"),
            "{text}"
        );
        let text = error(&|raw| drop(raw.insert("layernorm.bias".into(), wide.clone())));
        assert!(
            text.contains("`layernorm.bias` and `norm.bias` are the same tensor"),
            "{text}"
        );
        let ints = Tensor::zeros(384, DType::I64, &Device::Cpu).unwrap();
        let text = error(&|raw| drop(raw.insert("norm.bias".into(), ints.clone())));
        assert!(text.contains("`norm.bias` holds I64 numbers"), "{text}");
    }
}
