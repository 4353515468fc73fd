//! Connected regions of a label map: pixels of one class that touch by a side or a corner (8-connectivity, as OpenCV
//! and scikit-image take it if nothing is said).
//!
//! A region is no instance: two dogs that touch are one region, and a dog behind a lamp post is two.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::str::FromStr;

use crate::postprocess::contours::NO_LABEL;
use crate::postprocess::{LabelMap, NONE};

/// How large a region must be to be listed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinArea {
    /// This many pixels.
    Pixels(u64),
    /// This part of the photo in percent, from 0 to 100.
    Percent(f64),
}

impl MinArea {
    /// In pixels of a photo that has `total`; at least 1.
    pub fn pixels(self, total: usize) -> u64 {
        let pixels = match self {
            MinArea::Pixels(pixels) => pixels,
            MinArea::Percent(percent) => (percent / 100.0 * total as f64).ceil() as u64,
        };
        pixels.max(1)
    }
}

impl Display for MinArea {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MinArea::Pixels(1) => f.write_str("1 pixel"),
            MinArea::Pixels(pixels) => write!(f, "{pixels} pixels"),
            MinArea::Percent(percent) => write!(f, "{percent} % of the photo"),
        }
    }
}

impl FromStr for MinArea {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected a number of pixels, such as 200, or a part of the photo, such as 0.1%"
                .to_owned()
        };
        match text.strip_suffix('%') {
            Some(number) => match number.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(MinArea::Percent(percent)),
                _ => Err(expected()),
            },
            None => text.parse().map(MinArea::Pixels).map_err(|_| expected()),
        }
    }
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelBox {
    /// Of its left column.
    pub x: usize,
    /// Of its upper row.
    pub y: usize,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

impl PixelBox {
    /// Around both.
    pub fn around(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        PixelBox {
            x,
            y,
            width: right - x,
            height: bottom - y,
        }
    }

    /// As COCO has it: x, y, width, height.
    pub fn xywh(self) -> [usize; 4] {
        [self.x, self.y, self.width, self.height]
    }
}

/// One connected region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Index of its class.
    pub class: u16,
    /// How many pixels it has.
    pub pixels: u64,
    /// The smallest box around it.
    pub bounds: PixelBox,
    /// Mean probability of its class over its pixels.
    pub confidence: f64,
}

/// The connected regions of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions {
    /// The largest first.
    pub list: Vec<Region>,
    /// `[height, width]`: which of the list a pixel belongs to, or [`NO_LABEL`].
    pub labels: Vec<u32>,
    /// Pixels that a region has at least.
    pub least: u64,
    /// How many regions were smaller, and are left out.
    pub left_out: usize,
    /// The pixels of those.
    pub left_out_pixels: u64,
}

impl Regions {
    /// Those of `map` that have at least `least` pixels.
    pub fn of(map: &LabelMap, least: u64) -> Self {
        let runs = Run::all(map);
        let roots = join(&runs);
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
                    region.bounds = region.bounds.around(own.bounds);
                    region.confidence += own.confidence;
                }
                None => {
                    index_of[root] = all.len();
                    all.push(own);
                }
            }
        }
        let mut order: Vec<usize> = (0..all.len())
            .filter(|&index| all[index].pixels >= least)
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
        let small = all.iter().filter(|region| region.pixels < least);
        Regions {
            left_out: small.clone().count(),
            left_out_pixels: small.map(|region| region.pixels).sum(),
            list: order
                .into_iter()
                .map(|index| Region {
                    confidence: all[index].confidence / all[index].pixels as f64,
                    ..all[index]
                })
                .collect(),
            labels,
            least,
        }
    }
}

/// Neighbouring pixels of one class in a row.
#[derive(Debug, Clone, Copy)]
struct Run {
    class: u16,
    row: usize,
    start: usize,
    end: usize,
}

impl Run {
    /// All of a map, row by row.
    fn all(map: &LabelMap) -> Vec<Self> {
        let mut runs = Vec::new();
        for (row, ids) in map.ids.chunks(map.width.max(1)).enumerate() {
            let mut start = 0;
            for same in ids.chunk_by(|a, b| a == b) {
                let end = start + same.len();
                if same[0] != NONE {
                    let class = same[0];
                    runs.push(Run {
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

    /// Its pixels in a map as wide as `width`.
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

/// For each run the first run of its region, by a union of runs that touch from row to row.
///
/// imageproc's `connected_components` panics on maps without two equal neighbours (one pixel is enough), and takes 28
/// bytes a pixel.
fn join(runs: &[Run]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..runs.len()).collect();
    // The first run that may touch the present one.
    let mut above = 0;
    for (index, run) in runs.iter().enumerate() {
        let is_past = |other: &Run| {
            other.row + 1 < run.row || other.row + 1 == run.row && other.end < run.start
        };
        while is_past(&runs[above]) {
            above += 1;
        }
        let touching = (above..index)
            .take_while(|&other| runs[other].row < run.row && runs[other].start <= run.end);
        for other in touching.filter(|&other| runs[other].class == run.class) {
            let (a, b) = (root(&mut parents, other), root(&mut parents, index));
            // The lower index is the root, so that it is the region's first run.
            parents[a.max(b)] = a.min(b);
        }
    }
    (0..runs.len())
        .map(|index| root(&mut parents, index))
        .collect()
}

/// Where a run's chain of parents ends; the chain becomes shorter on the way.
fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The map that `rows` draw with digits; a space has no class.
    fn map(rows: &[&str]) -> LabelMap {
        let text = rows.concat();
        let ids = text.bytes().map(|c| match c {
            b' ' => NONE,
            c => u16::from(c - b'0'),
        });
        let ids: Vec<u16> = ids.collect();
        LabelMap {
            width: rows[0].len(),
            height: rows.len(),
            confidence: (0..ids.len()).map(|i| i as f32).collect(),
            ids,
        }
    }

    fn of(regions: &Regions) -> Vec<(u16, u64, [usize; 4])> {
        let list = regions.list.iter();
        list.map(|r| (r.class, r.pixels, r.bounds.xywh())).collect()
    }

    #[test]
    fn regions_of_one_class_are_told_apart_and_corners_join() {
        let map = map(&[
            "00 11", //
            "0  1 ", "   1 ", "22 0 ", "    0",
        ]);
        let regions = Regions::of(&map, 1);
        assert_eq!(
            of(&regions),
            [
                (1, 4, [3, 0, 2, 3]),
                (0, 3, [0, 0, 2, 2]),
                (2, 2, [0, 3, 2, 1]),
                (0, 2, [3, 3, 2, 2]),
            ]
        );
        assert_eq!(regions.labels[3], 0);
        assert_eq!((regions.labels[18], regions.labels[24]), (3, 3));
        assert_eq!(regions.labels[2], NO_LABEL);
        assert_eq!(regions.list[2].confidence, 15.5);
        assert_eq!((regions.left_out, regions.left_out_pixels), (0, 0));
    }

    #[test]
    fn small_ones_are_left_out_and_counted() {
        let map = map(&["00 1", "0   ", "  22", "1   "]);
        let regions = Regions::of(&map, 2);
        assert_eq!(of(&regions), [(0, 3, [0, 0, 2, 2]), (2, 2, [2, 2, 2, 1])]);
        assert_eq!((regions.left_out, regions.left_out_pixels), (2, 2));
        assert_eq!(regions.labels[3], NO_LABEL);
        assert_eq!(regions.labels[10], 1);
        let listed = regions.labels.iter().filter(|l| **l != NO_LABEL).count();
        assert_eq!(listed, 5);
    }

    #[test]
    fn a_map_of_no_class_has_no_region() {
        let regions = Regions::of(&map(&["  ", "  "]), 1);
        assert_eq!((regions.list.len(), regions.left_out), (0, 0));
    }

    #[test]
    fn regions_are_those_of_a_flood_fill() {
        let mut state = 5u32;
        let mut random = move |limit: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % limit
        };
        for round in 0..200u32 {
            let (width, height) = (1 + random(12) as usize, 1 + random(12) as usize);
            let kinds = 2 + round % 3;
            let ids = (0..width * height).map(|_| match random(kinds) {
                0 => NONE,
                id => id as u16,
            });
            let ids: Vec<u16> = ids.collect();
            let map = LabelMap {
                width,
                height,
                confidence: vec![0.5; ids.len()],
                ids,
            };
            let regions = Regions::of(&map, 1);
            let mut seen = vec![false; map.ids.len()];
            let mut count = 0;
            for start in 0..map.ids.len() {
                if map.ids[start] == NONE || seen[start] {
                    continue;
                }
                count += 1;
                let mut open = vec![start];
                let mut pixels = 0;
                seen[start] = true;
                while let Some(at) = open.pop() {
                    pixels += 1;
                    assert_eq!(regions.labels[at], regions.labels[start]);
                    let near = |a: usize, b: usize| a.abs_diff(b) <= 1;
                    for other in 0..map.ids.len() {
                        let touches =
                            near(other % width, at % width) && near(other / width, at / width);
                        if touches && map.ids[other] == map.ids[start] && !seen[other] {
                            seen[other] = true;
                            open.push(other);
                        }
                    }
                }
                let region = regions.list[regions.labels[start] as usize];
                assert_eq!((region.pixels, region.class), (pixels, map.ids[start]));
            }
            assert_eq!(regions.list.len(), count);
        }
    }

    #[test]
    fn the_least_area_is_pixels_or_a_part_of_the_photo() {
        let parse = |text: &str| text.parse::<MinArea>();
        assert_eq!(parse("200").unwrap().pixels(1000), 200);
        assert_eq!(parse("0").unwrap().pixels(1000), 1);
        assert_eq!(parse("0.25%").unwrap().pixels(1000), 3);
        for text in ["", "-1", "2.5", "101%", "x%", "NaN%"] {
            assert!(parse(text).unwrap_err().contains("0.1%"), "{text}");
        }
    }
}
