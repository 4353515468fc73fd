//! Where a photo's numbers are in the arrays.

use crate::io::features::arrays::FeatureArray;
use crate::io::features::{DatasetMeta, RowInfo};

/// What the first axis of an array counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeadingAxis {
    Row,
    Patch,
    CoarsePatch,
    Point,
}

impl LeadingAxis {
    /// That of an array.
    pub(super) fn of(array: FeatureArray) -> Self {
        match array {
            FeatureArray::Cls | FeatureArray::Registers | FeatureArray::CoarseCls => {
                LeadingAxis::Row
            }
            FeatureArray::Patches => LeadingAxis::Patch,
            FeatureArray::CoarsePatches => LeadingAxis::CoarsePatch,
            FeatureArray::Points | FeatureArray::PointFeatures => LeadingAxis::Point,
        }
    }

    /// Where a photo's numbers begin on it.
    pub(super) fn offset_mut(self, place: &mut ArrayOffsets) -> &mut usize {
        match self {
            LeadingAxis::Row => &mut place.row,
            LeadingAxis::Patch => &mut place.first_patch,
            LeadingAxis::CoarsePatch => &mut place.first_coarse_patch,
            LeadingAxis::Point => &mut place.first_point,
        }
    }
}

/// Where a photo's numbers begin in the arrays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ArrayOffsets {
    pub(super) row: usize,
    pub(super) first_patch: usize,
    pub(super) first_coarse_patch: usize,
    pub(super) first_point: usize,
}

impl ArrayOffsets {
    /// That of the photo behind.
    pub(super) fn advance(mut self, meta: &DatasetMeta, info: &RowInfo) -> Self {
        let stored = FeatureArray::stored(meta);
        let mut moved = Vec::new();
        for array in stored {
            let axis = LeadingAxis::of(array);
            if axis != LeadingAxis::Row && !moved.contains(&axis) {
                *axis.offset_mut(&mut self) += split_leading_axis(array, meta, info).0;
                moved.push(axis);
            }
        }
        self.row += 1;
        self
    }
}

/// How many of an array's rows a photo has, and their shape.
pub(super) fn split_leading_axis(
    array: FeatureArray,
    meta: &DatasetMeta,
    info: &RowInfo,
) -> (usize, Vec<usize>) {
    let shape = array.shape(meta, info);
    match LeadingAxis::of(array) {
        LeadingAxis::Row => (1, shape),
        LeadingAxis::Point => (shape[0], shape[1..].to_vec()),
        LeadingAxis::Patch | LeadingAxis::CoarsePatch => {
            (shape[..3].iter().product(), shape[3..].to_vec())
        }
    }
}
