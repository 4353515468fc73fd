//! Data sets in folders: `images/` and a folder of labels beside it, under any of their usual names, with splits around
//! them (`train/images`) or in them (`images/train`, `leftImg8bit/val/city`), or one folder of both.
//!
//! In: a folder and the kind of its labels. Out: a [`DataSet`] with its splits.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::learn::data::companions::without_companions;
use crate::learn::data::data_set::{DataSet, DataSplit, LabelKind};
use crate::learn::data::folder_names::{
    DEPTH_FOLDERS, MASK_FOLDERS, PHOTO_FOLDERS, folder_name, folders_named, is_aside, is_label,
    is_photo, label_folder,
};
use crate::learn::data::pairing::{self, NamedFile, Pairing};

/// Opens the data set in the folder `path`.
///
/// # Errors
/// Where `path` is no folder, has no such layout, cannot be read, or two labels belong to one photo.
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
        let Some(part) = DataSplit::named(&folder_name(&folder)) else {
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

/// Adds pairs to `set`: to the split `part`, or to those that their folders are named like, where all of them are.
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

/// Finds the folders of photos and of labels in `folder`, or the photos beside it where it is the folder of labels
/// itself.
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
            // Names such as masks40 or depth_raw are accepted where there is only one.
            let stem = label_folder(kind);
            labels = inside
                .iter()
                .filter(|path| folder_name(path).starts_with(stem))
                .cloned()
                .collect();
            if labels.len() > 1 {
                labels.clear();
            }
        }
        labels.retain(|labels| *labels != images);
        if labels.len() > 1 {
            // A folder labels/ may hold bounding boxes beside masks/.
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

/// Steps into the single folder that the archives of Cityscapes unpack to (`leftImg8bit_trainvaltest/leftImg8bit`).
fn unpacked(folder: PathBuf) -> PathBuf {
    match list_folders(&folder).as_deref() {
        Ok([only])
            if ["leftimg8bit", "gtfine", "gtcoarse"].contains(&folder_name(only).as_str()) =>
        {
            only.clone()
        }
        _ => folder,
    }
}

/// Pairs the photos in and below `images` with the labels in and below `labels`.
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

/// Pairs photos and labels in one folder, which are told apart by the words in their names.
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

/// All files in and below a folder that are not hidden, sorted by name; links that lead nowhere are left out.
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
                // A link that leads nowhere, or in a loop, is no failure.
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

/// The folders in a folder that are not hidden, sorted by name.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
