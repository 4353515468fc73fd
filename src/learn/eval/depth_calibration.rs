//! Calibration of a head's depth to labels from another camera or place: a factor for metric depth, or the scale and
//! shift that turn relative inverse depth into metres.
//!
//! In: readings of photos, pairs of the head's value and the label in metres ([`PhotoReadings`]). Out: the fitted
//! [`MetricConversion`] and its errors on held-out folds ([`CalibrationResult`]). The fit minimises the squared error
//! of `ln` depth, with the same weight for every photo.

use crate::learn::eval::{DepthErrors, DepthEvaluator};
use crate::vision::postprocess::metres::MAX_METRES;
use crate::vision::postprocess::{MetricConversion, ScaleShift};

/// Readings kept of each photo at most, so that ten thousand photos take 160 MB.
pub const MOST_READINGS: usize = 2048;

/// The least relative fall of the held-out logarithmic error that counts as an improvement.
pub const LEAST_GAIN: f64 = 0.01;

/// Gains of the logarithmic error below this are rounding.
const ROUNDING: f64 = 1e-4;

/// Depths (metres) and inverse depths below this are raised to it before logarithms are taken.
const LEAST: f64 = 1e-6;

/// The values of a head for one photo, and the label, at some of the pixels that count.
#[derive(Debug, Clone)]
pub struct PhotoReadings {
    /// The fold that this photo is held out with.
    pub fold: usize,
    /// The head's value (metres, or relative inverse depth) and the label in metres.
    pub pairs: Vec<(f32, f32)>,
}

impl PhotoReadings {
    /// The readings of a predicted map and its label, both of `size` (width, height), at up to [`MOST_READINGS`] of the
    /// pixels that `evaluator` counts, spread over them. None where no pixel counts.
    pub fn of(
        evaluator: &DepthEvaluator,
        (map, truth): (&[f32], &[f32]),
        size: (usize, usize),
        fold: usize,
    ) -> Option<Self> {
        let counted: Vec<usize> = evaluator.valid_pixels(truth, size).collect();
        let kept = counted.len().min(MOST_READINGS);
        let pairs = (0..kept).map(|at| {
            // One pseudo-random pixel of each of as many equal runs: a fixed one would fall on a few columns.
            let (from, to) = (at * counted.len() / kept, (at + 1) * counted.len() / kept);
            let index = counted[from + (splitmix64(at as u64) % (to - from) as u64) as usize];
            (map[index], truth[index])
        });
        let pairs: Vec<_> = pairs.collect();
        (!pairs.is_empty()).then_some(PhotoReadings { fold, pairs })
    }

    /// The mean of `each` (of value and metres) over the readings.
    fn mean(&self, each: impl Fn(f64, f64) -> f64) -> f64 {
        let one = |&(value, metres): &(f32, f32)| each(f64::from(value), f64::from(metres));
        self.pairs.iter().map(one).sum::<f64>() / self.pairs.len() as f64
    }
}

/// The element with this number of a SplitMix64 sequence (Steele, Lea and Flood, 2014).
fn splitmix64(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Models of the conversion from a head's value to metres, the simplest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CalibrationModel {
    /// The head's metres, unchanged.
    Identity,
    /// Metres times a factor.
    Factor,
    /// The same distance everywhere, whatever the head gives: the baseline that must be beaten.
    Constant,
    /// Inverse depth times a scale.
    Scale,
    /// Inverse depth times a scale plus a shift.
    ScaleShift,
}

/// A fitted model.
#[derive(Debug, Clone, Copy)]
enum FittedModel {
    Constant(f64),
    Conversion(MetricConversion),
}

impl FittedModel {
    /// Metres from a value of the head.
    fn metres(self, value: f32) -> f64 {
        match self {
            FittedModel::Constant(metres) => metres,
            FittedModel::Conversion(conversion) => f64::from(conversion.convert(value)),
        }
    }
}

/// The mean of `each` over photos.
fn mean_of(photos: &[&PhotoReadings], each: impl Fn(&PhotoReadings) -> f64) -> f64 {
    photos.iter().map(|photo| each(photo)).sum::<f64>() / photos.len().max(1) as f64
}

impl CalibrationModel {
    /// Fits the model to the photos, each with the same weight.
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

/// The scale with which `1 / (scale * value)` has a mean logarithmic error of 0; values of 0 are left out.
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

/// The scale and shift with the least mean squared logarithmic error, by the Levenberg-Marquardt algorithm, started
/// from the better of two: the least squares of inverse depth, and the scale alone.
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

/// One damped Gauss-Newton step for scale and shift, on the logarithmic errors.
fn step(at: ScaleShift, photos: &[&PhotoReadings], damping: f64) -> (f64, f64) {
    let (mut aa, mut ab, mut bb, mut a, mut b) = (0f64, 0f64, 0f64, 0f64, 0f64);
    for photo in photos {
        let weight = 1.0 / photo.pairs.len() as f64;
        for &(value, metres) in &photo.pairs {
            let value = f64::from(value);
            let inverse = at.scale * value + at.shift;
            // Depths that are clamped to the largest have no derivative.
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

/// The mean over photos of their mean squared error of `ln` depth.
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

/// Errors on photos that were held out from the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutErrors {
    /// Root of the mean over photos of their mean squared error of `ln` depth.
    pub log_rmse: f64,
    /// The usual depth errors, means over photos.
    pub errors: DepthErrors,
}

impl HeldOutErrors {
    /// Whether the logarithmic error is smaller by [`LEAST_GAIN`] of the other and by more than rounding.
    fn is_clearly_below(&self, other: &HeldOutErrors) -> bool {
        let gain = other.log_rmse - self.log_rmse;
        gain > (LEAST_GAIN * other.log_rmse).max(ROUNDING)
    }
}

/// A fitted conversion and what it gains on held-out photos.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationResult {
    /// The conversion fitted to all photos, of the model that was best on the held-out folds.
    pub conversion: MetricConversion,
    /// The conversions of the same model that were fitted without each of the folds.
    pub fold_conversions: Vec<MetricConversion>,
    /// Errors without calibration: of metric depth as it is, of relative inverse depth with the same distance
    /// everywhere.
    pub before: HeldOutErrors,
    /// Errors with the conversion.
    pub after: HeldOutErrors,
    /// Errors with the same distance everywhere.
    pub constant: HeldOutErrors,
    /// Errors with the conversion that the head has now, which was fitted elsewhere; none where it has none.
    pub current: Option<HeldOutErrors>,
}

impl CalibrationResult {
    /// Whether the conversion helps: the held-out logarithmic error falls by at least [`LEAST_GAIN`] of it and by more
    /// than rounding, against no calibration and against the same distance everywhere, and is no worse than that of the
    /// current conversion.
    pub fn is_improvement(&self) -> bool {
        let current = self.current.map_or(f64::INFINITY, |it| it.log_rmse);
        self.after.is_clearly_below(&self.before)
            && self.after.is_clearly_below(&self.constant)
            && self.after.log_rmse <= current
    }

    /// Whether the current conversion is worse on these photos than none, or than the same distance everywhere.
    pub fn is_current_harmful(&self) -> bool {
        self.current.is_some_and(|current| {
            self.before.is_clearly_below(&current) || self.constant.is_clearly_below(&current)
        })
    }
}

/// Fits the conversion from a head's values to metres by cross-validation over the folds, and compares it with the
/// `current` conversion; `is_inverse` says that the head gives relative inverse depth. None where the photos are of one
/// fold only.
pub fn fit_calibration(
    photos: &[PhotoReadings],
    (is_inverse, current): (bool, Option<MetricConversion>),
    evaluator: &DepthEvaluator,
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
    // Among equals the simplest model wins, which comes first.
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

/// The errors over held-out photos, from the squared logarithmic error and the usual errors of each.
fn mean_errors(squares: &[f64], errors: &[DepthErrors]) -> HeldOutErrors {
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    HeldOutErrors {
        log_rmse: mean.sqrt(),
        errors: DepthErrors::mean(errors),
    }
}

/// The usual errors of one photo with a fitted model.
fn errors_of(
    photo: &PhotoReadings,
    fitted: FittedModel,
    evaluator: &DepthEvaluator,
) -> Option<DepthErrors> {
    let predicted = photo.pairs.iter().map(|pair| fitted.metres(pair.0) as f32);
    let predicted: Vec<f32> = predicted.collect();
    let truth: Vec<f32> = photo.pairs.iter().map(|pair| pair.1).collect();
    // The crop was applied when the readings were taken.
    let evaluator = DepthEvaluator {
        crop: crate::learn::eval::Crop::None,
        ..*evaluator
    };
    evaluator.errors(&predicted, &truth, (truth.len(), 1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
