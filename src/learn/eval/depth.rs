//! Metrics of depth after Eigen et al., "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network",
//! 2014.
//!
//! In: a predicted depth map and its label, both `[height, width]` in metres at the label's pixels. Out:
//! [`DepthErrors`] of one image, over the pixels whose label lies in the crop and the range that count. Predictions `p`
//! are clamped to the range, labels `t` are not changed. As in the papers, a data set has the mean over its images, so
//! its RMSE is the mean of the images' RMSE and not that of all pixels. The aligned errors follow monodepth2 (median
//! scaling).

use std::ops::Range;

use crate::vision::postprocess::ScaleShift;

/// The part of the image in which pixels count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Crop {
    /// The whole image.
    #[default]
    None,
    /// Eigen et al.: rows 45..471 and columns 41..601 of 480 x 640 (height x width), for NYU Depth V2.
    Eigen,
    /// Garg et al., 2016: rows 153..371 and columns 44..1197 of 375 x 1242 (height x width), for KITTI.
    Garg,
}

/// The crop of KITTI's depth benchmark: 1216 x 352 (width x height) at the bottom centre of an image of this (width,
/// height), as (left, top, width, height). A smaller side is not cut.
pub fn kitti_crop((width, height): (u32, u32)) -> (u32, u32, u32, u32) {
    let (w, h) = (width.min(1216), height.min(352));
    ((width - w) / 2, height - h, w, h)
}

/// Compares depth maps with labels: which pixels count, and the range that predictions are clamped to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DepthEvaluator {
    /// The part of the image that counts.
    pub crop: Crop,
    /// Least depth in metres: smaller labels do not count, smaller predictions are raised to it.
    pub min: f32,
    /// Largest depth in metres: larger labels do not count, larger predictions are lowered to it.
    pub max: f32,
}

/// The errors of one image, or their mean over images; `p` is a predicted depth, `t` its label.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DepthErrors {
    /// RMSE: `sqrt(mean((p - t)^2))`, metres.
    pub rmse: f64,
    /// AbsRel, the absolute relative error: `mean(|p - t| / t)`.
    pub abs_rel: f64,
    /// `mean(|log10 p - log10 t|)`.
    pub log10: f64,
    /// SILog of the KITTI benchmark: `100 sqrt(mean(e^2) - mean(e)^2)` with `e = ln p - ln t`.
    pub silog: f64,
    /// Share of pixels with `max(p / t, t / p) < 1.25`, 0..1.
    pub delta1: f64,
    /// Share of pixels with `max(p / t, t / p) < 1.25^2`, 0..1.
    pub delta2: f64,
    /// Share of pixels with `max(p / t, t / p) < 1.25^3`, 0..1.
    pub delta3: f64,
    /// [`Self::rmse`] of the prediction times `median(t) / median(p)`, clamped after that.
    pub rmse_aligned: f64,
    /// [`Self::abs_rel`] with the same scaling.
    pub abs_rel_aligned: f64,
    /// [`Self::delta1`] with the same scaling.
    pub delta1_aligned: f64,
}

impl Crop {
    /// The rows and columns that count of a label of `width` x `height` pixels; the crop is scaled to other sizes than
    /// its own.
    pub fn of(self, width: usize, height: usize) -> (Range<usize>, Range<usize>) {
        let (rows, cols, full_h, full_w) = match self {
            Crop::None => return (0..height, 0..width),
            Crop::Eigen => (45..471, 41..601, 480, 640),
            Crop::Garg => (153..371, 44..1197, 375, 1242),
        };
        let scale = |range: Range<usize>, side: usize, full: usize| {
            let at = |place: usize| (place * side + full / 2) / full;
            at(range.start)..at(range.end)
        };
        (scale(rows, height, full_h), scale(cols, width, full_w))
    }
}

impl DepthEvaluator {
    /// The indices of the pixels of a label `[height, width]` that count, row by row.
    pub fn valid_pixels<'t>(
        &self,
        truth: &'t [f32],
        (width, height): (usize, usize),
    ) -> impl Iterator<Item = usize> + use<'t> {
        let (min, max) = (self.min, self.max);
        let (rows, cols) = self.crop.of(width, height);
        rows.flat_map(move |row| row * width + cols.start..row * width + cols.end)
            .filter(move |&index| {
                let metres = truth[index];
                metres > 0.0 && metres >= min && metres <= max
            })
    }

    /// The scale and shift that bring a prediction of relative inverse depth closest to the inverse depth of the label,
    /// by least squares over the pixels that count, as in MiDaS (Ranftl et al., 2020). Both are `[height, width]`, the
    /// label in metres. None where no pixel counts.
    pub fn scale_shift(
        &self,
        inverse: &[f32],
        truth: &[f32],
        (width, height): (usize, usize),
    ) -> Option<ScaleShift> {
        let pair = |index: usize| (f64::from(inverse[index]), 1.0 / f64::from(truth[index]));
        let pairs: Vec<(f64, f64)> = self
            .valid_pixels(truth, (width, height))
            .map(pair)
            .collect();
        ScaleShift::fit(pairs.iter().copied())
    }

    /// The errors of a prediction at the label's pixels, both `[height, width]` in metres; none where no pixel counts.
    pub fn errors(
        &self,
        prediction: &[f32],
        truth: &[f32],
        (width, height): (usize, usize),
    ) -> Option<DepthErrors> {
        let pair = |index: usize| (f64::from(prediction[index]), f64::from(truth[index]));
        let pairs: Vec<(f64, f64)> = self
            .valid_pixels(truth, (width, height))
            .map(pair)
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let median_of = |which: fn(&(f64, f64)) -> f64| median(pairs.iter().map(which).collect());
        // As in monodepth2, the medians are taken before clamping.
        let predicted = median_of(|pair| pair.0).max(f64::MIN_POSITIVE);
        let factor = median_of(|pair| pair.1) / predicted;
        let plain = self.scaled_errors(&pairs, 1.0);
        let aligned = self.scaled_errors(&pairs, factor);
        Some(DepthErrors {
            rmse_aligned: aligned.rmse,
            abs_rel_aligned: aligned.abs_rel,
            delta1_aligned: aligned.delta1,
            ..plain
        })
    }

    /// The errors of pairs (prediction, label) with predictions multiplied by `factor` and then clamped.
    fn scaled_errors(&self, pairs: &[(f64, f64)], factor: f64) -> DepthErrors {
        let (min, max) = (f64::from(self.min), f64::from(self.max));
        mean_errors(
            pairs
                .iter()
                .map(|&(p, t)| ((p * factor).clamp(min, max), t)),
        )
    }
}

/// The errors of pairs (prediction, label), not aligned.
fn mean_errors(pairs: impl ExactSizeIterator<Item = (f64, f64)>) -> DepthErrors {
    let n = pairs.len() as f64;
    let mut sum = DepthErrors::default();
    let (mut square, mut log, mut log_square) = (0f64, 0f64, 0f64);
    for (p, t) in pairs {
        square += (p - t).powi(2);
        sum.abs_rel += (p - t).abs() / t;
        let e = p.ln() - t.ln();
        log += e;
        log_square += e * e;
        sum.log10 += e.abs() / std::f64::consts::LN_10;
        let ratio = (p / t).max(t / p);
        sum.delta1 += f64::from(u8::from(ratio < 1.25));
        sum.delta2 += f64::from(u8::from(ratio < 1.25f64.powi(2)));
        sum.delta3 += f64::from(u8::from(ratio < 1.25f64.powi(3)));
    }
    DepthErrors {
        rmse: (square / n).sqrt(),
        abs_rel: sum.abs_rel / n,
        log10: sum.log10 / n,
        silog: 100.0 * (log_square / n - (log / n).powi(2)).max(0.0).sqrt(),
        delta1: sum.delta1 / n,
        delta2: sum.delta2 / n,
        delta3: sum.delta3 / n,
        ..DepthErrors::default()
    }
}

/// The median as in NumPy: of an even number of values the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().max_by(f64::total_cmp);
    match lower {
        Some(lower) if values.len().is_multiple_of(2) => (lower + upper) / 2.0,
        _ => upper,
    }
}

impl DepthErrors {
    /// Names and values of all errors, the most telling first.
    pub fn named_values(&self) -> [(&'static str, f64); 10] {
        [
            ("rmse", self.rmse),
            ("delta1", self.delta1),
            ("abs_rel", self.abs_rel),
            ("abs_rel_aligned", self.abs_rel_aligned),
            ("log10", self.log10),
            ("silog", self.silog),
            ("delta2", self.delta2),
            ("delta3", self.delta3),
            ("rmse_aligned", self.rmse_aligned),
            ("delta1_aligned", self.delta1_aligned),
        ]
    }

    /// The mean of each error over images; zeros where there are none.
    pub fn mean(all: &[DepthErrors]) -> DepthErrors {
        let n = all.len().max(1) as f64;
        let of = |get: fn(&DepthErrors) -> f64| all.iter().map(get).sum::<f64>() / n;
        DepthErrors {
            rmse: of(|e| e.rmse),
            abs_rel: of(|e| e.abs_rel),
            log10: of(|e| e.log10),
            silog: of(|e| e.silog),
            delta1: of(|e| e.delta1),
            delta2: of(|e| e.delta2),
            delta3: of(|e| e.delta3),
            rmse_aligned: of(|e| e.rmse_aligned),
            abs_rel_aligned: of(|e| e.abs_rel_aligned),
            delta1_aligned: of(|e| e.delta1_aligned),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: DepthEvaluator = DepthEvaluator {
        crop: Crop::None,
        min: 0.001,
        max: 10.0,
    };

    #[test]
    fn a_wrong_scale_is_all_that_alignment_forgives() {
        let truth = [1.0, 2.0, 4.0, 0.0];
        let twice = [2.0, 4.0, 8.0, 5.0];
        let errors = ALL.errors(&twice, &truth, (4, 1)).unwrap();
        assert!((errors.abs_rel - 1.0).abs() < 1e-6);
        assert!((errors.rmse - 7f64.sqrt()).abs() < 1e-6);
        assert!(errors.silog < 1e-3);
        assert_eq!((errors.delta1, errors.delta3), (0.0, 0.0));
        assert!(errors.abs_rel_aligned < 1e-6 && errors.delta1_aligned == 1.0);
    }

    #[test]
    fn predictions_are_aligned_before_they_are_clamped() {
        // Twice as far as it is, and beyond the end for the most part.
        let truth = [2.0, 6.0, 8.0];
        let errors = ALL.errors(&[4.0, 12.0, 16.0], &truth, (3, 1)).unwrap();
        assert!(errors.rmse_aligned < 1e-6, "{}", errors.rmse_aligned);
        // What is aligned is clamped, too: 24 m count as 10.
        let errors = ALL.errors(&[2.0, 6.0, 24.0], &truth, (3, 1)).unwrap();
        assert!((errors.rmse_aligned - (4f64 / 3.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn scale_and_shift_are_fitted_where_labels_count() {
        // 1 / (0.1 v + 0.05), and readings that do not count.
        let inverse = [9.5, 4.5, 1.5, 100.0, 3.0];
        let truth = [1.0, 2.0, 5.0, 0.0, 50.0];
        let to = ALL.scale_shift(&inverse, &truth, (5, 1)).unwrap();
        assert!((to.scale - 0.1).abs() < 1e-9 && (to.shift - 0.05).abs() < 1e-9);
        assert!(ALL.scale_shift(&[1.0], &[0.0], (1, 1)).is_none());
    }

    #[test]
    fn crops_scale_with_the_label() {
        assert_eq!(Crop::Eigen.of(640, 480), (45..471, 41..601));
        assert_eq!(Crop::Eigen.of(320, 240), (23..236, 21..301));
        assert_eq!(Crop::Garg.of(1242, 375), (153..371, 44..1197));
        assert_eq!(Crop::None.of(3, 2), (0..2, 0..3));
    }

    #[test]
    fn readings_out_of_range_do_not_count_and_predictions_are_clamped() {
        let judge = DepthEvaluator {
            min: 1.0,
            max: 5.0,
            ..ALL
        };
        let errors = judge
            .errors(&[50.0, 1.0, 1.0], &[5.0, 7.0, 0.5], (3, 1))
            .unwrap();
        assert_eq!(errors.rmse, 0.0);
        assert!(judge.errors(&[1.0], &[0.0], (1, 1)).is_none());
    }

    #[test]
    fn medians_are_numpys() {
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0]), 4.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
