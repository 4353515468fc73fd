//! Channels of numbers over the patch grid, such as principal components, refined to the edges of the photo.
//!
//! Input is a map `[rows * cols, k]`, output the bytes of an RGB picture, painted row by row from `k` samples a pixel.

use image::RgbImage;
use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::tap_runs;
use crate::model::input::{Geometry, PatchGrid};
use crate::system::memory::try_vec;
use crate::vision::postprocess::guided::{Guide, LinearCoefficients};
use crate::vision::postprocess::refine::cells::{CellGrid, window_extremes};
use crate::vision::postprocess::refine::labels::LABEL_FILTER;
use crate::vision::postprocess::refine::linear::{PhotoColors, apply_linear_run, mix_cell_rows};
use crate::vision::postprocess::rows::BilinearRows;

/// A channel as linear coefficients of the photo's colour, and the range of its values nearby.
struct FilteredChannel {
    /// Per cell.
    linear: Vec<LinearCoefficients>,
    /// Per cell, the least and the largest value in its window.
    range: Vec<[f32; 2]>,
}

/// Samples `map` `[rows * cols, k]` at every pixel of `photo`, refined to its edges, as
/// [`upscale_rows`](crate::vision::render::upscale::upscale_rows) does it without refining: `paint` gets the samples of
/// a row of pixels, channel by channel (`[k, width]`), and the row's bytes (`[width, 3]`); the result is
/// `[height, width, 3]`. Every sample is clamped to the range of the map's values nearby.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the result does not fit; if the photo cannot be resized.
pub fn refine_rows(
    map: &[f32],
    k: usize,
    geometry: &Geometry,
    photo: &RgbImage,
    paint: impl Fn(&[f32], &mut [u8]) + Sync,
) -> Result<Vec<u8>> {
    let cells = CellGrid::new(geometry, LABEL_FILTER.cells_per_patch);
    let size = (cells.width, cells.height);
    let guide = Guide::new(photo, size, LABEL_FILTER.radius, LABEL_FILTER.epsilon)?;
    let channels: Vec<FilteredChannel> = (0..k)
        .into_par_iter()
        .map(|channel| {
            let values = sample_channel(map, (k, channel), geometry.grid(), &cells);
            let near = |pick| window_extremes(&values, cells.width, LABEL_FILTER.radius, pick);
            let (low, high) = (near(f32::min as fn(f32, f32) -> f32), near(f32::max));
            FilteredChannel {
                // Without the steps from patch to patch: labels do not show them, but colours would.
                linear: guide.filter(&values),
                range: low.into_iter().zip(high).map(|(a, b)| [a, b]).collect(),
            }
        })
        .collect();
    let (width, height) = (geometry.photo.0 as usize, geometry.photo.1 as usize);
    let (x_taps, y_taps) = (guide.column_taps(width), guide.row_taps(height));
    let runs = tap_runs(&x_taps);
    let mut bytes = try_vec(0u8, 3 * width * height)?;
    bytes
        .par_chunks_exact_mut((3 * width).max(1))
        .zip(photo.par_chunks_exact((3 * width).max(1)))
        .zip(&y_taps)
        .for_each_init(
            || {
                let samples = vec![0f32; k * width];
                (PhotoColors::default(), Vec::new(), Vec::new(), samples)
            },
            |(colors, line, ranges, samples), ((out, rgb), y)| {
                colors.load(&guide, &x_taps, y, rgb);
                for (channel, samples) in channels.iter().zip(samples.chunks_exact_mut(width)) {
                    mix_cell_rows(line, &channel.linear, cells.width, 0..cells.width, y);
                    mix_cell_rows(ranges, &channel.range, cells.width, 0..cells.width, y);
                    for run in &runs {
                        let samples = &mut samples[run.samples.clone()];
                        apply_linear_run(
                            samples,
                            &line[run.low],
                            &line[run.high],
                            &run.weights,
                            colors.slice(&run.samples),
                        );
                        let (start, end) = (ranges[run.low], ranges[run.high]);
                        for (sample, weight) in samples.iter_mut().zip(&run.weights) {
                            let at = |i: usize| start[i] + (end[i] - start[i]) * weight;
                            *sample = sample.max(at(0)).min(at(1));
                        }
                    }
                }
                paint(samples, out);
            },
        );
    Ok(bytes)
}

/// Samples one of the `k` channels of a map over the patch grid at the cells.
fn sample_channel(
    map: &[f32],
    (k, channel): (usize, usize),
    grid: PatchGrid,
    cells: &CellGrid,
) -> Vec<f32> {
    let plane: Vec<f32> = map.iter().skip(channel).step_by(k).copied().collect();
    BilinearRows {
        cells: &plane,
        cols: grid.cols,
        x: cells.x.bilinear(),
        y: cells.y.bilinear(),
    }
    .to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::SizeRule;
    use crate::vision::render::upscale::{Upscale, upscale_rows};
    use image::Rgb;

    fn bytes_of(samples: &[f32], out: &mut [u8]) {
        for (sample, rgb) in samples.iter().zip(out.chunks_exact_mut(3)) {
            rgb.fill((sample * 255.0 + 0.5) as u8);
        }
    }

    #[test]
    fn a_plane_follows_the_photos_edge_and_stays_in_its_range() {
        let geometry = Geometry::new((140, 84), SizeRule::Native, 14);
        let photo = RgbImage::from_fn(140, 84, |x, _| match x < 64 {
            true => Rgb([30, 60, 180]),
            false => Rgb([220, 150, 40]),
        });
        // From 0.2 to 0.8 between the patches 4 and 5, at column 70.
        let map: Vec<f32> = (0..60)
            .map(|i| if i % 10 < 5 { 0.2 } else { 0.8 })
            .collect();
        let plain = upscale_rows(&map, 1, &geometry, Upscale::Bilinear, bytes_of).unwrap();
        let fitted = refine_rows(&map, 1, &geometry, &photo, bytes_of).unwrap();
        let at = |bytes: &[u8], x: usize| bytes[(40 * 140 + x) * 3];
        let rise = |bytes: &[u8]| i32::from(at(bytes, 67)) - i32::from(at(bytes, 60));
        assert!(
            rise(&fitted) > 2 * rise(&plain),
            "{} {}",
            rise(&fitted),
            rise(&plain)
        );
        assert!(fitted.iter().all(|&byte| (51..=204).contains(&byte)));
        assert_eq!((at(&fitted, 2), at(&fitted, 137)), (51, 204));
    }

    #[test]
    fn planes_keep_their_level_and_lie_where_the_map_does() {
        let geometry = Geometry::new((56, 28), SizeRule::Native, 14);
        let photo = RgbImage::from_fn(56, 28, |x, y| Rgb([x as u8, (7 * y) as u8, 90]));
        // One is constant; the other rises from left to right.
        let map: Vec<f32> = (0..8).flat_map(|i| [0.4, (i % 4) as f32 / 4.0]).collect();
        let channel = |channel: usize| {
            let paint = move |samples: &[f32], out: &mut [u8]| {
                bytes_of(&samples[channel * 56..][..56], out);
            };
            refine_rows(&map, 2, &geometry, &photo, paint).unwrap()
        };
        assert!(channel(0).iter().all(|byte| *byte == 102));
        let rising = channel(1);
        assert!(rising.len() == 3 * 56 * 28 && rising[0] < 50 && rising[3 * 55] > 140);
    }
}
