//! The surroundings of a patch: means over the square of patches around it (box means).
//!
//! A mean of tokens commutes with a linear layer, so heads take means of scores, which are fewer numbers per patch.

use rayon::prelude::*;

use crate::model::input::PatchGrid;

/// Sides of squares that heads can read, in patches; odd ones only.
pub const ALLOWED_SIDES: std::ops::RangeInclusive<usize> = 3..=63;

/// What is wrong with the sides of a head's squares, as the end of a message; `None` if nothing is.
pub fn find_sides_problem(sides: &[usize]) -> Option<String> {
    let sound = |side: &usize| ALLOWED_SIDES.contains(side) && side % 2 == 1;
    (!sides.iter().all(sound) || !sides.is_sorted_by(|a, b| a < b)).then(|| {
        format!(
            "{sides:?}; expected rising odd numbers of patches from {} to {}",
            ALLOWED_SIDES.start(),
            ALLOWED_SIDES.end()
        )
    })
}

/// For every cell of `grid`, writes the mean over the square of `side` by `side` cells around it, without the part
/// beyond the grid. `values` and `out` are `[rows * cols, k]`.
pub fn box_means(values: &[f32], k: usize, grid: PatchGrid, side: usize, out: &mut [f32]) {
    let reach = side / 2;
    let line = grid.cols * k;
    out.par_chunks_exact_mut(line).enumerate().for_each_init(
        || vec![0f32; line],
        |column, (row, out)| {
            let rows = window_range(row, reach, grid.rows);
            column.fill(0.0);
            for line in values[rows.start * line..rows.end * line].chunks_exact(line) {
                add(column, line);
            }
            for (col, out) in out.chunks_exact_mut(k).enumerate() {
                let cols = window_range(col, reach, grid.cols);
                out.fill(0.0);
                for cell in column[cols.start * k..cols.end * k].chunks_exact(k) {
                    add(out, cell);
                }
                let scale = 1.0 / (rows.len() * cols.len()) as f32;
                out.iter_mut().for_each(|v| *v *= scale);
            }
        },
    );
}

/// Adds the [`box_means`] of `values` to `sum`, both `[rows * cols, k]`.
pub fn add_box_means(sum: &mut [f32], values: &[f32], k: usize, grid: PatchGrid, side: usize) {
    let mut out = vec![0f32; values.len()];
    box_means(values, k, grid, side, &mut out);
    add(sum, &out);
}

/// The indices within `reach` of `at` and below `end`.
fn window_range(at: usize, reach: usize, end: usize) -> std::ops::Range<usize> {
    at.saturating_sub(reach)..(at + reach + 1).min(end)
}

/// `sum += values`.
fn add(sum: &mut [f32], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_end_with_the_grid() {
        let grid = PatchGrid { rows: 3, cols: 4 };
        // Two numbers a cell: its index, and one.
        let values: Vec<f32> = (0..12).flat_map(|i| [i as f32, 1.0]).collect();
        let of_side = |side| {
            let mut out = vec![9f32; values.len()];
            box_means(&values, 2, grid, side, &mut out);
            out
        };
        let three = of_side(3);
        let of = |row: usize, col: usize| three[2 * (row * 4 + col)];
        assert_eq!(of(0, 0), (0.0 + 1.0 + 4.0 + 5.0) / 4.0);
        assert_eq!(of(1, 1), 5.0);
        assert_eq!(of(2, 3), (6.0 + 7.0 + 10.0 + 11.0) / 4.0);
        assert!(
            three
                .iter()
                .skip(1)
                .step_by(2)
                .all(|v| (v - 1.0).abs() < 1e-6)
        );
        // A square beyond the grid on all sides is the grid.
        let all = of_side(9);
        assert!(all.iter().step_by(2).all(|v| (v - 5.5).abs() < 1e-6));
    }

    #[test]
    fn sides_are_odd_and_rise() {
        assert_eq!(find_sides_problem(&[]), None);
        assert_eq!(find_sides_problem(&[3, 7]), None);
        for bad in [&[1][..], &[4], &[7, 3], &[3, 3], &[65]] {
            assert!(find_sides_problem(bad).is_some(), "{bad:?}");
        }
    }
}
