//! Where a photo's numbers are in the arrays.

use crate::io::features::arrays::Array;
use crate::io::features::{DatasetMeta, RowInfo};

/// What the first axis of an array counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Row,
    Patch,
    CoarsePatch,
    Point,
}

impl Axis {
    /// That of an array.
    pub(super) fn of(array: Array) -> Self {
        match array {
            Array::Cls | Array::Registers | Array::CoarseCls => Axis::Row,
            Array::Patches => Axis::Patch,
            Array::CoarsePatches => Axis::CoarsePatch,
            Array::Points | Array::At => Axis::Point,
        }
    }

    /// Where a photo's numbers begin on it.
    pub(super) fn of_place(self, place: &mut Place) -> &mut usize {
        match self {
            Axis::Row => &mut place.row,
            Axis::Patch => &mut place.first_patch,
            Axis::CoarsePatch => &mut place.first_coarse_patch,
            Axis::Point => &mut place.first_point,
        }
    }
}

/// Where a photo's numbers begin in the arrays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) first_patch: usize,
    pub(super) first_coarse_patch: usize,
    pub(super) first_point: usize,
}

impl Place {
    /// That of the photo behind.
    pub(super) fn next(mut self, meta: &DatasetMeta, info: &RowInfo) -> Self {
        let stored = Array::stored(meta);
        let mut moved = Vec::new();
        for array in stored {
            let axis = Axis::of(array);
            if axis != Axis::Row && !moved.contains(&axis) {
                *axis.of_place(&mut self) += along(array, meta, info).0;
                moved.push(axis);
            }
        }
        self.row += 1;
        self
    }
}

/// How many of an array's rows a photo has, and their shape.
pub(super) fn along(array: Array, meta: &DatasetMeta, info: &RowInfo) -> (usize, Vec<usize>) {
    let shape = array.shape(meta, info);
    match Axis::of(array) {
        Axis::Row => (1, shape),
        Axis::Point => (shape[0], shape[1..].to_vec()),
        Axis::Patch | Axis::CoarsePatch => (shape[..3].iter().product(), shape[3..].to_vec()),
    }
}
