//! How the output of a depth head becomes depths, and the calibration of their standard deviation.
//!
//! [`DepthReadout`] is part of a head's metadata; [`postprocess::depth`](crate::vision::postprocess::depth) applies it.
//! With bins, as in DINOv2's `BNHead`, the depth is the mean of the bin centres weighted by `relu(score) + 0.1`.

use serde::{Deserialize, Serialize};

/// The unit of heads that give relative inverse depth: `1 / depth` up to an unknown scale and shift, larger where
/// nearer.
pub const RELATIVE_INVERSE_DEPTH: &str = "relative inverse depth";

/// The rule that turns a depth head's output into depths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "how depths are read out: bins, min and max, whole, or farthest")]
#[serde(untagged)]
pub enum DepthReadout {
    /// The expectation of the depth over bins.
    Bins {
        /// The bin centres.
        bins: Bins,
        /// Factor by which the scores are upsampled, per side of the patch grid, before bins become depths: 1 to 16.
        upsample: usize,
    },
    /// The head's number is the depth above `min`.
    Direct {
        /// Added to the head's number, and the least depth, in the head's unit.
        min: f64,
        /// The greatest depth, to which larger ones are clamped.
        max: f64,
    },
    /// The depth is `whole` times the logistic function of the head's number.
    Sigmoid {
        /// The greatest depth, in the head's unit.
        whole: f64,
    },
    /// The head's number is [relative inverse depth](RELATIVE_INVERSE_DEPTH).
    Inverse {
        /// The least inverse depth, that of infinitely far points; smaller numbers are clamped to it.
        farthest: f64,
    },
}

/// The centres of depth bins, from `min` to `max` with both included, in the head's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    /// How the centres are spaced.
    pub spacing: Spacing,
    /// First centre, above 0.
    pub min: f64,
    /// Last centre.
    pub max: f64,
    /// Number of bins, 2 to 4096.
    pub count: usize,
}

/// How bins are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spacing {
    /// Equal differences.
    Linear,
    /// Equal ratios.
    Log,
}

/// The calibration of a depth head's spread over its bins as a standard deviation, measured on held-out photos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpreadCalibration {
    /// Factor of the bins' standard deviation, 0.001 to 100.
    pub scale: f64,
    /// Share of labelled pixels whose true depth lies within one calibrated standard deviation, 0 to 1 (0.683 for a
    /// normal distribution).
    pub coverage: f64,
    /// Share within two calibrated standard deviations, 0 to 1.
    pub coverage_2: f64,
    /// Share within one standard deviation before calibration (a scale of 1), 0 to 1.
    pub uncalibrated: f64,
    /// The data set it was measured on.
    pub data: String,
}

impl SpreadCalibration {
    /// Whether all figures are in their ranges.
    pub(super) fn is_sound(&self) -> bool {
        let shares = [self.coverage, self.coverage_2, self.uncalibrated];
        (0.001..=100.0).contains(&self.scale)
            && shares.iter().all(|share| (0.0..=1.0).contains(share))
    }
}

impl DepthReadout {
    /// The least and the greatest depth (or inverse depth) that can result; infinity where there is no greatest.
    pub fn range(&self) -> (f64, f64) {
        match self {
            DepthReadout::Bins { bins, .. } => (bins.min, bins.max),
            DepthReadout::Direct { min, max } => (*min, *max),
            DepthReadout::Sigmoid { whole } => (0.0, *whole),
            DepthReadout::Inverse { farthest } => (*farthest, f64::INFINITY),
        }
    }

    /// Whether larger numbers are nearer: relative inverse depth.
    pub fn is_inverse(&self) -> bool {
        matches!(self, DepthReadout::Inverse { .. })
    }

    /// Numbers of the head per cell: bins, or 1.
    pub fn outputs(&self) -> usize {
        match self {
            DepthReadout::Bins { bins, .. } => bins.count,
            DepthReadout::Direct { .. }
            | DepthReadout::Sigmoid { .. }
            | DepthReadout::Inverse { .. } => 1,
        }
    }

    /// What is impossible in this readout, as the end of a sentence about the head; `None` if it is valid.
    pub(super) fn find_problem(&self) -> Option<String> {
        let (min, max) = self.range();
        // No depth in any unit lies beyond these bounds.
        let sound = min >= 1e-9 && max <= 1e9 && max > min;
        match self {
            DepthReadout::Sigmoid { whole } => (!(1e-9..=1e9).contains(whole))
                .then(|| format!("has the impossible greatest depth {whole}")),
            DepthReadout::Inverse { farthest } => (!(0.0..=1e9).contains(farthest))
                .then(|| format!("has the impossible least inverse depth {farthest}")),
            DepthReadout::Bins { bins, upsample } => {
                let few = (2..=4096).contains(&bins.count) && (1..=16).contains(upsample);
                (!sound || !few)
                    .then(|| format!("has impossible bins: {bins:?}, upsampled {upsample} times"))
            }
            DepthReadout::Direct { .. } => {
                (!sound).then(|| format!("has the impossible range {min} to {max}"))
            }
        }
    }
}

impl Bins {
    /// The bin centres, rising, `[count]`.
    pub fn centres(&self) -> Vec<f32> {
        let last = (self.count.max(2) - 1) as f64;
        (0..self.count)
            .map(|i| {
                let t = i as f64 / last;
                match self.spacing {
                    Spacing::Linear => self.min + (self.max - self.min) * t,
                    Spacing::Log => self.min * (self.max / self.min).powf(t),
                }
            })
            .map(|centre| centre as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::head::meta::HeadTask;

    #[test]
    fn readouts_are_told_apart_by_their_fields() {
        for readout in [
            DepthReadout::Direct {
                min: 0.001,
                max: 10.0,
            },
            DepthReadout::Sigmoid { whole: 20.0 },
            DepthReadout::Inverse { farthest: 0.0 },
        ] {
            let unit = match readout.is_inverse() {
                true => RELATIVE_INVERSE_DEPTH,
                false => "m",
            };
            let task = HeadTask::Depth {
                readout,
                unit: unit.into(),
            };
            let json = serde_json::to_string(&task).unwrap_or_default();
            assert_eq!(serde_json::from_str::<HeadTask>(&json).ok(), Some(task));
        }
    }

    #[test]
    fn centres_include_both_ends() {
        let linear = Bins {
            spacing: Spacing::Linear,
            min: 1.0,
            max: 3.0,
            count: 3,
        };
        assert_eq!(linear.centres(), [1.0, 2.0, 3.0]);
        let log = Bins {
            spacing: Spacing::Log,
            min: 1.0,
            max: 4.0,
            count: 3,
        };
        assert_eq!(log.centres(), [1.0, 2.0, 4.0]);
    }
}
