//! Data sets in other layouts, encodings and orientations than the plain one: `dino train` makes the same head from
//! them, or prints an error message.

use std::fs;
use std::path::Path;

use dino::io::output::PngPixels;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{ExtendedColorType, GrayImage, ImageEncoder};
use tempfile::tempdir;

use crate::program::dino_with_model;
use crate::train::{SIDE, blocks, figures, ramps, tensors, train, write_grey};

const QUICK: [&str; 4] = ["--epochs", "1", "--patches", "400"];

/// Copies the data set in `from` to `to` and applies `change` to every mask.
fn masks_changed(from: &Path, to: &Path, change: impl Fn(GrayImage) -> GrayImage) {
    for part in ["images", "masks"] {
        fs::create_dir_all(to.join(part)).unwrap();
        for i in 0..8 {
            let file = format!("{part}/{i}.png");
            fs::copy(from.join(&file), to.join(&file)).unwrap();
        }
    }
    for i in 0..8 {
        let path = to.join(format!("masks/{i}.png"));
        let mask = change(image::open(&path).unwrap().into_luma8());
        write_grey(&path, mask.dimensions(), PngPixels::Gray8(mask.as_raw()));
    }
    fs::copy(from.join("classes.json"), to.join("classes.json")).unwrap();
}

/// Stores the photos of a data set as a camera held sideways does, so that the EXIF `orientation` makes them upright;
/// their masks are turned with them.
fn stored_sideways(folder: &Path, orientation: u8) {
    let back = match orientation {
        6 => Orientation::Rotate270,
        _ => Orientation::from_exif(orientation).unwrap(), // mirrored ones undo themselves
    };
    for i in 0..8 {
        for part in ["images", "masks"] {
            let path = folder.join(format!("{part}/{i}.png"));
            let mut picture = image::open(&path).unwrap();
            picture.apply_orientation(back);
            if part == "masks" {
                let mask = picture.into_luma8();
                write_grey(&path, mask.dimensions(), PngPixels::Gray8(mask.as_raw()));
                continue;
            }
            let mut bytes = Vec::new();
            let mut encoder = PngEncoder::new(&mut bytes);
            let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
            let exif = [b"II*\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat();
            encoder.set_exif_metadata(exif).unwrap();
            let rgb = picture.into_rgb8();
            encoder
                .write_image(&rgb, rgb.width(), rgb.height(), ExtendedColorType::Rgb8)
                .unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn the_same_labels_in_other_forms_give_the_same_head() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    blocks(&at.join("good"), 8);
    // Not square, so that shapes tell something.
    for i in 0..8 {
        let path = at.join(format!("good/images/{i}.png"));
        image::open(&path)
            .unwrap()
            .crop_imm(0, 0, SIDE, 84)
            .save(&path)
            .unwrap();
        let path = at.join(format!("good/masks/{i}.png"));
        let mask = image::open(&path)
            .unwrap()
            .crop_imm(0, 0, SIDE / 2, 42)
            .into_luma8();
        write_grey(&path, mask.dimensions(), PngPixels::Gray8(mask.as_raw()));
    }
    let head = |data: &str, more: &[&str], said: &str| {
        let file = format!("{}.safetensors", data.replace(['/', '.'], "-"));
        let more = [&QUICK[..], &["--name", "one"], more].concat();
        train(at, "segment", data, &file, &more)
            .expect_code(0)
            .expect_stderr(said);
        tensors(&fs::read(at.join(file)).unwrap()).to_vec()
    };
    let good = head("good", &[], "");
    let same =
        |data: &str, more: &[&str], said: &str| assert!(head(data, more, said) == good, "{data}");

    // Suffixes, other cases and forms, files beside the masks, and a list of classes with a mark.
    let other = at.join("other");
    for part in ["Images/Zu\u{308}rich", "Labels/Z\u{fc}rich"] {
        fs::create_dir_all(other.join(part)).unwrap();
    }
    for i in 0..8 {
        let photo = other.join(format!("Images/Zu\u{308}rich/{i}_leftImg8bit.PNG"));
        fs::copy(at.join(format!("good/images/{i}.png")), photo).unwrap();
        let mask = other.join(format!("Labels/Z\u{fc}rich/{i}_mask.png"));
        fs::copy(at.join(format!("good/masks/{i}.png")), mask).unwrap();
        fs::write(
            other.join(format!("Labels/Z\u{fc}rich/{i}_mask.json")),
            "{}",
        )
        .unwrap();
    }
    let classes = fs::read(at.join("good/classes.json")).unwrap();
    fs::write(
        other.join("classes.json"),
        [b"\xef\xbb\xbf", classes.as_slice()].concat(),
    )
    .unwrap();
    same(
        "other",
        &[],
        "without the _mask of labels' names and the _leftImg8bit of photos' names",
    );

    // A spreadsheet's list: UTF-16, semicolons, columns the other way round, backslashes.
    let rows = (0..8).map(|i| format!("{i};masks\\{i}.png;images\\{i}.PNG\r\n"));
    let list = format!("no;Mask;Image\r\n{}", rows.collect::<String>());
    let bytes = list.encode_utf16().flat_map(u16::to_le_bytes);
    fs::write(
        at.join("good/list.csv"),
        [0xff, 0xfe].into_iter().chain(bytes).collect::<Vec<u8>>(),
    )
    .unwrap();
    same("good/list.csv", &[], "spelt otherwise");

    // White for 1.
    let white = |mut mask: GrayImage| {
        mask.iter_mut().for_each(|id| *id *= 255);
        mask
    };
    masks_changed(&at.join("good"), &at.join("white"), white);
    same("white", &[], "black is ground, white is block");

    // Masks that lie as photos are stored.
    for orientation in [6, 7] {
        let name = format!("turned-{orientation}");
        masks_changed(&at.join("good"), &at.join(&name), |mask| mask);
        stored_sideways(&at.join(&name), orientation);
        same(&name, &[], "the label is turned with it");
    }
    let of_good = figures(at, &["segment", "good", "--head", "good.safetensors"]);
    for name in ["white", "turned-6"] {
        let own = figures(at, &["segment", name, "--head", "good.safetensors"]);
        assert_eq!(own["miou"], of_good["miou"], "{name}");
    }
    assert!(
        of_good["miou_rule"]
            .as_str()
            .unwrap()
            .contains("2 ids that the labels have")
    );
    assert_eq!(of_good["miou"], of_good["miou_mmseg"]);
}

#[test]
fn labels_that_teach_nothing_get_a_sentence() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    blocks(&at.join("good"), 8);
    let run = |data: &str, more: &[&str], code: i32, said: &str| {
        let more = [&QUICK[..], &["--force"], more].concat();
        train(at, "segment", data, "x.safetensors", &more)
            .expect_code(code)
            .expect_stderr(said);
    };
    // Two labels of one photo.
    let twice = at.join("good/masks/3_mask.png");
    fs::copy(at.join("good/masks/3.png"), &twice).unwrap();
    run("good", &[], 1, "masks/3.png: and");
    fs::remove_file(twice).unwrap();
    // White that is said to be ignored, and white where there are three classes.
    masks_changed(&at.join("good"), &at.join("white"), |mut mask| {
        mask.iter_mut().for_each(|id| *id *= 255);
        mask
    });
    run("white", &["--ignore", "255"], 1, "of one class, ground");
    fs::write(at.join("three.json"), r#"["a", "b", "c"]"#).unwrap();
    run(
        "white",
        &["--classes", "three.json"],
        1,
        "are black and white, but there are 3 classes",
    );
    run("white", &["--ignore", "x"], 2, "0 to 65535, or none");
    // Ids that count from 1, and nothing ignored.
    masks_changed(&at.join("good"), &at.join("from-one"), |mut mask| {
        mask.iter_mut().for_each(|id| *id += 1);
        mask
    });
    run("from-one", &[], 1, "seem to count from 1");
    masks_changed(&at.join("good"), &at.join("void"), |mut mask| {
        mask.rows_mut()
            .skip(8)
            .for_each(|row| row.for_each(|pixel| pixel.0[0] = 255));
        mask
    });
    run(
        "void",
        &["--ignore", "none"],
        1,
        "8 of 8 masks looked at have the id 255",
    );
    run(
        "void",
        &["--classes", "three.json"],
        0,
        "1 of the 3 classes have no pixel",
    );
    // A shape that is not the photo's: one of many is reported, and does not stop the rest.
    masks_changed(&at.join("good"), &at.join("tall"), |mask| mask);
    let tall = GrayImage::new(56, 99);
    write_grey(
        &at.join("tall/masks/2.png"),
        tall.dimensions(),
        PngPixels::Gray8(tall.as_raw()),
    );
    run("tall", &[], 1, "is 56 x 99, but its photo is 112 x 112");
    run("tall", &["--stretch-labels"], 0, "");
    let args = ["eval", "segment", "tall", "--head", "x.safetensors"];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("--stretch-labels");
}

#[test]
fn a_wrong_unit_of_depth_gets_a_sentence() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ramps(&at.join("ramp"), 8);
    // Units of 1/5000 metre, as TUM has them, and metres.
    for (name, factor) in [("tum", 5.0), ("metres", 0.001)] {
        ramps(&at.join(name), 8);
        for i in 0..8 {
            let path = at.join(format!("{name}/depth/{i}.png"));
            let depth = image::open(&path).unwrap().into_luma16();
            let units: Vec<u16> = depth
                .iter()
                .map(|&mm| (f64::from(mm) * factor) as u16)
                .collect();
            write_grey(&path, (SIDE, SIDE), PngPixels::Gray16(&units));
        }
    }
    let more = [&QUICK[..], &["--bins", "16", "--name", "one"]].concat();
    train(at, "depth", "tum", "tum.safetensors", &more)
        .expect_code(1)
        .expect_stderr("--depth-scale 5000 would make it 2.5 m");
    train(at, "depth", "metres", "metres.safetensors", &more)
        .expect_code(1)
        .expect_stderr("--depth-scale 1 would make it");
    train(at, "depth", "ramp", "ramp.safetensors", &more).expect_code(0);
    let scaled = [&more[..], &["--depth-scale", "5000"]].concat();
    train(at, "depth", "tum", "tum.safetensors", &scaled).expect_code(0);
    let bytes = |name: &str| fs::read(at.join(name)).unwrap();
    assert!(tensors(&bytes("tum.safetensors")) == tensors(&bytes("ramp.safetensors")));
    let args = ["eval", "depth", "tum", "--head", "ramp.safetensors"];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("--depth-scale 5000");
    let scaled = figures(at, &[&args[1..], &["--depth-scale", "5000"]].concat());
    assert_eq!(
        scaled["rmse"],
        figures(at, &["depth", "ramp", args[3], args[4]])["rmse"]
    );
    // Who names the scale is told, and gets it.
    dino_with_model(at, &[&args[..], &["--depth-scale", "1000"]].concat())
        .expect_code(0)
        .expect_stderr("(--depth-scale 1000)");
}
