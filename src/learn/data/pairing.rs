//! Which label belongs to which photo, by their names: both are compared without their root folders and extensions, and
//! without the prefix and suffix that all photos, or all labels, have in common (`0001_leftImg8bit.png` and
//! `0001_gtFine_labelIds.png`).
//!
//! In: the files of photos and of labels. Out: a [`Pairing`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::learn::data::affixes::{self, Affix, NameWords};
use crate::learn::data::data_set::{LabelKind, LabelledPair};
use crate::learn::data::file_names;

/// A file in a folder of photos or labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedFile {
    /// The path to open it by.
    pub path: PathBuf,
    /// The folders between the root and the file, joined with `/`, in composed form (NFC).
    pub folder: String,
    /// The name without extension, in composed form (NFC).
    pub stem: String,
}

/// The pairs between some photos and labels, and what is left of both.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// Pairs, each with the folder of its photo below the root.
    pub pairs: Vec<(String, LabelledPair)>,
    /// Photos without a label.
    pub unlabelled: Vec<PathBuf>,
    /// Labels without a photo.
    pub unused: Vec<PathBuf>,
    /// A sentence about what was left out of names, where anything was.
    pub note: Option<String>,
}

impl NamedFile {
    /// The file at `path`, in or below `root`.
    pub fn new(root: &Path, path: PathBuf) -> Self {
        let below = path.strip_prefix(root).unwrap_or(&path);
        let folders = below.parent().into_iter().flat_map(Path::components);
        let folders: Vec<String> = folders
            .map(|part| file_names::composed(part.as_os_str()))
            .collect();
        NamedFile {
            folder: folders.join("/"),
            stem: file_names::composed(path.file_stem().unwrap_or_default()),
            path,
        }
    }
}

/// The key that a photo and its label share: folder and stem, as far as the rule uses them.
type PairKey<'a> = (&'a str, &'a str);

/// A rule that turns the names of photos and labels into keys: the affixes to leave out, and whether folders count.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PairingRule {
    photo: Affix,
    label: Affix,
    /// Whether a photo and its label must lie in folders of the same name.
    folders: bool,
}

impl PairingRule {
    fn key_of<'a>(&self, item: &'a NamedFile, affix: &Affix) -> Option<PairKey<'a>> {
        let folder = if self.folders {
            item.folder.as_str()
        } else {
            ""
        };
        Some((folder, affix.strip(&item.stem)?))
    }

    fn is_plain(&self) -> bool {
        self.photo.len() + self.label.len() == 0 && self.folders
    }

    /// A sentence about what the rule leaves out of names; none where it leaves out nothing.
    fn note(&self) -> Option<String> {
        let mut parts = Vec::new();
        for (affix, whose) in [(&self.label, "labels"), (&self.photo, "photos")] {
            if affix.len() > 0 {
                parts.push(format!("the {} of {whose}' names", affix.describe()));
            }
        }
        if !self.folders {
            parts.push("the folders they lie in".to_owned());
        }
        (!parts.is_empty()).then(|| {
            format!(
                "photos and labels belong together without {}",
                parts.join(" and ")
            )
        })
    }
}

/// Indices of labels by their keys: exact, and without differences of case.
struct LabelIndex<'a> {
    exact: HashMap<PairKey<'a>, Vec<usize>>,
    folded: HashMap<(String, String), Vec<usize>>,
}

impl<'a> LabelIndex<'a> {
    fn new(labels: &'a [NamedFile], rule: &PairingRule) -> Self {
        let mut exact: HashMap<PairKey<'a>, Vec<usize>> = HashMap::new();
        let mut folded: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, label) in labels.iter().enumerate() {
            if let Some(key) = rule.key_of(label, &rule.label) {
                exact.entry(key).or_default().push(at);
                folded.entry(fold_key(key)).or_default().push(at);
            }
        }
        LabelIndex { exact, folded }
    }

    /// The labels with the key of a photo.
    fn get<'s>(&'s self, key: PairKey<'s>) -> &'s [usize] {
        let exact = self.exact.get(&key);
        let found = exact.or_else(|| self.folded.get(&fold_key(key)));
        found.map_or(&[], Vec::as_slice)
    }

    /// How many labels have a photo.
    fn used(&self, photos: &[NamedFile], rule: &PairingRule) -> usize {
        let keys = photos
            .iter()
            .filter_map(|photo| rule.key_of(photo, &rule.photo));
        let mut used: Vec<usize> = keys.flat_map(|key| self.get(key)).copied().collect();
        used.sort_unstable();
        used.dedup();
        used.len()
    }
}

fn fold_key((folder, stem): PairKey<'_>) -> (String, String) {
    (file_names::folded(folder), file_names::folded(stem))
}

/// Pairs photos with labels of this kind.
///
/// # Errors
/// Where two labels belong to one photo, or two photos to one label.
pub(super) fn pair(photos: &[NamedFile], labels: &[NamedFile], kind: LabelKind) -> Result<Pairing> {
    let rule = rule(photos, labels, kind.name_words());
    let index = LabelIndex::new(labels, &rule);
    let mut owner: Vec<Option<usize>> = vec![None; labels.len()];
    let mut found = Pairing {
        note: (!rule.is_plain()).then(|| rule.note()).flatten(),
        ..Pairing::default()
    };
    for (at, photo) in photos.iter().enumerate() {
        let key = rule.key_of(photo, &rule.photo);
        match key.map_or(&[][..], |key| index.get(key)) {
            [] => found.unlabelled.push(photo.path.clone()),
            &[label] => {
                if let Some(other) = owner[label].replace(at) {
                    return Err(Error::file(
                        &photos[other].path,
                        format!(
                            "and {} both have the label {}; take one of them away, or name pairs in a list (.csv)",
                            photo.path.display(),
                            labels[label].path.display()
                        ),
                    ));
                }
                found.pairs.push((
                    photo.folder.clone(),
                    LabelledPair {
                        photo: photo.path.clone(),
                        label: labels[label].path.clone(),
                    },
                ));
            }
            &[first, second, ..] => {
                return Err(two_labels_error(&labels[first], &labels[second], photo));
            }
        }
    }
    // Labels that belong to a photo by another affix, too: a.png beside a_mask.png.
    for (at, label) in labels.iter().enumerate() {
        if owner[at].is_some() {
            continue;
        }
        for affix in kind.name_words().find_affixes(&label.stem) {
            let taken = rule
                .key_of(label, &affix)
                .map_or(&[][..], |key| index.get(key));
            let owned = taken.iter().find_map(|&other| Some((other, owner[other]?)));
            if let Some((other, photo)) = owned {
                return Err(two_labels_error(&labels[other], label, &photos[photo]));
            }
        }
        found.unused.push(label.path.clone());
    }
    Ok(found)
}

fn two_labels_error(first: &NamedFile, second: &NamedFile, photo: &NamedFile) -> Error {
    Error::file(
        &first.path,
        format!(
            "and {} are both labels of {}; take one of them away, or name pairs in a list (.csv)",
            second.path.display(),
            photo.path.display()
        ),
    )
}

/// The rule with which most labels have a photo; of several the one that leaves out least. An affix that is no usual
/// word may be left out of one side only, and only where every label has a photo then.
fn rule(photos: &[NamedFile], labels: &[NamedFile], words: NameWords) -> PairingRule {
    let plain = PairingRule {
        photo: Affix::default(),
        label: Affix::default(),
        folders: true,
    };
    let mut best = (0, plain.clone());
    let stems = |items: &'_ [NamedFile]| -> Vec<Affix> {
        affixes::common_affixes(items.iter().map(|item| item.stem.as_str()))
    };
    let (of_photos, of_labels) = (stems(photos), stems(labels));
    for folders in [true, false] {
        for label in &of_labels {
            for photo in &of_photos {
                let rule = PairingRule {
                    photo: photo.clone(),
                    label: label.clone(),
                    folders,
                };
                let one_sided = photo.len() == 0 || label.len() == 0;
                let usual =
                    photo.consists_of(NameWords::Photo) && label.consists_of(words) && folders;
                if !one_sided && !photo.consists_of(NameWords::Photo) {
                    continue;
                }
                let index = LabelIndex::new(labels, &rule);
                let distinct = index.exact.len() == labels.len();
                let used = index.used(photos, &rule);
                let sure =
                    distinct && used == labels.len() && (folders || are_distinct(photos, &rule));
                if used > best.0 && (usual || sure) {
                    best = (used, rule);
                }
                if best.0 == labels.len() {
                    return best.1;
                }
            }
        }
    }
    best.1
}

/// Whether all photos have different keys.
fn are_distinct(photos: &[NamedFile], rule: &PairingRule) -> bool {
    let mut keys: Vec<_> = photos
        .iter()
        .filter_map(|photo| rule.key_of(photo, &rule.photo))
        .collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    keys.len() == all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn items(names: &[&str]) -> Vec<NamedFile> {
        let all = names
            .iter()
            .map(|name| NamedFile::new(Path::new(""), name.into()));
        all.collect()
    }

    fn pairs(photos: &[&str], labels: &[&str], kind: LabelKind) -> Vec<(String, String)> {
        let found = pair(&items(photos), &items(labels), kind).unwrap();
        let name = |path: &Path| path.to_str().unwrap().to_owned();
        let pairs = found.pairs.iter();
        pairs
            .map(|(_, pair)| (name(&pair.photo), name(&pair.label)))
            .collect()
    }

    #[test]
    fn what_all_labels_have_is_left_out() {
        for (photos, labels) in [
            (["1.jpg", "10.jpg"], ["1_mask.png", "10_mask.png"]),
            (["1.JPG", "10.JPG"], ["1.PNG", "10.PNG"]),
            (["img1.jpg", "img2.jpg"], ["mask1.png", "mask2.png"]),
            (["a_rgb.jpg", "b_rgb.jpg"], ["label_a.png", "label_b.png"]),
            (["a_rgb.jpg", "b_rgb.jpg"], ["a.png", "b.png"]),
            (["x/a.jpg", "y/a.jpg"], ["x/a_seg.png", "y/a_seg.png"]),
            (["x/a.jpg", "y/b.jpg"], ["a.png", "b.png"]),
            (["u\u{308}.jpg", "b.jpg"], ["\u{fc}.png", "B.png"]),
            (["1.jpg", "2.jpg"], ["1_crf_v2.png", "2_crf_v2.png"]),
        ] {
            let expected: Vec<_> = photos.iter().zip(labels).collect();
            let found = pairs(&photos, &labels, LabelKind::Masks);
            let found: Vec<_> = found
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            let expected: Vec<_> = expected.into_iter().map(|(a, b)| (*a, b)).collect();
            assert_eq!(found, expected);
        }
        let found = pairs(
            &["rgb_001.jpg", "rgb_002.jpg"],
            &["sync_depth_001.png", "sync_depth_002.png"],
            LabelKind::Depth,
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn what_may_not_belong_together_does_not() {
        // Both sides have something that is no word of the field.
        assert!(pairs(&["cam1_1.png"], &["cam2_1.png"], LabelKind::Masks).is_empty());
        // Not all labels have a photo without it.
        let found = pairs(&["1.jpg"], &["1_crf.png", "2_crf.png"], LabelKind::Masks);
        assert!(found.is_empty(), "{found:?}");
        // Two photos of one name in two folders, and one label.
        assert!(pairs(&["x/a.jpg", "y/a.jpg"], &["a.png"], LabelKind::Masks).is_empty());
        let found = pairs(&["1.jpg"], &["1_mask.png", "2_mask.png"], LabelKind::Masks);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn two_labels_of_a_photo_are_an_error() {
        for labels in [["a.png", "a.npy"], ["a.png", "a_mask.png"]] {
            let error = pair(
                &items(&["a.jpg", "b.jpg"]),
                &items(&labels),
                LabelKind::Masks,
            );
            let error = error.unwrap_err().to_string();
            assert!(labels.iter().all(|label| error.contains(label)), "{error}");
        }
        let photos = items(&["a.jpg", "a.png"]);
        let error = pair(&photos, &items(&["a.png"]), LabelKind::Masks);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("both have the label")
        );
        // Of no photo they hurt nobody.
        let labels = items(&["a.png", "b.png", "b.npy"]);
        let found = pair(&items(&["a.jpg", "c.jpg"]), &labels, LabelKind::Masks).unwrap();
        assert_eq!(
            (
                found.pairs.len(),
                found.unlabelled.len(),
                found.unused.len()
            ),
            (1, 1, 2)
        );
    }
}
