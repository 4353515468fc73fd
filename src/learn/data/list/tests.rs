use std::fs;
use std::path::Path;

use super::columns::Column;
use super::{read_csv, read_jsonl, read_words};
use crate::error::Result;
use crate::learn::data::data_set::{DataSet, LabelKind};
use crate::learn::data::open::tests::touch;
use crate::learn::data::text::tests::encodings;

fn folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    touch(
        root.path(),
        &[
            "a.jpg",
            "a.png",
            "b.jpg",
            "b.png",
            "in/c 1,2.jpg",
            "in/c 1,2.png",
            "Zu\u{308}.JPG",
            "z.png",
        ],
    );
    root
}

fn read(root: &Path, name: &str, bytes: &[u8]) -> Result<DataSet> {
    let list = root.join(name);
    fs::write(&list, bytes).unwrap();
    match name.rsplit_once('.').unwrap().1 {
        "csv" => read_csv(&list, LabelKind::Masks),
        "jsonl" => read_jsonl(&list, LabelKind::Masks),
        _ => read_words(&list),
    }
}

fn counts(set: &DataSet) -> (usize, usize, usize) {
    (set.train.len(), set.val.len(), set.test.len())
}

#[test]
fn a_photo_has_one_label() {
    let root = folder();
    let error = read(
        root.path(),
        "list.csv",
        b"a.jpg,a.png\nb.jpg,b.png\na.jpg,z.png\n",
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("two labels") && error.contains("z.png"),
        "{error}"
    );
}

#[test]
fn a_list_of_words_may_name_its_columns() {
    let root = folder();
    for header in ["image mask", "rgb,depth", "photo\tlabel"] {
        let list = format!("{header}\na.jpg a.png\nb.jpg b.png\n");
        let set = read(root.path(), "list.txt", list.as_bytes()).unwrap();
        assert_eq!(counts(&set), (2, 0, 0), "{header}");
    }
}

#[test]
fn both_kinds_of_list_read_alike() {
    let root = folder();
    let csv = "photo,label,split\na.jpg,a.png,train\nb.jpg,b.png,val\n";
    let jsonl = "{\"image\":\"a.jpg\",\"mask\":\"a.png\"}\n\n{\"photo\":\"b.jpg\",\"label\":\"b.png\",\"split\":\"val\"}\n";
    let set = read(root.path(), "list.csv", csv.as_bytes()).unwrap();
    assert_eq!(
        set,
        read(root.path(), "list.jsonl", jsonl.as_bytes()).unwrap()
    );
    assert_eq!(counts(&set), (1, 1, 0));
    let error = read(root.path(), "list.csv", b"a.jpg,missing.png\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 1") && error.contains("missing.png is no file"),
        "{error}"
    );
    let error = read(root.path(), "list.csv", b"a.jpg,a.png,518.8\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"518.8\""), "{error}");
}

#[test]
fn spreadsheets_write_lists_in_many_ways() {
    let root = folder();
    let plain = read(root.path(), "list.csv", b"a.jpg,a.png\nb.jpg,b.png,val").unwrap();
    assert_eq!(counts(&plain), (1, 1, 0));
    for text in [
        "a.jpg;a.png\nb.jpg;b.png;VAL\n",
        "sep=;\r\na.jpg;a.png\r\nb.jpg;b.png;val\r\n",
        "a.jpg\ta.png\t\rb.jpg\tb.png\tvalidation\r",
        "Set;Depth Path;note;Image\n;a.png;1;a.jpg\nval;b.png;2;b.jpg",
        "\"a.jpg\", \"a.png\", train\n\n\".\\b.jpg\", \".\\b.png\", Val\n",
    ] {
        for bytes in encodings(text) {
            let mut set = read(root.path(), "list.csv", &bytes).unwrap();
            set.train.iter_mut().chain(&mut set.val).for_each(|pair| {
                for path in [&mut pair.photo, &mut pair.label] {
                    *path = path.components().collect();
                }
            });
            assert_eq!(
                (&set.train, &set.val),
                (&plain.train, &plain.val),
                "{text:?}"
            );
        }
    }
    let text = format!("image,mask\n{0}/in/c 1,2.jpg;x\n", root.path().display());
    assert!(read(root.path(), "list.csv", text.as_bytes()).is_err());
    let text = format!(
        "{0}/in/c 1,2.jpg;in\\c 1,2.png\nz\u{fc}.jpg;z.png;test\n",
        root.path().display()
    );
    let set = read(root.path(), "list.csv", text.as_bytes()).unwrap();
    assert_eq!(counts(&set), (1, 0, 1));
    assert!(
        set.notes[0].contains("Zu\u{308}.JPG for"),
        "{:?}",
        set.notes
    );
}

#[test]
fn of_several_labels_those_of_the_task_are_taken() {
    let names = ["file", "depth", "mask", "image"];
    let of = |kind| Column::from_header(names.into_iter(), kind);
    let (photo, label) = (Some(Column::Photo), Some(Column::Label));
    assert_eq!(of(LabelKind::Masks), [None, None, label, photo]);
    assert_eq!(of(LabelKind::Depth), [None, label, None, photo]);
    assert_eq!(
        Column::from_header(["file", "gt"].into_iter(), LabelKind::Depth),
        [photo, label]
    );
}

#[test]
fn lists_of_words_name_files_from_their_folder() {
    let root = folder();
    touch(
        root.path(),
        &[
            "input/d/1.png",
            "gt_depth/e/1.png",
            "image/f 2.png",
            "depth/g 2.png",
            "q r.jpg",
            "s.jpg",
        ],
    );
    let text = "d/1.png e/1.png 721.5\n/a.jpg /a.png 518.8\nd/2.png None 721.5\nf 2.png g 2.png 518.8\n\
                in/c 1,2.jpg in/c 1,2.png\n1305.2 b.jpg 1305.3 b.png\n\"q r.jpg\" a.png\ns.jpg\tb.png\n";
    for bytes in encodings(text) {
        let set = read(root.path(), "test.txt", &bytes).unwrap();
        assert_eq!((set.train.len(), set.unlabelled.len()), (7, 1));
        for pair in &set.train {
            assert!(pair.photo.is_file() && pair.label.is_file(), "{pair:?}");
        }
    }
    let error = read(root.path(), "test.txt", b"alone\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 1"), "{error}");
}
