//! Depths of a head in metres: relative inverse depth by a scale and a shift, `1 / (scale * value + shift)`, which are
//! fitted to measured distances as in MiDaS (Ranftl et al., 2020); metric depth of another camera by a factor.

use std::fmt;

use crate::vision::postprocess::DepthMap;
use crate::vision::postprocess::rows::RowSource;

/// The largest depth, in metres, that relative inverse depth converts to; also that of values at or behind infinity.
pub const MAX_METRES: f32 = 1000.0;

/// The scale and shift by which relative inverse depths become metres: `1 / (scale * value + shift)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleShift {
    /// Factor of the values, in 1/m.
    pub scale: f64,
    /// Added to the scaled values, in 1/m.
    pub shift: f64,
}

impl ScaleShift {
    /// The depth of one value in metres, at most [`MAX_METRES`].
    pub fn metres(self, value: f32) -> f32 {
        let inverse = self.scale * f64::from(value) + self.shift;
        match inverse > 1.0 / f64::from(MAX_METRES) {
            true => (1.0 / inverse) as f32,
            false => MAX_METRES,
        }
    }

    /// Fits scale and shift to `pairs` of (value, 1 / metres) by least squares of the inverse depth. The scale is 0
    /// where all values are equal; none without a pair.
    pub fn fit(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Self> {
        let n = pairs.clone().count() as f64;
        if n == 0.0 {
            return None;
        }
        let mean = |which: fn((f64, f64)) -> f64| pairs.clone().map(which).sum::<f64>() / n;
        let (x_mean, y_mean) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let (mut square, mut product) = (0f64, 0f64);
        for (x, y) in pairs {
            square += (x - x_mean) * (x - x_mean);
            product += (x - x_mean) * (y - y_mean);
        }
        let scale = match square > 0.0 {
            true => product / square,
            false => 0.0,
        };
        Some(ScaleShift {
            scale,
            shift: y_mean - scale * x_mean,
        })
    }
}

/// The conversion of a depth head's values to metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricConversion {
    /// For values that are relative inverse depth.
    Inverse(ScaleShift),
    /// For values that are metres up to this factor, which they are multiplied by.
    Factor(f64),
}

impl MetricConversion {
    /// The depth of one value in metres.
    pub fn convert(self, value: f32) -> f32 {
        match self {
            MetricConversion::Inverse(to) => to.metres(value),
            MetricConversion::Factor(factor) => (factor * f64::from(value)) as f32,
        }
    }

    /// The largest depth that [`MetricConversion::convert`] returns, in metres; farther points have it too. `None` if
    /// there is no limit.
    pub fn max_metres(self) -> Option<f32> {
        match self {
            MetricConversion::Inverse(_) => Some(MAX_METRES),
            MetricConversion::Factor(_) => None,
        }
    }

    /// Converts a map to metres, and its standard deviations with it; those of relative inverse depth are dropped.
    pub fn convert_map(self, map: &mut DepthMap) {
        let convert = |value: &mut f32| *value = self.convert(*value);
        map.depth.iter_mut().for_each(convert);
        match self {
            MetricConversion::Inverse(_) => map.deviation.clear(),
            MetricConversion::Factor(_) => map.deviation.iter_mut().for_each(convert),
        }
    }
}

impl fmt::Display for MetricConversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetricConversion::Inverse(ScaleShift { scale, shift }) => {
                let sign = if *shift < 0.0 { '-' } else { '+' };
                write!(f, "1 / ({scale} * value {sign} {}) metres", shift.abs())
            }
            MetricConversion::Factor(factor) => write!(f, "{factor} times the head's metres"),
        }
    }
}

/// A map whose values are converted to metres as its rows are computed.
pub struct ConvertedRows<'m> {
    /// The map in the head's unit.
    pub rows: Box<dyn RowSource + 'm>,
    /// The conversion of each value to metres.
    pub conversion: MetricConversion,
}

impl RowSource for ConvertedRows<'_> {
    fn size(&self) -> (usize, usize) {
        self.rows.size()
    }

    fn fill(&self, first: usize, out: &mut [f32]) {
        self.rows.fill(first, out);
        out.iter_mut()
            .for_each(|value| *value = self.conversion.convert(*value));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_scaled_and_shifted_is_found_again() {
        let to = ScaleShift {
            scale: 0.02,
            shift: 0.1,
        };
        let values = [0.0f32, 3.0, 7.5, 20.0];
        let pairs = values.map(|value| (f64::from(value), 1.0 / f64::from(to.metres(value))));
        let found = ScaleShift::fit(pairs.into_iter()).unwrap();
        assert!((found.scale - to.scale).abs() < 1e-6 && (found.shift - to.shift).abs() < 1e-6);
        assert!((to.metres(20.0) - 2.0).abs() < 1e-6);
        assert_eq!(ScaleShift::fit(std::iter::empty()), None);
        let flat = ScaleShift::fit([(4.0, 0.5), (4.0, 1.5)].into_iter()).unwrap();
        assert_eq!((flat.scale, flat.shift), (0.0, 1.0));
    }

    #[test]
    fn nothing_is_behind_infinity() {
        let to = ScaleShift {
            scale: 1.0,
            shift: -1.0,
        };
        assert_eq!(
            [0.5, 1.0, 1.000_01, 2.0].map(|value| to.metres(value)),
            [MAX_METRES, MAX_METRES, MAX_METRES, 1.0]
        );
    }

    #[test]
    fn a_factor_scales_depths_and_their_deviations() {
        let mut map = DepthMap {
            width: 2,
            height: 1,
            depth: vec![1.0, 4.0],
            deviation: vec![0.5, 1.0],
        };
        MetricConversion::Factor(1.5).convert_map(&mut map);
        assert_eq!(
            (map.depth, map.deviation),
            (vec![1.5, 6.0], vec![0.75, 1.5])
        );
        let to = MetricConversion::Inverse(ScaleShift {
            scale: 0.5,
            shift: -0.25,
        });
        assert_eq!(to.to_string(), "1 / (0.5 * value - 0.25) metres");
    }
}
