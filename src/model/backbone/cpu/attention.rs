//! Attention with an online softmax, as in FlashAttention (Dao et al., 2022; the softmax is Milakov and Gimelshein's,
//! 2018): up to [`MAX_QUERY_PANELS`] panels of queries attend to the keys of an image block by block.
//!
//! For each query, with the keys so far: the running maximum `m = max(m, s)`, the running sum
//! `l = l 2^(m_old - m) + sum 2^(s - m)` and the output `o = o 2^(m_old - m) + sum 2^(s - m) v`; at the end `o / l`.
//! The scores `s = q k` are in powers of 2, since the queries are scaled by `log2 e / sqrt(head_dim)`.
//!
//! Scores have the layout of a panel, one query per lane, so the softmax needs no sums across lanes. No more than
//! [`KEY_BLOCK`] scores per query exist at once. Keys and values are read from memory once for all panels of queries.

use std::ops::Range;

use super::microkernel::{LhsPanel, microkernel};
pub use super::panel::MAX_QUERY_PANELS;
use super::panel::{PANEL_TOKENS, PanelSpan, ROW_LINES};
use super::pointwise::exp2;
use super::simd::{CacheLine, LANES, Simd, as_floats, dispatch};

/// Panels of keys in a key block: they, their values and their scores stay in a core's cache.
const KEY_BLOCK_PANELS: usize = 4;
/// Most keys of a key block.
pub const KEY_BLOCK: usize = KEY_BLOCK_PANELS * PANEL_TOKENS;
/// Lines of scratch memory: the scores of a key block, and the running maximum and sum of each panel of queries.
pub const SCRATCH_LINES: usize = (KEY_BLOCK + 2 * MAX_QUERY_PANELS) * ROW_LINES;

/// One attention job: the queries, keys and values of one image, and the head and query panels to compute.
#[derive(Debug, Clone, Copy)]
pub struct AttentionJob<'a> {
    /// Queries (times `log2 e / sqrt(head_dim)`), keys and values of all panels of an image: `[panels, 3 * D]` rows.
    pub qkv: &'a [CacheLine],
    /// The panels of the image.
    pub spans: &'a [PanelSpan],
    /// Width of a token (D), all heads together.
    pub dim: usize,
    /// Index of the head, from 0.
    pub head: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Index of the first query panel.
    pub first_query_panel: usize,
    /// Number of query panels, 1 to [`MAX_QUERY_PANELS`].
    pub query_panels: usize,
}

impl AttentionJob<'_> {
    /// This head's queries, keys or values (`part` 0, 1 or 2) of a panel: `head_dim` rows.
    fn head_panel(&self, part: usize, panel: usize) -> &[CacheLine] {
        let row = (3 * panel + part) * self.dim + self.head * self.head_dim;
        &self.qkv[row * ROW_LINES..][..self.head_dim * ROW_LINES]
    }

    /// Distance from the keys and values of key block `block` to those that are read next, in numbers: the next
    /// block's, or after the last block the next head's first.
    fn prefetch_offset(&self, block: usize) -> usize {
        let of_block = KEY_BLOCK_PANELS * 3 * PANEL_TOKENS * self.dim;
        match (block + 1) * KEY_BLOCK_PANELS < self.spans.len() {
            true => of_block,
            false => (PANEL_TOKENS * self.head_dim).wrapping_sub(block * of_block),
        }
    }

    /// The lines of the result that hold this head's rows of query panel `query` (0 is the first of the job).
    fn output_range(&self, query: usize) -> Range<usize> {
        let first = (query * self.dim + self.head * self.head_dim) * ROW_LINES;
        first..first + self.head_dim * ROW_LINES
    }
}

dispatch! {
    /// The attention of one head for the query panels of `job`, into the head's rows of the panels `out`
    /// `[query_panels, D]`; `scratch` is [`SCRATCH_LINES`] lines.
    attention(job: AttentionJob<'_>, scratch: &mut [CacheLine], out: &mut [CacheLine]) = attention_body
}

#[inline(always)]
fn attention_body<S: Simd>(
    s: S,
    job: AttentionJob<'_>,
    scratch: &mut [CacheLine],
    out: &mut [CacheLine],
) {
    let (scores, states) = scratch.split_at_mut(KEY_BLOCK * ROW_LINES);
    for (query, state) in states
        .chunks_exact_mut(2 * ROW_LINES)
        .take(job.query_panels)
        .enumerate()
    {
        state[..ROW_LINES].fill(CacheLine([f32::NEG_INFINITY; LANES]));
        state[ROW_LINES..].fill(CacheLine::ZERO);
        out[job.output_range(query)].fill(CacheLine::ZERO);
    }
    for block in 0..job.spans.len().div_ceil(KEY_BLOCK_PANELS) {
        for query in 0..job.query_panels {
            let lines = job.spans[job.first_query_panel + query].lines;
            let state = &mut states[2 * ROW_LINES * query..][..2 * ROW_LINES];
            let out = &mut out[job.output_range(query)];
            match (S::TILE, lines) {
                ((8, 3), 3) => {
                    attend_key_block::<S, 8, 3>(s, job, (block, query, 0), scores, state, out)
                }
                ((8, 3), 2) => {
                    attend_key_block::<S, 8, 2>(s, job, (block, query, 0), scores, state, out)
                }
                ((8, 3), _) => {
                    attend_key_block::<S, 8, 1>(s, job, (block, query, 0), scores, state, out)
                }
                ((6, 1), _) => {
                    attend_line_by_line::<S, 6>(s, job, (block, query), lines, scores, state, out)
                }
                _ => attend_line_by_line::<S, 4>(s, job, (block, query), lines, scores, state, out),
            }
        }
    }
    for (query, state) in states
        .chunks_exact(2 * ROW_LINES)
        .take(job.query_panels)
        .enumerate()
    {
        let out = &mut out[job.output_range(query)];
        for line in 0..job.spans[job.first_query_panel + query].lines {
            let scale = s.div(s.splat(1.0), s.load(&state[ROW_LINES + line]));
            for out in out[line..].iter_mut().step_by(ROW_LINES) {
                s.store(s.mul(s.load(out), scale), out);
            }
        }
    }
}

/// [`attend_key_block`] for one line of queries after the other.
#[inline(always)]
fn attend_line_by_line<S: Simd, const R: usize>(
    s: S,
    job: AttentionJob<'_>,
    (block, query): (usize, usize),
    lines: usize,
    scores: &mut [CacheLine],
    state: &mut [CacheLine],
    out: &mut [CacheLine],
) {
    for line in 0..lines {
        attend_key_block::<S, R, 1>(s, job, (block, query, line), scores, state, out);
    }
}

/// The queries of `C` lines, from `line` of panel `query` on, attend to the keys of key block `block`. `state` holds
/// their running maximum (first row) and running sum (second row); `out` is their weighted sum of values so far.
#[inline(always)]
fn attend_key_block<S: Simd, const R: usize, const C: usize>(
    s: S,
    job: AttentionJob<'_>,
    (block, query, line): (usize, usize, usize),
    scores: &mut [CacheLine],
    state: &mut [CacheLine],
    out: &mut [CacheLine],
) {
    let queries = &job.head_panel(0, job.first_query_panel + query)[line..];
    let spans = &job.spans[block * KEY_BLOCK_PANELS..];
    let spans = &spans[..KEY_BLOCK_PANELS.min(spans.len())];
    let mut before = [s.splat(0.0); C];
    for c in 0..C {
        before[c] = s.load(&state[line + c]);
    }
    let mut highest = before;
    let mut row = 0;
    for (panel, span) in spans.iter().enumerate() {
        let left = LhsPanel {
            values: as_floats(job.head_panel(1, block * KEY_BLOCK_PANELS + panel)),
            row_stride: 1,
            depth_stride: PANEL_TOKENS,
            prefetch_offset: job.prefetch_offset(block),
            prefetch_stride: PANEL_TOKENS,
        };
        let scores = &mut scores[row * ROW_LINES..];
        // The last tile may reach beyond the panel's tokens, into unused lanes; their scores are dropped.
        for first in (0..span.tokens).step_by(R) {
            let zeros = [[s.splat(0.0); C]; R];
            let sums = microkernel(s, zeros, job.head_dim, left.from_row(first), queries);
            let keys = span.tokens - first;
            store_scores(
                s,
                sums,
                keys,
                &mut scores[first * ROW_LINES..],
                &mut highest,
            );
        }
        row += span.tokens;
    }
    let mut sums = [s.splat(0.0); C];
    for key in 0..row {
        for c in 0..C {
            let score = &mut scores[key * ROW_LINES + c];
            let weight = exp2(s, s.sub(s.load(score), highest[c]));
            s.store(weight, score);
            sums[c] = s.add(sums[c], weight);
        }
    }
    let mut rescale = before;
    for c in 0..C {
        rescale[c] = exp2(s, s.sub(before[c], highest[c]));
        let total = s.mul_add(s.load(&state[ROW_LINES + line + c]), rescale[c], sums[c]);
        s.store(total, &mut state[ROW_LINES + line + c]);
        s.store(highest[c], &mut state[line + c]);
    }
    let mut accumulator = ValueAccumulator {
        job,
        block,
        spans,
        scores,
        rescale,
        line,
        out,
    };
    let mut first = 0;
    while first + R <= job.head_dim {
        accumulator.accumulate_values::<S, R>(s, first);
        first += R;
    }
    while first + 4 <= job.head_dim {
        accumulator.accumulate_values::<S, 4>(s, first);
        first += 4;
    }
    while first < job.head_dim {
        accumulator.accumulate_values::<S, 1>(s, first);
        first += 1;
    }
}

/// Stores the rows of scores of the first `keys` keys of a tile and raises the running maximum.
#[inline(always)]
fn store_scores<S: Simd, const R: usize, const C: usize>(
    s: S,
    sums: [[S::V; C]; R],
    keys: usize,
    scores: &mut [CacheLine],
    highest: &mut [S::V; C],
) {
    if C == 1 && keys >= R {
        // The maximum over the tile alone does not wait for that of the tile before.
        let mut tops = sums[0];
        for r in 0..R {
            for c in 0..C {
                s.store(sums[r][c], &mut scores[r * ROW_LINES + c]);
                tops[c] = s.max(tops[c], sums[r][c]);
            }
        }
        for c in 0..C {
            highest[c] = s.max(highest[c], tops[c]);
        }
        return;
    }
    for r in 0..R.min(keys) {
        for c in 0..C {
            s.store(sums[r][c], &mut scores[r * ROW_LINES + c]);
            highest[c] = s.max(highest[c], sums[r][c]);
        }
    }
}

/// The sum of the values of a key block, each times its weight, which `scores` holds:
/// `out = out * rescale + weights v`.
struct ValueAccumulator<'a, V, const C: usize> {
    job: AttentionJob<'a>,
    block: usize,
    spans: &'a [PanelSpan],
    scores: &'a [CacheLine],
    rescale: [V; C],
    line: usize,
    out: &'a mut [CacheLine],
}

impl<V: Copy, const C: usize> ValueAccumulator<'_, V, C> {
    /// Accumulates the features `first..first + R` of the head.
    #[inline(always)]
    fn accumulate_values<S: Simd<V = V>, const R: usize>(&mut self, s: S, first: usize) {
        let out = &mut self.out[first * ROW_LINES + self.line..];
        let mut sums = [[s.splat(0.0); C]; R];
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = s.mul(s.load(&out[r * ROW_LINES + c]), self.rescale[c]);
            }
        }
        let mut row = 0;
        for (panel, span) in self.spans.iter().enumerate() {
            let left = LhsPanel {
                values: &as_floats(
                    self.job
                        .head_panel(2, self.block * KEY_BLOCK_PANELS + panel),
                )[first * PANEL_TOKENS..],
                row_stride: PANEL_TOKENS,
                depth_stride: 1,
                prefetch_offset: self.job.prefetch_offset(self.block),
                prefetch_stride: LANES,
            };
            sums = microkernel(s, sums, span.tokens, left, &self.scores[row * ROW_LINES..]);
            row += span.tokens;
        }
        for r in 0..R {
            for c in 0..C {
                s.store(sums[r][c], &mut out[r * ROW_LINES + c]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Isa, as_floats_mut};
    use super::super::{panel, testing};
    use super::*;

    /// Softmax of products in f64; large scores that rise along the keys, so that running sums are rescaled.
    #[test]
    fn attention_is_that_of_f64() {
        let (heads, head_dim) = (2, 20);
        let dim = heads * head_dim;
        for (tokens, workers) in [(5, 1), (49, 2), (261, 1), (430, 3)] {
            let spans = panel::split_into_panels(tokens, workers);
            let values = testing::numbers(tokens * 3 * dim, 7);
            let value = |token: usize, feature: usize| {
                let rise = if feature / dim == 1 {
                    token as f32 / 20.0
                } else {
                    1.0
                };
                values[token * 3 * dim + feature] * rise
            };
            let mut qkv = vec![CacheLine::ZERO; spans.len() * 3 * dim * ROW_LINES];
            for (span, panel) in spans.iter().zip(qkv.chunks_exact_mut(3 * dim * ROW_LINES)) {
                for (feature, row) in as_floats_mut(panel)
                    .chunks_exact_mut(PANEL_TOKENS)
                    .enumerate()
                {
                    for (lane, to) in row[..span.tokens].iter_mut().enumerate() {
                        *to = value(span.start + lane, feature);
                    }
                }
            }
            for isa in Isa::available() {
                for query in 0..spans.len() {
                    // Some panels at a time, the last time fewer.
                    let queries = (spans.len() - query).min(3);
                    for head in 0..heads {
                        let job = AttentionJob {
                            qkv: &qkv,
                            spans: &spans,
                            dim,
                            head,
                            head_dim,
                            first_query_panel: query,
                            query_panels: queries,
                        };
                        let mut scratch = vec![CacheLine::ZERO; SCRATCH_LINES];
                        let mut out = panel::zeroed_panel(queries * dim);
                        attention(isa, job, &mut scratch, &mut out);
                        let asked = query + queries - 1;
                        let (span, out) = (spans[asked], &out[(queries - 1) * dim * ROW_LINES..]);
                        for lane in 0..span.tokens {
                            let at = |token, part: usize, d: usize| {
                                f64::from(value(token, part * dim + head * head_dim + d))
                            };
                            let score = |key| -> f64 {
                                let token = span.start + lane;
                                (0..head_dim).map(|d| at(token, 0, d) * at(key, 1, d)).sum()
                            };
                            let weights: Vec<f64> = (0..tokens).map(score).collect();
                            let highest = weights.iter().copied().fold(f64::MIN, f64::max);
                            let weights: Vec<f64> =
                                weights.iter().map(|w| (w - highest).exp2()).collect();
                            let sum: f64 = weights.iter().sum();
                            for d in 0..head_dim {
                                let expected: f64 =
                                    (0..tokens).map(|key| weights[key] * at(key, 2, d)).sum();
                                let got =
                                    as_floats(out)[(head * head_dim + d) * PANEL_TOKENS + lane];
                                let got = f64::from(got);
                                let error = (got - expected / sum).abs();
                                assert!(error < 5e-5, "{isa:?} {tokens} {query} {lane}: {error:e}");
                            }
                        }
                    }
                }
            }
        }
    }
}
