//! The scores of overlapping windows of several views of a photo become one [`LabelMap`], as in mmsegmentation: a
//! window's scores are upsampled to its pixels, summed, divided by the number of windows there and resized to the
//! photo; their softmax is averaged over all views.
//!
//! It is computed a row of the photo at a time, so that nothing of the size of a view times its classes is in memory.

use rayon::prelude::*;

use crate::maths::resample::{LinearTaps, SampleAxis, TapRun, mix_rows, tap_runs};
use crate::model::head::Scores;
use crate::model::input::{Geometry, SizeRule, Unpad};
use crate::vision::inference::protocol::{PixelWindow, ScoredView};
use crate::vision::postprocess::LabelMap;
use crate::vision::postprocess::segment::{ClassCandidate, candidates_between, fast_exp};

/// Rows of the photo that one thread labels in order; neighbouring ones share the rows of a view.
const BAND_ROWS: usize = 16;

/// The class at every pixel of a photo of `width` x `height`, with its mean softmax probability over all views. `unpad`
/// says how windows are brought back from their padded inputs.
pub fn label_views(
    scored: &[ScoredView],
    (width, height): (usize, usize),
    unpad: Unpad,
) -> LabelMap {
    let k = scored
        .first()
        .and_then(|view| view.scores.first())
        .map_or(1, |scores| scores.k);
    let mut ids = vec![0u16; width * height];
    let mut confidence = vec![0f32; width * height];
    let views: Vec<ViewSampler<'_>> = scored
        .iter()
        .map(|view| ViewSampler::new(view, width, height, unpad))
        .collect();
    ids.par_chunks_mut(BAND_ROWS * width)
        .zip(confidence.par_chunks_mut(BAND_ROWS * width))
        .enumerate()
        .for_each(|(band, (ids, confidence))| {
            let mut lines: Vec<ViewRowCache> = views.iter().map(ViewRowCache::of).collect();
            let mut sums = vec![0f32; width * k]; // [width, k]
            let rows = ids.chunks_mut(width).zip(confidence.chunks_mut(width));
            for (row, (ids, confidence)) in rows.enumerate() {
                sums.fill(0.0);
                for (view, lines) in views.iter().zip(&mut lines) {
                    view.add_probabilities(band * BAND_ROWS + row, lines, &mut sums);
                }
                for ((id, sure), sums) in ids.iter_mut().zip(confidence).zip(sums.chunks_exact(k)) {
                    let (mut best, mut top) = (0, f32::NEG_INFINITY);
                    for (class, &sum) in sums.iter().enumerate() {
                        if sum > top {
                            (best, top) = (class, sum);
                        }
                    }
                    *id = best as u16;
                    *sure = top / views.len() as f32;
                }
            }
        });
    LabelMap {
        width,
        height,
        ids,
        confidence,
    }
}

/// Row `number` of a view before it is resized to the photo: the mean scores of its windows, `[columns, k]`.
/// `number` is from 0, below the height of the view.
pub fn blended_row(scored: &ScoredView, number: usize, unpad: Unpad) -> Vec<f32> {
    let (width, height) = scored.view.size;
    let view = ViewSampler::new(scored, width as usize, height as usize, unpad);
    let mut row = vec![0f32; width as usize * view.k];
    view.blend_row(number, &mut row, &mut Vec::new());
    row
}

/// Rows of a view that neighbouring rows of the photo share, and buffers of a thread.
struct ViewRowCache {
    /// The two rows of the view used last, with their numbers, each `[columns, k]`.
    rows: [(usize, Vec<f32>); 2],
    mixed: Vec<f32>,
    patches: Vec<f32>,
    candidates: Vec<ClassCandidate>,
    pixel: Vec<f32>,
}

impl ViewRowCache {
    fn of(view: &ViewSampler<'_>) -> Self {
        let line = || vec![0f32; view.columns.len() * view.k];
        ViewRowCache {
            rows: [(usize::MAX, line()), (usize::MAX, line())],
            mixed: line(),
            patches: Vec::new(),
            candidates: Vec::new(),
            pixel: Vec::new(),
        }
    }
}

/// Classes whose scores are this far below the best are ignored: `e^-16` is a ten-millionth.
const MAX_SCORE_GAP: f32 = 16.0;

/// One view with its scores, and the taps by which they are sampled.
struct ViewSampler<'a> {
    view_scores: &'a ScoredView,
    k: usize,
    /// Columns of the photo between the same two columns of the view.
    runs: Vec<TapRun>,
    /// Rows of the photo between rows of the view.
    y: Vec<LinearTaps>,
    /// Pixels of a window between its patches; all windows of a view are of one size.
    window_x: Vec<LinearTaps>,
    window_y: Vec<LinearTaps>,
    /// Number of windows over each column of the view.
    columns: Vec<f32>,
}

impl<'a> ViewSampler<'a> {
    fn new(view_scores: &'a ScoredView, width: usize, height: usize, unpad: Unpad) -> Self {
        let (view_width, view_height) = view_scores.view.size;
        let PixelWindow {
            width: w,
            height: h,
            ..
        } = view_scores.view.windows[0];
        let Scores { k, grid, .. } = view_scores.scores[0];
        let window =
            Geometry::new((w, h), SizeRule::Native, view_scores.patch_size).with_unpad(unpad);
        let top = view_scores.view.windows[0].top;
        let mut columns = vec![0f32; view_width as usize];
        for window in view_scores
            .view
            .windows
            .iter()
            .filter(|window| window.top == top)
        {
            let covered = window.left as usize..(window.left + window.width) as usize;
            columns[covered].iter_mut().for_each(|count| *count += 1.0);
        }
        ViewSampler {
            view_scores,
            k,
            runs: column_runs(view_width as usize, width, view_scores.view.mirrored),
            y: SampleAxis::stretched(view_height as usize, height).bilinear(),
            window_x: taps_along(window.column_positions(), grid.cols),
            window_y: taps_along(window.row_positions(), grid.rows),
            columns,
        }
    }

    /// Adds the softmax of the scores in the photo's row `y` to `sums` `[width, k]`.
    fn add_probabilities(&self, y: usize, lines: &mut ViewRowCache, sums: &mut [f32]) {
        let k = self.k;
        let y = self.y[y];
        for (number, other) in [(y.low, y.high), (y.high, y.low)] {
            if lines.rows.iter().all(|(have, _)| *have != number) {
                let slot = usize::from(lines.rows[0].0 == other);
                self.blend_row(number, &mut lines.rows[slot].1, &mut lines.patches);
                lines.rows[slot].0 = number;
            }
        }
        let at = |number: usize| &lines.rows[usize::from(lines.rows[0].0 != number)].1;
        mix_rows(&mut lines.mixed, at(y.low), at(y.high), y.weight);
        let mut sums = sums.chunks_exact_mut(k);
        for run in &self.runs {
            let (low, high) = (
                &lines.mixed[run.low * k..][..k],
                &lines.mixed[run.high * k..][..k],
            );
            candidates_between(low, high, &[], MAX_SCORE_GAP, &mut lines.candidates);
            for (&weight, sums) in run.weights.iter().zip(&mut sums) {
                add_softmax(&lines.candidates, weight, &mut lines.pixel, sums);
            }
        }
    }

    /// Computes row `number` of the view: the mean of the scores of all windows there, `[columns, k]`.
    fn blend_row(&self, number: usize, row: &mut [f32], patches_of_row: &mut Vec<f32>) {
        let k = self.k;
        row.fill(0.0);
        let mut tops = 0f32;
        let mut last = None;
        for (window, scores) in self
            .view_scores
            .view
            .windows
            .iter()
            .zip(&self.view_scores.scores)
        {
            let top = window.top as usize;
            if !(top..top + window.height as usize).contains(&number) {
                continue;
            }
            // Windows are listed row by row.
            if last != Some(window.top) {
                tops += 1.0;
                last = Some(window.top);
            }
            let y = self.window_y[number - top];
            let line = scores.grid.cols * k;
            patches_of_row.resize(line, 0.0);
            let patches = |row: usize| &scores.values[row * line..][..line];
            mix_rows(patches_of_row, patches(y.low), patches(y.high), y.weight);
            let pixels = row[window.left as usize * k..].chunks_exact_mut(k);
            for (out, x) in pixels.zip(&self.window_x) {
                let (low, high) = (&patches_of_row[x.low * k..], &patches_of_row[x.high * k..]);
                for ((out, &a), &b) in out.iter_mut().zip(&low[..k]).zip(&high[..k]) {
                    *out += a + (b - a) * x.weight;
                }
            }
        }
        for (out, columns) in row.chunks_exact_mut(k).zip(&self.columns) {
            let share = 1.0 / (tops * columns);
            out.iter_mut().for_each(|score| *score *= share);
        }
    }
}

/// The taps of samples at `places` along an axis of `cells` cells.
fn taps_along(places: Vec<f32>, cells: usize) -> Vec<LinearTaps> {
    SampleAxis {
        cells,
        positions: places,
    }
    .bilinear()
}

/// The columns of a photo of `width` pixels on a view of `cells` columns, from the right where it is `mirrored`.
fn column_runs(cells: usize, width: usize, mirrored: bool) -> Vec<TapRun> {
    let mut taps = SampleAxis::stretched(cells, width).bilinear();
    if mirrored {
        taps.reverse();
    }
    tap_runs(&taps)
}

/// Adds the softmax of the candidates' scores at `weight` (0 at the left, 1 at the right) to `sums` `[k]`.
fn add_softmax(
    candidates: &[ClassCandidate],
    weight: f32,
    scores: &mut Vec<f32>,
    sums: &mut [f32],
) {
    scores.clear();
    scores.extend(candidates.iter().map(|candidate| candidate.at(weight)));
    // Independent sums, so that the compiler can vectorise over classes.
    const LANES: usize = 16;
    let mut tops = [f32::NEG_INFINITY; LANES];
    for scores in scores.chunks(LANES) {
        for (top, score) in tops.iter_mut().zip(scores) {
            *top = top.max(*score);
        }
    }
    let top = tops.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut totals = [0f32; LANES];
    for scores in scores.chunks_mut(LANES) {
        for (score, total) in scores.iter_mut().zip(&mut totals) {
            *score = fast_exp(*score - top);
            *total += *score;
        }
    }
    let share = 1.0 / totals.iter().sum::<f32>();
    if scores.len() == sums.len() {
        for (sum, score) in sums.iter_mut().zip(scores) {
            *sum += *score * share;
        }
    } else {
        for (candidate, score) in candidates.iter().zip(scores) {
            sums[usize::from(candidate.id)] += *score * share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::PatchGrid;
    use crate::vision::inference::protocol::ProtocolView;

    fn window(left: u32) -> PixelWindow {
        PixelWindow {
            left,
            top: 0,
            width: 2,
            height: 2,
        }
    }

    fn scores(values: &[f32]) -> Scores {
        Scores {
            values: values.to_vec(),
            k: 2,
            grid: PatchGrid { rows: 1, cols: 1 },
        }
    }

    #[test]
    fn windows_are_averaged_before_and_views_after_the_softmax() {
        // Three columns, the middle one under both windows.
        let view = |mirrored, first: f32, second: f32| ScoredView {
            view: ProtocolView {
                size: (3, 2),
                mirrored,
                windows: vec![window(0), window(1)],
            },
            scores: vec![scores(&[first, 0.0]), scores(&[second, 0.0])],
            patch_size: 2,
        };
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let close = |map: &LabelMap, expected: [f32; 3]| {
            for (x, expected) in expected.into_iter().enumerate() {
                let sure = map.confidence[x];
                let first = if map.ids[x] == 0 { sure } else { 1.0 - sure };
                assert!((first - expected).abs() < 1e-4, "{first} {expected}");
            }
        };
        let one = label_views(&[view(false, 4.0, -2.0)], (3, 2), Unpad::Squeeze);
        close(&one, [sigmoid(4.0), sigmoid(1.0), sigmoid(-2.0)]);
        let both = label_views(
            &[view(false, 4.0, -2.0), view(true, 4.0, -2.0)],
            (3, 2),
            Unpad::Squeeze,
        );
        let mean = 0.5 * (sigmoid(4.0) + sigmoid(-2.0));
        close(&both, [mean, sigmoid(1.0), mean]);
    }
}
