//! The memory layout of tokens: panels of up to 48 neighbouring tokens, feature by feature, one token per lane.
//!
//! A panel of width `F` is `F` rows of [`ROW_LINES`] cache lines; row `f` holds feature `f` of the panel's tokens.
//! Every step of a block reads and writes that form: a product's right side, its result, queries, keys and values. So
//! nothing is ever transposed, sums over features need no exchange between lanes, and a panel stays in its core's cache
//! from the attention to the next block's queries.

use super::simd::{CacheLine, LANES};

/// Cache lines of a row.
pub const ROW_LINES: usize = 3;
/// Tokens of a full panel, the numbers of a row: 48.
pub const PANEL_TOKENS: usize = ROW_LINES * LANES;

/// Most panels that go through a block together, so that their queries share one reading of all keys and values.
pub const MAX_QUERY_PANELS: usize = 8;

/// The tokens of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanelSpan {
    /// Index of its first token in the image.
    pub start: usize,
    /// Number of tokens, 1 to 48; the lanes after them are unused.
    pub tokens: usize,
    /// Cache lines of each row that are in use, 1 to [`ROW_LINES`].
    pub lines: usize,
}

/// Cuts `tokens` tokens into panels, whose number `workers` threads divide evenly where there are enough tokens.
pub fn split_into_panels(tokens: usize, workers: usize) -> Vec<PanelSpan> {
    let lines = tokens.div_ceil(LANES);
    let workers = workers.clamp(1, lines.max(1));
    let panels = lines
        .div_ceil(ROW_LINES)
        .next_multiple_of(workers)
        .min(lines);
    (0..panels)
        .map(|panel| {
            let (first, end) = (panel * lines / panels, (panel + 1) * lines / panels);
            let start = first * LANES;
            PanelSpan {
                start,
                tokens: (end * LANES).min(tokens) - start,
                lines: end - first,
            }
        })
        .collect()
}

/// Sizes of the groups of neighbouring panels that go through a block together, at most [`MAX_QUERY_PANELS`] each, for
/// `workers` threads to divide evenly.
pub fn panel_group_sizes(panels: usize, workers: usize) -> Vec<usize> {
    let workers = workers.clamp(1, panels.max(1));
    let count = panels.div_ceil(MAX_QUERY_PANELS).next_multiple_of(workers);
    let count = count.min(panels);
    (0..count)
        .map(|group| (group + 1) * panels / count - group * panels / count)
        .collect()
}

/// A panel of `width` features, all zero.
pub fn zeroed_panel(width: usize) -> Vec<CacheLine> {
    vec![CacheLine::ZERO; width * ROW_LINES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_all_tokens_and_share_out_evenly() {
        for tokens in [1, 15, 16, 17, 48, 49, 257, 1370, 5477] {
            for workers in [1, 2, 3, 8, 64] {
                let spans = split_into_panels(tokens, workers);
                let mut next = 0;
                for span in &spans {
                    assert_eq!(span.start, next);
                    assert!(span.tokens > 0 && span.lines <= ROW_LINES);
                    assert_eq!(span.tokens.div_ceil(LANES), span.lines);
                    next += span.tokens;
                }
                assert_eq!(next, tokens);
                let groups = panel_group_sizes(spans.len(), workers);
                assert_eq!(groups.iter().sum::<usize>(), spans.len());
                assert!(
                    groups
                        .iter()
                        .all(|&group| (1..=MAX_QUERY_PANELS).contains(&group))
                );
                let lines =
                    |spans: &[PanelSpan]| spans.iter().map(|span| span.lines).sum::<usize>();
                if workers == 2 && spans.len() > 1 {
                    let (left, right) = spans.split_at(spans.len() / 2);
                    assert!(lines(left).abs_diff(lines(right)) <= 1, "{tokens}");
                }
            }
        }
    }
}
