//! A labelled data set: pairs of a photo and a label, as files on the disk, divided into train, val and test as the
//! data itself is. `open` finds them.

use std::path::PathBuf;

use crate::learn::data::affixes::NameWords;

/// The kind of labels that a task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelKind {
    /// Depth maps, for depth.
    Depth,
    /// Masks of class ids, for segmentation.
    Masks,
}

/// The files of a photo and of its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledPair {
    /// The photo's file.
    pub photo: PathBuf,
    /// The label's file.
    pub label: PathBuf,
}

/// The pairs of a data set, and what was left out of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataSet {
    /// Name for messages and metrics: that of the folder or list.
    pub name: String,
    /// Pairs to train on: all that the data does not set aside. Each split is in the natural order of the photos'
    /// paths.
    pub train: Vec<LabelledPair>,
    /// Pairs that the data itself sets aside for validation.
    pub val: Vec<LabelledPair>,
    /// Pairs that the data sets aside for a test; they are used neither for training nor for evaluation.
    pub test: Vec<LabelledPair>,
    /// Photos without a label.
    pub unlabelled: Vec<PathBuf>,
    /// Labels without a photo.
    pub unmatched_labels: Vec<PathBuf>,
    /// Sentences for the user about how pairs were found, where that is not obvious.
    pub notes: Vec<String>,
    /// Units per metre in depth maps of whole numbers, where the layout of the data set tells it (256 for KITTI).
    pub depth_scale: Option<f64>,
}

/// A split of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataSplit {
    Train,
    Val,
    Test,
}

impl DataSplit {
    /// The split that the name of a folder, or a field of a list, stands for.
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_lowercase().as_str() {
            "train" | "training" | "trn" => Some(DataSplit::Train),
            "val" | "valid" | "validation" | "dev" => Some(DataSplit::Val),
            "test" | "testing" | "tst" => Some(DataSplit::Test),
            _ => None,
        }
    }
}

impl LabelKind {
    /// The words by which labels of this kind are named.
    pub(super) fn name_words(self) -> NameWords {
        match self {
            LabelKind::Depth => NameWords::Depth,
            LabelKind::Masks => NameWords::Mask,
        }
    }
}

impl DataSet {
    /// Adds a pair to a split.
    pub(super) fn add(&mut self, part: DataSplit, pair: LabelledPair) {
        match part {
            DataSplit::Train => self.train.push(pair),
            DataSplit::Val => self.val.push(pair),
            DataSplit::Test => self.test.push(pair),
        }
    }

    /// The pairs of train and then of val in one list, without those of test.
    pub fn into_pairs(self) -> Vec<LabelledPair> {
        let mut all = self.train;
        all.extend(self.val);
        all
    }

    /// Sentences for the user about photos, labels and splits that are left out.
    pub fn left_out(&self) -> Vec<String> {
        let name = &self.name;
        let mut sentences = Vec::new();
        for (files, lack) in [
            (&self.unlabelled, ("photo has", "photos have", "no label")),
            (
                &self.unmatched_labels,
                ("label has", "labels have", "no photo"),
            ),
        ] {
            let (one, many, what) = lack;
            if let Some(first) = files.first() {
                let (verb, stay, such) = match files.len() {
                    1 => (one, "is", ""),
                    _ => (many, "are", "such as "),
                };
                sentences.push(format!(
                    "{name}: {} {verb} {what} and {stay} left out ({such}{})",
                    files.len(),
                    first.display()
                ));
            }
        }
        if !self.test.is_empty() {
            sentences.push(format!(
                "{name}: its test part ({} pairs) is left out; name that folder itself to use it",
                self.test.len()
            ));
        }
        sentences
    }
}
