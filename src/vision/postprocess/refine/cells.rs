//! The grid of cells on which the filter's coefficients are computed, and tiles of cells that share a list of classes.
//!
//! A cell is a fraction of a patch's side wide, and never less than a pixel of the photo; the grid covers the photo
//! without the padding of its input.

use crate::maths::resample::SampleAxis;
use crate::model::input::Geometry;

/// The grid of cells over the photo, without the padding.
pub(super) struct CellGrid {
    /// Cells along the photo's width.
    pub width: usize,
    /// Cells along the photo's height.
    pub height: usize,
    /// Centres of the columns of cells, in patches from the left edge of the patch grid.
    pub x: SampleAxis,
    /// Centres of the rows of cells, in patches from the upper edge of the patch grid.
    pub y: SampleAxis,
    /// Cells along the side of a patch, and so of a tile.
    cells_per_patch: usize,
}

impl CellGrid {
    /// The grid over the photo of `geometry`.
    pub fn new(geometry: &Geometry, cells_per_patch: usize) -> Self {
        let p = geometry.patch_size as f32;
        let grid = geometry.grid();
        let axis = |photo: u32, resized: u32, pad: u32, patches: usize| {
            let cells = (resized as usize * cells_per_patch).div_ceil(geometry.patch_size);
            let cells = cells.min(photo as usize).max(1);
            let place = |i| (i as f32 + 0.5) * resized as f32 / cells as f32 + pad as f32;
            SampleAxis {
                cells: patches,
                positions: (0..cells).map(|i| place(i) / p).collect(),
            }
        };
        let x = axis(
            geometry.photo.0,
            geometry.resized.0,
            geometry.pad_left,
            grid.cols,
        );
        let y = axis(
            geometry.photo.1,
            geometry.resized.1,
            geometry.pad_top,
            grid.rows,
        );
        Self {
            width: x.positions.len(),
            height: y.positions.len(),
            x,
            y,
            cells_per_patch,
        }
    }
}

/// Squares of cells, about as large as a patch, that share a list of candidate classes.
pub(super) struct TileGrid {
    side: usize,
    columns: usize,
    rows: usize,
}

impl TileGrid {
    /// The tiles over `cells`.
    pub fn new(cells: &CellGrid) -> Self {
        Self {
            side: cells.cells_per_patch,
            columns: cells.width.div_ceil(cells.cells_per_patch),
            rows: cells.height.div_ceil(cells.cells_per_patch),
        }
    }

    /// The column of tiles that holds the cell column `x`.
    pub fn column(&self, x: usize) -> usize {
        x / self.side
    }

    /// The index, row by row, of the tile that holds the cell at column `x` and row `y`.
    pub fn index_of(&self, x: usize, y: usize) -> usize {
        y / self.side * self.columns + x / self.side
    }

    /// Whether each tile has one of `cells` (indices into a grid of `width` cells a row) within `reach` cells of it,
    /// rounded up to whole tiles.
    pub fn tiles_near(&self, cells: &[usize], width: usize, reach: usize) -> Vec<bool> {
        let mut here = vec![false; self.columns * self.rows];
        for &cell in cells {
            here[self.index_of(cell % width, cell / width)] = true;
        }
        let reach = reach.div_ceil(self.side);
        let span = |at: usize, side: usize| at.saturating_sub(reach)..(at + reach + 1).min(side);
        let near = |i: usize| {
            span(i / self.columns, self.rows)
                .any(|y| span(i % self.columns, self.columns).any(|x| here[y * self.columns + x]))
        };
        (0..here.len()).map(near).collect()
    }
}

/// The least or largest value (`pick` is `f32::min` or `f32::max`) in the window around each cell of `plane`
/// `[height, width]`, which reaches `radius` cells from its middle.
pub(super) fn window_extremes(
    plane: &[f32],
    width: usize,
    radius: usize,
    pick: fn(f32, f32) -> f32,
) -> Vec<f32> {
    let height = plane.len() / width;
    let window = |at: usize, side: usize| at.saturating_sub(radius)..(at + radius + 1).min(side);
    let lines: Vec<f32> = (0..plane.len())
        .map(|i| {
            let row = &plane[i / width * width..][..width];
            let near = row[window(i % width, width)].iter().copied();
            near.reduce(pick).unwrap_or(plane[i])
        })
        .collect();
    (0..plane.len())
        .map(|i| {
            let near = window(i / width, height).map(|y| lines[y * width + i % width]);
            near.reduce(pick).unwrap_or(plane[i])
        })
        .collect()
}
