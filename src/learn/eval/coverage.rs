//! Coverage of prediction intervals: how often the label lies within one or two of the head's own standard deviations
//! of the predicted depth. With normal errors and true deviations these are 68.3 % and 95.4 % of pixels.

use crate::learn::eval::depth::DepthEvaluator;
use crate::vision::postprocess::DepthMap;

/// Counts of pixels whose label lies within one or two standard deviations of the predicted depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntervalCoverage {
    /// Pixels with a label that counts.
    pub pixels: u64,
    /// Pixels within one standard deviation.
    pub within_1: u64,
    /// Pixels within two standard deviations.
    pub within_2: u64,
}

impl IntervalCoverage {
    /// Counts the pixels of a depth map that has the size of its label `truth`, `[height, width]` in metres.
    pub fn count(evaluator: &DepthEvaluator, map: &DepthMap, truth: &[f32]) -> Self {
        let mut coverage = IntervalCoverage::default();
        for index in evaluator.valid_pixels(truth, (map.width, map.height)) {
            let (deviation, error) = (map.deviation[index], map.depth[index] - truth[index]);
            coverage.pixels += 1;
            coverage.within_1 += u64::from(error.abs() <= deviation);
            coverage.within_2 += u64::from(error.abs() <= 2.0 * deviation);
        }
        coverage
    }

    /// Adds the counts of other pixels.
    pub fn merge(&mut self, other: IntervalCoverage) {
        self.pixels += other.pixels;
        self.within_1 += other.within_1;
        self.within_2 += other.within_2;
    }

    /// Shares of pixels within one and within two standard deviations, 0..1; none where no pixel was counted.
    pub fn shares(&self) -> Option<(f64, f64)> {
        let share = |within: u64| within as f64 / self.pixels as f64;
        (self.pixels > 0).then(|| (share(self.within_1), share(self.within_2)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::learn::eval::Crop;

    #[test]
    fn what_lies_within_is_counted() {
        let evaluator = DepthEvaluator {
            crop: Crop::None,
            min: 0.5,
            max: 10.0,
        };
        let map = DepthMap {
            width: 5,
            height: 1,
            depth: vec![2.0, 2.0, 2.0, 2.0, 2.0],
            deviation: vec![0.5; 5],
        };
        // Within one, at its edge, within two, beyond, and no reading.
        let mut coverage = IntervalCoverage::count(&evaluator, &map, &[2.1, 1.5, 2.9, 4.0, 0.0]);
        assert_eq!(
            (coverage.pixels, coverage.within_1, coverage.within_2),
            (4, 2, 3)
        );
        coverage.merge(coverage);
        assert_eq!(coverage.shares(), Some((0.5, 0.75)));
        assert_eq!(IntervalCoverage::default().shares(), None);
    }
}
