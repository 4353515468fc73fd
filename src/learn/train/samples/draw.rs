//! DRAW

use std::ops::Range;

use super::index::{Targets, TrainingSamples};
use crate::learn::train::seed::mix_seed;

/// How samples are drawn for an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleDraw {
    /// Samples in all.
    pub count: usize,
    /// Per data set, its part of them; they sum to 1.
    pub set_shares: Vec<f64>,
    /// A patch whose main class is the main class of `n` patches is drawn in proportion to `n^-balance`; 0 draws all
    /// alike, and none twice before the others.
    pub balance: f64,
}

impl TrainingSamples {
    /// Draws the samples of an epoch, in the order of training. The same seed gives the same samples.
    pub fn draw(&self, draw: &SampleDraw, seed: u64) -> Vec<u32> {
        let mut order: Vec<u32> = Vec::with_capacity(draw.count);
        for (number, (range, part)) in self.sets.iter().zip(&draw.set_shares).enumerate() {
            let count = (draw.count as f64 * part).round() as usize;
            if range.is_empty() || count == 0 {
                continue;
            }
            let mut rng = fastrand::Rng::with_seed(mix_seed(seed, number as u64));
            if draw.balance > 0.0 && matches!(self.targets, Targets::Shares { .. }) {
                self.draw_balanced(range.clone(), count, draw.balance, &mut rng, &mut order);
            } else {
                draw_evenly(range.clone(), count, &mut rng, &mut order);
            }
        }
        fastrand::Rng::with_seed(mix_seed(seed, u64::MAX)).shuffle(&mut order);
        order
    }

    fn draw_balanced(
        &self,
        range: Range<usize>,
        count: usize,
        balance: f64,
        rng: &mut fastrand::Rng,
        order: &mut Vec<u32>,
    ) {
        let main = |sample: usize| usize::from(self.shares_of(sample)[0].0);
        let mut by_id: Vec<f64> = Vec::new();
        for sample in range.clone() {
            let id = main(sample);
            if by_id.len() <= id {
                by_id.resize(id + 1, 0.0);
            }
            by_id[id] += 1.0;
        }
        let mut sum = 0f64;
        let sums: Vec<f64> = range
            .clone()
            .map(|sample| {
                sum += by_id[main(sample)].powf(-balance);
                sum
            })
            .collect();
        order.extend((0..count).map(|_| {
            let at = rng.f64() * sum;
            let index = sums.partition_point(|&s| s <= at).min(sums.len() - 1);
            (range.start + index) as u32
        }));
    }
}

/// None twice before all were drawn once.
fn draw_evenly(
    range: Range<usize>,
    mut count: usize,
    rng: &mut fastrand::Rng,
    order: &mut Vec<u32>,
) {
    let mut all: Vec<u32> = range.map(|sample| sample as u32).collect();
    while count > 0 {
        let take = count.min(all.len());
        for at in 0..take {
            let other = rng.usize(at..all.len());
            all.swap(at, other);
        }
        order.extend(&all[..take]);
        count -= take;
    }
}
