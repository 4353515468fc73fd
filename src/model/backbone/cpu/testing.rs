//! Shared by the tests of the kernels: reproducible random numbers, and the exact GELU in f64.

/// `n` numbers from -1 to 1, always the same for one `seed`.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..n).map(|_| 2.0 * random.f32() - 1.0).collect()
}

/// `x (1 + erf(x / sqrt 2)) / 2` in f64, by the power series of erf, or its continued fraction far from 0.
pub fn gelu(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let erfc = if z < 3.0 {
        let (mut term, mut sum) = (z, z);
        for n in 1..100 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        1.0 - sum * 2.0 / std::f64::consts::PI.sqrt()
    } else {
        let mut fraction = 0.0;
        for n in (1..60).rev() {
            fraction = f64::from(n) / 2.0 / (z + fraction);
        }
        (-z * z).exp() / ((z + fraction) * std::f64::consts::PI.sqrt())
    };
    0.5 * x * if x < 0.0 { erfc } else { 2.0 - erfc }
}
