//! Scores of cached frames, for validation: what [`crate::head::Head::scores`] gives, from features on the disk.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::error::Result;
use crate::head::Scores;
use crate::head::linear::Dense;
use crate::matrix::{Matrix, product};
use crate::train::features::Frame;
use crate::train::pool::Inputs;

/// A head, taken apart into what reads patch tokens and what reads cls tokens.
#[derive(Debug)]
pub struct CachedHead {
    /// `[outputs of the first layer, blocks * D]`.
    patch: Vec<f32>,
    /// The same for the cls tokens; empty if they are not read.
    cls: Vec<f32>,
    bias: Vec<f32>,
    /// The layer after a hidden one.
    last: Option<Dense>,
}

impl CachedHead {
    /// From the layers of a head.
    pub fn new(inputs: &Inputs, (hidden, output): (Option<Dense>, Dense)) -> Self {
        let (first, last) = match hidden {
            Some(hidden) => (hidden, Some(output)),
            None => (output, None),
        };
        let (mut patch, mut cls) = (Vec::new(), Vec::new());
        for row in first.weight.chunks_exact(first.inputs) {
            for (part, values) in row.chunks_exact(inputs.dim).enumerate() {
                let is_cls = inputs.cls && part % 2 == 1;
                if is_cls { &mut cls } else { &mut patch }.extend_from_slice(values);
            }
        }
        CachedHead {
            patch,
            cls,
            bias: first.bias,
            last,
        }
    }

    /// Scores over the patch grid of one view.
    ///
    /// # Errors
    /// If its features cannot be read any more.
    pub fn scores(&self, frame: &Frame) -> Result<Scores> {
        let (n, width, outputs) = (frame.grid().len(), frame.width(), self.bias.len());
        let mut halves = vec![f16::ZERO; n * width];
        frame.read(None, &mut halves)?;
        let tokens = halves.to_f32_vec();
        let mut bias = self.bias.clone();
        if !self.cls.is_empty() {
            let cls = Matrix::new(&frame.cls, 1, width);
            product(
                &mut bias,
                cls,
                Matrix::new(&self.cls, outputs, width).t(),
                true,
            );
        }
        let mut values = repeat(&bias, n);
        let patch = Matrix::new(&self.patch, outputs, width).t();
        product(&mut values, Matrix::new(&tokens, n, width), patch, true);
        let mut k = outputs;
        if let Some(last) = &self.last {
            values.iter_mut().for_each(|v| *v = v.max(0.0));
            k = last.outputs();
            let mut scores = repeat(&last.bias, n);
            let weight = Matrix::new(&last.weight, k, last.inputs).t();
            product(&mut scores, Matrix::new(&values, n, outputs), weight, true);
            values = scores;
        }
        Ok(Scores {
            values,
            k,
            grid: frame.grid(),
        })
    }
}

fn repeat(row: &[f32], n: usize) -> Vec<f32> {
    row.iter().copied().cycle().take(row.len() * n).collect()
}
