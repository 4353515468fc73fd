//! Label files of many encodings, as `dino train` and `dino eval` read them; they read the files that `dino` writes.

use std::fs;
use std::path::Path;

use image::RgbImage;
use serde_json::Value;

use crate::program::{Run, dino_with_model, sample};
use crate::results::as_text;
use crate::{depth, segment};

/// Runs `dino eval` with the head in `folder`; returns its figures, and the figure of every photo by the stem of its
/// file name.
fn eval(folder: &Path, args: &[&str]) -> (Run, Value, Vec<(String, f64)>) {
    let all = [&["eval"], args, &["--head", "head.safetensors"]].concat();
    let all = [
        &all[..],
        &["--json", "figures.json", "-o", "report", "--force"],
    ]
    .concat();
    let run = dino_with_model(folder, &all).expect_code(0);
    let figures = fs::read(folder.join("figures.json")).unwrap();
    let rows = fs::read_to_string(folder.join("report/files.csv")).unwrap();
    let wanted = if args[0] == "depth" {
        "abs_rel"
    } else {
        "pixel_accuracy"
    };
    let mut lines = rows.lines();
    let column = lines
        .next()
        .unwrap()
        .split(',')
        .position(|name| name == wanted);
    let files = lines.map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let stem = Path::new(fields[0]).file_stem().unwrap();
        let figure = fields[column.unwrap()].parse().unwrap();
        (stem.to_str().unwrap().to_owned(), figure)
    });
    let files = files.collect();
    (run, serde_json::from_slice(&figures).unwrap(), files)
}

#[test]
fn depth_that_dino_writes_is_judged_without_an_error() {
    let folder = depth::folder_with_head();
    let at = folder.path();
    let photo = sample("chelsea.png");
    let args = [
        "depth",
        "--head",
        "head.safetensors",
        as_text(&photo),
        "--json",
    ];
    let formats = ["--save", "npy,png16,pfm,exr,tiff", "--depth-scale", "256"];
    let run = dino_with_model(at, &[&args[..], &formats].concat()).expect_code(0);
    let json: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(json["depth_scale"], 256);
    for part in ["images", "depth"] {
        fs::create_dir_all(at.join("own").join(part)).unwrap();
    }
    for ending in ["npy", "u16.png", "pfm", "exr", "tiff"] {
        let (stem, last) = ending.split_once('.').unwrap_or((ending, ending));
        let label = at.join(format!("dino-out/chelsea.depth.{ending}"));
        fs::copy(label, at.join(format!("own/depth/{stem}.{last}"))).unwrap();
        fs::copy(&photo, at.join(format!("own/images/{stem}.png"))).unwrap();
    }
    let args = ["depth", "own", "--max-depth", "100"];
    let (run, figures, files) = eval(at, &args);
    assert_eq!((figures["images"].as_u64(), files.len()), (Some(5), 5));
    for (stem, abs_rel) in files {
        // Half a step of 1/256 m at the 0.5 m that the head's bins begin at.
        let allowed = if stem == "u16" {
            0.5 / 256.0 / 0.5
        } else {
            1e-6
        };
        assert!(abs_rel <= allowed, "{stem}: {abs_rel}");
        assert!(stem != "u16" || abs_rel > 0.0, "{abs_rel}");
    }
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);

    // The PNG's own scale is followed, floats are metres, and both are said.
    let (run, _, again) = eval(at, &[&args[..], &["--depth-scale", "1000"]].concat());
    assert!(
        again
            .iter()
            .all(|(_, abs_rel)| *abs_rel <= 0.5 / 256.0 / 0.5)
    );
    run.expect_stderr("says that 256 of its units are a metre")
        .expect_stderr("--depth-scale 1000 is not applied");
}

#[test]
fn a_scale_without_a_format_of_whole_numbers_is_refused() {
    let args = ["depth", "x.jpg", "--save", "npy", "--depth-scale", "256"];
    let run = dino_with_model(Path::new("."), &args).expect_code(2);
    run.expect_stderr("--save png16");
    let args = ["depth", "x.jpg", "--save", "png16", "--depth-scale", "0"];
    dino_with_model(Path::new("."), &args).expect_code(2);
}

#[test]
fn masks_that_dino_writes_are_judged_without_an_error() {
    let folder = segment::folder_with_head();
    let at = folder.path();
    let photo = sample("chelsea.png");
    let args = [
        "segment",
        "--head",
        "head.safetensors",
        as_text(&photo),
        "--save",
        "ids,npy",
    ];
    dino_with_model(at, &args).expect_code(0);
    for part in ["images", "masks"] {
        fs::create_dir_all(at.join("own").join(part)).unwrap();
    }
    let ids = at.join("dino-out/chelsea.segment.ids.png");
    let masks = at.join("own/masks");
    fs::copy(&ids, masks.join("ids.png")).unwrap();
    fs::copy(
        at.join("dino-out/chelsea.segment.ids.npy"),
        masks.join("array.npy"),
    )
    .unwrap();
    // An annotation tool saves the same in colours, and as a GIF whose colours it sorted anew.
    let shown: RgbImage = image::open(&ids).unwrap().into_rgb8();
    shown.save(masks.join("colors.png")).unwrap();
    let mut sorted: Vec<[u8; 3]> = shown.pixels().map(|pixel| pixel.0).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert!(sorted.len() > 1, "several classes");
    let index = |pixel: &image::Rgb<u8>| {
        let at = sorted.iter().position(|color| *color == pixel.0);
        at.unwrap() as u8
    };
    let (width, height) = (shown.width() as u16, shown.height() as u16);
    let file = fs::File::create(masks.join("sorted.gif")).unwrap();
    let mut encoder = gif::Encoder::new(file, width, height, sorted.as_flattened()).unwrap();
    let indices: Vec<u8> = shown.pixels().map(index).collect();
    let frame = gif::Frame::from_indexed_pixels(width, height, indices, None);
    encoder.write_frame(&frame).unwrap();
    for stem in ["ids", "array", "colors", "sorted"] {
        fs::copy(&photo, at.join(format!("own/images/{stem}.png"))).unwrap();
    }
    let (run, figures, files) = eval(at, &["segment", "own"]);
    assert_eq!(files.len(), 4, "{}", run.stderr);
    assert!(
        files.iter().all(|(_, accuracy)| *accuracy == files[0].1),
        "{files:?}"
    );
    assert!(
        figures["pixel_accuracy"].as_f64() > Some(0.9999),
        "{figures}"
    );
    run.expect_stderr("the colours count");

    // One colour that is no class's leaves its photo out, with a sentence, and no other.
    let mut smeared = shown.clone();
    smeared.put_pixel(3, 2, image::Rgb([61, 194, 128]));
    smeared.save(masks.join("colors.png")).unwrap();
    let args = ["eval", "segment", "own", "--head", "head.safetensors"];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("colors.png: has the colour (61, 194, 128) at pixel 3,2")
        .expect_stderr("the nearest is that of \"traffic light\", (60, 195, 128)");
}
