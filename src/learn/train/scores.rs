//! The scores of a head for cached views, for validation: the same numbers as those of
//! [`Head::scores`](crate::model::head::Head::scores), from features on the disk instead of the backbone.

use crate::error::Result;
use crate::learn::train::cached_view::CachedView;
use crate::learn::train::feature_pool::{InputLayout, InputPart};
use crate::maths::matrix::{Matrix, matmul};
use crate::model::head::global_token::GlobalToken;
use crate::model::head::linear::Dense;
use crate::model::head::upsample::GridUpsampler;
use crate::model::head::{Scores, context};

/// The weights of a head, taken apart by what they read: patch tokens, context squares, the coarse scale, global
/// tokens.
///
/// Linear layers commute with means and interpolation, so context and coarse scale are applied to scores, which are
/// fewer numbers than tokens.
#[derive(Debug)]
pub struct CachedHead {
    /// `[outputs of the first layer, blocks * D]`.
    patch: Vec<f32>,
    /// Sides of context squares in patches, each with weights as in `patch`.
    context: Vec<(usize, Vec<f32>)>,
    /// Weights as in `patch` for the coarse scale; empty where it is not read.
    coarse: Vec<f32>,
    /// The global tokens that are read.
    globals: Vec<GlobalToken>,
    /// `[outputs of the first layer, globals * blocks * D]`, all blocks of a token side by side.
    global: Vec<f32>,
    /// `[outputs of the first layer]`.
    bias: Vec<f32>,
    /// The output layer, where the first one is hidden.
    last: Option<Dense>,
}

impl CachedHead {
    /// Takes apart the layers (hidden, output) of a head that reads features as they are.
    pub fn new(inputs: &InputLayout, (hidden, output): (Option<Dense>, Dense)) -> Self {
        let (first, last) = match hidden {
            Some(hidden) => (hidden, Some(output)),
            None => (output, None),
        };
        let (mut patch, mut coarse, mut global) = (Vec::new(), Vec::new(), Vec::new());
        let mut context: Vec<(usize, Vec<f32>)> = inputs
            .context
            .iter()
            .map(|&side| (side, Vec::new()))
            .collect();
        for row in first.weight.chunks_exact(first.inputs) {
            for wanted in inputs.parts() {
                let out = match wanted {
                    InputPart::Patch => &mut patch,
                    InputPart::Context(index) => &mut context[index].1,
                    InputPart::Coarse => &mut coarse,
                    InputPart::Global(_) => &mut global,
                };
                inputs.each_part(|at, _, part| {
                    if part == wanted {
                        out.extend_from_slice(&row[at..][..inputs.dim]);
                    }
                });
            }
        }
        CachedHead {
            patch,
            context,
            coarse,
            globals: inputs.globals.clone(),
            global,
            bias: first.bias,
            last,
        }
    }

    /// The scores over the patch grid of one view.
    ///
    /// # Errors
    /// Where the features were removed or changed since they were opened.
    pub fn scores(&self, view: &CachedView) -> Result<Scores> {
        let (n, width, outputs) = (view.grid().len(), view.width(), self.bias.len());
        let tokens = view.read_all()?;
        let mut bias = self.bias.clone();
        if !self.globals.is_empty() {
            let tokens: Vec<&[f32]> = self.globals.iter().map(|&t| view.global(t)).collect();
            let tokens = tokens.concat();
            let weight = Matrix::new(&self.global, outputs, tokens.len()).t();
            matmul(
                &mut bias,
                Matrix::new(&tokens, 1, tokens.len()),
                weight,
                true,
            );
        }
        let mut values = repeat(&bias, n);
        let tokens = Matrix::new(&tokens, n, width);
        let patch = Matrix::new(&self.patch, outputs, width).t();
        matmul(&mut values, tokens, patch, true);
        for (side, square) in &self.context {
            let mut part = vec![0f32; n * outputs];
            let square = Matrix::new(square, outputs, width).t();
            matmul(&mut part, tokens, square, false);
            context::add_box_means(&mut values, &part, outputs, view.grid(), *side);
        }
        if let Some(coarse_view) = view.coarse.as_deref().filter(|_| !self.coarse.is_empty()) {
            let tokens = coarse_view.read_all()?;
            let tokens = Matrix::new(&tokens, coarse_view.grid().len(), width);
            let coarse = Matrix::new(&self.coarse, outputs, width).t();
            let mut part = vec![0f32; coarse_view.grid().len() * outputs];
            matmul(&mut part, tokens, coarse, false);
            GridUpsampler::new(coarse_view.grid(), view.grid()).add(&part, outputs, &mut values);
        }
        let mut k = outputs;
        if let Some(last) = &self.last {
            values.iter_mut().for_each(|v| *v = v.max(0.0));
            k = last.outputs();
            let mut scores = repeat(&last.bias, n);
            let weight = Matrix::new(&last.weight, k, last.inputs).t();
            matmul(&mut scores, Matrix::new(&values, n, outputs), weight, true);
            values = scores;
        }
        Ok(Scores {
            values,
            k,
            grid: view.grid(),
        })
    }
}

/// The row `n` times, one after the other.
fn repeat(row: &[f32], n: usize) -> Vec<f32> {
    row.iter().copied().cycle().take(row.len() * n).collect()
}
