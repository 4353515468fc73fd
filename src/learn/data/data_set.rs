//! Labelled photos on the disk.
//!
//! A data set is a folder with `images/` and a folder of labels beside it, parts and folders within them or around them,
//! that folder of labels itself, one folder of both (`folders`), a list of pairs (`list`), or a public release of one
//! (`public`). Files belong together by their names (`pairing`).

use std::path::PathBuf;

use crate::learn::data::affixes::NameWords;

/// Labels to look for, by task: the usual names of their folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelKind {
    /// Depth maps.
    Depth,
    /// Masks of class ids.
    Masks,
}

/// A photo and its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledPair {
    /// The photo's file.
    pub photo: PathBuf,
    /// The label's file.
    pub label: PathBuf,
}

/// Pairs, as they are found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataSet {
    /// What to call it.
    pub name: String,
    /// Pairs that are not marked as validation, sorted.
    pub train: Vec<LabelledPair>,
    /// Pairs that the data itself sets aside.
    pub val: Vec<LabelledPair>,
    /// Pairs that the data sets aside for a test; they are neither trained on nor judged.
    pub test: Vec<LabelledPair>,
    /// Photos without a label.
    pub unlabelled: Vec<PathBuf>,
    /// Labels without a photo.
    pub unmatched_labels: Vec<PathBuf>,
    /// How pairs were found, where it is not plain.
    pub notes: Vec<String>,
    /// Units of a depth map's metre, where the layout tells it.
    pub depth_scale: Option<f64>,
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataSplit {
    Train,
    Val,
    Test,
}

impl DataSplit {
    /// The part that a folder or a column of a list names.
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
    pub(super) fn name_words(self) -> NameWords {
        match self {
            LabelKind::Depth => NameWords::Depth,
            LabelKind::Masks => NameWords::Mask,
        }
    }
}

impl DataSet {
    /// Adds a pair to a part.
    pub(super) fn add(&mut self, part: DataSplit, pair: LabelledPair) {
        match part {
            DataSplit::Train => self.train.push(pair),
            DataSplit::Val => self.val.push(pair),
            DataSplit::Test => self.test.push(pair),
        }
    }

    /// Everything that is trained on or judged in one list, the `train` part first.
    pub fn into_pairs(self) -> Vec<LabelledPair> {
        let mut all = self.train;
        all.extend(self.val);
        all
    }

    /// What is left out, in sentences.
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
