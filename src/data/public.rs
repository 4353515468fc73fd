//! The layouts that public data sets are released in: ADE20K, PASCAL VOC 2012, and the lists of files that come with
//! NYU Depth V2 and KITTI.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::LabelKind;
use crate::data::set::{DataSet, Pair, pairs};
use crate::error::{Error, Result};

/// The data set in `folder`, if it is laid out as a release.
pub(super) fn open(folder: &Path, kind: LabelKind) -> Result<Option<DataSet>> {
    match kind {
        LabelKind::Masks if folder.join("ImageSets/Segmentation").is_dir() => voc(folder).map(Some),
        LabelKind::Masks if folder.join("annotations/validation").is_dir() => ade(folder).map(Some),
        _ => Ok(None),
    }
}

/// `ImageSets/Segmentation/{train,val}.txt`, `JPEGImages/`, `SegmentationClass/`.
fn voc(folder: &Path) -> Result<DataSet> {
    let read = |part: &str| -> Result<Vec<Pair>> {
        let list = folder.join(format!("ImageSets/Segmentation/{part}.txt"));
        let text = match fs::read_to_string(&list) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&list, &error)),
        };
        let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
        Ok(names
            .map(|name| Pair {
                photo: folder.join(format!("JPEGImages/{name}.jpg")),
                label: folder.join(format!("SegmentationClass/{name}.png")),
            })
            .collect())
    };
    Ok(DataSet {
        train: read("train")?,
        val: read("val")?,
        ..DataSet::default()
    })
}

/// `images/{training,validation}` and `annotations/{training,validation}`.
fn ade(folder: &Path) -> Result<DataSet> {
    let part = |name: &str| {
        let (images, labels) = (
            folder.join("images").join(name),
            folder.join("annotations").join(name),
        );
        match images.is_dir() && labels.is_dir() {
            true => pairs(&images, &labels),
            false => Ok((Vec::new(), 0)),
        }
    };
    let (train, without) = part("training")?;
    let (val, more) = part("validation")?;
    Ok(DataSet {
        train,
        val,
        unlabelled: without + more,
        ..DataSet::default()
    })
}

/// A list with a photo, its label and perhaps a focal length in each line, as the benchmarks of NYU Depth V2 and KITTI
/// have them: paths are from the list's folder, or from `input/` and `gt_depth/` in it. Photos whose label is `None` are
/// left out.
pub(super) fn list(path: &Path) -> Result<DataSet> {
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let find = |name: &str, others: &[&str]| -> PathBuf {
        let name = name.trim_start_matches('/');
        let places = std::iter::once(folder.join(name))
            .chain(others.iter().map(|other| folder.join(other).join(name)));
        let first = folder.join(name);
        places
            .into_iter()
            .find(|place| place.is_file())
            .unwrap_or(first)
    };
    let mut set = DataSet::default();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (None, _) => {}
            (Some(_), Some("None")) => set.unlabelled += 1,
            (Some(photo), Some(label)) => set.train.push(Pair {
                photo: find(photo, &["input", "image"]),
                label: find(label, &["gt_depth", "depth"]),
            }),
            (Some(_), None) => {
                return Err(Error::file(
                    path,
                    format!("line {}: expected a photo and its label", number + 1),
                ));
            }
        }
    }
    Ok(set)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::set::tests::touch;

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
        assert_eq!((set.train.len(), set.val.len(), set.unlabelled), (1, 1, 1));
        assert!(set.val[0].label.ends_with("annotations/validation/b.png"));

        let voc = tempfile::tempdir().unwrap();
        touch(voc.path(), &["JPEGImages/x.jpg", "SegmentationClass/x.png"]);
        fs::create_dir_all(voc.path().join("ImageSets/Segmentation")).unwrap();
        fs::write(voc.path().join("ImageSets/Segmentation/val.txt"), "x\n\n").unwrap();
        let set = DataSet::open(voc.path(), LabelKind::Masks).unwrap();
        assert_eq!((set.train.len(), set.val.len()), (0, 1));
        assert!(set.val[0].photo.ends_with("JPEGImages/x.jpg"));
    }

    #[test]
    fn lists_name_files_from_their_folder() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &["input/d/1.png", "gt_depth/e/1.png", "rgb.jpg", "d.png"],
        );
        let list = root.path().join("test.txt");
        let text = "d/1.png e/1.png 721.5\n/rgb.jpg /d.png 518.8\nd/2.png None 721.5\n";
        fs::write(&list, text).unwrap();
        let set = DataSet::open(&list, LabelKind::Depth).unwrap();
        assert_eq!((set.train.len(), set.unlabelled), (2, 1));
        assert!(
            set.train
                .iter()
                .all(|pair| pair.photo.is_file() && pair.label.is_file())
        );
        fs::write(&list, "alone\n").unwrap();
        let error = DataSet::open(&list, LabelKind::Depth)
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
