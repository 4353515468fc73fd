//! Depth, or any map of one number a pixel, as colours: a value range is mapped linearly to a colour map.

use image::RgbImage;
use rayon::prelude::*;

use crate::error::Result;
use crate::maths::quantile::{StreamSampler, StridedSample, percentile, percentiles};
use crate::system::memory::try_vec;
use crate::vision::postprocess::rows::{InMemoryRows, RowSource};
use crate::vision::render::colormap::Colormap;
use crate::vision::render::compose;

/// Percentiles at the ends of an automatic range, so that a patch of sky or one bad pixel does not use up all the
/// colours.
pub const RANGE_PERCENTILES: (f64, f64) = (2.0, 98.0);

/// The values at the two ends of a colour map, in the map's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueRange {
    /// The value of the colour map's first colour.
    pub low: f32,
    /// The value of the colour map's last colour; above `low`.
    pub high: f32,
}

impl ValueRange {
    /// From `low` to `high`; a range narrower than 1 % of `low`, or than 0.001, is widened to that, so that it can be
    /// drawn.
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

    /// From the 2nd to the 98th percentile of `values` ([`RANGE_PERCENTILES`]).
    pub fn of(values: &[f32]) -> Self {
        let (low, high) = RANGE_PERCENTILES;
        let [low, high] = percentiles(values, [low, high]);
        Self::new(low, high)
    }

    /// From the 2nd to the 98th percentile of a regular sample of the values of `rows` ([`StridedSample`]).
    pub fn from_rows(rows: &dyn RowSource) -> Self {
        let (width, height) = rows.size();
        let mut thinned = StridedSample::with_stream_len(width * height);
        rows.for_each_nth(thinned.stride(), |value| thinned.push(value));
        let (low, high) = RANGE_PERCENTILES;
        let [low, high] = thinned.percentiles([low, high]);
        Self::new(low, high)
    }

    /// From the 2nd to the 98th percentile of the values that `sampler` kept.
    pub fn from_sampler(sampler: StreamSampler) -> Self {
        let sorted = sampler.into_sorted();
        let (low, high) = RANGE_PERCENTILES;
        Self::new(percentile(&sorted, low), percentile(&sorted, high))
    }

    /// From 0 to the 99th percentile of `values`, for shares of a whole: 0 keeps its meaning, and a few high values do
    /// not use up all the colours.
    pub fn from_zero(values: &[f32]) -> Self {
        let [high] = percentiles(values, [99.0]);
        Self::new(0.0, high)
    }

    /// The position of `value` in the range: 0 at `low`, 1 at `high`, beyond them outside of 0..1.
    #[inline]
    pub fn normalise(&self, value: f32) -> f32 {
        (value - self.low) / (self.high - self.low)
    }
}

/// Paints the values of `rows` into `canvas`, with the upper left corner at (left, top): `range.low` gets the first
/// colour of the colour map, `range.high` the last. With an `opacity` of 0..1 they are blended over what is there.
pub fn paint_rows(
    rows: &dyn RowSource,
    (range, colormap): (ValueRange, &Colormap),
    canvas: &mut RgbImage,
    (left, top): (u32, u32),
    opacity: Option<f32>,
) {
    let width = rows.size().0;
    if width == 0 {
        return;
    }
    // Multiplied, since a division a pixel would take most of the time.
    let scale = 1.0 / (range.high - range.low);
    let line = 3 * canvas.width() as usize;
    let bytes: &mut [u8] = canvas;
    let painted = rows.for_each_band(|first, band| {
        let start = (top as usize + first) * line;
        let lines = &mut bytes[start..][..band.len() / width * line];
        lines
            .par_chunks_exact_mut(line)
            .zip(band.par_chunks_exact(width))
            .for_each(|(out, row)| {
                let own = &mut out[3 * left as usize..][..3 * width];
                for (rgb, &value) in own.as_chunks_mut::<3>().0.iter_mut().zip(row) {
                    let color = colormap.at((value - range.low) * scale).0;
                    *rgb = match opacity {
                        None => color,
                        Some(alpha) => {
                            std::array::from_fn(|i| compose::mix(color[i], rgb[i], alpha))
                        }
                    };
                }
            });
        Ok::<_, std::convert::Infallible>(())
    });
    painted.unwrap_or_else(|never| match never {});
}

/// A picture of `values` `[height, width]`, painted as by [`paint_rows`].
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if it does not fit.
pub fn colorize(
    values: &[f32],
    width: usize,
    range: ValueRange,
    colormap: &Colormap,
) -> Result<RgbImage> {
    let rows = InMemoryRows { width, values };
    let (width, height) = rows.size();
    let bytes = try_vec(0u8, 3 * width * height)?;
    // Every value has its three bytes.
    let mut picture = RgbImage::from_raw(width as u32, height as u32, bytes).unwrap_or_default();
    paint_rows(&rows, (range, colormap), &mut picture, (0, 0), None);
    Ok(picture)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_range_leaves_the_extremes_out() {
        let values: Vec<f32> = (0..=100).map(|v| v as f32).collect();
        assert_eq!(
            ValueRange::of(&values),
            ValueRange {
                low: 2.0,
                high: 98.0
            }
        );
        let range = ValueRange {
            low: 0.0,
            high: 99.0,
        };
        assert_eq!(
            ValueRange::from_zero(&values[1..]),
            ValueRange::new(0.0, 99.01)
        );
        assert_eq!(ValueRange::from_zero(&values), range);
    }

    #[test]
    fn rows_have_the_range_of_the_whole() {
        for count in [1, 7, 1 << 20, 3_000_007] {
            let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin()).collect();
            let rows = InMemoryRows {
                width: count.min(1 << 10),
                values: &values[..count / count.min(1 << 10) * count.min(1 << 10)],
            };
            assert_eq!(ValueRange::from_rows(&rows), ValueRange::of(rows.values));
        }
    }

    #[test]
    fn what_is_painted_over_a_photo_is_mixed_with_it() {
        let map = Colormap::default();
        let rows = InMemoryRows {
            width: 2,
            values: &[0.0, 1.0],
        };
        let range = ValueRange::new(0.0, 1.0);
        let mut canvas = RgbImage::from_pixel(4, 3, image::Rgb([100; 3]));
        paint_rows(&rows, (range, &map), &mut canvas, (1, 2), Some(0.25));
        let mixed = map.at(1.0).0.map(|level| compose::mix(level, 100, 0.25));
        assert_eq!(canvas.get_pixel(2, 2).0, mixed);
        let untouched = canvas.pixels().filter(|pixel| pixel.0 == [100; 3]).count();
        assert_eq!(untouched, 10);
    }

    #[test]
    fn a_range_always_has_an_extent() {
        for range in [
            ValueRange::of(&[2.0; 9]),
            ValueRange::new(0.0, 0.0),
            ValueRange::of(&[]),
            ValueRange::new(-5.0, -5.0),
        ] {
            assert!(range.high > range.low, "{range:?}");
        }
        assert!((ValueRange::of(&[2.0; 9]).normalise(2.0) - 0.5).abs() < 1e-3);
    }

    #[test]
    fn values_beyond_the_range_take_its_ends() {
        let map = Colormap::default();
        let picture = colorize(
            &[-1.0, 1.0, 2.0, 3.0, 9.0, 2.0],
            3,
            ValueRange::new(1.0, 3.0),
            &map,
        )
        .unwrap();
        assert_eq!(picture.dimensions(), (3, 2));
        let expected = [0.0, 0.0, 0.5, 1.0, 1.0, 0.5].map(|t| map.at(t).0);
        assert_eq!(picture.into_raw(), expected.concat());
    }
}
