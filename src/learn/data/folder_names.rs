//! The usual names of folders of photos, masks and depth maps in public data sets, and the file extensions by which
//! photos, labels and other files are told apart.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::learn::data::data_set::LabelKind;
use crate::learn::data::file_names;

/// Names of folders of photos, in the order in which they are searched for.
pub(super) const PHOTO_FOLDERS: [&str; 13] = [
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

/// Names of folders of masks, in the order in which they are searched for; the first is the one in messages.
pub(super) const MASK_FOLDERS: [&str; 15] = [
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

/// Names of folders of depth maps, likewise.
pub(super) const DEPTH_FOLDERS: [&str; 11] = [
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

/// Extensions of files that may be labels.
const LABEL_EXTENSIONS: [&str; 21] = [
    "png", "npy", "npz", "tif", "tiff", "pfm", "exr", "gif", "bmp", "webp", "jpg", "jpeg", "pgm",
    "pnm", "ppm", "pbm", "pam", "qoi", "ff", "ico", "dpt",
];

/// Extensions of files that are neither photos nor labels and are passed over in silence.
const SIDE_FILE_EXTENSIONS: [&str; 20] = [
    "json", "jsonl", "txt", "xml", "csv", "tsv", "md", "db", "ini", "html", "htm", "yaml", "yml",
    "toml", "log", "svg", "pdf", "cache", "lnk", "ds_store",
];

/// Extensions of data that is never a photo.
const DATA_EXTENSIONS: [&str; 12] = [
    "npy", "npz", "pfm", "exr", "mat", "h5", "hdf5", "pkl", "pt", "zip", "gz", "dpt",
];

/// The name of the folder of labels in messages.
pub(super) fn label_folder(kind: LabelKind) -> &'static str {
    match kind {
        LabelKind::Depth => DEPTH_FOLDERS[0],
        LabelKind::Masks => MASK_FOLDERS[0],
    }
}

/// Those of `folders` whose name is one of `names`, in the order of `names`; the suffix of Cityscapes' archives is
/// ignored.
///
/// # Errors
/// Where two folders have one name but for case or Unicode form.
pub(super) fn folders_named(folders: &[PathBuf], names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for wanted in names {
        let is_called = |path: &&PathBuf| {
            let own = folder_name(path);
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

/// The last part of a path, without differences of case and Unicode form.
pub(super) fn folder_name(folder: &Path) -> String {
    file_names::folded(&file_names::composed(
        folder.file_name().unwrap_or_default(),
    ))
}

/// The extension of a file in lower case.
fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.unwrap_or_default().to_lowercase()
}

/// Whether a file may be a label, by its extension.
pub(super) fn is_label(path: &Path) -> bool {
    LABEL_EXTENSIONS.contains(&ending(path).as_str())
}

/// Whether a file may be a photo, by its name.
pub(super) fn is_photo(path: &Path) -> bool {
    !is_aside(path) && !DATA_EXTENSIONS.contains(&ending(path).as_str())
}

/// Whether a file is known to be neither photo nor label, by its name.
pub(super) fn is_aside(path: &Path) -> bool {
    let own = folder_name(path);
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
