//! Class scores refined to the photo: [`Scores`] over the patch grid become a [`LabelMap`] of the photo's pixels.
//!
//! Only classes that win in some cell take part, and of these, in each tile of cells, only those that come near to
//! winning: cost and memory follow from the patch grid, not from the number of classes times the photo's pixels.

use image::RgbImage;
use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::{LinearTaps, mix_rows, tap_runs};
use crate::model::head::Scores;
use crate::model::input::Geometry;
use crate::system::memory::try_vec;
use crate::vision::postprocess::guided::{Guide, GuidedFilterConfig, LinearCoefficients};
use crate::vision::postprocess::refine::cells::{CellGrid, TileGrid};
use crate::vision::postprocess::refine::linear::{PhotoColors, apply_linear_run, mix_cell_rows};
use crate::vision::postprocess::segment::fast_exp;
use crate::vision::postprocess::{LabelMap, small_regions};

/// The filter for class scores. On frames of streets and photos of animals, this radius, 11 cells or 2.75 patches a
/// window, gained the most accuracy.
pub const LABEL_FILTER: GuidedFilterConfig = GuidedFilterConfig {
    cells_per_patch: 4,
    radius: 5,
    epsilon: 3e-4,
};

/// A class is a candidate near cells where it wins, or where its softmax probability is above this.
const MIN_PROBABILITY: f32 = 0.02;

/// Labels every pixel of `photo` as [`segment::label`](crate::vision::postprocess::segment::label) does, refined to its
/// edges by [`LABEL_FILTER`]; then regions below
/// [`min_region_pixels`](crate::vision::postprocess::small_regions::min_region_pixels) are merged into their
/// neighbours.
///
/// # Errors
/// If the photo cannot be resized; [`Error::Memory`](crate::Error::Memory) if the map does not fit.
pub fn refine_labels(scores: &Scores, geometry: &Geometry, photo: &RgbImage) -> Result<LabelMap> {
    let mut map = refine_labels_with(&LABEL_FILTER, scores, geometry, photo)?;
    small_regions::merge_small_regions(
        &mut map,
        scores,
        geometry,
        small_regions::min_region_pixels(geometry),
    )?;
    Ok(map)
}

/// Labels every pixel of `photo`, refined to its edges by the filter `config`; regions of all sizes are kept.
///
/// Where the photo has up to four pixels per cell along a row, the colours of the cells, mixed bilinearly, replace
/// those of single pixels, whose noise would make borders ragged.
///
/// # Errors
/// As [`refine_labels()`].
pub fn refine_labels_with(
    config: &GuidedFilterConfig,
    scores: &Scores,
    geometry: &Geometry,
    photo: &RgbImage,
) -> Result<LabelMap> {
    let cells = CellGrid::new(geometry, config.cells_per_patch);
    let guide = Guide::new(
        photo,
        (cells.width, cells.height),
        config.radius,
        config.epsilon,
    )?;
    let FilteredScores { classes, others } = filter_scores(scores, &cells, &guide, config.radius);
    let tiles = TileGrid::new(&cells);
    let (width, height) = (geometry.photo.0 as usize, geometry.photo.1 as usize);
    let (x_taps, y_taps) = (guide.column_taps(width), guide.row_taps(height));
    let runs = tap_runs(&x_taps);
    let mut ids = try_vec(0u16, width * height)?;
    let mut confidence = try_vec(0f32, width * height)?;
    ids.par_chunks_exact_mut(width)
        .zip(confidence.par_chunks_exact_mut(width))
        .zip(photo.par_chunks_exact(3 * width))
        .zip(&y_taps)
        .for_each_init(
            LabelBuffers::default,
            |buffers, (((ids, confidence), rgb), y)| {
                mix_cell_rows(&mut buffers.others, &others, cells.width, 0..cells.width, y);
                buffers.colors.load(&guide, &x_taps, y, rgb);
                for runs in runs.chunk_by(|a, b| tiles.column(a.low) == tiles.column(b.low)) {
                    let (first, last) = (&runs[0], &runs[runs.len() - 1]);
                    let tile = tiles.index_of(first.low, y.low);
                    let columns = first.low..last.high + 1;
                    let span = first.samples.start..last.samples.end;
                    buffers.candidates.clear();
                    buffers.scores.clear();
                    for class in classes.iter().filter(|class| class.candidate_tiles[tile]) {
                        let line = &mut buffers.line;
                        mix_cell_rows(line, &class.linear, cells.width, columns.clone(), y);
                        let start = buffers.scores.len();
                        buffers.scores.resize(start + span.len(), 0.0);
                        for run in runs {
                            let place = start + run.samples.start - span.start;
                            apply_linear_run(
                                &mut buffers.scores[place..][..run.samples.len()],
                                &line[run.low - columns.start],
                                &line[run.high - columns.start],
                                &run.weights,
                                buffers.colors.slice(&run.samples),
                            );
                        }
                        buffers.candidates.push(class.id);
                    }
                    buffers.select_classes(&mut ids[span.clone()], &mut confidence[span]);
                    for run in runs {
                        let [low] = buffers.others[run.low];
                        let [high] = buffers.others[run.high];
                        let confidence = confidence[run.samples.clone()].iter_mut();
                        for (confidence, weight) in confidence.zip(&run.weights) {
                            *confidence *= 1.0 - (low + (high - low) * weight);
                        }
                    }
                }
            },
        );
    Ok(LabelMap {
        width,
        height,
        ids,
        confidence,
    })
}

/// What a thread keeps from tile to tile.
#[derive(Default)]
struct LabelBuffers {
    colors: PhotoColors,
    /// The coefficients of one class along a row of cells.
    line: Vec<LinearCoefficients>,
    /// Along a row of cells, the probability of the classes that never win.
    others: Vec<[f32; 1]>,
    /// The candidate classes of a tile.
    candidates: Vec<u16>,
    /// Their scores at the tile's pixels of one row, `[candidates, pixels]`.
    scores: Vec<f32>,
}

impl LabelBuffers {
    /// Writes the best candidate of each pixel, and its softmax probability among the candidates.
    fn select_classes(&self, ids: &mut [u16], confidence: &mut [f32]) {
        let pixels = ids.len();
        let mut tops = vec![f32::NEG_INFINITY; pixels];
        for (&class, scores) in self.candidates.iter().zip(self.scores.chunks_exact(pixels)) {
            for ((id, top), &score) in ids.iter_mut().zip(&mut tops).zip(scores) {
                let better = score > *top;
                *id = if better { class } else { *id };
                *top = if better { score } else { *top };
            }
        }
        confidence.fill(0.0);
        for scores in self.scores.chunks_exact(pixels) {
            for ((sum, &top), &score) in confidence.iter_mut().zip(&tops).zip(scores) {
                *sum += fast_exp(score - top);
            }
        }
        confidence.iter_mut().for_each(|sum| *sum = 1.0 / *sum);
    }
}

/// The classes that win in some cell.
struct FilteredScores {
    classes: Vec<FilteredClass>,
    /// Per cell, the probability of all other classes together, 0..1.
    others: Vec<[f32; 1]>,
}

/// A class whose score is a linear function of the photo's colour.
struct FilteredClass {
    id: u16,
    /// Per cell, for the score less the best score there.
    linear: Vec<LinearCoefficients>,
    /// Per tile, whether the class may win in it.
    candidate_tiles: Vec<bool>,
}

/// Filters the scores of the classes that win in some cell, over windows of `radius` cells.
fn filter_scores(
    scores: &Scores,
    cells: &CellGrid,
    guide: &Guide,
    radius: usize,
) -> FilteredScores {
    let (k, cols) = (scores.k, scores.grid.cols);
    let (x_taps, y_taps) = (cells.x.bilinear(), cells.y.bilinear());
    // Per cell: the best class, its score, and the log-sum-exp of all scores.
    let mut tops = vec![(0u16, 0f32, 0f32); cells.width * cells.height];
    tops.par_chunks_exact_mut(cells.width)
        .zip(&y_taps)
        .for_each_init(
            || (vec![0f32; cols * k], vec![0f32; k]),
            |(line, pixel), (out, y)| {
                let row = |y: usize| &scores.values[y * cols * k..][..cols * k];
                mix_rows(line, row(y.low), row(y.high), y.weight);
                for (out, x) in out.iter_mut().zip(&x_taps) {
                    let patch = |x: usize| &line[x * k..][..k];
                    mix_rows(pixel, patch(x.low), patch(x.high), x.weight);
                    *out = top_and_log_sum(pixel);
                }
            },
        );
    let mut wins = vec![false; k];
    tops.iter()
        .for_each(|(id, ..)| wins[usize::from(*id)] = true);
    let plane = |id: usize| -> Vec<f32> {
        let rows = y_taps.iter().flat_map(|y| {
            let score = move |x: usize| {
                let at = |y: usize| scores.values[(y * cols + x) * k + id];
                at(y.low) + (at(y.high) - at(y.low)) * y.weight
            };
            let between = move |x: &LinearTaps| {
                let (left, right) = (score(x.low), score(x.high));
                left + (right - left) * x.weight
            };
            x_taps.iter().map(between)
        });
        rows.collect()
    };
    let tiles = TileGrid::new(cells);
    let winners: Vec<usize> = (0..k).filter(|id| wins[*id]).collect();
    let classes = winners.par_iter().map(|&id| {
        let mut plane = plane(id);
        let least = MIN_PROBABILITY.ln();
        let mut places = Vec::new();
        for (cell, (score, (winner, top, sum))) in plane.iter_mut().zip(&tops).enumerate() {
            if usize::from(*winner) == id || *score - sum > least {
                places.push(cell);
            }
            // Only differences between classes matter; relative to the best score they are closest to zero.
            *score -= top;
        }
        FilteredClass {
            id: id as u16,
            // Coefficients are means over windows of means over windows; a pixel mixes two cells.
            candidate_tiles: tiles.tiles_near(&places, cells.width, 2 * radius + 1),
            linear: guide.coefficients(&plane),
        }
    });
    let classes: Vec<FilteredClass> = classes.collect();
    let mut others = vec![[1f32]; tops.len()];
    for &id in &winners {
        for ([rest], (score, (.., sum))) in others.iter_mut().zip(plane(id).iter().zip(&tops)) {
            *rest -= (score - sum).exp();
        }
    }
    others
        .iter_mut()
        .for_each(|[rest]| *rest = rest.clamp(0.0, 1.0));
    FilteredScores { classes, others }
}

/// The best class, its score, and the log-sum-exp of all `scores`.
fn top_and_log_sum(scores: &[f32]) -> (u16, f32, f32) {
    let (mut id, mut top) = (0, f32::NEG_INFINITY);
    for (index, &score) in scores.iter().enumerate() {
        if score > top {
            (id, top) = (index as u16, score);
        }
    }
    let sum: f32 = scores.iter().map(|score| fast_exp(score - top)).sum();
    (id, top, top + sum.ln())
}
