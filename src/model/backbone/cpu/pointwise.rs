//! Operations on single numbers or single tokens: LayerNorm, GELU, SwiGLU, and the exponential.
//!
//! LayerNorm is `(x - mean) / sqrt(var + eps) * weight + bias` over a token's features, with the variance divided by D.
//! GELU is the exact form, `x (1 + erf(x / sqrt 2)) / 2`, as in `torch.nn.GELU()`. SwiGLU is `silu(a) * b` with
//! `silu(a) = a / (1 + e^-a)`. The tests hold all of them against f64.

use super::panel::ROW_LINES;
use super::simd::{CacheLine, Simd, dispatch};

/// Weight and bias of a LayerNorm.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuLayerNorm {
    /// Factor per feature, `[D]`.
    pub weight: Vec<f32>,
    /// Summand per feature, `[D]`.
    pub bias: Vec<f32>,
    /// Added to the variance; 1e-6 in all DINO models.
    pub eps: f32,
}

dispatch! {
    /// LayerNorm of each token in the first `lines` lines of the panel `x`, into the panel `out`.
    layer_norm(norm: &CpuLayerNorm, x: &[CacheLine], out: &mut [CacheLine], lines: usize) = layer_norm_body
}

dispatch! {
    /// `silu(first half) * second half` of the features of the panel `x`, written over the first half.
    swiglu(x: &mut [CacheLine], lines: usize) = swiglu_body
}

#[inline(always)]
fn layer_norm_body<S: Simd>(
    s: S,
    norm: &CpuLayerNorm,
    x: &[CacheLine],
    out: &mut [CacheLine],
    lines: usize,
) {
    let width = norm.weight.len();
    let share = s.splat(1.0 / width as f32);
    for line in 0..lines {
        let rows = || x[line..].iter().step_by(ROW_LINES).take(width);
        // Four sums at once: shorter dependency chains, and smaller errors.
        let mut sums = [s.splat(0.0); 4];
        for (at, row) in rows().enumerate() {
            sums[at % 4] = s.add(sums[at % 4], s.load(row));
        }
        let mean = s.mul(sum_accumulators(s, sums), share);
        let mut squares = [s.splat(0.0); 4];
        for (at, row) in rows().enumerate() {
            let off = s.sub(s.load(row), mean);
            squares[at % 4] = s.mul_add(off, off, squares[at % 4]);
        }
        let variance = s.mul_add(sum_accumulators(s, squares), share, s.splat(norm.eps));
        let scale = s.div(s.splat(1.0), s.sqrt(variance));
        let out = out[line..].iter_mut().step_by(ROW_LINES);
        for ((row, out), (&weight, &bias)) in
            rows().zip(out).zip(norm.weight.iter().zip(&norm.bias))
        {
            let value = s.mul(s.sub(s.load(row), mean), scale);
            s.store(s.mul_add(value, s.splat(weight), s.splat(bias)), out);
        }
    }
}

/// The sum of four partial sums, lane by lane.
#[inline(always)]
fn sum_accumulators<S: Simd>(s: S, sums: [S::V; 4]) -> S::V {
    s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]))
}

#[inline(always)]
fn swiglu_body<S: Simd>(s: S, x: &mut [CacheLine], lines: usize) {
    let (gate, value) = x.split_at_mut(x.len() / 2);
    for (gate, value) in gate
        .chunks_exact_mut(ROW_LINES)
        .zip(value.chunks_exact(ROW_LINES))
    {
        for (gate, value) in gate.iter_mut().zip(value).take(lines) {
            let x = s.load(gate);
            let power = s.mul(x, s.splat(-std::f32::consts::LOG2_E));
            // Not above 2^126, for the sum to stay finite; -max(-a, -b) is the smaller one.
            let power = s.sub(
                s.splat(0.0),
                s.max(s.splat(-126.0), s.sub(s.splat(0.0), power)),
            );
            let silu = s.div(x, s.add(s.splat(1.0), exp2(s, power)));
            s.store(s.mul(silu, s.load(value)), gate);
        }
    }
}

/// `2^x` within a relative error of 3e-7, for `x` up to 127. Below -126 the result is `2^-126`, which is as good as 0
/// in a softmax.
#[inline(always)]
#[allow(clippy::approx_constant)] // Not quite ln 2.
pub fn exp2<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.max(s.splat(-126.0), x);
    let whole = s.round(x);
    let f = s.sub(x, whole); // -0.5..0.5
    // The minimax polynomial of degree 5 of 2^f by relative error (7.5e-8), by Remez' algorithm.
    let mut p = s.splat(1.327_647_2e-3);
    p = s.mul_add(p, f, s.splat(9.675_541e-3));
    p = s.mul_add(p, f, s.splat(5.550_713_3e-2));
    p = s.mul_add(p, f, s.splat(2.402_212e-1));
    p = s.mul_add(p, f, s.splat(6.931_47e-1));
    p = s.mul_add(p, f, s.splat(1.0));
    s.ldexp(p, whole)
}

/// The exact (erf) GELU, `x (1 + erf(x / sqrt 2)) / 2`. erf is formula 7.1.26 of Abramowitz and Stegun, at most 1.5e-7
/// off.
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    let z = s.mul(s.abs(x), s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = s.div(
        s.splat(1.0),
        s.mul_add(z, s.splat(0.327_591_1), s.splat(1.0)),
    );
    let mut p = s.splat(1.061_405_4);
    p = s.mul_add(p, t, s.splat(-1.453_152));
    p = s.mul_add(p, t, s.splat(1.421_413_7));
    p = s.mul_add(p, t, s.splat(-0.284_496_74));
    p = s.mul_add(p, t, s.splat(0.254_829_6));
    let power = s.mul(s.mul(z, z), s.splat(-std::f32::consts::LOG2_E));
    let tail = s.mul(s.mul(p, t), exp2(s, power)); // 1 - erf(|x| / sqrt 2)
    // x (1 + erf) / 2, without 1 - 1 where x is far below 0.
    let lost = s.mul(s.mul(s.abs(x), s.splat(-0.5)), tail);
    s.add(s.max(s.splat(0.0), x), lost)
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Isa, LANES, as_floats, as_floats_mut};
    use super::super::{panel, testing};
    use super::*;

    dispatch! { exp2_all(x: &mut [CacheLine]) = exp2_all_body }
    dispatch! { gelu_all(x: &mut [CacheLine]) = gelu_all_body }

    #[inline(always)]
    fn exp2_all_body<S: Simd>(s: S, x: &mut [CacheLine]) {
        x.iter_mut().for_each(|x| s.store(exp2(s, s.load(x)), x));
    }

    #[inline(always)]
    fn gelu_all_body<S: Simd>(s: S, x: &mut [CacheLine]) {
        x.iter_mut().for_each(|x| s.store(gelu(s, s.load(x)), x));
    }

    fn ramp(n: usize, low: f32, high: f32) -> Vec<CacheLine> {
        let mut lines = vec![CacheLine::ZERO; n];
        for (at, value) in as_floats_mut(&mut lines).iter_mut().enumerate() {
            *value = low + (high - low) * at as f32 / (n * LANES - 1) as f32;
        }
        lines
    }

    #[test]
    fn powers_are_those_of_f64() {
        for isa in Isa::available() {
            let x = ramp(1000, -120.0, 20.0);
            let mut got = x.clone();
            exp2_all(isa, &mut got);
            for (&x, &got) in as_floats(&x).iter().zip(as_floats(&got)) {
                let expected = f64::from(x).exp2();
                let error = (f64::from(got) - expected).abs();
                assert!(error < 3e-7 * expected, "{isa:?} 2^{x}: {got}");
            }
            let mut ends = [CacheLine::ZERO];
            ends[0].0[..4].copy_from_slice(&[-200.0, f32::NEG_INFINITY, f32::NAN, -1e30]);
            exp2_all(isa, &mut ends);
            let [low, lowest, nan, far] = ends[0].0[..4] else {
                unreachable!()
            };
            assert!([low, lowest, far].iter().all(|v| (0.0..1e-37).contains(v)));
            assert!(nan.is_nan());
        }
    }

    #[test]
    fn gelu_is_the_erf_form() {
        for isa in Isa::available() {
            let x = ramp(500, -9.0, 9.0);
            let mut got = x.clone();
            gelu_all(isa, &mut got);
            for (&x, &got) in as_floats(&x).iter().zip(as_floats(&got)) {
                let error = (f64::from(got) - testing::gelu(f64::from(x))).abs();
                assert!(error < 1e-6, "{isa:?} {x}: {error:e}");
            }
        }
    }

    #[test]
    fn norm_and_swiglu_are_those_of_f64() {
        let width = 45;
        let (weight, bias) = (testing::numbers(width, 1), testing::numbers(width, 2));
        let layer = CpuLayerNorm {
            weight,
            bias,
            eps: 1e-6,
        };
        for isa in Isa::available() {
            let mut x = panel::zeroed_panel(width);
            as_floats_mut(&mut x)
                .copy_from_slice(&testing::numbers(width * panel::PANEL_TOKENS, 3));
            let mut out = panel::zeroed_panel(width);
            layer_norm(isa, &layer, &x, &mut out, 2);
            for lane in 0..panel::PANEL_TOKENS {
                let at = |f: usize| f64::from(as_floats(&x)[f * panel::PANEL_TOKENS + lane]);
                let mean = (0..width).map(at).sum::<f64>() / width as f64;
                let squares = (0..width).map(|f| (at(f) - mean).powi(2)).sum::<f64>();
                let scale = (squares / width as f64 + 1e-6).sqrt().recip();
                for f in 0..width {
                    let expected = (at(f) - mean) * scale * f64::from(layer.weight[f])
                        + f64::from(layer.bias[f]);
                    let expected = if lane < 2 * LANES { expected } else { 0.0 };
                    let got = f64::from(as_floats(&out)[f * panel::PANEL_TOKENS + lane]);
                    assert!((got - expected).abs() < 2e-6, "{isa:?} {f} {lane}");
                }
            }
            let mut both = ramp(2 * ROW_LINES * 5, -300.0, 300.0);
            let before = both.clone();
            swiglu(isa, &mut both, ROW_LINES);
            for at in 0..5 * panel::PANEL_TOKENS {
                let (a, b) = (
                    as_floats(&before)[at],
                    as_floats(&before)[at + 5 * panel::PANEL_TOKENS],
                );
                let expected = f64::from(a) / (1.0 + (-f64::from(a)).exp()) * f64::from(b);
                let got = f64::from(as_floats(&both)[at]);
                let error = (got - expected).abs();
                assert!(error < 1e-6 * (1.0 + expected.abs()), "{isa:?} {a}: {got}");
            }
        }
    }
}
