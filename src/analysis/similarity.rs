//! Cosine similarity between one patch token and all patch tokens of a photo, and the mapping between pixels of a photo
//! and patches.

use rayon::prelude::*;

use crate::model::input::{Geometry, PatchGrid};

/// A patch by its row and column in the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchPosition {
    /// Row, 0 at the top.
    pub row: usize,
    /// Column, 0 at the left.
    pub column: usize,
}

impl PatchPosition {
    /// The patch that the pixel (column, row) of a photo lies in; `None` outside of the photo.
    pub fn at_pixel((x, y): (u32, u32), geometry: &Geometry) -> Option<Self> {
        let PatchGrid { rows, cols } = geometry.grid();
        let cell = |positions: Vec<f32>, pixel: u32, cells: usize| {
            let position = *positions.get(pixel as usize)?;
            Some((position as usize).min(cells.checked_sub(1)?))
        };
        Some(Self {
            row: cell(geometry.row_positions(), y, rows)?,
            column: cell(geometry.column_positions(), x, cols)?,
        })
    }

    /// The pixel (column, row) of the photo that is nearest to the centre of the patch.
    pub fn nearest_pixel(self, geometry: &Geometry) -> (u32, u32) {
        let nearest = |positions: Vec<f32>, cell: usize| {
            let distance = |position: &f32| (position - (cell as f32 + 0.5)).abs();
            let nearest = positions
                .iter()
                .enumerate()
                .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
            nearest.map_or(0, |(at, _)| at as u32)
        };
        (
            nearest(geometry.column_positions(), self.column),
            nearest(geometry.row_positions(), self.row),
        )
    }

    /// Its index in a row-major map over `grid`.
    pub fn index(self, grid: PatchGrid) -> usize {
        self.row * grid.cols + self.column
    }

    /// The patch at `index` of a row-major map over `grid`.
    pub fn from_index(index: usize, grid: PatchGrid) -> Self {
        Self {
            row: index / grid.cols.max(1),
            column: index % grid.cols.max(1),
        }
    }
}

/// The cosine of the angle between `query` `[D]` and each of `tokens` `[rows * cols, D]`: `[rows * cols]`, -1 to 1; 0
/// where either is all zeros.
pub fn cosines(query: &[f32], tokens: &[f32]) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum()
    };
    let length = dot(query, query).sqrt();
    tokens
        .par_chunks_exact(query.len().max(1))
        .map(|token| {
            let lengths = length * dot(token, token).sqrt();
            match lengths > 0.0 {
                true => (dot(query, token) / lengths).clamp(-1.0, 1.0) as f32,
                false => 0.0,
            }
        })
        .collect()
}

/// The patch with the highest of `cosines` `[rows * cols]`, and that cosine; the first of equals, `None` without
/// patches.
pub fn best_match(cosines: &[f32], grid: PatchGrid) -> Option<(PatchPosition, f32)> {
    let (index, &cosine) = cosines
        .iter()
        .enumerate()
        .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    Some((PatchPosition::from_index(index, grid), cosine))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::SizeRule;

    #[test]
    fn cosines_are_of_angles_not_lengths() {
        let tokens = [3.0, 0.0, 0.0, -2.0, 5.0, 5.0, -1.0, 0.0, 0.0, 0.0];
        let found = cosines(&[2.0, 0.0], &tokens);
        assert_eq!(found, [1.0, 0.0, 0.5f32.sqrt(), -1.0, 0.0]);
        let grid = PatchGrid { rows: 1, cols: 5 };
        assert_eq!(best_match(&found[1..], grid).unwrap().0.column, 1);
        assert_eq!(best_match(&[], grid), None);
    }

    #[test]
    fn a_pixel_and_its_patch_find_each_other() {
        for photo in [(451, 300), (1280, 853), (40, 900), (1, 1)] {
            let geometry = Geometry::new(photo, SizeRule::ShortSide(112), 14);
            let grid = geometry.grid();
            for index in 0..grid.len() {
                let patch = PatchPosition::from_index(index, grid);
                let pixel = patch.nearest_pixel(&geometry);
                if photo.0 > 100 {
                    assert_eq!(
                        PatchPosition::at_pixel(pixel, &geometry),
                        Some(patch),
                        "{photo:?}"
                    );
                }
                assert_eq!(patch.index(grid), index);
            }
            assert_eq!(PatchPosition::at_pixel((photo.0, 0), &geometry), None);
            assert_eq!(PatchPosition::at_pixel((0, photo.1), &geometry), None);
        }
        // 640 x 480 has 2 columns and 5 rows of padding before it.
        let geometry = Geometry::new((640, 480), SizeRule::Native, 14);
        let patch = |row, column| Some(PatchPosition { row, column });
        assert_eq!(PatchPosition::at_pixel((11, 8), &geometry), patch(0, 0));
        assert_eq!(PatchPosition::at_pixel((12, 9), &geometry), patch(1, 1));
        assert_eq!(
            PatchPosition::at_pixel((639, 479), &geometry),
            patch(34, 45)
        );
    }
}
