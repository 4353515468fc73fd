//! Many photos to features: inputs -> preprocess -> backbone.
//!
//! A thread of its own decodes and prepares photos ahead while the backbone works, as far as memory allows; neighbours of
//! one padded size go through it together. A photo that fails is handed on as its error and the rest goes on.

mod ahead;
mod hooks;

use std::cell::Cell;

use image::RgbImage;

use crate::backbone::{Backbone, Features, Grid, LayerFeatures, LayerRequest};
use crate::error::{Error, Result};
use crate::inputs::{Measured, PhotoDecoder, Source};
use crate::memory::{self, Permit};
use crate::preprocess::{Coarse, Geometry, Prepared, Preprocessor, resize};
use crate::stopwatch::Stopwatch;
use ahead::{Arrival, Arrivals, ahead, photos};

pub use hooks::{Costs, accept_all, no_tick};

/// How photos become features.
pub struct Pipeline<'a> {
    /// The backbone to run.
    pub backbone: &'a Backbone,
    /// What it sees of a photo.
    pub preprocessor: Preprocessor,
    /// Which layers are wanted.
    pub requests: &'a [LayerRequest],
    /// How photos are decoded.
    pub decoder: PhotoDecoder,
    /// Photos of one size to run at once, at least 1.
    pub batch_size: usize,
    /// Which views of a photo run.
    pub views: Views,
    /// At which sizes they do.
    pub looks: Looks,
    /// The part of every photo that is looked at, if not all of it.
    pub cut: Option<Cut>,
    /// What photos take, and may.
    pub costs: Costs<'a>,
    /// Refuses a photo by its (width, height) before the backbone sees it, with a part of a sentence about it.
    pub accept: &'a (dyn Fn((u32, u32)) -> Result<(), String> + Sync),
    /// Is told how much of how much a photo, or a batch of them, has gone through.
    pub tick: &'a (dyn Fn(usize, usize) + Sync),
}

/// Left, top, width and height of the part that is looked at of a photo of (width, height).
pub type Cut = fn((u32, u32)) -> (u32, u32, u32, u32);

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

/// What is known of one photo after the backbone.
#[derive(Debug)]
pub struct Extracted {
    /// The photo, upright.
    pub photo: RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// Its features, of batch size 1.
    pub features: Features,
    /// The features of the mirrored photo, where they were asked for.
    pub mirrored: Option<Features>,
    /// Where the time went.
    pub watch: Stopwatch,
    /// For the memory of all that.
    pub permit: Permit,
}

/// A photo and what was computed of it.
#[derive(Debug)]
pub struct Computed<T> {
    /// The photo, upright.
    pub photo: RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// What came of it.
    pub found: T,
    /// Where the time went.
    pub watch: Stopwatch,
    /// For the memory of all that.
    pub permit: Permit,
}

/// A photo between preprocessing and the backbone.
#[derive(Debug)]
pub struct Ready {
    /// The photo, upright.
    pub photo: RgbImage,
    /// What the backbone sees of it.
    pub prepared: Prepared,
    /// Where the time went.
    pub watch: Stopwatch,
    /// For its memory from here on.
    pub permit: Permit,
}

/// A photo as it was decoded.
#[derive(Debug)]
pub struct Decoded {
    /// The photo, upright.
    pub photo: RgbImage,
    /// Where the time went.
    pub watch: Stopwatch,
    /// For its memory from here on.
    pub permit: Permit,
}

/// A photo of a batch, and which of the sources it is.
struct Waiting {
    index: usize,
    ready: Ready,
}

impl Pipeline<'_> {
    /// Runs all `sources` and calls `before` with the index, the layout and the bytes of memory of each before the backbone
    /// sees it, and `each` with every one's index and result, in their order.
    ///
    /// # Errors
    /// Only what `each` returns, which ends the run.
    pub fn run(
        &self,
        sources: &[&Source],
        before: impl Fn(usize, &Geometry, u64),
        mut each: impl FnMut(usize, Result<Extracted>) -> Result<()>,
    ) -> Result<()> {
        let forward = |photos: &[&Prepared]| self.forward(photos);
        self.run_by(sources, forward, before, |index, result| {
            let extracted = |computed| {
                let Computed {
                    photo,
                    geometry,
                    found: (features, mirrored),
                    watch,
                    permit,
                } = computed;
                Extracted {
                    photo,
                    geometry,
                    features,
                    mirrored,
                    watch,
                    permit,
                }
            };
            each(index, result.map(extracted))
        })
    }

    /// As [`Pipeline::run`], but what photos of one padded size go through is `forward`, which returns one result each.
    ///
    /// # Errors
    /// Only what `each` returns, which ends the run.
    pub fn run_by<T>(
        &self,
        sources: &[&Source],
        forward: impl Fn(&[&Prepared]) -> Result<Vec<T>>,
        before: impl Fn(usize, &Geometry, u64),
        mut each: impl FnMut(usize, Result<Computed<T>>) -> Result<()>,
    ) -> Result<()> {
        let layout = |photo| self.preprocessor.geometry(photo);
        // One batch is decoded while another is computed.
        let prepare =
            |source: &Source, crowded: &dyn Fn()| self.prepare_one(source, layout, crowded);
        ahead(sources, self.batch_size, prepare, |receiver| {
            self.compute_all(receiver, &forward, &before, &mut each)
        })
    }

    /// Prepares all `sources` as `layout` lays photos of a size out, and calls `each` with every one's index and
    /// result, in their order, for it to run the backbone as it likes.
    ///
    /// # Errors
    /// Only what `each` returns, which ends the run.
    pub fn prepare(
        &self,
        sources: &[&Source],
        layout: impl Fn((u32, u32)) -> Geometry + Sync,
        mut each: impl FnMut(usize, Result<Ready>) -> Result<()>,
    ) -> Result<()> {
        let prepare =
            |source: &Source, crowded: &dyn Fn()| self.prepare_one(source, &layout, crowded);
        ahead(sources, 1, prepare, |receiver| {
            photos(&receiver).try_for_each(|(index, arrived)| each(index, arrived))
        })
    }

    /// Decodes all `sources` and calls `each` with every one's index and result, in their order, for it to cut and resize
    /// them as it likes.
    ///
    /// # Errors
    /// Only what `each` returns, which ends the run.
    pub fn decode(
        &self,
        sources: &[&Source],
        mut each: impl FnMut(usize, Result<Decoded>) -> Result<()>,
    ) -> Result<()> {
        let layout = |photo| self.preprocessor.geometry(photo);
        let decode = |source: &Source, crowded: &dyn Fn()| self.decode_one(source, layout, crowded);
        ahead(sources, 1, decode, |receiver| {
            photos(&receiver).try_for_each(|(index, arrived)| each(index, arrived))
        })
    }

    /// How often a photo goes through the backbone.
    fn passes(&self) -> usize {
        let views = match self.views {
            Views::Both => 2,
            Views::Plain | Views::Mirrored => 1,
        };
        let looks = match self.looks {
            Looks::AlsoCoarse(_) => 2,
            Looks::Once | Looks::Coarse(_) => 1,
        };
        views * looks
    }

    /// Patches that one of `photos` has in all its passes.
    fn work(&self, photos: &[&Prepared]) -> usize {
        let grid = photos.first().map(|photo| photo.geometry.grid());
        let of_looks = grid.map_or(0, |grid| match self.looks {
            Looks::Once => grid.len(),
            Looks::AlsoCoarse(how) => grid.len() + how.grid(grid).len(),
            Looks::Coarse(how) => how.grid(grid).len(),
        });
        let views = match self.views {
            Views::Both => 2,
            Views::Plain | Views::Mirrored => 1,
        };
        (views * of_looks).max(1)
    }

    /// Bytes that a photo of this layout takes once it is decoded: the photo itself, what the backbone sees of it and needs,
    /// and what comes after.
    pub fn planned_memory(&self, geometry: &Geometry) -> u64 {
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let photo = 3 * area(geometry.photo);
        // As floats: prepared, and stacked twice.
        let pixels = 3 * 4 * area(geometry.padded);
        let (whole, layers) = (geometry.grid(), self.requests.len());
        let seen = match self.costs.window {
            Some(patches) if patches < whole.len() => Grid {
                rows: 1,
                cols: patches * self.batch_size,
            },
            _ => whole,
        };
        let patch = 3 * 4 * self.preprocessor.patch_size.pow(2) as u64;
        let stacked = 2 * patch * seen.len() as u64;
        let features = self.backbone.feature_memory(seen, layers) * (self.passes() as u64 - 1);
        let network = self.backbone.planned_memory(seen, layers).unwrap_or(0);
        let computed = stacked + features + network;
        let resized = resize::memory(geometry.photo, geometry.resized) + 3 * area(geometry.resized);
        let after = (self.costs.after)(geometry);
        photo + pixels + computed.max(after).max(resized)
    }

    /// Decodes a photo that is going to be laid out so; `crowded` is called where that has to wait for memory.
    fn decode_one(
        &self,
        source: &Source,
        layout: impl Fn((u32, u32)) -> Geometry,
        crowded: &dyn Fn(),
    ) -> Result<Decoded> {
        let mut watch = Stopwatch::default();
        let opened = watch.time("decode", || self.decoder.open(source))?;
        let named = |error| match error {
            Error::Memory(why) => Error::file(source.path(), why),
            other => other,
        };
        let planned = |size: (u32, u32)| {
            let seen = self.cut.map_or(size, |cut| {
                let (_, _, width, height) = cut(size);
                (width, height)
            });
            self.planned_memory(&layout(seen))
        };
        let accept = |size| (self.accept)(size).map_err(|why| Error::file(source.path(), why));
        let permit = match opened.measured() {
            Some(Measured { size, bytes }) => {
                accept(size)?;
                let bytes = bytes.max(planned(size));
                self.costs.gate.enter(bytes, crowded).map_err(named)?
            }
            None => Permit::free(),
        };
        let mut photo = watch.time("decode", || opened.decode())?.rgb;
        if permit.bytes() == 0 {
            accept(photo.dimensions())?;
            memory::check(planned(photo.dimensions()), self.costs.gate.limit()).map_err(named)?;
        }
        if let Some(cut) = self.cut {
            let (x, y, width, height) = cut(photo.dimensions());
            photo = image::imageops::crop_imm(&photo, x, y, width, height).to_image();
        }
        Ok(Decoded {
            photo,
            watch,
            permit,
        })
    }

    fn prepare_one(
        &self,
        source: &Source,
        layout: impl Fn((u32, u32)) -> Geometry,
        crowded: &dyn Fn(),
    ) -> Result<Ready> {
        let Decoded {
            photo,
            mut watch,
            permit,
        } = self.decode_one(source, &layout, crowded)?;
        let prepared = watch.time("preprocess", || {
            self.preprocessor
                .lay_out(&photo, layout(photo.dimensions()))
        })?;
        Ok(Ready {
            photo,
            prepared,
            watch,
            permit,
        })
    }

    fn compute_all<T>(
        &self,
        receiver: Arrivals<Ready>,
        forward: &impl Fn(&[&Prepared]) -> Result<Vec<T>>,
        before: &impl Fn(usize, &Geometry, u64),
        each: &mut impl FnMut(usize, Result<Computed<T>>) -> Result<()>,
    ) -> Result<()> {
        let mut batch: Vec<Waiting> = Vec::new();
        for arrival in receiver {
            let (index, arrived) = match arrival {
                Arrival::Photo(index, arrived) => (index, arrived),
                // Those that wait for company hold the memory that the next one waits for.
                Arrival::Crowded => {
                    compute(std::mem::take(&mut batch), forward, each)?;
                    continue;
                }
            };
            match arrived {
                Ok(ready) => {
                    let geometry = &ready.prepared.geometry;
                    let planned = self.planned_memory(geometry);
                    before(index, geometry, planned.max(ready.permit.bytes()));
                    let size = ready.prepared.geometry.padded;
                    if batch
                        .first()
                        .is_some_and(|first| first.ready.prepared.geometry.padded != size)
                    {
                        compute(std::mem::take(&mut batch), forward, each)?;
                    }
                    batch.push(Waiting { index, ready });
                    if batch.len() >= self.batch_size {
                        compute(std::mem::take(&mut batch), forward, each)?;
                    }
                }
                Err(error) => {
                    compute(std::mem::take(&mut batch), forward, each)?;
                    each(index, Err(error))?;
                }
            }
        }
        compute(batch, forward, each)
    }

    /// The features of each of `photos`, which go through the backbone as one batch and must have one padded size, and
    /// where they are wanted those of its mirror image.
    ///
    /// # Errors
    /// If the device fails, for lack of memory above all.
    pub fn forward(&self, photos: &[&Prepared]) -> Result<Vec<(Features, Option<Features>)>> {
        // A coarser look is less work than a finer one: patches are counted, not blocks.
        let work = self.work(photos);
        let before = Cell::new(0);
        let fine = |photos: &[&Prepared]| {
            let pixels = Prepared::stack(photos)?;
            let patches = photos
                .first()
                .map_or(0, |photo| photo.geometry.grid().len());
            let start = before.replace(before.get() + patches);
            let tick = |done: usize, all: usize| {
                let done = start as f64 + patches as f64 * done as f64 / all as f64;
                (self.tick)((100.0 * done / work as f64).round() as usize, 100);
            };
            self.backbone.forward_with(&pixels, self.requests, &tick)
        };
        let coarse = |photos: &[&Prepared], coarse: Coarse| {
            let looks = photos.iter().map(|photo| coarse.look(photo));
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
            let mirrored: Vec<Prepared> = photos.iter().map(|photo| photo.mirrored()).collect();
            run(&mirrored.iter().collect::<Vec<_>>())
        };
        let (features, mirrored) = match self.views {
            Views::Plain => (run(photos)?, None),
            Views::Both => (run(photos)?, Some(mirror()?)),
            Views::Mirrored => (mirror()?, None),
        };
        let one = |row| {
            let mirrored = mirrored.as_ref().map(|mirrored| single(mirrored, row));
            Ok((single(&features, row)?, mirrored.transpose()?))
        };
        (0..photos.len()).map(one).collect()
    }
}

/// One forward pass over photos of one size.
fn compute<T>(
    batch: Vec<Waiting>,
    forward: &impl Fn(&[&Prepared]) -> Result<Vec<T>>,
    each: &mut impl FnMut(usize, Result<Computed<T>>) -> Result<()>,
) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut watch = Stopwatch::default();
    let found = watch.time("backbone", || {
        let pixels: Vec<_> = batch.iter().map(|one| &one.ready.prepared).collect();
        forward(&pixels)
    });
    let time = watch.total() / batch.len() as u32;
    match found {
        Ok(found) => {
            batch
                .into_iter()
                .zip(found)
                .try_for_each(|(Waiting { index, ready }, found)| {
                    let mut watch = ready.watch;
                    watch.add("backbone", time);
                    let computed = Computed {
                        photo: ready.photo,
                        geometry: ready.prepared.geometry,
                        found,
                        watch,
                        permit: ready.permit,
                    };
                    each(index, Ok(computed))
                })
        }
        // A batch may be too large for the device where a photo alone is not.
        Err(_) if batch.len() > 1 => batch
            .into_iter()
            .try_for_each(|one| compute(vec![one], forward, each)),
        Err(error) => each(batch[0].index, Err(error)),
    }
}

/// One photo's row of a batch.
fn single(features: &Features, row: usize) -> Result<Features> {
    let one = |layer: &LayerFeatures| -> Result<LayerFeatures> {
        Ok(LayerFeatures {
            request: layer.request,
            patch_tokens: layer.patch_tokens.narrow(0, row, 1)?,
            cls_token: layer.cls_token.narrow(0, row, 1)?,
            registers: layer.registers.narrow(0, row, 1)?,
        })
    };
    Ok(Features {
        layers: features.layers.iter().map(one).collect::<Result<_>>()?,
        grid: features.grid,
        coarse: match &features.coarse {
            Some(coarse) => Some(Box::new(single(coarse, row)?)),
            None => None,
        },
    })
}
