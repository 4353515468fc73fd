//! Seeds of the random streams of a training, all derived from the one seed that the user gives (`--seed`).
//!
//! With `s` the user's seed and `mix` = [`mix_seed`]: the initial weights come from `mix(s, 1)`; the draw of epoch `e`
//! (from 0) from `mix(s, 1000 + e)`, and in it data set `i` from `mix(that, i)` and the shuffle of the whole epoch from
//! `mix(that, u64::MAX)`; dropout of optimiser step `t` from `mix(s, 2^40 + t)`, and in it row `r` of the mini-batch
//! from `mix(that, r)`. No stream depends on threads or on what was drawn before it, so on one machine a training is
//! reproduced by the seed, the options, the labels and the order of photos and data sets, and continues from its
//! checkpoint as if it had never stopped.

/// A seed from two numbers, with the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", 2014).
pub fn mix_seed(a: u64, b: u64) -> u64 {
    let mut z = a
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
