//! The calibration of a depth head's uncertainty: the factor that makes the spread over its bins the standard deviation
//! of its errors, fitted on photos that its training did not see.
//!
//! One number for a head (standard deviation scaling, as in Levi et al., "Evaluating and Calibrating Uncertainty
//! Prediction in Regression Tasks", 2022), found by bisection so that 68.27 % of labelled pixels lie within one
//! standard deviation of their predicted depth.

use rayon::prelude::*;

use crate::error::Result;
use crate::learn::eval::{DepthEvaluator, IntervalCoverage};
use crate::learn::train::samples::LabelledPhoto;
use crate::learn::train::scores::CachedHead;
use crate::learn::train::validation::{Validation, ValidationTask, label_geometry};
use crate::model::head::meta::SpreadCalibration;
use crate::vision::postprocess::depth::{BinSpread, decode_bins};

/// The share of a normal distribution within one standard deviation.
const ONE_SIGMA: f64 = 0.6827;

/// Photos of each data set and fold that the factor is fitted on, at most.
const MAX_PHOTOS: usize = 60;

/// Range of factors that is searched.
const RANGE: (f64, f64) = (0.02, 5.0);

/// Bisections of the range, in logarithms: to half a percent.
const STEPS: usize = 10;

/// A head with the photos that its training did not see.
pub type HeadWithValidation = (CachedHead, Validation);

/// The calibration for a head, from `validated`: heads that were trained on folds of its data, each with the photos
/// kept out. None where no pixel has a depth label.
///
/// # Errors
/// Where a label or features cannot be read any more.
pub fn calibrate_spread(validated: &[HeadWithValidation]) -> Result<Option<SpreadCalibration>> {
    let coverage = |spread: BinSpread| -> Result<IntervalCoverage> {
        let mut all = IntervalCoverage::default();
        for (head, validation) in validated {
            all.merge(coverage_of(head, validation, spread)?);
        }
        Ok(all)
    };
    let plain = coverage(BinSpread::Unscaled)?;
    let Some((uncalibrated, _)) = plain.shares() else {
        return Ok(None);
    };
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    for _ in 0..STEPS {
        let middle = 0.5 * (low + high);
        let (share, _) = coverage(scaled(middle))?.shares().unwrap_or_default();
        match share < ONE_SIGMA {
            true => low = middle,
            false => high = middle,
        }
    }
    // The coverage is measured with the rounded factor, which is the one that is written.
    let scale = rounded((0.5 * (low + high)).exp());
    let (share, share_2) = coverage(scaled(scale.ln()))?.shares().unwrap_or_default();
    Ok(Some(SpreadCalibration {
        scale,
        coverage: rounded(share),
        coverage_2: rounded(share_2),
        uncalibrated: rounded(uncalibrated),
        data: format!(
            "{} labelled pixels of photos kept out of the training that judged them",
            plain.pixels
        ),
    }))
}

fn scaled(log: f64) -> BinSpread {
    BinSpread::Scaled(log.exp() as f32)
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Coverage of the intervals over the photos of one fold, with this scaling of the spread.
fn coverage_of(
    head: &CachedHead,
    validation: &Validation,
    spread: BinSpread,
) -> Result<IntervalCoverage> {
    let ValidationTask::Depth {
        evaluator,
        reader,
        centres,
        upsample,
    } = &validation.task
    else {
        return Ok(IntervalCoverage::default());
    };
    let one = |labelled: &&LabelledPhoto| -> Result<IntervalCoverage> {
        let Some(view) = labelled.views.first() else {
            return Ok(IntervalCoverage::default());
        };
        let truth = labelled.read_depth(reader, &validation.alignment)?;
        let geometry = label_geometry(&view.geometry, (truth.width, truth.height));
        let map = decode_bins(&head.scores(view)?, centres, *upsample, spread).to_photo(&geometry);
        let evaluator: &DepthEvaluator = evaluator;
        Ok(IntervalCoverage::count(evaluator, &map, &truth.metres))
    };
    let mut all = IntervalCoverage::default();
    for (_, photos) in &validation.sets {
        let photos = Validation::spaced_subset(photos, MAX_PHOTOS);
        let seen: Vec<IntervalCoverage> = photos.par_iter().map(one).collect::<Result<_>>()?;
        seen.into_iter().for_each(|coverage| all.merge(coverage));
    }
    Ok(all)
}
