//! Expected strings are what pycocotools.mask.encode gives for the same masks, in Fortran order.

use super::*;

fn map(width: usize, ids: &[u16]) -> LabelMap {
    LabelMap {
        width,
        height: ids.len() / width,
        ids: ids.to_vec(),
        confidence: vec![0.5; ids.len()],
    }
}

fn classes(count: usize) -> Vec<Class> {
    let class = |i: usize| Class {
        name: format!("c{i}"),
        color: [i as u8; 3],
    };
    (0..count).map(class).collect()
}

fn image(id: u64, map: &LabelMap) -> CocoImage {
    CocoImage {
        id,
        name: Path::new(&format!("{id}.png")).into(),
        width: map.width,
        height: map.height,
    }
}

/// The document of a map, parsed again.
fn document(map: &LabelMap, subjects: AnnotationSubjects<'_>, shape: MaskEncoding) -> Value {
    let image = image(5, map);
    let annotations = annotate_photo(&image, map, subjects, shape).unwrap();
    let classes = classes(3);
    let preamble = Preamble {
        classes: &classes,
        description: "a test",
    };
    let mut bytes = Vec::new();
    write_document(&mut bytes, preamble, &image, &annotations).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

const IDS: [u16; 12] = [1, 1, 0, 0, 1, 0, 0, 2, NO_CLASS, 0, 2, 2];

#[test]
fn masks_are_what_pycocotools_encodes() {
    let map = map(4, &IDS);
    let document = document(
        &map,
        AnnotationSubjects::Classes(&map.areas()),
        MaskEncoding::Rle,
    );
    let of = |category: u64| {
        let annotations = document["annotations"].as_array().unwrap();
        let found = annotations.iter().find(|a| a["category_id"] == category);
        let found = found.unwrap();
        let counts = found["segmentation"]["counts"].as_str().unwrap().to_owned();
        (counts, found["bbox"].clone(), found["area"].clone())
    };
    assert_eq!(of(1), ("441M1".into(), json!([1, 0, 3, 3]), json!(5)));
    assert_eq!(of(2), ("021O7".into(), json!([0, 0, 2, 2]), json!(3)));
    assert_eq!(of(3), ("8111".into(), json!([2, 1, 2, 2]), json!(3)));
    assert_eq!(document["categories"][0]["id"], 1);
    assert_eq!(document["categories"][2]["name"], "c2");
    assert_eq!(
        document["info"]["description"],
        format!("{PROGRAM}: a test")
    );
}

#[test]
fn polygons_stand_in_place_of_masks() {
    let map = map(4, &IDS);
    let document = document(
        &map,
        AnnotationSubjects::Classes(&map.areas()),
        MaskEncoding::Polygons,
    );
    let annotations = document["annotations"].as_array().unwrap();
    let found = |category: u64| {
        let found = annotations.iter().find(|a| a["category_id"] == category);
        found.unwrap()["segmentation"].clone()
    };
    assert_eq!(found(2), json!([[0, 0, 2, 0, 2, 1, 1, 1, 1, 2, 0, 2]]));
    assert_eq!(found(3), json!([[3, 1, 4, 1, 4, 3, 2, 3, 2, 2, 3, 2]]));
    assert!(annotations.iter().all(|a| a["iscrowd"] == 0));
}

#[test]
fn regions_have_annotations_of_their_own() {
    let map = map(5, &[0, 0, 1, 0, 0, 0, 1, 1, 1, 0]);
    let regions = Regions::of(&map, 1);
    for shape in [MaskEncoding::Rle, MaskEncoding::Polygons] {
        let document = document(&map, AnnotationSubjects::Regions(&regions), shape);
        let annotations = document["annotations"].as_array().unwrap();
        let found: Vec<_> = annotations
            .iter()
            .map(|a| {
                (
                    a["category_id"].clone(),
                    a["area"].clone(),
                    a["bbox"].clone(),
                )
            })
            .collect();
        let expected = [
            (json!(2), json!(4), json!([1, 0, 3, 2])),
            (json!(1), json!(3), json!([0, 0, 2, 2])),
            (json!(1), json!(3), json!([3, 0, 2, 2])),
        ];
        assert_eq!(found, expected);
        let ids: Vec<u64> = annotations
            .iter()
            .map(|a| a["id"].as_u64().unwrap())
            .collect();
        assert_eq!(ids, [1, 2, 3].map(|number| (5 << 17) | number));
    }
}

#[test]
fn a_run_has_all_photos_in_one_document() {
    let classes = classes(3);
    let preamble = Preamble {
        classes: &classes,
        description: "a test",
    };
    let mut run = RunDocument::default();
    assert!(run.is_empty());
    let maps = [
        map(4, &IDS),
        map(1, &[NO_CLASS]),
        map(2, &[1, 1]),
        map(1, &[NO_CLASS, NO_CLASS]),
    ];
    for (id, map) in (1..).zip(&maps) {
        let image = image(id, map);
        let areas = map.areas();
        let subjects = AnnotationSubjects::Classes(&areas);
        let annotations = annotate_photo(&image, map, subjects, MaskEncoding::Rle).unwrap();
        run.push(&image, &annotations).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let mut file = std::fs::File::create(&path).unwrap();
    run.write(&mut file, preamble).unwrap();
    let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let list = |key: &str, part: &str| -> Vec<u64> {
        let entries = document[key].as_array().unwrap().iter();
        entries.map(|e| e[part].as_u64().unwrap()).collect()
    };
    assert_eq!(list("images", "id"), [1, 2, 3, 4]);
    assert_eq!(list("annotations", "image_id"), [1, 1, 1, 3]);
    let names =
        ["1.png", "2.png", "3.png", "4.png"].map(|name| CocoFileName::from(Path::new(name)));
    assert_eq!(file_names(&path).unwrap(), names);
    std::fs::write(&path, "{\"images\": 3}").unwrap();
    let error = file_names(&path).unwrap_err().to_string();
    assert!(error.contains("is no COCO document"), "{error}");
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_told_apart_by_their_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let names = [b"a/x\xe9.jpg".as_slice(), b"a/x\xe8.jpg", b"a/x.jpg"];
    let names = names.map(|name| CocoFileName::from(Path::new(OsStr::from_bytes(name))));
    assert_eq!(names[0].file_name, names[1].file_name);
    let mut run = RunDocument::default();
    for (id, name) in (1..).zip(&names) {
        let image = CocoImage {
            id,
            name: name.clone(),
            width: 1,
            height: 1,
        };
        run.push(&image, &[]).unwrap();
    }
    let preamble = Preamble {
        classes: &[],
        description: "a test",
    };
    run.write(&mut std::fs::File::create(&path).unwrap(), preamble)
        .unwrap();
    assert_eq!(file_names(&path).unwrap(), names);
    let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let bytes = [0, 1, 2].map(|i| document["images"][i]["file_name_bytes"].clone());
    assert_eq!(
        bytes,
        [json!("a/x%E9.jpg"), json!("a/x%E8.jpg"), Value::Null]
    );
}

#[test]
fn more_annotations_than_ids_are_refused() {
    let side = 600;
    let ids: Vec<u16> = (0..side * side)
        .map(|i| (i / side % 2 * 2 + i % 2) as u16)
        .collect();
    let map = map(side, &ids);
    let regions = Regions::of(&map, 1);
    assert_eq!(regions.list.len(), side * side);
    let subjects = AnnotationSubjects::Regions(&regions);
    let error = annotate_photo(&image(1, &map), &map, subjects, MaskEncoding::Rle).unwrap_err();
    assert!(error.contains("--min-region"), "{error}");
}
