//! The exponential mean over time of what is found in frames: of scores or tokens, before anything is read out or coloured.

use std::fmt;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::tasks::TaskOutput;
use crate::tasks::clip::state::NamedVectors;

/// How much of the mean over time each frame leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Smoothing {
    /// So much, from 0 (nothing) to below 1.
    Constant(f32),
    /// Most of it in patches whose pixels and scores stay as they are, but for noise, and half of it where they change.
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

/// What a patch that stays as it is keeps of its mean, and one that is another.
const KEEP_SHARES: [f32; 2] = [0.97, 0.5];

/// Changes up to which a patch may stay as it is, if its pixels do, and from which on it is another whatever they do: of
/// scores, the share of the probability that goes to other classes; of tokens, 1 minus the cosine.
const SCORE_CHANGE_BOUNDS: [f32; 2] = [0.5, 0.8];
const TOKEN_CHANGE_BOUNDS: [f32; 2] = [0.15, 0.4];

/// What it is called in a state.
const MEAN: &str = "mean";

/// The mean of what one task found so far.
#[derive(Debug)]
pub struct RunningMean {
    smoothing: Smoothing,
    /// Whether the user said so.
    is_explicit: bool,
    mean: Vec<Vec<f32>>,
}

impl RunningMean {
    /// Whether it depends on what changed.
    pub fn is_by_change(&self) -> bool {
        self.smoothing == Smoothing::ByChange
    }

    /// With the share of the mean that each frame leaves: as is `said`, else the `usual` one.
    pub fn new(said: Option<f32>, usual: Smoothing) -> Self {
        RunningMean {
            smoothing: said.map_or(usual, Smoothing::Constant),
            is_explicit: said.is_some(),
            mean: Vec::new(),
        }
    }

    /// The mean, to be gone on with.
    pub fn state(&self) -> NamedVectors {
        let mut state = NamedVectors::default();
        state.put_numbered(MEAN, self.mean.iter().map(Vec::as_slice));
        state
    }

    /// Goes on with the mean that `state` has.
    pub fn restore(&mut self, state: &NamedVectors) {
        self.mean = state.numbered(MEAN).map(<[f32]>::to_vec).collect();
    }

    /// Puts the mean in the place of what was `found`, in patches of which the pixels changed by so much from 0 to 1 (all, if
    /// nothing is known of them); at a cut it begins anew.
    ///
    /// # Errors
    /// Of labels that are final, of which there is no mean, if the user asked for one.
    pub fn smooth(
        &mut self,
        found: &mut TaskOutput,
        changed: Option<&[f32]>,
        is_cut: bool,
    ) -> Result<()> {
        if self.smoothing == Smoothing::Constant(0.0) {
            return Ok(());
        }
        let change: ChangeMeasure = match found {
            TaskOutput::Scores { .. } => score_change,
            _ => token_change,
        };
        let mut values: Vec<(usize, &mut Vec<f32>)> = match found {
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

/// How much a patch changed, from 0 to 1, from its mean and what there is now.
type ChangeMeasure = fn(&[f32], &[f32]) -> f32;

fn ramp(change: f32, [same, other]: [f32; 2]) -> f32 {
    ((change - same) / (other - same)).clamp(0.0, 1.0)
}

/// How much a patch keeps of its mean that changed by so much from 0 to 1.
fn keep_share(change: f32) -> f32 {
    let [still, moving] = KEEP_SHARES;
    still + change * (moving - still)
}

/// By the share of the probability that went to other classes.
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

/// By how far the token turned.
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
    use crate::model::input::Grid;

    fn smoothed(mean: &mut RunningMean, values: &[f32], is_cut: bool) -> Vec<f32> {
        let grid = Grid {
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
                grid: Grid { rows: 1, cols: 2 },
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
        // Of another size, it is another clip.
        assert_eq!(smoothed(&mut mean, &[2.0], false), [2.0]);
        let mut off = RunningMean::new(None, Smoothing::Constant(0.0));
        assert_eq!(smoothed(&mut off, &[1.0], false), [1.0]);
        assert_eq!(smoothed(&mut off, &[3.0], false), [3.0]);
    }
}
