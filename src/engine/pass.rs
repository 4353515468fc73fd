//! One pass of the backbone over a photo: what it sees of it, and which layers are wanted.

use std::cell::Cell;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::Result;
use crate::model::backbone::{Backbone, Features, LayerFeatures, LayerRequest};
use crate::model::input::{CoarseScale, Geometry, Grid};
use crate::vision::preprocess::{PreparedImage, Preprocessor, resize, shrink_input};

/// How photos go through the backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct BackbonePass {
    /// What it sees of a photo.
    pub preprocessor: Preprocessor,
    /// Which layers are wanted.
    pub requests: Vec<LayerRequest>,
    /// Which views of a photo run.
    pub views: FlipViews,
    /// At which sizes they do.
    pub scales: InputScales,
}

/// The photo and its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlipViews {
    /// The photo alone.
    Plain,
    /// Both.
    Both,
    /// The mirror image alone; its features stand in the photo's place.
    Mirrored,
}

/// The sizes at which a photo is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputScales {
    /// As it was prepared.
    Full,
    /// Coarser too.
    FullAndCoarse(CoarseScale),
    /// Coarser alone; those features stand in the others' place.
    Coarse(CoarseScale),
}

impl From<Option<CoarseScale>> for InputScales {
    fn from(also: Option<CoarseScale>) -> Self {
        also.map_or(InputScales::Full, InputScales::FullAndCoarse)
    }
}

/// What the backbone gives for a photo.
#[derive(Debug)]
pub struct BackboneOutput {
    /// Of batch size 1.
    pub features: Features,
    /// Those of the mirrored photo, where they were asked for.
    pub mirrored: Option<Features>,
}

/// What the backbone gives for a batch of photos.
#[derive(Debug)]
pub struct BackboneBatchOutput {
    /// How many photos there are.
    pub photos: usize,
    /// Of all of them.
    pub features: Features,
    /// Those of the mirrored photos, where they were asked for.
    pub mirrored: Option<Features>,
}

impl BackboneBatchOutput {
    /// The same in the host's memory: of a part of a tensor on a GPU, all of it crosses, so that it does once.
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

    /// What the backbone gives for each photo.
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
    /// How often a photo goes through the backbone.
    fn forward_count(&self) -> usize {
        let looks = match self.scales {
            InputScales::FullAndCoarse(_) => 2,
            InputScales::Full | InputScales::Coarse(_) => 1,
        };
        self.view_count() * looks
    }

    /// How often it does at each size.
    fn view_count(&self) -> usize {
        match self.views {
            FlipViews::Both => 2,
            FlipViews::Plain | FlipViews::Mirrored => 1,
        }
    }

    /// Patches that a photo of this layout has in all that the backbone sees of it.
    pub fn patch_count(&self, geometry: &Geometry) -> usize {
        let grid = geometry.grid();
        let of_looks = match self.scales {
            InputScales::Full => grid.len(),
            InputScales::FullAndCoarse(how) => grid.len() + how.grid(grid).len(),
            InputScales::Coarse(how) => how.grid(grid).len(),
        };
        self.view_count() * of_looks
    }

    /// Bytes that a photo of this layout takes before and in the backbone, itself not counted. `window` are the
    /// patches that are seen at once, where those are not all.
    pub fn memory(&self, backbone: &Backbone, geometry: &Geometry, window: Option<usize>) -> u64 {
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        // As floats: prepared, and stacked twice.
        let pixels = 3 * 4 * area(geometry.padded);
        let (whole, layers) = (geometry.grid(), self.requests.len());
        let seen = match window {
            Some(cols) if cols < whole.len() => Grid { rows: 1, cols },
            _ => whole,
        };
        let patch = 3 * 4 * self.preprocessor.patch_size.pow(2) as u64;
        let stacked = 2 * patch * seen.len() as u64;
        let features = backbone.feature_memory(seen, layers) * (self.forward_count() as u64 - 1);
        let network = backbone.planned_memory(seen, layers).unwrap_or(0);
        let resized =
            resize::scratch_bytes(geometry.photo, geometry.resized) + 3 * area(geometry.resized);
        pixels + (stacked + features + network).max(resized)
    }

    /// Bytes of what the backbone gives for a photo of this layout.
    pub fn feature_memory(&self, backbone: &Backbone, geometry: &Geometry) -> u64 {
        // No look is larger than the photo as it was prepared.
        backbone.feature_memory(geometry.grid(), self.requests.len()) * self.forward_count() as u64
    }

    /// Bytes of the device that a photo of this layout takes in the backbone, and what that gives until the head has
    /// read it.
    pub fn device_memory(&self, backbone: &Backbone, geometry: &Geometry) -> u64 {
        self.grid_device_memory(backbone, geometry.grid())
    }

    /// As [`BackbonePass::device_memory`], for a photo or a window of this many patches.
    pub fn grid_device_memory(&self, backbone: &Backbone, grid: Grid) -> u64 {
        let layers = self.requests.len();
        // No look is larger than the photo as it was prepared.
        let others = backbone.feature_memory(grid, layers) * (self.forward_count() as u64 - 1);
        backbone.device_memory(grid, layers) + others
    }

    /// What the backbone gives for each of `photos`, which go through it as one batch and must have one padded size. `tick`
    /// is told how many of the [`BackbonePass::patch_count`] of a photo are through.
    ///
    /// # Errors
    /// If the device fails, for lack of memory above all.
    pub fn forward(
        &self,
        backbone: &Backbone,
        photos: &[&PreparedImage],
        tick: &dyn Fn(usize),
    ) -> Result<BackboneBatchOutput> {
        // A coarser look is less work than a finer one: patches are counted, not blocks.
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
            let looks = photos.par_iter().map(|photo| shrink_input(coarse, photo));
            let looks = looks.collect::<Result<Vec<_>>>()?;
            fine(&looks.iter().collect::<Vec<_>>())
        };
        let run = |photos: &[&PreparedImage]| match self.scales {
            InputScales::Full => fine(photos),
            InputScales::FullAndCoarse(how) => Ok(Features {
                coarse: Some(Box::new(coarse(photos, how)?)),
                ..fine(photos)?
            }),
            InputScales::Coarse(how) => coarse(photos, how),
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

/// In the host's memory.
fn to_host(features: &Features) -> Result<Features> {
    map_tensors(features, &|tensor| tensor.to_device(&Device::Cpu))
}

/// One photo's row of a batch.
fn select_row(features: &Features, row: usize) -> Result<Features> {
    map_tensors(features, &|tensor| tensor.narrow(0, row, 1))
}

/// With what `change` makes of every tensor.
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
