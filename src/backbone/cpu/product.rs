//! Matrix products: weights packed once, times a panel of tokens.

use rayon::prelude::*;

use super::panel::{ROW, WIDTH};
use super::pointwise;
use super::simd::{Line, Simd, dispatch};

/// Rows of a weight that lie side by side.
const GROUP: usize = 8;

/// Numbers of a row that are packed at a time.
const PIECE: usize = 64;

/// A layer's weight and bias, eight outputs side by side for each input, as the products read them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packed {
    outputs: usize,
    inputs: usize,
    weight: Vec<f32>, // [outputs / 8, inputs, 8]
    bias: Vec<f32>,   // [outputs], filled up to whole groups
}

impl Packed {
    /// Packs `weight` `[outputs, inputs]` and `bias`, each row times its `scale`.
    pub fn new(weight: &[f32], bias: &[f32], scale: impl Fn(usize) -> f32 + Sync) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs;
        let groups = outputs.div_ceil(GROUP);
        let mut packed = vec![0f32; groups * GROUP * inputs];
        let chunks = packed.par_chunks_exact_mut(GROUP * inputs).enumerate();
        chunks.for_each(|(group, packed)| {
            let first = group * GROUP;
            // Rows beyond the last stay zeros.
            let rows = weight[first * inputs..].chunks_exact(inputs).take(GROUP);
            let rows: Vec<_> = rows.zip((first..).map(&scale)).collect();
            // A piece of the rows at a time, so that what they are woven into stays in the first cache.
            for (piece, packed) in packed.chunks_mut(GROUP * PIECE).enumerate() {
                for (r, (row, scale)) in rows.iter().enumerate() {
                    let steps = packed.as_chunks_mut::<GROUP>().0.iter_mut();
                    for (to, value) in steps.zip(&row[piece * PIECE..]) {
                        to[r] = value * scale;
                    }
                }
            }
        });
        let mut bias: Vec<f32> = (0..outputs).map(|row| bias[row] * scale(row)).collect();
        bias.resize(groups * GROUP, 0.0);
        Self {
            outputs,
            inputs,
            weight: packed,
            bias,
        }
    }

    /// Features that come out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// What becomes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It is the result.
    Store,
    /// It is added to what is there.
    Add,
    /// Its exact GELU is the result.
    Gelu,
}

dispatch! {
    /// `weight * x + bias` for the first `lines` of each row of the panel `x`, finished into the panel `out`.
    linear(layer: &Packed, x: &[Line], out: &mut [Line], lines: usize, finish: Finish) = linear_body
}

#[inline(always)]
fn linear_body<S: Simd>(
    s: S,
    layer: &Packed,
    x: &[Line],
    out: &mut [Line],
    lines: usize,
    finish: Finish,
) {
    match (S::TILE, lines) {
        ((8, 3), 3) => groups::<S, 8, 3>(s, layer, x, out, 0, finish),
        ((8, 3), 2) => groups::<S, 8, 2>(s, layer, x, out, 0, finish),
        ((8, 3), _) => groups::<S, 8, 1>(s, layer, x, out, 0, finish),
        _ => (0..lines).for_each(|line| groups::<S, 4, 1>(s, layer, x, out, line, finish)),
    }
}

/// All outputs for `C` lines from `line` on, `R` rows at a time.
#[inline(always)]
fn groups<S: Simd, const R: usize, const C: usize>(
    s: S,
    layer: &Packed,
    x: &[Line],
    out: &mut [Line],
    line: usize,
    finish: Finish,
) {
    let inputs = layer.inputs;
    for (group, weight) in layer.weight.chunks_exact(GROUP * inputs).enumerate() {
        for first in (0..GROUP).step_by(R) {
            let output = group * GROUP + first;
            if output >= layer.outputs {
                break;
            }
            let mut start = [[s.splat(0.0); C]; R];
            for (row, start) in start.iter_mut().enumerate() {
                *start = [s.splat(layer.bias[output + row]); C];
            }
            let left = Left {
                values: &weight[first..],
                row: 1,
                step: GROUP,
                ahead: GROUP * inputs,
            };
            let sums = tile(s, start, inputs, left, &x[line..]);
            let rows = out[output * ROW..].chunks_mut(ROW);
            for (sums, to) in sums.into_iter().zip(rows.take(layer.outputs - output)) {
                for (sum, to) in sums.into_iter().zip(&mut to[line..]) {
                    let value = match finish {
                        Finish::Store => sum,
                        Finish::Add => s.add(sum, s.load(to)),
                        Finish::Gelu => pointwise::gelu(s, sum),
                    };
                    s.store(value, to);
                }
            }
        }
    }
}

/// The left side of a product: the number at row `r` and step `k` is `values[r * row + k * step]`.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// From its first number on.
    pub values: &'a [f32],
    /// From a row to the next.
    pub row: usize,
    /// From a step to the next.
    pub step: usize,
    /// How much further on the numbers lie that will be wanted after these.
    pub ahead: usize,
}

impl Left<'_> {
    /// From row `first` on, where rows are neighbours.
    #[inline(always)]
    pub fn from(self, first: usize) -> Self {
        Left {
            values: &self.values[first..],
            ..self
        }
    }
}

/// `sums + left * right` over `steps`; row `k` of `right` starts at its line `k * ROW`.
///
/// Like all kernels it has no closures: one would be compiled without the vector unit's instructions.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop)]
pub fn tile<S: Simd, const R: usize, const C: usize>(
    s: S,
    mut sums: [[S::V; C]; R],
    steps: usize,
    left: Left<'_>,
    right: &[Line],
) -> [[S::V; C]; R] {
    let Some(last) = steps.checked_sub(1) else {
        return sums;
    };
    assert!((R - 1) * left.row + last * left.step < left.values.len());
    assert!(last * ROW + C <= right.len());
    let (mut a, mut b) = (left.values.as_ptr(), right.as_ptr());
    for _ in 0..steps {
        // SAFETY: the assertions say that the furthest number and line read are within their slices; the pointers
        // are moved past them only by wrapping.
        unsafe {
            s.prefetch(a.wrapping_add(left.ahead));
            let mut lines = [s.splat(0.0); C];
            for c in 0..C {
                lines[c] = s.load(&*b.add(c));
            }
            for r in 0..R {
                let factor = s.splat(*a.add(r * left.row));
                for c in 0..C {
                    sums[r][c] = s.mul_add(factor, lines[c], sums[r][c]);
                }
            }
        }
        a = a.wrapping_add(left.step);
        b = b.wrapping_add(ROW);
    }
    sums
}

/// Keeps `WIDTH` and the tiles in step.
const _: () = assert!(WIDTH.is_multiple_of(GROUP));

#[cfg(test)]
mod tests {
    use super::super::simd::{Isa, LANES, flat, flat_mut};
    use super::super::{panel, testing};
    use super::*;

    #[test]
    fn every_unit_gives_the_product_that_f64_gives() {
        let (outputs, inputs) = (21, 37);
        let weight = testing::numbers(outputs * inputs, 1);
        let bias = testing::numbers(outputs, 2);
        let scale = |row: usize| 1.0 + row as f32 / 7.0;
        let layer = Packed::new(&weight, &bias, scale);
        let mut x = panel::empty(inputs);
        flat_mut(&mut x).copy_from_slice(&testing::numbers(inputs * WIDTH, 3));
        for isa in Isa::available() {
            for lines in 1..=ROW {
                for finish in [Finish::Store, Finish::Add, Finish::Gelu] {
                    let mut out = vec![Line([7.0; LANES]); outputs * ROW];
                    linear(isa, &layer, &x, &mut out, lines, finish);
                    for (at, &got) in flat(&out).iter().enumerate() {
                        let (row, lane) = (at / WIDTH, at % WIDTH);
                        let sum: f64 = (0..inputs)
                            .map(|k| {
                                let x = flat(&x)[k * WIDTH + lane];
                                f64::from(weight[row * inputs + k]) * f64::from(x)
                            })
                            .sum();
                        let sum = (sum + f64::from(bias[row])) * f64::from(scale(row));
                        let expected = match finish {
                            _ if lane >= lines * LANES => 7.0,
                            Finish::Store => sum,
                            Finish::Add => sum + 7.0,
                            Finish::Gelu => testing::gelu(sum),
                        };
                        let error = (f64::from(got) - expected).abs();
                        assert!(error < 1e-5, "{isa:?} {lines} {finish:?} {at}: {error:e}");
                    }
                }
            }
        }
    }
}
