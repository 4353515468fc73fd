//! Propagation of labels through a clip by patch features alone: each patch of a frame takes the labels of the most
//! similar patches near the same position in the first frame and in the frames just before.
//!
//! As in the evaluation of DINO on DAVIS (Caron et al., "Emerging Properties in Self-Supervised Vision Transformers",
//! 2021; Jabri et al., "Space-Time Correspondence as a Contrastive Random Walk", 2020): the cosines of the best
//! `matches` of a neighbourhood over all context frames, through a softmax, weight their labels.

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::maths::matrix::{Matrix, matmul};
use crate::model::input::PatchGrid;

/// Parameters of the propagation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackerConfig {
    /// Number of preceding frames that are context, beside the first frame; default 7.
    pub context_frames: usize,
    /// Radius of the neighbourhood around the same place in context frames, in patches; default 12.
    pub radius: f32,
    /// Number of most similar patches whose labels are mixed; default 5.
    pub top_k: usize,
    /// Divisor of the cosines before the softmax; default 0.1.
    pub temperature: f32,
}

/// The 0-based block whose tokens are compared, for a backbone of `depth` blocks. It is block 7 of 12. With ViT-S, on
/// cut-outs that move over photos, DAVIS's region similarity J and contour accuracy F are 0.83 and 0.82 with block 7,
/// 0.80 and 0.78 with blocks 8 and 9, and 0.70 and 0.65 with the last, 11.
pub fn tracking_block(depth: usize) -> usize {
    (2 * depth / 3).saturating_sub(1)
}

impl Default for TrackerConfig {
    fn default() -> Self {
        TrackerConfig {
            context_frames: 7,
            radius: 12.0,
            top_k: 5,
            temperature: 0.1,
        }
    }
}

/// A context frame, whose labels are given or already propagated.
struct ContextFrame {
    /// Tokens, `[N, D]`, each of length 1.
    tokens: Vec<f32>,
    /// Shares of each label, `[N, k]`, 0 to 1.
    labels: Vec<f32>,
}

/// Propagates labels from frame to frame of a clip.
pub struct Tracker {
    config: TrackerConfig,
    grid: PatchGrid,
    dim: usize,
    /// Number of labels, the background among them.
    k: usize,
    first: ContextFrame,
    /// The last frames, the oldest first, at most `config.context`.
    recent: VecDeque<ContextFrame>,
}

impl Tracker {
    /// A tracker that starts from the first frame's patch tokens `[N, D]` over `grid`, and the shares of `k` labels in
    /// each patch `[N, k]`.
    pub fn new(
        config: TrackerConfig,
        grid: PatchGrid,
        mut tokens: Vec<f32>,
        (labels, k): (Vec<f32>, usize),
    ) -> Self {
        let dim = tokens.len() / (grid.rows * grid.cols).max(1);
        normalise_rows(&mut tokens, dim);
        Tracker {
            config,
            grid,
            dim,
            k,
            first: ContextFrame { tokens, labels },
            recent: VecDeque::new(),
        }
    }

    /// The context frames as named vectors, from which [`Tracker::from_state`] resumes.
    pub fn state(&self) -> Vec<(String, Vec<f32>)> {
        let PatchGrid { rows, cols } = self.grid;
        let sizes = vec![rows as f32, cols as f32, self.k as f32];
        let mut all = vec![("sizes".to_owned(), sizes)];
        for (number, known) in std::iter::once(&self.first).chain(&self.recent).enumerate() {
            all.push((format!("tokens{number}"), known.tokens.clone()));
            all.push((format!("labels{number}"), known.labels.clone()));
        }
        all
    }

    /// A tracker that resumes from the vectors of [`Tracker::state`], which `get` finds by name; `None` if they are
    /// missing or their sizes contradict each other.
    pub fn from_state<'v>(
        config: TrackerConfig,
        get: impl Fn(&str) -> Option<&'v [f32]>,
    ) -> Option<Self> {
        let &[rows, cols, k] = get("sizes")? else {
            return None;
        };
        let (grid, k) = (
            PatchGrid {
                rows: rows as usize,
                cols: cols as usize,
            },
            k as usize,
        );
        let patches = grid.rows * grid.cols;
        let known = |number: usize| {
            let tokens = get(&format!("tokens{number}"))?.to_vec();
            let labels = get(&format!("labels{number}"))?.to_vec();
            let fits = labels.len() == patches * k
                && !tokens.is_empty()
                && tokens.len() % patches.max(1) == 0;
            fits.then_some(ContextFrame { tokens, labels })
        };
        let first = known(0)?;
        Some(Tracker {
            config,
            grid,
            dim: first.tokens.len() / patches.max(1),
            k,
            first,
            recent: (1..).map_while(known).collect(),
        })
    }

    /// The shares of the labels in each patch of the next frame `[N, k]`, from its tokens `[N, D]`.
    pub fn propagate(&mut self, mut tokens: Vec<f32>) -> Vec<f32> {
        normalise_rows(&mut tokens, self.dim);
        let known: Vec<&ContextFrame> = std::iter::once(&self.first).chain(&self.recent).collect();
        let similarities = known
            .iter()
            .map(|known| cosines(&tokens, &known.tokens, self.dim));
        let similarities: Vec<Vec<f32>> = similarities.collect();
        let mut labels = vec![0f32; tokens.len() / self.dim.max(1) * self.k];
        labels
            .par_chunks_exact_mut(self.k.max(1))
            .enumerate()
            .for_each_init(Vec::new, |best, (patch, labels)| {
                self.find_matches(patch, &similarities, best);
                self.mix_labels(&known, best, labels);
            });
        if self.config.context_frames > 0 {
            if self.recent.len() == self.config.context_frames {
                self.recent.pop_front();
            }
            self.recent.push_back(ContextFrame {
                tokens,
                labels: labels.clone(),
            });
        }
        labels
    }

    /// Fills `best` with the matches of a patch, as (cosine, index of the context frame, patch in it), the most similar
    /// first.
    fn find_matches(
        &self,
        patch: usize,
        similarities: &[Vec<f32>],
        best: &mut Vec<(f32, usize, usize)>,
    ) {
        let PatchGrid { rows, cols } = self.grid;
        let (row, col) = (patch / cols, patch % cols);
        let reach = self.config.radius.max(0.0);
        let whole = reach as usize;
        best.clear();
        for (frame, cosines) in similarities.iter().enumerate() {
            let cosines = &cosines[patch * rows * cols..][..rows * cols];
            for y in row.saturating_sub(whole)..(row + whole + 1).min(rows) {
                let dy = y.abs_diff(row) as f32;
                // Half the width of the circle in this row.
                let dx = (reach * reach - dy * dy).max(0.0).sqrt() as usize;
                for x in col.saturating_sub(dx)..(col + dx + 1).min(cols) {
                    let other = y * cols + x;
                    let cosine = cosines[other];
                    let is_full = best.len() == self.config.top_k;
                    if is_full && best.last().is_some_and(|last| cosine <= last.0) {
                        continue;
                    }
                    let place = best.partition_point(|one| one.0 >= cosine);
                    if is_full {
                        best.pop();
                    }
                    best.insert(place, (cosine, frame, other));
                }
            }
        }
    }

    /// Adds the labels of the matches to `labels` `[k]`, weighted by the softmax of their cosines.
    fn mix_labels(
        &self,
        known: &[&ContextFrame],
        best: &[(f32, usize, usize)],
        labels: &mut [f32],
    ) {
        let Some(&(highest, ..)) = best.first() else {
            return;
        };
        let weight = |cosine: f32| ((cosine - highest) / self.config.temperature).exp();
        let total: f32 = best.iter().map(|one| weight(one.0)).sum();
        for &(cosine, frame, patch) in best {
            let share = weight(cosine) / total;
            let of = &known[frame].labels[patch * self.k..][..self.k];
            for (label, of) in labels.iter_mut().zip(of) {
                *label += share * of;
            }
        }
    }
}

/// Cosines between the rows of `tokens` `[N, D]` and those of `others` `[M, D]`, all of length 1: `[N, M]`.
fn cosines(tokens: &[f32], others: &[f32], dim: usize) -> Vec<f32> {
    let (rows, cols) = (tokens.len() / dim.max(1), others.len() / dim.max(1));
    let mut cosines = vec![0f32; rows * cols];
    let tokens = Matrix::new(tokens, rows, dim);
    matmul(
        &mut cosines,
        tokens,
        Matrix::new(others, cols, dim).t(),
        false,
    );
    cosines
}

/// Scales every row of `tokens` `[N, D]` to length 1; rows of zeros stay.
fn normalise_rows(tokens: &mut [f32], dim: usize) {
    tokens.par_chunks_exact_mut(dim.max(1)).for_each(|token| {
        let square: f64 = token.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        if square > 0.0 {
            let factor = (1.0 / square.sqrt()) as f32;
            token.iter_mut().for_each(|value| *value *= factor);
        }
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GRID: PatchGrid = PatchGrid { rows: 4, cols: 6 };

    /// Every patch has a direction of its own, moved to the right by `by`.
    fn tokens(by: usize) -> Vec<f32> {
        let all = GRID.rows * GRID.cols;
        let mut tokens = vec![0f32; all * all];
        for row in 0..GRID.rows {
            for col in by..GRID.cols {
                let (here, there) = (row * GRID.cols + col, row * GRID.cols + col - by);
                tokens[here * all + there] = 2.0;
            }
        }
        tokens
    }

    /// One patch is of label 1, the rest of 0.
    fn labels(row: usize, col: usize) -> Vec<f32> {
        let mut labels = [1.0, 0.0].repeat(GRID.rows * GRID.cols);
        let at = 2 * (row * GRID.cols + col);
        (labels[at], labels[at + 1]) = (0.0, 1.0);
        labels
    }

    fn best(labels: &[f32]) -> usize {
        let shares: Vec<f32> = labels.chunks_exact(2).map(|pair| pair[1]).collect();
        let most = (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b]));
        most.unwrap()
    }

    #[test]
    fn labels_follow_what_they_lie_on() {
        let config = TrackerConfig {
            temperature: 0.01,
            ..TrackerConfig::default()
        };
        let mut tracker = Tracker::new(config, GRID, tokens(0), (labels(1, 1), 2));
        for by in 1..4 {
            let followed = tracker.propagate(tokens(by));
            assert_eq!(best(&followed), GRID.cols + 1 + by);
            let sums: Vec<f32> = followed
                .chunks_exact(2)
                .map(|pair| pair.iter().sum())
                .collect();
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{sums:?}");
        }
    }

    #[test]
    fn what_is_too_far_is_not_asked() {
        let config = TrackerConfig {
            radius: 1.0,
            context_frames: 0,
            temperature: 0.01,
            ..TrackerConfig::default()
        };
        let mut tracker = Tracker::new(config, GRID, tokens(0), (labels(1, 1), 2));
        assert_eq!(best(&tracker.propagate(tokens(1))), GRID.cols + 2);
        let lost = tracker.propagate(tokens(3));
        assert!(lost[2 * (GRID.cols + 4) + 1] == 0.0, "{lost:?}");
    }
}
