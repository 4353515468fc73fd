//! Attention with a streaming softmax: some panels of queries meet the keys a few panels at a time.
//!
//! Scores lie as everything does, a query a lane, so the softmax needs no sums across lanes. No more than [`KEYS`]
//! scores a query exist at once; where a later key has a higher score than all before it, what was summed so far is
//! scaled down. Keys and values come from far away once for all panels of queries.

use std::ops::Range;

use super::matmul::{LhsPanel, microkernel};
use super::panel::{PANEL_TOKENS, PanelSpan, ROW_LINES};
use super::pointwise::exp2;
use super::simd::{CacheLine, LANES, Simd, as_floats, dispatch};

/// Panels of keys at a time: they, their values and their scores stay in a core's cache.
const KEY_BLOCK_PANELS: usize = 4;
/// Most keys at a time.
pub const KEY_BLOCK: usize = KEY_BLOCK_PANELS * PANEL_TOKENS;
/// Most panels of queries at a time.
pub const MAX_QUERY_PANELS: usize = 8;
/// Lines of scores, and of each panel's highest score and sum.
pub const SCRATCH_LINES: usize = (KEY_BLOCK + 2 * MAX_QUERY_PANELS) * ROW_LINES;

/// Whose attention it is.
#[derive(Debug, Clone, Copy)]
pub struct AttentionJob<'a> {
    /// Queries (times `log2 e / sqrt(head_dim)`), keys and values of all panels of a photo: `[panels, 3 * D]`.
    pub qkv: &'a [CacheLine],
    /// Its panels.
    pub spans: &'a [PanelSpan],
    /// D.
    pub dim: usize,
    /// Which of the heads.
    pub head: usize,
    /// How wide it is.
    pub head_dim: usize,
    /// Which panel asks first.
    pub first_query_panel: usize,
    /// How many ask, up to [`QUERIES`].
    pub query_panels: usize,
}

impl AttentionJob<'_> {
    /// This head's queries, keys or values (`part` 0 to 2) of a panel.
    fn head_panel(&self, part: usize, panel: usize) -> &[CacheLine] {
        let row = (3 * panel + part) * self.dim + self.head * self.head_dim;
        &self.qkv[row * ROW_LINES..][..self.head_dim * ROW_LINES]
    }

    /// How far behind the keys and values of a block of panels those lie that are wanted next: the next block's, at the
    /// end the next head's first.
    fn prefetch_offset(&self, block: usize) -> usize {
        let of_block = KEY_BLOCK_PANELS * 3 * PANEL_TOKENS * self.dim;
        match (block + 1) * KEY_BLOCK_PANELS < self.spans.len() {
            true => of_block,
            false => (PANEL_TOKENS * self.head_dim).wrapping_sub(block * of_block),
        }
    }

    /// Where this head's rows of asking panel number `query` lie in the result.
    fn output_range(&self, query: usize) -> Range<usize> {
        let first = (query * self.dim + self.head * self.head_dim) * ROW_LINES;
        first..first + self.head_dim * ROW_LINES
    }
}

dispatch! {
    /// One head's attention for some panels, into its rows of the panels `out` `[queries, D]`; `scratch` is
    /// [`SCRATCH`] lines.
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
                    for line in 0..lines {
                        attend_key_block::<S, 6, 1>(
                            s,
                            job,
                            (block, query, line),
                            scores,
                            state,
                            out,
                        );
                    }
                }
                _ => {
                    for line in 0..lines {
                        attend_key_block::<S, 4, 1>(
                            s,
                            job,
                            (block, query, line),
                            scores,
                            state,
                            out,
                        );
                    }
                }
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

/// The queries of `C` lines, from `line` of panel `query` on, meet the keys of a block of panels. `state` is their
/// highest scores so far, and the sums of their weights.
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
        // The last tile may reach beyond the panel's tokens: there are lanes, and their scores are dropped.
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
    let mut shrink = before;
    for c in 0..C {
        shrink[c] = exp2(s, s.sub(before[c], highest[c]));
        let total = s.mul_add(s.load(&state[ROW_LINES + line + c]), shrink[c], sums[c]);
        s.store(total, &mut state[ROW_LINES + line + c]);
        s.store(highest[c], &mut state[line + c]);
    }
    let mut weigh = ValueAccumulator {
        job,
        block,
        spans,
        scores,
        rescale: shrink,
        line,
        out,
    };
    let mut first = 0;
    while first + R <= job.head_dim {
        weigh.accumulate_values::<S, R>(s, first);
        first += R;
    }
    while first + 4 <= job.head_dim {
        weigh.accumulate_values::<S, 4>(s, first);
        first += 4;
    }
    while first < job.head_dim {
        weigh.accumulate_values::<S, 1>(s, first);
        first += 1;
    }
}

/// Writes rows of scores of the first `keys` keys and raises the highest seen.
#[inline(always)]
fn store_scores<S: Simd, const R: usize, const C: usize>(
    s: S,
    sums: [[S::V; C]; R],
    keys: usize,
    scores: &mut [CacheLine],
    highest: &mut [S::V; C],
) {
    if C == 1 && keys >= R {
        // What the highest waits for is the tile alone, not the tile before it.
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

/// The sum of values by their weights.
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
    /// Features `first` to `first + R` of the head.
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

    /// Softmax of products in f64; large scores that rise along the keys, so that sums are scaled down on the way.
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
