//! Id maps, masks, run-length strings and pictures show the same labels, and existing files are skipped.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{NAMES, decode_rle, folder_with_head, segment};
use crate::program::{files_below, sample};
use crate::results::{as_text, first_json, open_picture};

#[test]
fn all_exact_outputs_tell_the_same() {
    let folder = folder_with_head();
    let run = segment(
        folder.path(),
        &[
            as_text(&sample("chelsea.png")),
            "--save",
            "coco,ids,npy,masks",
            "--confidence",
            "--json",
        ],
    )
    .expect_code(0);
    let out = folder.path().join("dino-out");
    let bytes = std::fs::read(out.join("chelsea.segment.ids.npy")).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!(array.shape(), [300, 451]);
    let ids: Vec<u8> = array.into_vec().unwrap();

    let report = first_json(&run);
    assert_eq!(report["head"], "made-up");
    assert_eq!(report["photo_size"], serde_json::json!([451, 300]));
    assert_eq!(report["unlabelled_pixels"], 0);
    let mut sizes: BTreeMap<u8, u64> = BTreeMap::new();
    ids.iter()
        .for_each(|&id| *sizes.entry(id).or_default() += 1);
    let classes = report["classes"].as_array().unwrap();
    assert_eq!(classes.len(), sizes.len());
    assert!(classes.len() > 1, "the made-up head sees several classes");
    let mut percent = 0.0;
    for class in classes {
        let id = class["id"].as_u64().unwrap() as u8;
        assert_eq!(class["name"], NAMES[usize::from(id)]);
        assert_eq!(class["pixels"], sizes[&id]);
        assert!((0.25..=1.0).contains(&class["confidence"].as_f64().unwrap()));
        percent += class["percent"].as_f64().unwrap();
    }
    assert!((percent - 100.0).abs() < 1e-3, "{percent}");
    let areas: Vec<u64> = classes
        .iter()
        .map(|class| class["pixels"].as_u64().unwrap())
        .collect();
    assert!(areas.is_sorted_by(|a, b| a >= b));

    // The PNG of ids, read as colours.
    let shown = open_picture(out.join("chelsea.segment.ids.png"));
    let color = |id: u8| [60 * id, 255 - 60 * id, 128];
    assert!(shown.pixels().zip(&ids).all(|(p, &id)| p.0 == color(id)));
    // Masks: those that are there, white where the id is.
    let masks = files_below(&out.join("chelsea.segment.masks"));
    assert_eq!(masks.len(), sizes.len());
    for &id in sizes.keys() {
        let name = NAMES[usize::from(id)].replace(' ', "-");
        let mask = open_picture(out.join(format!("chelsea.segment.masks/{name}.png")));
        let same = mask
            .pixels()
            .zip(&ids)
            .all(|(p, &other)| p.0 == [if other == id { 255 } else { 0 }; 3]);
        assert!(same, "{name}");
    }
    // COCO.
    let coco = std::fs::read(out.join("chelsea.segment.coco.json")).unwrap();
    let coco: Value = serde_json::from_slice(&coco).unwrap();
    assert_eq!(coco["images"][0]["file_name"], "chelsea.png");
    assert_eq!(coco["categories"][1]["name"], "traffic light");
    assert_eq!(coco["categories"][1]["id"], 2);
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), sizes.len());
    for annotation in annotations {
        let id = annotation["category_id"].as_u64().unwrap() as u8 - 1;
        assert_eq!(annotation["area"], sizes[&id]);
        assert_eq!(annotation["image_id"], coco["images"][0]["id"]);
        let counts = annotation["segmentation"]["counts"].as_str().unwrap();
        let mask = decode_rle(counts, 300, 451);
        assert!(mask.iter().zip(&ids).all(|(&m, &other)| m == (other == id)));
        let inside = |axis: fn(usize) -> usize| {
            let places = (0..mask.len()).filter(|&i| mask[i]).map(axis);
            let (low, high) = places.fold((usize::MAX, 0), |(l, h), p| (l.min(p), h.max(p)));
            (low, high + 1 - low)
        };
        let ((x, width), (y, height)) = (inside(|i| i % 451), inside(|i| i / 451));
        assert_eq!(annotation["bbox"], serde_json::json!([x, y, width, height]));
    }
    // The mean of the confidence map is the mean confidence.
    let sure = open_picture(out.join("chelsea.segment.confidence.png"));
    let mean = sure.pixels().map(|p| f64::from(p.0[0])).sum::<f64>() / 255.0 / ids.len() as f64;
    let reported = report["confidence"].as_f64().unwrap();
    assert!((mean - reported).abs() < 2e-3, "{mean} for {reported}");
}

#[test]
fn the_picture_is_as_wished() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let run = |out: &str, more: &[&str]| {
        segment(
            folder.path(),
            &[&[as_text(&photo), "-o", out], more].concat(),
        )
        .expect_code(0);
        open_picture(folder.path().join(out))
    };
    let original = open_picture(&photo);
    let bare = ["--no-legend", "--no-names"];
    let clear = run("clear.png", &[&bare[..], &["--alpha", "0"]].concat());
    assert_eq!(clear, original, "alpha 0 is the photo");
    let every = ["--alpha", "1", "--least", "0"];
    let solid = run("solid.png", &[&bare[..], &every].concat());
    let mask = run("mask.png", &["--mask-only", "--no-legend"]);
    assert_eq!(solid, mask, "alpha 1 is the mask");
    let mut colors: Vec<[u8; 3]> = mask.pixels().map(|p| p.0).collect();
    colors.sort_unstable();
    colors.dedup();
    assert!(
        colors.iter().all(|c| c[2] == 128 && c[0] % 60 == 0),
        "{colors:?}"
    );
    let full = run("full.png", &[]);
    assert_eq!(full.height(), 300);
    assert!(full.width() > 451 + 60, "the legend is at the side");
    let outlined = run("outlined.png", &[&bare[..], &["--outline"]].concat());
    assert_ne!(outlined, run("plain.png", &bare));
}

#[test]
fn finished_photos_are_skipped_with_all_their_files() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let args = [as_text(&photo), "--save", "masks,ids"];
    let first = segment(folder.path(), &args).expect_code(0);
    assert_eq!(
        first.lines(),
        [
            "dino-out/chelsea.segment.png",
            "dino-out/chelsea.segment.ids.png",
            "dino-out/chelsea.segment.masks"
        ]
    );
    let second = segment(folder.path(), &args).expect_code(0);
    assert_eq!(second.lines(), [""; 0]);
    second.expect_stderr("skipped");
    std::fs::remove_dir_all(folder.path().join("dino-out/chelsea.segment.masks")).unwrap();
    let third = segment(folder.path(), &args).expect_code(0);
    assert_eq!(third.lines(), ["dino-out/chelsea.segment.masks"]);
}
