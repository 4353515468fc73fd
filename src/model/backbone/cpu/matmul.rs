//! Linear layers: weights `[outputs, inputs]`, packed once, times a panel of tokens, with an epilogue.
//!
//! There are two loop orders around the [`microkernel`]: with AVX-512's many registers, all lines of a panel at once;
//! else one line at a time, blocked for the L1 and L2 caches as in BLIS.

use rayon::prelude::*;

use super::microkernel::{LhsPanel, microkernel};
use super::panel::ROW_LINES;
use super::pointwise;
use super::simd::{CacheLine, Isa, Simd, dispatch};

/// Inputs of a row that are packed at a time.
const PACK_DEPTH: usize = 64;

/// A linear layer with its weight packed for the micro-kernel: groups of as many outputs as a tile has rows, side by
/// side for each input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PackedLinear {
    outputs: usize,
    inputs: usize,
    weight: Vec<f32>, // [outputs / tile rows, inputs, tile rows]
    bias: Vec<f32>,   // [outputs], padded to whole groups with zeros
}

impl PackedLinear {
    /// Packs `weight` `[outputs, inputs]` and `bias` `[outputs]`, each row times its `scale`, for the vector unit
    /// `isa`.
    pub fn new(
        isa: Isa,
        weight: &[f32],
        bias: &[f32],
        scale: impl Fn(usize) -> f32 + Sync,
    ) -> Self {
        match isa.tile_rows() {
            8 => Self::pack_row_groups::<8>(weight, bias, scale),
            6 => Self::pack_row_groups::<6>(weight, bias, scale),
            _ => Self::pack_row_groups::<4>(weight, bias, scale),
        }
    }

    fn pack_row_groups<const R: usize>(
        weight: &[f32],
        bias: &[f32],
        scale: impl Fn(usize) -> f32 + Sync,
    ) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs;
        let groups = outputs.div_ceil(R);
        let mut packed = vec![0f32; groups * R * inputs];
        let chunks = packed.par_chunks_exact_mut(R * inputs).enumerate();
        chunks.for_each(|(group, packed)| {
            let first = group * R;
            // Rows beyond the last stay zeros.
            let rows = weight[first * inputs..].chunks_exact(inputs).take(R);
            let rows: Vec<_> = rows.zip((first..).map(&scale)).collect();
            // A piece of the rows at a time, so that the interleaved result stays in the L1 cache.
            for (piece, packed) in packed.chunks_mut(R * PACK_DEPTH).enumerate() {
                for (r, (row, scale)) in rows.iter().enumerate() {
                    let steps = packed.as_chunks_mut::<R>().0.iter_mut();
                    for (to, value) in steps.zip(&row[piece * PACK_DEPTH..]) {
                        to[r] = value * scale;
                    }
                }
            }
        });
        let mut bias: Vec<f32> = (0..outputs).map(|row| bias[row] * scale(row)).collect();
        bias.resize(groups * R, 0.0);
        Self {
            outputs,
            inputs,
            weight: packed,
            bias,
        }
    }

    /// Width of the result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// What is done to a product before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuEpilogue {
    /// The product is stored.
    Store,
    /// The product is added to the previous content, the residual stream.
    Add,
    /// The exact (erf) GELU of the product is stored.
    Gelu,
}

dispatch! {
    /// `out = epilogue(weight * x + bias)` for the first `lines` lines of each row of the panel `x`.
    linear(layer: &PackedLinear, x: &[CacheLine], out: &mut [CacheLine], lines: usize, epilogue: CpuEpilogue) = linear_body
}

#[inline(always)]
fn linear_body<S: Simd>(
    s: S,
    layer: &PackedLinear,
    x: &[CacheLine],
    out: &mut [CacheLine],
    lines: usize,
    epilogue: CpuEpilogue,
) {
    match (S::TILE, lines) {
        ((8, 3), 3) => multiply_row_groups::<S, 8, 3>(s, layer, x, out, epilogue),
        ((8, 3), 2) => multiply_row_groups::<S, 8, 2>(s, layer, x, out, epilogue),
        ((8, 3), _) => multiply_row_groups::<S, 8, 1>(s, layer, x, out, epilogue),
        ((6, 1), _) => multiply_cache_blocks::<S, 6>(s, layer, x, out, lines, epilogue),
        _ => multiply_cache_blocks::<S, 4>(s, layer, x, out, lines, epilogue),
    }
}

/// All outputs for `C` lines, a group of `R` outputs at a time.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Iterators and closures may be calls here, see `microkernel`.
fn multiply_row_groups<S: Simd, const R: usize, const C: usize>(
    s: S,
    layer: &PackedLinear,
    x: &[CacheLine],
    out: &mut [CacheLine],
    epilogue: CpuEpilogue,
) {
    for (group, weight) in layer.weight.chunks_exact(R * layer.inputs).enumerate() {
        let mut start = [[s.splat(0.0); C]; R];
        for r in 0..R {
            start[r] = [s.splat(layer.bias[group * R + r]); C];
        }
        let left = LhsPanel {
            values: weight,
            row_stride: 1,
            depth_stride: R,
            prefetch_offset: R * layer.inputs,
            prefetch_stride: R,
        };
        let sums = microkernel(s, start, layer.inputs, left, x);
        let rows = layer.outputs - group * R;
        apply_epilogue(s, sums, rows, &mut out[group * R * ROW_LINES..], epilogue);
    }
}

/// Inputs of a product at a time: their lines of a panel stay in the L1 cache.
const DEPTH_BLOCK: usize = 192;
/// Numbers of the weight in a block of groups times [`DEPTH_BLOCK`] inputs: they stay in the L2 cache.
const WEIGHT_BLOCK: usize = 16384;
/// Most groups of such a block.
const MAX_BLOCK_GROUPS: usize = 16;

/// All outputs for `lines` lines in tiles of `R` rows of one line: for each block of groups and of inputs, line after
/// line.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn multiply_cache_blocks<S: Simd, const R: usize>(
    s: S,
    layer: &PackedLinear,
    x: &[CacheLine],
    out: &mut [CacheLine],
    lines: usize,
    epilogue: CpuEpilogue,
) {
    let inputs = layer.inputs;
    let pieces = inputs.div_ceil(DEPTH_BLOCK);
    let steps = inputs.div_ceil(pieces);
    let groups = (WEIGHT_BLOCK / (R * steps)).clamp(1, MAX_BLOCK_GROUPS);
    // Sums of the steps so far; every number is summed in the same order as in `multiply_row_groups`.
    let mut sums_so_far = [[[CacheLine::ZERO; R]; MAX_BLOCK_GROUPS]; ROW_LINES];
    for (block, weight) in layer.weight.chunks(groups * R * inputs).enumerate() {
        for first in (0..inputs).step_by(steps) {
            let steps = steps.min(inputs - first);
            let is_last = first + steps == inputs;
            for line in 0..lines {
                let so_far = sums_so_far[line].iter_mut();
                for (at, (weight, so_far)) in
                    weight.chunks_exact(R * inputs).zip(so_far).enumerate()
                {
                    let row = (block * groups + at) * R;
                    let mut sums = [[s.splat(0.0); 1]; R];
                    for r in 0..R {
                        sums[r][0] = match first {
                            0 => s.splat(layer.bias[row + r]),
                            _ => s.load(&so_far[r]),
                        };
                    }
                    let left = LhsPanel {
                        values: &weight[first * R..],
                        row_stride: 1,
                        depth_stride: R,
                        prefetch_offset: R * inputs,
                        prefetch_stride: R,
                    };
                    let sums = microkernel(s, sums, steps, left, &x[first * ROW_LINES + line..]);
                    if is_last {
                        let out = &mut out[row * ROW_LINES + line..];
                        apply_epilogue(s, sums, layer.outputs - row, out, epilogue);
                    } else {
                        for r in 0..R {
                            s.store(sums[r][0], &mut so_far[r]);
                        }
                    }
                }
            }
        }
    }
}

/// Applies the epilogue to the first `rows` rows of a tile and stores them in `out`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn apply_epilogue<S: Simd, const R: usize, const C: usize>(
    s: S,
    sums: [[S::V; C]; R],
    rows: usize,
    out: &mut [CacheLine],
    epilogue: CpuEpilogue,
) {
    for r in 0..R.min(rows) {
        for c in 0..C {
            let to = &mut out[r * ROW_LINES + c];
            let value = match epilogue {
                CpuEpilogue::Store => sums[r][c],
                CpuEpilogue::Add => s.add(sums[r][c], s.load(to)),
                CpuEpilogue::Gelu => pointwise::gelu(s, sums[r][c]),
            };
            s.store(value, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::panel::PANEL_TOKENS;
    use super::super::simd::{LANES, as_floats, as_floats_mut};
    use super::super::{panel, testing};
    use super::*;

    #[test]
    fn every_unit_gives_the_product_that_f64_gives() {
        // The larger one has more steps and rows than any unit takes at a time, and none of its sides is round.
        for (outputs, inputs) in [(21, 37), (133, 500)] {
            product_is_that_of_f64(outputs, inputs);
        }
    }

    fn product_is_that_of_f64(outputs: usize, inputs: usize) {
        let weight = testing::numbers(outputs * inputs, 1);
        let bias = testing::numbers(outputs, 2);
        let scale = |row: usize| 1.0 + row as f32 / 70.0;
        let mut x = panel::zeroed_panel(inputs);
        as_floats_mut(&mut x).copy_from_slice(&testing::numbers(inputs * PANEL_TOKENS, 3));
        // The sum at each row and lane, and that of its terms' sizes, to which its error is in proportion.
        let term = |row: usize, lane: usize, k: usize| {
            let x = as_floats(&x)[k * PANEL_TOKENS + lane];
            f64::from(weight[row * inputs + k]) * f64::from(x)
        };
        let sums: Vec<(f64, f64)> = (0..outputs * PANEL_TOKENS)
            .map(|at| {
                let (row, lane) = (at / PANEL_TOKENS, at % PANEL_TOKENS);
                let terms = (0..inputs).map(|k| term(row, lane, k));
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term: f64| {
                    (sum + term, size + term.abs())
                });
                let scale = f64::from(scale(row));
                ((sum + f64::from(bias[row])) * scale, (size + 1.0) * scale)
            })
            .collect();
        for isa in Isa::available() {
            let layer = PackedLinear::new(isa, &weight, &bias, scale);
            for lines in 1..=ROW_LINES {
                for epilogue in [CpuEpilogue::Store, CpuEpilogue::Add, CpuEpilogue::Gelu] {
                    let mut out = vec![CacheLine([7.0; LANES]); outputs * ROW_LINES];
                    linear(isa, &layer, &x, &mut out, lines, epilogue);
                    for (at, &got) in as_floats(&out).iter().enumerate() {
                        let (sum, size) = sums[at];
                        let expected = match epilogue {
                            _ if at % PANEL_TOKENS >= lines * LANES => 7.0,
                            CpuEpilogue::Store => sum,
                            CpuEpilogue::Add => sum + 7.0,
                            CpuEpilogue::Gelu => testing::gelu(sum),
                        };
                        let error = (f64::from(got) - expected).abs();
                        assert!(
                            error < 1e-6 * size + 1e-6,
                            "{isa:?} {lines} {epilogue:?} {at}: {error:e}"
                        );
                    }
                }
            }
        }
    }

    /// Vector units with fused multiply-add sum in one order, whatever their tiles.
    #[test]
    fn fused_units_give_the_same_bits() {
        let (outputs, inputs) = (133, 500);
        let weight = testing::numbers(outputs * inputs, 1);
        let bias = testing::numbers(outputs, 2);
        let mut x = panel::zeroed_panel(inputs);
        as_floats_mut(&mut x).copy_from_slice(&testing::numbers(inputs * PANEL_TOKENS, 3));
        let results = Isa::available().into_iter().map(|isa| {
            let layer = PackedLinear::new(isa, &weight, &bias, |_| 1.0);
            let mut out = panel::zeroed_panel(outputs);
            linear(isa, &layer, &x, &mut out, ROW_LINES, CpuEpilogue::Gelu);
            (isa, out)
        });
        let fused = results.filter(|(isa, _)| isa.name() != "none");
        let fused: Vec<_> = fused.collect();
        for (isa, out) in &fused {
            assert!(*out == fused[0].1, "{isa:?}");
        }
    }
}
