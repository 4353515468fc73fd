//! The weights of a head in training: one linear layer, or two with ReLU between them, with gradients in closed form.
//!
//! In: standardised inputs `[n, inputs]`. Out: scores `[n, outputs]`, and backwards the gradients of all weights. The
//! standardisation is folded into the first layer when the head is written ([`HeadInTraining::fold`]), so that a
//! finished head reads features as they are, and unfolded when a head is trained further.

use rayon::prelude::*;

use crate::maths::matrix::{Matrix, matmul};
use crate::model::head::linear::Dense;

/// A linear layer, `x W + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainableLinear {
    /// Width of the input.
    pub inputs: usize,
    /// `[inputs, outputs]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// The trainable weights of a head: one or two linear layers.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadInTraining {
    /// The hidden layer, followed by ReLU, where there is one.
    pub hidden: Option<TrainableLinear>,
    /// The layer that gives the scores.
    pub output: TrainableLinear,
}

/// The widths of the layers of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerWidths {
    /// Inputs of a patch.
    pub inputs: usize,
    /// Width of the hidden layer; 0 for none.
    pub hidden: usize,
    /// Scores of a patch: bins or classes.
    pub outputs: usize,
}

/// Mean and standard deviation of every input: inputs are standardised as `(x - mean) / deviation`.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardisation {
    /// `[inputs]`.
    pub mean: Vec<f32>,
    /// `[inputs]`, above zero.
    pub deviation: Vec<f32>,
}

impl TrainableLinear {
    /// A layer with weights drawn from a normal distribution of standard deviation `scale`, and biases of `bias`.
    fn new(inputs: usize, outputs: usize, scale: f32, bias: f32, rng: &mut fastrand::Rng) -> Self {
        TrainableLinear {
            inputs,
            weight: (0..inputs * outputs).map(|_| normal(rng) * scale).collect(),
            bias: vec![bias; outputs],
        }
    }

    fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// `x W + b` for `x` `[n, inputs]`.
    fn forward(&self, x: &[f32], n: usize) -> Vec<f32> {
        let outputs = self.outputs();
        let mut out = vec![0f32; n * outputs];
        out.par_chunks_exact_mut(outputs)
            .for_each(|row| row.copy_from_slice(&self.bias));
        let (x, weight) = (
            Matrix::new(x, n, self.inputs),
            Matrix::new(&self.weight, self.inputs, outputs),
        );
        matmul(&mut out, x, weight, true);
        out
    }

    /// The gradients of weight and bias from the `gradient` `[n, outputs]` by the output, for the input `x` `[n,
    /// inputs]`.
    fn gradients(&self, x: &[f32], gradient: &[f32], n: usize) -> [Vec<f32>; 2] {
        let outputs = self.outputs();
        let mut weight = vec![0f32; self.weight.len()];
        let upstream = Matrix::new(gradient, n, outputs);
        matmul(
            &mut weight,
            Matrix::new(x, n, self.inputs).t(),
            upstream,
            false,
        );
        let mut bias = vec![0f32; outputs];
        for row in gradient.chunks_exact(outputs) {
            bias.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
        }
        [weight, bias]
    }

    /// The same layer with its weight as `[outputs, inputs]`, as heads store it.
    fn transposed(&self) -> Dense {
        let outputs = self.outputs();
        let weight = (0..outputs * self.inputs)
            .map(|at| self.weight[(at % self.inputs) * outputs + at / self.inputs])
            .collect();
        Dense {
            inputs: self.inputs,
            weight,
            bias: self.bias.clone(),
        }
    }

    /// The layer for standardised inputs, from one for inputs as they are; the inverse of [`TrainableLinear::folded`].
    fn unfolded(dense: &Dense, standard: &Standardisation) -> Self {
        let outputs = dense.outputs();
        let mut layer = TrainableLinear {
            inputs: dense.inputs,
            weight: vec![0.0; dense.inputs * outputs],
            bias: Vec::with_capacity(outputs),
        };
        for (output, (row, &bias)) in dense
            .weight
            .chunks_exact(dense.inputs)
            .zip(&dense.bias)
            .enumerate()
        {
            let mut shift = 0f64;
            for (input, &w) in row.iter().enumerate() {
                shift += f64::from(w) * f64::from(standard.mean[input]);
                layer.weight[input * outputs + output] = w * standard.deviation[input];
            }
            layer.bias.push((f64::from(bias) + shift) as f32);
        }
        layer
    }

    /// The same layer with its weight as `[inputs, outputs]`.
    fn from_dense(dense: &Dense) -> Self {
        let standard = Standardisation {
            mean: vec![0.0; dense.inputs],
            deviation: vec![1.0; dense.inputs],
        };
        Self::unfolded(dense, &standard)
    }

    /// The layer for inputs as they are, from one for standardised inputs: `w / deviation`, and a bias less
    /// `sum(w mean / deviation)`. Sums are taken in f64, because means are large and cancel.
    fn folded(&self, standard: &Standardisation) -> Dense {
        let mut dense = self.transposed();
        for (row, bias) in dense
            .weight
            .chunks_exact_mut(self.inputs)
            .zip(&mut dense.bias)
        {
            let mut shift = 0f64;
            for ((w, &mean), &deviation) in
                row.iter_mut().zip(&standard.mean).zip(&standard.deviation)
            {
                let folded = f64::from(*w) / f64::from(deviation);
                shift += folded * f64::from(mean);
                *w = folded as f32;
            }
            *bias = (f64::from(*bias) - shift) as f32;
        }
        dense
    }
}

impl HeadInTraining {
    /// Random initial weights. `scale` is the standard deviation of the output weights, with a hidden layer at least
    /// `sqrt(0.1 / hidden)`; `bias` the initial bias of every score; the hidden layer has He initialisation (He et al.,
    /// 2015).
    pub fn new(shape: LayerWidths, scale: f32, bias: f32, rng: &mut fastrand::Rng) -> Self {
        let LayerWidths {
            inputs,
            hidden,
            outputs,
        } = shape;
        if hidden == 0 {
            return HeadInTraining {
                hidden: None,
                output: TrainableLinear::new(inputs, outputs, scale, bias, rng),
            };
        }
        let first = TrainableLinear::new(inputs, hidden, (2.0 / inputs as f32).sqrt(), 0.0, rng);
        let output = TrainableLinear::new(
            hidden,
            outputs,
            scale.max((0.1 / hidden as f32).sqrt()),
            bias,
            rng,
        );
        HeadInTraining {
            hidden: Some(first),
            output,
        }
    }

    /// The scores `[n, outputs]` of `x` `[n, inputs]`, and the activations of the hidden layer `[n, hidden]` after
    /// ReLU.
    pub fn forward(&self, x: &[f32], n: usize) -> (Vec<f32>, Option<Vec<f32>>) {
        match &self.hidden {
            None => (self.output.forward(x, n), None),
            Some(first) => {
                let mut hidden = first.forward(x, n);
                hidden.par_iter_mut().for_each(|v| *v = v.max(0.0));
                (self.output.forward(&hidden, n), Some(hidden))
            }
        }
    }

    /// The gradients of all weights, in the order of [`HeadInTraining::parameters`], from the input `x`, the
    /// activations of the hidden layer and the `gradient` `[n, outputs]` by the scores.
    pub fn backward(
        &self,
        x: &[f32],
        hidden: Option<&[f32]>,
        gradient: &[f32],
        n: usize,
    ) -> Vec<Vec<f32>> {
        let (Some(first), Some(hidden)) = (&self.hidden, hidden) else {
            return self.output.gradients(x, gradient, n).into();
        };
        let mut upstream = vec![0f32; hidden.len()];
        let weight = Matrix::new(
            &self.output.weight,
            self.output.inputs,
            self.output.outputs(),
        );
        matmul(
            &mut upstream,
            Matrix::new(gradient, n, self.output.outputs()),
            weight.t(),
            false,
        );
        upstream.par_iter_mut().zip(hidden).for_each(|(g, &v)| {
            if v <= 0.0 {
                *g = 0.0;
            }
        });
        let mut all: Vec<Vec<f32>> = first.gradients(x, &upstream, n).into();
        all.extend(self.output.gradients(hidden, gradient, n));
        all
    }

    /// Weight and bias of each layer, in the order of the layers.
    pub fn parameters(&self) -> Vec<&Vec<f32>> {
        let mut all = Vec::new();
        for layer in self.hidden.iter().chain([&self.output]) {
            all.extend([&layer.weight, &layer.bias]);
        }
        all
    }

    /// As [`HeadInTraining::parameters`], mutable.
    pub fn parameters_mut(&mut self) -> Vec<&mut Vec<f32>> {
        let mut all = Vec::new();
        for layer in self.hidden.iter_mut().chain([&mut self.output]) {
            all.extend([&mut layer.weight, &mut layer.bias]);
        }
        all
    }

    /// The weights for standardised inputs, from the layers (hidden, output) of a head that reads features as they are.
    pub fn unfold((hidden, output): &(Option<Dense>, Dense), standard: &Standardisation) -> Self {
        match hidden {
            None => HeadInTraining {
                hidden: None,
                output: TrainableLinear::unfolded(output, standard),
            },
            Some(first) => HeadInTraining {
                hidden: Some(TrainableLinear::unfolded(first, standard)),
                output: TrainableLinear::from_dense(output),
            },
        }
    }

    /// The layers (hidden, output) of a head that reads features as they are.
    pub fn fold(&self, standard: &Standardisation) -> (Option<Dense>, Dense) {
        match &self.hidden {
            None => (None, self.output.folded(standard)),
            Some(first) => (Some(first.folded(standard)), self.output.transposed()),
        }
    }
}

/// A sample of the standard normal distribution, by the Box-Muller transform.
pub fn normal(rng: &mut fastrand::Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.f64()).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: LayerWidths = LayerWidths {
        inputs: 5,
        hidden: 0,
        outputs: 3,
    };

    fn inputs(n: usize) -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(7);
        (0..n * SHAPE.inputs).map(|_| normal(&mut rng)).collect()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for hidden in [0, 4] {
            let shape = LayerWidths { hidden, ..SHAPE };
            let mut network =
                HeadInTraining::new(shape, 0.5, 0.1, &mut fastrand::Rng::with_seed(1));
            let (x, n) = (inputs(6), 6);
            // The loss is half the sum of squares of the scores, so its gradient is the scores themselves.
            let loss = |network: &HeadInTraining| -> f64 {
                let (scores, _) = network.forward(&x, n);
                scores.iter().map(|&s| 0.5 * f64::from(s).powi(2)).sum()
            };
            let (scores, activations) = network.forward(&x, n);
            let gradients = network.backward(&x, activations.as_deref(), &scores, n);
            for (which, gradient) in gradients.iter().enumerate() {
                for at in (0..gradient.len()).step_by(3) {
                    let step = 1e-2f32;
                    let kept = network.parameters()[which][at];
                    network.parameters_mut()[which][at] = kept + step;
                    let above = loss(&network);
                    network.parameters_mut()[which][at] = kept - step;
                    let below = loss(&network);
                    network.parameters_mut()[which][at] = kept;
                    let expected = (above - below) / (2.0 * f64::from(step));
                    assert!(
                        (f64::from(gradient[at]) - expected).abs() < 2e-2 * expected.abs().max(1.0),
                        "{which}/{at}: {} and {expected}",
                        gradient[at]
                    );
                }
            }
        }
    }

    #[test]
    fn a_folded_head_gives_the_same_scores() {
        let standard = Standardisation {
            mean: vec![30.0, -4.0, 0.0, 1.0, 2.0],
            deviation: vec![0.1, 2.0, 1.0, 5.0, 0.5],
        };
        for hidden in [0, 4] {
            let network = HeadInTraining::new(
                LayerWidths { hidden, ..SHAPE },
                0.5,
                0.1,
                &mut fastrand::Rng::with_seed(3),
            );
            let standardised = inputs(2);
            let raw: Vec<f32> = standardised
                .iter()
                .enumerate()
                .map(|(i, v)| v * standard.deviation[i % 5] + standard.mean[i % 5])
                .collect();
            let (expected, _) = network.forward(&standardised, 2);
            let (first, last) = network.fold(&standard);
            for row in 0..2 {
                let mut values: Vec<f32> = raw[row * 5..][..5].to_vec();
                if let Some(first) = &first {
                    values = apply(first, &values).iter().map(|v| v.max(0.0)).collect();
                }
                for (a, b) in apply(&last, &values).iter().zip(&expected[row * 3..]) {
                    assert!((a - b).abs() < 2e-3, "{a} and {b}");
                }
            }
            // And back again, the network is what it was.
            let again = HeadInTraining::unfold(&(first, last), &standard);
            for (a, b) in again.parameters().iter().zip(network.parameters()) {
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < 2e-3, "{a} and {b}");
                }
            }
        }
    }

    fn apply(dense: &Dense, x: &[f32]) -> Vec<f32> {
        let dot = |row: &[f32]| -> f32 { row.iter().zip(x).map(|(w, v)| w * v).sum() };
        dense
            .weight
            .chunks_exact(dense.inputs)
            .zip(&dense.bias)
            .map(|(row, bias)| dot(row) + bias)
            .collect()
    }
}
