//! Which label a pixel gets: thresholds for unsure pixels, chosen classes, flipping, and photos of odd sizes.

use image::RgbImage;
use serde_json::Value;

use super::{folder_with_head, segment};
use crate::program::{dino_with_model, sample};
use crate::results::{as_text, first_json, open_picture};

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
