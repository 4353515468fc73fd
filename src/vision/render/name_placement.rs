//! Placement of class names on the regions of a label map: one place for each connected region (4-connected) that is
//! large enough, as far from the region's border as its name allows. Input is a [`LabelMap`] and the sizes of the names
//! in pixels.
//!
//! A reduced copy of the map is searched, with a summed-area table for each region.

use image::{ImageBuffer, Luma};
use imageproc::region_labelling::{Connectivity, connected_components};

use crate::vision::postprocess::{LabelMap, NO_CLASS};

/// The place of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamePlacement {
    /// Index of the class.
    pub id: u16,
    /// Centre of the text, in pixels of the map.
    pub centre: (u32, u32),
}

/// Greatest long side of the reduced map that is searched, in cells.
const LONG_SIDE: usize = 320;
/// Least share of the map of a region that gets a name.
const MIN_REGION_SHARE: f64 = 0.01;
/// Least share of the text that must lie on its region, without clearance.
const MIN_COVERED_SHARE: f64 = 0.85;
/// Clearances around the text that are tried in turn, as factors of its size; 1 is none.
const CLEARANCES: [f64; 6] = [5.0, 3.5, 2.5, 1.8, 1.3, 1.0];

/// Finds places for texts of the size `size_of(class)` = (width, height) in pixels of the map. No two overlap, and the
/// `margin` pixels around them, for their rims, lie on the map.
pub fn place_names(
    map: &LabelMap,
    size_of: impl Fn(u16) -> (u32, u32),
    margin: u32,
) -> Vec<NamePlacement> {
    let step = map.width.max(map.height).div_ceil(LONG_SIDE).max(1);
    let small = ReducedLabelMap::new(map, step);
    let mut taken: Vec<(CellRect, NamePlacement)> = Vec::new();
    for region in small.regions() {
        let (width, height) = size_of(region.id);
        let text = (
            (width as usize).div_ceil(step),
            (height as usize).div_ceil(step),
        );
        // The last cells may lie partly beyond the map.
        let partial = !map.width.is_multiple_of(step) || !map.height.is_multiple_of(step);
        let margin = (margin as usize).div_ceil(step) + usize::from(partial);
        if let Some(window) = small.place_text(&region, text, margin)
            && taken.iter().all(|(other, _)| !other.overlaps(&window))
        {
            let centre = |start: usize, size: usize| ((2 * start + size) * step / 2) as u32;
            let place = NamePlacement {
                id: region.id,
                centre: (
                    centre(window.x, window.width).min(map.width as u32 - 1),
                    centre(window.y, window.height).min(map.height as u32 - 1),
                ),
            };
            taken.push((window, place));
        }
    }
    taken.into_iter().map(|(_, place)| place).collect()
}

/// The label map at reduced size, one cell for `step` x `step` pixels, with its connected regions.
struct ReducedLabelMap {
    width: usize,
    height: usize,
    /// Per cell, the id at its middle pixel.
    ids: Vec<u16>,
    /// Per cell, the number of its region; 0 is none.
    regions: Vec<u32>,
}

/// A connected region of the reduced map.
struct ReducedRegion {
    id: u16,
    number: u32,
    cells: usize,
    bounds: CellRect,
    /// Mean position of its cells.
    centre: (f64, f64),
}

/// A rectangle of cells.
#[derive(Debug, Clone, Copy)]
struct CellRect {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl CellRect {
    fn overlaps(&self, other: &CellRect) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

impl ReducedLabelMap {
    fn new(map: &LabelMap, step: usize) -> Self {
        let (width, height) = (map.width.div_ceil(step), map.height.div_ceil(step));
        let middle = |cell: usize, side: usize| (cell * step + step / 2).min(side - 1);
        let mut ids = Vec::with_capacity(width * height);
        for y in 0..height {
            let row = &map.ids[middle(y, map.height) * map.width..][..map.width];
            ids.extend((0..width).map(|x| row[middle(x, map.width)]));
        }
        // imageproc has room for one region fewer than there are pixels; an added row of no class makes that enough.
        let mut framed = ids.clone();
        framed.resize(ids.len() + width, NO_CLASS);
        let image: Option<ImageBuffer<Luma<u16>, Vec<u16>>> =
            ImageBuffer::from_raw(width as u32, height as u32 + 1, framed);
        let mut regions = match image {
            Some(image) => {
                connected_components(&image, Connectivity::Four, Luma([NO_CLASS])).into_raw()
            }
            None => Vec::new(),
        };
        regions.resize(ids.len(), 0);
        Self {
            width,
            height,
            ids,
            regions,
        }
    }

    /// The regions that are large enough for a name, the largest first.
    fn regions(&self) -> Vec<ReducedRegion> {
        let count = self.regions.iter().max().map_or(0, |&last| last as usize);
        // Per region: cells, sums of x and y, first and last x and y, id.
        let mut found =
            vec![(0usize, [0usize; 2], [usize::MAX; 2], [0usize; 2], NO_CLASS); count + 1];
        for (cell, &number) in self.regions.iter().enumerate() {
            let place = [cell % self.width, cell / self.width];
            let (cells, sums, first, last, id) = &mut found[number as usize];
            *cells += 1;
            *id = self.ids[cell];
            for axis in 0..2 {
                sums[axis] += place[axis];
                first[axis] = first[axis].min(place[axis]);
                last[axis] = last[axis].max(place[axis]);
            }
        }
        let least = (MIN_REGION_SHARE * self.ids.len() as f64).max(1.0) as usize;
        let mut regions: Vec<ReducedRegion> = (0..)
            .zip(found)
            .skip(1)
            .filter(|(_, (cells, ..))| *cells >= least)
            .map(|(number, (cells, sums, first, last, id))| ReducedRegion {
                id,
                number,
                cells,
                bounds: CellRect {
                    x: first[0],
                    y: first[1],
                    width: last[0] - first[0] + 1,
                    height: last[1] - first[1] + 1,
                },
                centre: (sums[0] as f64 / cells as f64, sums[1] as f64 / cells as f64),
            })
            .collect();
        regions.sort_by_key(|region| std::cmp::Reverse(region.cells));
        regions
    }

    /// The best place on `region` for a text of (width, height) cells, if there is any.
    fn place_text(
        &self,
        region: &ReducedRegion,
        (width, height): (usize, usize),
        margin: usize,
    ) -> Option<CellRect> {
        let cover = SummedAreaTable::new(self, region);
        for clearance in CLEARANCES {
            let grown = |side: usize| (side as f64 * clearance).ceil() as usize;
            let (w, h) = (grown(width), grown(height));
            let least = if clearance > 1.0 {
                1.0
            } else {
                MIN_COVERED_SHARE
            };
            // The clearance already holds part of the margin.
            let beyond = |grown: usize, size: usize| margin.saturating_sub((grown - size) / 2);
            let margins = (beyond(w, width), beyond(h, height));
            if let Some((x, y)) = cover.best_window(self, region, (w, h), margins, least) {
                return Some(CellRect {
                    x: x + (w - width) / 2,
                    y: y + (h - height) / 2,
                    width,
                    height,
                });
            }
        }
        None
    }
}

/// The number of cells of a region above and to the left of each corner within its bounds.
struct SummedAreaTable {
    sums: Vec<u32>,
    bounds: CellRect,
}

impl SummedAreaTable {
    fn new(map: &ReducedLabelMap, region: &ReducedRegion) -> Self {
        let bounds = region.bounds;
        let stride = bounds.width + 1;
        let mut sums = vec![0u32; stride * (bounds.height + 1)];
        for y in 0..bounds.height {
            let row = &map.regions[(bounds.y + y) * map.width + bounds.x..][..bounds.width];
            let mut line = 0;
            for (x, &number) in row.iter().enumerate() {
                line += u32::from(number == region.number);
                sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + line;
            }
        }
        Self { sums, bounds }
    }

    /// The number of cells of the region in a window.
    fn count(&self, x: usize, y: usize, width: usize, height: usize) -> u32 {
        let stride = self.bounds.width + 1;
        let clip = |place: usize, start: usize, side: usize| place.saturating_sub(start).min(side);
        let (left, right) = (
            clip(x, self.bounds.x, self.bounds.width),
            clip(x + width, self.bounds.x, self.bounds.width),
        );
        let (top, bottom) = (
            clip(y, self.bounds.y, self.bounds.height),
            clip(y + height, self.bounds.y, self.bounds.height),
        );
        let at = |x: usize, y: usize| self.sums[y * stride + x];
        at(right, bottom) + at(left, top) - at(left, bottom) - at(right, top)
    }

    /// The window of (width, height) cells, at least `margins` from the edges of the map, that holds the most of the
    /// region, and on ties the one nearest to its centre; none if the region covers less than the share `least` of it.
    fn best_window(
        &self,
        map: &ReducedLabelMap,
        region: &ReducedRegion,
        (width, height): (usize, usize),
        margins: (usize, usize),
        least: f64,
    ) -> Option<(usize, usize)> {
        if width + 2 * margins.0 > map.width || height + 2 * margins.1 > map.height {
            return None;
        }
        let bounds = self.bounds;
        let range = |start: usize, side: usize, size: usize, whole: usize, margin: usize| {
            let (first, last) = (margin, whole - size - margin);
            start.saturating_sub(size / 4).clamp(first, last)..=(start + side).clamp(first, last)
        };
        let mut best: Option<(u32, f64, (usize, usize))> = None;
        for y in range(bounds.y, bounds.height, height, map.height, margins.1) {
            for x in range(bounds.x, bounds.width, width, map.width, margins.0) {
                let covered = self.count(x, y, width, height);
                let (dx, dy) = (
                    x as f64 + width as f64 / 2.0 - region.centre.0,
                    y as f64 + height as f64 / 2.0 - region.centre.1,
                );
                let far = dx * dx + dy * dy;
                if best
                    .is_none_or(|(most, near, _)| covered > most || covered == most && far < near)
                {
                    best = Some((covered, far, (x, y)));
                }
            }
        }
        let (covered, _, place) = best?;
        (f64::from(covered) >= least * (width * height) as f64).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(width: usize, height: usize, id: impl Fn(usize, usize) -> u16) -> LabelMap {
        let ids: Vec<u16> = (0..width * height)
            .map(|i| id(i % width, i / width))
            .collect();
        LabelMap {
            width,
            height,
            confidence: vec![1.0; ids.len()],
            ids,
        }
    }

    #[test]
    fn names_lie_within_their_regions() {
        // A disk of class 1 off the middle, on a ground of class 0.
        let inside = |x: usize, y: usize| {
            let (dx, dy) = (x as f64 - 150.0, y as f64 - 100.0);
            dx * dx + dy * dy < 60.0 * 60.0
        };
        for scale in [1, 5] {
            let map = map(400 * scale, 300 * scale, |x, y| {
                u16::from(inside(x / scale, y / scale))
            });
            let size = (50 * scale as u32, 16 * scale as u32);
            let places = place_names(&map, |_| size, 0);
            assert_eq!(places.iter().map(|p| p.id).collect::<Vec<_>>(), [0, 1]);
            let disk = places[1].centre;
            let scale = scale as u32;
            assert!(disk.0.abs_diff(150 * scale) < 12 * scale, "{disk:?}");
            assert!(disk.1.abs_diff(100 * scale) < 12 * scale, "{disk:?}");
            let ground = places[0].centre;
            let id = map.ids[ground.1 as usize * map.width + ground.0 as usize];
            assert_eq!(id, 0, "the ground's name is not on the disk");
        }
    }

    #[test]
    fn small_narrow_and_empty_regions_have_no_names() {
        // A stripe too narrow for the text, a speck, and nothing.
        let stripe = map(200, 100, |x, y| match (x, y) {
            (0..4, _) => 1,
            (190..195, 0..5) => 2,
            _ => NO_CLASS,
        });
        assert_eq!(place_names(&stripe, |_| (40, 12), 0), []);
        // As many regions as there are pixels.
        for (width, height) in [(1, 1), (1, 9), (9, 9)] {
            let alternating = map(width, height, |x, y| ((x + y) % 2) as u16);
            assert_eq!(place_names(&alternating, |_| (40, 12), 0), []);
        }
    }

    #[test]
    fn a_rim_has_room_at_the_edge() {
        // A stripe at the lower edge, hardly higher than the text.
        let map = map(120, 60, |_, y| u16::from(y >= 47));
        let lowest = |margin| {
            let places = place_names(&map, |_| (30, 12), margin);
            let place = places.iter().find(|place| place.id == 1);
            place.map(|place| place.centre.1 + 6)
        };
        assert!(lowest(0).is_some_and(|bottom| bottom <= 60));
        assert!(
            lowest(2).is_some_and(|bottom| bottom <= 58),
            "{:?}",
            lowest(2)
        );
        // Where there is none, there is no name.
        assert_eq!(lowest(40), None);
    }

    #[test]
    fn each_part_of_a_class_is_named() {
        let map = map(300, 100, |x, _| u16::from((100..200).contains(&x)));
        let places = place_names(&map, |_| (30, 10), 0);
        let mut found: Vec<_> = places.iter().map(|p| (p.centre.0 / 100, p.id)).collect();
        found.sort_unstable();
        assert_eq!(found, [(0, 0), (1, 1), (2, 0)]);
    }
}
