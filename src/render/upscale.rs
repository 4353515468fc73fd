//! A map over the patch grid is sampled at every pixel of the photo, row by row, without building the
//! upsampled map.

use rayon::prelude::*;

use crate::backbone::Grid;
use crate::preprocess::Geometry;

/// How values between patch centres are made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upscale {
    /// The patch that the pixel lies in.
    Nearest,
    /// Bilinear between patch centres (half-pixel centres, edges clamped).
    Bilinear,
}

/// Two neighbouring grid lines and the weight of the second.
#[derive(Debug, Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
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
    let x_taps = taps(&geometry.columns(), cols, upscale);
    let y_taps = taps(&geometry.rows(), rows, upscale);
    let mut bytes = vec![0u8; y_taps.len() * x_taps.len() * 3];
    bytes
        .par_chunks_exact_mut(x_taps.len() * 3)
        .zip(&y_taps)
        .for_each_init(
            || (vec![0f32; cols * k], vec![0f32; k]),
            |(line, pixel), (out, y)| {
                let (upper, lower) = (
                    &map[y.low * cols * k..][..cols * k],
                    &map[y.high * cols * k..][..cols * k],
                );
                for ((l, &a), &b) in line.iter_mut().zip(upper).zip(lower) {
                    *l = a + (b - a) * y.weight;
                }
                for (rgb, x) in out.chunks_exact_mut(3).zip(&x_taps) {
                    let (left, right) = (&line[x.low * k..][..k], &line[x.high * k..][..k]);
                    for ((p, &a), &b) in pixel.iter_mut().zip(left).zip(right) {
                        *p = a + (b - a) * x.weight;
                    }
                    paint(pixel, rgb);
                }
            },
        );
    bytes
}

/// `positions` are in patches from the edge: patch `i` covers `[i, i + 1)`.
fn taps(positions: &[f32], count: usize, upscale: Upscale) -> Vec<Tap> {
    let last = count - 1;
    positions
        .iter()
        .map(|&position| match upscale {
            Upscale::Nearest => {
                let low = (position as usize).min(last);
                Tap {
                    low,
                    high: low,
                    weight: 0.0,
                }
            }
            Upscale::Bilinear => {
                let centre = (position - 0.5).clamp(0.0, last as f32);
                let low = centre as usize;
                Tap {
                    low,
                    high: (low + 1).min(last),
                    weight: centre - low as f32,
                }
            }
        })
        .collect()
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
