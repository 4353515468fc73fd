//! The exponential mean over time of a task's scores or tokens, before they are decoded or coloured.
//!
//! In: the output of each frame in order. Out: the same, with each patch's values replaced by its running mean.

use std::fmt;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::tasks::TaskOutput;
use crate::tasks::clip::state::NamedVectors;

/// The share of the running mean that is kept at each frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Smoothing {
    /// A constant share, from 0 (no smoothing) to below 1.
    Constant(f32),
    /// 0.97 in patches whose pixels and values change by no more than noise, falling to 0.5 where they change entirely.
    ByChange,
}

impl fmt::Display for Smoothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Smoothing::Constant(keep) => write!(f, "{keep}"),
            Smoothing::ByChange => f.write_str("by change"),
        }
    }
}

/// The shares of the mean that an unchanged patch keeps, and an entirely changed one.
const KEEP_SHARES: [f32; 2] = [0.97, 0.5];

/// Changes of a patch's scores up to which it counts as unchanged, and from which on as changed entirely: the share of
/// the probability that goes to other classes.
const SCORE_CHANGE_BOUNDS: [f32; 2] = [0.5, 0.8];

/// The same for tokens: 1 minus the cosine.
const TOKEN_CHANGE_BOUNDS: [f32; 2] = [0.15, 0.4];

/// The name of the mean in a state.
const MEAN: &str = "mean";

/// The running mean of one task's outputs.
#[derive(Debug)]
pub struct RunningMean {
    smoothing: Smoothing,
    /// Whether the share was given by `--smooth`.
    is_explicit: bool,
    mean: Vec<Vec<f32>>,
}

impl RunningMean {
    /// Whether the share depends on how much a patch changed.
    pub fn is_by_change(&self) -> bool {
        self.smoothing == Smoothing::ByChange
    }

    /// A mean with the `given` share, else by the task's `default`.
    pub fn new(given: Option<f32>, default: Smoothing) -> Self {
        RunningMean {
            smoothing: given.map_or(default, Smoothing::Constant),
            is_explicit: given.is_some(),
            mean: Vec::new(),
        }
    }

    /// The mean after the frames so far.
    pub fn state(&self) -> NamedVectors {
        let mut state = NamedVectors::default();
        state.put_numbered(MEAN, self.mean.iter().map(Vec::as_slice));
        state
    }

    /// Sets the mean that [`RunningMean::state`] returned.
    pub fn restore(&mut self, state: &NamedVectors) {
        self.mean = state.numbered(MEAN).map(<[f32]>::to_vec).collect();
    }

    /// Replaces the values of `output` by the mean. `changed` says how much the pixels of each patch changed, from 0 to
    /// 1; without it all count as changed. At a cut the mean begins anew.
    ///
    /// # Errors
    /// [`Error::Usage`] for outputs that have no mean: labels of a protocol if `--smooth` was given, and stored
    /// features.
    pub fn smooth(
        &mut self,
        output: &mut TaskOutput,
        changed: Option<&[f32]>,
        is_cut: bool,
    ) -> Result<()> {
        if self.smoothing == Smoothing::Constant(0.0) {
            return Ok(());
        }
        let change: ChangeMeasure = match output {
            TaskOutput::Scores { .. } => score_change,
            _ => token_change,
        };
        let mut values: Vec<(usize, &mut Vec<f32>)> = match output {
            TaskOutput::Scores {
                scores, mirrored, ..
            } => std::iter::once(scores)
                .chain(mirrored)
                .map(|scores| (scores.k, &mut scores.values))
                .collect(),
            TaskOutput::Tokens(tokens, grid) => {
                let patches = (grid.rows * grid.cols).max(1);
                vec![(tokens.len() / patches, tokens)]
            }
            TaskOutput::Labels(_) if !self.is_explicit => return Ok(()),
            TaskOutput::Labels(_) | TaskOutput::Features(_) => {
                return Err(Error::Usage(
                    "--smooth means scores over time, and this protocol ends with labels; --smooth 0 leaves it out".into(),
                ));
            }
        };
        let lengths = values.iter().map(|(_, values)| values.len());
        if is_cut || self.mean.iter().map(Vec::len).ne(lengths) {
            let values = values.iter().map(|(_, values)| (*values).clone());
            self.mean = values.collect();
            return Ok(());
        }
        for (mean, (k, values)) in self.mean.iter_mut().zip(&mut values) {
            let k = (*k).max(1);
            let patches = mean.par_chunks_mut(k).zip(values.par_chunks_mut(k));
            patches.enumerate().for_each(|(patch, (mean, values))| {
                let keep = match self.smoothing {
                    Smoothing::Constant(keep) => keep,
                    Smoothing::ByChange => {
                        let moved = changed.and_then(|changed| changed.get(patch));
                        keep_share(change(mean, values).max(*moved.unwrap_or(&1.0)))
                    }
                };
                for (mean, value) in mean.iter_mut().zip(values) {
                    *mean = keep * *mean + (1.0 - keep) * *value;
                    *value = *mean;
                }
            });
        }
        Ok(())
    }
}

/// How much a patch's values changed, from 0 to 1, between its mean and the new values.
type ChangeMeasure = fn(&[f32], &[f32]) -> f32;

/// `change` mapped to 0 below the first bound and to 1 above the second, linearly between.
fn ramp(change: f32, [same, other]: [f32; 2]) -> f32 {
    ((change - same) / (other - same)).clamp(0.0, 1.0)
}

/// The share of its mean that a patch keeps, for a `change` from 0 to 1.
fn keep_share(change: f32) -> f32 {
    let [still, moving] = KEEP_SHARES;
    still + change * (moving - still)
}

/// The change of scores, by the share of the softmax probability that went to other classes.
fn score_change(before: &[f32], now: &[f32]) -> f32 {
    let norm = |scores: &[f32]| {
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f32 = scores.iter().map(|score| (score - most).exp()).sum();
        (most, all)
    };
    let probability = |score: f32, (most, all): (f32, f32)| (score - most).exp() / all;
    let norms = (norm(before), norm(now));
    let moved = before
        .iter()
        .zip(now)
        .map(|(&before, &now)| (probability(now, norms.1) - probability(before, norms.0)).max(0.0));
    ramp(moved.sum(), SCORE_CHANGE_BOUNDS)
}

/// The change of a token, by its cosine.
fn token_change(before: &[f32], now: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let norms = (dot(before, before) * dot(now, now)).sqrt();
    match norms > 0.0 {
        true => ramp(1.0 - dot(before, now) / norms, TOKEN_CHANGE_BOUNDS),
        false => 1.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::head::Scores;
    use crate::model::input::PatchGrid;

    fn smoothed(mean: &mut RunningMean, values: &[f32], is_cut: bool) -> Vec<f32> {
        let grid = PatchGrid {
            rows: 1,
            cols: values.len(),
        };
        let mut found = TaskOutput::Tokens(values.to_vec(), grid);
        mean.smooth(&mut found, None, is_cut).unwrap();
        match found {
            TaskOutput::Tokens(values, _) => values,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn patches_that_stay_keep_more_than_those_that_change() {
        let scores = |values: &[f32]| TaskOutput::Scores {
            scores: Scores {
                values: values.to_vec(),
                k: 2,
                grid: PatchGrid { rows: 1, cols: 2 },
            },
            mirrored: None,
            room_probability: None,
        };
        let changed = |first: &[f32], second: &[f32], pixels: f32| {
            let mut mean = RunningMean::new(None, Smoothing::ByChange);
            mean.smooth(&mut scores(first), None, false).unwrap();
            let mut second = scores(second);
            mean.smooth(&mut second, Some(&[pixels, 0.0]), false)
                .unwrap();
            match second {
                TaskOutput::Scores { scores, .. } => scores.values,
                other => panic!("{other:?}"),
            }
        };
        let still = changed(&[4.0, 0.0, 4.0, 0.0], &[3.0, 0.0, -4.0, 0.0], 0.0);
        assert!((still[0] - (0.97 * 4.0 + 0.03 * 3.0)).abs() < 1e-6);
        assert!(still[2].abs() < 1e-6, "half of each: another class");
        let moved = changed(&[4.0, 0.0, 4.0, 0.0], &[3.0, 0.0, 4.0, 0.0], 1.0);
        assert!((moved[0] - 3.5).abs() < 1e-6);
        assert_eq!(token_change(&[1.0, 0.0], &[1.0, 0.1]), 0.0);
        assert_eq!(token_change(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
    }

    #[test]
    fn frames_approach_each_other_until_a_cut() {
        let mut mean = RunningMean::new(Some(0.5), Smoothing::Constant(0.0));
        assert_eq!(smoothed(&mut mean, &[1.0, 0.0], false), [1.0, 0.0]);
        assert_eq!(smoothed(&mut mean, &[0.0, 1.0], false), [0.5, 0.5]);
        assert_eq!(smoothed(&mut mean, &[0.0, 1.0], false), [0.25, 0.75]);
        assert_eq!(smoothed(&mut mean, &[8.0, 8.0], true), [8.0, 8.0]);
        // Another size means another clip.
        assert_eq!(smoothed(&mut mean, &[2.0], false), [2.0]);
        let mut off = RunningMean::new(None, Smoothing::Constant(0.0));
        assert_eq!(smoothed(&mut off, &[1.0], false), [1.0]);
        assert_eq!(smoothed(&mut off, &[3.0], false), [3.0]);
    }
}
