//! Features of drawn samples' patches in memory, and mini-batches made of them.
//!
//! If all patches fit into the memory allowed they are read once; else every epoch reads those that it drew. Either
//! way training touches memory at random and the disk in order.

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use crate::error::Result;
use crate::learn::train::cached_view::TokenBuffers;
use crate::learn::train::head_in_training::Standardisation;
use crate::learn::train::samples::{PatchKey, TrainingSamples};
use crate::learn::train::seed::mix_seed;
use crate::maths::matrix::{column_deviations, column_means};
use crate::model::head::global_token::GlobalToken;

/// Patches over which inputs are standardised.
const STANDARD_PATCHES: usize = 50_000;

/// Features in memory.
#[derive(Debug)]
pub struct FeaturePool {
    /// The patches that are here, rising.
    patches: Vec<PatchKey>,
    /// `[patches, local * blocks * D]`.
    values: Vec<f16>,
    width: usize,
}

/// The patches of some samples, rising, each once.
pub fn patches_of(samples: &TrainingSamples, some: impl Iterator<Item = usize>) -> Vec<PatchKey> {
    let mut patches = Vec::new();
    for sample in some {
        samples.each_patch(sample, |patch| patches.push(patch));
    }
    patches.sort_unstable();
    patches.dedup();
    patches
}

impl FeaturePool {
    /// How many patches of `width` numbers fit into `bytes`.
    pub fn capacity(bytes: u64, width: usize) -> usize {
        (bytes / (2 * width as u64)) as usize
    }

    /// Reads what `inputs` need of `patches`, rising, frame by frame, into the memory of the pool `before`.
    ///
    /// # Errors
    /// If features cannot be read any more.
    pub fn read(
        samples: &TrainingSamples,
        patches: Vec<PatchKey>,
        inputs: &InputLayout,
        before: Option<FeaturePool>,
    ) -> Result<Self> {
        let width = inputs.read_width();
        let mut values = before.map_or(Vec::new(), |pool| pool.values);
        values.resize(patches.len() * width, f16::ZERO);
        let mut jobs = Vec::new();
        let mut rest = values.as_mut_slice();
        for of_frame in patches.chunk_by(|a, b| a.view == b.view) {
            let (out, after) = rest.split_at_mut(of_frame.len() * width);
            jobs.push((of_frame, out));
            rest = after;
        }
        jobs.into_par_iter()
            .try_for_each_init(TokenBuffers::default, |room, (patches, out)| {
                crate::system::interrupt::check()?;
                let frame = &samples.views[patches[0].view as usize];
                let places: Vec<u32> = patches.iter().map(|key| key.patch).collect();
                frame.read(&places, &inputs.context, inputs.coarse, room, out)
            })?;
        Ok(FeaturePool {
            patches,
            values,
            width,
        })
    }

    /// What was read of a patch, `[local * blocks * D]`.
    ///
    /// # Panics
    /// If it was not read.
    fn row(&self, patch: PatchKey) -> &[f16] {
        let at = self.patches.partition_point(|other| *other < patch);
        &self.values[at * self.width..][..self.width]
    }
}

/// How a row of inputs is put together: block by block the patch token, the means of squares around it, the token of a
/// coarser look and the global tokens, as far as they are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct InputLayout {
    /// Blocks.
    pub blocks: usize,
    /// Width of a token.
    pub dim: usize,
    /// Sides of the squares whose mean tokens follow each patch token.
    pub context: Vec<usize>,
    /// Whether the token of a coarser look follows these.
    pub coarse: bool,
    /// The tokens of the whole photo that follow these.
    pub globals: Vec<GlobalToken>,
}

/// A part of a row of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputPart {
    /// A patch token.
    Patch,
    /// The mean of a square, by its place among the sides.
    Context(usize),
    /// The token of a coarser look.
    Coarse,
    /// A token of the whole photo.
    Global(GlobalToken),
}

impl InputPart {
    /// The token of the whole photo that it is, if it is one; all else is read of the patch's frame.
    fn global(self) -> Option<GlobalToken> {
        match self {
            InputPart::Global(token) => Some(token),
            InputPart::Patch | InputPart::Context(_) | InputPart::Coarse => None,
        }
    }
}

/// Shares of inputs that are set to zero in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Of patch tokens, of means of squares and of a coarser look.
    pub patch: f32,
    /// Of global tokens.
    pub global: f32,
}

impl InputLayout {
    /// Numbers a patch.
    pub fn width(&self) -> usize {
        self.blocks * self.block_width()
    }

    /// Numbers a patch that are read of its frame; global tokens are not.
    pub fn read_width(&self) -> usize {
        self.blocks * self.dim * self.local()
    }

    /// Tokens of a block that belong to the patch's place.
    fn local(&self) -> usize {
        1 + self.context.len() + usize::from(self.coarse)
    }

    /// Numbers of one block.
    fn block_width(&self) -> usize {
        self.dim * (self.local() + self.globals.len())
    }

    /// The parts of a row, one block's.
    pub(super) fn parts(&self) -> impl Iterator<Item = InputPart> {
        let context = (0..self.context.len()).map(InputPart::Context);
        let globals = self.globals.iter().copied().map(InputPart::Global);
        let coarse = self.coarse.then_some(InputPart::Coarse);
        std::iter::once(InputPart::Patch)
            .chain(context)
            .chain(coarse)
            .chain(globals)
    }

    /// Calls `copy` with the place in the row, the place in what is read (in a frame's global token for such a one) and
    /// the part, block by block.
    pub(super) fn each_part(&self, mut copy: impl FnMut(usize, usize, InputPart)) {
        for block in 0..self.blocks {
            for (at, part) in self.parts().enumerate() {
                let square = match part {
                    InputPart::Context(index) => 1 + index,
                    InputPart::Coarse => 1 + self.context.len(),
                    InputPart::Patch | InputPart::Global(_) => 0,
                };
                copy(
                    block * self.block_width() + at * self.dim,
                    (square * self.blocks + block) * self.dim,
                    part,
                );
            }
        }
    }

    /// Mean and deviation of every input over patches of the first samples in `order`, and of the global tokens over
    /// the frames.
    pub fn measure_standardisation(
        &self,
        samples: &TrainingSamples,
        pool: &FeaturePool,
        order: &[u32],
    ) -> Standardisation {
        let tokens = self.blocks * self.dim;
        let few = order.iter().take(STANDARD_PATCHES / samples.patches());
        let few = patches_of(samples, few.map(|&sample| sample as usize));
        let read = moments(&few, self.read_width(), |&patch, row| {
            pool.row(patch).convert_to_f32_slice(row);
        });
        let globals = GlobalToken::ALL.map(|token| match self.globals.contains(&token) {
            true => moments(&samples.views, tokens, |frame, row| {
                row.copy_from_slice(frame.global(token));
            }),
            false => Default::default(),
        });
        let mut standard = Standardisation {
            mean: vec![0.0; self.width()],
            deviation: vec![1.0; self.width()],
        };
        self.each_part(|to, from, part| {
            let (mean, deviation) = part
                .global()
                .map_or(&read, |token| &globals[token as usize]);
            standard.mean[to..][..self.dim].copy_from_slice(&mean[from..][..self.dim]);
            standard.deviation[to..][..self.dim].copy_from_slice(&deviation[from..][..self.dim]);
        });
        standard
    }

    /// The standardised inputs of a mini-batch, `[patches of all samples, width]`, with `dropout` seeded by `seed`.
    #[allow(clippy::too_many_arguments)]
    pub fn fill(
        &self,
        samples: &TrainingSamples,
        pool: &FeaturePool,
        batch: &[u32],
        standard: &Standardisation,
        dropout: Dropout,
        seed: u64,
        out: &mut Vec<f32>,
    ) {
        let width = self.width();
        let mut patches = Vec::with_capacity(batch.len() * samples.patches());
        for &sample in batch {
            samples.each_patch(sample as usize, |patch| patches.push(patch));
        }
        out.resize(patches.len() * width, 0.0);
        let scale: Vec<f32> = standard.deviation.iter().map(|d| 1.0 / d).collect();
        out.par_chunks_exact_mut(width)
            .zip(&patches)
            .enumerate()
            .for_each_init(
                || vec![0f32; pool.width],
                |tokens, (index, (row, &patch))| {
                    pool.row(patch).convert_to_f32_slice(tokens);
                    let frame = &samples.views[patch.view as usize];
                    self.each_part(|to, from, part| {
                        let source = part
                            .global()
                            .map_or(tokens.as_slice(), |token| frame.global(token));
                        row[to..][..self.dim].copy_from_slice(&source[from..][..self.dim]);
                    });
                    for ((v, mean), scale) in row.iter_mut().zip(&standard.mean).zip(&scale) {
                        *v = (*v - mean) * scale;
                    }
                    let mut rng = fastrand::Rng::with_seed(mix_seed(seed, index as u64));
                    self.each_part(|to, _, part| {
                        let share = part.global().map_or(dropout.patch, |_| dropout.global);
                        drop_out(&mut row[to..][..self.dim], share, &mut rng);
                    });
                },
            );
    }
}

/// Sets a `share` of the values to zero and scales the rest up. The share is taken in steps of 1/256.
fn drop_out(values: &mut [f32], share: f32, rng: &mut fastrand::Rng) {
    let threshold = (share * 256.0).round().min(255.0) as u8;
    if threshold == 0 {
        return;
    }
    let scale = 256.0 / (256.0 - f32::from(threshold));
    let mut factors = || {
        let bytes = rng.u64(..).to_le_bytes();
        bytes.map(|byte| if byte < threshold { 0.0 } else { scale })
    };
    // Whole eights are done at once.
    let (eights, rest) = values.as_chunks_mut::<8>();
    for eight in eights {
        let factors = factors();
        for i in 0..8 {
            eight[i] *= factors[i];
        }
    }
    if !rest.is_empty() {
        let factors = factors();
        rest.iter_mut()
            .zip(factors)
            .for_each(|(value, f)| *value *= f);
    }
}

/// Column means and deviations, the latter above zero.
fn moments<T: Sync>(
    rows: &[T],
    width: usize,
    fill: impl Fn(&T, &mut [f32]) + Sync,
) -> (Vec<f32>, Vec<f32>) {
    let mean = column_means(rows, width, &fill);
    let deviation = column_deviations(rows, &mean, &fill);
    (
        mean.into_iter().map(|m| m as f32).collect(),
        deviation.into_iter().map(|d| d.max(1e-6) as f32).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_mean() {
        let mut values = vec![1f32; 80_000];
        drop_out(&mut values, 0.25, &mut fastrand::Rng::with_seed(5));
        let zeros = values.iter().filter(|v| **v == 0.0).count();
        assert!((19_000..21_000).contains(&zeros), "{zeros}");
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn moments_of_known_columns() {
        let rows: Vec<[f32; 2]> = (0..3000).map(|i| [(i % 3) as f32, 5.0]).collect();
        let (mean, deviation) = moments(&rows, 2, |row, out| out.copy_from_slice(row));
        assert!((mean[0] - 1.0).abs() < 1e-6 && mean[1] == 5.0);
        assert!((deviation[0] - (2f32 / 3.0).sqrt()).abs() < 1e-6);
        assert!(deviation[1] > 0.0);
    }
}
