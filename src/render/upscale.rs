//! A map over the patch grid is sampled at every pixel of the photo, row by row, without building the
//! upsampled map.

use rayon::prelude::*;

use crate::backbone::Grid;
use crate::postprocess::sample::{Axis, Taps, mix_rows};
use crate::preprocess::Geometry;

/// How values between patch centres are made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upscale {
    /// The patch that the pixel lies in.
    Nearest,
    /// Bilinear between patch centres (half-pixel centres, edges clamped).
    Bilinear,
}

/// Samples `map` `[rows * cols, k]` at every pixel of the photo that `geometry` came from. `paint` gets the
/// `k` values of a pixel and its three bytes; the result is `[height, width, 3]`.
pub fn upscale_rows(
    map: &[f32],
    k: usize,
    geometry: &Geometry,
    upscale: Upscale,
    paint: impl Fn(&[f32], &mut [u8]) + Sync,
) -> Vec<u8> {
    let Grid { rows, cols } = geometry.grid();
    assert_eq!(map.len(), rows * cols * k, "a map is rows x cols x k");
    let taps = |places, cells| {
        let axis = Axis { cells, places };
        match upscale {
            Upscale::Nearest => axis.nearest(),
            Upscale::Bilinear => axis.bilinear(),
        }
    };
    let x_taps = taps(geometry.columns(), cols);
    let y_taps = taps(geometry.rows(), rows);
    let mut bytes = vec![0u8; y_taps.len() * x_taps.len() * 3];
    bytes
        .par_chunks_exact_mut(x_taps.len() * 3)
        .zip(&y_taps)
        .for_each_init(
            || vec![0f32; cols * k],
            |line, (out, y)| {
                let row = |y: usize| &map[y * cols * k..][..cols * k];
                mix_rows(line, row(y.low), row(y.high), y.weight);
                // The widths that pictures have get loops of their own: twice as fast.
                match k {
                    1 => paint_line(out, line.as_chunks::<1>().0, &x_taps, &paint),
                    2 => paint_line(out, line.as_chunks::<2>().0, &x_taps, &paint),
                    4 => paint_line(out, line.as_chunks::<4>().0, &x_taps, &paint),
                    _ => {
                        let mut pixel = vec![0f32; k];
                        for (rgb, x) in out.chunks_exact_mut(3).zip(&x_taps) {
                            let (low, high) = (&line[x.low * k..], &line[x.high * k..]);
                            mix_rows(&mut pixel, low, high, x.weight);
                            paint(&pixel, rgb);
                        }
                    }
                }
            },
        );
    bytes
}

/// One line of pixels, from cells of `K` values.
fn paint_line<const K: usize>(
    out: &mut [u8],
    cells: &[[f32; K]],
    taps: &[Taps],
    paint: &impl Fn(&[f32], &mut [u8]),
) {
    for (rgb, x) in out.chunks_exact_mut(3).zip(taps) {
        let mut pixel = [0f32; K];
        mix_rows(&mut pixel, &cells[x.low], &cells[x.high], x.weight);
        paint(&pixel, rgb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::SizeRule;

    #[test]
    fn nearest_repeats_patches() {
        let geometry = Geometry::new((4, 2), SizeRule::Native, 2);
        let bytes = upscale_rows(&[10.0, 20.0], 1, &geometry, Upscale::Nearest, |v, rgb| {
            rgb.fill(v[0] as u8)
        });
        assert_eq!(bytes, [[10u8; 6], [20; 6]].concat().repeat(2));
    }

    #[test]
    fn bilinear_is_exact_between_centres() {
        let geometry = Geometry::new((4, 2), SizeRule::Native, 2);
        let bytes = upscale_rows(&[0.0, 100.0], 1, &geometry, Upscale::Bilinear, |v, rgb| {
            rgb.fill(v[0] as u8)
        });
        // Pixel centres at 0.5, 1.5, 2.5, 3.5; patch centres at 1 and 3.
        assert_eq!(
            bytes[..12].iter().step_by(3).copied().collect::<Vec<_>>(),
            [0, 25, 75, 100]
        );
    }
}
