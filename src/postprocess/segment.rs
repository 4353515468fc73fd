//! Class scores to labels: the scores are upsampled to every pixel and the best class is taken; labels themselves
//! are never upsampled.

use rayon::prelude::*;

use crate::head::Scores;
use crate::postprocess::sample::{Axis, mix_rows};
use crate::preprocess::Geometry;

/// A class at every pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `[height, width]`, indices of classes.
    pub ids: Vec<u16>,
    /// `[height, width]`, the softmax probability of the class.
    pub confidence: Vec<f32>,
}

/// Labels every pixel of the photo that `geometry` came from. Only classes in `allowed` (all if empty) can win.
pub fn label(scores: &Scores, geometry: &Geometry, allowed: &[bool]) -> LabelMap {
    let axis = |places, cells| Axis { cells, places };
    let x = axis(geometry.columns(), scores.grid.cols);
    let y = axis(geometry.rows(), scores.grid.rows);
    label_at(scores, &x, &y, allowed)
}

/// Labels the samples at `x` and `y` of the patch grid.
pub fn label_at(scores: &Scores, x: &Axis, y: &Axis, allowed: &[bool]) -> LabelMap {
    let (k, cols) = (scores.k, scores.grid.cols);
    let (x_taps, y_taps) = (x.bilinear(), y.bilinear());
    let (width, height) = (x_taps.len(), y_taps.len());
    let mut both = vec![(0u16, 0f32); width * height];
    both.par_chunks_exact_mut(width).zip(&y_taps).for_each_init(
        || (vec![0f32; cols * k], vec![0f32; k]),
        |(line, pixel), (out, y)| {
            let row = |y: usize| &scores.values[y * cols * k..][..cols * k];
            mix_rows(line, row(y.low), row(y.high), y.weight);
            for (out, x) in out.iter_mut().zip(&x_taps) {
                mix_rows(
                    pixel,
                    &line[x.low * k..][..k],
                    &line[x.high * k..][..k],
                    x.weight,
                );
                *out = best(pixel, allowed);
            }
        },
    );
    let (ids, confidence) = both.into_iter().unzip();
    LabelMap {
        width,
        height,
        ids,
        confidence,
    }
}

/// The mean with the scores of the mirrored input, which are mirrored back. Scores are averaged, not labels.
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

/// The best allowed class and its probability among the allowed ones.
pub(crate) fn best(scores: &[f32], allowed: &[bool]) -> (u16, f32) {
    let is_allowed = |index: usize| allowed.is_empty() || allowed[index];
    let (mut id, mut top) = (0usize, f32::NEG_INFINITY);
    for (index, &score) in scores.iter().enumerate() {
        if score > top && is_allowed(index) {
            (id, top) = (index, score);
        }
    }
    let sum: f32 = scores
        .iter()
        .enumerate()
        .filter(|(index, _)| is_allowed(*index))
        .map(|(_, &score)| (score - top).exp())
        .sum();
    (id as u16, 1.0 / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::Grid;
    use crate::preprocess::SizeRule;

    #[test]
    fn scores_are_upsampled_not_labels() {
        // Class 1 wins between two patches that prefer 0 and 2.
        let scores = Scores {
            values: vec![3.0, 2.0, 0.0, 0.0, 2.0, 3.0],
            k: 3,
            grid: Grid { rows: 1, cols: 2 },
        };
        let geometry = Geometry::new(
            (9, 1),
            SizeRule::Exact {
                width: 2,
                height: 1,
            },
            1,
        );
        let map = label(&scores, &geometry, &[]);
        assert_eq!(map.ids[0], 0);
        assert_eq!(map.ids[4], 1);
        assert_eq!(map.ids[8], 2);
        let map = label(&scores, &geometry, &[true, false, true]);
        assert!(!map.ids.contains(&1));
    }

    #[test]
    fn a_mirror_image_is_turned_back() {
        let scores = |values: [f32; 6]| Scores {
            values: values.to_vec(),
            k: 2,
            grid: Grid { rows: 1, cols: 3 },
        };
        let mean = mean_with_mirrored(
            &scores([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            &scores([8.0, 9.0, 2.0, 3.0, 0.0, 3.0]),
        );
        assert_eq!(mean.values, [0.0, 2.0, 2.0, 3.0, 6.0, 7.0]);
    }

    #[test]
    fn confidence_is_a_softmax() {
        let (id, confidence) = best(&[1.0, 1.0, 1.0, 1.0], &[]);
        assert_eq!((id, confidence), (0, 0.25));
    }
}
