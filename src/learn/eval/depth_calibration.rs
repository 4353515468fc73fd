//! What brings the depths of a head to labels from another camera or place: a factor, or the two numbers that make metres
//! of relative inverse depth. It is fitted to logarithms, each photo counting alike, and judged on photos that the fit did
//! not see.

use crate::learn::eval::{DepthErrors, Evaluator};
use crate::vision::postprocess::metres::MAX_METRES;
use crate::vision::postprocess::{MetricConversion, ScaleShift};

/// Readings of one photo that are kept, so that a set of ten thousand takes 160 MB.
pub const MOST_READINGS: usize = 2048;

/// The held-out logarithmic error has to fall by this share of it, or what was fitted is no help.
pub const LEAST_GAIN: f64 = 0.01;

/// Gains below this are none.
const ROUNDING: f64 = 1e-4;

/// Depths and inverse depths below this are raised to it before logarithms are taken.
const LEAST: f64 = 1e-6;

/// What a head gave for one photo, and its label in metres, at pixels that count.
#[derive(Debug, Clone)]
pub struct PhotoReadings {
    /// The part of the photos that this one is held out with.
    pub fold: usize,
    /// Value of the head, metres.
    pub pairs: Vec<(f32, f32)>,
}

impl PhotoReadings {
    /// Of a map and a label of this (width, height), at up to [`MOST_READINGS`] pixels of those that `judge` counts, evenly
    /// spread over them; none if no label counts.
    pub fn of(
        evaluator: &Evaluator,
        (map, truth): (&[f32], &[f32]),
        size: (usize, usize),
        fold: usize,
    ) -> Option<Self> {
        let counted: Vec<usize> = evaluator.valid_pixels(truth, size).collect();
        let kept = counted.len().min(MOST_READINGS);
        let pairs = (0..kept).map(|at| {
            // One of each of as many equal parts; always the same one of a part would fall on a few columns.
            let (from, to) = (at * counted.len() / kept, (at + 1) * counted.len() / kept);
            let index = counted[from + (splitmix64(at as u64) % (to - from) as u64) as usize];
            (map[index], truth[index])
        });
        let pairs: Vec<_> = pairs.collect();
        (!pairs.is_empty()).then_some(PhotoReadings { fold, pairs })
    }

    /// The mean of `each` over the readings.
    fn mean(&self, each: impl Fn(f64, f64) -> f64) -> f64 {
        let one = |&(value, metres): &(f32, f32)| each(f64::from(value), f64::from(metres));
        self.pairs.iter().map(one).sum::<f64>() / self.pairs.len() as f64
    }
}

/// Bits that look as if they were random (Steele et al., SplitMix64, 2014).
fn splitmix64(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Ways to make metres of what a head gives, the simplest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CalibrationModel {
    /// The head's metres as they are.
    Identity,
    /// Its metres times a factor.
    Factor,
    /// One distance for all, whatever the head says.
    Constant,
    /// Inverse depth without a shift.
    Scale,
    /// Inverse depth with scale and shift.
    ScaleShift,
}

/// A model with its numbers.
#[derive(Debug, Clone, Copy)]
enum FittedModel {
    Constant(f64),
    Conversion(MetricConversion),
}

impl FittedModel {
    fn metres(self, value: f32) -> f64 {
        match self {
            FittedModel::Constant(metres) => metres,
            FittedModel::Conversion(conversion) => f64::from(conversion.convert(value)),
        }
    }
}

/// The mean over photos of one number of each.
fn mean_of(photos: &[&PhotoReadings], each: impl Fn(&PhotoReadings) -> f64) -> f64 {
    photos.iter().map(|photo| each(photo)).sum::<f64>() / photos.len().max(1) as f64
}

impl CalibrationModel {
    fn fit(self, photos: &[&PhotoReadings]) -> FittedModel {
        let log = |number: f64| number.max(LEAST).ln();
        match self {
            CalibrationModel::Identity => FittedModel::Conversion(MetricConversion::Factor(1.0)),
            CalibrationModel::Factor => {
                let mean = mean_of(photos, |photo| photo.mean(|v, t| log(t) - log(v)));
                FittedModel::Conversion(MetricConversion::Factor(mean.exp()))
            }
            CalibrationModel::Constant => {
                FittedModel::Constant(mean_of(photos, |photo| photo.mean(|_, t| log(t))).exp())
            }
            CalibrationModel::Scale => {
                FittedModel::Conversion(MetricConversion::Inverse(fit_scale(photos)))
            }
            CalibrationModel::ScaleShift => {
                FittedModel::Conversion(MetricConversion::Inverse(fit_scale_shift(photos)))
            }
        }
    }
}

/// The scale with which `1 / (scale * value)` is right in the mean of logarithms; values of 0 say nothing about it.
fn fit_scale(photos: &[&PhotoReadings]) -> ScaleShift {
    let logs = photos.iter().filter_map(|photo| {
        let seen = photo.pairs.iter().filter(|pair| pair.0 > 0.0);
        let logs = seen.map(|&(v, t)| -f64::from(t).ln() - f64::from(v).ln());
        let (sum, count) = logs.fold((0.0, 0usize), |(sum, count), log| (sum + log, count + 1));
        (count > 0).then(|| sum / count as f64)
    });
    let logs: Vec<f64> = logs.collect();
    let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
    ScaleShift {
        scale: mean.exp(),
        shift: 0.0,
    }
}

/// The scale and shift with the least mean squared logarithmic error, by Levenberg and Marquardt, from the better of two
/// places: the least squares of inverse depth, and the scale alone.
fn fit_scale_shift(photos: &[&PhotoReadings]) -> ScaleShift {
    let inverse = photos.iter().flat_map(|photo| &photo.pairs);
    let inverse = inverse.map(|&(v, t)| (f64::from(v), 1.0 / f64::from(t)));
    let squares = ScaleShift::fit(inverse).filter(|to| to.scale > 0.0);
    let alone = fit_scale(photos);
    let error = |to: ScaleShift| {
        log_square(
            FittedModel::Conversion(MetricConversion::Inverse(to)),
            photos,
        )
    };
    let mut best = match squares {
        Some(squares) if error(squares) < error(alone) => squares,
        _ => alone,
    };
    let (mut least, mut damping) = (error(best), 1e-3);
    for _ in 0..100 {
        let step = step(best, photos, damping);
        let next = ScaleShift {
            scale: best.scale + step.0,
            shift: best.shift + step.1,
        };
        let reached = match next.scale > 0.0 && next.shift.is_finite() {
            true => error(next),
            false => f64::INFINITY,
        };
        if reached < least {
            let gain = least - reached;
            (best, least, damping) = (next, reached, damping * 0.3);
            if gain < 1e-14 * least {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    best
}

/// One damped step of Gauss and Newton on the logarithms.
fn step(at: ScaleShift, photos: &[&PhotoReadings], damping: f64) -> (f64, f64) {
    let (mut aa, mut ab, mut bb, mut a, mut b) = (0f64, 0f64, 0f64, 0f64, 0f64);
    for photo in photos {
        let weight = 1.0 / photo.pairs.len() as f64;
        for &(value, metres) in &photo.pairs {
            let value = f64::from(value);
            let inverse = at.scale * value + at.shift;
            // What counts as farthest does not move.
            if inverse <= 1.0 / f64::from(MAX_METRES) {
                continue;
            }
            let residual = inverse.ln() + f64::from(metres).ln();
            let (by_scale, by_shift) = (value / inverse, 1.0 / inverse);
            aa += weight * by_scale * by_scale;
            ab += weight * by_scale * by_shift;
            bb += weight * by_shift * by_shift;
            a += weight * by_scale * residual;
            b += weight * by_shift * residual;
        }
    }
    let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
    let determinant = aa * bb - ab * ab;
    match determinant > 0.0 {
        true => (
            (ab * b - bb * a) / determinant,
            (ab * a - aa * b) / determinant,
        ),
        false => (0.0, 0.0),
    }
}

/// The mean over photos of their mean squared logarithmic error.
fn log_square(fitted: FittedModel, photos: &[&PhotoReadings]) -> f64 {
    let error = |value: f32, metres: f32| {
        let predicted = fitted.metres(value).max(LEAST);
        (predicted.ln() - f64::from(metres).ln()).powi(2)
    };
    mean_of(photos, |photo| {
        let errors = photo.pairs.iter().map(|&(v, t)| error(v, t));
        errors.sum::<f64>() / photo.pairs.len() as f64
    })
}

/// Errors on photos that a fit did not see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutErrors {
    /// Root of the mean over photos of their mean squared error of `ln` depth.
    pub log_rmse: f64,
    /// The usual figures, means over photos.
    pub errors: DepthErrors,
}

impl HeldOutErrors {
    fn is_clearly_below(&self, other: &HeldOutErrors) -> bool {
        let gain = other.log_rmse - self.log_rmse;
        gain > (LEAST_GAIN * other.log_rmse).max(ROUNDING)
    }
}

/// What came of a calibration.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationResult {
    /// What was fitted to all photos, of the model that was best on the folds.
    pub conversion: MetricConversion,
    /// What each fold's fit found, where the best model is the same kind as `conversion`.
    pub fold_conversions: Vec<MetricConversion>,
    /// Of a head in metres as it is; of relative inverse depth with one distance for everything.
    pub before: HeldOutErrors,
    /// With the conversion.
    pub after: HeldOutErrors,
    /// With one distance for everything.
    pub constant: HeldOutErrors,
    /// With the conversion that is in force, which was fitted elsewhere.
    pub current: Option<HeldOutErrors>,
}

impl CalibrationResult {
    /// Whether it helps: the held-out logarithmic error falls by [`LEAST_GAIN`] of it at least, and by more than rounding.
    ///
    /// And it must be better than one distance for everything, and no worse than what is in force.
    pub fn helps(&self) -> bool {
        let current = self.current.map_or(f64::INFINITY, |it| it.log_rmse);
        self.after.is_clearly_below(&self.before)
            && self.after.is_clearly_below(&self.constant)
            && self.after.log_rmse <= current
    }

    /// Whether what is in force is worse on these photos than nothing, or than one distance for everything.
    pub fn is_current_harmful(&self) -> bool {
        self.current.is_some_and(|current| {
            self.before.is_clearly_below(&current) || self.constant.is_clearly_below(&current)
        })
    }
}

/// Fits what brings a head's depths to labels, and judges it on the folds, beside the conversion `in_force`; `is_inverse`
/// says that the head gives relative inverse depth. None if the photos are of one fold only.
pub fn fit_calibration(
    photos: &[PhotoReadings],
    (is_inverse, current): (bool, Option<MetricConversion>),
    evaluator: &Evaluator,
) -> Option<CalibrationResult> {
    let mut folds: Vec<usize> = photos.iter().map(|photo| photo.fold).collect();
    folds.sort_unstable();
    folds.dedup();
    if folds.len() < 2 {
        return None;
    }
    let held_out = |model: CalibrationModel| -> (HeldOutErrors, Vec<FittedModel>) {
        let mut squares = Vec::new();
        let mut errors = Vec::new();
        let mut all_fitted = Vec::new();
        for &fold in &folds {
            let seen: Vec<_> = photos.iter().filter(|photo| photo.fold != fold).collect();
            let fitted = model.fit(&seen);
            for photo in photos.iter().filter(|photo| photo.fold == fold) {
                squares.push(log_square(fitted, &[photo]));
                errors.extend(errors_of(photo, fitted, evaluator));
            }
            all_fitted.push(fitted);
        }
        (mean_errors(&squares, &errors), all_fitted)
    };
    let of_conversion = |conversion: MetricConversion| {
        let fitted = FittedModel::Conversion(conversion);
        let squares = photos.iter().map(|photo| log_square(fitted, &[photo]));
        let errors = photos
            .iter()
            .filter_map(|photo| errors_of(photo, fitted, evaluator));
        mean_errors(&squares.collect::<Vec<_>>(), &errors.collect::<Vec<_>>())
    };
    let constant = held_out(CalibrationModel::Constant).0;
    let (bare, models) = match is_inverse {
        true => (
            CalibrationModel::Constant,
            &[CalibrationModel::Scale, CalibrationModel::ScaleShift][..],
        ),
        false => (CalibrationModel::Identity, &[CalibrationModel::Factor][..]),
    };
    let candidates = models.iter().map(|&model| (model, held_out(model)));
    // Of equals, the simplest.
    let (model, (after, fitted)) =
        candidates.min_by(|a, b| a.1.0.log_rmse.total_cmp(&b.1.0.log_rmse))?;
    let all: Vec<_> = photos.iter().collect();
    let FittedModel::Conversion(conversion) = model.fit(&all) else {
        return None;
    };
    let of_folds = fitted.into_iter().filter_map(|fitted| match fitted {
        FittedModel::Conversion(conversion) => Some(conversion),
        FittedModel::Constant(_) => None,
    });
    Some(CalibrationResult {
        conversion,
        fold_conversions: of_folds.collect(),
        before: held_out(bare).0,
        after,
        constant,
        current: current.map(of_conversion),
    })
}

fn mean_errors(squares: &[f64], errors: &[DepthErrors]) -> HeldOutErrors {
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    HeldOutErrors {
        log_rmse: mean.sqrt(),
        errors: DepthErrors::mean(errors),
    }
}

fn errors_of(photo: &PhotoReadings, fitted: FittedModel, evaluator: &Evaluator) -> Option<DepthErrors> {
    let predicted = photo.pairs.iter().map(|pair| fitted.metres(pair.0) as f32);
    let predicted: Vec<f32> = predicted.collect();
    let truth: Vec<f32> = photo.pairs.iter().map(|pair| pair.1).collect();
    // The crop was applied when the readings were taken.
    let evaluator = Evaluator {
        crop: crate::learn::eval::Crop::None,
        ..*evaluator
    };
    evaluator.errors(&predicted, &truth, (truth.len(), 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
