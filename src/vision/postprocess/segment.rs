//! Class scores to labels: the [`Scores`] over the patch grid are upsampled bilinearly to every pixel of the photo, and
//! the best class there is the label, with its softmax probability ([`LabelMap`]). Labels themselves are never
//! upsampled.

use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::{SampleAxis, mix_rows, tap_runs};
use crate::model::head::Scores;
use crate::model::input::Geometry;
use crate::system::memory::try_vec;

/// A class at every pixel of a photo, and how probable it is.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Indices of classes, `[height, width]`; [`NO_CLASS`](crate::vision::postprocess::NO_CLASS) is none.
    pub ids: Vec<u16>,
    /// Softmax probability of the class, `[height, width]`, 0..1.
    pub confidence: Vec<f32>,
}

impl LabelMap {
    /// A copy.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if it does not fit.
    pub fn try_clone(&self) -> Result<Self> {
        let mut copy = LabelMap {
            width: self.width,
            height: self.height,
            ids: try_vec(0u16, self.ids.len())?,
            confidence: try_vec(0f32, self.confidence.len())?,
        };
        copy.ids.copy_from_slice(&self.ids);
        copy.confidence.copy_from_slice(&self.confidence);
        Ok(copy)
    }
}

/// Labels every pixel of the photo of `geometry`. Only classes in `allowed` (one flag a class; all if empty) can win.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the map does not fit.
pub fn label(scores: &Scores, geometry: &Geometry, allowed: &[bool]) -> Result<LabelMap> {
    let axis = |places, cells| SampleAxis {
        cells,
        positions: places,
    };
    let x = axis(geometry.column_positions(), scores.grid.cols);
    let y = axis(geometry.row_positions(), scores.grid.rows);
    label_samples(scores, &x, &y, allowed)
}

/// Labels the samples at the positions `x` and `y` of the patch grid, `[y, x]`.
///
/// Samples between the same two patches of a row share their candidates: a class that stays far below another one at
/// both ends can neither win between them nor take part in the probability. That leaves a few classes of many.
///
/// # Errors
/// As [`label`].
pub fn label_samples(
    scores: &Scores,
    x: &SampleAxis,
    y: &SampleAxis,
    allowed: &[bool],
) -> Result<LabelMap> {
    let (k, cols) = (scores.k, scores.grid.cols);
    let (x_taps, y_taps) = (x.bilinear(), y.bilinear());
    let (width, height) = (x_taps.len(), y_taps.len());
    let runs = tap_runs(&x_taps);
    let mut ids = try_vec(0u16, width * height)?;
    let mut confidence = try_vec(0f32, width * height)?;
    ids.par_chunks_exact_mut(width)
        .zip(confidence.par_chunks_exact_mut(width))
        .zip(&y_taps)
        .for_each_init(
            || (vec![0f32; cols * k], Vec::new()),
            |(line, candidates), ((ids, confidence), y)| {
                let row = |y: usize| &scores.values[y * cols * k..][..cols * k];
                mix_rows(line, row(y.low), row(y.high), y.weight);
                for run in &runs {
                    let (left, right) = (&line[run.low * k..], &line[run.high * k..]);
                    candidates_between(&left[..k], &right[..k], allowed, MAX_SCORE_GAP, candidates);
                    let span = run.samples.clone();
                    let out = (&mut ids[span.clone()], &mut confidence[span]);
                    best_between(candidates, &run.weights, out);
                }
            },
        );
    Ok(LabelMap {
        width,
        height,
        ids,
        confidence,
    })
}

/// A class that may win between two patches, with its score as a linear function of the position between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassCandidate {
    /// Index of the class.
    pub id: u16,
    start: f32,
    slope: f32,
}

/// Classes whose scores are this far below the best are ignored: `e^-12` is six millionths.
const MAX_SCORE_GAP: f32 = 12.0;

/// Fills `candidates` with the allowed classes, by index, whose scores may come within `reach` of the best anywhere
/// between two samples with the scores `left` and `right`.
pub(super) fn candidates_between(
    left: &[f32],
    right: &[f32],
    allowed: &[bool],
    reach: f32,
    candidates: &mut Vec<ClassCandidate>,
) {
    let both = || {
        let pairs = left.iter().zip(right).enumerate();
        pairs.filter(|(id, _)| allowed.get(*id).is_none_or(|allowed| *allowed))
    };
    // The best score is nowhere lower than this.
    let floor = both()
        .map(|(_, (left, right))| left.min(*right))
        .fold(f32::NEG_INFINITY, f32::max);
    candidates.clear();
    candidates.extend(
        both()
            .filter(|(_, (left, right))| left.max(**right) >= floor - reach)
            .map(|(id, (left, right))| ClassCandidate {
                id: id as u16,
                start: *left,
                slope: right - left,
            }),
    );
}

impl ClassCandidate {
    /// The score at `weight`, 0 at the left patch to 1 at the right.
    #[inline]
    pub fn at(&self, weight: f32) -> f32 {
        self.start + self.slope * weight
    }
}

/// Writes the best candidate at each of `weights`, 0 at the left to 1 at the right, and its softmax probability.
///
/// It goes candidate by candidate, so that the compiler can vectorise over pixels.
fn best_between(
    candidates: &[ClassCandidate],
    weights: &[f32],
    (ids, confidence): (&mut [u16], &mut [f32]),
) {
    if let [only] = candidates {
        ids.fill(only.id);
        confidence.fill(1.0);
        return;
    }
    let tops = confidence;
    tops.fill(f32::NEG_INFINITY);
    for candidate in candidates {
        for ((id, top), &weight) in ids.iter_mut().zip(tops.iter_mut()).zip(weights) {
            let score = candidate.at(weight);
            let better = score > *top;
            *id = if better { candidate.id } else { *id };
            *top = if better { score } else { *top };
        }
    }
    const AT_ONCE: usize = 64;
    for (tops, weights) in tops.chunks_mut(AT_ONCE).zip(weights.chunks(AT_ONCE)) {
        let mut sums = [0f32; AT_ONCE];
        for candidate in candidates {
            for ((sum, &top), &weight) in sums.iter_mut().zip(tops.iter()).zip(weights) {
                *sum += fast_exp(candidate.at(weight) - top);
            }
        }
        tops.iter_mut()
            .zip(sums)
            .for_each(|(top, sum)| *top = 1.0 / sum);
    }
}

/// `e^x` to five digits for `x` from -80 to 0, without branches, so that the compiler can vectorise it.
#[inline]
pub(super) fn fast_exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
    const WHOLE: f32 = 12_582_912.0;
    let power = x.max(-80.0) * std::f32::consts::LOG2_E;
    let shifted = power + WHOLE;
    let rest = power - (shifted - WHOLE);
    // Taylor's series of 2^rest, for rests from -1/2 to 1/2.
    let series = [
        0.001_333_36,
        0.009_618_13,
        0.055_504_11,
        0.240_226_5,
        std::f32::consts::LN_2,
        1.0,
    ];
    let fraction = series.iter().fold(0.0, |sum: f32, term| sum * rest + term);
    fraction * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// The mean of `scores` and those of the mirrored input, which are mirrored back; scores are averaged, not labels.
pub fn mean_with_mirrored(scores: &Scores, mirrored: &Scores) -> Scores {
    let (k, cols) = (scores.k, scores.grid.cols);
    let mut mean = scores.clone();
    let rows = mean.values.chunks_exact_mut(cols * k);
    for (row, other) in rows.zip(mirrored.values.chunks_exact(cols * k)) {
        for (own, other) in row.chunks_exact_mut(k).zip(other.chunks_exact(k).rev()) {
            own.iter_mut()
                .zip(other)
                .for_each(|(a, b)| *a = 0.5 * (*a + b));
        }
    }
    mean
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::PatchGrid;
    use crate::model::input::SizeRule;

    #[test]
    fn scores_are_upsampled_not_labels() {
        // Class 1 wins between two patches that prefer 0 and 2.
        let scores = Scores {
            values: vec![3.0, 2.0, 0.0, 0.0, 2.0, 3.0],
            k: 3,
            grid: PatchGrid { rows: 1, cols: 2 },
        };
        let geometry = Geometry::new(
            (9, 1),
            SizeRule::Exact {
                width: 2,
                height: 1,
            },
            1,
        );
        let map = label(&scores, &geometry, &[]).unwrap();
        assert_eq!(map.ids[0], 0);
        assert_eq!(map.ids[4], 1);
        assert_eq!(map.ids[8], 2);
        let map = label(&scores, &geometry, &[true, false, true]).unwrap();
        assert!(!map.ids.contains(&1));
    }

    #[test]
    fn a_mirror_image_is_turned_back() {
        let scores = |values: [f32; 6]| Scores {
            values: values.to_vec(),
            k: 2,
            grid: PatchGrid { rows: 1, cols: 3 },
        };
        let mean = mean_with_mirrored(
            &scores([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            &scores([8.0, 9.0, 2.0, 3.0, 0.0, 3.0]),
        );
        assert_eq!(mean.values, [0.0, 2.0, 2.0, 3.0, 6.0, 7.0]);
    }

    #[test]
    fn confidence_is_a_softmax() {
        let scores = Scores {
            values: vec![1.0; 4],
            k: 4,
            grid: PatchGrid { rows: 1, cols: 1 },
        };
        let axis = SampleAxis::subdivided(1, 1);
        let map = label_samples(&scores, &axis, &axis, &[]).unwrap();
        assert_eq!((map.ids[0], map.confidence[0]), (0, 0.25));
        let map = label_samples(&scores, &axis, &axis, &[false, true, true, false]).unwrap();
        assert_eq!((map.ids[0], map.confidence[0]), (1, 0.5));
    }

    #[test]
    fn the_quick_exponential_is_one() {
        for i in 0..8000 {
            let x = -0.01 * i as f32;
            let expected = f64::from(x).exp();
            let error = (f64::from(fast_exp(x)) - expected).abs() / expected;
            assert!(error < 1e-5, "{x}: {error}");
        }
        assert_eq!(fast_exp(0.0), 1.0);
    }

    #[test]
    fn leaving_hopeless_classes_out_changes_nothing() {
        // Scores so spread that most classes are left out in most places.
        let grid = PatchGrid { rows: 5, cols: 7 };
        let k = 40;
        let mut state = 7u32;
        let values = (0..grid.len() * k).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 * 60.0
        });
        let scores = Scores {
            values: values.collect(),
            k,
            grid,
        };
        let (x, y) = (SampleAxis::subdivided(7, 6), SampleAxis::subdivided(5, 6));
        let map = label_samples(&scores, &x, &y, &[]).unwrap();
        let (x_taps, y_taps) = (x.bilinear(), y.bilinear());
        for (i, (&id, &confidence)) in map.ids.iter().zip(&map.confidence).enumerate() {
            let (x, y) = (x_taps[i % map.width], y_taps[i / map.width]);
            let score = |class: usize| {
                let at = |row: usize, col: usize| scores.values[(row * 7 + col) * k + class];
                let mix = |a: f32, b: f32, weight: f32| a + (b - a) * weight;
                let line = |col| mix(at(y.low, col), at(y.high, col), y.weight);
                f64::from(mix(line(x.low), line(x.high), x.weight))
            };
            let all: Vec<f64> = (0..k).map(score).collect();
            let top = all.iter().copied().fold(f64::MIN, f64::max);
            assert!(all[usize::from(id)] > top - 1e-4);
            let sum: f64 = all.iter().map(|s| (s - top).exp()).sum();
            assert!((f64::from(confidence) - 1.0 / sum).abs() < 1e-4);
        }
    }
}
