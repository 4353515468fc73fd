//! The layouts of public releases that `folders` cannot recognise by names alone: PASCAL VOC 2012 (lists of names per
//! split), and KITTI's depth, as the selection of 1000 frames or together with the raw recordings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::error::{Error, Result};
use crate::learn::data::data_set::{DataSet, DataSplit, LabelKind, LabelledPair};
use crate::learn::data::{folders, text};

/// Opens the data set in `folder`, where it has the layout of a public release; else none.
///
/// # Errors
/// Where files cannot be read, or KITTI's depth comes without its photos.
pub(super) fn open(folder: &Path, kind: LabelKind) -> Result<Option<DataSet>> {
    match kind {
        LabelKind::Masks if folder.join("ImageSets/Segmentation").is_dir() => voc(folder).map(Some),
        LabelKind::Masks => Ok(None),
        LabelKind::Depth => match kitti_selection(folder)? {
            Some(set) => Ok(Some(set)),
            None => kitti(folder),
        },
    }
}

/// PASCAL VOC 2012: `ImageSets/Segmentation/{train,val}.txt`, `JPEGImages/`, `SegmentationClass/`.
fn voc(folder: &Path) -> Result<DataSet> {
    let mut set = DataSet::default();
    for (part, name) in [(DataSplit::Train, "train"), (DataSplit::Val, "val")] {
        let list = folder.join(format!("ImageSets/Segmentation/{name}.txt"));
        let bytes = match fs::read(&list) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io(&list, &error)),
        };
        let text = text::decode(&bytes).map_err(|why| Error::file(&list, why))?;
        for name in text.lines().map(str::trim).filter(|name| !name.is_empty()) {
            let pair = LabelledPair {
                photo: folder.join(format!("JPEGImages/{name}.jpg")),
                label: folder.join(format!("SegmentationClass/{name}.png")),
            };
            match (pair.photo.is_file(), pair.label.is_file()) {
                (true, false) => set.unlabelled.push(pair.photo),
                (false, true) => set.unmatched_labels.push(pair.label),
                _ => set.add(part, pair),
            }
        }
    }
    Ok(set)
}

/// KITTI's selection of 1000 frames for validation:
/// `depth_selection/val_selection_cropped/{image,groundtruth_depth}/…_sync_{image,groundtruth_depth}_0000000005_image_02.png`.
fn kitti_selection(folder: &Path) -> Result<Option<DataSet>> {
    const LABEL: &str = "_sync_groundtruth_depth_";
    let below = [
        "",
        "val_selection_cropped",
        "depth_selection/val_selection_cropped",
    ];
    let mut roots = below.into_iter().map(|below| folder.join(below));
    let Some(root) =
        roots.find(|root| root.join("groundtruth_depth").is_dir() && root.join("image").is_dir())
    else {
        return Ok(None);
    };
    let labels = folders::list_files(&root.join("groundtruth_depth"))?;
    let name = |path: &Path| -> Option<String> {
        let name = path.file_name()?.to_str()?;
        name.contains(LABEL)
            .then(|| name.replacen(LABEL, "_sync_image_", 1))
    };
    if !labels.iter().any(|label| name(label).is_some()) {
        return Ok(None);
    }
    let mut set = DataSet {
        depth_scale: Some(256.0),
        ..DataSet::default()
    };
    let mut photos = folders::list_files(&root.join("image"))?;
    for label in labels {
        let photo = name(&label).and_then(|name| {
            let at = photos
                .iter()
                .position(|photo| photo.file_name().is_some_and(|own| *own == *name))?;
            Some(photos.swap_remove(at))
        });
        match photo {
            Some(photo) => set.add(DataSplit::Val, LabelledPair { photo, label }),
            None => set.unmatched_labels.push(label),
        }
    }
    photos.sort();
    set.unlabelled = photos;
    Ok(Some(set))
}

/// Folders of photos or of labels, by the name of the drive and of the camera.
type DriveCameras = BTreeMap<(String, String), PathBuf>;

/// KITTI's archives of depth and of raw data, unpacked into one folder:
/// `…/{train,val}/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png` and, anywhere in it,
/// `…/2011_09_26_drive_0001_sync/image_02/data/0000000005.png`.
fn kitti(folder: &Path) -> Result<Option<DataSet>> {
    let (mut labels, mut photos) = (DriveCameras::new(), DriveCameras::new());
    let walk = WalkDir::new(folder).follow_links(true).max_depth(5);
    for entry in walk.into_iter().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type().is_dir() || !name.contains("_drive_") {
            continue;
        }
        for camera in ["image_02", "image_03"] {
            let key = (name.clone(), camera.to_owned());
            let truth = entry.path().join("proj_depth/groundtruth").join(camera);
            if truth.is_dir() {
                labels.insert(key.clone(), truth);
            }
            let raw = entry.path().join(camera).join("data");
            if raw.is_dir() {
                photos.insert(key, raw);
            }
        }
    }
    if labels.is_empty() {
        return Ok(None);
    }
    let mut set = DataSet {
        depth_scale: Some(256.0),
        ..DataSet::default()
    };
    for (drive, truth) in labels {
        let in_folder = |part: &str| truth.components().any(|c| c.as_os_str() == part);
        let part = match in_folder("val") {
            true => DataSplit::Val,
            false => DataSplit::Train,
        };
        let Some(raw) = photos.get(&drive) else {
            set.unmatched_labels.extend(folders::list_files(&truth)?);
            continue;
        };
        let found = folders::pair_folders(raw, &truth, LabelKind::Depth, &mut set.notes)?;
        for (_, pair) in found.pairs {
            set.add(part, pair);
        }
        // Photos without a label are not listed: the first and last frames of a drive have no depth by design.
        set.unmatched_labels.extend(found.unused);
    }
    if set.train.is_empty() && set.val.is_empty() {
        return Err(Error::file(
            folder,
            "has KITTI's depth, but not its photos; unpack the raw data of the same drives into it \
             (2011_09_26/2011_09_26_drive_0001_sync/image_02/data/)",
        ));
    }
    Ok(Some(set))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::learn::data::open::tests::touch;

    #[test]
    fn ade_and_voc_are_found_by_their_folders() {
        let ade = tempfile::tempdir().unwrap();
        touch(
            ade.path(),
            &[
                "images/training/a.jpg",
                "images/validation/b.jpg",
                "images/validation/c.jpg",
                "annotations/training/a.png",
                "annotations/validation/b.png",
            ],
        );
        let set = DataSet::open(ade.path(), LabelKind::Masks).unwrap();
        assert_eq!(
            (set.train.len(), set.val.len(), set.unlabelled.len()),
            (1, 1, 1)
        );
        assert!(set.val[0].label.ends_with("annotations/validation/b.png"));

        let voc = tempfile::tempdir().unwrap();
        touch(
            voc.path(),
            &[
                "JPEGImages/x.jpg",
                "JPEGImages/y.jpg",
                "SegmentationClass/x.png",
            ],
        );
        fs::create_dir_all(voc.path().join("ImageSets/Segmentation")).unwrap();
        fs::write(
            voc.path().join("ImageSets/Segmentation/val.txt"),
            "x\ny\n\n",
        )
        .unwrap();
        let set = DataSet::open(voc.path(), LabelKind::Masks).unwrap();
        assert_eq!(
            (set.train.len(), set.val.len(), set.unlabelled.len()),
            (0, 1, 1)
        );
        assert!(set.val[0].photo.ends_with("JPEGImages/x.jpg"));
    }

    #[test]
    fn kittis_selection_as_unpacked() {
        let root = tempfile::tempdir().unwrap();
        let folder = "depth_selection/val_selection_cropped";
        let drive = "2011_09_26_drive_0002_sync";
        touch(
            root.path(),
            &[
                &format!("{folder}/image/{drive}_image_0000000005_image_02.png"),
                &format!("{folder}/image/{drive}_image_0000000008_image_02.png"),
                &format!(
                    "{folder}/groundtruth_depth/{drive}_groundtruth_depth_0000000005_image_02.png"
                ),
            ],
        );
        for name in ["", "depth_selection", folder] {
            let set = DataSet::open(&root.path().join(name), LabelKind::Depth).unwrap();
            assert_eq!((set.val.len(), set.unlabelled.len()), (1, 1), "{name}");
            assert_eq!(set.depth_scale, Some(256.0));
            let photo = set.val[0].photo.to_str().unwrap();
            assert!(
                photo.ends_with("_sync_image_0000000005_image_02.png"),
                "{photo}"
            );
        }
    }

    #[test]
    fn kitti_as_unpacked() {
        let root = tempfile::tempdir().unwrap();
        let (drive, other) = ("2011_09_26_drive_0001_sync", "2011_09_28_drive_0002_sync");
        let mut names = Vec::new();
        for number in 4..7 {
            names.push(format!(
                "raw/2011_09_26/{drive}/image_02/data/000000000{number}.png"
            ));
            names.push(format!(
                "raw/2011_09_28/{other}/image_03/data/000000000{number}.jpg"
            ));
        }
        let truth = "proj_depth/groundtruth";
        names.push(format!(
            "data_depth_annotated/train/{drive}/{truth}/image_02/0000000005.png"
        ));
        names.push(format!(
            "data_depth_annotated/val/{other}/{truth}/image_03/0000000005.png"
        ));
        names.push(format!(
            "data_depth_annotated/val/{other}/{truth}/image_02/0000000005.png"
        ));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        touch(root.path(), &names);
        let set = DataSet::open(root.path(), LabelKind::Depth).unwrap();
        assert_eq!(
            (set.train.len(), set.val.len(), set.unmatched_labels.len()),
            (1, 1, 1)
        );
        assert!(
            set.train[0]
                .photo
                .ends_with(format!("{drive}/image_02/data/0000000005.png"))
        );
        assert!(
            set.val[0]
                .photo
                .ends_with(format!("{other}/image_03/data/0000000005.jpg"))
        );
        assert_eq!(set.depth_scale, Some(256.0));
        fs::remove_dir_all(root.path().join("raw")).unwrap();
        let error = DataSet::open(root.path(), LabelKind::Depth)
            .unwrap_err()
            .to_string();
        assert!(error.contains("not its photos"), "{error}");
    }
}
