//! A pass of photos through a [`CpuBackbone`]: for each block one parallel loop over groups of panels.
//!
//! A group attends to all keys of its photo, and each of its panels then finishes the block and computes the next
//! block's queries, keys and values.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::attention::{AttentionJob, attention};
use super::cls::cls_attention_weights;
use super::matmul::{CpuEpilogue, linear};
use super::network::{CpuBackbone, CpuLayerTokens};
use super::panel::{self, PANEL_TOKENS, PanelSpan, ROW_LINES};
use super::panel_task::{PanelTask, Scratch, panel_tasks};
use super::pointwise::{layer_norm, swiglu};
use super::simd::{CacheLine, as_floats, as_floats_mut};
use crate::error::Result;
use crate::model::backbone::config::Ffn;
use crate::model::backbone::features::LayerRequest;
use crate::model::input::PatchGrid;
use crate::system::memory::try_vec;

impl CpuBackbone {
    /// Runs normalised RGB `pixels` `[B, 3, rows * p, cols * p]` with the position embedding `positions`
    /// `[rows * cols, D]`, and returns the tokens of `requests`, in their order. The blocks after the deepest request
    /// are not run. `tick(done, all)` is called after each block with the number of blocks that are done and of those
    /// to run.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if there is not enough memory.
    pub fn forward(
        &self,
        pixels: &[f32],
        grid: PatchGrid,
        positions: &[f32],
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Vec<CpuLayerTokens>> {
        let (tokens, _) = self.run(pixels, grid, positions, requests, None, tick)?;
        Ok(tokens)
    }

    /// As [`CpuBackbone::forward`], but returns the attention weights of the cls token in `block`,
    /// `[B, heads, tokens]`. Of that block, only queries, keys and values are computed.
    ///
    /// # Errors
    /// As [`CpuBackbone::forward`].
    pub fn cls_attention(
        &self,
        pixels: &[f32],
        grid: PatchGrid,
        positions: &[f32],
        block: usize,
    ) -> Result<Vec<f32>> {
        let (_, weights) = self.run(pixels, grid, positions, &[], Some(block), &|_, _| ())?;
        Ok(weights)
    }

    /// The tokens of `requests`, and the cls token's attention weights in the block `cls_block` (empty for none).
    fn run(
        &self,
        pixels: &[f32],
        grid: PatchGrid,
        positions: &[f32],
        requests: &[LayerRequest],
        cls_block: Option<usize>,
        tick: &dyn Fn(usize, usize),
    ) -> Result<(Vec<CpuLayerTokens>, Vec<f32>)> {
        // Blocks that are run in full, and those of which at least queries, keys and values are computed.
        let full = requests.iter().map(|r| r.block + 1).max().unwrap_or(0);
        let partial = full.max(cls_block.map_or(0, |block| block + 1));
        let mut weights = Vec::new();
        if partial == 0 {
            return Ok((Vec::new(), weights));
        }
        let dim = self.config.dim;
        let image = 3 * grid.len() * self.config.patch_size.pow(2);
        let photos = pixels.len() / image;
        let skip = self.specials.len();
        let workers = rayon::current_num_threads();
        let workers_a_photo = workers.div_ceil(photos.max(1));
        let spans = panel::split_into_panels(skip + grid.len(), workers_a_photo);
        let groups = panel::panel_group_sizes(spans.len(), workers_a_photo);
        let panels = photos * spans.len();
        let mut x = try_vec(CacheLine::ZERO, panels * dim * ROW_LINES)?;
        let mut qkv = try_vec(CacheLine::ZERO, panels * 3 * dim * ROW_LINES)?;
        // The last block computes no next queries, keys and values.
        let mut next = match partial {
            1 => Vec::new(),
            _ => try_vec(CacheLine::ZERO, panels * 3 * dim * ROW_LINES)?,
        };
        let mut outputs: Vec<CpuLayerTokens> = requests
            .iter()
            .map(|_| {
                Ok(CpuLayerTokens {
                    specials: try_vec(0.0, photos * skip * dim)?,
                    patches: try_vec(0.0, photos * grid.len() * dim)?,
                })
            })
            .collect::<Result<_>>()?;
        let scratches: Vec<Mutex<Scratch>> = (0..workers)
            .map(|_| Mutex::new(Scratch::new(&self.config)))
            .collect();
        let each = |tasks: Vec<PanelTask<'_>>,
                    work: &(dyn Fn(Vec<PanelTask<'_>>, &mut Scratch) + Sync)| {
            let mut tasks = tasks.into_iter();
            let groups: Vec<Vec<PanelTask<'_>>> = (0..photos)
                .flat_map(|_| &groups)
                .map(|&group| tasks.by_ref().take(group).collect())
                .collect();
            groups.into_par_iter().with_max_len(1).for_each(|group| {
                let own = rayon::current_thread_index().unwrap_or(0) % workers;
                // Scratch memory has no state that a panic of its former user could have broken.
                let mut scratch = scratches[own].lock().unwrap_or_else(|p| p.into_inner());
                work(group, &mut scratch);
            });
        };

        let tasks = panel_tasks(&spans, &mut x, &mut qkv, &mut [], (dim, skip, grid.len()));
        each(tasks, &|group, scratch| {
            for task in group {
                let pixels = &pixels[task.photo * image..][..image];
                self.embed_panel(pixels, grid, positions, task.span, task.x, scratch);
                self.compute_qkv(0, task.x, task.qkv, task.span.lines, scratch);
            }
        });
        for index in 0..partial {
            if cls_block == Some(index) {
                let photos = qkv.chunks_exact(spans.len() * 3 * dim * ROW_LINES);
                let of_photo = |qkv| cls_attention_weights(qkv, &spans, dim, self.config.heads);
                weights = photos.flat_map(of_photo).collect();
                if index >= full {
                    break;
                }
            }
            let mut wanted: Vec<(bool, &mut CpuLayerTokens)> = requests
                .iter()
                .zip(&mut outputs)
                .filter(|(request, _)| request.block == index)
                .map(|(request, tokens)| (request.norm, tokens))
                .collect();
            let keys = &qkv;
            let tasks = panel_tasks(
                &spans,
                &mut x,
                &mut next,
                &mut wanted,
                (dim, skip, grid.len()),
            );
            each(tasks, &|group, scratch| {
                let photo = &keys[group[0].photo * spans.len() * 3 * dim * ROW_LINES..];
                let queries = group[0].panel..group[0].panel + group.len();
                self.attend_panels(photo, &spans, queries, scratch);
                for (at, task) in group.into_iter().enumerate() {
                    self.finish_block(index, at, task.x, task.span.lines, scratch);
                    for (normed, specials, patches) in task.outputs {
                        self.write_tokens(normed, task.x, task.span, specials, patches, scratch);
                    }
                    if index + 1 < partial {
                        self.compute_qkv(index + 1, task.x, task.qkv, task.span.lines, scratch);
                    }
                }
            });
            std::mem::swap(&mut qkv, &mut next);
            tick(index + 1, partial);
        }
        Ok((outputs, weights))
    }

    /// Embeds the patches of a panel: its tokens as they enter the first block, into `x`.
    fn embed_panel(
        &self,
        pixels: &[f32],
        grid: PatchGrid,
        positions: &[f32],
        span: PanelSpan,
        x: &mut [CacheLine],
        scratch: &mut Scratch,
    ) {
        let (dim, p, skip) = (self.config.dim, self.config.patch_size, self.specials.len());
        let (height, width) = (grid.rows * p, grid.cols * p);
        let cut = &mut scratch.wide[..3 * p * p * ROW_LINES];
        let values = as_floats_mut(cut);
        let own = as_floats_mut(x);
        for lane in 0..span.tokens {
            // A special token has no pixels; its lane is overwritten below.
            let Some(patch) = (span.start + lane).checked_sub(skip) else {
                (0..3 * p * p).for_each(|k| values[k * PANEL_TOKENS + lane] = 0.0);
                continue;
            };
            let (row, col) = (patch / grid.cols, patch % grid.cols);
            for channel in 0..3 {
                for y in 0..p {
                    let from = (channel * height + row * p + y) * width + col * p;
                    let to = (channel * p + y) * p;
                    for (x, &value) in pixels[from..][..p].iter().enumerate() {
                        values[(to + x) * PANEL_TOKENS + lane] = value;
                    }
                }
            }
            for (feature, &value) in positions[patch * dim..][..dim].iter().enumerate() {
                own[feature * PANEL_TOKENS + lane] = value;
            }
        }
        linear(
            self.isa,
            &self.patch_embed,
            cut,
            x,
            span.lines,
            CpuEpilogue::Add,
        );
        for (token, special) in self.specials.iter().enumerate().skip(span.start) {
            if let Some(lane) = token.checked_sub(span.start).filter(|&l| l < span.tokens) {
                for (feature, &value) in special.iter().enumerate() {
                    as_floats_mut(x)[feature * PANEL_TOKENS + lane] = value;
                }
            }
        }
    }

    /// LayerNorm, then the queries, keys and values of a panel in block `block`.
    fn compute_qkv(
        &self,
        block: usize,
        x: &[CacheLine],
        qkv: &mut [CacheLine],
        lines: usize,
        scratch: &mut Scratch,
    ) {
        let block = &self.blocks[block];
        layer_norm(self.isa, &block.norm1, x, &mut scratch.normed, lines);
        linear(
            self.isa,
            &block.qkv,
            &scratch.normed,
            qkv,
            lines,
            CpuEpilogue::Store,
        );
    }

    /// Attention of all heads for a group of neighbouring panels, into `scratch.heads`.
    fn attend_panels(
        &self,
        qkv: &[CacheLine],
        spans: &[PanelSpan],
        queries: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let (dim, heads) = (self.config.dim, self.config.heads);
        for head in 0..heads {
            let job = AttentionJob {
                qkv,
                spans,
                dim,
                head,
                head_dim: dim / heads,
                first_query_panel: queries.start,
                query_panels: queries.len(),
            };
            attention(self.isa, job, &mut scratch.scores, &mut scratch.heads);
        }
    }

    /// The rest of a block after attention, for panel `at` of its group: projection, residual, LayerNorm, feed-forward
    /// network, residual. LayerScale is in the weights of `proj` and `ffn_out`.
    fn finish_block(
        &self,
        index: usize,
        at: usize,
        x: &mut [CacheLine],
        lines: usize,
        scratch: &mut Scratch,
    ) {
        let (isa, block) = (self.isa, &self.blocks[index]);
        let Scratch {
            heads,
            normed,
            wide,
            ..
        } = scratch;
        let width = self.config.dim * ROW_LINES;
        let heads = &heads[at * width..][..width];
        linear(isa, &block.proj, heads, x, lines, CpuEpilogue::Add);
        layer_norm(isa, &block.norm2, x, normed, lines);
        let wide = &mut wide[..block.ffn_in.outputs() * ROW_LINES];
        match self.config.ffn {
            Ffn::Mlp { .. } => {
                linear(isa, &block.ffn_in, normed, wide, lines, CpuEpilogue::Gelu);
            }
            Ffn::SwiGlu { .. } => {
                linear(isa, &block.ffn_in, normed, wide, lines, CpuEpilogue::Store);
                swiglu(isa, wide, lines);
            }
        }
        linear(isa, &block.ffn_out, wide, x, lines, CpuEpilogue::Add);
    }

    /// Copies a panel's tokens to rows of `specials` and `patches`, through the final LayerNorm if `normed`.
    fn write_tokens(
        &self,
        normed: bool,
        x: &[CacheLine],
        span: PanelSpan,
        specials: &mut [f32],
        patches: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let x = match normed {
            true => {
                layer_norm(self.isa, &self.norm, x, &mut scratch.normed, span.lines);
                &scratch.normed
            }
            false => x,
        };
        let dim = self.config.dim;
        let rows = specials
            .chunks_exact_mut(dim)
            .chain(patches.chunks_exact_mut(dim));
        for (lane, token) in rows.enumerate() {
            for (to, row) in token
                .iter_mut()
                .zip(as_floats(x).chunks_exact(PANEL_TOKENS))
            {
                *to = row[lane];
            }
        }
    }
}
