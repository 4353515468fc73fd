//! The guided filter in colour (He, Sun and Tang, 2013), which adds detail of a photo to a coarse map: within a window
//! the map is modelled as linear in the photo's colour. In its fast form (He and Sun, 2015) the coefficients are fitted
//! on a reduced grid of cells and applied to the photo at its full resolution.
//!
//! The filter also smooths everything that does not correlate with the photo, which erases thin objects. So what
//! smoothing removes is added back: a map with detail is `map + filtered - smoothed`.

use image::RgbImage;
use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::{LinearTaps, SampleAxis};
use crate::vision::preprocess::resize::{Resample, resize_rgb};

/// The grid and the strength of the filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuidedFilterConfig {
    /// Cells along one side of a patch.
    pub cells_per_patch: usize,
    /// Distance in cells from the middle of a window to its edge; a window is `2 * radius + 1` cells wide.
    pub radius: usize,
    /// Variance of colours (on a scale of 0..1) below which a window counts as flat and adds no detail.
    pub epsilon: f32,
}

/// The coefficients `[a_r, a_g, a_b, b]` of a map that is `a . colour + b`, with colours of 0..1.
pub type LinearCoefficients = [f32; 4];

/// A photo as the guidance image of the filter, on a grid of cells.
#[derive(Debug, Clone)]
pub struct Guide {
    /// Cells along the photo's width.
    pub width: usize,
    /// Cells along the photo's height.
    pub height: usize,
    radius: usize,
    /// Red, green and blue of the cells, each `[height, width]`, 0..1.
    pub(super) colors: [Vec<f32>; 3],
    /// Means of the colours over the window around each cell.
    means: [Vec<f32>; 3],
    /// The inverse of the covariance matrix of colours in each window, with epsilon on its diagonal: rr, rg, rb, gg,
    /// gb, bb.
    inverse: Vec<[f32; 6]>,
}

impl Guide {
    /// Computes the statistics of `photo` on a grid of `width` x `height` cells, over windows of `radius` cells.
    ///
    /// # Errors
    /// If the photo cannot be resized.
    pub fn new(
        photo: &RgbImage,
        (width, height): (usize, usize),
        radius: usize,
        epsilon: f32,
    ) -> Result<Self> {
        let small = resize_rgb(photo, width as u32, height as u32, Resample::Bicubic)?;
        let channel = |c: usize| -> Vec<f32> {
            let values = small.as_raw().iter().skip(c).step_by(3);
            values.map(|&v| f32::from(v) / 255.0).collect()
        };
        let colors = [channel(0), channel(1), channel(2)];
        let mean = |plane: &[f32]| box_mean(plane, width, radius);
        let means = [mean(&colors[0]), mean(&colors[1]), mean(&colors[2])];
        let covariance = |a: usize, b: usize| -> Vec<f32> {
            let products: Vec<f32> = product(&colors[a], &colors[b]);
            let mut covariance = mean(&products);
            let means = means[a].iter().zip(&means[b]);
            covariance
                .iter_mut()
                .zip(means)
                .for_each(|(c, (a, b))| *c -= a * b);
            covariance
        };
        let pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
        let planes: Vec<Vec<f32>> = pairs.par_iter().map(|&(a, b)| covariance(a, b)).collect();
        let inverse = (0..width * height)
            .map(|i| invert(std::array::from_fn(|pair| planes[pair][i]), epsilon))
            .collect();
        Ok(Self {
            width,
            height,
            radius,
            colors,
            means,
            inverse,
        })
    }

    /// The coefficients at each cell by which `map` `[height, width]` gets the photo's detail: the mean over all
    /// windows that hold the cell, plus the part of the map that smoothing removed.
    pub fn coefficients(&self, map: &[f32]) -> Vec<LinearCoefficients> {
        let mean = |plane: &[f32]| box_mean(plane, self.width, self.radius);
        let smoothed = mean(&mean(map));
        let mut linear = self.filter(map);
        for (linear, (map, smoothed)) in linear.iter_mut().zip(map.iter().zip(&smoothed)) {
            linear[3] += map - smoothed;
        }
        linear
    }

    /// The coefficients at each cell of the filtered `map` `[height, width]`: [`Guide::coefficients`] without the part
    /// that does not correlate with the photo, such as the steps from patch to patch.
    pub fn filter(&self, map: &[f32]) -> Vec<LinearCoefficients> {
        let mean = |plane: &[f32]| box_mean(plane, self.width, self.radius);
        let map_mean = mean(map);
        let mixed: [Vec<f32>; 3] = std::array::from_fn(|c| mean(&product(&self.colors[c], map)));
        let mut planes: [Vec<f32>; 4] = std::array::from_fn(|_| Vec::with_capacity(map.len()));
        for i in 0..map.len() {
            let covariance: [f32; 3] =
                std::array::from_fn(|c| mixed[c][i] - self.means[c][i] * map_mean[i]);
            let a = mul_symmetric(&self.inverse[i], covariance);
            let at_mean: f32 = (0..3).map(|c| a[c] * self.means[c][i]).sum();
            for (plane, value) in planes
                .iter_mut()
                .zip([a[0], a[1], a[2], map_mean[i] - at_mean])
            {
                plane.push(value);
            }
        }
        let [r, g, b, rest] = planes.map(|plane| mean(&plane));
        (0..map.len())
            .map(|i| [r[i], g[i], b[i], rest[i]])
            .collect()
    }

    /// The cells that each column of a photo of `columns` pixels mixes.
    pub fn column_taps(&self, columns: usize) -> Vec<LinearTaps> {
        SampleAxis::stretched(self.width, columns).bilinear()
    }

    /// The cells that each row of a photo of `rows` pixels mixes.
    pub fn row_taps(&self, rows: usize) -> Vec<LinearTaps> {
        SampleAxis::stretched(self.height, rows).bilinear()
    }
}

/// The product of two planes, element by element.
fn product(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// Inverse, by cofactors, of a symmetric matrix with `epsilon` added to its diagonal.
fn invert([rr, rg, rb, gg, gb, bb]: [f32; 6], epsilon: f32) -> [f32; 6] {
    let (rr, gg, bb) = (rr + epsilon, gg + epsilon, bb + epsilon);
    let cofactors = [
        gg * bb - gb * gb,
        rb * gb - rg * bb,
        rg * gb - rb * gg,
        rr * bb - rb * rb,
        rb * rg - rr * gb,
        rr * gg - rg * rg,
    ];
    // At least epsilon^3, up to rounding.
    let determinant = rr * cofactors[0] + rg * cofactors[1] + rb * cofactors[2];
    let least = epsilon * epsilon * epsilon * 0.5;
    cofactors.map(|value| value / determinant.max(least))
}

/// The product of a symmetric matrix and a vector.
fn mul_symmetric([rr, rg, rb, gg, gb, bb]: &[f32; 6], [r, g, b]: [f32; 3]) -> [f32; 3] {
    [
        rr * r + rg * g + rb * b,
        rg * r + gg * g + gb * b,
        rb * r + gb * g + bb * b,
    ]
}

/// Means of `plane` `[height, width]` over windows that reach `radius` cells from their middle, cut off at the edges.
fn box_mean(plane: &[f32], width: usize, radius: usize) -> Vec<f32> {
    let height = plane.len() / width;
    let window = |at: usize, side: usize| at.saturating_sub(radius)..(at + radius + 1).min(side);
    // Sums in f64: their differences are small against them.
    let mut lines = vec![0f64; plane.len()];
    for (line, row) in lines.chunks_exact_mut(width).zip(plane.chunks_exact(width)) {
        let mut sum: f64 = row[..radius.min(width)].iter().map(|&v| f64::from(v)).sum();
        for x in 0..width {
            if x + radius < width {
                sum += f64::from(row[x + radius]);
            }
            if x > radius {
                sum -= f64::from(row[x - radius - 1]);
            }
            line[x] = sum / window(x, width).len() as f64;
        }
    }
    let mut sums = vec![0f64; width];
    let add = |sums: &mut [f64], y: usize, sign: f64| {
        let row = &lines[y * width..][..width];
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += sign * v);
    };
    (0..radius.min(height)).for_each(|y| add(&mut sums, y, 1.0));
    let mut means = Vec::with_capacity(plane.len());
    for y in 0..height {
        if y + radius < height {
            add(&mut sums, y + radius, 1.0);
        }
        if y > radius {
            add(&mut sums, y - radius - 1, -1.0);
        }
        let count = window(y, height).len() as f64;
        means.extend(sums.iter().map(|sum| (sum / count) as f32));
    }
    means
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn box_means_are_those_of_the_definition() {
        let (width, height) = (7, 5);
        let plane: Vec<f32> = (0..width * height).map(|i| (i * i % 11) as f32).collect();
        for radius in [0, 1, 2, 9] {
            let found = box_mean(&plane, width, radius);
            for (i, mean) in found.iter().enumerate() {
                let (x, y) = (i % width, i / width);
                let near = |a: usize, b: usize| a.abs_diff(b) <= radius;
                let inside: Vec<f32> = (0..plane.len())
                    .filter(|j| near(j % width, x) && near(j / width, y))
                    .map(|j| plane[j])
                    .collect();
                let expected = inside.iter().sum::<f32>() / inside.len() as f32;
                assert!(
                    (mean - expected).abs() < 1e-4,
                    "{radius}: {mean} {expected}"
                );
            }
        }
    }

    #[test]
    fn the_inverse_is_one() {
        let matrix = [0.5, 0.1, -0.2, 0.4, 0.05, 0.3];
        let inverse = invert(matrix, 0.01);
        let [rr, rg, rb, gg, gb, bb] = matrix;
        for column in [
            [rr + 0.01, rg, rb],
            [rg, gg + 0.01, gb],
            [rb, gb, bb + 0.01],
        ] {
            let unit = mul_symmetric(&inverse, column);
            assert!((unit.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{unit:?}");
        }
    }

    #[test]
    fn a_map_that_is_linear_in_the_colour_is_found() {
        let photo = RgbImage::from_fn(40, 30, |x, y| {
            // Colours that vary along all three axes in every window.
            let color = [
                x * x * 7 + y * 13,
                x * 29 + y * y * 5,
                (x + 3) * (y + 5) * 11,
            ];
            Rgb(color.map(|v| (v % 256) as u8))
        });
        let guide = Guide::new(&photo, (40, 30), 3, 1e-6).unwrap();
        let map: Vec<f32> = photo
            .pixels()
            .map(|p| (0.5 * f32::from(p[0]) - 0.25 * f32::from(p[2])) / 255.0 + 0.1)
            .collect();
        for linear in guide.coefficients(&map) {
            for (found, expected) in linear.iter().zip([0.5, 0.0, -0.25]) {
                assert!((found - expected).abs() < 1e-3, "{linear:?}");
            }
        }
    }

    #[test]
    fn a_flat_photo_adds_nothing() {
        let photo = RgbImage::from_pixel(20, 16, Rgb([90, 120, 30]));
        let guide = Guide::new(&photo, (20, 16), 3, 1e-4).unwrap();
        let map: Vec<f32> = (0..320).map(|i| (i * 37 % 11) as f32).collect();
        for (linear, value) in guide.coefficients(&map).iter().zip(&map) {
            let color = [90.0, 120.0, 30.0].map(|v: f32| v / 255.0);
            let found = (0..3).map(|c| linear[c] * color[c]).sum::<f32>() + linear[3];
            assert!((found - value).abs() < 1e-3, "{found} {value}");
        }
    }
}
