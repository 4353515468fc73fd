//! The convolutional depth head (Dense Prediction Transformer, Ranftl et al., 2021), as `DPTHead` of
//! facebookresearch/dinov2 and as the decoder of Depth Anything V2 (Yang et al., 2024).
//!
//! The patch tokens of four blocks, each mixed with its block's cls token, are brought to four resolutions and fused
//! from the coarsest to the finest. Shapes in comments are for a patch grid of h x w, with `F` channels: 256 in
//! DINOv2's head, 64, 128 or 256 in Depth Anything's. The depths of DINOv2's head come out over `32 ceil(h / 2)` x
//! `32 ceil(w / 2)` cells that cover the padded input.
//!
//! Depth Anything's decoder differs: it does not read the cls token, its residual units have biases, and no convolution
//! follows the last fusion before the output convolutions. Each fusion is resized to the next map, and the output has a
//! cell per pixel of the input, `14h` x `14w`. Which of the two a head is follows from its tensors (`dpt_tensors`).

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};
use crate::model::backbone::LayerFeatures;
use crate::model::backbone::tensor_source::with_floats;
use crate::model::head::conv::{conv2d, resize_bilinear, resize_bilinear_rows, upsample_2x};
use crate::model::head::dpt_tensors::{DptVariant, STAGES, check_weights};
use crate::model::head::scores::{Scores, check_finite_activations};
use crate::model::input::PatchGrid;

/// Rows of the output that are computed at a time on a CPU.
const BAND_ROWS: usize = 64;

/// Side of a patch in pixels; Depth Anything's output has as many cells per patch.
const PATCH_SIZE: usize = 14;

/// A DPT head: its weights by their published names, without `decode_head.`.
#[derive(Debug, Clone)]
pub struct DptHead {
    weights: BTreeMap<String, Tensor>,
    dim: usize,
    variant: DptVariant,
}

impl PartialEq for DptHead {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let same = |a: &Tensor, b: &Tensor| {
            a.dims() == b.dims() && matches!((numbers(a), numbers(b)), (Ok(a), Ok(b)) if a == b)
        };
        self.weights.keys().eq(other.weights.keys())
            && self
                .weights
                .values()
                .zip(other.weights.values())
                .all(|(a, b)| same(a, b))
    }
}

impl DptHead {
    /// A head of these weights, on the CPU.
    ///
    /// # Errors
    /// A message without a file's name if they are not the complete weights of such a head.
    pub fn new(weights: BTreeMap<String, Tensor>) -> Result<Self, String> {
        let (variant, dim) = check_weights(&weights)?;
        Ok(Self {
            weights,
            dim,
            variant,
        })
    }

    /// Width of a token (D).
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The weights by their names.
    pub fn weights(&self) -> &BTreeMap<String, Tensor> {
        &self.weights
    }

    /// Copies the weights to a device.
    pub(super) fn move_to(&mut self, device: &Device) -> Result<()> {
        for tensor in self.weights.values_mut() {
            *tensor = tensor.to_device(device)?;
        }
        Ok(())
    }

    /// One number per cell, for one photo: for DINOv2's head the depth above the readout's `min`, not yet bounded; for
    /// Depth Anything's the number before the last activation. [`DepthReadout`](crate::model::head::DepthReadout) turns
    /// them into depths.
    pub(super) fn depths(&self, layers: &[&LayerFeatures], grid: PatchGrid) -> Result<Scores> {
        if layers.len() != STAGES {
            let count = layers.len();
            let why = format!("a DPT head reads {STAGES} blocks, not {count}");
            return Err(Error::Model(why));
        }
        let maps = (0..STAGES)
            .map(|stage| self.reassemble(stage, layers[stage], grid))
            .collect::<Result<Vec<_>>>()?;
        let size = |stage: usize| {
            let (_, _, rows, cols) = maps[stage].dims4()?;
            Ok::<_, Error>((rows, cols))
        };
        let mut fused = None;
        for (index, stage) in (0..STAGES).rev().enumerate() {
            let (x, skip) = match &fused {
                None => (&maps[stage], None),
                Some(fused) => (fused, Some(&maps[stage])),
            };
            let to = match (self.variant, stage) {
                (DptVariant::DepthAnything, 1..) => Some(size(stage - 1)?),
                _ => None,
            };
            fused = Some(self.fuse(index, x, skip, to)?);
        }
        let fused = fused.ok_or_else(|| Error::Model("a DPT head without a stage".into()))?;
        let x = match self.variant {
            DptVariant::Dinov2 => self.conv("project.conv", &fused, 1, 1)?.relu()?,
            DptVariant::DepthAnything => fused,
        };
        let x = self.conv("conv_depth.head.0", &x, 1, 1)?;
        let (_, _, rows, cols) = x.dims4()?;
        let (rows, cols) = match self.variant {
            DptVariant::Dinov2 => (2 * rows, 2 * cols),
            DptVariant::DepthAnything => (PATCH_SIZE * grid.rows, PATCH_SIZE * grid.cols),
        };
        let values = match x.device() {
            Device::Cpu => self.output_convs_in_bands(&x, (rows, cols))?,
            _ => self.output_convs(&resize_bilinear(&x, (rows, cols))?)?,
        };
        Ok(Scores {
            values,
            k: 1,
            grid: PatchGrid { rows, cols },
        })
    }

    /// The output convolutions, on `x` at the resolution of the output: one number per cell.
    fn output_convs(&self, x: &Tensor) -> Result<Vec<f32>> {
        let x = self.conv("conv_depth.head.2", x, 1, 1)?.relu()?;
        let mut depth = self.conv("conv_depth.head.4", &x, 0, 1)?; // [1, 1, H, W]
        if self.variant == DptVariant::Dinov2 {
            depth = depth.relu()?;
        }
        Ok(depth.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    /// [`DptHead::output_convs`] of `x` resized to (`height`, `width`), a band of rows at a time: the whole map would
    /// take a gigabyte for a large photo.
    fn output_convs_in_bands(
        &self,
        x: &Tensor,
        (height, width): (usize, usize),
    ) -> Result<Vec<f32>> {
        let (_, channels, rows, cols) = x.dims4()?;
        let mut depths = Vec::with_capacity(height * width);
        for first in (0..height).step_by(BAND_ROWS) {
            let end = (first + BAND_ROWS).min(height);
            // The 3x3 convolution reads a row beyond the band; outside the map are zeros.
            let wider = first.saturating_sub(1)..(end + 1).min(height);
            let shape = (1, channels, wider.len(), width);
            let from = (channels, rows, cols);
            let band = with_floats(x, |x| {
                resize_bilinear_rows(x, from, (height, width), wider.clone())
            })?;
            let band = self.output_convs(&Tensor::from_vec(band, shape, &Device::Cpu)?)?;
            depths.extend(&band[(first - wider.start) * width..][..(end - first) * width]);
        }
        Ok(depths)
    }

    /// The tokens of stage `stage` as a map of `F` channels with 4h, 2h, h or ceil(h / 2) rows.
    fn reassemble(&self, stage: usize, layer: &LayerFeatures, grid: PatchGrid) -> Result<Tensor> {
        let block = "reassemble_blocks";
        let patches = layer.patch_tokens.squeeze(0)?; // [N, D]
        let mixed = match self.variant {
            DptVariant::Dinov2 => self.project_readout(stage, &patches, &layer.cls_token)?,
            DptVariant::DepthAnything => patches,
        };
        let project = format!("{block}.projects.{stage}.conv");
        let weight = self.weight(&format!("{project}.weight"))?;
        let weight = weight.flatten_from(1)?.t()?.contiguous()?;
        let map = mixed
            .matmul(&weight)?
            .broadcast_add(self.weight(&format!("{project}.bias"))?)?; // [N, c]
        let resize = format!("{block}.resize_layers.{stage}");
        let map = match stage {
            0 => self.conv_transpose(&resize, &map, grid, 4)?,
            1 => self.conv_transpose(&resize, &map, grid, 2)?,
            _ => {
                let channels = map.dim(1)?;
                let map = map.t()?.contiguous()?;
                let map = map.reshape((1, channels, grid.rows, grid.cols))?;
                match stage {
                    2 => map,
                    _ => self.conv(&resize, &map, 1, 2)?,
                }
            }
        };
        self.conv(&format!("convs.{stage}.conv"), &map, 1, 1)
    }

    /// Patch tokens `[N, D]`, each mixed with the cls token: `gelu(W [patch, cls] + b)`, `[N, D]`.
    fn project_readout(&self, stage: usize, patches: &Tensor, cls: &Tensor) -> Result<Tensor> {
        let readout = format!("reassemble_blocks.readout_projects.{stage}.0");
        let weight = self.weight(&format!("{readout}.weight"))?;
        let part = |from| Ok::<_, Error>(weight.narrow(1, from, self.dim)?.t()?.contiguous()?);
        // The cls token is the same for all patches: its half of the product is a bias.
        let bias = (cls.matmul(&part(self.dim)?)?.squeeze(0)?
            + self.weight(&format!("{readout}.bias"))?)?;
        Ok(patches
            .matmul(&part(0)?)?
            .broadcast_add(&bias)?
            .gelu_erf()?)
    }

    /// A transposed convolution whose stride is its side `k`: every cell of `map` `[N, c]` becomes k x k cells.
    fn conv_transpose(
        &self,
        name: &str,
        map: &Tensor,
        grid: PatchGrid,
        k: usize,
    ) -> Result<Tensor> {
        let weight = self.weight(&format!("{name}.weight"))?; // [c, out, k, k]
        let out = weight.dim(1)?;
        let cells = map.matmul(&weight.flatten_from(1)?)?; // [N, out * k * k]
        let cells = cells
            .reshape((grid.rows, grid.cols, out, k, k))?
            .permute((2, 0, 3, 1, 4))?
            .contiguous()?
            .reshape((1, out, grid.rows * k, grid.cols * k))?;
        let bias = self
            .weight(&format!("{name}.bias"))?
            .reshape((1, out, 1, 1))?;
        Ok(cells.broadcast_add(&bias)?)
    }

    /// Fusion block `index`: `x` plus the residual unit of `skip`, through a residual unit and a 1x1 convolution, at
    /// the rows and columns `to`, or twice as fine.
    fn fuse(
        &self,
        index: usize,
        x: &Tensor,
        skip: Option<&Tensor>,
        to: Option<(usize, usize)>,
    ) -> Result<Tensor> {
        let name = format!("fusion_blocks.{index}");
        let mut sum = x.clone();
        if let Some(skip) = skip {
            let (_, _, rows, cols) = x.dims4()?;
            // The halves of an odd grid, doubled, are one cell larger than it.
            let skip = match skip.dims4()? {
                (_, _, r, c) if (r, c) == (rows, cols) => skip.clone(),
                _ => skip.upsample_bilinear2d(rows, cols, false)?,
            };
            sum = (sum + self.residual_conv_unit(&format!("{name}.res_conv_unit1"), &skip)?)?;
        }
        let sum = self.residual_conv_unit(&format!("{name}.res_conv_unit2"), &sum)?;
        // The 1x1 convolution comes after the upsampling in the original; they commute, and it is a quarter of the
        // work.
        let projected = self.conv(&format!("{name}.project.conv"), &sum, 0, 1)?;
        match to {
            Some(size) => resize_bilinear(&projected, size),
            None => upsample_2x(&projected),
        }
    }

    /// `x + conv2(relu(conv1(relu(x))))`.
    fn residual_conv_unit(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let inner = self.conv(&format!("{name}.conv1.conv"), &x.relu()?, 1, 1)?;
        let inner = self.conv(&format!("{name}.conv2.conv"), &inner.relu()?, 1, 1)?;
        Ok((x + inner)?)
    }

    /// The convolution `name`, with its bias if it has one.
    fn conv(&self, name: &str, x: &Tensor, padding: usize, stride: usize) -> Result<Tensor> {
        let mut out = conv2d(x, self.weight(&format!("{name}.weight"))?, padding, stride)?;
        if let Some(bias) = self.weights.get(&format!("{name}.bias")) {
            out = out.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?)?;
        }
        check_finite_activations(&out)?;
        Ok(out)
    }

    /// The tensor `name`.
    fn weight(&self, name: &str) -> Result<&Tensor> {
        self.weights
            .get(name)
            .ok_or_else(|| Error::Model(format!("the head has no tensor {name}")))
    }
}
