//! `dino segment` with a made-up head, and with clusters, on real photos with the real backbone.

use std::collections::BTreeMap;
use std::path::Path;

use dino::model::head::linear::Dense;
use dino::model::head::{Class, Head, HeadNetwork, HeadTask, LinearHead, file};
use dino::model::weights::Store;
use image::RgbImage;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::made_up_heads::made_up_meta;
use crate::program::{Run, dino_with_model, files_below, sample, store_with_focus};
use crate::results::{as_text, first_json, open_picture};

pub const NAMES: [&str; 4] = ["person", "traffic light", "car", "sky"];

/// A folder with `head.safetensors`: four classes with arbitrary but fixed weights on the last block.
pub fn folder_with_head() -> TempDir {
    folder_with_classes(NAMES)
}

/// The same with other names.
pub fn folder_with_classes(names: [&str; 4]) -> TempDir {
    let folder = tempdir().unwrap();
    let record = Store::at(store_with_focus())
        .get("vits14-focus")
        .unwrap()
        .unwrap();
    let classes: Vec<Class> = (0..)
        .zip(names)
        .map(|(i, name): (u8, _)| Class {
            name: name.into(),
            color: [60 * i, 255 - 60 * i, 128],
        })
        .collect();
    let task = HeadTask::Segment { classes };
    let meta = made_up_meta(task, &record.name, &record.fingerprint);
    let inputs = 384;
    // A linear congruential generator is random enough.
    let mut state = 1u32;
    let weight = (0..inputs * NAMES.len()).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65_536.0 - 0.5
    });
    let output = Dense {
        inputs,
        weight: weight.map(|w| 0.1 * w).collect(),
        bias: vec![0.0; NAMES.len()],
    };
    let head = Head {
        meta,
        network: HeadNetwork::Linear(LinearHead::new(None, output)),
    };
    let bytes = file::to_bytes(&head).unwrap();
    std::fs::write(folder.path().join("head.safetensors"), bytes).unwrap();
    folder
}

/// Runs `dino segment` with the made-up head.
pub fn segment(folder: &Path, args: &[&str]) -> Run {
    let head = ["segment", "--head", "head.safetensors"];
    dino_with_model(folder, &[&head, args].concat())
}

/// Runs `dino segment` without a head, on small inputs.
pub fn clusters(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, &[&["segment", "--size", "112"], args].concat())
}

/// Decodes COCO's string to a mask, row by row: written from its description, independently of the encoder.
pub fn decode_rle(counts: &str, height: usize, width: usize) -> Vec<bool> {
    let (mut numbers, mut bytes) = (Vec::<i64>::new(), counts.bytes());
    while let Some(mut byte) = bytes.next() {
        let (mut number, mut shift) = (0i64, 0);
        loop {
            let group = i64::from(byte) - 48;
            number |= (group & 31) << shift;
            shift += 5;
            if group & 32 == 0 {
                if group & 16 != 0 {
                    number |= -1 << shift;
                }
                break;
            }
            byte = bytes.next().unwrap();
        }
        if numbers.len() > 2 {
            number += numbers[numbers.len() - 2];
        }
        numbers.push(number);
    }
    assert_eq!(numbers.iter().sum::<i64>() as usize, height * width);
    let runs = numbers.iter().enumerate();
    let down: Vec<bool> = runs
        .flat_map(|(i, &n)| std::iter::repeat_n(i % 2 == 1, n as usize))
        .collect();
    (0..height * width)
        .map(|i| down[i % width * height + i / width])
        .collect()
}

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
fn what_is_unsure_shows_the_photo_and_has_no_class_in_files_if_asked() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let original = open_picture(&photo);
    let run = |command: &[&str], out: &str| {
        let args = [command, &[as_text(&photo), "-o", out, "--json"]].concat();
        let found = first_json(&dino_with_model(folder.path(), &args).expect_code(0));
        let at = folder.path().join(out);
        let bytes = std::fs::read(at.join("chelsea.segment.ids.npy")).unwrap();
        let ids: Vec<u8> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap();
        (found, ids, open_picture(at.join("chelsea.segment.png")))
    };
    let bare = [
        "segment",
        "--head",
        "head.safetensors",
        "--save",
        "npy,coco",
    ];
    let bare = [&bare[..], &["--alpha", "1", "--no-legend", "--no-names"]].concat();
    let (usual, all, shown) = run(&bare, "usual");
    let count = |ids: &[u8]| ids.iter().filter(|id| **id == 255).count() as u64;
    assert_eq!((count(&all), &usual["unlabelled_pixels"]), (0, &0.into()));
    assert_eq!(
        (&usual["least"], &usual["least_in_files"]),
        (&0.5.into(), &false.into())
    );
    let seen = |picture: &RgbImage| {
        let pairs = picture.pixels().zip(original.pixels());
        pairs.map(|(a, b)| a == b).collect::<Vec<bool>>()
    };
    let same = seen(&shown).iter().filter(|same| **same).count() as u64;
    assert_eq!(
        usual["unsure_pixels"], same,
        "of the photo, and of nothing else"
    );
    // Asked for, it is so in files. Some pixels are below the mean, and some above.
    let least = usual["confidence"].to_string();
    let (asked, sure, shown) = run(&[&bare[..], &["--least", &least]].concat(), "asked");
    let unsure = count(&sure);
    assert!(unsure > 0 && unsure < sure.len() as u64);
    assert_eq!(asked["unlabelled_pixels"], unsure);
    assert_eq!(
        (&asked["least"], &asked["least_in_files"]),
        (&usual["confidence"], &true.into())
    );
    let pixels = asked["classes"].as_array().unwrap().iter();
    let labelled: u64 = pixels.map(|class| class["pixels"].as_u64().unwrap()).sum();
    assert_eq!(labelled + unsure, sure.len() as u64);
    let is_photo = seen(&shown);
    for ((&id, &before), is_photo) in sure.iter().zip(&all).zip(is_photo) {
        assert!(id == 255 && is_photo || id == before && !is_photo);
    }
    let coco = std::fs::read(folder.path().join("asked/chelsea.segment.coco.json")).unwrap();
    let coco: Value = serde_json::from_slice(&coco).unwrap();
    let areas = coco["annotations"].as_array().unwrap().iter();
    let area: u64 = areas.map(|one| one["area"].as_u64().unwrap()).sum();
    assert_eq!(area, labelled);
    // The same from `dino run`.
    let least = format!("least={least}");
    let sets = [&least, "alpha=1", "no-legend=true", "no-names=true"];
    let sets = sets.map(|set| format!("segment.{set}"));
    let sets = sets.iter().flat_map(|set| ["--set", set.as_str()]);
    let several = [
        "run",
        "--segment",
        "head.safetensors",
        "--set",
        "segment.save=npy,coco",
    ];
    let several: Vec<&str> = several.into_iter().chain(sets).collect();
    let (_, ids, picture) = run(&several, "several");
    assert!(ids == sure && picture == shown);
    segment(folder.path(), &[as_text(&photo), "--least", "2"]).expect_code(2);
}

#[test]
fn borders_are_fitted_to_the_photo_on_request() {
    let folder = tempdir().unwrap();
    let photo = sample("coffee.png");
    let original = open_picture(&photo);
    // How much the photo changes across the borders of the map.
    let contrast = |out: &str, more: &[&str]| {
        let args = [as_text(&photo), "-o", out, "--mask-only", "--no-legend"];
        let args = [&args[..], &["--clusters", "3"], more].concat();
        clusters(folder.path(), &args).expect_code(0);
        let map = open_picture(folder.path().join(out));
        let (mut sum, mut count) = (0u64, 0u64);
        for (x, y, color) in map.enumerate_pixels().filter(|(x, ..)| *x > 0) {
            if map.get_pixel(x - 1, y) != color {
                let (a, b) = (original.get_pixel(x - 1, y), original.get_pixel(x, y));
                sum += (0..3).map(|c| u64::from(a[c].abs_diff(b[c]))).sum::<u64>();
                count += 1;
            }
        }
        sum as f64 / count as f64
    };
    let plain = contrast("plain.png", &["--no-refine"]);
    let fitted = contrast("fitted.png", &["--no-refine", "--refine"]);
    assert!(fitted > 2.0 * plain, "{fitted} against {plain}");
}

#[test]
fn classes_are_kept_by_name() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let args = |names: &'static str, out: &'static str| {
        [
            as_text(&photo).to_owned(),
            "--classes".into(),
            names.into(),
            "-o".into(),
            out.into(),
            "--save".into(),
            "npy".into(),
        ]
    };
    let ids = |names, out| -> Vec<u8> {
        let args = args(names, out);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        segment(folder.path(), &args).expect_code(0);
        let bytes = std::fs::read(folder.path().join(out).join("chelsea.segment.ids.npy"));
        npyz::NpyFile::new(&bytes.unwrap()[..])
            .unwrap()
            .into_vec()
            .unwrap()
    };
    let all = ids("person,traffic light,car,sky", "all");
    let some = ids("Car,sky", "some");
    let expected: Vec<u8> = all
        .iter()
        .map(|&id| if id >= 2 { id } else { 255 })
        .collect();
    assert_eq!(some, expected, "what is not kept is not given to others");
    segment(
        folder.path(),
        &[as_text(&photo), "--classes", "trafic light"],
    )
    .expect_code(2)
    .expect_stderr("did you mean `traffic light`?");
    segment(folder.path(), &[as_text(&photo), "--classes", "zebra"])
        .expect_code(2)
        .expect_stderr("it has person, traffic light, car, sky");
    assert!(!folder.path().join("dino-out").exists());
}

#[test]
fn the_mirror_image_takes_part() {
    let folder = folder_with_head();
    // A photo that is its own mirror image has labels that are.
    let half = image::imageops::thumbnail(&open_picture(sample("chelsea.png")), 84, 112);
    let whole = RgbImage::from_fn(168, 112, |x, y| *half.get_pixel(x.min(167 - x), y));
    whole.save(folder.path().join("even.png")).unwrap();
    let mask = ["--mask-only", "--no-legend"];
    let run = |out: &str, more: &[&str]| {
        segment(
            folder.path(),
            &[&["even.png", "-o", out], &mask[..], more].concat(),
        )
        .expect_code(0);
        open_picture(folder.path().join(out))
    };
    let asymmetry = |map: &RgbImage| {
        let turned = image::imageops::flip_horizontal(map);
        let differs = map.pixels().zip(turned.pixels()).filter(|(a, b)| a != b);
        differs.count() as f64 / f64::from(map.width() * map.height())
    };
    let (once, both) = (run("once.png", &[]), run("both.png", &["--tta", "flip"]));
    assert!(asymmetry(&both) < 0.002, "{}", asymmetry(&both));
    assert!(
        asymmetry(&once) > asymmetry(&both),
        "the network sees a side"
    );
}

#[test]
fn clusters_need_no_head_and_keep_their_meaning() {
    let folder = tempdir().unwrap();
    let (a, b) = (sample("chelsea.png"), sample("coffee.png"));
    let mask = ["--mask-only", "--no-legend"];
    let run = |out: &str, more: &[&str]| {
        clusters(folder.path(), &[&["-o", out], &mask[..], more].concat())
    };
    let book = ["--clusters", "5", "--save-codebook", "book.safetensors"];
    run("all", &[&[as_text(&a), as_text(&b)], &book[..]].concat()).expect_code(0);
    run("again", &[as_text(&a), "--codebook", "book.safetensors"]).expect_code(0);
    run("same", &[as_text(&a), as_text(&b), "--clusters", "5"]).expect_code(0);
    run("one", &[as_text(&a), "--clusters", "5"]).expect_code(0);
    let of = |run: &str| open_picture(folder.path().join(run).join("chelsea.clusters.png"));
    assert_eq!(
        of("again"),
        of("all"),
        "a saved codebook gives the clusters of its fit"
    );
    assert_eq!(
        of("same"),
        of("all"),
        "clusters don't change from run to run"
    );
    assert_ne!(of("one"), of("all"), "a joint fit knows the other photo");
    let eye_and_wall = [
        of("all").get_pixel(165, 125).0,
        of("all").get_pixel(430, 250).0,
    ];
    assert_ne!(eye_and_wall[0], eye_and_wall[1]);
    run("x", &[&[as_text(&a)], &book[..]].concat())
        .expect_code(2)
        .expect_stderr("--force");
    let kept = ["--codebook", "book.safetensors", "--classes", "9"];
    run("x", &[&[as_text(&a)], &kept[..]].concat())
        .expect_code(2)
        .expect_stderr("no class `9`");
}

#[test]
fn auto_chooses_a_number_and_says_it() {
    let folder = tempdir().unwrap();
    let run = clusters(
        folder.path(),
        &[
            as_text(&sample("coffee.png")),
            "--clusters",
            "auto",
            "--json",
        ],
    )
    .expect_code(0);
    let report = first_json(&run);
    let k: usize = report["clusters"].as_str().unwrap().parse().unwrap();
    assert!((3..=12).contains(&k));
    let shown = report["classes"].as_array().unwrap().len();
    assert!((2..=k).contains(&shown), "{shown} of {k}");
    run.expect_stderr(&format!("{k} clusters"));
}

#[test]
fn wrong_wishes_are_explained() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    std::fs::write(folder.path().join("junk"), b"no codebook").unwrap();
    for (args, code, words) in [
        (&["--clusters", "1"][..], 2, "from 2 to"),
        (&["--clusters", "4", "--head", "x"], 2, "--head"),
        (&["--clusters", "4", "--tta", "flip"], 2, "--tta"),
        (&["--save-codebook", "x"], 2, "--clusters"),
        (&["--alpha", "2"], 2, "0 to 1"),
        (&["--alpha", "0.5", "--mask-only"], 2, "--mask-only"),
        (&["--save", "gif"], 2, "ids"),
        (&["--codebook", "junk"], 1, "--save-codebook"),
        (
            &["--clusters", "4", "-o", "-", "--save", "ids"],
            2,
            "stdout",
        ),
    ] {
        clusters(folder.path(), &[&[as_text(&photo)], args].concat())
            .expect_code(code)
            .expect_stderr(words);
    }
    assert!(!folder.path().join("dino-out").exists());
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

#[test]
fn odd_sizes_work() {
    let folder = folder_with_head();
    for (width, height) in [(1, 1), (3000, 40), (40, 3000), (13, 15)] {
        let name = format!("{width}x{height}.png");
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 99]))
            .save(folder.path().join(&name))
            .unwrap();
        let args = [name.as_str(), "--size", "56", "--outline", "--save", "ids"];
        let run = segment(folder.path(), &args).expect_code(0);
        let ids = open_picture(folder.path().join(&run.lines()[1]));
        assert_eq!(ids.dimensions(), (width, height));
        let drawn = open_picture(folder.path().join(&run.lines()[0]));
        assert!(
            drawn.width() > 60 && drawn.height() > 20,
            "a legend can be read"
        );
    }
}
