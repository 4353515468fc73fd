//! The division of a data set into training and validation: the data's own split, a share, or the folds of a
//! cross-validation. It depends on the order of the pairs alone, not on chance, so that it is the same in every run.

use crate::learn::data::data_set::{DataSet, LabelledPair};

/// Which pairs are held out for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitStrategy {
    /// For a share, the data's own `val` part where it has one beside `train`; else, and for folds,
    /// [`SplitStrategy::Blocks`].
    Auto,
    /// Runs of up to 16 neighbours of the sorted list, evenly spread over it: neighbouring frames often show the same
    /// place, and must not be on both sides.
    Blocks,
    /// Single pairs, evenly spread over the sorted list.
    Spread,
    /// No pair; everything is trained on.
    None,
}

/// How many pairs are held out for validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValidationSplit {
    /// This share of the pairs (0..1), in one training.
    Share(f64),
    /// Cross-validation: every pair in one of this many folds, each with a training of its own.
    Folds(usize),
}

/// Largest number of neighbours that [`SplitStrategy::Blocks`] keeps together.
const BLOCK: usize = 16;

/// Largest number of neighbours that [`DataSet::at_most`] keeps together.
const RUN: usize = 8;

impl DataSet {
    /// Keeps about `most` of the pairs of train and val, in runs of neighbours evenly spread over each.
    pub fn at_most(self, most: usize) -> Self {
        let total = self.train.len() + self.val.len();
        let thin = |pairs: Vec<LabelledPair>| {
            let wanted = (most * pairs.len()).div_ceil(total.max(1));
            let share = wanted as f64 / pairs.len().max(1) as f64;
            match share < 1.0 {
                true => {
                    let kept = assign_folds(pairs.len(), ValidationSplit::Share(share), RUN);
                    let pairs = pairs.into_iter().zip(kept);
                    pairs
                        .filter_map(|(pair, kept)| kept.map(|_| pair))
                        .collect()
                }
                false => pairs,
            }
        };
        Self {
            train: thin(self.train),
            val: thin(self.val),
            ..self
        }
    }

    /// The pairs of train and val, each with the fold whose training it is held out of; none where it is always trained
    /// on. With a share there is one fold, 0.
    pub fn hold_out(
        self,
        split: SplitStrategy,
        validation: ValidationSplit,
    ) -> Vec<(LabelledPair, Option<usize>)> {
        let own_val = match (split, validation) {
            (SplitStrategy::Auto, ValidationSplit::Share(_)) if !self.train.is_empty() => {
                self.val.len()
            }
            _ => 0,
        };
        let all = self.into_pairs();
        let folds = match (split, validation) {
            (SplitStrategy::Auto, _) if own_val > 0 => {
                let trained_on = all.len() - own_val;
                (0..all.len())
                    .map(|at| (at >= trained_on).then_some(0))
                    .collect()
            }
            (SplitStrategy::None, _) => vec![None; all.len()],
            (SplitStrategy::Auto | SplitStrategy::Blocks, validation) => {
                assign_folds(all.len(), validation, BLOCK)
            }
            (SplitStrategy::Spread, validation) => assign_folds(all.len(), validation, 1),
        };
        all.into_iter().zip(folds).collect()
    }
}

/// The fold of each of `total` pairs in the order of their data set, as [`SplitStrategy::Blocks`] assigns them.
pub fn folds_of(total: usize, folds: usize) -> Vec<usize> {
    let held = assign_folds(total, ValidationSplit::Folds(folds), BLOCK);
    held.into_iter().map(Option::unwrap_or_default).collect()
}

/// The fold of each of `total` pairs, in runs of at most `block` neighbours: a share takes runs in the middle of equal
/// stretches, folds take all runs in turn.
fn assign_folds(total: usize, validation: ValidationSplit, block: usize) -> Vec<Option<usize>> {
    let mut held = vec![None; total];
    match validation {
        ValidationSplit::Share(share) => {
            let wanted = ((total as f64 * share).round() as usize).min(total);
            let runs = wanted.div_ceil(block);
            for run in 0..runs {
                let length = (run + 1) * wanted / runs - run * wanted / runs;
                let (from, to) = (run * total / runs, (run + 1) * total / runs);
                let start = from + (to - from - length) / 2;
                held[start..start + length].fill(Some(0));
            }
        }
        ValidationSplit::Folds(folds) => {
            let runs = total.div_ceil(block).max(folds.min(total));
            for run in 0..runs {
                held[run * total / runs..(run + 1) * total / runs].fill(Some(run % folds));
            }
        }
    }
    held
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The numbers that `fold` keeps out.
    fn kept_out(folds: &[Option<usize>], fold: usize) -> Vec<usize> {
        let all = folds.iter().enumerate();
        all.filter(|(_, of)| **of == Some(fold))
            .map(|(at, _)| at)
            .collect()
    }

    fn breaks(numbers: &[usize]) -> usize {
        numbers.windows(2).filter(|w| w[1] != w[0] + 1).count()
    }

    #[test]
    fn blocks_are_runs_of_neighbours() {
        let of = |total, share| {
            kept_out(
                &assign_folds(total, ValidationSplit::Share(share), BLOCK),
                0,
            )
        };
        let numbers = of(400, 0.15);
        assert_eq!((numbers.len(), breaks(&numbers)), (60, 3), "{numbers:?}");
        assert_eq!(of(12, 0.15).len(), 2);
        assert!(of(3, 0.0).is_empty());
    }

    #[test]
    fn a_part_of_a_set_is_runs_of_neighbours() {
        let pair = |at: usize| LabelledPair {
            photo: format!("{at}").into(),
            label: format!("{at}").into(),
        };
        let set = DataSet {
            train: (0..80).map(pair).collect(),
            val: (80..100).map(pair).collect(),
            ..DataSet::default()
        };
        let few = set.clone().at_most(20);
        let names = |pairs: &[LabelledPair]| -> Vec<usize> {
            let name = |pair: &LabelledPair| pair.photo.to_str().unwrap().parse().unwrap();
            pairs.iter().map(name).collect()
        };
        assert_eq!((few.train.len(), few.val.len()), (16, 4));
        assert_eq!(breaks(&names(&few.train)), 1, "{few:?}");
        assert_eq!(set.clone().at_most(100), set);
    }

    #[test]
    fn every_pair_is_in_one_fold_with_its_neighbours() {
        let folds = assign_folds(400, ValidationSplit::Folds(5), BLOCK);
        for fold in 0..5 {
            let numbers = kept_out(&folds, fold);
            assert_eq!((numbers.len(), breaks(&numbers)), (80, 4), "{numbers:?}");
        }
        // Few pairs still go to as many folds as they can.
        let few = assign_folds(3, ValidationSplit::Folds(5), BLOCK);
        assert_eq!(few, [Some(0), Some(1), Some(2)]);
    }
}
