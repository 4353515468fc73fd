//! The samples of an epoch, drawn from the index: each data set's part of them, evenly or balanced by class, and then
//! all in random order.

use std::ops::Range;

use super::index::{Targets, TrainingSamples};
use crate::learn::train::seed::mix_seed;

/// How the samples of an epoch are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleDraw {
    /// Samples of an epoch, over all data sets.
    pub count: usize,
    /// Per data set, the share of the epoch's samples that come from it; they sum to 1.
    pub set_shares: Vec<f64>,
    /// Class balance: a patch is drawn, with replacement, with weight `n^-balance`, where `n` patches of its set have
    /// the same id with the largest share. 0 draws evenly, and no sample twice before all were drawn once. Depth has no
    /// classes and is always drawn evenly.
    pub balance: f64,
}

impl TrainingSamples {
    /// Draws the samples of an epoch, as indices in the order of training. The same seed gives the same samples in the
    /// same order.
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

    /// Appends `count` samples of `range` to `order`, with replacement, those whose id with the largest share is rare
    /// more often.
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

/// Appends `count` samples of `range` to `order` by partial Fisher-Yates shuffles: none twice before all were drawn
/// once.
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
