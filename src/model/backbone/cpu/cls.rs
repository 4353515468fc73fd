//! The attention weights of the cls token: one query per head, so the whole row of weights is held in f64, and no
//! kernel is needed.

use super::panel::{PANEL_TOKENS, PanelSpan, ROW_LINES};
use super::simd::{CacheLine, as_floats};

/// The softmax over all tokens of the first token's scores, head by head: `[heads, tokens]`. `qkv` holds one photo's
/// queries (times `log2 e / sqrt(head_dim)`), keys and values: `[panels, 3 * D]` rows.
pub fn cls_attention_weights(
    qkv: &[CacheLine],
    spans: &[PanelSpan],
    dim: usize,
    heads: usize,
) -> Vec<f32> {
    let head_dim = dim / heads;
    let tokens: usize = spans.iter().map(|span| span.tokens).sum();
    let mut all = Vec::with_capacity(heads * tokens);
    for head in 0..heads {
        // Rows of a head's queries (part 0) or keys (part 1) in a panel, one token per lane.
        let rows = |panel: usize, part: usize| {
            let first = (3 * panel + part) * dim + head * head_dim;
            as_floats(&qkv[first * ROW_LINES..][..head_dim * ROW_LINES]).chunks_exact(PANEL_TOKENS)
        };
        let query: Vec<f64> = rows(0, 0).map(|row| f64::from(row[0])).collect();
        let mut scores = Vec::with_capacity(tokens);
        for (panel, span) in spans.iter().enumerate() {
            let mut sums = [0f64; PANEL_TOKENS];
            for (row, query) in rows(panel, 1).zip(&query) {
                for (sum, &key) in sums.iter_mut().zip(row) {
                    *sum += query * f64::from(key);
                }
            }
            scores.extend_from_slice(&sums[..span.tokens]);
        }
        // A score beyond the range of f32 counts as infinite, as in the f32 kernels.
        if scores.iter().any(|&score| !(score as f32).is_finite()) {
            scores.fill(f64::NAN);
        }
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores.iter_mut().for_each(|s| *s = (*s - highest).exp2());
        let total: f64 = scores.iter().sum();
        all.extend(scores.iter().map(|weight| (weight / total) as f32));
    }
    all
}
