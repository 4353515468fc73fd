//! The guide: the image to whose edges borders are fitted. Where the clip does not change it is a running mean of
//! frames, so that borders do not tremble with their noise.
//!
//! In: RGB frames in order. Out: the guide of each frame, and how much its squares of 8 x 8 pixels changed.

use image::RgbImage;
use rayon::prelude::*;

use crate::model::input::{Geometry, PatchGrid};
use crate::tasks::clip::state::NamedVectors;

/// Side, in pixels, of the squares whose change is measured.
const SQUARE_SIDE: usize = 8;

/// Mean absolute differences, of 255, up to which a square counts as unchanged, and from which on as changed entirely.
/// Noise with a standard deviation of 5 gives a mean difference of 4 to 6.
const CHANGE_BOUNDS: [f32; 2] = [9.0, 16.0];

/// The share of the new frame in the guide where a square is unchanged.
const NEW_FRAME_SHARE: f32 = 0.125;

/// How much each square of a frame changed, row by row, from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct SquareChanges {
    cols: usize,
    values: Vec<f32>,
}

impl SquareChanges {
    /// The change of each patch, `[rows * cols]`, from 0 to 1: twice the mean of its squares, since what moves rarely
    /// fills a patch. A patch without the centre of a square, such as padding, has the change of the patch before it.
    pub fn per_patch(&self, geometry: &Geometry) -> Vec<f32> {
        let PatchGrid { rows, cols } = geometry.grid();
        let places = |places: Vec<f32>| -> Vec<f32> {
            let centres = places.chunks(SQUARE_SIDE);
            centres.map(|square| square[square.len() / 2]).collect()
        };
        let (xs, ys) = (
            places(geometry.column_positions()),
            places(geometry.row_positions()),
        );
        let mut sums = vec![(0f32, 0f32); rows * cols];
        for (y, squares) in ys.iter().zip(self.values.chunks(self.cols.max(1))) {
            for (x, change) in xs.iter().zip(squares) {
                let patch = (*y as usize).min(rows.saturating_sub(1)) * cols
                    + (*x as usize).min(cols.saturating_sub(1));
                if let Some(sum) = sums.get_mut(patch) {
                    *sum = (sum.0 + change, sum.1 + 1.0);
                }
            }
        }
        let mut last = 0.0;
        let values = sums.into_iter().map(|(sum, count)| {
            if count > 0.0 {
                last = (2.0 * sum / count).min(1.0);
            }
            last
        });
        values.collect()
    }
}

/// The running guide of a clip.
#[derive(Debug, Default)]
pub struct RunningGuide {
    last: Option<RgbImage>,
}

impl RunningGuide {
    /// The guide for the next frame, and how much the frame changed from the guide before; at a cut the frame is the
    /// guide.
    pub fn update(&mut self, frame: &RgbImage, is_cut: bool) -> (RgbImage, SquareChanges) {
        let mut guide = match self.last.take() {
            Some(last) if !is_cut && last.dimensions() == frame.dimensions() => last,
            _ => frame.clone(),
        };
        let row = 3 * frame.width() as usize;
        let cols = row.div_ceil(3 * SQUARE_SIDE).max(1);
        let mut values = vec![0f32; cols * (frame.height() as usize).div_ceil(SQUARE_SIDE)];
        let bands = guide.par_chunks_mut((SQUARE_SIDE * row).max(1));
        let bands = bands.zip(frame.as_raw().par_chunks((SQUARE_SIDE * row).max(1)));
        let bands = bands.zip(values.par_chunks_mut(cols));
        bands.for_each(|((guide, frame), changes)| blend_rows(guide, frame, row, changes));
        self.last = Some(guide.clone());
        (guide, SquareChanges { cols, values })
    }

    /// The state after the frames so far.
    pub fn state(&self) -> NamedVectors {
        let mut state = NamedVectors::default();
        if let Some(last) = &self.last {
            let values: Vec<f32> = last
                .as_raw()
                .iter()
                .map(|value| f32::from(*value))
                .collect();
            state.put("size", &[last.width() as f32, last.height() as f32]);
            state.put("guide", &values);
        }
        state
    }

    /// Sets the state that [`RunningGuide::state`] returned.
    pub fn restore(&mut self, state: &NamedVectors) {
        let (Some(&[width, height]), Some(values)) = (state.get("size"), state.get("guide")) else {
            return;
        };
        let values = values.iter().map(|value| *value as u8).collect();
        self.last = RgbImage::from_raw(width as u32, height as u32, values);
    }
}

/// Moves a band of the guide, of `row` values a line, towards the frame's, and sets how much each of its squares
/// changed.
fn blend_rows(guide: &mut [u8], frame: &[u8], row: usize, changes: &mut [f32]) {
    let rows = guide.len() / row.max(1);
    for (left, square) in (0..row).step_by(3 * SQUARE_SIDE).zip(changes) {
        let span = left..(left + 3 * SQUARE_SIDE).min(row);
        let lines = (0..rows).map(|line| span.start + line * row..span.end + line * row);
        let differences = lines
            .clone()
            .flat_map(|line| guide[line.clone()].iter().zip(&frame[line]));
        let sum: u32 = differences.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = sum as f32 / (rows * span.len()).max(1) as f32;
        let [same, other] = CHANGE_BOUNDS;
        let change = ((mean - same) / (other - same)).clamp(0.0, 1.0);
        *square = change;
        let share = NEW_FRAME_SHARE + change * (1.0 - NEW_FRAME_SHARE);
        for line in lines {
            for (guide, new) in guide[line.clone()].iter_mut().zip(&frame[line]) {
                let step = share * (f32::from(*new) - f32::from(*guide));
                *guide = (f32::from(*guide) + step).round() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn what_stays_keeps_its_edges_and_what_changes_is_seen_at_once() {
        let frame = |left: u8, right: u8| {
            RgbImage::from_fn(30, 13, |x, _| Rgb([if x < 16 { left } else { right }; 3]))
        };
        let mut guide = RunningGuide::default();
        let (first, changes) = guide.update(&frame(100, 10), false);
        assert_eq!((first, changes.values), (frame(100, 10), vec![0.0; 8]));
        // 8 of noise move it by 1, 100 of change by all of it.
        let (next, changes) = guide.update(&frame(108, 110), false);
        assert_eq!(next, frame(101, 110));
        assert_eq!(changes.values, [0.0, 0.0, 1.0, 1.0].repeat(2));
        let mut gone_on = RunningGuide::default();
        gone_on.restore(&guide.state());
        let last = frame(90, 110);
        assert_eq!(gone_on.update(&last, false), guide.update(&last, false));
        assert_eq!(guide.update(&frame(99, 99), true).0, frame(99, 99));
    }
}
