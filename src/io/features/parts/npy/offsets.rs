//! Positions of a row's values in the arrays of a part.

use crate::io::features::arrays::FeatureArray;
use crate::io::features::{DatasetMeta, RowInfo};

/// What the first axis of an array counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeadingAxis {
    /// Rows of the dataset.
    Row,
    /// Patch tokens of all layers and photos.
    Patch,
    /// Patch tokens of the coarse scale.
    CoarsePatch,
    /// Pixels at which features are stored.
    Point,
}

impl LeadingAxis {
    /// The leading axis of an array.
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

    /// The offset on this axis.
    pub(super) fn offset_mut(self, offsets: &mut ArrayOffsets) -> &mut usize {
        match self {
            LeadingAxis::Row => &mut offsets.row,
            LeadingAxis::Patch => &mut offsets.first_patch,
            LeadingAxis::CoarsePatch => &mut offsets.first_coarse_patch,
            LeadingAxis::Point => &mut offsets.first_point,
        }
    }
}

/// Index on each leading axis at which a row begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ArrayOffsets {
    pub(super) row: usize,
    pub(super) first_patch: usize,
    pub(super) first_coarse_patch: usize,
    pub(super) first_point: usize,
}

impl ArrayOffsets {
    /// The offsets of the row after `info`.
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

/// The length of a row on an array's leading axis, and the shape of the other axes.
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
