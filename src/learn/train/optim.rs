//! The optimiser: AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019), a learning rate with
//! linear warm-up and cosine decay to zero, and an exponential moving average of the weights.
//!
//! In: the gradients of a mini-batch, in the order of [`HeadInTraining::parameters`]. Out: the weights, changed in
//! place.

use rayon::prelude::*;

use crate::learn::train::head_in_training::HeadInTraining;

/// The learning-rate schedule: linear warm-up to the peak, then half a cosine to zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Peak learning rate.
    pub rate: f64,
    /// Share of all steps that the warm-up takes, 0..1.
    pub warm_up: f64,
    /// Optimiser steps of the whole training.
    pub steps: usize,
}

impl Schedule {
    /// The learning rate of the step with this number, from 0.
    pub fn at(&self, step: usize) -> f64 {
        let done = (step + 1) as f64 / self.steps as f64;
        if done < self.warm_up {
            return self.rate * done / self.warm_up;
        }
        let rest = (done - self.warm_up) / (1.0 - self.warm_up).max(1e-9);
        self.rate * 0.5 * (1.0 + (std::f64::consts::PI * rest.min(1.0)).cos())
    }
}

/// The state of AdamW: beta1 0.9, beta2 0.999, epsilon 1e-8.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// Decoupled weight decay, multiplied with the learning rate; biases have none.
    pub decay: f64,
    /// Steps so far, for the correction of the bias of the moments.
    pub steps: usize,
    /// First moments: the running mean of the gradients, in the order of [`HeadInTraining::parameters`].
    pub first: Vec<Vec<f32>>,
    /// Second moments: the running mean of the squared gradients, in the same order.
    pub second: Vec<Vec<f32>>,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

impl AdamW {
    /// The state before the first step: all moments zero.
    pub fn new(network: &HeadInTraining, decay: f64) -> Self {
        let zeros: Vec<Vec<f32>> = network
            .parameters()
            .iter()
            .map(|values| vec![0.0; values.len()])
            .collect();
        AdamW {
            decay,
            steps: 0,
            first: zeros.clone(),
            second: zeros,
        }
    }

    /// One step against the `gradients` (in the order of [`HeadInTraining::parameters`]) at learning rate `rate`.
    pub fn step(&mut self, network: &mut HeadInTraining, gradients: &[Vec<f32>], rate: f64) {
        self.steps += 1;
        let t = self.steps as i32;
        let scale = (rate / (1.0 - BETA1.powi(t))) as f32;
        let correction = (1.0 / (1.0 - BETA2.powi(t)).sqrt()) as f32;
        let (b1, b2) = (BETA1 as f32, BETA2 as f32);
        for (index, values) in network.parameters_mut().into_iter().enumerate() {
            let is_weight = index % 2 == 0;
            let keep = if is_weight {
                (1.0 - rate * self.decay) as f32
            } else {
                1.0
            };
            values
                .par_iter_mut()
                .zip(&gradients[index])
                .zip(&mut self.first[index])
                .zip(&mut self.second[index])
                .with_min_len(4096)
                .for_each(|(((value, &g), m), v)| {
                    *m = b1 * *m + (1.0 - b1) * g;
                    *v = b2 * *v + (1.0 - b2) * g * g;
                    *value = *value * keep - scale * *m / (v.sqrt() * correction + EPSILON);
                });
        }
    }
}

/// Updates the exponential moving average: `average = keep * average + (1 - keep) * network`.
pub fn blend(average: &mut HeadInTraining, network: &HeadInTraining, keep: f32) {
    for (to, from) in average
        .parameters_mut()
        .into_iter()
        .zip(network.parameters())
    {
        to.par_iter_mut()
            .zip(from)
            .with_min_len(4096)
            .for_each(|(a, &b)| *a = keep * *a + (1.0 - keep) * b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::train::head_in_training::LayerWidths;

    #[test]
    fn the_rate_rises_and_falls() {
        let schedule = Schedule {
            rate: 1.0,
            warm_up: 0.1,
            steps: 100,
        };
        assert!((schedule.at(4) - 0.5).abs() < 1e-9);
        assert!((schedule.at(9) - 1.0).abs() < 1e-9);
        assert!((schedule.at(54) - 0.5).abs() < 1e-9);
        assert!(schedule.at(99).abs() < 1e-9);
    }

    /// torch.optim.AdamW(lr=0.1, weight_decay=0.5), two steps with gradients 1 and -2 on a weight of 1, and a bias of 1
    /// without decay.
    #[test]
    fn steps_are_torchs() {
        let shape = LayerWidths {
            inputs: 1,
            hidden: 0,
            outputs: 1,
        };
        let mut network = HeadInTraining::new(shape, 0.0, 1.0, &mut fastrand::Rng::with_seed(0));
        network.output.weight[0] = 1.0;
        let mut adam = AdamW::new(&network, 0.5);
        adam.step(&mut network, &[vec![1.0], vec![1.0]], 0.1);
        assert!((network.output.weight[0] - 0.85).abs() < 1e-6);
        assert!((network.output.bias[0] - 0.9).abs() < 1e-6);
        adam.step(&mut network, &[vec![-2.0], vec![-2.0]], 0.1);
        // m = -0.11 / 0.19, v = 0.004999 / 0.001999
        let step = 0.1 * (-0.11 / 0.19) / (0.004_999_f64 / 0.001_999).sqrt();
        assert!((f64::from(network.output.weight[0]) - (0.85 * 0.95 - step)).abs() < 1e-5);
        assert!((f64::from(network.output.bias[0]) - (0.9 - step)).abs() < 1e-5);
    }
}
