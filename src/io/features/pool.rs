//! Pooling of patch tokens to a square grid, and bilinear sampling at pixels.

use crate::model::input::{Geometry, PatchGrid};

/// Pools `tokens` `[rows * cols, width]` of a `grid` to `[side * side, width]`, the means over `side` x `side` cells,
/// as PyTorch's `adaptive_avg_pool2d`: cell `i` of `n` along a side of `s` patches extends from `floor(i * s / n)` to
/// `ceil((i + 1) * s / n)`, exclusive.
pub fn adaptive_avg_pool(tokens: &[f32], width: usize, grid: PatchGrid, side: usize) -> Vec<f32> {
    let part = |index: usize, length: usize| {
        index * length / side..((index + 1) * length).div_ceil(side).max(1)
    };
    let mut pooled = Vec::with_capacity(side * side * width);
    let mut sum = vec![0f64; width];
    for row in 0..side {
        for col in 0..side {
            let (rows, cols) = (part(row, grid.rows), part(col, grid.cols));
            let count = (rows.len() * cols.len()) as f64;
            sum.fill(0.0);
            for row in rows {
                for col in cols.clone() {
                    let token = &tokens[(row * grid.cols + col) * width..][..width];
                    sum.iter_mut()
                        .zip(token)
                        .for_each(|(sum, v)| *sum += f64::from(*v));
                }
            }
            pooled.extend(sum.iter().map(|sum| (sum / count) as f32));
        }
    }
    pooled
}

/// Samples `tokens` `[rows * cols, width]` of a photo with the layout `geometry` at the pixel (x, y) of the photo,
/// where the centre of the first pixel is (0, 0): `[width]`, bilinear between the centres of patches, clamped beyond
/// the outermost.
pub fn sample_bilinear(
    tokens: &[f32],
    width: usize,
    geometry: &Geometry,
    (x, y): (f32, f32),
) -> Vec<f32> {
    let grid = geometry.grid();
    let patch = geometry.patch_size as f64;
    let along = |at: f32, photo: u32, resized: u32, pad: u32, count: usize| {
        let seen = (f64::from(at) + 0.5) * f64::from(resized) / f64::from(photo) + f64::from(pad);
        let place = (seen / patch - 0.5).clamp(0.0, (count - 1) as f64);
        let low = place.floor() as usize;
        (low, (low + 1).min(count - 1), place - low as f64)
    };
    let (photo, resized) = (geometry.photo, geometry.resized);
    let (left, right, across) = along(x, photo.0, resized.0, geometry.pad_left, grid.cols);
    let (top, bottom, down) = along(y, photo.1, resized.1, geometry.pad_top, grid.rows);
    let token = |row: usize, col: usize| &tokens[(row * grid.cols + col) * width..][..width];
    let corners = [
        token(top, left),
        token(top, right),
        token(bottom, left),
        token(bottom, right),
    ];
    let weights = [
        (1.0 - down) * (1.0 - across),
        (1.0 - down) * across,
        down * (1.0 - across),
        down * across,
    ];
    (0..width)
        .map(|channel| {
            let parts = corners.iter().zip(weights);
            let sum: f64 = parts
                .map(|(token, weight)| weight * f64::from(token[channel]))
                .sum();
            sum as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::SizeRule;

    fn ramp(grid: PatchGrid) -> Vec<f32> {
        let cells = 0..grid.len();
        cells
            .flat_map(|cell| [(cell % grid.cols) as f32, (cell / grid.cols) as f32])
            .collect()
    }

    #[test]
    fn pooled_parts_are_those_of_adaptive_average_pooling() {
        let grid = PatchGrid { rows: 3, cols: 5 };
        // torch.nn.functional.adaptive_avg_pool2d of these ramps to 2 x 2: columns 0..3 and 2..5, rows 0..2 and 1..3.
        assert_eq!(
            adaptive_avg_pool(&ramp(grid), 2, grid, 2),
            [1.0, 0.5, 3.0, 0.5, 1.0, 1.5, 3.0, 1.5]
        );
        assert_eq!(adaptive_avg_pool(&ramp(grid), 2, grid, 1), [2.0, 1.0]);
        // More parts than patches repeat them.
        let two = PatchGrid { rows: 1, cols: 2 };
        assert_eq!(
            adaptive_avg_pool(&[3.0, 5.0], 1, two, 4)[..4],
            [3.0, 3.0, 5.0, 5.0]
        );
    }

    #[test]
    fn a_pixel_between_patch_centres_is_between_their_tokens() {
        let geometry = Geometry::new((56, 28), SizeRule::Native, 14);
        let tokens = ramp(geometry.grid());
        let at = |x, y| sample_bilinear(&tokens, 2, &geometry, (x, y));
        // The centre of a patch of 14 pixels lies between its pixels 6 and 7.
        assert_eq!(at(6.5, 6.5), [0.0, 0.0]);
        assert_eq!(at(20.5, 13.5), [1.0, 0.5]);
        assert_eq!(at(27.5, 20.5), [1.5, 1.0]);
        assert_eq!(at(0.0, 0.0), [0.0, 0.0]);
        assert_eq!(at(55.0, 27.0), [3.0, 1.0]);
    }

    #[test]
    fn padding_and_size_are_accounted_for() {
        let geometry = Geometry::new((100, 40), SizeRule::ShortSide(20), 14);
        assert_eq!((geometry.resized, geometry.padded), ((50, 20), (56, 28)));
        let tokens = ramp(geometry.grid());
        // Pixel x is seen at (x + 0.5) / 2 + 3 of 56 columns.
        let found = sample_bilinear(&tokens, 2, &geometry, (49.5, 19.5));
        assert!((found[0] - (28.0 / 14.0 - 0.5)).abs() < 1e-6, "{found:?}");
        assert!((found[1] - (14.0 / 14.0 - 0.5)).abs() < 1e-6, "{found:?}");
    }
}
