//! Convolutions and upsampling of feature maps `[1, C, H, W]`, for the DPT head.
//!
//! On a GPU candle computes them. On a CPU a strip of rows at a time becomes a matrix product (im2col) on all threads,
//! which is four times as fast as candle's and needs bounded memory.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::error::Result;
use crate::maths::matrix::{Matrix, matmul};
use crate::maths::resample::{LinearTaps, mix_rows};
use crate::model::backbone::tensor_source::with_floats;

/// Numbers of a strip's im2col matrix: 16 MB.
const STRIP: usize = 4 << 20;

/// Channels, rows and columns of a feature map.
pub type FeatureMapShape = (usize, usize, usize);

/// The convolution of `x` `[1, C, H, W]` with `weight` `[outputs, C, side, side]`, without a bias.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) if the shapes do not fit, or the device fails.
pub fn conv2d(x: &Tensor, weight: &Tensor, padding: usize, stride: usize) -> Result<Tensor> {
    let (_, channels, rows, cols) = x.dims4()?;
    let (outputs, _, side, _) = weight.dims4()?;
    let is_plain = (side, padding, stride) == (3, 1, 1) && x.dtype() == DType::F32;
    if !is_plain || !matches!(x.device(), Device::Cpu) {
        return Ok(x.conv2d(weight, padding, stride, 1, 1)?);
    }
    let shape = (channels, rows, cols);
    let out = with_floats(x, |x| {
        with_floats(weight, |weight| conv3x3(x, shape, weight))
    })??;
    Ok(Tensor::from_vec(
        out,
        (1, outputs, rows, cols),
        &Device::Cpu,
    )?)
}

/// The convolution of `x` `[channels, rows, cols]`, padded with one zero on each side, with `weight`
/// `[outputs, channels, 3, 3]`: `[outputs, rows, cols]`.
pub fn conv3x3(x: &[f32], (channels, rows, cols): FeatureMapShape, weight: &[f32]) -> Vec<f32> {
    let taps = channels * 9;
    let outputs = weight.len() / taps;
    let weight = Matrix::new(weight, outputs, taps);
    let plane = rows * cols;
    let mut out = vec![0f32; outputs * plane];
    let strip_rows = (STRIP / (taps * cols).max(1)).clamp(1, rows.max(1));
    let mut neighbours = vec![0f32; taps * strip_rows * cols];
    let mut products = vec![0f32; outputs * strip_rows * cols];
    for first in (0..rows).step_by(strip_rows) {
        let strip = first..(first + strip_rows).min(rows);
        let pixels = strip.len() * cols;
        let neighbours = &mut neighbours[..taps * pixels];
        // One line for each channel and each of the nine neighbours.
        let lines = neighbours.par_chunks_exact_mut(pixels).enumerate();
        lines.for_each(|(tap, line)| {
            let (channel, down, across) = (tap / 9, tap % 9 / 3, tap % 3);
            let plane = &x[channel * plane..][..plane];
            for (row, to) in strip.clone().zip(line.chunks_exact_mut(cols)) {
                let from = (row + down).checked_sub(1).filter(|row| *row < rows);
                copy_shifted_row(from.map(|row| &plane[row * cols..][..cols]), across, to);
            }
        });
        let products = &mut products[..outputs * pixels];
        matmul(
            products,
            weight,
            Matrix::new(neighbours, taps, pixels),
            false,
        );
        out.par_chunks_exact_mut(plane)
            .zip(products.par_chunks_exact(pixels))
            .for_each(|(plane, product)| plane[first * cols..][..pixels].copy_from_slice(product));
    }
    out
}

/// Copies a row moved by one column to the right (`across` 0), not at all (1), or to the left (2), with a zero in the
/// free column; `None` is a row of zeros.
fn copy_shifted_row(row: Option<&[f32]>, across: usize, to: &mut [f32]) {
    let last = to.len() - 1;
    match (row, across) {
        (None, _) => to.fill(0.0),
        (Some(row), 0) => {
            to[0] = 0.0;
            to[1..].copy_from_slice(&row[..last]);
        }
        (Some(row), 1) => to.copy_from_slice(row),
        (Some(row), _) => {
            to[..last].copy_from_slice(&row[1..]);
            to[last] = 0.0;
        }
    }
}

/// Bilinear upsampling of `x` `[1, C, H, W]` to twice the rows and columns, with `align_corners=True`.
pub fn upsample_2x(x: &Tensor) -> Result<Tensor> {
    let (_, _, rows, cols) = x.dims4()?;
    resize_bilinear(x, (2 * rows, 2 * cols))
}

/// Bilinear resizing of `x` `[1, C, H, W]` to `height` rows and `width` columns, with `align_corners=True`.
pub fn resize_bilinear(x: &Tensor, (height, width): (usize, usize)) -> Result<Tensor> {
    let (_, channels, rows, cols) = x.dims4()?;
    if !matches!(x.device(), Device::Cpu) || x.dtype() != DType::F32 {
        return Ok(x.upsample_bilinear2d(height, width, true)?);
    }
    let shape = (channels, rows, cols);
    let out = with_floats(x, |x| {
        resize_bilinear_rows(x, shape, (height, width), 0..height)
    })?;
    let shape = (1, channels, height, width);
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}

/// The rows `wanted` of `x` resized to (`height`, `width`) as by [`resize_bilinear`]: `[channels, wanted, width]`.
pub fn resize_bilinear_rows(
    x: &[f32],
    (channels, rows, cols): FeatureMapShape,
    (height, width): (usize, usize),
    wanted: Range<usize>,
) -> Vec<f32> {
    let (y, x_taps) = (
        align_corners_taps(rows, height),
        align_corners_taps(cols, width),
    );
    let mut out = vec![0f32; channels * wanted.len() * width];
    out.par_chunks_exact_mut((wanted.len() * width).max(1))
        .zip(x.par_chunks_exact((rows * cols).max(1)))
        .for_each_init(
            || vec![0f32; cols],
            |line, (out, plane)| {
                for (out, y) in out.chunks_exact_mut(width).zip(&y[wanted.clone()]) {
                    let row = |row: usize| &plane[row * cols..][..cols];
                    mix_rows(line, row(y.low), row(y.high), y.weight);
                    for (out, x) in out.iter_mut().zip(&x_taps) {
                        *out = line[x.low] + (line[x.high] - line[x.low]) * x.weight;
                    }
                }
            },
        );
    out
}

/// The taps of `samples` positions on `cells`, the first and last on the first and last cell (`align_corners=True`).
fn align_corners_taps(cells: usize, samples: usize) -> Vec<LinearTaps> {
    let scale = (cells - 1) as f64 / (samples - 1).max(1) as f64;
    let one = |i: usize| {
        let place = i as f64 * scale;
        let low = (place as usize).min(cells - 1);
        LinearTaps {
            low,
            high: (low + 1).min(cells - 1),
            weight: (place - low as f64) as f32,
        }
    };
    (0..samples).map(one).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn noise(count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(count as u64);
        (0..count).map(|_| random.f32() - 0.5).collect()
    }

    fn tensor(shape: (usize, usize, usize, usize)) -> Tensor {
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        Tensor::from_vec(noise(count), shape, &Device::Cpu).unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let off = (a - b).unwrap().abs().unwrap();
        off.flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar()
            .unwrap()
    }

    #[test]
    fn convolutions_are_candles() {
        // The last is more than one strip.
        for (channels, outputs, rows, cols) in [
            (3, 5, 7, 6),
            (1, 1, 1, 1),
            (2, 3, 1, 4),
            (2, 1, 5, 1),
            (40, 8, 300, 90),
        ] {
            let (x, weight) = (
                tensor((1, channels, rows, cols)),
                tensor((outputs, channels, 3, 3)),
            );
            let expected = x.conv2d(&weight, 1, 1, 1, 1).unwrap();
            let off = apart(&conv2d(&x, &weight, 1, 1).unwrap(), &expected);
            assert!(off < 1e-4, "{channels} {outputs} {rows} {cols}: {off:e}");
        }
    }

    #[test]
    fn upsampling_is_candles_and_may_be_had_in_parts() {
        for (rows, cols) in [(4, 7), (1, 3), (5, 1)] {
            let x = tensor((1, 3, rows, cols));
            // The last is neither twice as fine nor of one shape.
            for (height, width) in [(2 * rows, 2 * cols), (14 * rows, 3 * cols)] {
                let expected = x.upsample_bilinear2d(height, width, true).unwrap();
                let found = resize_bilinear(&x, (height, width)).unwrap();
                assert!(apart(&found, &expected) < 1e-6);
                let part = with_floats(&x, |x| {
                    resize_bilinear_rows(x, (3, rows, cols), (height, width), 1..2)
                });
                let shape = (1, 3, 1, width);
                let part = Tensor::from_vec(part.unwrap(), shape, &Device::Cpu).unwrap();
                assert!(apart(&part, &expected.narrow(2, 1, 1).unwrap()) < 1e-6);
            }
            let twice = upsample_2x(&x).unwrap();
            assert_eq!(twice.dims(), [1, 3, 2 * rows, 2 * cols]);
        }
    }
}
