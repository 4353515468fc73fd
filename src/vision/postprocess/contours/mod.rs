//! Contours of labelled pixels as exact polygons: they run along the edges of pixels, so that their area is the number
//! of pixels within, and filling them gives the same pixels again.
//!
//! A polygon encloses pixels that touch by their sides. It cannot have holes, so each hole is joined to what encloses
//! it by a cut of no width: the polygon follows the cut, runs around the hole, and returns along the cut. This changes
//! neither its area nor, under the even-odd and the non-zero rule, which pixels it holds.
//!
//! The edges between pixels of different labels form a planar map whose faces are the polygons: a face is traced with
//! its pixels on the right by taking, at each corner of pixels, the edge most to the right.

/// The label of pixels without a region, and of those outside of the map.
pub const NO_LABEL: u32 = u32::MAX;

/// A closed polygon around pixels of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contour {
    /// The label of the pixels within.
    pub label: u32,
    /// Corners of pixels as [x, y] from the top left, clockwise; the last is joined to the first.
    pub points: Vec<[u32; 2]>,
}

/// The polygons of all labels but [`NO_LABEL`] in a map of `width` x `height` pixels; `label_at` gives the label of a
/// pixel by its index, row by row. They are in the order of their first corners, row by row.
pub fn trace_contours(
    width: usize,
    height: usize,
    label_at: impl Fn(usize) -> u32,
) -> Vec<Contour> {
    let mut edges = PixelEdges::between(width, height, label_at);
    for corner in edges.holes() {
        edges.cut_upwards(corner);
    }
    edges.forget_walks();
    let mut contours = Vec::new();
    for corner in 0..edges.edge_bits.len() {
        for direction in DIRECTIONS {
            if let Some(label) = edges.unwalked(corner, direction) {
                let points = edges.turns(corner, direction);
                contours.push(Contour { label, points });
            }
        }
    }
    contours
}

/// The directions of edges, clockwise: to the right of each is the next.
const DIRECTIONS: [usize; 4] = [EAST, SOUTH, WEST, NORTH];
const EAST: usize = 0;
const SOUTH: usize = 1;
const WEST: usize = 2;
const NORTH: usize = 3;

/// The edges between pixels of different labels, by the corners that they start from.
struct PixelEdges<F> {
    width: usize,
    height: usize,
    label_at: F,
    /// A byte for each corner, `[height + 1, width + 1]`: a bit for each direction in which an edge leads away, and
    /// four bits above for those that were walked.
    edge_bits: Vec<u8>,
}

impl<F: Fn(usize) -> u32> PixelEdges<F> {
    /// The edges between pixels of different labels.
    fn between(width: usize, height: usize, label_at: F) -> Self {
        let mut edge_bits = Vec::with_capacity((width + 1) * (height + 1));
        // The rows of pixels above and below the corners, with one pixel more at either side.
        let mut above = vec![NO_LABEL; width + 2];
        let mut below = above.clone();
        for y in 0..=height {
            std::mem::swap(&mut above, &mut below);
            for (x, label) in below[1..=width].iter_mut().enumerate() {
                *label = match y < height {
                    true => label_at(y * width + x),
                    false => NO_LABEL,
                };
            }
            edge_bits.extend(above.windows(2).zip(below.windows(2)).map(|(a, b)| {
                u8::from(a[1] != b[1]) << EAST
                    | u8::from(b[0] != b[1]) << SOUTH
                    | u8::from(a[0] != b[0]) << WEST
                    | u8::from(a[0] != a[1]) << NORTH
            }));
        }
        PixelEdges {
            width,
            height,
            label_at,
            edge_bits,
        }
    }

    /// Whether an edge leads from `corner` in `direction`.
    fn has(&self, corner: usize, direction: usize) -> bool {
        self.edge_bits[corner] & (1 << direction) != 0
    }

    /// The label on the right of an edge that is there, has a label and was not walked.
    fn unwalked(&self, corner: usize, direction: usize) -> Option<u32> {
        if self.edge_bits[corner] & (0x11 << direction) != 1 << direction {
            return None;
        }
        let (x, y) = (corner % (self.width + 1), corner / (self.width + 1));
        // Beyond the left or the upper side there is no pixel: the difference wraps, and is beyond the others.
        let (x, y) = match direction {
            EAST => (x, y),
            SOUTH => (x.wrapping_sub(1), y),
            WEST => (x.wrapping_sub(1), y.wrapping_sub(1)),
            _ => (x, y.wrapping_sub(1)),
        };
        let inside = x < self.width && y < self.height;
        let label = inside.then(|| (self.label_at)(y * self.width + x))?;
        (label != NO_LABEL).then_some(label)
    }

    /// Walks around a face from one of its edges, and calls `step` with each corner and the direction that is taken
    /// there.
    fn walk(&mut self, corner: usize, direction: usize, mut step: impl FnMut(usize, usize)) {
        let start = (corner, direction);
        let (mut corner, mut direction) = start;
        loop {
            self.edge_bits[corner] |= 0x10 << direction;
            step(corner, direction);
            corner = self.next(corner, direction);
            let turned = |turn: usize| (direction + turn) % 4;
            // To the right, straight on, to the left.
            let ways = [1, 0, 3].map(turned);
            direction = ways
                .into_iter()
                .find(|&way| self.has(corner, way))
                .unwrap_or(turned(2));
            if (corner, direction) == start {
                return;
            }
        }
    }

    /// The corner next to `corner` in `direction`.
    fn next(&self, corner: usize, direction: usize) -> usize {
        match direction {
            EAST => corner + 1,
            SOUTH => corner + self.width + 1,
            WEST => corner - 1,
            _ => corner - (self.width + 1),
        }
    }

    /// The corners at which a face turns.
    fn turns(&mut self, corner: usize, direction: usize) -> Vec<[u32; 2]> {
        let side = self.width + 1;
        let mut points = Vec::new();
        let mut last = None;
        self.walk(corner, direction, |corner, direction| {
            if last.replace(direction) != Some(direction) {
                points.push([(corner % side) as u32, (corner / side) as u32]);
            }
        });
        points
    }

    /// For each hole in a face, the left corner of its highest upper edge.
    fn holes(&mut self) -> Vec<usize> {
        let side = self.width + 1;
        let mut holes = Vec::new();
        for start in 0..self.edge_bits.len() {
            for direction in DIRECTIONS {
                if self.unwalked(start, direction).is_none() {
                    continue;
                }
                let (mut area, mut highest) = (0i64, usize::MAX);
                self.walk(start, direction, |corner, direction| {
                    let y = (corner / side) as i64;
                    match direction {
                        EAST => area -= y,
                        WEST => {
                            area += y;
                            highest = highest.min(corner - 1);
                        }
                        _ => {}
                    }
                });
                // A hole is walked counter-clockwise.
                if area < 0 {
                    holes.push(highest);
                }
            }
        }
        holes
    }

    /// Joins the hole with this corner to what is above it. Above the highest corner of a hole there are pixels of the
    /// same face on both sides, up to the next corner that has edges: the outline's, or those of a hole that begins
    /// higher, and is joined itself.
    fn cut_upwards(&mut self, corner: usize) {
        let mut corner = corner;
        while corner > self.width {
            self.edge_bits[corner] |= 1 << NORTH;
            corner = self.next(corner, NORTH);
            let arrived = self.edge_bits[corner] & 0xf != 0;
            self.edge_bits[corner] |= 1 << SOUTH;
            if arrived {
                return;
            }
        }
    }

    /// Marks all edges as not walked.
    fn forget_walks(&mut self) {
        self.edge_bits.iter_mut().for_each(|edges| *edges &= 0xf);
    }
}

#[cfg(test)]
mod tests;
