//! Upsampling of a map over the patch grid to every pixel of the photo, row by row, into the bytes of a picture: the
//! upsampled map itself is never in memory.

use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::{SampleAxis, mix_rows, tap_runs};
use crate::model::input::{Geometry, PatchGrid};
use crate::system::memory::try_vec;

/// The interpolation of values between patch centres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upscale {
    /// The value of the patch that the pixel lies in.
    Nearest,
    /// Bilinear between patch centres (half-pixel centres, edges clamped).
    Bilinear,
}

/// Samples `map` `[rows * cols, k]` at every pixel of the photo of `geometry`. `paint` gets the samples of a row of
/// pixels, channel by channel (`[k, width]`), and the row's bytes (`[width, 3]`); the result is `[height, width, 3]`.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the result does not fit.
pub fn upscale_rows(
    map: &[f32],
    k: usize,
    geometry: &Geometry,
    upscale: Upscale,
    paint: impl Fn(&[f32], &mut [u8]) + Sync,
) -> Result<Vec<u8>> {
    let PatchGrid { rows, cols } = geometry.grid();
    assert_eq!(map.len(), rows * cols * k, "a map is rows x cols x k");
    let taps = |places, cells| {
        let axis = SampleAxis {
            cells,
            positions: places,
        };
        match upscale {
            Upscale::Nearest => axis.nearest(),
            Upscale::Bilinear => axis.bilinear(),
        }
    };
    let x_taps = taps(geometry.column_positions(), cols);
    let y_taps = taps(geometry.row_positions(), rows);
    let width = x_taps.len();
    let runs = tap_runs(&x_taps);
    let mut bytes = try_vec(0u8, y_taps.len() * width * 3)?;
    bytes
        .par_chunks_exact_mut((width * 3).max(1))
        .zip(&y_taps)
        .for_each_init(
            || (vec![0f32; cols * k], vec![0f32; k * width]),
            |(line, samples), (out, y)| {
                let row = |y: usize| &map[y * cols * k..][..cols * k];
                mix_rows(line, row(y.low), row(y.high), y.weight);
                for (channel, samples) in samples.chunks_exact_mut(width).enumerate() {
                    for run in &runs {
                        let start = line[run.low * k + channel];
                        let slope = line[run.high * k + channel] - start;
                        let samples = samples[run.samples.clone()].iter_mut();
                        for (sample, weight) in samples.zip(&run.weights) {
                            *sample = start + slope * weight;
                        }
                    }
                }
                paint(samples, out);
            },
        );
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::SizeRule;

    fn grey(samples: &[f32], out: &mut [u8]) {
        for (sample, rgb) in samples.iter().zip(out.chunks_exact_mut(3)) {
            rgb.fill(*sample as u8);
        }
    }

    #[test]
    fn nearest_repeats_patches() {
        let geometry = Geometry::new((4, 2), SizeRule::Native, 2);
        let bytes = upscale_rows(&[10.0, 20.0], 1, &geometry, Upscale::Nearest, grey).unwrap();
        assert_eq!(bytes, [[10u8; 6], [20; 6]].concat().repeat(2));
    }

    #[test]
    fn bilinear_is_exact_between_centres() {
        let geometry = Geometry::new((4, 2), SizeRule::Native, 2);
        let bytes = upscale_rows(&[0.0, 100.0], 1, &geometry, Upscale::Bilinear, grey).unwrap();
        // Pixel centres at 0.5, 1.5, 2.5, 3.5; patch centres at 1 and 3.
        assert_eq!(
            bytes[..12].iter().step_by(3).copied().collect::<Vec<_>>(),
            [0, 25, 75, 100]
        );
    }
}
