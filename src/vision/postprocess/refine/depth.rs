//! Depth refined to the photo: a [`DepthMap`] over the padded input becomes one of the photo's own pixels.
//!
//! The filter works on the logarithm of depth, since depths are compared by their ratios.

use image::RgbImage;
use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::SampleAxis;
use crate::model::input::Geometry;
use crate::system::memory::try_vec;
use crate::vision::postprocess::DepthMap;
use crate::vision::postprocess::guided::{Guide, GuidedFilterConfig};
use crate::vision::postprocess::refine::cells::{CellGrid, window_extremes};
use crate::vision::postprocess::refine::linear::{apply_linear, mix, mix_cell_rows};
use crate::vision::postprocess::rows::{BilinearRows, RowSource};

/// The filter for depth.
pub const DEPTH_FILTER: GuidedFilterConfig = GuidedFilterConfig {
    cells_per_patch: 4,
    radius: 4,
    epsilon: 1e-3,
};

/// Resamples a map over the padded input to the photo as [`DepthMap::to_photo`] does, with the depths refined to
/// `photo` by [`DEPTH_FILTER`]. They are clamped to the range of the map's depths nearby; deviations are resampled
/// bilinearly.
///
/// # Errors
/// If the photo cannot be resized; [`Error::Memory`](crate::Error::Memory) if the map does not fit.
pub fn refine_depth(map: &DepthMap, geometry: &Geometry, photo: &RgbImage) -> Result<DepthMap> {
    let deviation = map
        .deviation_rows(geometry)
        .map(|rows| (&rows as &dyn RowSource).collect());
    Ok(DepthMap {
        width: geometry.photo.0 as usize,
        height: geometry.photo.1 as usize,
        depth: refine_depth_with(&DEPTH_FILTER, map, geometry, photo)?,
        deviation: deviation.transpose()?.unwrap_or_default(),
    })
}

/// The depths alone, `[height, width]` of the photo in the map's unit, refined by the filter `config`.
///
/// # Errors
/// As [`refine_depth()`].
pub fn refine_depth_with(
    config: &GuidedFilterConfig,
    map: &DepthMap,
    geometry: &Geometry,
    photo: &RgbImage,
) -> Result<Vec<f32>> {
    let cells = CellGrid::new(geometry, config.cells_per_patch);
    let size = (cells.width, cells.height);
    let guide = Guide::new(photo, size, config.radius, config.epsilon)?;
    let logs: Vec<f32> = sample_depth(map, &cells)
        .iter()
        .map(|d| d.max(f32::MIN_POSITIVE).ln())
        .collect();
    let low = window_extremes(&logs, cells.width, config.radius, f32::min);
    let high = window_extremes(&logs, cells.width, config.radius, f32::max);
    let refined: Vec<[f32; 6]> = guide
        .coefficients(&logs)
        .iter()
        .zip(low.iter().zip(&high))
        .map(|(&[r, g, b, rest], (&low, &high))| [r, g, b, rest, low, high])
        .collect();
    let (width, height) = (geometry.photo.0 as usize, geometry.photo.1 as usize);
    let mut depths = try_vec(0f32, width * height)?;
    let (x_taps, y_taps) = (guide.column_taps(width), guide.row_taps(height));
    depths
        .par_chunks_exact_mut(width)
        .zip(photo.par_chunks_exact(3 * width))
        .zip(&y_taps)
        .for_each_init(Vec::new, |line, ((depth, rgb), y)| {
            mix_cell_rows(line, &refined, cells.width, 0..cells.width, y);
            for ((depth, rgb), x) in depth.iter_mut().zip(rgb.chunks_exact(3)).zip(&x_taps) {
                let [r, g, b, rest, low, high] = mix(&line[x.low], &line[x.high], x.weight);
                *depth = apply_linear(&[r, g, b, rest], rgb).max(low).min(high).exp();
            }
        });
    Ok(depths)
}

/// Samples the depths of `map`, which covers the padded input, at the cells.
fn sample_depth(map: &DepthMap, cells: &CellGrid) -> Vec<f32> {
    let finer = |axis: &SampleAxis, side: usize| {
        let factor = side as f32 / axis.cells as f32;
        SampleAxis {
            cells: side,
            positions: axis.positions.iter().map(|place| place * factor).collect(),
        }
        .bilinear()
    };
    BilinearRows {
        cells: &map.depth,
        cols: map.width,
        x: finer(&cells.x, map.width),
        y: finer(&cells.y, map.height),
    }
    .to_vec()
}
