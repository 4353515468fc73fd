//! Data sets in folders: `images/` and a folder of labels beside it, under any of their usual names, with the parts
//! around them (`train/images`) or in them (`images/train`, `leftImg8bit/val/city`), or one folder of both.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::learn::data::data_set::{DataSet, DataSplit, LabelKind};
use crate::learn::data::pairing::{self, NamedFile, Pairing};
use crate::learn::data::{affixes, file_names};

/// Names of folders of photos, in the order in which they are looked for.
const PHOTO_FOLDERS: [&str; 13] = [
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "photo",
    "jpegimages",
    "leftimg8bit",
    "rgb",
    "color",
    "colour",
    "input",
    "image_2",
];
/// Of masks.
const MASK_FOLDERS: [&str; 15] = [
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "segmentationclass",
    "gtfine",
    "gtcoarse",
    "segmentations",
    "segmentation",
    "seg",
    "groundtruth",
    "ground_truth",
    "gt",
];
/// Of depth maps.
const DEPTH_FOLDERS: [&str; 11] = [
    "depth",
    "depths",
    "depth_maps",
    "depth_map",
    "depthmaps",
    "gt_depth",
    "groundtruth_depth",
    "labels",
    "groundtruth",
    "ground_truth",
    "gt",
];
/// Endings of labels.
const LABEL_EXTENSIONS: [&str; 21] = [
    "png", "npy", "npz", "tif", "tiff", "pfm", "exr", "gif", "bmp", "webp", "jpg", "jpeg", "pgm",
    "pnm", "ppm", "pbm", "pam", "qoi", "ff", "ico", "dpt",
];
/// Endings of files that lie beside photos and labels without being either, as everybody knows.
const SIDE_FILE_EXTENSIONS: [&str; 20] = [
    "json", "jsonl", "txt", "xml", "csv", "tsv", "md", "db", "ini", "html", "htm", "yaml", "yml",
    "toml", "log", "svg", "pdf", "cache", "lnk", "ds_store",
];
/// Endings of data that is no photo.
const DATA_EXTENSIONS: [&str; 12] = [
    "npy", "npz", "pfm", "exr", "mat", "h5", "hdf5", "pkl", "pt", "zip", "gz", "dpt",
];

/// The usual name of the folder of labels.
pub(super) fn label_folder(kind: LabelKind) -> &'static str {
    match kind {
        LabelKind::Depth => DEPTH_FOLDERS[0],
        LabelKind::Masks => MASK_FOLDERS[0],
    }
}

/// The data set in the folder `path`.
pub(super) fn open(path: &Path, kind: LabelKind) -> Result<DataSet> {
    if !path.is_dir() {
        let why = if path.exists() {
            "is no data set; expected a folder, or a list that ends in .csv, .jsonl or .txt"
        } else {
            "no such folder"
        };
        return Err(Error::file(path, why));
    }
    let mut set = DataSet::default();
    if let Some((images, labels)) = find_layout(path, kind, &mut set.notes)? {
        let pairing = pair_folders(&images, &labels, kind, &mut set.notes)?;
        add_pairing(&mut set, pairing, None);
        return Ok(set);
    }
    let mut found = false;
    for folder in list_folders(path)? {
        let Some(part) = DataSplit::named(&name(&folder)) else {
            continue;
        };
        if let Some((images, labels)) = find_layout(&folder, kind, &mut set.notes)? {
            let pairing = pair_folders(&images, &labels, kind, &mut set.notes)?;
            add_pairing(&mut set, pairing, Some(part));
            found = true;
        }
    }
    if !found {
        let pairing = pair_mixed_folder(path, kind)?;
        found = !pairing.pairs.is_empty();
        add_pairing(&mut set, pairing, None);
    }
    match found {
        true => Ok(set),
        false => Err(Error::file(
            path,
            format!(
                "is no data set; expected images/ and {}/ in it, or train/ and val/ with such folders",
                label_folder(kind)
            ),
        )),
    }
}

/// Takes what was found into `set`: into its `part`, or where all lie in folders that are called like parts, into those.
fn add_pairing(set: &mut DataSet, pairing: Pairing, part: Option<DataSplit>) {
    let first = |folder: &str| DataSplit::named(folder.split('/').next().unwrap_or_default());
    let by_folder = pairing
        .pairs
        .iter()
        .all(|(folder, _)| first(folder).is_some());
    for (folder, pair) in pairing.pairs {
        let own = first(&folder).filter(|_| by_folder);
        set.add(part.or(own).unwrap_or(DataSplit::Train), pair);
    }
    set.unlabelled.extend(pairing.unlabelled);
    set.unmatched_labels.extend(pairing.unused);
    let new = pairing.note.filter(|note| !set.notes.contains(note));
    set.notes.extend(new);
}

/// The folders of photos and labels of the data set in `folder`, which may be its folder of labels.
fn find_layout(
    folder: &Path,
    kind: LabelKind,
    notes: &mut Vec<String>,
) -> Result<Option<(PathBuf, PathBuf)>> {
    let inside = list_folders(folder)?;
    let known: &[&str] = match kind {
        LabelKind::Depth => &DEPTH_FOLDERS,
        LabelKind::Masks => &MASK_FOLDERS,
    };
    if let Some(images) = folders_named(&inside, &PHOTO_FOLDERS)?.into_iter().next() {
        let mut labels = folders_named(&inside, known)?;
        if labels.is_empty() {
            // masks40, depth_raw: fine if there is only one.
            let stem = label_folder(kind);
            labels = inside
                .iter()
                .filter(|path| name(path).starts_with(stem))
                .cloned()
                .collect();
            if labels.len() > 1 {
                labels.clear();
            }
        }
        labels.retain(|labels| *labels != images);
        if labels.len() > 1 {
            // labels/ of boxes beside masks/.
            let mut readable = Vec::new();
            for folder in &labels {
                if list_files(folder)?.iter().any(|path| is_label(path)) {
                    readable.push(folder.clone());
                }
            }
            if !readable.is_empty() {
                labels = readable;
            }
        }
        let labels = match labels.as_slice() {
            [] if !pair_mixed_folder(folder, kind)?.pairs.is_empty() => return Ok(None),
            [] => {
                return Err(Error::file(
                    folder,
                    format!(
                        "has {}/, but no {}/ beside it; name the folder of labels itself if it is called otherwise",
                        images.file_name().unwrap_or_default().display(),
                        label_folder(kind)
                    ),
                ));
            }
            [labels, others @ ..] => {
                notes.extend(others.first().map(|other| {
                    format!(
                        "the labels are those of {}, not those of {}; name the folder of labels itself to choose",
                        labels.display(),
                        other.display()
                    )
                }));
                labels.clone()
            }
        };
        return Ok(Some((unpacked(images), unpacked(labels))));
    }
    let Some(parent) = folder.parent() else {
        return Ok(None);
    };
    let parent = match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    };
    let sibling = folders_named(&list_folders(parent)?, &PHOTO_FOLDERS[..2])?
        .into_iter()
        .next();
    Ok(sibling
        .filter(|images| images.file_name() != folder.file_name())
        .map(|images| (images, folder.to_owned())))
}

/// Cityscapes' archives unpack to `leftImg8bit_trainvaltest/leftImg8bit`.
fn unpacked(folder: PathBuf) -> PathBuf {
    match list_folders(&folder).as_deref() {
        Ok([only]) if ["leftimg8bit", "gtfine", "gtcoarse"].contains(&name(only).as_str()) => {
            only.clone()
        }
        _ => folder,
    }
}

/// Those of `folders` that are called one of `names`, in the order of these; Cityscapes' archives are called so too.
fn folders_named(folders: &[PathBuf], names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for wanted in names {
        let is_called = |path: &&PathBuf| {
            let own = name(path);
            let own = own.strip_suffix("_trainvaltest").unwrap_or(&own);
            own == *wanted
        };
        let mut all = folders.iter().filter(is_called);
        if let (Some(one), Some(other)) = (all.next(), all.next()) {
            return Err(Error::file(
                one,
                format!("and {} are called alike; which is meant?", other.display()),
            ));
        }
        found.extend(folders.iter().find(is_called).cloned());
    }
    Ok(found)
}

/// A folder's own name, without differences of case or form.
fn name(folder: &Path) -> String {
    file_names::folded(&file_names::composed(
        folder.file_name().unwrap_or_default(),
    ))
}

/// The pairs between two folders.
pub(super) fn pair_folders(
    images: &Path,
    labels: &Path,
    kind: LabelKind,
    notes: &mut Vec<String>,
) -> Result<Pairing> {
    let item = |root: &Path, path: PathBuf| NamedFile::new(root, path);
    let photos = list_files(images)?
        .into_iter()
        .filter(|path| is_photo(path));
    let photos: Vec<NamedFile> = photos.map(|path| item(images, path)).collect();
    let (own, others): (Vec<_>, Vec<_>) = list_files(labels)?
        .into_iter()
        .partition(|path| is_label(path));
    let own: Vec<NamedFile> = own.into_iter().map(|path| item(labels, path)).collect();
    let strange = others.iter().filter(|path| !is_aside(path));
    if let Some(strange) = strange.clone().next().filter(|_| own.is_empty()) {
        return Err(Error::file(
            labels,
            format!(
                "has no label that can be read: {} is of no known kind (PNG, TIFF, NPY, …)",
                strange.display()
            ),
        ));
    }
    let own = without_companions(own, kind, notes);
    pairing::pair(&photos, &own, kind)
}

/// The pairs in one folder of photos and labels, which are told apart by the words in their names.
fn pair_mixed_folder(folder: &Path, kind: LabelKind) -> Result<Pairing> {
    let all = list_files(folder)?
        .into_iter()
        .map(|path| NamedFile::new(folder, path));
    let is_own = |item: &NamedFile| {
        is_label(&item.path) && !kind.name_words().find_affixes(&item.stem).is_empty()
    };
    let (labels, photos): (Vec<NamedFile>, Vec<NamedFile>) = all.partition(is_own);
    let photos: Vec<NamedFile> = photos
        .into_iter()
        .filter(|item| is_photo(&item.path))
        .collect();
    let mut notes = Vec::new();
    let labels = without_companions(labels, kind, &mut notes);
    let mut pairing = pairing::pair(&photos, &labels, kind)?;
    pairing.note = pairing
        .note
        .into_iter()
        .chain(notes)
        .reduce(|a, b| format!("{a}; {b}"));
    Ok(pairing)
}

/// Without files that come with labels and are none: of Cityscapes' all but one kind of ids.
fn without_companions(
    mut labels: Vec<NamedFile>,
    kind: LabelKind,
    notes: &mut Vec<String>,
) -> Vec<NamedFile> {
    drop_derived(&mut labels, kind, notes);
    if kind == LabelKind::Depth {
        return labels;
    }
    let ends = |item: &NamedFile, end: &str| item.stem.to_ascii_lowercase().ends_with(end);
    let ids = ["_labeltrainids", "_labelids"]
        .into_iter()
        .find(|end| labels.iter().any(|item| ends(item, end)));
    let Some(ids) = ids else {
        return labels;
    };
    let others = [
        "_labeltrainids",
        "_labelids",
        "_color",
        "_instanceids",
        "_instancetrainids",
    ];
    let before = labels.len();
    labels.retain(|item| ends(item, ids) || !others.iter().any(|end| ends(item, end)));
    if labels.len() < before {
        let chosen = match ids {
            "_labelids" => "_labelIds",
            _ => "_labelTrainIds",
        };
        notes.push(format!(
            "of Cityscapes' files for a photo those that end in {chosen} are the labels"
        ));
    }
    labels
}

/// Leaves out what its name says was made of a label that is there, too: `0_vis` beside `0_mask` or `0`.
fn drop_derived(labels: &mut Vec<NamedFile>, kind: LabelKind, notes: &mut Vec<String>) {
    let mut keys: HashSet<(String, String)> = HashSet::new();
    for item in labels.iter() {
        if affixes::strip_companion_word(&item.stem).is_some() {
            continue;
        }
        let mut add = |stem: &str| keys.insert((item.folder.clone(), stem.to_owned()));
        add(&item.stem);
        for affix in kind.name_words().find_affixes(&item.stem) {
            affix.strip(&item.stem).into_iter().for_each(|stem| {
                add(stem);
            });
        }
    }
    let is_other = |item: &NamedFile| {
        let stem = affixes::strip_companion_word(&item.stem);
        stem.is_some_and(|stem| keys.contains(&(item.folder.clone(), stem.to_owned())))
    };
    let (others, kept): (Vec<NamedFile>, Vec<NamedFile>) = labels.drain(..).partition(is_other);
    *labels = kept;
    if let Some(first) = others.first() {
        notes.push(format!(
            "{} files whose names say that they were made of labels are not taken for labels ({}, say)",
            others.len(),
            first.path.display()
        ));
    }
}

/// All files in and below a folder that are not hidden, in the order of their names.
pub(super) fn list_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let visible = |entry: &DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.depth() == 0 || !name.starts_with(b".") && name != b"__MACOSX"
    };
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    let mut files = Vec::new();
    for entry in walk.into_iter().filter_entry(visible) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                // A link to nowhere, or back to where it lies.
                let is_link = path.is_symlink();
                match error.io_error() {
                    Some(error) if !is_link => return Err(Error::io(path, error)),
                    _ => {}
                }
            }
        }
    }
    Ok(files)
}

/// The folders in a folder, in the order of their names.
fn list_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder, &error))?;
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        !name.starts_with(b".") && path.is_dir()
    });
    all.sort();
    Ok(all)
}

fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.unwrap_or_default().to_lowercase()
}

fn is_label(path: &Path) -> bool {
    LABEL_EXTENSIONS.contains(&ending(path).as_str())
}

fn is_photo(path: &Path) -> bool {
    !is_aside(path) && !DATA_EXTENSIONS.contains(&ending(path).as_str())
}

fn is_aside(path: &Path) -> bool {
    let own = name(path);
    let words = [
        "readme",
        "license",
        "licence",
        "thumbs.db",
        "desktop.ini",
        "icon\r",
    ];
    words.contains(&own.as_str()) || SIDE_FILE_EXTENSIONS.contains(&ending(path).as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::learn::data::data_set::tests::touch;

    /// The pairs' labels with their parts.
    fn labels(names: &[&str], kind: LabelKind) -> (DataSet, Vec<(char, String)>) {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), names);
        let set = DataSet::open(root.path(), kind).unwrap();
        let parts = [('t', &set.train), ('v', &set.val), ('x', &set.test)];
        let pairs = parts
            .iter()
            .flat_map(|(part, pairs)| pairs.iter().map(move |pair| (*part, pair)));
        let below = |path: &Path| {
            path.strip_prefix(root.path())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        };
        let found = pairs
            .map(|(part, pair)| (part, below(&pair.label)))
            .collect();
        (set, found)
    }

    #[test]
    fn cityscapes_as_unpacked() {
        for roots in [
            ["leftImg8bit", "gtFine"],
            [
                "leftImg8bit_trainvaltest/leftImg8bit",
                "gtFine_trainvaltest/gtFine",
            ],
        ] {
            let [photos, gt] = roots;
            let mut names = Vec::new();
            for (part, city) in [("train", "aachen"), ("val", "ulm"), ("test", "bonn")] {
                names.push(format!("{photos}/{part}/{city}/{city}_0_1_leftImg8bit.png"));
                for end in [
                    "color.png",
                    "instanceIds.png",
                    "labelIds.png",
                    "polygons.json",
                ] {
                    names.push(format!("{gt}/{part}/{city}/{city}_0_1_gtFine_{end}"));
                }
            }
            names.push(format!("{photos}/train/aachen/aachen_0_2_leftImg8bit.png"));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (set, found) = labels(&names, LabelKind::Masks);
            let label = |part: &str, city: &str| {
                format!("{gt}/{part}/{city}/{city}_0_1_gtFine_labelIds.png")
            };
            let expected = [
                ('t', label("train", "aachen")),
                ('v', label("val", "ulm")),
                ('x', label("test", "bonn")),
            ];
            assert_eq!(found, expected);
            assert_eq!((set.unlabelled.len(), set.unmatched_labels.len()), (1, 0));
            assert!(
                set.notes.iter().any(|note| note.contains("_labelIds")),
                "{:?}",
                set.notes
            );
        }
    }

    #[test]
    fn diode_and_nyu_as_unpacked() {
        let scan = "val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010";
        let names = [".png", "_depth.npy", "_depth_mask.npy"].map(|end| format!("{scan}{end}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (set, found) = labels(&names, LabelKind::Depth);
        assert_eq!(found, [('v', format!("{scan}_depth.npy"))]);
        assert_eq!((set.unlabelled.len(), set.unmatched_labels.len()), (0, 0));
        let (_, found) = labels(
            &[
                "train/attic/rgb_00045.jpg",
                "train/attic/sync_depth_00045.png",
                "train/bath/rgb_00045.jpg",
                "train/bath/sync_depth_00045.png",
                "test/bath/rgb_00001.jpg",
                "test/bath/sync_depth_00001.png",
            ],
            LabelKind::Depth,
        );
        let parts: String = found.iter().map(|(part, _)| part).collect();
        assert_eq!(parts, "ttx");
    }

    #[test]
    fn what_was_made_of_labels_is_none() {
        let masks = [
            "images/0.jpg",
            "images/1.jpg",
            "masks/0_mask.png",
            "masks/1_mask.png",
            "masks/0_vis.png",
            "masks/1_vis.png",
        ];
        let (set, found) = labels(&masks, LabelKind::Masks);
        assert_eq!(
            found,
            [
                ('t', "masks/0_mask.png".to_owned()),
                ('t', "masks/1_mask.png".to_owned())
            ]
        );
        assert!(
            set.notes.iter().any(|note| note.contains("0_vis.png")),
            "{:?}",
            set.notes
        );
        let depth = ["images/0.jpg", "depth/0.depth.npy", "depth/0.depth.std.npy"];
        assert_eq!(
            labels(&depth, LabelKind::Depth).1,
            [('t', "depth/0.depth.npy".to_owned())]
        );
        // Where there is nothing else they are the labels; one folder of both, as NYU's test has it; Sintel's ending.
        let only = [
            "images/0.jpg",
            "images/1.jpg",
            "masks/0_color.png",
            "masks/1_color.png",
        ];
        assert_eq!(labels(&only, LabelKind::Masks).1.len(), 2);
        let nyu = [
            "00000_colors.png",
            "00000_depth.png",
            "00001_colors.png",
            "00001_depth.png",
        ];
        assert_eq!(labels(&nyu, LabelKind::Depth).1.len(), 2);
        assert_eq!(
            labels(&["images/0.png", "depth/0.dpt"], LabelKind::Depth)
                .1
                .len(),
            1
        );
    }

    #[test]
    fn folders_are_called_in_many_ways() {
        for names in [
            [
                "Images/zurich/0.JPG",
                "Masks/zurich/0.PNG",
                "Masks/zurich/0.json",
            ],
            ["imgs/0.jpg", "labels/0.png", "labels/0.txt"],
            [
                "train/JPEGImages/0.jpg",
                "train/SegmentationClass/0.png",
                "train/SegmentationClass/Thumbs.db",
            ],
            [
                "images/training/0.jpg",
                "annotations/training/0.png",
                "annotations/README",
            ],
            ["data/0.jpg", "data/0_mask.png", "data/0.xml"],
            ["images/0.jpg", "masks/0.png", "labels/0.txt"],
        ] {
            let (set, found) = labels(&names, LabelKind::Masks);
            assert_eq!(found, [('t', names[1].to_owned())], "{names:?}");
            assert_eq!(
                (set.unlabelled.len(), set.unmatched_labels.len()),
                (0, 0),
                "{names:?}"
            );
        }
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["images/0.jpg", "masks/0.mat"]);
        let error = DataSet::open(root.path(), LabelKind::Masks)
            .unwrap_err()
            .to_string();
        assert!(error.contains("0.mat is of no known kind"), "{error}");
    }
}
