//! Merging of small regions of a label map into their neighbours: a region of fewer pixels than two patches cover gets
//! a class of the regions that it touches.
//!
//! The backbone describes whole patches. A smaller region is more often noise along a border, or between classes of
//! about equal probability, than an object of its own, and many of them make a map hard to read. Regions here are
//! 4-connected.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use crate::error::Result;
use crate::maths::{LinearTaps, SampleAxis};
use crate::model::head::Scores;
use crate::model::input::Geometry;
use crate::system::memory::try_vec;
use crate::vision::postprocess::LabelMap;
use crate::vision::postprocess::segment::fast_exp;
use crate::vision::postprocess::union_find::DisjointSets;

/// Least area of a region, in patches. On photos of streets, rooms, animals and landscapes, two remove most of the
/// noise without a loss of accuracy; four lose poles.
const MIN_PATCHES: f64 = 2.0;

/// The least area of a region in pixels of the photo: that of two patches.
pub fn min_region_pixels(geometry: &Geometry) -> u64 {
    let pixels = |photo: u32, resized: u32| {
        geometry.patch_size as f64 * f64::from(photo) / f64::from(resized.max(1))
    };
    let patch =
        pixels(geometry.photo.0, geometry.resized.0) * pixels(geometry.photo.1, geometry.resized.1);
    (MIN_PATCHES * patch).round() as u64
}

/// A run of equal ids in row `y`: columns `start..end`, of the region with index `region`.
#[derive(Debug, Clone, Copy)]
struct LabelRun {
    y: u32,
    start: u32,
    end: u32,
    region: u32,
}

/// Merges the regions of `map` (pixels of one class that touch by a side) of fewer than `least` pixels, the smallest
/// first, into a neighbouring class: the one with the best `scores` over the region's pixels. The confidence there
/// becomes the softmax probability of that class among all but the region's former one.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the tables do not fit.
pub fn merge_small_regions(
    map: &mut LabelMap,
    scores: &Scores,
    geometry: &Geometry,
    least: u64,
) -> Result<()> {
    if least <= 1 || map.ids.is_empty() {
        return Ok(());
    }
    let mut regions = RegionGraph::from_labels(map)?;
    let axis = |places, cells| SampleAxis {
        cells,
        positions: places,
    };
    let x = axis(geometry.column_positions(), scores.grid.cols).bilinear();
    let y = axis(geometry.row_positions(), scores.grid.rows).bilinear();
    let taps = (x.as_slice(), y.as_slice());
    regions.merge_below(least, |runs, classes| {
        best_class(scores, taps, runs, classes)
    });
    regions.write_labels(map, |run, had, class| {
        probability_without(scores, taps, run, had, class)
    });
    Ok(())
}

/// The scores at the middle of `run`, as a function of the class. One sample is enough: patches are far wider than the
/// runs of small regions.
fn scores_at_middle<'a>(
    scores: &'a Scores,
    (x_taps, y_taps): (&[LinearTaps], &[LinearTaps]),
    run: LabelRun,
) -> impl Fn(usize) -> f32 + use<'a> {
    let (k, cols) = (scores.k, scores.grid.cols);
    let y = y_taps[run.y as usize];
    let x = x_taps[(run.start + run.end) as usize / 2];
    move |class| {
        let at = |row: usize, col: usize| scores.values[(row * cols + col) * k + class];
        let line = |col| at(y.low, col) + (at(y.high, col) - at(y.low, col)) * y.weight;
        let (left, right) = (line(x.low), line(x.high));
        left + (right - left) * x.weight
    }
}

/// The softmax probability of `class` in `run`, among all classes but `had`, its former one.
fn probability_without(
    scores: &Scores,
    taps: (&[LinearTaps], &[LinearTaps]),
    run: LabelRun,
    had: u16,
    class: u16,
) -> f32 {
    let score = scores_at_middle(scores, taps, run);
    let others = || (0..scores.k).filter(|&other| other != usize::from(had));
    let top = others().map(&score).fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = others().map(|other| fast_exp(score(other) - top)).sum();
    fast_exp(score(usize::from(class)) - top) / sum
}

/// The class of `classes` with the highest sum of scores over the pixels of `runs`.
fn best_class(
    scores: &Scores,
    taps: (&[LinearTaps], &[LinearTaps]),
    runs: &[LabelRun],
    classes: &[u16],
) -> u16 {
    let mut sums = vec![0f64; classes.len()];
    for &run in runs {
        let score = scores_at_middle(scores, taps, run);
        for (sum, &class) in sums.iter_mut().zip(classes) {
            *sum += f64::from(run.end - run.start) * f64::from(score(usize::from(class)));
        }
    }
    // On ties, the first.
    let best = (0..classes.len()).reduce(|a, b| if sums[b] > sums[a] { b } else { a });
    best.map_or(0, |best| classes[best])
}

/// The regions of a map as the nodes of a graph whose edges join regions that touch.
struct RegionGraph {
    runs: Vec<LabelRun>,
    nodes: Vec<RegionNode>,
}

/// A connected region of the graph.
#[derive(Default)]
struct RegionNode {
    /// The index of the region that it was merged into, or its own.
    parent: u32,
    class: u16,
    pixels: u64,
    /// Indices of its runs, with those of the regions merged into it.
    runs: Vec<u32>,
    /// Indices of the regions that touch it, some of which may have been merged since.
    neighbours: Vec<u32>,
}

impl RegionGraph {
    /// The regions of pixels that touch by a side.
    fn from_labels(map: &LabelMap) -> Result<Self> {
        let mut runs: Vec<LabelRun> = Vec::new();
        let mut sets = DisjointSets::default();
        let mut touching: Vec<(u32, u32)> = Vec::new();
        let mut above = 0..0;
        for (y, row) in map.ids.chunks_exact(map.width).enumerate() {
            let first = runs.len();
            let mut start = 0;
            for chunk in row.chunk_by(|a, b| a == b) {
                let end = start + chunk.len();
                let index = runs.len() as u32;
                runs.push(LabelRun {
                    y: y as u32,
                    start: start as u32,
                    end: end as u32,
                    region: index,
                });
                sets.push();
                if start > 0 {
                    touching.push((index - 1, index));
                }
                start = end;
            }
            // Both rows are covered by runs without gaps.
            let (mut a, mut b) = (above.start, first);
            while a < above.end && b < runs.len() {
                let (upper, lower) = (runs[a], runs[b]);
                let id = |run: LabelRun| map.ids[run.y as usize * map.width + run.start as usize];
                match id(upper) == id(lower) {
                    true => sets.unite(a as u32, b as u32),
                    false => touching.push((a as u32, b as u32)),
                }
                match upper.end.cmp(&lower.end) {
                    Ordering::Less => a += 1,
                    Ordering::Greater => b += 1,
                    Ordering::Equal => (a, b) = (a + 1, b + 1),
                }
            }
            above = first..runs.len();
        }
        let mut numbers = try_vec(u32::MAX, runs.len())?;
        let mut nodes: Vec<RegionNode> = Vec::new();
        for (index, run) in runs.iter_mut().enumerate() {
            let root = sets.root(index as u32) as usize;
            if numbers[root] == u32::MAX {
                numbers[root] = nodes.len() as u32;
                nodes.push(RegionNode {
                    parent: nodes.len() as u32,
                    class: map.ids[run.y as usize * map.width + run.start as usize],
                    ..RegionNode::default()
                });
            }
            run.region = numbers[root];
            let node = &mut nodes[run.region as usize];
            node.pixels += u64::from(run.end - run.start);
            node.runs.push(index as u32);
        }
        for (a, b) in touching {
            let (a, b) = (runs[a as usize].region, runs[b as usize].region);
            for (one, other) in [(a, b), (b, a)] {
                let neighbours = &mut nodes[one as usize].neighbours;
                if neighbours.last() != Some(&other) {
                    neighbours.push(other);
                }
            }
        }
        for node in &mut nodes {
            node.neighbours.sort_unstable();
            node.neighbours.dedup();
        }
        Ok(RegionGraph { runs, nodes })
    }

    /// The region that the region `at` has been merged into.
    fn root(&mut self, mut at: u32) -> u32 {
        while self.nodes[at as usize].parent != at {
            let parent = self.nodes[at as usize].parent;
            self.nodes[at as usize].parent = self.nodes[parent as usize].parent;
            at = parent;
        }
        at
    }

    /// Merges regions below `least` pixels, the smallest first; `choose` picks the new class of a region's runs from
    /// several.
    fn merge_below(&mut self, least: u64, choose: impl Fn(&[LabelRun], &[u16]) -> u16) {
        let mut queue: BTreeSet<(u64, u32)> = (0..)
            .zip(&self.nodes)
            .filter(|(_, node)| node.pixels < least)
            .map(|(index, node)| (node.pixels, index))
            .collect();
        while let Some((_, index)) = queue.pop_first() {
            let neighbours = std::mem::take(&mut self.nodes[index as usize].neighbours);
            let mut around: Vec<u32> = neighbours.iter().map(|&other| self.root(other)).collect();
            around.sort_unstable();
            around.dedup();
            around.retain(|&other| other != index);
            // A map of one small region stays unchanged.
            if around.is_empty() {
                continue;
            }
            let mut classes: Vec<u16> = around
                .iter()
                .map(|&other| self.nodes[other as usize].class)
                .collect();
            classes.sort_unstable();
            classes.dedup();
            let class = match classes.as_slice() {
                [only] => *only,
                several => {
                    let runs = &self.nodes[index as usize].runs;
                    let runs: Vec<LabelRun> =
                        runs.iter().map(|&run| self.runs[run as usize]).collect();
                    choose(&runs, several)
                }
            };
            let same: Vec<u32> = around
                .iter()
                .copied()
                .filter(|&other| self.nodes[other as usize].class == class)
                .collect();
            // They become one region; the largest takes the others in.
            let largest = same
                .iter()
                .copied()
                .max_by_key(|&other| (self.nodes[other as usize].pixels, Reverse(other)));
            let Some(largest) = largest else { continue };
            queue.remove(&(self.nodes[largest as usize].pixels, largest));
            self.nodes[index as usize].neighbours = around;
            for other in same
                .into_iter()
                .chain([index])
                .filter(|&one| one != largest)
            {
                queue.remove(&(self.nodes[other as usize].pixels, other));
                let part = &mut self.nodes[other as usize];
                part.parent = largest;
                let (pixels, mut runs, neighbours) = (
                    part.pixels,
                    std::mem::take(&mut part.runs),
                    std::mem::take(&mut part.neighbours),
                );
                let whole = &mut self.nodes[largest as usize];
                whole.pixels += pixels;
                whole.runs.append(&mut runs);
                whole.neighbours.extend(neighbours);
            }
            let whole = self.nodes[largest as usize].pixels;
            if whole < least {
                queue.insert((whole, largest));
            }
        }
    }

    /// Writes the new class of every merged region into `map`, with the confidence
    /// `sure(run, former class, new class)`.
    fn write_labels(&mut self, map: &mut LabelMap, sure: impl Fn(LabelRun, u16, u16) -> f32) {
        for index in 0..self.runs.len() {
            let run = self.runs[index];
            let root = self.root(run.region);
            if root != run.region {
                let class = self.nodes[root as usize].class;
                let row = run.y as usize * map.width;
                let span = row + run.start as usize..row + run.end as usize;
                // A region of its own class may have been merged with it in between.
                let had = map.ids[span.start];
                if had != class {
                    map.ids[span.clone()].fill(class);
                    map.confidence[span].fill(sure(run, had, class));
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::PatchGrid;
    use crate::model::input::SizeRule;

    /// Four patches of 14 pixels a side in a row, with two or three scores each.
    fn scene(values: &[[f32; 3]; 4]) -> (Scores, Geometry) {
        let scores = Scores {
            values: values.concat(),
            k: 3,
            grid: PatchGrid { rows: 1, cols: 4 },
        };
        (scores, Geometry::new((56, 14), SizeRule::Native, 14))
    }

    fn map(id: impl Fn(usize, usize) -> u16) -> LabelMap {
        LabelMap {
            width: 56,
            height: 14,
            ids: (0..56 * 14).map(|i| id(i % 56, i / 56)).collect(),
            confidence: vec![0.9; 56 * 14],
        }
    }

    #[test]
    fn two_patches_are_counted_in_pixels_of_the_photo() {
        let geometry = Geometry::new((1120, 560), SizeRule::ShortSide(280), 14);
        assert_eq!(min_region_pixels(&geometry), 2 * 28 * 28);
    }

    #[test]
    fn a_small_region_goes_to_the_class_around_it_that_is_best_there() {
        // A speck of class 2 where 0 and 1 meet, nearer to 0's part but on patches that prefer 1.
        let (scores, geometry) = scene(&[
            [3.0, 0.0, 0.0],
            [0.0, 2.0, 2.1],
            [0.0, 2.0, 2.1],
            [0.0, 3.0, 0.0],
        ]);
        let mut found = map(|x, y| match (x, y) {
            (24..46, 4..8) => 2,
            (0..28, _) => 0,
            _ => 1,
        });
        let before = found.clone();
        merge_small_regions(&mut found, &scores, &geometry, 100).unwrap();
        assert!(!found.ids.contains(&2));
        assert_eq!(found.ids[5 * 56 + 24], 1);
        // It is as sure as scores of 0 and 2 make class 1, a little left of that patch's middle.
        let sure = found.confidence[5 * 56 + 33];
        let expected = 2f32.exp() / (1.0 + 2f32.exp());
        assert!((sure - expected).abs() < 0.02, "{sure} {expected}");
        // What is large enough stays, and so does the map where nothing is too small.
        assert_eq!((found.ids[0], found.confidence[0]), (0, 0.9));
        let mut kept = before.clone();
        merge_small_regions(&mut kept, &scores, &geometry, 32).unwrap();
        assert_eq!(kept, before);
    }

    #[test]
    fn specks_among_specks_and_lonely_ones_end() {
        let (scores, geometry) = scene(&[[0.0, 1.0, 0.5]; 4]);
        // A chessboard: nothing is large, and all of it becomes one.
        let mut board = map(|x, y| ((x + y) % 3) as u16);
        merge_small_regions(&mut board, &scores, &geometry, 392).unwrap();
        assert!(
            board.ids.iter().all(|id| *id == board.ids[0]),
            "{:?}",
            &board.ids[..9]
        );
        // A map of one region has nowhere to go, however small it is.
        let mut one = map(|_, _| 2);
        merge_small_regions(&mut one, &scores, &geometry, 10_000).unwrap();
        assert_eq!(one, map(|_, _| 2));
    }

    #[test]
    fn no_small_region_is_left_and_large_ones_stay() {
        let (scores, geometry) = scene(&[
            [1.0, 0.5, 0.2],
            [0.3, 1.0, 0.2],
            [0.2, 0.4, 1.0],
            [0.9, 0.1, 0.3],
        ]);
        let mut state = 5u32;
        let noise: Vec<u16> = (0..56 * 14)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match i % 56 {
                    0..20 => 0,
                    _ => ((state >> 16) % 3) as u16,
                }
            })
            .collect();
        let mut found = map(|x, y| noise[y * 56 + x]);
        merge_small_regions(&mut found, &scores, &geometry, 100).unwrap();
        let graph = RegionGraph::from_labels(&found).unwrap();
        assert!(graph.nodes.iter().all(|node| node.pixels >= 100));
        assert!((0..14).all(|y| found.ids[y * 56..y * 56 + 20].iter().all(|id| *id == 0)));
    }
}
