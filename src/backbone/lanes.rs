//! Loops over `f32` for the fused operations of a CPU, compiled for the vector units there are.
//!
//! Each loop is plain Rust over fixed lanes, compiled three times (AVX-512, AVX2 with FMA, the target's baseline) and
//! chosen at run time. The exponential is a polynomial: within 2 ulp of the exact one, and not a call per number.

/// Numbers taken at once; a multiple of every vector width.
const LANES: usize = 32;

/// Defines `pub fn $name` which runs `$body::<FMA>` compiled for the best vector unit of this machine.
macro_rules! for_this_cpu {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) = $body:ident) => {
        $(#[$doc])*
        pub fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
                fn avx512($($arg: $ty),*) {
                    $body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    $body::<true>($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("fma")
                {
                    // SAFETY: the features have just been found.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the features have just been found.
                    return unsafe { avx2($($arg),*) };
                }
            }
            // Every aarch64 has fused multiply-add; elsewhere it would be a call into a library.
            $body::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    };
}

for_this_cpu! {
    /// Replaces each row of `scores` `[rows, n]`, given in units of log 2, by `2^(score - the row's largest)`, and
    /// `sums` by the sums of the rows.
    exp2_rows(scores: &mut [f32], sums: &mut [f32]) = exp2_rows_body
}

for_this_cpu! {
    /// `x = gelu(x + bias)` with the exact, erf form, for rows `x` `[rows, bias.len()]`.
    ///
    /// erf is Abramowitz and Stegun's 7.1.26: at most 1.5e-7 from the exact one.
    bias_gelu(x: &mut [f32], bias: &[f32]) = bias_gelu_body
}

for_this_cpu! {
    /// `x += bias` for rows `x` `[rows, bias.len()]`.
    add_bias(x: &mut [f32], bias: &[f32]) = add_bias_body
}

for_this_cpu! {
    /// `x += gamma * (branch + bias)` for rows `[rows, bias.len()]`.
    add_scaled(x: &mut [f32], branch: &[f32], bias: &[f32], gamma: &[f32]) = add_scaled_body
}

#[inline(always)]
fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    match FMA {
        true => a.mul_add(b, c),
        false => a * b + c,
    }
}

/// `2^x` for `x` at most 0; below -126 it is the smallest normal number or so, for softmax as good as 0.
#[inline(always)]
fn exp2<const FMA: bool>(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to a whole number, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // A NaN stays one: max and min would drop it.
    let x = if x < -126.0 { -126.0 } else { x };
    let rounded = x + ROUND;
    let f = x - (rounded - ROUND); // -0.5..0.5
    // Taylor's series of 2^f to the 7th power: the rest is under 6e-9 on this interval.
    let mut p = 1.525_273_4e-5;
    p = mul_add::<FMA>(p, f, 1.540_353e-4);
    p = mul_add::<FMA>(p, f, 1.333_355_8e-3);
    p = mul_add::<FMA>(p, f, 9.618_129e-3);
    p = mul_add::<FMA>(p, f, 5.550_411e-2);
    p = mul_add::<FMA>(p, f, 2.402_265e-1);
    p = mul_add::<FMA>(p, f, 6.931_472e-1);
    p = mul_add::<FMA>(p, f, 1.0);
    let exponent = rounded.to_bits() << 23;
    f32::from_bits(p.to_bits().wrapping_add(exponent))
}

#[inline(always)]
fn exp2_rows_body<const FMA: bool>(scores: &mut [f32], sums: &mut [f32]) {
    let n = scores.len() / sums.len();
    for (row, sum) in scores.chunks_exact_mut(n).zip(sums) {
        let mut highest = [f32::NEG_INFINITY; LANES];
        let mut chunks = row.chunks_exact(LANES);
        for chunk in &mut chunks {
            for lane in 0..LANES {
                highest[lane] = if chunk[lane] > highest[lane] {
                    chunk[lane]
                } else {
                    highest[lane]
                };
            }
        }
        let rest = chunks.remainder().iter().chain(&highest).copied();
        let highest = rest.fold(f32::NEG_INFINITY, f32::max);
        let mut total = [0f32; LANES];
        let mut chunks = row.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for lane in 0..LANES {
                chunk[lane] = exp2::<FMA>(chunk[lane] - highest);
                total[lane] += chunk[lane];
            }
        }
        let mut rest = 0.0;
        for value in chunks.into_remainder() {
            *value = exp2::<FMA>(*value - highest);
            rest += *value;
        }
        *sum = total.iter().sum::<f32>() + rest;
    }
}

#[inline(always)]
fn gelu<const FMA: bool>(x: f32) -> f32 {
    let z = x * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / mul_add::<FMA>(0.327_591_1, z.abs(), 1.0);
    let mut p = 1.061_405_4;
    p = mul_add::<FMA>(p, t, -1.453_152);
    p = mul_add::<FMA>(p, t, 1.421_413_7);
    p = mul_add::<FMA>(p, t, -0.284_496_74);
    p = mul_add::<FMA>(p, t, 0.254_829_6);
    let tail = p * t * exp2::<FMA>(-z * z * std::f32::consts::LOG2_E); // 1 - erf(|z|)
    // Half of x times 1 + erf(z), without 1 - 1 where x is far below 0.
    0.5 * x * if x < 0.0 { tail } else { 2.0 - tail }
}

#[inline(always)]
fn bias_gelu_body<const FMA: bool>(x: &mut [f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        for (x, bias) in row.iter_mut().zip(bias) {
            *x = gelu::<FMA>(*x + bias);
        }
    }
}

#[inline(always)]
fn add_bias_body<const FMA: bool>(x: &mut [f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
    }
}

#[inline(always)]
fn add_scaled_body<const FMA: bool>(x: &mut [f32], branch: &[f32], bias: &[f32], gamma: &[f32]) {
    let width = bias.len();
    for (x, branch) in x.chunks_exact_mut(width).zip(branch.chunks_exact(width)) {
        for (((x, branch), bias), gamma) in x.iter_mut().zip(branch).zip(bias).zip(gamma) {
            *x = mul_add::<FMA>(branch + bias, *gamma, *x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize, low: f32, high: f32) -> Vec<f32> {
        (0..n)
            .map(|i| low + (high - low) * i as f32 / (n - 1) as f32)
            .collect()
    }

    #[test]
    fn rows_are_the_exponentials_that_f64_gives() {
        let n = 1000 + 7;
        let scores = ramp(2 * n, -40.0, 9.0);
        let (mut rows, mut sums) = (scores.clone(), [0.0; 2]);
        exp2_rows(&mut rows, &mut sums);
        for (row, (before, sum)) in rows.chunks(n).zip(scores.chunks(n).zip(sums)) {
            let highest = f64::from(before[n - 1]);
            let mut total = 0.0;
            for (got, &score) in row.iter().zip(before) {
                let expected = (f64::from(score) - highest).exp2();
                let error = (f64::from(*got) - expected).abs();
                assert!(error <= 4e-7 * expected, "2^{score}: {got}, not {expected}");
                total += expected;
            }
            assert!((f64::from(sum) - total).abs() < 1e-5 * total);
        }
    }

    #[test]
    fn far_below_the_largest_is_nothing_and_nan_stays() {
        let mut rows = [0.0, -200.0, -1e30, f32::NEG_INFINITY];
        exp2_rows(&mut rows, &mut [0.0]);
        assert_eq!(rows[0], 1.0);
        assert!(
            rows[1..].iter().all(|&v| (0.0..1e-37).contains(&v)),
            "{rows:?}"
        );
        let (mut rows, mut sums) = ([0.0, f32::NAN, 1.0], [0.0]);
        exp2_rows(&mut rows, &mut sums);
        assert!(sums[0].is_nan());
    }

    #[test]
    fn gelu_is_the_erf_form() {
        // 0.5 x erfc(-x / sqrt 2) by scipy.special in f64.
        for (x, expected) in [
            (-6.0, -5.919_526e-9),
            (-3.0, -4.049_694e-3),
            (-1.0, -0.158_655_25),
            (-0.1, -0.046_017_22),
            (0.0, 0.0),
            (0.5, 0.345_731_23),
            (2.0, 1.954_499_7),
            (8.0, 8.0),
        ] {
            let mut value = [x - 0.25];
            bias_gelu(&mut value, &[0.25]);
            assert!((value[0] - expected).abs() < 3e-7, "{x}: {}", value[0]);
        }
    }

    #[test]
    fn branches_are_added_row_by_row() {
        let mut x = [1.0, 2.0, 3.0, 4.0];
        add_scaled(&mut x, &[1.0, 1.0, 2.0, 2.0], &[0.5, -1.0], &[2.0, 3.0]);
        assert_eq!(x, [4.0, 2.0, 8.0, 7.0]);
    }
}
