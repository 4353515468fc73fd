//! The noise of a predicted label map: how often the id changes from pixel to pixel along rows and columns, compared
//! with the mask.

use crate::learn::data::Mask;
use crate::learn::eval::MaskEvaluator;
use crate::vision::postprocess::LabelMap;

/// Changes of the id along the rows and columns of one photo. Pixels that do not count are skipped, so that a border
/// between ids that the mask leaves unlabelled counts as one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LabelChanges {
    /// Changes in the prediction.
    pub predicted: u64,
    /// Changes in the mask.
    pub labelled: u64,
}

impl LabelChanges {
    /// The changes in `map` and `mask`, both `[height, width]` of one size, in the ids that `evaluator` counts; classes
    /// without an id of the set count as different from each other.
    pub fn of(evaluator: &MaskEvaluator<'_>, mask: &Mask, map: &LabelMap) -> Self {
        let ids = |predicted: bool| -> Vec<Option<u32>> {
            let pixels = mask.ids.iter().zip(&map.ids);
            let of = |(&id, &class): (&u16, &u16)| {
                evaluator
                    .counted_id(id, class)
                    .map(|found| match (predicted, found) {
                        (false, _) => u32::from(id),
                        (true, Some(found)) => u32::from(found),
                        (true, None) => u32::from(class) + NO_ID,
                    })
            };
            pixels.map(of).collect()
        };
        LabelChanges {
            predicted: count(&ids(true), mask.width),
            labelled: count(&ids(false), mask.width),
        }
    }

    /// Predicted changes per change in the mask; none where the mask never changes.
    pub fn ratio(self) -> Option<f64> {
        (self.labelled > 0).then(|| self.predicted as f64 / self.labelled as f64)
    }
}

/// Added to classes that stand for no id, so that they lie above all ids.
const NO_ID: u32 = 1 << 16;

/// How often along the rows and columns of an image of `width` pixels an id differs from the last one that counts.
fn count(ids: &[Option<u32>], width: usize) -> u64 {
    let width = width.max(1);
    let mut changes = 0;
    let mut step = |last: &mut Option<u32>, id: Option<u32>| {
        changes += u64::from(id.is_some() && last.is_some() && *last != id);
        *last = id.or(*last);
    };
    let mut above = vec![None; width];
    for row in ids.chunks(width) {
        let mut left = None;
        for (&id, above) in row.iter().zip(&mut above) {
            step(&mut left, id);
            step(above, id);
        }
    }
    changes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::learn::data::Taxonomy;

    #[test]
    fn changes_are_counted_along_rows_and_columns_over_what_is_left_out() {
        let id = |id: u32| (id < 9).then_some(id);
        let ids = [1, 1, 9, 2, 1, 9, 9, 2].map(id);
        // In the first row 1 to 2, over a gap; in the second likewise; no column changes.
        assert_eq!(count(&ids, 4), 2);
        assert_eq!(count(&[1, 2, 2, 1].map(id), 2), 4);
        assert_eq!(count(&[9; 4].map(id), 2), 0);
    }

    #[test]
    fn ids_of_the_set_are_what_changes() {
        let spec = r#"{"classes": ["sky", "cat", "dog", "wall", "desk"], "sets": {
            "pets": {"classes": {"0": ["wall"], "1": ["cat", "dog"]}}}}"#;
        let taxonomy = Taxonomy::parse(spec.as_bytes()).unwrap();
        let evaluator = MaskEvaluator::new(taxonomy.set("pets").unwrap(), 5, Some(255));
        let mask = |ids: Vec<u16>| Mask {
            width: ids.len(),
            height: 1,
            ids,
        };
        let map = |ids: Vec<u16>| LabelMap {
            width: ids.len(),
            height: 1,
            confidence: vec![1.0; ids.len()],
            ids,
        };
        // Cat or dog is one id; sky and desk are none, and not the same.
        let found = LabelChanges::of(
            &evaluator,
            &mask(vec![1, 1, 0, 0, 0]),
            &map(vec![1, 2, 3, 0, 4]),
        );
        assert_eq!((found.predicted, found.labelled), (3, 1));
        assert_eq!(found.ratio(), Some(3.0));
        // Pixels without a class count in neither.
        let found = LabelChanges::of(&evaluator, &mask(vec![1, 255, 1]), &map(vec![1, 0, 2]));
        assert_eq!(found, LabelChanges::default());
        assert_eq!(found.ratio(), None);
    }
}
