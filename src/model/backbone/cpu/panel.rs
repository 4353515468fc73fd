//! How tokens lie in memory: in panels of up to 48 neighbours, feature by feature, a token a lane.
//!
//! A panel of width `F` is `F` rows of [`ROW`] lines; row `f` holds feature `f` of the panel's tokens. Every step of a
//! block reads and writes that form: a product's right side, its result, queries, keys and values. So nothing is ever
//! transposed, sums over features need no exchange between lanes, and a panel stays in its core's cache from the
//! attention to the next block's queries.

use super::attention::QUERIES;
use super::simd::{LANES, Line};

/// Lines of a row.
pub const ROW: usize = 3;
/// Numbers of a row.
pub const WIDTH: usize = ROW * LANES;

/// The tokens of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first token.
    pub start: usize,
    /// How many there are, 1 to 48; lanes after them hold nothing.
    pub tokens: usize,
    /// Lines of each row that are in use.
    pub lines: usize,
}

/// Cuts `tokens` into panels that `workers` can share out evenly.
pub fn cut(tokens: usize, workers: usize) -> Vec<Span> {
    let lines = tokens.div_ceil(LANES);
    let workers = workers.clamp(1, lines.max(1));
    let panels = lines.div_ceil(ROW).next_multiple_of(workers).min(lines);
    (0..panels)
        .map(|panel| {
            let (first, end) = (panel * lines / panels, (panel + 1) * lines / panels);
            let start = first * LANES;
            Span {
                start,
                tokens: (end * LANES).min(tokens) - start,
                lines: end - first,
            }
        })
        .collect()
}

/// How many neighbouring panels go through a block together, group by group, for `workers` to share out evenly.
pub fn groups(panels: usize, workers: usize) -> Vec<usize> {
    let workers = workers.clamp(1, panels.max(1));
    let count = panels.div_ceil(QUERIES).next_multiple_of(workers);
    let count = count.min(panels);
    (0..count)
        .map(|group| (group + 1) * panels / count - group * panels / count)
        .collect()
}

/// A panel of `width` features.
pub fn empty(width: usize) -> Vec<Line> {
    vec![Line::ZERO; width * ROW]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_all_tokens_and_share_out_evenly() {
        for tokens in [1, 15, 16, 17, 48, 49, 257, 1370, 5477] {
            for workers in [1, 2, 3, 8, 64] {
                let spans = cut(tokens, workers);
                let mut next = 0;
                for span in &spans {
                    assert_eq!(span.start, next);
                    assert!(span.tokens > 0 && span.lines <= ROW);
                    assert_eq!(span.tokens.div_ceil(LANES), span.lines);
                    next += span.tokens;
                }
                assert_eq!(next, tokens);
                let groups = groups(spans.len(), workers);
                assert_eq!(groups.iter().sum::<usize>(), spans.len());
                assert!(groups.iter().all(|&group| (1..=QUERIES).contains(&group)));
                let lines = |spans: &[Span]| spans.iter().map(|span| span.lines).sum::<usize>();
                if workers == 2 && spans.len() > 1 {
                    let (left, right) = spans.split_at(spans.len() / 2);
                    assert!(lines(left).abs_diff(lines(right)) <= 1, "{tokens}");
                }
            }
        }
    }
}
