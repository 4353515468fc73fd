//! Finds the pairs of a data set in a list, a public release or folders.
//!
//! In: a path. It is a list of pairs by its extension (`list`), else a folder: a public release with a layout of its
//! own (`public_releases`), or `images/` and a folder of labels beside it, with splits around or within them, that
//! folder of labels itself, or one folder of both (`folders`). Photos and labels in folders belong together by their
//! names (`pairing`). Out: a [`DataSet`], its pairs in natural order.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::{Error, Result};
use crate::io::inputs::natural;
use crate::learn::data::data_set::{DataSet, LabelKind};
use crate::learn::data::folder_names::label_folder;
use crate::learn::data::{folders, list, public_releases};

impl DataSet {
    /// Finds the pairs of the data set at `path`.
    ///
    /// # Errors
    /// Where there is no such path, it is no data set, a photo has two labels, a line of a list is wrong, or there is
    /// no pair to train on or evaluate; the message names the file and what was expected.
    pub fn open(path: &Path, kind: LabelKind) -> Result<Self> {
        let ending = path.extension().and_then(OsStr::to_str);
        let ending = ending.filter(|_| !path.is_dir()).map(str::to_lowercase);
        let mut set = match ending.as_deref() {
            Some("csv" | "tsv") => list::read_csv(path, kind)?,
            Some("jsonl" | "ndjson") => list::read_jsonl(path, kind)?,
            Some("txt") => list::read_words(path)?,
            _ => match public_releases::open(path, kind)? {
                Some(set) => set,
                None => folders::open(path, kind)?,
            },
        };
        set.name = name_of(path);
        for part in [&mut set.train, &mut set.val, &mut set.test] {
            part.sort_by(|a, b| natural::compare(a.photo.as_os_str(), b.photo.as_os_str()));
        }
        if set.train.is_empty() && set.val.is_empty() {
            return Err(Error::file(path, set.no_pairs_message(kind)));
        }
        Ok(set)
    }

    /// The message for a data set without a pair.
    fn no_pairs_message(&self, kind: LabelKind) -> String {
        match (self.unlabelled.first(), self.unmatched_labels.first()) {
            _ if !self.test.is_empty() => {
                "has pairs in its test part only; name that folder itself to use it".to_owned()
            }
            (Some(photo), Some(label)) => format!(
                "has {} photos and {} labels, but no label has the name of a photo ({} and {}, say); name pairs in a \
                 list (.csv) or give both one name",
                self.unlabelled.len(),
                self.unmatched_labels.len(),
                photo.display(),
                label.display()
            ),
            (Some(_), None) => format!(
                "has {} photos, but no label that can be read (images/a.jpg needs {}/a.png)",
                self.unlabelled.len(),
                label_folder(kind)
            ),
            _ => "has no pair of a photo and a label".to_owned(),
        }
    }
}

/// The name of a data set: that of the folder, or of the list without its extension.
fn name_of(path: &Path) -> String {
    let stem = if path.is_dir() {
        path.file_name()
    } else {
        path.file_stem()
    };
    stem.map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::fs;

    use super::*;
    use crate::learn::data::{SplitStrategy, ValidationSplit};

    /// Makes files with their folders.
    pub fn touch(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
    }

    #[test]
    fn pairs_have_one_stem_and_come_in_natural_order() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &[
                "images/10.jpg",
                "images/9.jpg",
                "images/alone.jpg",
                "masks/9.png",
                "masks/10.png",
                "masks/.hidden.png",
            ],
        );
        let set = DataSet::open(root.path(), LabelKind::Masks).unwrap();
        let photos: Vec<_> = set
            .train
            .iter()
            .map(|p| p.photo.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(photos, ["9.jpg", "10.jpg"]);
        assert_eq!(set.unlabelled.len(), 1);
        assert!(set.left_out()[0].contains("1 photo has no label and is left out"));
        // The folder of labels can be named itself.
        let same = DataSet::open(&root.path().join("masks"), LabelKind::Masks).unwrap();
        assert_eq!(same.train, set.train);
        let error = DataSet::open(root.path(), LabelKind::Depth)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no depth/"), "{error}");
    }

    #[test]
    fn parts_of_the_data_are_respected() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &[
                "train/images/1.jpg",
                "train/depth/1.png",
                "val/images/2.jpg",
                "val/depth/2.png",
            ],
        );
        let set = DataSet::open(root.path(), LabelKind::Depth).unwrap();
        assert_eq!((set.train.len(), set.val.len()), (1, 1));
        let held = set
            .clone()
            .hold_out(SplitStrategy::Auto, ValidationSplit::Share(0.15));
        let folds: Vec<_> = held.iter().map(|(_, fold)| *fold).collect();
        assert_eq!(folds, [None, Some(0)]);
        let folded = set.hold_out(SplitStrategy::Auto, ValidationSplit::Folds(2));
        let folds: Vec<_> = folded.iter().map(|(_, fold)| *fold).collect();
        assert_eq!(folds, [Some(0), Some(1)]);
    }

    #[test]
    fn what_is_no_data_set_gets_a_sentence() {
        let root = tempfile::tempdir().unwrap();
        let words = |path: &Path| {
            DataSet::open(path, LabelKind::Masks)
                .unwrap_err()
                .to_string()
        };
        assert!(words(root.path()).contains("expected images/ and masks/"));
        assert!(words(&root.path().join("none")).contains("no such folder"));
        touch(root.path(), &["images/a.jpg", "masks/b.png"]);
        assert!(words(root.path()).contains("no label has the name of a photo"));
    }
}
