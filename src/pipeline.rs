//! Many photos to features: inputs -> preprocess -> backbone.
//!
//! A thread of its own decodes and prepares photos ahead while the backbone works; neighbours of one padded size go
//! through it together. A photo that fails is handed on as its error and the rest goes on.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use image::RgbImage;

use crate::backbone::{Backbone, Features, LayerFeatures, LayerRequest};
use crate::error::Result;
use crate::inputs::{PhotoDecoder, Source};
use crate::preprocess::{Coarse, Geometry, Prepared, Preprocessor};
use crate::stopwatch::Stopwatch;

/// How photos become features.
#[derive(Debug)]
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
}

/// A photo as it was decoded.
#[derive(Debug)]
pub struct Decoded {
    /// The photo, upright.
    pub photo: RgbImage,
    /// Where the time went.
    pub watch: Stopwatch,
}

/// A photo of a batch, and which of the sources it is.
struct Waiting {
    index: usize,
    ready: Ready,
}

/// Photos as they become ready, with their indices.
type Arrivals<T> = Receiver<(usize, Result<T>)>;

impl Pipeline<'_> {
    /// Runs all `sources` and calls `before` with the index and layout of each before the backbone sees it, and `each`
    /// with every one's index and result, in their order.
    ///
    /// # Errors
    /// Only what `each` returns, which ends the run.
    pub fn run(
        &self,
        sources: &[&Source],
        before: impl Fn(usize, &Geometry),
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
                } = computed;
                Extracted {
                    photo,
                    geometry,
                    features,
                    mirrored,
                    watch,
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
        before: impl Fn(usize, &Geometry),
        mut each: impl FnMut(usize, Result<Computed<T>>) -> Result<()>,
    ) -> Result<()> {
        let layout = |photo| self.preprocessor.geometry(photo);
        // One batch is decoded while another is computed.
        let prepare = |source: &Source| self.prepare_one(source, layout);
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
        let prepare = |source: &Source| self.prepare_one(source, &layout);
        ahead(sources, 1, prepare, |receiver| {
            receiver
                .iter()
                .try_for_each(|(index, arrived)| each(index, arrived))
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
        ahead(
            sources,
            1,
            |source| self.decode_one(source),
            |receiver| {
                receiver
                    .iter()
                    .try_for_each(|(index, arrived)| each(index, arrived))
            },
        )
    }

    fn decode_one(&self, source: &Source) -> Result<Decoded> {
        let mut watch = Stopwatch::default();
        let mut photo = watch.time("decode", || self.decoder.decode(source))?.rgb;
        if let Some(cut) = self.cut {
            let (x, y, width, height) = cut(photo.dimensions());
            photo = image::imageops::crop_imm(&photo, x, y, width, height).to_image();
        }
        Ok(Decoded { photo, watch })
    }

    fn prepare_one(
        &self,
        source: &Source,
        layout: impl Fn((u32, u32)) -> Geometry,
    ) -> Result<Ready> {
        let Decoded { photo, mut watch } = self.decode_one(source)?;
        let prepared = watch.time("preprocess", || {
            self.preprocessor
                .lay_out(&photo, layout(photo.dimensions()))
        })?;
        Ok(Ready {
            photo,
            prepared,
            watch,
        })
    }

    fn compute_all<T>(
        &self,
        receiver: Arrivals<Ready>,
        forward: &impl Fn(&[&Prepared]) -> Result<Vec<T>>,
        before: &impl Fn(usize, &Geometry),
        each: &mut impl FnMut(usize, Result<Computed<T>>) -> Result<()>,
    ) -> Result<()> {
        let mut batch: Vec<Waiting> = Vec::new();
        for (index, arrived) in receiver {
            match arrived {
                Ok(ready) => {
                    before(index, &ready.prepared.geometry);
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
        let fine = |photos: &[&Prepared]| {
            self.backbone
                .forward(&Prepared::stack(photos)?, self.requests)
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

/// Runs `prepare` over `sources` on a thread of its own, up to `room` ahead of `take`, which receives what comes of it.
/// If `take` ends early, the receiver is dropped, and the thread stops at its next photo.
fn ahead<T: Send>(
    sources: &[&Source],
    room: usize,
    prepare: impl Fn(&Source) -> Result<T> + Sync,
    take: impl FnOnce(Arrivals<T>) -> Result<()>,
) -> Result<()> {
    let prepare = &prepare;
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(room);
        scope.spawn(move || {
            for (index, source) in sources.iter().enumerate() {
                if sender.send((index, prepare(source))).is_err() {
                    return;
                }
            }
        });
        take(receiver)
    })
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
