//! Bicubic resizing, bit for bit as Pillow's `Image.resize`, for classifiers whose published figures depend on it and
//! for Depth Anything. It takes about four times as long as the bicubic kernel of
//! [`resize_rgb`](crate::vision::preprocess::resize::resize_rgb), which is within one level of it.
//!
//! The kernel has A = -0.5 and is widened when shrinking. It is applied along rows first, then down columns, each
//! rounded to 8 bits from fixed-point weights of 22 fractional bits.

use image::RgbImage;
use rayon::prelude::*;

/// Fractional bits of the weights.
const PRECISION_BITS: u32 = 22;

/// The source cells that one sample mixes: the first, and fixed-point weights from there on.
struct PillowTaps {
    first: usize,
    weights: Vec<i32>,
}

/// The cubic kernel at distance `x`, in cells.
fn bicubic_filter(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// The taps of `samples` samples along an axis of `cells` cells.
fn precompute_taps(cells: u32, samples: u32) -> Vec<PillowTaps> {
    let scale = f64::from(cells) / f64::from(samples);
    let wide = scale.max(1.0);
    let support = 2.0 * wide;
    let one = |i: u32| {
        let centre = (f64::from(i) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(cells as usize);
        let weights: Vec<f64> = (first..end)
            .map(|cell| bicubic_filter((cell as f64 - centre + 0.5) / wide))
            .collect();
        let total: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let weight = weight / total * f64::from(1u32 << PRECISION_BITS);
            (weight + if weight < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        PillowTaps {
            first,
            weights: weights.iter().map(fixed).collect(),
        }
    };
    (0..samples).map(one).collect()
}

/// A fixed-point sum as an 8-bit level.
fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Resizes to `width` x `height`, both at least 1.
pub fn bicubic(photo: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (across, down) = (photo.width(), photo.height());
    let half = 1 << (PRECISION_BITS - 1);
    // Pillow skips the pass along a side that keeps its length.
    let rows = if width == across {
        photo.as_raw().clone()
    } else {
        let taps = precompute_taps(across, width);
        let mut rows = vec![0u8; width as usize * down as usize * 3];
        rows.par_chunks_exact_mut(width as usize * 3)
            .zip(photo.as_raw().par_chunks_exact(across as usize * 3))
            .for_each(|(out, row)| {
                for (rgb, taps) in out.as_chunks_mut::<3>().0.iter_mut().zip(&taps) {
                    let cells = row.as_chunks::<3>().0[taps.first..].iter();
                    let mut sums = [half; 3];
                    for (cell, weight) in cells.zip(&taps.weights) {
                        for (sum, &value) in sums.iter_mut().zip(cell) {
                            *sum += i32::from(value) * weight;
                        }
                    }
                    *rgb = sums.map(clip8);
                }
            });
        rows
    };
    let bytes = if height == down {
        rows
    } else {
        let taps = precompute_taps(down, height);
        let line = width as usize * 3;
        let mut bytes = vec![0u8; line * height as usize];
        bytes.par_chunks_exact_mut(line).zip(&taps).for_each_init(
            || vec![0i32; line],
            |sums, (out, taps)| {
                sums.fill(half);
                let from = rows[taps.first * line..].chunks_exact(line);
                for (row, weight) in from.zip(&taps.weights) {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += i32::from(value) * weight;
                    }
                }
                for (byte, &sum) in out.iter_mut().zip(sums.iter()) {
                    *byte = clip8(sum);
                }
            },
        );
        bytes
    };
    RgbImage::from_raw(width, height, bytes).unwrap_or_default()
}
