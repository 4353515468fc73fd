//! The convolutional depth head (Dense Prediction Transformer, Ranftl et al., 2021) as DINOv2's authors published it:
//! four blocks, each patch token mixed with its cls token, brought to four resolutions and fused from the coarsest to
//! the finest. Shapes in comments are for a patch grid of h x w, with `F` = 256 channels.
//!
//! The depths come out over `32 ceil(h / 2)` x `32 ceil(w / 2)` cells that cover the padded input.
//!
//! Depth Anything V2 (Yang et al., 2024) has the same decoder without the cls token, with biases in its residual units and
//! without a convolution between the last fusion and the end; each fusion comes out as large as the next map, and the
//! numbers over the input's own pixels, `14h` x `14w`. Which of the two a head is, its tensors say.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};
use crate::model::backbone::LayerFeatures;
use crate::model::backbone::tensor_source::with_floats;
use crate::model::head::conv::{conv2d, resize_bilinear, resize_bilinear_rows, upsample_2x};
use crate::model::head::{Scores, check_finite_activations};
use crate::model::input::Grid;

/// Rows of the finest map that are computed at a time on a CPU.
const BAND_ROWS: usize = 64;

/// Blocks that it reads.
pub const STAGES: usize = 4;

/// Rows and columns of a patch that Depth Anything gives numbers for.
const PATCH_SIZE: usize = 14;

/// Whose decoder it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DptVariant {
    /// As DINOv2's authors published it.
    Dinov2,
    /// Depth Anything V2's.
    DepthAnything,
}

/// The weights by their published names, without `decode_head.`.
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
    /// Takes `weights` if they are the whole of such a head. An error says what is wrong, without a file's name.
    pub fn new(weights: BTreeMap<String, Tensor>) -> Result<Self, String> {
        let dims = |name: &str| {
            let tensor = weights.get(name);
            tensor
                .map(Tensor::dims)
                .ok_or_else(|| format!("has no tensor {name}"))
        };
        let wrong = |name: &str, found: &[usize], expected: &[usize]| {
            format!("has {name} of {found:?}, expected {expected:?}")
        };
        let readout = "reassemble_blocks.readout_projects.0.0.weight";
        let kind = match weights.contains_key(readout) {
            true => DptVariant::Dinov2,
            false => DptVariant::DepthAnything,
        };
        let first = "reassemble_blocks.projects.0.conv.weight";
        let &[_, dim, ..] = dims(first)? else {
            return Err(format!("has {first} of {:?}", dims(first)?));
        };
        let features = *dims("convs.0.conv.weight")?.first().unwrap_or(&0);
        let channels = (0..STAGES)
            .map(|i| {
                let name = format!("reassemble_blocks.projects.{i}.conv.weight");
                Ok(*dims(&name)?.first().unwrap_or(&0))
            })
            .collect::<Result<Vec<usize>, String>>()?;
        let middle = *dims("conv_depth.head.0.weight")?.first().unwrap_or(&0);
        let last = *dims("conv_depth.head.2.weight")?.first().unwrap_or(&0);
        let mut known = 0;
        for (name, shape) in tensor_shapes(kind, dim, &channels, features, (middle, last)) {
            let found = dims(&name)?;
            if found != shape || shape.contains(&0) {
                return Err(wrong(&name, found, &shape));
            }
            known += 1;
        }
        if weights.len() != known {
            return Err(format!("has {} tensors, expected {known}", weights.len()));
        }
        Ok(Self {
            weights,
            dim,
            variant: kind,
        })
    }

    /// Width of a token (D).
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The weights by name.
    pub fn weights(&self) -> &BTreeMap<String, Tensor> {
        &self.weights
    }

    pub(super) fn move_to(&mut self, device: &Device) -> Result<()> {
        for tensor in self.weights.values_mut() {
            *tensor = tensor.to_device(device)?;
        }
        Ok(())
    }

    /// Depths above the head's least one, before they are bounded: one number a cell. Of Depth Anything, the numbers
    /// before the last activation, which [`DepthReadout`](crate::model::head::DepthReadout) names.
    pub(super) fn depths(&self, layers: &[&LayerFeatures], grid: Grid) -> Result<Scores> {
        if layers.len() != STAGES {
            let found = layers.len();
            let why = format!("a DPT head reads {STAGES} blocks, not {found}");
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
            grid: Grid { rows, cols },
        })
    }

    /// The last convolutions, on the finest map there is.
    fn output_convs(&self, x: &Tensor) -> Result<Vec<f32>> {
        let x = self.conv("conv_depth.head.2", x, 1, 1)?.relu()?;
        let mut depth = self.conv("conv_depth.head.4", &x, 0, 1)?; // [1, 1, H, W]
        if self.variant == DptVariant::Dinov2 {
            depth = depth.relu()?;
        }
        Ok(depth.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    /// The same over `x` resized to (`height`, `width`), which is never in memory as a whole: a gigabyte for a large
    /// photo.
    fn output_convs_in_bands(
        &self,
        x: &Tensor,
        (height, width): (usize, usize),
    ) -> Result<Vec<f32>> {
        let (_, channels, rows, cols) = x.dims4()?;
        let mut depths = Vec::with_capacity(height * width);
        for first in (0..height).step_by(BAND_ROWS) {
            let end = (first + BAND_ROWS).min(height);
            // The convolution looks a row beyond; outside the map there are zeros.
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

    /// Block `stage` as a map of `F` channels: 4h, 2h, h or ceil(h / 2) rows.
    fn reassemble(&self, stage: usize, layer: &LayerFeatures, grid: Grid) -> Result<Tensor> {
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

    /// Patch tokens, each mixed with the cls token.
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
    fn conv_transpose(&self, name: &str, map: &Tensor, grid: Grid, k: usize) -> Result<Tensor> {
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

    /// `x`, with `skip` if there is one, in rows and columns as `to` says, or else twice as fine.
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
            // An odd grid's halves come back one cell wider than it.
            let skip = match skip.dims4()? {
                (_, _, r, c) if (r, c) == (rows, cols) => skip.clone(),
                _ => skip.upsample_bilinear2d(rows, cols, false)?,
            };
            sum = (sum + self.residual_conv_unit(&format!("{name}.res_conv_unit1"), &skip)?)?;
        }
        let sum = self.residual_conv_unit(&format!("{name}.res_conv_unit2"), &sum)?;
        // The 1x1 convolution comes after the upsampling in the original; they commute, and it is a quarter of the work.
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

    /// A convolution, with a bias where there is one.
    fn conv(&self, name: &str, x: &Tensor, padding: usize, stride: usize) -> Result<Tensor> {
        let mut out = conv2d(x, self.weight(&format!("{name}.weight"))?, padding, stride)?;
        if let Some(bias) = self.weights.get(&format!("{name}.bias")) {
            out = out.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?)?;
        }
        check_finite_activations(&out)?;
        Ok(out)
    }

    fn weight(&self, name: &str) -> Result<&Tensor> {
        self.weights
            .get(name)
            .ok_or_else(|| Error::Model(format!("the head has no tensor {name}")))
    }
}

/// Names and shapes of such a head: `dim` wide tokens, `channels` of the four stages, `features` after them, and the
/// last convolutions' `middle` and `last` channels.
fn tensor_shapes(
    kind: DptVariant,
    dim: usize,
    channels: &[usize],
    features: usize,
    (middle, last): (usize, usize),
) -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let mut add = |name: String, shape: &[usize], bias: Option<usize>| {
        all.push((format!("{name}.weight"), shape.to_vec()));
        all.extend(bias.map(|width| (format!("{name}.bias"), vec![width])));
    };
    let is_meta = kind == DptVariant::Dinov2;
    for (i, &c) in channels.iter().enumerate() {
        let block = "reassemble_blocks";
        if is_meta {
            add(
                format!("{block}.readout_projects.{i}.0"),
                &[dim, 2 * dim],
                Some(dim),
            );
        }
        add(
            format!("{block}.projects.{i}.conv"),
            &[c, dim, 1, 1],
            Some(c),
        );
        let side = [4, 2, 0, 3][i];
        if side > 0 {
            add(
                format!("{block}.resize_layers.{i}"),
                &[c, c, side, side],
                Some(c),
            );
        }
        add(format!("convs.{i}.conv"), &[features, c, 3, 3], None);
        let fusion = format!("fusion_blocks.{i}");
        add(
            format!("{fusion}.project.conv"),
            &[features, features, 1, 1],
            Some(features),
        );
        for unit in 1..=2 {
            for conv in 1..=2 {
                // The coarsest block has nothing to add.
                if i > 0 || unit == 2 {
                    add(
                        format!("{fusion}.res_conv_unit{unit}.conv{conv}.conv"),
                        &[features, features, 3, 3],
                        (!is_meta).then_some(features),
                    );
                }
            }
        }
    }
    if is_meta {
        add(
            "project.conv".into(),
            &[features, features, 3, 3],
            Some(features),
        );
    }
    add(
        "conv_depth.head.0".into(),
        &[middle, features, 3, 3],
        Some(middle),
    );
    add(
        "conv_depth.head.2".into(),
        &[last, middle, 3, 3],
        Some(last),
    );
    add("conv_depth.head.4".into(), &[1, last, 1, 1], Some(1));
    all
}
