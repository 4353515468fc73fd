//! The linear head of DINOv2 (`BNHead` with its batch norm folded in): scores per patch from the tokens of several
//! blocks.
//!
//! `scores = W [patch_1, cls_1, patch_2, cls_2, ...] + b` at the patch grid. For each block, a patch's own token may be
//! followed by the mean tokens of squares around it ([`context`]), the token of a coarse scale at the same place, and
//! tokens of the whole photo ([`GlobalToken`]). A 1x1 convolution commutes with bilinear upsampling, so this equals
//! convolving upsampled features, and the coarse scale's part is upsampled after the product; it commutes with means
//! over squares, so these are taken of the product; and global tokens are the same for all patches of a photo, so their
//! part is computed once and added as a bias.

use std::sync::OnceLock;

use candle_core::{Device, Storage, Tensor};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::backbone::LayerFeatures;
use crate::model::head::context;
use crate::model::head::global_token::GlobalToken;
use crate::model::head::meta::HeadMeta;
use crate::model::head::scores::{Scores, check_finite_activations};
use crate::model::head::upsample::GridUpsampler;
use crate::model::input::PatchGrid;

/// Layers of a coarser scale of a photo, in the order of a head's requests, and their grid.
pub(super) type CoarseLayers<'f> = (Vec<&'f LayerFeatures>, PatchGrid);

/// One fully connected layer, `y = weight x + bias`, in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Width of its input.
    pub inputs: usize,
    /// The weight, `[outputs, inputs]`, row-major.
    pub weight: Vec<f32>,
    /// The bias, `[outputs]`.
    pub bias: Vec<f32>,
}

impl Dense {
    /// Width of its output.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Weight `[outputs, inputs]` and bias `[outputs]` on a device.
    pub(super) fn tensors(&self, device: &Device) -> Result<(Tensor, Tensor)> {
        let weight = Tensor::from_slice(&self.weight, (self.outputs(), self.inputs), device)?;
        Ok((
            weight,
            Tensor::from_slice(&self.bias, self.outputs(), device)?,
        ))
    }
}

/// The layers of a linear head.
#[derive(Debug, Clone)]
pub struct LinearHead {
    /// A hidden layer before the output layer, with ReLU; `None` in heads that are linear.
    pub hidden: Option<Dense>,
    /// The layer whose outputs are the scores.
    pub output: Dense,
    /// The input layer on the GPU where it is used, set by `move_to_device`.
    device_weights: Option<InputLayerWeights>,
    /// The input layer on the CPU, cut when it is first used there.
    cpu_weights: OnceLock<InputLayerWeights>,
}

impl PartialEq for LinearHead {
    fn eq(&self, other: &Self) -> bool {
        self.hidden == other.hidden && self.output == other.output
    }
}

impl LinearHead {
    /// A head of these layers, on the CPU.
    pub fn new(hidden: Option<Dense>, output: Dense) -> Self {
        LinearHead {
            hidden,
            output,
            device_weights: None,
            cpu_weights: OnceLock::new(),
        }
    }

    /// The layer that reads the tokens: the hidden layer, or the output layer where there is none.
    pub fn input_layer(&self) -> &Dense {
        self.hidden.as_ref().unwrap_or(&self.output)
    }

    /// Copies the input layer to the device where it will be used.
    pub(super) fn move_to_device(&mut self, device: &Device, meta: &HeadMeta) -> Result<()> {
        // On a CPU it is cut when it is first used.
        self.device_weights = match device {
            Device::Cpu => None,
            _ => Some(InputLayerWeights::new(self.input_layer(), meta, device)?),
        };
        Ok(())
    }

    /// The scores of one photo's patches, from `layers` in the order of `meta`'s requests.
    pub(super) fn scores(
        &self,
        layers: &[&LayerFeatures],
        coarse: Option<&CoarseLayers<'_>>,
        meta: &HeadMeta,
        grid: PatchGrid,
    ) -> Result<Scores> {
        let values = self.apply_input_layer(layers, coarse, meta, grid)?; // [N, outputs]
        let values = match self.hidden {
            Some(_) => self.apply_output_layer(values, grid, layers[0].patch_tokens.device())?,
            None => values,
        };
        Ok(Scores {
            values,
            k: self.output.outputs(),
            grid,
        })
    }

    /// `W relu(hidden) + b`: the output of the hidden layer `[N, hidden]` to scores `[N, outputs]`.
    fn apply_output_layer(
        &self,
        hidden: Vec<f32>,
        grid: PatchGrid,
        device: &Device,
    ) -> Result<Vec<f32>> {
        let hidden = Tensor::from_vec(hidden, (grid.len(), self.input_layer().outputs()), device)?;
        check_finite_activations(&hidden)?;
        let (weight, bias) = self.output.tensors(device)?;
        let scores = hidden.relu()?.matmul(&weight.t()?)?.broadcast_add(&bias)?;
        Ok(scores.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    /// As [`LinearHead::scores`] for each photo of a batch, by one product per block and one copy from the device.
    /// `None` for heads with a hidden layer, and heads whose weights are not on a GPU.
    pub(super) fn batch_scores(
        &self,
        layers: &[&LayerFeatures],
        coarse: Option<&CoarseLayers<'_>>,
        meta: &HeadMeta,
        grid: PatchGrid,
    ) -> Result<Option<Vec<Scores>>> {
        let (None, Some(pieces)) = (&self.hidden, &self.device_weights) else {
            return Ok(None);
        };
        let photos = layers[0].patch_tokens.dim(0)?;
        let parts = pieces.products(layers, coarse.map(|(layers, _)| &layers[..]), meta)?;
        let outputs = self.output.outputs();
        let host = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let of_patches = host(&parts.patches)?;
        let of_coarse = parts.coarse.as_ref().map(host).transpose()?;
        let of_photos = host(&parts.bias)?; // [B, outputs], or [1, outputs] for all
        let one = |(photo, values): (usize, &[f32])| {
            let own = photo * outputs % of_photos.len();
            let of_coarse = of_coarse.as_ref().zip(coarse).map(|(values, (_, cells))| {
                let own = cells.len() * outputs;
                (&values[photo * own..][..own], *cells)
            });
            Scores {
                values: combine_products(
                    values.to_vec(),
                    of_coarse,
                    &of_photos[own..][..outputs],
                    (&meta.context, grid),
                ),
                k: outputs,
                grid,
            }
        };
        let each = of_patches.len() / photos.max(1);
        let all = of_patches.par_chunks_exact(each.max(1)).enumerate();
        Ok(Some(all.map(one).collect()))
    }

    /// The input layer's output for every patch, `[N, outputs]`.
    fn apply_input_layer(
        &self,
        layers: &[&LayerFeatures],
        coarse: Option<&CoarseLayers<'_>>,
        meta: &HeadMeta,
        grid: PatchGrid,
    ) -> Result<Vec<f32>> {
        let device = layers[0].patch_tokens.device();
        let cut = || InputLayerWeights::new(self.input_layer(), meta, device);
        let fresh;
        let pieces = match (&self.device_weights, device) {
            (Some(pieces), _) => pieces,
            (None, Device::Cpu) => match self.cpu_weights.get() {
                Some(pieces) => pieces,
                None => {
                    let pieces = cut()?;
                    self.cpu_weights.get_or_init(|| pieces)
                }
            },
            (None, _) => {
                fresh = cut()?;
                &fresh
            }
        };
        let InputLayerProducts {
            patches: of_patches,
            coarse: of_coarse,
            bias: of_photo,
        } = pieces.products(layers, coarse.map(|(layers, _)| &layers[..]), meta)?;
        let host = |tensor: Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let of_coarse = of_coarse.map(host).transpose()?;
        let of_coarse = of_coarse.as_deref().zip(coarse.map(|(_, cells)| *cells));
        let of_photo = host(of_photo)?;
        Ok(combine_products(
            host(of_patches)?,
            of_coarse,
            &of_photo,
            (&meta.context, grid),
        ))
    }
}

/// Sums the parts of the input layer's product for one photo, `[N, outputs]`: that of its patches with the means over
/// squares, that of the coarse scale's cells, upsampled, and that of its global tokens with the bias.
fn combine_products(
    of_patches: Vec<f32>,
    of_coarse: Option<(&[f32], PatchGrid)>,
    of_photo: &[f32],
    (context, grid): (&[usize], PatchGrid),
) -> Vec<f32> {
    let outputs = of_photo.len();
    let mut sum = add_context_means(of_patches, outputs, context, grid);
    if let Some((values, cells)) = of_coarse {
        GridUpsampler::new(cells, grid).add(values, outputs, &mut sum);
    }
    for patch in sum.chunks_exact_mut(outputs) {
        patch.iter_mut().zip(of_photo).for_each(|(a, b)| *a += b);
    }
    sum
}

/// The input layer on a device, its weight cut by block and kind of token.
#[derive(Debug, Clone)]
struct InputLayerWeights {
    /// The bias, `[1, outputs]`.
    bias: Tensor,
    blocks: Vec<BlockInputWeights>,
}

/// The columns of the weight that read the tokens of one block.
#[derive(Debug, Clone)]
struct BlockInputWeights {
    /// Those for a patch's own token and for each square: `[outputs * parts, D]`.
    patches: Tensor,
    /// Those for the coarse scale, `[outputs, D]`.
    coarse: Option<Tensor>,
    /// Those for global tokens, `[outputs, globals * D]`.
    globals: Option<Tensor>,
}

/// The input layer's products by kind of token, summed over blocks.
struct InputLayerProducts {
    /// Of patch tokens, `[B * N, outputs * parts]`.
    patches: Tensor,
    /// Of the coarse scale's tokens, `[B * cells, outputs]`.
    coarse: Option<Tensor>,
    /// Of global tokens, plus the bias: `[B, outputs]`, or `[1, outputs]` without global tokens.
    bias: Tensor,
}

impl InputLayerWeights {
    /// Cuts `layer` as `meta` describes its inputs.
    fn new(layer: &Dense, meta: &HeadMeta, device: &Device) -> Result<Self> {
        let (weight, bias) = layer.tensors(device)?;
        let (outputs, parts) = (layer.outputs(), 1 + meta.context.len());
        let coarse = usize::from(meta.input.coarse.is_some());
        let tokens = parts + coarse + meta.globals.len();
        let dim = layer.inputs / (meta.blocks.len() * tokens).max(1);
        let mut at = 0;
        let mut cut = |tokens: usize| {
            let piece = weight.narrow(1, at, tokens * dim)?.contiguous();
            at += tokens * dim;
            piece
        };
        let mut blocks = Vec::with_capacity(meta.blocks.len());
        for _ in &meta.blocks {
            blocks.push(BlockInputWeights {
                patches: cut(parts)?.reshape((outputs * parts, dim))?,
                coarse: (coarse > 0).then(|| cut(1)).transpose()?,
                globals: (!meta.globals.is_empty())
                    .then(|| cut(meta.globals.len()))
                    .transpose()?,
            });
        }
        Ok(InputLayerWeights {
            bias: bias.unsqueeze(0)?,
            blocks,
        })
    }

    /// The products for the tokens of a batch; one product per block computes all parts of its patches.
    fn products(
        &self,
        layers: &[&LayerFeatures],
        coarse: Option<&[&LayerFeatures]>,
        meta: &HeadMeta,
    ) -> Result<InputLayerProducts> {
        let rows = |tokens: &Tensor| -> Result<Tensor> {
            let (photos, count, dim) = tokens.dims3()?;
            Ok(tokens.reshape((photos * count, dim))?)
        };
        let mut of_patches: Option<Tensor> = None;
        let mut of_coarse: Option<Tensor> = None;
        let mut of_photo = self.bias.clone();
        for (index, (layer, piece)) in layers.iter().zip(&self.blocks).enumerate() {
            let product = rows(&layer.patch_tokens)?.matmul(&piece.patches.t()?)?;
            of_patches = Some(add_product(of_patches, product)?);
            if let (Some(layers), Some(piece)) = (coarse, &piece.coarse) {
                let cells = rows(&layers[index].patch_tokens)?;
                of_coarse = Some(add_product(of_coarse, cells.matmul(&piece.t()?)?)?);
            }
            if let Some(piece) = &piece.globals {
                let tokens = GlobalToken::concat_tokens(&meta.globals, layer)?; // [B, globals * D]
                of_photo = tokens.matmul(&piece.t()?)?.broadcast_add(&of_photo)?;
            }
        }
        let of_patches = of_patches.ok_or_else(|| Error::Model("a head reads no block".into()))?;
        Ok(InputLayerProducts {
            patches: of_patches,
            coarse: of_coarse,
            bias: of_photo,
        })
    }
}

/// `all + part`, or `part` where there is nothing yet.
fn add_product(all: Option<Tensor>, part: Tensor) -> Result<Tensor> {
    Ok(match all {
        Some(sum) if part.device().is_cpu() => add_on_cpu(&sum, &part)?,
        Some(sum) => (sum + part)?,
        None => part,
    })
}

/// `a + b` on a CPU, on this thread: candle's own addition busy-waits for a thread that other work may hold up.
fn add_on_cpu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mut sum = a.flatten_all()?.to_vec1::<f32>()?;
    let b = b.contiguous()?;
    let (storage, layout) = b.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(Error::Model("a sum on a CPU is of what is there".into()));
    };
    let b = &storage.as_slice::<f32>()?[layout.start_offset()..];
    sum.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    Ok(Tensor::from_vec(sum, a.shape(), &Device::Cpu)?)
}

/// Adds the means over squares of `sides` to every patch's own part. `values` are `[N, outputs, 1 + sides.len()]`: for
/// each output the patch's own part, then the parts to average over each square.
fn add_context_means(
    values: Vec<f32>,
    outputs: usize,
    sides: &[usize],
    grid: PatchGrid,
) -> Vec<f32> {
    if sides.is_empty() {
        return values;
    }
    let parts = 1 + sides.len();
    let part = |index: usize| -> Vec<f32> {
        let of_part = values.iter().skip(index).step_by(parts);
        of_part.copied().collect()
    };
    let mut sum = part(0);
    for (at, &side) in sides.iter().enumerate() {
        context::add_box_means(&mut sum, &part(1 + at), outputs, grid, side);
    }
    sum
}
