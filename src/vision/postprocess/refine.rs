//! Maps fitted to the photo's own edges at its full resolution, without training.
//!
//! A patch is many pixels wide, so the borders of an upsampled map miss those of the things in the photo. Here each
//! class's score, or the logarithm of the depth, gets the detail of the photo that goes with it (see
//! [`guided`](crate::vision::postprocess::guided)). Only classes that win somewhere take part, and of these, at each patch,
//! only those that come near to winning: cost and memory follow from the patch grid, not from the photo.

use std::ops::Range;

use image::RgbImage;
use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::{LinearTaps, SampleAxis, mix_rows, tap_runs};
use crate::model::head::Scores;
use crate::model::input::Geometry;
use crate::system::memory::try_vec;
use crate::vision::postprocess::guided::{Guide, GuidedFilterConfig, LinearCoefficients};
use crate::vision::postprocess::rows::RowSource;
use crate::vision::postprocess::segment::fast_exp;
use crate::vision::postprocess::{DepthMap, LabelMap, small_regions};

/// For scores of classes. On frames of streets and photos of animals, windows of two and a half patches gain most.
pub const LABEL_FILTER: GuidedFilterConfig = GuidedFilterConfig {
    cells_per_patch: 4,
    radius: 5,
    epsilon: 3e-4,
};
/// For depth.
pub const DEPTH_FILTER: GuidedFilterConfig = GuidedFilterConfig {
    cells_per_patch: 4,
    radius: 4,
    epsilon: 1e-3,
};

/// Where a cell is up to so many pixels wide, the noise of single pixels is left out of borders, which are no further off
/// for it than two pixels. In larger photos the pixels are finer than what is seen of them.
const SOFT_PIXELS: usize = 4;

/// A class takes part near cells where it wins, or where it is at least this probable.
const MIN_PROBABILITY: f32 = 0.02;

/// As [`segment::refine_labels`](crate::vision::postprocess::segment::refine_labels), fitted to `photo`; regions that are too small to be told
/// are given to those around them (see [`calm`]).
///
/// # Errors
/// If the photo cannot be resized.
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

/// Fitted to `photo` by a recipe, with regions of all sizes.
///
/// Where cells are only a few pixels wide, classes follow the colours that the photo has between them: those of single
/// pixels are noise, which borders would be ragged with.
///
/// # Errors
/// If the photo cannot be resized.
pub fn refine_labels_with(
    recipe: &GuidedFilterConfig,
    scores: &Scores,
    geometry: &Geometry,
    photo: &RgbImage,
) -> Result<LabelMap> {
    let cells = CellGrid::new(geometry, recipe.cells_per_patch);
    let guide = Guide::new(
        photo,
        (cells.width, cells.height),
        recipe.radius,
        recipe.epsilon,
    )?;
    let FilteredScores { classes, others } = filter_scores(scores, &cells, &guide, recipe.radius);
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
            RefineBuffers::default,
            |buffers, (((ids, confidence), rgb), y)| {
                mix_cell_rows(&mut buffers.others, &others, cells.width, 0..cells.width, y);
                buffers.load_colors(&guide, &x_taps, y, rgb);
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
                                buffers.colors.each_ref().map(|c| &c[run.samples.clone()]),
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
pub(super) struct RefineBuffers {
    /// A line of the photo, colour by colour, from 0 to 1.
    pub(super) colors: [Vec<f32>; 3],
    /// A line of one colour of the cells.
    cells: Vec<f32>,
    pub(super) line: Vec<LinearCoefficients>,
    others: Vec<[f32; 1]>,
    /// Classes that take part in a tile.
    candidates: Vec<u16>,
    /// `[near, pixels]`.
    scores: Vec<f32>,
}

impl RefineBuffers {
    /// Those of a line of pixels, `rgb`; where cells are a few pixels wide, those that the photo has between the cells.
    pub(super) fn load_colors(
        &mut self,
        guide: &Guide,
        x_taps: &[LinearTaps],
        y: &LinearTaps,
        rgb: &[u8],
    ) {
        if x_taps.len() > SOFT_PIXELS * guide.width {
            for (channel, plane) in self.colors.iter_mut().enumerate() {
                plane.clear();
                let values = rgb.as_chunks::<3>().0.iter();
                plane.extend(values.map(|rgb| f32::from(rgb[channel]) * (1.0 / 255.0)));
            }
            return;
        }
        for (plane, cells) in self.colors.iter_mut().zip(&guide.colors) {
            let row = |y: usize| &cells[y * guide.width..][..guide.width];
            self.cells.resize(guide.width, 0.0);
            mix_rows(&mut self.cells, row(y.low), row(y.high), y.weight);
            let cells = &self.cells;
            plane.clear();
            plane.extend(
                x_taps
                    .iter()
                    .map(|x| cells[x.low] + (cells[x.high] - cells[x.low]) * x.weight),
            );
        }
    }

    /// The best class of each pixel, and its probability among those that take part.
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

/// Brings a map over the padded input to the photo as [`DepthMap::to_photo`] does, with depth fitted to `photo`. It
/// stays within the depths that the map has nearby.
///
/// # Errors
/// If the photo cannot be resized, or there is no memory for the map.
pub fn refine_depth(map: &DepthMap, geometry: &Geometry, photo: &RgbImage) -> Result<DepthMap> {
    let deviation = map
        .deviation_rows(geometry)
        .map(|rows| (&rows as &dyn RowSource).collect());
    Ok(DepthMap {
        width: geometry.photo.0 as usize,
        height: geometry.photo.1 as usize,
        depth: refine_depth_with(&DEPTH_FILTER, map, geometry, photo)?,
        deviation: deviation.transpose()?.unwrap_or_default(),
    })
}

/// The depths alone, `[height, width]` of the photo, by a recipe.
///
/// # Errors
/// As [`refine_depth()`].
pub fn refine_depth_with(
    recipe: &GuidedFilterConfig,
    map: &DepthMap,
    geometry: &Geometry,
    photo: &RgbImage,
) -> Result<Vec<f32>> {
    let cells = CellGrid::new(geometry, recipe.cells_per_patch);
    let size = (cells.width, cells.height);
    let guide = Guide::new(photo, size, recipe.radius, recipe.epsilon)?;
    // Depths are compared by their ratios.
    let logs: Vec<f32> = sample_depth(map, &cells)
        .iter()
        .map(|d| d.max(f32::MIN_POSITIVE).ln())
        .collect();
    let low = window_extremes(&logs, cells.width, recipe.radius, f32::min);
    let high = window_extremes(&logs, cells.width, recipe.radius, f32::max);
    let fitted: Vec<[f32; 6]> = guide
        .coefficients(&logs)
        .iter()
        .zip(low.iter().zip(&high))
        .map(|(&[r, g, b, rest], (&low, &high))| [r, g, b, rest, low, high])
        .collect();
    let (width, height) = (geometry.photo.0 as usize, geometry.photo.1 as usize);
    let mut depths = try_vec(0f32, width * height)?;
    let (x_taps, y_taps) = (guide.column_taps(width), guide.row_taps(height));
    depths
        .par_chunks_exact_mut(width)
        .zip(photo.par_chunks_exact(3 * width))
        .zip(&y_taps)
        .for_each_init(Vec::new, |line, ((depth, rgb), y)| {
            mix_cell_rows(line, &fitted, cells.width, 0..cells.width, y);
            for ((depth, rgb), x) in depth.iter_mut().zip(rgb.chunks_exact(3)).zip(&x_taps) {
                let [r, g, b, rest, low, high] = mix(&line[x.low], &line[x.high], x.weight);
                *depth = apply_linear(&[r, g, b, rest], rgb).max(low).min(high).exp();
            }
        });
    Ok(depths)
}

/// Depths of the map, which is over the padded input, at the cells.
fn sample_depth(map: &DepthMap, cells: &CellGrid) -> Vec<f32> {
    let finer = |axis: &SampleAxis, side: usize| {
        let factor = side as f32 / axis.cells as f32;
        SampleAxis {
            cells: side,
            positions: axis.positions.iter().map(|place| place * factor).collect(),
        }
        .bilinear()
    };
    let (x_taps, y_taps) = (finer(&cells.x, map.width), finer(&cells.y, map.height));
    let mut values = Vec::with_capacity(cells.width * cells.height);
    let mut line = vec![0f32; map.width];
    for y in &y_taps {
        let row = |y: usize| &map.depth[y * map.width..][..map.width];
        mix_rows(&mut line, row(y.low), row(y.high), y.weight);
        values.extend(
            x_taps
                .iter()
                .map(|x| line[x.low] + (line[x.high] - line[x.low]) * x.weight),
        );
    }
    values
}

/// The least or largest value, as `pick` has it, of windows that reach `radius` from their middle.
pub(super) fn window_extremes(
    plane: &[f32],
    width: usize,
    radius: usize,
    pick: fn(f32, f32) -> f32,
) -> Vec<f32> {
    let height = plane.len() / width;
    let window = |at: usize, side: usize| at.saturating_sub(radius)..(at + radius + 1).min(side);
    let lines: Vec<f32> = (0..plane.len())
        .map(|i| {
            let row = &plane[i / width * width..][..width];
            let near = row[window(i % width, width)].iter().copied();
            near.reduce(pick).unwrap_or(plane[i])
        })
        .collect();
    (0..plane.len())
        .map(|i| {
            let near = window(i / width, height).map(|y| lines[y * width + i % width]);
            near.reduce(pick).unwrap_or(plane[i])
        })
        .collect()
}

/// The classes that take part.
struct FilteredScores {
    classes: Vec<FilteredClass>,
    /// Per cell, the probability of all classes that don't.
    others: Vec<[f32; 1]>,
}

/// A class with its coefficients.
struct FilteredClass {
    id: u16,
    /// Per cell.
    linear: Vec<LinearCoefficients>,
    /// Per tile, whether the class may win there.
    candidate_tiles: Vec<bool>,
}

/// The grid of cells over the photo, without the padding.
pub(super) struct CellGrid {
    pub width: usize,
    pub height: usize,
    /// Where the cells' centres lie on the patch grid.
    pub x: SampleAxis,
    pub y: SampleAxis,
    /// Cells along the side of a patch, and so of a tile.
    cells_per_patch: usize,
}

impl CellGrid {
    pub fn new(geometry: &Geometry, cells_per_patch: usize) -> Self {
        let p = geometry.patch_size as f32;
        let grid = geometry.grid();
        let axis = |photo: u32, resized: u32, pad: u32, patches: usize| {
            let cells = (resized as usize * cells_per_patch).div_ceil(geometry.patch_size);
            let cells = cells.min(photo as usize).max(1);
            let place = |i| (i as f32 + 0.5) * resized as f32 / cells as f32 + pad as f32;
            SampleAxis {
                cells: patches,
                positions: (0..cells).map(|i| place(i) / p).collect(),
            }
        };
        let x = axis(
            geometry.photo.0,
            geometry.resized.0,
            geometry.pad_left,
            grid.cols,
        );
        let y = axis(
            geometry.photo.1,
            geometry.resized.1,
            geometry.pad_top,
            grid.rows,
        );
        Self {
            width: x.positions.len(),
            height: y.positions.len(),
            x,
            y,
            cells_per_patch,
        }
    }
}

/// Squares of cells, about as large as a patch, that share a list of classes.
struct TileGrid {
    side: usize,
    columns: usize,
    rows: usize,
}

impl TileGrid {
    fn new(cells: &CellGrid) -> Self {
        Self {
            side: cells.cells_per_patch,
            columns: cells.width.div_ceil(cells.cells_per_patch),
            rows: cells.height.div_ceil(cells.cells_per_patch),
        }
    }

    fn column(&self, x: usize) -> usize {
        x / self.side
    }

    fn index_of(&self, x: usize, y: usize) -> usize {
        y / self.side * self.columns + x / self.side
    }

    /// The tiles that have one of `cells`, which are `width` a row, within `reach`.
    fn tiles_near(&self, cells: &[usize], width: usize, reach: usize) -> Vec<bool> {
        let mut here = vec![false; self.columns * self.rows];
        for &cell in cells {
            here[self.index_of(cell % width, cell / width)] = true;
        }
        let reach = reach.div_ceil(self.side);
        let span = |at: usize, side: usize| at.saturating_sub(reach)..(at + reach + 1).min(side);
        let near = |i: usize| {
            span(i / self.columns, self.rows)
                .any(|y| span(i % self.columns, self.columns).any(|x| here[y * self.columns + x]))
        };
        (0..here.len()).map(near).collect()
    }
}

/// Gives the classes that win in some cell their detail.
fn filter_scores(
    scores: &Scores,
    cells: &CellGrid,
    guide: &Guide,
    radius: usize,
) -> FilteredScores {
    let (k, cols) = (scores.k, scores.grid.cols);
    let (x_taps, y_taps) = (cells.x.bilinear(), cells.y.bilinear());
    // Per cell the winner, its score, and the logarithm of the sum of the exponentials.
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
            // Only differences between classes count; these are the numbers closest to zero.
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

/// The best class, its score, and the logarithm of the sum of all exponentials.
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

/// What `map` has in the cells `columns` at the height of a row of pixels.
pub(super) fn mix_cell_rows<const N: usize>(
    line: &mut Vec<[f32; N]>,
    map: &[[f32; N]],
    width: usize,
    columns: Range<usize>,
    y: &LinearTaps,
) {
    let row = |y: usize| &map[y * width..][columns.clone()];
    line.clear();
    line.extend(
        row(y.low)
            .iter()
            .zip(row(y.high))
            .map(|(a, b)| mix(a, b, y.weight)),
    );
}

fn mix<const N: usize>(a: &[f32; N], b: &[f32; N], weight: f32) -> [f32; N] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * weight)
}

/// The map's value at a pixel.
fn apply_linear(linear: &LinearCoefficients, rgb: &[u8]) -> f32 {
    let color = |c: usize| linear[c] * (f32::from(rgb[c]) * (1.0 / 255.0));
    color(0) + color(1) + color(2) + linear[3]
}

/// [`apply_linear`] at pixels between two cells.
pub(super) fn apply_linear_run(
    out: &mut [f32],
    low: &LinearCoefficients,
    high: &LinearCoefficients,
    weights: &[f32],
    [red, green, blue]: [&[f32]; 3],
) {
    let step: LinearCoefficients = std::array::from_fn(|i| high[i] - low[i]);
    let colors = red.iter().zip(green).zip(blue);
    for ((out, w), ((r, g), b)) in out.iter_mut().zip(weights).zip(colors) {
        let at = |i: usize| low[i] + step[i] * w;
        *out = at(0) * r + at(1) * g + at(2) * b + at(3);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::Grid;
    use crate::model::input::SizeRule;
    use image::Rgb;

    /// Photos of 140 x 84 that the network sees as they are.
    const SIZE: (u32, u32) = (140, 84);

    fn geometry() -> Geometry {
        Geometry::new(SIZE, SizeRule::Native, 14)
    }

    /// Blue left of column `at`, orange from there on, with a little grain.
    fn photo(at: u32) -> RgbImage {
        RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            let grain = ((x * 7 + y * 13) % 5) as u8;
            match x < at {
                true => Rgb([40 + grain, 60, 180]),
                false => Rgb([220 + grain, 150, 40]),
            }
        })
    }

    /// Two classes that change between the patches 4 and 5, at column 70.
    fn scores() -> Scores {
        let grid = geometry().grid();
        let values = (0..grid.len()).flat_map(|patch| {
            let score = if patch % grid.cols < 5 { 3.0 } else { -3.0 };
            [score, -score]
        });
        Scores {
            values: values.collect(),
            k: 2,
            grid,
        }
    }

    #[test]
    fn a_border_moves_to_the_photos_edge() {
        let plain =
            crate::vision::postprocess::segment::label(&scores(), &geometry(), &[]).unwrap();
        // At most so many pixels of each row are wrong. Half a patch is as far as a border is off in truth, and half a
        // cell, about two pixels, as exactly as it is found.
        for (at, most) in [(66, 2), (74, 2), (63, 4), (77, 4)] {
            let fitted = refine_labels(&scores(), &geometry(), &photo(at)).unwrap();
            let wrong = |map: &LabelMap| {
                let truth = |i: usize| u16::from(i % map.width >= at as usize);
                let pixels = map.ids.iter().enumerate();
                pixels.filter(|(i, id)| **id != truth(*i)).count()
            };
            assert_eq!(wrong(&plain), at.abs_diff(70) as usize * 84);
            let found = wrong(&fitted);
            assert!(found <= most * 84, "{at}: {found} pixels");
        }
    }

    #[test]
    fn what_is_constant_stays() {
        let grid = geometry().grid();
        let constant = Scores {
            values: [0.0, 2.0, 1.0].repeat(grid.len()),
            k: 3,
            grid,
        };
        let map = refine_labels(&constant, &geometry(), &photo(60)).unwrap();
        assert!(map.ids.iter().all(|&id| id == 1));
        let p = 1.0 / (1.0 + (-1f32).exp() + (-2f32).exp());
        assert!(map.confidence.iter().all(|c| (c - p).abs() < 1e-4));
        let flat = depth_map(|_| 2.5);
        let fitted = refine_depth(&flat, &geometry(), &photo(60)).unwrap();
        assert!(fitted.depth.iter().all(|d| (d - 2.5).abs() < 1e-3));
    }

    #[test]
    fn every_pixel_gets_a_class_however_many_there_are() {
        // So many equally good classes that none is likely anywhere.
        let grid = geometry().grid();
        let k = 300;
        let scores = Scores {
            values: (0..grid.len() * k)
                .map(|i| (i * 7919 % 101) as f32 * 1e-3)
                .collect(),
            k,
            grid,
        };
        let map = refine_labels(&scores, &geometry(), &photo(60)).unwrap();
        assert!(map.confidence.iter().all(|c| (0.0..=1.0).contains(c)));
        assert!(map.ids.iter().all(|&id| usize::from(id) < k));
        let mut ids = map.ids;
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() > 10);
    }

    #[test]
    fn odd_sizes_work() {
        for size in [(1, 1), (3000, 3), (2, 500), (13, 15)] {
            let geometry = Geometry::new(size, SizeRule::ShortSide(28), 14);
            let grid = geometry.grid();
            let scores = Scores {
                values: (0..grid.len() * 3).map(|i| (i % 5) as f32).collect(),
                k: 3,
                grid,
            };
            let photo = RgbImage::from_fn(size.0, size.1, |x, y| Rgb([x as u8, y as u8, 9]));
            let map = refine_labels(&scores, &geometry, &photo).unwrap();
            assert_eq!((map.width, map.height), (size.0 as usize, size.1 as usize));
            assert!(map.confidence.iter().all(|c| (0.0..=1.0).contains(c)));
        }
    }

    fn depth_map(depth: impl Fn(usize) -> f32) -> DepthMap {
        let Grid { rows, cols } = geometry().grid();
        let (width, height) = (4 * cols, 4 * rows);
        DepthMap {
            width,
            height,
            depth: (0..width * height).map(|i| depth(i % width)).collect(),
            deviation: vec![0.1; width * height],
        }
    }

    #[test]
    fn depth_snaps_to_the_photos_edge_and_stays_in_range() {
        // A soft step around column 70, and an edge of the photo half a patch off.
        let soft = depth_map(|x| 1.0 + ((x as f32 - 15.0) / 10.0).clamp(0.0, 1.0) * 3.0);
        let plain = soft.to_photo(&geometry());
        let fitted = refine_depth(&soft, &geometry(), &photo(77)).unwrap();
        let rise = |map: &DepthMap| map.depth[140 * 42 + 79] - map.depth[140 * 42 + 74];
        assert!(
            rise(&fitted) > 3.0 * rise(&plain),
            "{} {}",
            rise(&fitted),
            rise(&plain)
        );
        assert!(fitted.depth.iter().all(|d| (0.999..=4.001).contains(d)));
        assert_eq!(fitted.deviation, plain.deviation);
    }
}
