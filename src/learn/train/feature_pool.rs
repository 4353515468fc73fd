//! The features of drawn patches in memory, and the mini-batches that are put together from them.
//!
//! In: patches of an index, whose features lie in the cache. Out: standardised inputs `[patches, width]` of a
//! mini-batch, as an [`InputLayout`] orders them. Where all patches fit into the memory allowed they are read once,
//! else every epoch reads those that it drew: either way memory is accessed at random and the disk in order.

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

/// Patches over which mean and deviation of the inputs are measured.
const STANDARD_PATCHES: usize = 50_000;

/// The features of some patches in memory, in f16.
#[derive(Debug)]
pub struct FeaturePool {
    /// The patches whose features are here, rising.
    patches: Vec<PatchKey>,
    /// `[patches, width]`.
    values: Vec<f16>,
    /// [`InputLayout::read_width`].
    width: usize,
}

/// The patches of the samples `some`, rising, each once.
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
    /// How many patches of `width` f16 numbers fit into `bytes`.
    pub fn capacity(bytes: u64, width: usize) -> usize {
        (bytes / (2 * width as u64)) as usize
    }

    /// Reads the features of `patches` (rising) that `inputs` need, view by view in parallel, reusing the memory of the
    /// pool `before`.
    ///
    /// # Errors
    /// Where features were removed or changed since they were opened; [`Error::Interrupted`](crate::Error::Interrupted)
    /// after Ctrl-C.
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
        for of_view in patches.chunk_by(|a, b| a.view == b.view) {
            let (out, after) = rest.split_at_mut(of_view.len() * width);
            jobs.push((of_view, out));
            rest = after;
        }
        jobs.into_par_iter().try_for_each_init(
            TokenBuffers::default,
            |buffers, (patches, out)| {
                crate::system::interrupt::check()?;
                let view = &samples.views[patches[0].view as usize];
                let places: Vec<u32> = patches.iter().map(|key| key.patch).collect();
                view.read(&places, &inputs.context, inputs.coarse, buffers, out)
            },
        )?;
        Ok(FeaturePool {
            patches,
            values,
            width,
        })
    }

    /// The features of a patch that is in the pool, `[read_width]`.
    ///
    /// # Panics
    /// Where the patch comes after the last one of the pool.
    fn row(&self, patch: PatchKey) -> &[f16] {
        let at = self.patches.partition_point(|other| *other < patch);
        &self.values[at * self.width..][..self.width]
    }
}

/// The layout of the input of one patch: block by block the patch token, the mean tokens of squares around it, the
/// token of the coarse scale and the global tokens, as far as the head reads them.
#[derive(Debug, Clone, PartialEq)]
pub struct InputLayout {
    /// Number of blocks whose tokens are read.
    pub blocks: usize,
    /// Token width D of the backbone.
    pub dim: usize,
    /// Sides, in patches, of the squares whose mean tokens follow each patch token.
    pub context: Vec<usize>,
    /// Whether the token of the coarse scale follows these.
    pub coarse: bool,
    /// The global tokens that follow these.
    pub globals: Vec<GlobalToken>,
}

/// One token of the input of a patch, of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputPart {
    /// The token of the patch itself.
    Patch,
    /// The mean token of a square, by the index of its side in [`InputLayout::context`].
    Context(usize),
    /// The token of the coarse scale.
    Coarse,
    /// A global token of the view.
    Global(GlobalToken),
}

impl InputPart {
    /// The global token, if it is one; all other parts are local to the patch and come from the pool.
    fn global(self) -> Option<GlobalToken> {
        match self {
            InputPart::Global(token) => Some(token),
            InputPart::Patch | InputPart::Context(_) | InputPart::Coarse => None,
        }
    }
}

/// Dropout (Srivastava et al., 2014) of the inputs in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the numbers of local tokens that is set to zero, 0..1.
    pub patch: f32,
    /// Share of the numbers of global tokens that is set to zero, 0..1.
    pub global: f32,
}

impl InputLayout {
    /// Inputs of a patch: numbers of all tokens of all blocks.
    pub fn width(&self) -> usize {
        self.blocks * self.block_width()
    }

    /// Numbers of a patch in the pool: all but those of global tokens, which are kept once per view.
    pub fn read_width(&self) -> usize {
        self.blocks * self.dim * self.local()
    }

    /// Local tokens of a block: the patch, its context squares and the coarse scale.
    fn local(&self) -> usize {
        1 + self.context.len() + usize::from(self.coarse)
    }

    /// Numbers of one block.
    fn block_width(&self) -> usize {
        self.dim * (self.local() + self.globals.len())
    }

    /// The parts of one block, in their order.
    pub(super) fn parts(&self) -> impl Iterator<Item = InputPart> {
        let context = (0..self.context.len()).map(InputPart::Context);
        let globals = self.globals.iter().copied().map(InputPart::Global);
        let coarse = self.coarse.then_some(InputPart::Coarse);
        std::iter::once(InputPart::Patch)
            .chain(context)
            .chain(coarse)
            .chain(globals)
    }

    /// Calls `copy` for every part, block by block, with its first number in the input row, the first number of its
    /// source (the features in the pool, or the global token over all blocks) and the part.
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

    /// Measures mean and standard deviation of every input: of local tokens over the patches of the first samples in
    /// `order` (50,000 patches at most), of global tokens over all views.
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
            true => moments(&samples.views, tokens, |view, row| {
                row.copy_from_slice(view.global(token));
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

    /// Fills `out` with the standardised inputs of a mini-batch of samples, `[patches of all samples, width]`, with
    /// `dropout` whose randomness depends on `seed` and the row alone.
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
                    let view = &samples.views[patch.view as usize];
                    self.each_part(|to, from, part| {
                        let source = part
                            .global()
                            .map_or(tokens.as_slice(), |token| view.global(token));
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

/// Sets a random `share` of the values to zero and scales the others up, so that the mean stays. The share is rounded
/// to steps of 1/256.
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
    // One 64-bit random number decides on eight values.
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

/// Mean and standard deviation of every column, the latter at least 1e-6.
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
