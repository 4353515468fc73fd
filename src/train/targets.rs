//! Labels become targets of patches: for masks the share of each id among a patch's labelled pixels, for depth the
//! mean reading of a patch.
//!
//! Every pixel of the padded input looks up the label pixel it lies on, so label and photo may differ in size, and
//! patches that are mostly padding or mostly unlabelled have no target.

use crate::data::labels::{Depth, Mask};
use crate::preprocess::Geometry;

/// Of the pixels of a patch, this share must be labelled.
const ENOUGH: f32 = 0.5;

/// The targets of one frame's patches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MaskTargets {
    /// Patches that have a target, rising.
    pub patches: Vec<u32>,
    /// Where each one's shares begin in `shares`; one more at the end.
    pub starts: Vec<u32>,
    /// Id and share; a patch's shares sum to 1 and its largest comes first.
    pub shares: Vec<(u16, f32)>,
}

/// The targets of one frame's patches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DepthTargets {
    /// Patches that have a target, rising.
    pub patches: Vec<u32>,
    /// Metres.
    pub metres: Vec<f32>,
}

/// For each pixel of the padded input along one axis, the label pixel that it lies on; none in the padding.
fn lookup(label: usize, resized: u32, padded: u32, pad: u32) -> Vec<Option<usize>> {
    (0..padded)
        .map(|at| {
            let inside = at.checked_sub(pad).filter(|&at| at < resized)?;
            let place = (f64::from(inside) + 0.5) * label as f64 / f64::from(resized);
            Some((place as usize).min(label - 1))
        })
        .collect()
}

/// Calls `visit` with each patch of the grid and its label pixels, row by row; `mirrored` counts columns from the
/// right.
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

/// Shares of ids. `known` says whether an id is learnt from.
pub fn of_mask(
    mask: &Mask,
    geometry: &Geometry,
    mirrored: bool,
    known: impl Fn(u16) -> bool,
) -> MaskTargets {
    let mut targets = MaskTargets {
        starts: vec![0],
        ..MaskTargets::default()
    };
    let needed = (ENOUGH * (geometry.patch_size * geometry.patch_size) as f32).ceil() as u32;
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

/// Mean readings between `min` and `max` metres.
pub fn of_depth(
    depth: &Depth,
    geometry: &Geometry,
    mirrored: bool,
    (min, max): (f32, f32),
) -> DepthTargets {
    let mut targets = DepthTargets::default();
    let needed = (ENOUGH * (geometry.patch_size * geometry.patch_size) as f32).ceil() as usize;
    each_patch(
        (depth.width, depth.height),
        geometry,
        mirrored,
        |patch, pixels| {
            let (mut sum, mut count) = (0f64, 0usize);
            for pixel in pixels {
                let metres = depth.metres[pixel];
                if metres >= min && metres <= max {
                    sum += f64::from(metres);
                    count += 1;
                }
            }
            if count >= needed {
                targets.patches.push(patch);
                targets.metres.push((sum / count as f64) as f32);
            }
        },
    );
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::SizeRule;

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
        let targets = of_mask(&mask, &two(), false, |id| id != 255);
        assert_eq!(targets.patches, [0]);
        assert_eq!(targets.shares, [(1, 2.0 / 3.0), (2, 1.0 / 3.0)]);
        let targets = of_mask(&mask, &two(), true, |id| id != 255);
        assert_eq!(targets.patches, [1]);
    }

    #[test]
    fn a_label_of_another_size_is_stretched() {
        let mask = Mask {
            width: 2,
            height: 1,
            ids: vec![3, 4],
        };
        let targets = of_mask(&mask, &two(), false, |_| true);
        assert_eq!(targets.shares, [(3, 1.0), (4, 1.0)]);
    }

    #[test]
    fn padding_has_no_target() {
        // 3 pixels become 4 with one column of padding at the right; 6 of 8 rows of patches are photo.
        let geometry = Geometry::new((5, 2), SizeRule::Native, 2);
        let depth = Depth {
            width: 5,
            height: 2,
            metres: vec![1.0, 1.0, 2.0, 4.0, 0.0, 1.0, 1.0, 2.0, 4.0, 0.0],
        };
        let targets = of_depth(&depth, &geometry, false, (0.1, 10.0));
        assert_eq!(targets.patches, [0, 1]);
        assert_eq!(targets.metres, [1.0, 3.0]);
    }

    #[test]
    fn readings_out_of_range_do_not_count() {
        let depth = Depth {
            width: 4,
            height: 2,
            metres: vec![1.0, 50.0, 50.0, 50.0, 3.0, 50.0, 3.0, 50.0],
        };
        let targets = of_depth(&depth, &two(), false, (0.1, 10.0));
        assert_eq!((targets.patches, targets.metres), (vec![0], vec![2.0]));
    }
}
