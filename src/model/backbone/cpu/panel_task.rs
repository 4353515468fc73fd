//! The units of work of a pass: one panel of one photo with its part of every buffer, and the scratch memory of a
//! thread.

use super::attention::SCRATCH_LINES;
use super::network::CpuLayerTokens;
use super::panel::{self, MAX_QUERY_PANELS, PanelSpan, ROW_LINES};
use super::simd::CacheLine;
use crate::model::backbone::config::BackboneConfig;

/// Scratch memory of a thread, for one group of panels at a time.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Attention's result for a group of panels: `[MAX_QUERY_PANELS, D]` rows.
    pub heads: Vec<CacheLine>,
    /// A panel of width D after a LayerNorm.
    pub normed: Vec<CacheLine>,
    /// A panel of the feed-forward network's first layer, or of cut-out patches.
    pub wide: Vec<CacheLine>,
    /// Scores, running maxima and running sums: [`SCRATCH_LINES`] lines.
    pub scores: Vec<CacheLine>,
}

impl Scratch {
    /// Zeroed scratch memory for a backbone of shape `config`.
    pub fn new(config: &BackboneConfig) -> Self {
        Self {
            heads: panel::zeroed_panel(MAX_QUERY_PANELS * config.dim),
            normed: panel::zeroed_panel(config.dim),
            wide: panel::zeroed_panel(config.ffn.width().max(3 * config.patch_size.pow(2))),
            scores: vec![CacheLine::ZERO; SCRATCH_LINES],
        }
    }
}

/// One panel's share of a block of a pass.
pub(super) struct PanelTask<'a> {
    /// Index of the photo in the batch.
    pub photo: usize,
    /// Index of the panel in the photo.
    pub panel: usize,
    /// The panel's tokens.
    pub span: PanelSpan,
    /// The residual stream of the panel: D rows.
    pub x: &'a mut [CacheLine],
    /// Where the next block's queries, keys and values go: `3 * D` rows, or none after the last block.
    pub qkv: &'a mut [CacheLine],
    /// For each request of this block, whether the final LayerNorm is applied, and the panel's rows of special and
    /// patch tokens.
    pub outputs: Vec<(bool, &'a mut [f32], &'a mut [f32])>,
}

/// Splits the buffers of all photos into one task per panel. `x` and `qkv` are `[photos, panels]` panels, `wanted` the
/// outputs of this block's requests, and the last argument D and the numbers of special and patch tokens per photo.
pub(super) fn panel_tasks<'a>(
    spans: &[PanelSpan],
    x: &'a mut [CacheLine],
    qkv: &'a mut [CacheLine],
    wanted: &'a mut [(bool, &mut CpuLayerTokens)],
    (dim, skip, patches): (usize, usize, usize),
) -> Vec<PanelTask<'a>> {
    let mut rest: Vec<(bool, &mut [f32], &mut [f32])> = wanted
        .iter_mut()
        .map(|(normed, tokens)| (*normed, &mut tokens.specials[..], &mut tokens.patches[..]))
        .collect();
    let mut qkv = qkv.chunks_exact_mut(3 * dim * ROW_LINES);
    x.chunks_exact_mut(dim * ROW_LINES)
        .enumerate()
        .map(|(index, x)| {
            let (photo, panel) = (index / spans.len(), index % spans.len());
            let span = spans[panel];
            let of_kind = |from: usize, to: usize| {
                span.start.clamp(from, to)..(span.start + span.tokens).clamp(from, to)
            };
            let special_rows = of_kind(0, skip).len();
            let patch_rows = of_kind(skip, skip + patches).len();
            let wanted = rest
                .iter_mut()
                .map(|(normed, specials, patches)| {
                    let own = |rest: &mut &'a mut [f32], rows: usize| {
                        let (own, after) = std::mem::take(rest).split_at_mut(rows * dim);
                        *rest = after;
                        own
                    };
                    (
                        *normed,
                        own(specials, special_rows),
                        own(patches, patch_rows),
                    )
                })
                .collect();
            PanelTask {
                photo,
                panel,
                span,
                x,
                qkv: qkv.next().unwrap_or_default(),
                outputs: wanted,
            }
        })
        .collect()
}
