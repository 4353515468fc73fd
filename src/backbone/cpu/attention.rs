//! Attention with a streaming softmax: a panel of queries meets the keys a few panels at a time.
//!
//! Scores lie as everything does, a query a lane, so the softmax needs no sums across lanes. No more than [`KEYS`]
//! scores a query exist at once; where a later key has a higher score than all before it, what was summed so far is
//! scaled down.

use super::panel::{ROW, Span, WIDTH};
use super::pointwise::exp2;
use super::product::{Left, tile};
use super::simd::{Line, Simd, dispatch, flat};

/// Panels of keys at a time: their scores (and the values they weigh) stay in a core's cache.
const PANELS: usize = 4;
/// Most keys at a time.
pub const KEYS: usize = PANELS * WIDTH;

/// Whose attention it is.
#[derive(Debug, Clone, Copy)]
pub struct Attend<'a> {
    /// Queries (times `log2 e / sqrt(head_dim)`), keys and values of all panels of a photo: `[panels, 3 * D]`.
    pub qkv: &'a [Line],
    /// Its panels.
    pub spans: &'a [Span],
    /// D.
    pub dim: usize,
    /// Which of the heads.
    pub head: usize,
    /// How wide it is.
    pub head_dim: usize,
    /// Which panel asks.
    pub query: usize,
}

impl Attend<'_> {
    /// This head's queries, keys or values (`part` 0 to 2) of a panel.
    fn part(&self, part: usize, panel: usize) -> &[Line] {
        let row = (3 * panel + part) * self.dim + self.head * self.head_dim;
        &self.qkv[row * ROW..][..self.head_dim * ROW]
    }
}

dispatch! {
    /// One head's attention for one panel, into the panel `out` of width `head_dim`; `scores` is for [`KEYS`] rows.
    attention(job: Attend<'_>, scores: &mut [Line], out: &mut [Line]) = attention_body
}

#[inline(always)]
fn attention_body<S: Simd>(s: S, job: Attend<'_>, scores: &mut [Line], out: &mut [Line]) {
    let lines = job.spans[job.query].lines;
    out.fill(Line::ZERO);
    match (S::TILE, lines) {
        ((8, 3), 3) => attend::<S, 8, 3>(s, job, 0, scores, out),
        ((8, 3), 2) => attend::<S, 8, 2>(s, job, 0, scores, out),
        ((8, 3), _) => attend::<S, 8, 1>(s, job, 0, scores, out),
        _ => (0..lines).for_each(|line| attend::<S, 4, 1>(s, job, line, scores, out)),
    }
}

/// For the queries of `C` lines from `line` on.
#[inline(always)]
fn attend<S: Simd, const R: usize, const C: usize>(
    s: S,
    job: Attend<'_>,
    line: usize,
    scores: &mut [Line],
    out: &mut [Line],
) {
    let queries = &job.part(0, job.query)[line..];
    let mut highest = [s.splat(f32::NEG_INFINITY); C];
    let mut total = [s.splat(0.0); C];
    for (block, spans) in job.spans.chunks(PANELS).enumerate() {
        let panels = || {
            spans
                .iter()
                .enumerate()
                .map(|(at, span)| (block * PANELS + at, span.tokens))
        };
        let before = highest;
        let mut row = 0;
        for (panel, keys) in panels() {
            let left = |first: usize| Left {
                values: &flat(job.part(1, panel))[first..],
                row: 1,
                step: WIDTH,
                ahead: 3 * WIDTH * job.dim,
            };
            let scores = &mut scores[row * ROW..];
            let whole = keys - keys % R;
            for first in (0..whole).step_by(R) {
                let sums = tile(
                    s,
                    [[s.splat(0.0); C]; R],
                    job.head_dim,
                    left(first),
                    queries,
                );
                keep(s, sums, &mut scores[first * ROW..], &mut highest);
            }
            for first in whole..keys {
                let sums = tile(
                    s,
                    [[s.splat(0.0); C]; 1],
                    job.head_dim,
                    left(first),
                    queries,
                );
                keep(s, sums, &mut scores[first * ROW..], &mut highest);
            }
            row += keys;
        }
        let mut shrink = before;
        let mut sums = [s.splat(0.0); C];
        for c in 0..C {
            shrink[c] = exp2(s, s.sub(before[c], highest[c]));
        }
        for scores in scores[..row * ROW].chunks_exact_mut(ROW) {
            for c in 0..C {
                let weight = exp2(s, s.sub(s.load(&scores[c]), highest[c]));
                s.store(weight, &mut scores[c]);
                sums[c] = s.add(sums[c], weight);
            }
        }
        for c in 0..C {
            total[c] = s.mul_add(total[c], shrink[c], sums[c]);
        }
        let mut weigh = Weigh {
            job,
            scores,
            shrink,
            line,
            out,
        };
        let whole = job.head_dim - job.head_dim % R;
        for first in (0..whole).step_by(R) {
            weigh.rows::<S, R>(s, first, panels());
        }
        for first in whole..job.head_dim {
            weigh.rows::<S, 1>(s, first, panels());
        }
    }
    for total in &mut total {
        *total = s.div(s.splat(1.0), *total);
    }
    for out in out.chunks_exact_mut(ROW) {
        for (out, &scale) in out[line..].iter_mut().zip(&total) {
            s.store(s.mul(s.load(out), scale), out);
        }
    }
}

/// Writes rows of scores and raises the highest seen.
#[inline(always)]
fn keep<S: Simd, const R: usize, const C: usize>(
    s: S,
    sums: [[S::V; C]; R],
    scores: &mut [Line],
    highest: &mut [S::V; C],
) {
    for (sums, scores) in sums.into_iter().zip(scores.chunks_mut(ROW)) {
        for c in 0..C {
            s.store(sums[c], &mut scores[c]);
            highest[c] = s.max(highest[c], sums[c]);
        }
    }
}

/// The sum of values by their weights.
struct Weigh<'a, V, const C: usize> {
    job: Attend<'a>,
    scores: &'a [Line],
    shrink: [V; C],
    line: usize,
    out: &'a mut [Line],
}

impl<V: Copy, const C: usize> Weigh<'_, V, C> {
    /// Features `first` to `first + R` of the head, over the keys of `panels`.
    #[inline(always)]
    fn rows<S: Simd<V = V>, const R: usize>(
        &mut self,
        s: S,
        first: usize,
        panels: impl Iterator<Item = (usize, usize)>,
    ) {
        let out = &mut self.out[first * ROW + self.line..];
        let mut sums = [[s.splat(0.0); C]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            for (c, sum) in sums.iter_mut().enumerate() {
                *sum = s.mul(s.load(&out[r * ROW + c]), self.shrink[c]);
            }
        }
        let mut row = 0;
        for (panel, keys) in panels {
            let left = Left {
                values: &flat(self.job.part(2, panel))[first * WIDTH..],
                row: WIDTH,
                step: 1,
                ahead: 3 * WIDTH * self.job.dim,
            };
            sums = tile(s, sums, keys, left, &self.scores[row * ROW..]);
            row += keys;
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (c, sum) in sums.into_iter().enumerate() {
                s.store(sum, &mut out[r * ROW + c]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Isa, flat_mut};
    use super::super::{panel, testing};
    use super::*;

    /// Softmax of products in f64; large scores that rise along the keys, so that sums are scaled down on the way.
    #[test]
    fn attention_is_that_of_f64() {
        let (heads, head_dim) = (2, 20);
        let dim = heads * head_dim;
        for (tokens, workers) in [(5, 1), (49, 2), (261, 1), (430, 3)] {
            let spans = panel::cut(tokens, workers);
            let values = testing::numbers(tokens * 3 * dim, 7);
            let value = |token: usize, feature: usize| {
                let rise = if feature / dim == 1 {
                    token as f32 / 20.0
                } else {
                    1.0
                };
                values[token * 3 * dim + feature] * rise
            };
            let mut qkv = vec![Line::ZERO; spans.len() * 3 * dim * ROW];
            for (span, panel) in spans.iter().zip(qkv.chunks_exact_mut(3 * dim * ROW)) {
                for (feature, row) in flat_mut(panel).chunks_exact_mut(WIDTH).enumerate() {
                    for (lane, to) in row[..span.tokens].iter_mut().enumerate() {
                        *to = value(span.start + lane, feature);
                    }
                }
            }
            for isa in Isa::available() {
                for (query, span) in spans.iter().enumerate() {
                    for head in 0..heads {
                        let job = Attend {
                            qkv: &qkv,
                            spans: &spans,
                            dim,
                            head,
                            head_dim,
                            query,
                        };
                        let mut scores = vec![Line::ZERO; KEYS * ROW];
                        let mut out = panel::empty(head_dim);
                        attention(isa, job, &mut scores, &mut out);
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
                                let got = f64::from(flat(&out)[d * WIDTH + lane]);
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
