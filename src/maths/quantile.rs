//! Percentiles over a stream of values in bounded memory, without randomness: of long streams, every 2^n-th value is
//! kept.
//!
//! Interpolation is linear between neighbours, as numpy's default.

use rayon::prelude::*;

/// Most values that are kept; percentiles of streams of up to this many are exact.
const CAPACITY: usize = 1 << 20;

/// An evenly thinned sample of a stream of unknown length.
#[derive(Debug, Clone)]
pub struct StreamSampler {
    values: Vec<f32>,
    stride: u64,
    count: u64,
}

impl Default for StreamSampler {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            stride: 1,
            count: 0,
        }
    }
}

impl StreamSampler {
    /// Adds the next value of the stream.
    #[inline]
    pub fn push(&mut self, value: f32) {
        // Strides are powers of two: a division would take most of the time.
        let mask = self.stride - 1;
        if self.count & mask == 0 {
            self.push_strided(value);
        }
        self.count += 1;
    }

    /// Keeps a value whose index is a multiple of the stride; a full sample is thinned to every second value first.
    fn push_strided(&mut self, value: f32) {
        if self.values.len() == CAPACITY {
            let mut index = 0;
            self.values.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
        if self.count.is_multiple_of(self.stride) {
            self.values.push(value);
        }
    }

    /// The kept values in rising order.
    pub fn into_sorted(mut self) -> Vec<f32> {
        self.values.par_sort_unstable_by(f32::total_cmp);
        self.values
    }
}

/// An evenly thinned sample of a stream of known length: the values that a [`StreamSampler`] would keep.
#[derive(Debug, Clone)]
pub struct StridedSample {
    values: Vec<f32>,
    stride: usize,
}

impl StridedSample {
    /// An empty sample of a stream of `count` values.
    pub fn with_stream_len(count: usize) -> Self {
        StridedSample {
            values: Vec::new(),
            stride: count.div_ceil(CAPACITY).next_power_of_two(),
        }
    }

    /// Distance in the stream between the values to [push](StridedSample::push), a power of two; the first value is
    /// among them.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Adds the next value at a multiple of the stride.
    #[inline]
    pub fn push(&mut self, value: f32) {
        self.values.push(value);
    }

    /// The percentiles `q` (0 to 100); 0 if the sample is empty.
    pub fn percentiles<const N: usize>(mut self, q: [f64; N]) -> [f32; N] {
        q.map(|q| {
            let Some((low, part)) = percentile_position(self.values.len(), q) else {
                return 0.0;
            };
            // The two neighbours are enough; sorting all would take longer.
            let (_, &mut own, above) = self.values.select_nth_unstable_by(low, f32::total_cmp);
            let next = above.iter().copied().min_by(f32::total_cmp).unwrap_or(own);
            interpolate(own, next, part) as f32
        })
    }
}

/// The percentiles `q` (0 to 100) of `values`, from the sample that a [`StreamSampler`] would keep of them; 0 if there
/// are none.
pub fn percentiles<const N: usize>(values: &[f32], q: [f64; N]) -> [f32; N] {
    let mut thinned = StridedSample::with_stream_len(values.len());
    thinned.values = values.iter().copied().step_by(thinned.stride).collect();
    thinned.percentiles(q)
}

/// The percentile `q` (0 to 100) of values in rising order; 0 if there are none.
pub fn percentile(sorted: &[f32], q: f64) -> f32 {
    percentile_f64(sorted, q) as f32
}

/// As [`percentile`], for f32 or f64 and computed in f64.
pub fn percentile_f64<T: Copy + Into<f64>>(sorted: &[T], q: f64) -> f64 {
    let Some((low, part)) = percentile_position(sorted.len(), q) else {
        return 0.0;
    };
    interpolate(sorted[low], sorted[(low + 1).min(sorted.len() - 1)], part)
}

/// The index of the value at or below the percentile `q` among `count` rising values, and the percentile's fractional
/// position between it and the next, 0 to 1; `None` without values.
fn percentile_position(count: usize, q: f64) -> Option<(usize, f64)> {
    let position = q / 100.0 * count.checked_sub(1)? as f64;
    let low = position.floor();
    Some((low as usize, position - low))
}

/// `low + (high - low) * part`, in f64.
fn interpolate<T: Into<f64>>(low: T, high: T, part: f64) -> f64 {
    let (low, high) = (low.into(), high.into());
    low + (high - low) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_streams_are_exact() {
        let mut sampler = StreamSampler::default();
        (0..101).rev().for_each(|v| sampler.push(v as f32));
        let sorted = sampler.into_sorted();
        assert_eq!(percentile(&sorted, 1.0), 1.0);
        assert_eq!(percentile(&sorted, 99.0), 99.0);
        assert_eq!(percentile(&sorted, 50.5), 50.5);
    }

    #[test]
    fn slices_give_what_streams_give() {
        for count in [0, 1, 2, 101, 3 * CAPACITY + 5] {
            let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin()).collect();
            let mut sampler = StreamSampler::default();
            values.iter().for_each(|&v| sampler.push(v));
            let sorted = sampler.into_sorted();
            let q = [2.0, 50.0, 98.0, 100.0];
            assert_eq!(percentiles(&values, q), q.map(|q| percentile(&sorted, q)));
        }
    }

    #[test]
    fn long_streams_are_thinned_evenly() {
        let mut sampler = StreamSampler::default();
        let n = 3 * CAPACITY;
        (0..n).for_each(|v| sampler.push(v as f32));
        let sorted = sampler.into_sorted();
        assert!(sorted.len() <= CAPACITY);
        assert!((f64::from(percentile(&sorted, 25.0)) / n as f64 - 0.25).abs() < 1e-4);
    }

    #[test]
    fn nothing_gives_zero() {
        assert_eq!(percentile(&[], 50.0), 0.0);
    }
}
