//! One pass of the backbone over a photo: what it sees of it, and which layers are wanted.

use std::cell::Cell;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::Result;
use crate::model::backbone::{Backbone, Features, LayerFeatures, LayerRequest};
use crate::model::input::Grid;
use crate::model::input::{Coarse, Geometry};
use crate::vision::preprocess::shrink_input;
use crate::vision::preprocess::{Prepared, Preprocessor, resize};

/// How photos go through the backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// What it sees of a photo.
    pub preprocessor: Preprocessor,
    /// Which layers are wanted.
    pub requests: Vec<LayerRequest>,
    /// Which views of a photo run.
    pub views: Views,
    /// At which sizes they do.
    pub looks: Looks,
}

/// The photo and its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// The photo alone.
    Plain,
    /// Both.
    Both,
    /// The mirror image alone; its features stand in the photo's place.
    Mirrored,
}

/// The sizes at which a photo is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// As it was prepared.
    Once,
    /// Coarser too.
    AlsoCoarse(Coarse),
    /// Coarser alone; those features stand in the others' place.
    Coarse(Coarse),
}

impl From<Option<Coarse>> for Looks {
    fn from(also: Option<Coarse>) -> Self {
        also.map_or(Looks::Once, Looks::AlsoCoarse)
    }
}

/// What the backbone gives for a photo.
#[derive(Debug)]
pub struct Seen {
    /// Of batch size 1.
    pub features: Features,
    /// Those of the mirrored photo, where they were asked for.
    pub mirrored: Option<Features>,
}

/// What the backbone gives for a batch of photos.
#[derive(Debug)]
pub struct SeenBatch {
    /// How many photos there are.
    pub photos: usize,
    /// Of all of them.
    pub features: Features,
    /// Those of the mirrored photos, where they were asked for.
    pub mirrored: Option<Features>,
}

impl SeenBatch {
    /// The same in the host's memory: of a part of a tensor on a GPU, all of it crosses, so that it does once.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_host(&self) -> Result<Self> {
        Ok(SeenBatch {
            photos: self.photos,
            features: on_host(&self.features)?,
            mirrored: self.mirrored.as_ref().map(on_host).transpose()?,
        })
    }

    /// What the backbone gives for each photo.
    ///
    /// # Errors
    /// If the device fails.
    pub fn each(&self) -> Result<Vec<Seen>> {
        let one = |row| {
            let mirrored = self.mirrored.as_ref();
            Ok(Seen {
                features: single(&self.features, row)?,
                mirrored: mirrored.map(|mirrored| single(mirrored, row)).transpose()?,
            })
        };
        (0..self.photos).map(one).collect()
    }
}

impl Pass {
    /// How often a photo goes through the backbone.
    fn times(&self) -> usize {
        let looks = match self.looks {
            Looks::AlsoCoarse(_) => 2,
            Looks::Once | Looks::Coarse(_) => 1,
        };
        self.sides() * looks
    }

    /// How often it does at each size.
    fn sides(&self) -> usize {
        match self.views {
            Views::Both => 2,
            Views::Plain | Views::Mirrored => 1,
        }
    }

    /// Patches that a photo of this layout has in all that the backbone sees of it.
    pub fn patches(&self, geometry: &Geometry) -> usize {
        let grid = geometry.grid();
        let of_looks = match self.looks {
            Looks::Once => grid.len(),
            Looks::AlsoCoarse(how) => grid.len() + how.grid(grid).len(),
            Looks::Coarse(how) => how.grid(grid).len(),
        };
        self.sides() * of_looks
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
        let features = backbone.feature_memory(seen, layers) * (self.times() as u64 - 1);
        let network = backbone.planned_memory(seen, layers).unwrap_or(0);
        let resized = resize::memory(geometry.photo, geometry.resized) + 3 * area(geometry.resized);
        pixels + (stacked + features + network).max(resized)
    }

    /// Bytes of what the backbone gives for a photo of this layout.
    pub fn feature_memory(&self, backbone: &Backbone, geometry: &Geometry) -> u64 {
        // No look is larger than the photo as it was prepared.
        backbone.feature_memory(geometry.grid(), self.requests.len()) * self.times() as u64
    }

    /// Bytes of the device that a photo of this layout takes in the backbone, and what that gives until the head has
    /// read it.
    pub fn device_memory(&self, backbone: &Backbone, geometry: &Geometry) -> u64 {
        self.device_memory_of(backbone, geometry.grid())
    }

    /// As [`Pass::device_memory`], for a photo or a window of this many patches.
    pub fn device_memory_of(&self, backbone: &Backbone, grid: Grid) -> u64 {
        let layers = self.requests.len();
        // No look is larger than the photo as it was prepared.
        let others = backbone.feature_memory(grid, layers) * (self.times() as u64 - 1);
        backbone.device_memory(grid, layers) + others
    }

    /// What the backbone gives for each of `photos`, which go through it as one batch and must have one padded size. `tick`
    /// is told how many of the [`Pass::patches`] of a photo are through.
    ///
    /// # Errors
    /// If the device fails, for lack of memory above all.
    pub fn run(
        &self,
        backbone: &Backbone,
        photos: &[&Prepared],
        tick: &dyn Fn(usize),
    ) -> Result<SeenBatch> {
        // A coarser look is less work than a finer one: patches are counted, not blocks.
        let before = Cell::new(0);
        let fine = |photos: &[&Prepared]| {
            let size = photos.first().map_or((0, 0), |photo| photo.geometry.padded);
            let apart: Vec<&[f32]> = photos.iter().map(|photo| &photo.pixels[..]).collect();
            let pixels = match backbone.stage(&apart, (size.1 as usize, size.0 as usize))? {
                Some(pixels) => pixels,
                None => Prepared::stack(photos)?,
            };
            let patches = photos
                .first()
                .map_or(0, |photo| photo.geometry.grid().len());
            let start = before.replace(before.get() + patches);
            let tick = |done: usize, all: usize| tick(start + patches * done / all.max(1));
            backbone.forward_with(&pixels, &self.requests, &tick)
        };
        let coarse = |photos: &[&Prepared], coarse: Coarse| {
            let looks = photos.par_iter().map(|photo| shrink_input(coarse, photo));
            let looks = looks.collect::<Result<Vec<_>>>()?;
            fine(&looks.iter().collect::<Vec<_>>())
        };
        let run = |photos: &[&Prepared]| match self.looks {
            Looks::Once => fine(photos),
            Looks::AlsoCoarse(how) => Ok(Features {
                coarse: Some(Box::new(coarse(photos, how)?)),
                ..fine(photos)?
            }),
            Looks::Coarse(how) => coarse(photos, how),
        };
        let mirror = || {
            let mirrored: Vec<Prepared> = photos.par_iter().map(|photo| photo.mirrored()).collect();
            run(&mirrored.iter().collect::<Vec<_>>())
        };
        let (features, mirrored) = match self.views {
            Views::Plain => (run(photos)?, None),
            Views::Both => (run(photos)?, Some(mirror()?)),
            Views::Mirrored => (mirror()?, None),
        };
        Ok(SeenBatch {
            photos: photos.len(),
            features,
            mirrored,
        })
    }
}

/// In the host's memory.
fn on_host(features: &Features) -> Result<Features> {
    with_tensors(features, &|tensor| tensor.to_device(&Device::Cpu))
}

/// One photo's row of a batch.
fn single(features: &Features, row: usize) -> Result<Features> {
    with_tensors(features, &|tensor| tensor.narrow(0, row, 1))
}

/// With what `change` makes of every tensor.
fn with_tensors(
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
    let coarse = coarse.map(|coarse| with_tensors(coarse, change));
    Ok(Features {
        layers: features.layers.iter().map(one).collect::<Result<_>>()?,
        grid: features.grid,
        coarse: coarse.transpose()?.map(Box::new),
    })
}
