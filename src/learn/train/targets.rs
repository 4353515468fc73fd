//! From labels to training targets on the patch grid of a view: for masks the share of each id among a patch's labelled
//! pixels; for depth, tiles of 4 x 4 patches with the mean readings at the 12 x 12 points between the patch centres, on
//! the grid four times as fine as the patches that the head is read out on.
//!
//! In: a label and the geometry of a view. Out: [`MaskTargets`] or [`DepthTargets`]. Every pixel of the padded input
//! takes the label pixel that it lies on (nearest), so label and photo may differ in size; patches or points of which
//! less than half is labelled have no target.

use crate::learn::data::labels::{DepthLabel, Mask};
use crate::model::input::Geometry;

/// Depth is read out on a grid this many times as fine as the patches, as in DINOv2.
pub const UPSAMPLE: usize = 4;
/// Patches along a side of a tile.
pub const TILE: usize = 4;
/// Points along a side of a tile: those between the centres of its first and last patch.
pub const POINTS: usize = (TILE - 1) * UPSAMPLE;

/// Least share of the pixels of a patch or point that must be labelled.
const MIN_LABELLED_SHARE: f32 = 0.5;

/// The targets of the patches of one view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MaskTargets {
    /// Places on the grid of the patches that have a target, rising.
    pub patches: Vec<u32>,
    /// `[patches + 1]`: the shares of patch `i` are those from `starts[i]` to `starts[i + 1]`.
    pub starts: Vec<u32>,
    /// Ids and shares; those of a patch sum to 1, the largest first.
    pub shares: Vec<(u16, f32)>,
}

/// The targets of the tiles of one view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DepthTargets {
    /// Per tile, the place on the grid of the patch at its top left corner.
    pub patches: Vec<u32>,
    /// `[tiles, POINTS, POINTS]`, metres; 0 where there is no target.
    pub metres: Vec<f32>,
}

/// Along one axis, for each pixel of the padded input the label pixel that it lies on; none in the padding.
fn lookup(label: usize, resized: u32, padded: u32, pad: u32) -> Vec<Option<usize>> {
    (0..padded)
        .map(|at| {
            let inside = at.checked_sub(pad).filter(|&at| at < resized)?;
            let place = (f64::from(inside) + 0.5) * label as f64 / f64::from(resized);
            Some((place as usize).min(label - 1))
        })
        .collect()
}

/// Calls `visit` with the place of each patch and the indices of the label pixels under it, row by row; `mirrored`
/// counts columns from the right.
fn each_patch(
    (width, height): (usize, usize),
    geometry: &Geometry,
    mirrored: bool,
    mut visit: impl FnMut(u32, &mut dyn Iterator<Item = usize>),
) {
    let grid = geometry.grid();
    let p = geometry.patch_size;
    let columns = lookup(
        width,
        geometry.resized.0,
        geometry.padded.0,
        geometry.pad_left,
    );
    let rows = lookup(
        height,
        geometry.resized.1,
        geometry.padded.1,
        geometry.pad_top,
    );
    for row in 0..grid.rows {
        for col in 0..grid.cols {
            let column = if mirrored { grid.cols - 1 - col } else { col };
            let (ys, xs) = (&rows[row * p..][..p], &columns[column * p..][..p]);
            let mut pixels = ys
                .iter()
                .flatten()
                .flat_map(|&y| xs.iter().flatten().map(move |&x| y * width + x));
            visit((row * grid.cols + col) as u32, &mut pixels);
        }
    }
}

/// The shares of ids under each patch of a view. `known` says whether an id counts.
pub fn mask_targets(
    mask: &Mask,
    geometry: &Geometry,
    mirrored: bool,
    known: impl Fn(u16) -> bool,
) -> MaskTargets {
    let mut targets = MaskTargets {
        starts: vec![0],
        ..MaskTargets::default()
    };
    let needed =
        (MIN_LABELLED_SHARE * (geometry.patch_size * geometry.patch_size) as f32).ceil() as u32;
    let mut counts: Vec<(u16, u32)> = Vec::new();
    each_patch(
        (mask.width, mask.height),
        geometry,
        mirrored,
        |patch, pixels| {
            counts.clear();
            for pixel in pixels {
                let id = mask.ids[pixel];
                match counts.iter_mut().find(|(other, _)| *other == id) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((id, 1)),
                }
            }
            counts.retain(|(id, _)| known(*id));
            let total: u32 = counts.iter().map(|(_, count)| count).sum();
            if total < needed {
                return;
            }
            counts.sort_unstable_by_key(|&(id, count)| (std::cmp::Reverse(count), id));
            targets.patches.push(patch);
            let share = |&(id, count): &(u16, u32)| (id, count as f32 / total as f32);
            targets.shares.extend(counts.iter().map(share));
            targets.starts.push(targets.shares.len() as u32);
        },
    );
    targets
}

/// The tiles of a view that have a reading within `range` (metres, both ends count). Neighbouring tiles share a row or
/// column of patches, so that every point between patch centres is in some tile; a grid of fewer than [`TILE`] rows or
/// columns has none.
pub fn depth_targets(
    depth: &DepthLabel,
    geometry: &Geometry,
    mirrored: bool,
    range: (f32, f32),
) -> DepthTargets {
    let mut targets = DepthTargets::default();
    let grid = geometry.grid();
    let width = grid.cols * UPSAMPLE;
    let points = points(depth, geometry, mirrored, range);
    let starts = |patches: usize| -> Vec<usize> {
        let last = patches.checked_sub(TILE);
        let steps = last
            .into_iter()
            .flat_map(|last| (0..last).step_by(TILE - 1));
        steps.chain(last).collect()
    };
    for row in starts(grid.rows) {
        for &col in &starts(grid.cols) {
            let first = (row * UPSAMPLE + UPSAMPLE / 2) * width + col * UPSAMPLE + UPSAMPLE / 2;
            let lines = (0..POINTS).map(|y| &points[first + y * width..][..POINTS]);
            if lines.clone().flatten().any(|&metres| metres > 0.0) {
                targets.patches.push((row * grid.cols + col) as u32);
                lines.for_each(|line| targets.metres.extend(line));
            }
        }
    }
    targets
}

/// The mean reading at every point of the fine grid, `[rows * UPSAMPLE, columns * UPSAMPLE]` in metres; 0 where there
/// is none.
fn points(
    depth: &DepthLabel,
    geometry: &Geometry,
    mirrored: bool,
    (min, max): (f32, f32),
) -> Vec<f32> {
    let grid = geometry.grid();
    let (width, height) = (grid.cols * UPSAMPLE, grid.rows * UPSAMPLE);
    let columns = lookup(
        depth.width,
        geometry.resized.0,
        geometry.padded.0,
        geometry.pad_left,
    );
    let rows = lookup(
        depth.height,
        geometry.resized.1,
        geometry.padded.1,
        geometry.pad_top,
    );
    let point = |at: usize| (2 * at + 1) * UPSAMPLE / (2 * geometry.patch_size);
    let mut sums = vec![(0f64, 0u32, 0u32); width * height];
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            let place = match mirrored {
                true => width - 1 - point(x),
                false => point(x),
            };
            let (sum, count, all) = &mut sums[point(y) * width + place];
            *all += 1;
            let (Some(row), Some(column)) = (row, column) else {
                continue;
            };
            let metres = depth.metres[row * depth.width + column];
            if metres >= min && metres <= max {
                *sum += f64::from(metres);
                *count += 1;
            }
        }
    }
    let mean = |(sum, count, all): (f64, u32, u32)| match count as f32
        >= MIN_LABELLED_SHARE * all as f32
    {
        true if count > 0 => (sum / f64::from(count)) as f32,
        _ => 0.0,
    };
    sums.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::SizeRule;

    /// Two patches of 2x2 side by side, seen at the size of the photo.
    fn two() -> Geometry {
        Geometry::new((4, 2), SizeRule::Native, 2)
    }

    #[test]
    fn shares_are_of_the_labelled_pixels() {
        let mask = Mask {
            width: 4,
            height: 2,
            ids: vec![1, 255, 7, 255, 2, 1, 255, 255],
        };
        let targets = mask_targets(&mask, &two(), false, |id| id != 255);
        assert_eq!(targets.patches, [0]);
        assert_eq!(targets.shares, [(1, 2.0 / 3.0), (2, 1.0 / 3.0)]);
        let targets = mask_targets(&mask, &two(), true, |id| id != 255);
        assert_eq!(targets.patches, [1]);
    }

    #[test]
    fn a_label_of_another_size_is_stretched() {
        let mask = Mask {
            width: 2,
            height: 1,
            ids: vec![3, 4],
        };
        let targets = mask_targets(&mask, &two(), false, |_| true);
        assert_eq!(targets.shares, [(3, 1.0), (4, 1.0)]);
    }

    /// A label with the number of its column, 1 at the left, over a grid of `cols` x 4 patches of 4 pixels.
    fn ramp(cols: usize) -> (DepthLabel, Geometry) {
        let (width, height) = (cols * 4, 16);
        let metres = (0..width * height).map(|at| (at % width + 1) as f32);
        let depth = DepthLabel {
            width,
            height,
            metres: metres.collect(),
        };
        let geometry = Geometry::new((width as u32, height as u32), SizeRule::Native, 4);
        (depth, geometry)
    }

    #[test]
    fn points_lie_between_the_centres_of_patches() {
        let (depth, geometry) = ramp(4);
        let targets = depth_targets(&depth, &geometry, false, (0.1, 100.0));
        assert_eq!(targets.patches, [0]);
        // Patches of 4 pixels have a point a pixel; the first centre lies between the second and the third.
        let expected: Vec<f32> = (3..15).map(|metres| metres as f32).collect();
        assert_eq!(targets.metres, expected.repeat(POINTS));
        let mirrored = depth_targets(&depth, &geometry, true, (0.1, 100.0));
        let expected: Vec<f32> = (3..15).rev().map(|metres| metres as f32).collect();
        assert_eq!(mirrored.metres, expected.repeat(POINTS));
    }

    #[test]
    fn tiles_share_their_border_and_reach_the_end() {
        let (depth, geometry) = ramp(8);
        let targets = depth_targets(&depth, &geometry, false, (0.1, 100.0));
        assert_eq!(targets.patches, [0, 3, 4]);
        let (depth, geometry) = ramp(3);
        assert!(
            depth_targets(&depth, &geometry, false, (0.1, 100.0))
                .patches
                .is_empty()
        );
    }

    #[test]
    fn readings_out_of_range_and_padding_do_not_count() {
        let (mut depth, geometry) = ramp(4);
        let targets = depth_targets(&depth, &geometry, false, (5.0, 6.0));
        assert_eq!(targets.metres[..6], [0.0, 0.0, 5.0, 6.0, 0.0, 0.0]);
        depth.metres.fill(0.0);
        assert!(
            depth_targets(&depth, &geometry, false, (0.1, 9.0))
                .patches
                .is_empty()
        );
        // 18 pixels need a fifth patch; what lies in its padding has no reading.
        let geometry = Geometry::new((18, 16), SizeRule::Native, 4);
        depth.metres.fill(2.0);
        let points = points(&depth, &geometry, false, (0.1, 9.0));
        assert_eq!(points[..20], [vec![0.0], vec![2.0; 18], vec![0.0]].concat());
    }
}
