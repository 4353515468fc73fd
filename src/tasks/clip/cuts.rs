//! Where one shot of a clip ends and the next begins: where the mean patch tokens of two frames in a row point in
//! different directions.

use std::collections::VecDeque;

use crate::backbone::{Features, Grid, LayerRequest};
use crate::engine::{Pass, Seen, SeenBatch, Views};
use crate::error::{Error, Result};
use crate::preprocess::Geometry;
use crate::tasks::clip::state::Vectors;
use crate::tasks::{Finder, Found, Way};

/// A cut is no smaller a change than this, as 1 minus the cosine. Frames of one shot in a row differ by less than 0.01 where
/// nothing moves fast, frames of one drive a second apart by 0.01 to 0.07, photos of different rooms by 0.05 to 0.25, of
/// different things by 0.1 to 1.
const LEAST_CHANGE: f32 = 0.03;

/// And so many times the median change of the frames before it, so that a fast pan is none.
const TIMES_USUAL: f32 = 6.0;

/// Changes that the median is of; without any, a cut is a change of [`FIRST_CHANGE`].
const RECENT: usize = 12;

const FIRST_CHANGE: f32 = 0.25;

/// Finds cuts, frame by frame.
#[derive(Debug, Default)]
pub struct CutDetector {
    last: Option<Vec<f32>>,
    changes: VecDeque<f32>,
    frames: usize,
    cuts: Vec<usize>,
}

impl CutDetector {
    /// The first frames of new shots so far, counted from 0.
    pub fn cuts(&self) -> &[usize] {
        &self.cuts
    }

    /// What is known so far, to be gone on with.
    pub fn state(&self) -> Vectors {
        let mut state = Vectors::default();
        let changes: Vec<f32> = self.changes.iter().copied().collect();
        // Whole numbers, a digit of three bytes each, are exact.
        let counts = |count: &usize| [(count >> 24) as f32, (count & 0xff_ffff) as f32];
        let cuts: Vec<f32> = self.cuts.iter().flat_map(counts).collect();
        state.put("last", self.last.as_deref().unwrap_or_default());
        state.put("changes", &changes);
        state.put("cuts", &cuts);
        state.put("frames", &counts(&self.frames));
        state
    }

    /// Goes on with what `state` knows.
    pub fn restore(&mut self, state: &Vectors) {
        let values = |name: &str| state.get(name).unwrap_or_default();
        let counts = |name: &str| {
            let pairs = values(name).chunks_exact(2);
            let counts = pairs.map(|pair| (pair[0] as usize) << 24 | pair[1] as usize);
            counts.collect::<Vec<_>>()
        };
        let last = values("last");
        self.last = (!last.is_empty()).then(|| last.to_vec());
        self.changes = values("changes").iter().copied().collect();
        self.cuts = counts("cuts");
        self.frames = counts("frames").first().copied().unwrap_or_default();
    }

    /// Whether the frame with this mean patch token begins a new shot; the first frame does not.
    pub fn is_cut(&mut self, mean: Vec<f32>) -> bool {
        let change = self.last.as_ref().map(|last| 1.0 - cosine(last, &mean));
        self.last = Some(mean);
        self.frames += 1;
        let Some(change) = change else { return false };
        let mut sorted: Vec<f32> = self.changes.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let least = match sorted.get(sorted.len() / 2) {
            Some(median) => LEAST_CHANGE.max(TIMES_USUAL * median),
            None => FIRST_CHANGE,
        };
        if change > least {
            self.changes.clear();
            self.cuts.push(self.frames - 1);
            return true;
        }
        if self.changes.len() == RECENT {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        false
    }
}

/// Finds the mean patch token of a frame, as the last block's final norm leaves them.
pub struct CutFinder {
    way: Way,
    layer: LayerRequest,
}

impl CutFinder {
    /// In what the backbone, of so many blocks, gives for `pass`, which is for something else.
    pub fn beside(pass: &Pass, depth: usize) -> Self {
        let layer = LayerRequest {
            block: depth - 1,
            norm: true,
        };
        CutFinder {
            way: Way::AtOnce(Pass {
                requests: vec![layer],
                views: Views::Plain,
                ..pass.clone()
            }),
            layer,
        }
    }

    /// The means of the photos of a batch.
    fn means(&self, features: &Features) -> Result<Vec<Vec<f32>>> {
        let mut layers = features.layers.iter();
        let found = layers.find(|one| one.request == self.layer);
        let found = found.ok_or_else(|| Error::Model("the last block was not computed".into()))?;
        let tokens = found.patch_tokens.to_dtype(candle_core::DType::F32)?;
        Ok(tokens.mean(1)?.to_vec2()?)
    }
}

impl Finder for CutFinder {
    fn way(&self) -> &Way {
        &self.way
    }

    fn memory(&self, _: &Geometry) -> u64 {
        0
    }

    fn needs_photo(&self) -> bool {
        false
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let mean = self.means(&seen.features)?.into_iter().next();
        Ok(Found::Tokens(mean.unwrap_or_default(), ONE))
    }

    fn find_all(&self, batch: &SeenBatch) -> Result<Vec<Result<Found>>> {
        let means = self.means(&batch.features)?.into_iter();
        Ok(means.map(|mean| Ok(Found::Tokens(mean, ONE))).collect())
    }
}

const ONE: Grid = Grid { rows: 1, cols: 1 };

/// The cosine of two vectors; 1 where one is 0.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    match norms > 0.0 {
        true => (dot(a, b) / norms) as f32,
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    /// A direction in the plane.
    fn at(degrees: f32) -> Vec<f32> {
        vec![degrees.to_radians().cos(), degrees.to_radians().sin()]
    }

    fn cuts(degrees: impl IntoIterator<Item = f32>) -> Vec<usize> {
        let mut detector = CutDetector::default();
        for degrees in degrees {
            detector.is_cut(at(degrees));
            // Whoever goes on with it finds the same.
            let mut next = CutDetector::default();
            next.restore(&detector.state());
            detector = next;
        }
        detector.cuts().to_vec()
    }

    #[test]
    fn cuts_stand_out_from_what_is_usual() {
        // 1 - cos: 0.00015 for 1 degree, 0.034 for 15, 0.1 for 26.
        let still = (0..20).map(|n| (n % 2) as f32);
        let cut = still.clone().chain(still.map(|n| n + 20.0));
        assert_eq!(cuts(cut), [20]);
        assert_eq!(cuts((0..40).map(|n| 8.0 * n as f32)), NONE, "a pan");
        assert_eq!(cuts([0.0, 90.0, 91.0, 0.0]), [1, 3]);
        assert_eq!(cuts([0.0, 20.0]), NONE, "one step says little");
        assert_eq!(cuts([]), NONE);
    }
}
