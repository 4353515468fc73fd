//! Labelled photos on the disk: which label belongs to which photo, and which of them are kept for validation.
//!
//! A data set is a folder with `images/` and a folder of labels beside it (or `train/` and `val/` with such folders),
//! that folder of labels itself, a CSV or JSONL list of pairs, or a public release of one (`public`).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::{list, public};
use crate::error::{Error, Result};
use crate::inputs::natural;

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
pub struct Pair {
    /// The photo's file.
    pub photo: PathBuf,
    /// The label's file.
    pub label: PathBuf,
}

/// Which pairs are kept for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The data's own `val` part where it has one, else [`Split::Blocks`].
    Auto,
    /// Runs of neighbours of the sorted list, evenly spread over it: neighbouring frames often show one room.
    Blocks,
    /// Single pairs, evenly spread over the sorted list.
    Spread,
    /// None; everything is trained on.
    None,
}

/// How many pairs are kept for validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HoldOut {
    /// This share of them, in one training.
    Share(f64),
    /// All, each in one of so many trainings.
    Folds(usize),
}

/// Pairs, as they are found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSet {
    /// What to call it.
    pub name: String,
    /// Pairs that are not marked as validation, sorted.
    pub train: Vec<Pair>,
    /// Pairs that the data itself sets aside.
    pub val: Vec<Pair>,
    /// Photos without a label.
    pub unlabelled: usize,
}

/// Neighbours that are kept together by [`Split::Blocks`], at most.
const BLOCK: usize = 16;

impl LabelKind {
    fn folders(self) -> &'static [&'static str] {
        match self {
            LabelKind::Depth => &["depth", "depths", "labels"],
            LabelKind::Masks => &["masks", "labels", "annotations"],
        }
    }
}

impl DataSet {
    /// Finds the pairs of the data set at `path`.
    ///
    /// # Errors
    /// Names the folder or list and what was expected there; also where no pair is found.
    pub fn open(path: &Path, kind: LabelKind) -> Result<Self> {
        let mut set = match path.extension().and_then(OsStr::to_str) {
            Some("csv") => list::read_csv(path)?,
            Some("jsonl") => list::read_jsonl(path)?,
            Some("txt") => public::list(path)?,
            _ => match public::open(path, kind)? {
                Some(set) => set,
                None => from_folder(path, kind)?,
            },
        };
        set.name = name_of(path);
        for part in [&mut set.train, &mut set.val] {
            part.sort_by(|a, b| natural::compare(a.photo.as_os_str(), b.photo.as_os_str()));
        }
        if set.train.is_empty() && set.val.is_empty() {
            let why = if set.unlabelled > 0 {
                format!(
                    "has {} photos, but no label has the name of a photo (images/a.jpg needs {}/a.png)",
                    set.unlabelled,
                    kind.folders()[0]
                )
            } else {
                "has no pair of a photo and a label".to_owned()
            };
            return Err(Error::file(path, why));
        }
        Ok(set)
    }

    /// Everything in one list, the `train` part first.
    pub fn all(self) -> Vec<Pair> {
        let mut all = self.train;
        all.extend(self.val);
        all
    }

    /// All pairs, each with the fold whose training it is kept out of; none where it is always trained on.
    pub fn hold_out(self, split: Split, how: HoldOut) -> Vec<(Pair, Option<usize>)> {
        let own_val = match (split, how) {
            (Split::Auto, HoldOut::Share(_)) if !self.train.is_empty() => self.val.len(),
            _ => 0,
        };
        let all = self.all();
        let folds = match (split, how) {
            (Split::Auto, _) if own_val > 0 => {
                let trained_on = all.len() - own_val;
                (0..all.len())
                    .map(|at| (at >= trained_on).then_some(0))
                    .collect()
            }
            (Split::None, _) => vec![None; all.len()],
            (Split::Auto | Split::Blocks, how) => cut(all.len(), how, BLOCK),
            (Split::Spread, how) => cut(all.len(), how, 1),
        };
        all.into_iter().zip(folds).collect()
    }
}

/// Keeps runs of at most `block` neighbours of `total` together: for a share those in the middle of equal stretches,
/// for folds all of them in turn.
fn cut(total: usize, how: HoldOut, block: usize) -> Vec<Option<usize>> {
    let mut held = vec![None; total];
    match how {
        HoldOut::Share(share) => {
            let wanted = ((total as f64 * share).round() as usize).min(total);
            let runs = wanted.div_ceil(block);
            for run in 0..runs {
                let length = (run + 1) * wanted / runs - run * wanted / runs;
                let (from, to) = (run * total / runs, (run + 1) * total / runs);
                let start = from + (to - from - length) / 2;
                held[start..start + length].fill(Some(0));
            }
        }
        HoldOut::Folds(folds) => {
            let runs = total.div_ceil(block).max(folds.min(total));
            for run in 0..runs {
                held[run * total / runs..(run + 1) * total / runs].fill(Some(run % folds));
            }
        }
    }
    held
}

fn from_folder(path: &Path, kind: LabelKind) -> Result<DataSet> {
    if !path.is_dir() {
        let why = if path.exists() {
            "is no data set; expected a folder, or a list that ends in .csv, .jsonl or .txt"
        } else {
            "no such folder"
        };
        return Err(Error::file(path, why));
    }
    let mut set = DataSet::default();
    if let Some((images, labels)) = layout(path, kind)? {
        (set.train, set.unlabelled) = pairs(&images, &labels)?;
        return Ok(set);
    }
    let mut found = false;
    for (part, name) in [(true, "train"), (false, "val")] {
        let folder = path.join(name);
        if !folder.is_dir() {
            continue;
        }
        if let Some((images, labels)) = layout(&folder, kind)? {
            let (pairs, unlabelled) = pairs(&images, &labels)?;
            set.unlabelled += unlabelled;
            if part {
                set.train = pairs;
            } else {
                set.val = pairs;
            }
            found = true;
        }
    }
    if !found {
        return Err(Error::file(
            path,
            format!(
                "is no data set; expected images/ and {}/ in it, or train/ and val/ with such folders",
                kind.folders()[0]
            ),
        ));
    }
    Ok(set)
}

/// The folders of photos and labels of the data set in `folder`, which may be its folder of labels.
fn layout(folder: &Path, kind: LabelKind) -> Result<Option<(PathBuf, PathBuf)>> {
    let images = ["images", "image"].map(|name| folder.join(name));
    if let Some(images) = images.into_iter().find(|images| images.is_dir()) {
        if let Some(name) = kind
            .folders()
            .iter()
            .find(|name| folder.join(name).is_dir())
        {
            return Ok(Some((images, folder.join(name))));
        }
        // masks40, depth_raw: fine if there is only one.
        let stem = kind.folders()[0];
        let mut similar: Vec<PathBuf> = entries(folder)?
            .into_iter()
            .filter(|path| {
                path.is_dir()
                    && path
                        .file_name()
                        .and_then(OsStr::to_str)
                        .is_some_and(|name| name.starts_with(stem))
            })
            .collect();
        return match similar.len() {
            1 => Ok(similar.pop().map(|labels| (images, labels))),
            _ => Err(Error::file(
                folder,
                format!(
                    "has images/, but no {stem}/ beside it; name the folder of labels itself if it is called otherwise"
                ),
            )),
        };
    }
    let sibling = folder.parent().map(|parent| parent.join("images"));
    Ok(sibling
        .filter(|images| images.is_dir() && images != folder)
        .map(|images| (images, folder.to_owned())))
}

/// Photos and labels of one stem, and how many photos have no label.
pub(super) fn pairs(images: &Path, labels: &Path) -> Result<(Vec<Pair>, usize)> {
    let mut by_stem: BTreeMap<_, PathBuf> = BTreeMap::new();
    for label in entries(labels)? {
        if let Some(stem) = label.file_stem().filter(|_| is_visible_file(&label)) {
            by_stem.insert(stem.to_owned(), label);
        }
    }
    let (mut found, mut unlabelled) = (Vec::new(), 0);
    for photo in entries(images)?
        .into_iter()
        .filter(|path| is_visible_file(path))
    {
        match photo.file_stem().and_then(|stem| by_stem.get(stem)) {
            Some(label) => found.push(Pair {
                label: label.clone(),
                photo,
            }),
            None => unlabelled += 1,
        }
    }
    Ok((found, unlabelled))
}

fn is_visible_file(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    path.is_file() && !hidden
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    read().map_err(|error| Error::io(folder, &error))
}

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
    use super::*;

    /// Makes files with their folders.
    pub fn touch(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
    }

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
        assert_eq!(set.unlabelled, 1);
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
        let held = set.clone().hold_out(Split::Auto, HoldOut::Share(0.15));
        let folds: Vec<_> = held.iter().map(|(_, fold)| *fold).collect();
        assert_eq!(folds, [None, Some(0)]);
        let folded = set.hold_out(Split::Auto, HoldOut::Folds(2));
        let folds: Vec<_> = folded.iter().map(|(_, fold)| *fold).collect();
        assert_eq!(folds, [Some(0), Some(1)]);
    }

    #[test]
    fn blocks_are_runs_of_neighbours() {
        let of = |total, share| kept_out(&cut(total, HoldOut::Share(share), BLOCK), 0);
        let numbers = of(400, 0.15);
        assert_eq!((numbers.len(), breaks(&numbers)), (60, 3), "{numbers:?}");
        assert_eq!(of(12, 0.15).len(), 2);
        assert!(of(3, 0.0).is_empty());
    }

    #[test]
    fn every_pair_is_in_one_fold_with_its_neighbours() {
        let folds = cut(400, HoldOut::Folds(5), BLOCK);
        for fold in 0..5 {
            let numbers = kept_out(&folds, fold);
            assert_eq!((numbers.len(), breaks(&numbers)), (80, 4), "{numbers:?}");
        }
        // Few pairs still go to as many folds as they can.
        let few = cut(3, HoldOut::Folds(5), BLOCK);
        assert_eq!(few, [Some(0), Some(1), Some(2)]);
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
