//! Linear coefficients at the cells, mixed between them and applied to the photo's colours, a row of pixels at a time.
//!
//! These are the inner loops of all three refinements.

use std::ops::Range;

use crate::maths::resample::{LinearTaps, mix_rows};
use crate::vision::postprocess::guided::{Guide, LinearCoefficients};

/// Up to this many pixels per cell along a row, the colours of the cells replace those of single pixels, whose noise
/// would make borders ragged; borders are then at most two pixels off. In larger photos the noise of single pixels is
/// too fine to be visible.
const SOFT_PIXELS: usize = 4;

/// The colours that coefficients are applied to, of one row of pixels; a buffer that a thread keeps from row to row.
#[derive(Default)]
pub(super) struct PhotoColors {
    /// Red, green and blue of the row's pixels, 0..1.
    pub channels: [Vec<f32>; 3],
    /// One channel of a row of cells.
    cells: Vec<f32>,
}

impl PhotoColors {
    /// Loads the row of pixels `rgb`, which lies at `y` of the cells: its own colours, or, up to [`SOFT_PIXELS`] pixels
    /// per cell, those of the cells, mixed bilinearly.
    pub fn load(&mut self, guide: &Guide, x_taps: &[LinearTaps], y: &LinearTaps, rgb: &[u8]) {
        if x_taps.len() > SOFT_PIXELS * guide.width {
            for (channel, plane) in self.channels.iter_mut().enumerate() {
                plane.clear();
                let values = rgb.as_chunks::<3>().0.iter();
                plane.extend(values.map(|rgb| f32::from(rgb[channel]) * (1.0 / 255.0)));
            }
            return;
        }
        for (plane, cells) in self.channels.iter_mut().zip(&guide.colors) {
            let row = |y: usize| &cells[y * guide.width..][..guide.width];
            self.cells.resize(guide.width, 0.0);
            mix_rows(&mut self.cells, row(y.low), row(y.high), y.weight);
            let cells = &self.cells;
            plane.clear();
            plane.extend(
                x_taps
                    .iter()
                    .map(|x| cells[x.low] + (cells[x.high] - cells[x.low]) * x.weight),
            );
        }
    }

    /// Red, green and blue of the pixels `samples` of the row.
    pub fn slice(&self, samples: &Range<usize>) -> [&[f32]; 3] {
        self.channels.each_ref().map(|c| &c[samples.clone()])
    }
}

/// Mixes the two rows of `map` (`width` cells a row) that a row of pixels at `y` lies between into `line`, in the cell
/// columns `columns`.
pub(super) fn mix_cell_rows<const N: usize>(
    line: &mut Vec<[f32; N]>,
    map: &[[f32; N]],
    width: usize,
    columns: Range<usize>,
    y: &LinearTaps,
) {
    let row = |y: usize| &map[y * width..][columns.clone()];
    line.clear();
    line.extend(
        row(y.low)
            .iter()
            .zip(row(y.high))
            .map(|(a, b)| mix(a, b, y.weight)),
    );
}

/// `a + (b - a) * weight`, component by component.
pub(super) fn mix<const N: usize>(a: &[f32; N], b: &[f32; N], weight: f32) -> [f32; N] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * weight)
}

/// The map's value at a pixel with the colour `rgb`.
pub(super) fn apply_linear(linear: &LinearCoefficients, rgb: &[u8]) -> f32 {
    let color = |c: usize| linear[c] * (f32::from(rgb[c]) * (1.0 / 255.0));
    color(0) + color(1) + color(2) + linear[3]
}

/// The map's values at the pixels between the cells `low` and `high`: at each of `weights`, 0 at `low` to 1 at `high`,
/// the mixed coefficients applied to that pixel's colour (0..1).
pub(super) fn apply_linear_run(
    out: &mut [f32],
    low: &LinearCoefficients,
    high: &LinearCoefficients,
    weights: &[f32],
    [red, green, blue]: [&[f32]; 3],
) {
    let step: LinearCoefficients = std::array::from_fn(|i| high[i] - low[i]);
    let colors = red.iter().zip(green).zip(blue);
    for ((out, w), ((r, g), b)) in out.iter_mut().zip(weights).zip(colors) {
        let at = |i: usize| low[i] + step[i] * w;
        *out = at(0) * r + at(1) * g + at(2) * b + at(3);
    }
}
