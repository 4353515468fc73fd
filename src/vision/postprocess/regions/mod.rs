//! Connected regions of a label map: pixels of one class that touch by a side or a corner (8-connectivity, the default
//! of OpenCV and scikit-image). A [`LabelMap`] gives [`Regions`]: a list by size, and the region of each pixel.
//!
//! A region is not an instance: two dogs that touch are one region, and a dog behind a lamp post is two.

mod min_area;
mod pixel_box;

use std::ops::Range;

use crate::vision::postprocess::contours::NO_LABEL;
use crate::vision::postprocess::union_find::DisjointSets;
use crate::vision::postprocess::{LabelMap, NO_CLASS};

pub use min_area::MinArea;
pub use pixel_box::PixelBox;

/// One connected region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Index of its class.
    pub class: u16,
    /// Number of its pixels.
    pub pixels: u64,
    /// The smallest box that holds its pixels.
    pub bounds: PixelBox,
    /// Mean softmax probability of its class over its pixels, 0..1.
    pub confidence: f64,
}

/// The connected regions of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions {
    /// The regions of at least [`Regions::min_pixels`] pixels, the largest first.
    pub list: Vec<Region>,
    /// The index in the list of each pixel's region, or [`NO_LABEL`]; `[height, width]`.
    pub labels: Vec<u32>,
    /// Least number of pixels of a listed region.
    pub min_pixels: u64,
    /// Number of smaller regions, which are left out.
    pub dropped: usize,
    /// Number of pixels of the regions left out.
    pub left_out_pixels: u64,
}

impl Regions {
    /// The regions of `map` that have at least `least` pixels; pixels of [`NO_CLASS`] are in none.
    pub fn of(map: &LabelMap, min_pixels: u64) -> Self {
        let runs = RegionRun::all(map);
        let roots = union_runs(&runs);
        let mut all: Vec<Region> = Vec::new();
        // From the first run of a region to its index.
        let mut index_of = vec![usize::MAX; runs.len()];
        for (run, &root) in runs.iter().zip(&roots) {
            let sure: f64 = map.confidence[run.span(map.width)]
                .iter()
                .map(|&confidence| f64::from(confidence))
                .sum();
            let own = Region {
                class: run.class,
                pixels: (run.end - run.start) as u64,
                bounds: run.bounds(),
                confidence: sure,
            };
            match all.get_mut(index_of[root]) {
                Some(region) => {
                    region.pixels += own.pixels;
                    region.bounds = region.bounds.union(own.bounds);
                    region.confidence += own.confidence;
                }
                None => {
                    index_of[root] = all.len();
                    all.push(own);
                }
            }
        }
        let mut order: Vec<usize> = (0..all.len())
            .filter(|&index| all[index].pixels >= min_pixels)
            .collect();
        order.sort_by_key(|&index| std::cmp::Reverse(all[index].pixels));
        let mut places = vec![NO_LABEL; all.len()];
        for (place, &index) in order.iter().enumerate() {
            places[index] = place as u32;
        }
        let mut labels = vec![NO_LABEL; map.ids.len()];
        for (run, &root) in runs.iter().zip(&roots) {
            labels[run.span(map.width)].fill(places[index_of[root]]);
        }
        let small = all.iter().filter(|region| region.pixels < min_pixels);
        Regions {
            dropped: small.clone().count(),
            left_out_pixels: small.map(|region| region.pixels).sum(),
            list: order
                .into_iter()
                .map(|index| Region {
                    confidence: all[index].confidence / all[index].pixels as f64,
                    ..all[index]
                })
                .collect(),
            labels,
            min_pixels,
        }
    }
}

/// A run of adjacent pixels of one class in a row: columns `start..end`.
#[derive(Debug, Clone, Copy)]
struct RegionRun {
    class: u16,
    row: usize,
    start: usize,
    end: usize,
}

impl RegionRun {
    /// The runs of a map, row by row, without those of no class.
    fn all(map: &LabelMap) -> Vec<Self> {
        let mut runs = Vec::new();
        for (row, ids) in map.ids.chunks(map.width.max(1)).enumerate() {
            let mut start = 0;
            for same in ids.chunk_by(|a, b| a == b) {
                let end = start + same.len();
                if same[0] != NO_CLASS {
                    let class = same[0];
                    runs.push(RegionRun {
                        class,
                        row,
                        start,
                        end,
                    });
                }
                start = end;
            }
        }
        runs
    }

    /// The indices of its pixels in a map of `width` columns.
    fn span(&self, width: usize) -> Range<usize> {
        self.row * width + self.start..self.row * width + self.end
    }

    fn bounds(&self) -> PixelBox {
        PixelBox {
            x: self.start,
            y: self.row,
            width: self.end - self.start,
            height: 1,
        }
    }
}

/// The first run of each run's region, by uniting runs that touch from row to row.
///
/// imageproc's `connected_components` panics on maps without two equal neighbours (one pixel is enough), and takes 28
/// bytes a pixel.
fn union_runs(runs: &[RegionRun]) -> Vec<usize> {
    let mut regions = DisjointSets::default();
    runs.iter().for_each(|_| regions.push());
    // The first run that may touch the current one.
    let mut above = 0;
    for (index, run) in runs.iter().enumerate() {
        let is_past = |other: &RegionRun| {
            other.row + 1 < run.row || other.row + 1 == run.row && other.end < run.start
        };
        while is_past(&runs[above]) {
            above += 1;
        }
        let touching = (above..index)
            .take_while(|&other| runs[other].row < run.row && runs[other].start <= run.end);
        for other in touching.filter(|&other| runs[other].class == run.class) {
            regions.unite(other as u32, index as u32);
        }
    }
    (0..runs.len())
        .map(|index| regions.root(index as u32) as usize)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
