//! Evaluation of class predictions against masks whose ids may stand for several classes.
//!
//! In: class scores on the patch grid, or a label map, and a mask. Out: counts in a [`Confusion`] matrix in the ids of
//! the data set, at the mask's own pixels. A prediction is right where the labelled id may stand for the predicted
//! class; else it counts as the id of that class.

use crate::error::Result;
use crate::learn::data::{Mask, SetLabels};
use crate::learn::eval::Confusion;
use crate::maths::SampleAxis;
use crate::model::head::Scores;
use crate::model::input::Geometry;
use crate::vision::postprocess::LabelMap;
use crate::vision::postprocess::segment::label_samples;

/// Compares class predictions with the masks of one data set.
#[derive(Debug)]
pub struct MaskEvaluator<'a> {
    set_labels: &'a SetLabels,
    /// By class, the id that it counts as; none where the set has no id for it.
    id_of_class: Vec<Option<u16>>,
    ignore: Option<u16>,
}

/// Where the pixels of a label of (width, height), every `stride`-th of them, lie on the patch grid: the axis of
/// columns and that of rows.
pub fn label_axes(
    geometry: &Geometry,
    (width, height): (usize, usize),
    stride: usize,
) -> (SampleAxis, SampleAxis) {
    let label = Geometry {
        photo: (width as u32, height as u32),
        ..*geometry
    };
    let grid = geometry.grid();
    let axis = |places: Vec<f32>, cells| SampleAxis {
        cells,
        positions: places.into_iter().step_by(stride).collect(),
    };
    (
        axis(label.column_positions(), grid.cols),
        axis(label.row_positions(), grid.rows),
    )
}

impl<'a> MaskEvaluator<'a> {
    /// For a head of `classes` classes, masks with the ids of `set_labels`, and an id that does not count.
    pub fn new(set_labels: &'a SetLabels, classes: usize, ignore: Option<u16>) -> Self {
        MaskEvaluator {
            set_labels,
            id_of_class: set_labels.id_of_class(classes),
            ignore,
        }
    }

    /// Counts one image from the head's scores, every `stride`-th pixel of the mask in both directions, and returns the
    /// predicted classes at those pixels.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) where the map does not fit into memory.
    pub fn count(
        &self,
        confusion: &mut Confusion,
        mask: &Mask,
        scores: &Scores,
        geometry: &Geometry,
        stride: usize,
    ) -> Result<LabelMap> {
        let (x, y) = label_axes(geometry, (mask.width, mask.height), stride);
        let map = label_samples(scores, &x, &y, &[])?;
        let rows = mask.ids.chunks_exact(mask.width).step_by(stride);
        let labels = rows.flat_map(|row| row.iter().step_by(stride));
        self.add(confusion, labels, &map);
        Ok(map)
    }

    /// Counts one image from a finished label map of any size, and returns the map resampled (nearest) to the pixels of
    /// the mask.
    pub fn count_map(&self, confusion: &mut Confusion, mask: &Mask, map: &LabelMap) -> LabelMap {
        let place =
            |at: usize, of: usize, side: usize| (((2 * at + 1) * side) / (2 * of)).min(side - 1);
        let columns: Vec<usize> = (0..mask.width)
            .map(|x| place(x, mask.width, map.width))
            .collect();
        let rows = (0..mask.height).map(|y| place(y, mask.height, map.height) * map.width);
        let places: Vec<usize> = rows
            .flat_map(|row| columns.iter().map(move |column| row + column))
            .collect();
        let map = LabelMap {
            width: mask.width,
            height: mask.height,
            ids: places.iter().map(|&at| map.ids[at]).collect(),
            confidence: places.iter().map(|&at| map.confidence[at]).collect(),
        };
        self.add(confusion, mask.ids.iter(), &map);
        map
    }

    fn add<'b>(
        &self,
        confusion: &mut Confusion,
        labels: impl Iterator<Item = &'b u16>,
        map: &LabelMap,
    ) {
        confusion.add(
            labels
                .zip(&map.ids)
                .filter_map(|(&id, &class)| Some((id, self.counted_id(id, class)?))),
        );
    }

    /// The id that a predicted class counts as where the mask has `id`; `Some(None)` for a class without an id of the
    /// set, `None` for a pixel that does not count.
    pub fn counted_id(&self, id: u16, class: u16) -> Option<Option<u16>> {
        if Some(id) == self.ignore || !self.set_labels.is_known(id) {
            return None;
        }
        let allowed = &self.set_labels.allowed[usize::from(id)];
        Some(match allowed.contains(&class) {
            true => Some(id),
            false => self.id_of_class[usize::from(class)],
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::learn::data::Taxonomy;
    use crate::model::head::Class;
    use crate::model::input::PatchGrid;
    use crate::model::input::SizeRule;

    #[test]
    fn classes_count_in_the_ids_of_the_set() {
        let spec = r#"{"classes": ["sky", "cat", "dog", "wall"], "sets": {
            "pets": {"classes": {"0": "rest", "1": ["cat"], "2": ["dog"]}},
            "indoors": {"classes": {"0": ["wall"], "1": ["cat", "dog"]}}}}"#;
        let taxonomy = Taxonomy::parse(spec.as_bytes()).unwrap();
        let pets = MaskEvaluator::new(taxonomy.set("pets").unwrap(), 4, Some(255));
        // A class without a name of its own is background.
        assert_eq!(pets.counted_id(0, 0), Some(Some(0)));
        assert_eq!(pets.counted_id(1, 3), Some(Some(0)));
        assert_eq!(pets.counted_id(1, 2), Some(Some(2)));
        assert_eq!(pets.counted_id(255, 2), None);
        let indoors = MaskEvaluator::new(taxonomy.set("indoors").unwrap(), 4, Some(255));
        // Sky is wrong where the set has no background.
        assert_eq!(indoors.counted_id(0, 0), Some(None));
        assert_eq!(indoors.counted_id(1, 2), Some(Some(1)));
        assert_eq!(indoors.counted_id(7, 2), None);
    }

    #[test]
    fn predictions_come_at_the_pixels_of_the_label() {
        let scores = Scores {
            values: vec![1.0, 0.0, 0.0, 1.0],
            k: 2,
            grid: PatchGrid { rows: 1, cols: 2 },
        };
        let geometry = Geometry::new((28, 14), SizeRule::Native, 14);
        let classes = ["a", "b"].map(|name| Class {
            name: name.into(),
            color: [0; 3],
        });
        let meaning = SetLabels::identity("toy", &classes);
        let mask = Mask {
            width: 4,
            height: 2,
            ids: vec![0, 0, 1, 1, 0, 255, 0, 1],
        };
        let mut confusion = Confusion::new(2);
        let judge = MaskEvaluator::new(&meaning, 2, Some(255));
        let map = judge.count(&mut confusion, &mask, &scores, &geometry, 1);
        let map = map.unwrap();
        assert_eq!(map.ids, [0, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(
            (confusion.row(0), confusion.row(1)),
            (&[3u64, 1, 0][..], &[0u64, 3, 0][..])
        );
        // A map of another size is looked up where the label's pixels lie.
        let mut twice = Confusion::new(2);
        let large = LabelMap {
            width: 8,
            height: 4,
            ids: map
                .ids
                .chunks(4)
                .flat_map(|row| [row, row].concat())
                .flat_map(|id| [id; 2])
                .collect(),
            confidence: vec![1.0; 32],
        };
        assert_eq!(judge.count_map(&mut twice, &mask, &large).ids, map.ids);
        assert_eq!(twice, confusion);
        let mut quick = Confusion::new(2);
        judge
            .count(&mut quick, &mask, &scores, &geometry, 2)
            .unwrap();
        assert_eq!(quick.total(), 2);
    }
}
