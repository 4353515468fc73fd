//! Many photos to features: inputs -> preprocess -> backbone.
//!
//! A thread of its own decodes and prepares photos ahead while the backbone works; neighbours of one padded size go
//! through it together. A photo that fails is handed on as its error and the rest goes on.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use candle_core::Tensor;
use image::RgbImage;

use crate::backbone::{Backbone, Features, LayerFeatures, LayerRequest};
use crate::error::{Error, Result};
use crate::inputs::{DecodeLimits, Source, decode};
use crate::preprocess::{Geometry, Prepared, Preprocessor};
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
    /// What a photo may cost.
    pub limits: DecodeLimits,
    /// Photos of one size to run at once, at least 1.
    pub batch_size: usize,
    /// Run the mirrored photo too.
    pub mirror: bool,
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

/// A photo between preprocessing and the backbone.
struct Waiting {
    index: usize,
    photo: RgbImage,
    prepared: Prepared,
    watch: Stopwatch,
}

impl Pipeline<'_> {
    /// Runs all `sources` and calls `each` with every one's index and result, in their order.
    ///
    /// # Errors
    /// Only what `each` returns, which ends the run.
    pub fn run(
        &self,
        sources: &[&Source],
        mut each: impl FnMut(usize, Result<Extracted>) -> Result<()>,
    ) -> Result<()> {
        thread::scope(|scope| {
            // One batch is decoded while another is computed.
            let (sender, receiver) = sync_channel(self.batch_size);
            scope.spawn(move || self.prepare_all(sources, &sender));
            self.compute_all(&receiver, &mut each)
            // If `each` ended the run, the receiver is dropped here and the other thread stops at its next photo.
        })
    }

    fn prepare_all(&self, sources: &[&Source], sender: &SyncSender<(usize, Result<Waiting>)>) {
        for (index, source) in sources.iter().enumerate() {
            if sender.send((index, self.prepare(index, source))).is_err() {
                return;
            }
        }
    }

    fn prepare(&self, index: usize, source: &Source) -> Result<Waiting> {
        let mut watch = Stopwatch::default();
        let photo = watch.time("decode", || decode(source, &self.limits))?.rgb;
        let prepared = watch.time("preprocess", || self.preprocessor.prepare(&photo))?;
        Ok(Waiting {
            index,
            photo,
            prepared,
            watch,
        })
    }

    fn compute_all(
        &self,
        receiver: &Receiver<(usize, Result<Waiting>)>,
        each: &mut impl FnMut(usize, Result<Extracted>) -> Result<()>,
    ) -> Result<()> {
        let mut batch: Vec<Waiting> = Vec::new();
        for (index, arrived) in receiver {
            match arrived {
                Ok(waiting) => {
                    let size = waiting.prepared.geometry.padded;
                    if batch
                        .first()
                        .is_some_and(|first| first.prepared.geometry.padded != size)
                    {
                        self.compute(std::mem::take(&mut batch), each)?;
                    }
                    batch.push(waiting);
                    if batch.len() >= self.batch_size {
                        self.compute(std::mem::take(&mut batch), each)?;
                    }
                }
                Err(error) => {
                    self.compute(std::mem::take(&mut batch), each)?;
                    each(index, Err(error))?;
                }
            }
        }
        self.compute(batch, each)
    }

    /// One forward pass over photos of one size.
    fn compute(
        &self,
        batch: Vec<Waiting>,
        each: &mut impl FnMut(usize, Result<Extracted>) -> Result<()>,
    ) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut watch = Stopwatch::default();
        let features = watch.time("backbone", || {
            let pixels =
                Prepared::stack(&batch.iter().map(|one| &one.prepared).collect::<Vec<_>>())?;
            let features = self.backbone.forward(&pixels, self.requests)?;
            let mirrored = match self.mirror {
                true => Some(self.backbone.forward(&mirror(&pixels)?, self.requests)?),
                false => None,
            };
            Ok::<_, Error>((features, mirrored))
        });
        let time = watch.total() / batch.len() as u32;
        match features {
            Ok((features, mirrored)) => {
                for (row, mut one) in batch.into_iter().enumerate() {
                    one.watch.add("backbone", time);
                    let extracted = single(&features, row).and_then(|features| {
                        Ok(Extracted {
                            photo: one.photo,
                            geometry: one.prepared.geometry,
                            features,
                            mirrored: mirrored
                                .as_ref()
                                .map(|mirrored| single(mirrored, row))
                                .transpose()?,
                            watch: one.watch,
                        })
                    });
                    each(one.index, extracted)?;
                }
                Ok(())
            }
            // A batch may be too large for the device where a photo alone is not.
            Err(_) if batch.len() > 1 => batch
                .into_iter()
                .try_for_each(|one| self.compute(vec![one], each)),
            Err(error) => each(batch[0].index, Err(error)),
        }
    }
}

/// `[B, 3, H, W]` with left and right exchanged.
fn mirror(pixels: &Tensor) -> Result<Tensor> {
    let width = pixels.dim(3)? as u32;
    let columns: Vec<u32> = (0..width).rev().collect();
    let columns = Tensor::from_vec(columns, width as usize, pixels.device())?;
    Ok(pixels.index_select(&columns, 3)?)
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
    })
}
