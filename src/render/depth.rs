//! Depth, or any map of one number a pixel, as colours over a range.

use image::RgbImage;
use rayon::prelude::*;

use crate::pca::quantile::{Sampler, percentile, percentiles};
use crate::render::colormap::Colormap;

/// Percentiles that an automatic range spans, so that a bit of sky or one bad pixel does not take all the colours.
pub const RANGE_PERCENTILES: (f64, f64) = (2.0, 98.0);

/// The values that a picture's colours stand for, in the map's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The first.
    pub low: f32,
    /// The last; above the first.
    pub high: f32,
}

impl Range {
    /// From `low` to `high`; a range without extent is opened a little, so that it can be drawn.
    pub fn new(low: f32, high: f32) -> Self {
        let least = (low.abs() * 0.01).max(1e-3);
        match high - low < least {
            true => {
                let middle = low + 0.5 * (high - low);
                Self {
                    low: middle - 0.5 * least,
                    high: middle + 0.5 * least,
                }
            }
            false => Self { low, high },
        }
    }

    /// Spans [`RANGE_PERCENTILES`] of `values`.
    pub fn of(values: &[f32]) -> Self {
        let (low, high) = RANGE_PERCENTILES;
        let [low, high] = percentiles(values, [low, high]);
        Self::new(low, high)
    }

    /// Spans [`RANGE_PERCENTILES`] of what `sampler` saw.
    pub fn of_sampled(sampler: Sampler) -> Self {
        let sorted = sampler.into_sorted();
        let (low, high) = RANGE_PERCENTILES;
        Self::new(percentile(&sorted, low), percentile(&sorted, high))
    }

    /// From 0 to the 99th percentile of `values`, which are shares of something: 0 is none of it, and a few high ones do
    /// not take all the colours.
    pub fn from_zero(values: &[f32]) -> Self {
        let [high] = percentiles(values, [99.0]);
        Self::new(0.0, high)
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end.
    #[inline]
    pub fn place(&self, value: f32) -> f32 {
        (value - self.low) / (self.high - self.low)
    }
}

/// Colours `values` `[height, width]`: the low end of `range` gets the map's first colour.
pub fn colorize(values: &[f32], width: usize, range: Range, colormap: &Colormap) -> RgbImage {
    // A multiplication a pixel: divisions would take most of the time.
    let scale = 1.0 / (range.high - range.low);
    let mut bytes = vec![0u8; values.len() * 3];
    bytes
        .par_chunks_mut(width.max(1) * 3)
        .zip(values.par_chunks(width.max(1)))
        .for_each(|(out, row)| {
            for (rgb, &value) in out.as_chunks_mut::<3>().0.iter_mut().zip(row) {
                *rgb = colormap.at((value - range.low) * scale).0;
            }
        });
    let height = values.len() / width.max(1);
    // Every value has its three bytes.
    RgbImage::from_raw(width as u32, height as u32, bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_leaves_the_extremes_out() {
        let values: Vec<f32> = (0..=100).map(|v| v as f32).collect();
        assert_eq!(
            Range::of(&values),
            Range {
                low: 2.0,
                high: 98.0
            }
        );
        let range = Range {
            low: 0.0,
            high: 99.0,
        };
        assert_eq!(Range::from_zero(&values[1..]), Range::new(0.0, 99.01));
        assert_eq!(Range::from_zero(&values), range);
    }

    #[test]
    fn a_range_always_has_an_extent() {
        for range in [
            Range::of(&[2.0; 9]),
            Range::new(0.0, 0.0),
            Range::of(&[]),
            Range::new(-5.0, -5.0),
        ] {
            assert!(range.high > range.low, "{range:?}");
        }
        assert!((Range::of(&[2.0; 9]).place(2.0) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn values_beyond_the_range_take_its_ends() {
        let map = Colormap::default();
        let picture = colorize(
            &[-1.0, 1.0, 2.0, 3.0, 9.0, 2.0],
            3,
            Range::new(1.0, 3.0),
            &map,
        );
        assert_eq!(picture.dimensions(), (3, 2));
        let expected = [0.0, 0.0, 0.5, 1.0, 1.0, 0.5].map(|t| map.at(t).0);
        assert_eq!(picture.into_raw(), expected.concat());
    }
}
