//! One pass of the backbone over photos: which layers, views and scales are computed, what they take of memory, and the
//! features that come out.

use std::cell::Cell;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::Result;
use crate::model::backbone::{Backbone, Features, LayerFeatures, LayerRequest};
use crate::model::input::{CoarseScale, Geometry, PatchGrid};
use crate::vision::preprocess::{PreparedImage, Preprocessor, resize, shrink_input};

/// How photos go through the backbone: what is computed of each photo.
#[derive(Debug, Clone, PartialEq)]
pub struct BackbonePass {
    /// Resizes, pads and normalises the photo.
    pub preprocessor: Preprocessor,
    /// The blocks whose tokens are returned.
    pub requests: Vec<LayerRequest>,
    /// The photo, its mirror image, or both.
    pub views: FlipViews,
    /// The sizes at which each view runs.
    pub scales: InputScales,
}

/// Which of the photo and its horizontal mirror image run (test-time augmentation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlipViews {
    /// The photo alone.
    Plain,
    /// Both.
    Both,
    /// The mirror image alone; its features are returned as those of the photo.
    Mirrored,
}

/// The sizes at which a photo goes through the backbone (multi-scale features).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputScales {
    /// The prepared size alone.
    Full,
    /// The prepared size, and a coarser one, whose features are [`Features::coarse`].
    FullAndCoarse(CoarseScale),
    /// The coarser size alone; its features are returned as those of the prepared size.
    Coarse(CoarseScale),
}

impl From<Option<CoarseScale>> for InputScales {
    fn from(also: Option<CoarseScale>) -> Self {
        also.map_or(InputScales::Full, InputScales::FullAndCoarse)
    }
}

/// Features of one photo.
#[derive(Debug)]
pub struct BackboneOutput {
    /// Tokens by layer, with batch size 1.
    pub features: Features,
    /// Features of the mirrored photo, not mirrored back; only for [`FlipViews::Both`].
    pub mirrored: Option<Features>,
}

/// Features of a batch of photos.
#[derive(Debug)]
pub struct BackboneBatchOutput {
    /// Batch size.
    pub photos: usize,
    /// Tokens by layer, with batch size `photos`.
    pub features: Features,
    /// Features of the mirrored photos; only for [`FlipViews::Both`].
    pub mirrored: Option<Features>,
}

impl BackboneBatchOutput {
    /// Copies it to host memory. It is called before [`BackboneBatchOutput::split`], since copying a row of a tensor
    /// from a GPU copies the whole tensor.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_host(&self) -> Result<Self> {
        Ok(BackboneBatchOutput {
            photos: self.photos,
            features: to_host(&self.features)?,
            mirrored: self.mirrored.as_ref().map(to_host).transpose()?,
        })
    }

    /// One output for each photo, which share the tensors of the batch.
    ///
    /// # Errors
    /// If the device fails.
    pub fn split(&self) -> Result<Vec<BackboneOutput>> {
        let one = |row| {
            let mirrored = self.mirrored.as_ref();
            Ok(BackboneOutput {
                features: select_row(&self.features, row)?,
                mirrored: mirrored
                    .map(|mirrored| select_row(mirrored, row))
                    .transpose()?,
            })
        };
        (0..self.photos).map(one).collect()
    }
}

impl BackbonePass {
    /// Forward passes for a photo: views times scales.
    fn forward_count(&self) -> usize {
        let scale_count = match self.scales {
            InputScales::FullAndCoarse(_) => 2,
            InputScales::Full | InputScales::Coarse(_) => 1,
        };
        self.view_count() * scale_count
    }

    /// Forward passes at each scale.
    fn view_count(&self) -> usize {
        match self.views {
            FlipViews::Both => 2,
            FlipViews::Plain | FlipViews::Mirrored => 1,
        }
    }

    /// Patches of a photo of this layout, summed over views and scales.
    pub fn patch_count(&self, geometry: &Geometry) -> usize {
        let grid = geometry.grid();
        let patches = match self.scales {
            InputScales::Full => grid.len(),
            InputScales::FullAndCoarse(scale) => grid.len() + scale.grid(grid).len(),
            InputScales::Coarse(scale) => scale.grid(grid).len(),
        };
        self.view_count() * patches
    }

    /// Host memory in bytes that a photo of this layout takes until its features are there, beside its own pixels.
    /// `window` is the number of patches that run at once if the photo is computed in windows, else none.
    pub fn memory(&self, backbone: &Backbone, geometry: &Geometry, window: Option<usize>) -> u64 {
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        // f32 RGB: the prepared photo; stacked windows below count twice.
        let pixels = 3 * 4 * area(geometry.padded);
        let (whole, layers) = (geometry.grid(), self.requests.len());
        let computed = match window {
            Some(cols) if cols < whole.len() => PatchGrid { rows: 1, cols },
            _ => whole,
        };
        let patch = 3 * 4 * self.preprocessor.patch_size.pow(2) as u64;
        let stacked = 2 * patch * computed.len() as u64;
        let features =
            backbone.feature_memory(computed, layers) * (self.forward_count() as u64 - 1);
        let network = backbone.planned_memory(computed, layers).unwrap_or(0);
        let resized =
            resize::scratch_bytes(geometry.photo, geometry.resized) + 3 * area(geometry.resized);
        pixels + (stacked + features + network).max(resized)
    }

    /// Bytes of the features of a photo of this layout, an upper bound.
    pub fn feature_memory(&self, backbone: &Backbone, geometry: &Geometry) -> u64 {
        // No scale is larger than the prepared one.
        backbone.feature_memory(geometry.grid(), self.requests.len()) * self.forward_count() as u64
    }

    /// Device memory in bytes that a photo of this layout takes: the forward pass, and its features until the head has
    /// read them.
    pub fn device_memory(&self, backbone: &Backbone, geometry: &Geometry) -> u64 {
        self.grid_device_memory(backbone, geometry.grid())
    }

    /// As [`BackbonePass::device_memory`], for a photo or a window of this many patches.
    pub fn grid_device_memory(&self, backbone: &Backbone, grid: PatchGrid) -> u64 {
        let layers = self.requests.len();
        // No scale is larger than the prepared one.
        let others = backbone.feature_memory(grid, layers) * (self.forward_count() as u64 - 1);
        backbone.device_memory(grid, layers) + others
    }

    /// Computes the features of `photos`, one batch of one padded size. `tick` gets how many of a photo's
    /// [`BackbonePass::patch_count`] patches are done.
    ///
    /// # Errors
    /// If the device fails, for lack of memory above all.
    pub fn forward(
        &self,
        backbone: &Backbone,
        photos: &[&PreparedImage],
        tick: &dyn Fn(usize),
    ) -> Result<BackboneBatchOutput> {
        // Progress counts patches, not blocks, since a coarser scale is less work.
        let before = Cell::new(0);
        let fine = |photos: &[&PreparedImage]| {
            let size = photos.first().map_or((0, 0), |photo| photo.geometry.padded);
            let apart: Vec<&[f32]> = photos.iter().map(|photo| &photo.pixels[..]).collect();
            let pixels = match backbone.stage_pixels(&apart, (size.1 as usize, size.0 as usize))? {
                Some(pixels) => pixels,
                None => PreparedImage::stack(photos)?,
            };
            let patches = photos
                .first()
                .map_or(0, |photo| photo.geometry.grid().len());
            let start = before.replace(before.get() + patches);
            let tick = |done: usize, all: usize| tick(start + patches * done / all.max(1));
            backbone.forward_with_progress(&pixels, &self.requests, &tick)
        };
        let coarse = |photos: &[&PreparedImage], coarse: CoarseScale| {
            let inputs = photos.par_iter().map(|photo| shrink_input(coarse, photo));
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            fine(&inputs.iter().collect::<Vec<_>>())
        };
        let run = |photos: &[&PreparedImage]| match self.scales {
            InputScales::Full => fine(photos),
            InputScales::FullAndCoarse(scale) => Ok(Features {
                coarse: Some(Box::new(coarse(photos, scale)?)),
                ..fine(photos)?
            }),
            InputScales::Coarse(scale) => coarse(photos, scale),
        };
        let mirror = || {
            let mirrored: Vec<PreparedImage> =
                photos.par_iter().map(|photo| photo.mirrored()).collect();
            run(&mirrored.iter().collect::<Vec<_>>())
        };
        let (features, mirrored) = match self.views {
            FlipViews::Plain => (run(photos)?, None),
            FlipViews::Both => (run(photos)?, Some(mirror()?)),
            FlipViews::Mirrored => (mirror()?, None),
        };
        Ok(BackboneBatchOutput {
            photos: photos.len(),
            features,
            mirrored,
        })
    }
}

/// Copies all tensors to host memory.
fn to_host(features: &Features) -> Result<Features> {
    map_tensors(features, &|tensor| tensor.to_device(&Device::Cpu))
}

/// The features of the photo at index `row` of a batch, with batch size 1.
fn select_row(features: &Features, row: usize) -> Result<Features> {
    map_tensors(features, &|tensor| tensor.narrow(0, row, 1))
}

/// Applies `change` to every tensor, those of the coarse scale too.
fn map_tensors(
    features: &Features,
    change: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Result<Features> {
    let one = |layer: &LayerFeatures| -> Result<LayerFeatures> {
        Ok(LayerFeatures {
            request: layer.request,
            patch_tokens: change(&layer.patch_tokens)?,
            cls_token: change(&layer.cls_token)?,
            registers: change(&layer.registers)?,
        })
    };
    let coarse = features.coarse.as_ref();
    let coarse = coarse.map(|coarse| map_tensors(coarse, change));
    Ok(Features {
        layers: features.layers.iter().map(one).collect::<Result<_>>()?,
        grid: features.grid,
        coarse: coarse.transpose()?.map(Box::new),
    })
}
