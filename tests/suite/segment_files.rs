//! COCO documents, connected regions and cutouts of `dino segment`, against the ids that it writes itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::sample;
use crate::results::{as_text, first_json, open_picture};
use crate::segment::{NAMES, clusters, decode_rle, folder_with_head, segment};

fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The ids of `--save npy`, and the map's width.
fn ids(path: impl AsRef<Path>) -> (Vec<u8>, usize) {
    let bytes = std::fs::read(path).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    let width = array.shape()[1] as usize;
    (array.into_vec().unwrap(), width)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// A photo of `samples/`, made small.
fn small(name: &str, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let small = image::imageops::thumbnail(&open_picture(sample(name)), 96, 72);
    small.save(path).unwrap();
}

/// Whether the pixel is within a polygon, by the even-odd rule at its centre.
fn is_inside(polygon: &[Value], x: u64, y: u64) -> bool {
    let points: Vec<[u64; 2]> = polygon
        .chunks(2)
        .map(|p| [number(&p[0]), number(&p[1])])
        .collect();
    let sides = points.iter().zip(points.iter().cycle().skip(1));
    let crossed = sides
        .filter(|(a, b)| a[0] == b[0] && a[0] <= x && a[1].min(b[1]) <= y && y < a[1].max(b[1]));
    crossed.count() % 2 == 1
}

/// A polygon's area by its corners.
fn area_of(polygon: &[Value]) -> f64 {
    let at = |i: usize| polygon[i % polygon.len()].as_f64().unwrap();
    let cross = |i: usize| at(i) * at(i + 3) - at(i + 2) * at(i + 1);
    (0..polygon.len()).step_by(2).map(cross).sum::<f64>() / 2.0
}

#[test]
fn a_run_has_one_document_however_often_it_is_taken_up() {
    let folder = folder_with_head();
    let at = |name: &str| folder.path().join(name);
    small("chelsea.png", &at("in/x/f.png"));
    small("coffee.png", &at("in/y/f.png"));
    let args = ["-r", "in", "--save", "coco,npy", "--coco", "all/run.json"];
    let first = segment(folder.path(), &args).expect_code(0);
    assert_eq!(first.lines().last().unwrap(), "all/run.json");
    let bytes = std::fs::read(at("all/run.json")).unwrap();
    let run: Value = serde_json::from_slice(&bytes).unwrap();

    let names: BTreeMap<u64, &str> = list(&run["images"])
        .iter()
        .map(|image| (number(&image["id"]), image["file_name"].as_str().unwrap()))
        .collect();
    assert_eq!(
        names.values().collect::<BTreeSet<_>>(),
        BTreeSet::from([&"x/f.png", &"y/f.png"])
    );
    let mut annotation_ids = BTreeSet::new();
    let mut area = 0;
    for annotation in list(&run["annotations"]) {
        assert!(annotation_ids.insert(number(&annotation["id"])));
        let name = names[&number(&annotation["image_id"])].replace(".png", ".segment");
        let (ids, width) = ids(at(&format!("dino-out/{name}.ids.npy")));
        let counts = annotation["segmentation"]["counts"].as_str().unwrap();
        let mask = decode_rle(counts, ids.len() / width, width);
        let id = number(&annotation["category_id"]) as u8 - 1;
        let same = mask.iter().zip(&ids).all(|(&m, &other)| m == (other == id));
        assert!(same, "{name}: {id}");
        area += number(&annotation["area"]);
        // The same as in the photo's own document.
        let own = read_json(at(&format!("dino-out/{name}.coco.json")));
        assert!(list(&own["annotations"]).contains(annotation));
    }
    assert_eq!(area, 2 * 96 * 72);
    let categories = list(&run["categories"]).iter();
    let categories: Vec<u64> = categories.map(|c| number(&c["id"])).collect();
    assert_eq!(categories, [1, 2, 3, 4]);

    // All there: all is kept.
    let again = segment(folder.path(), &args).expect_code(0);
    assert_eq!(again.lines(), [""; 0]);
    // Broken off: files of some photos are there, and are kept; the document is whole.
    std::fs::remove_file(at("all/run.json")).unwrap();
    std::fs::remove_file(at("dino-out/y/f.segment.png")).unwrap();
    let kept = std::fs::metadata(at("dino-out/x/f.segment.png")).unwrap();
    let resumed = segment(folder.path(), &args).expect_code(0);
    assert_eq!(
        resumed.lines(),
        ["dino-out/y/f.segment.png", "all/run.json"]
    );
    resumed.expect_stderr("labelled again for all/run.json");
    assert_eq!(std::fs::read(at("all/run.json")).unwrap(), bytes);
    let still = std::fs::metadata(at("dino-out/x/f.segment.png")).unwrap();
    assert_eq!(still.modified().unwrap(), kept.modified().unwrap());
    // A document of other photos, and one that lacks some, are not taken for this run's.
    let other = String::from_utf8(bytes)
        .unwrap()
        .replace("x/f.png", "z/f.png");
    std::fs::write(at("all/run.json"), other).unwrap();
    segment(folder.path(), &args).expect_code(2).expect_stderr(
        "is not about these photos: 1 of 2 are not in it, and 1 others are; --force",
    );
    small("rocket.jpg", &at("in/z/f.png"));
    segment(folder.path(), &args)
        .expect_code(2)
        .expect_stderr("the files of 1 of 3 photos are not; --force");
    segment(folder.path(), &[&args[..], &["--force"]].concat()).expect_code(0);
    assert_eq!(list(&read_json(at("all/run.json"))["images"]).len(), 3);
}

#[test]
fn photos_of_one_name_are_told_apart_and_bad_ones_left_out() {
    let folder = folder_with_head();
    let at = |name: &str| folder.path().join(name);
    small("chelsea.png", &at("x/f.png"));
    small("coffee.png", &at("y/f.png"));
    small("coffee.png", &at("g.png"));
    std::fs::write(at("bad.png"), "no picture").unwrap();
    let inputs = ["x/f.png", "y/f.png", "g.png", "bad.png"];
    let args = [&inputs[..], &["--coco", "run.json"]].concat();
    segment(folder.path(), &args)
        .expect_code(1)
        .expect_stderr("bad.png");
    let run = read_json(at("run.json"));
    // The bad one is tried again; the document lacks what can be labelled only now, and says so.
    segment(folder.path(), &args)
        .expect_code(1)
        .expect_stderr("1 of 4 photos are not in it");
    small("rocket.jpg", &at("bad.png"));
    segment(folder.path(), &args)
        .expect_code(2)
        .expect_stderr("run.json is there already, and was made of other photos");
    assert_eq!(read_json(at("run.json")), run);
    std::fs::write(at("bad.png"), "no picture").unwrap();
    let to_stdout = segment(folder.path(), &[&inputs[..], &["--coco", "-"]].concat());
    let printed: Value = serde_json::from_slice(&to_stdout.expect_code(1).stdout).unwrap();
    assert_eq!(printed, run);
    let images = list(&run["images"]);
    let names: Vec<&str> = images
        .iter()
        .map(|image| image["file_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["x/f.png", "y/f.png", "g.png"]);
    let ids: BTreeSet<u64> = images.iter().map(|image| number(&image["id"])).collect();
    assert_eq!(ids.len(), 3);
    let annotations = list(&run["annotations"]);
    let distinct: BTreeSet<u64> = annotations.iter().map(|a| number(&a["id"])).collect();
    assert_eq!(distinct.len(), annotations.len());
    let again = ["bad.png", "--coco", "none.json", "--retry-failed"];
    segment(folder.path(), &again)
        .expect_code(1)
        .expect_stderr("none.json: not written, for no photo was labelled");
    assert!(!at("none.json").exists());
}

#[test]
fn polygons_and_regions_are_exact() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let args = ["--save", "coco,npy", "--coco-polygons", "--json"];
    let run = |out: &str, more: &[&str]| {
        let args = [&[as_text(&photo), "-o", out], &args[..], more].concat();
        let report = first_json(&segment(folder.path(), &args).expect_code(0));
        let file = |end: &str| {
            folder
                .path()
                .join(out)
                .join(format!("chelsea.segment.{end}"))
        };
        (report, read_json(file("coco.json")), ids(file("ids.npy")))
    };
    // Drawn again, the polygons give the same ids, and each its area.
    let check = |coco: &Value, ids: &[u8], width: usize| {
        let mut drawn = vec![255u8; ids.len()];
        for annotation in list(&coco["annotations"]) {
            let polygons = list(&annotation["segmentation"]);
            let area: f64 = polygons.iter().map(|p| area_of(list(p))).sum();
            assert_eq!(area, annotation["area"].as_f64().unwrap());
            let bounds: Vec<u64> = list(&annotation["bbox"]).iter().map(number).collect();
            for y in bounds[1]..bounds[1] + bounds[3] {
                for x in bounds[0]..bounds[0] + bounds[2] {
                    if polygons.iter().any(|p| is_inside(list(p), x, y)) {
                        let pixel = &mut drawn[y as usize * width + x as usize];
                        assert_eq!(*pixel, 255, "{x}, {y} is in two annotations");
                        *pixel = number(&annotation["category_id"]) as u8 - 1;
                    }
                }
            }
        }
        assert!(drawn == ids, "the polygons are other pixels than the ids");
    };
    let (_, coco, (map, width)) = run("classes", &["--no-refine"]);
    check(&coco, &map, width);

    let (report, coco, (map, width)) = run("regions", &["--no-refine", "--instances", "regions"]);
    check(&coco, &map, width);
    let rule = report["region_rule"].as_str().unwrap();
    assert!(rule.contains("not instances"), "{rule}");
    let said = coco["info"]["description"].as_str().unwrap();
    assert!(said.contains("not instances"), "{said}");
    let regions = list(&report["regions"]);
    assert!(regions.len() > list(&report["classes"]).len());
    for class in list(&report["classes"]) {
        let own = regions.iter().filter(|region| region["id"] == class["id"]);
        let pixels: u64 = own.map(|region| number(&region["pixels"])).sum();
        assert_eq!(pixels, number(&class["pixels"]));
    }
    let annotations = list(&coco["annotations"]);
    assert_eq!(annotations.len(), regions.len());
    for (annotation, region) in annotations.iter().zip(regions) {
        assert_eq!(annotation["area"], region["pixels"]);
        assert_eq!(annotation["bbox"], region["box"]);
        assert_eq!(
            number(&annotation["category_id"]),
            number(&region["id"]) + 1
        );
        assert_eq!(region["name"], NAMES[number(&region["id"]) as usize]);
    }
    // The largest alone.
    let least = number(&regions[1]["pixels"]).to_string();
    let more = [
        "--no-refine",
        "--instances",
        "regions",
        "--min-region",
        &least,
    ];
    let (fewer, coco, _) = run("large", &more);
    assert_eq!(list(&fewer["regions"]), &regions[..2]);
    assert_eq!(list(&coco["annotations"]).len(), 2);
    assert_eq!(
        number(&fewer["regions_left_out"]["count"]) as usize,
        regions.len() - 2
    );
    let left: u64 = regions[2..]
        .iter()
        .map(|region| number(&region["pixels"]))
        .sum();
    assert_eq!(number(&fewer["regions_left_out"]["pixels"]), left);
}

#[test]
fn a_cutout_is_the_photo_where_its_classes_are() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let original = open_picture(&photo);
    let run = |out: &str, more: &[&str]| {
        let args = [as_text(&photo), "-o", out, "--save", "cutout,npy", "--json"];
        let run = segment(folder.path(), &[&args[..], more].concat()).expect_code(0);
        let file = |end: &str| {
            folder
                .path()
                .join(out)
                .join(format!("chelsea.segment.{end}"))
        };
        let cutout = image::open(file("cutout.png")).unwrap();
        assert_eq!(cutout.color(), image::ColorType::Rgba8);
        (
            first_json(&run),
            cutout.into_rgba8(),
            ids(file("ids.npy")),
            run,
        )
    };
    let (report, whole, (map, width), said) = run("all", &[]);
    assert!(
        said.stderr.contains("its cutout is the whole photo"),
        "{}",
        said.stderr
    );
    assert!(
        whole
            .pixels()
            .zip(original.pixels())
            .all(|(a, b)| a.0[..3] == b.0 && a.0[3] == 255)
    );
    assert_eq!(report["cutout_box"], serde_json::json!([0, 0, 451, 300]));
    // The second largest class: the largest may touch all sides.
    let class = &list(&report["classes"])[1];
    let (id, name) = (number(&class["id"]) as u8, class["name"].as_str().unwrap());
    let (report, cutout, _, said) = run("one", &["--classes", name]);
    assert!(!said.stderr.contains("cutout"), "{}", said.stderr);
    assert_eq!(cutout.dimensions(), (451, 300));
    for ((pixel, below), &other) in cutout.pixels().zip(original.pixels()).zip(&map) {
        let [r, g, b] = below.0;
        let expected = if other == id { [r, g, b, 255] } else { [0; 4] };
        assert_eq!(pixel.0, expected);
    }
    let places = || map.iter().enumerate().filter(|(_, other)| **other == id);
    let (left, right) = places().fold((width, 0), |(l, r), (i, _)| {
        (l.min(i % width), r.max(i % width + 1))
    });
    let (top, bottom) = places().fold((width, 0), |(t, b), (i, _)| {
        (t.min(i / width), b.max(i / width + 1))
    });
    let bounds = serde_json::json!([left, top, right - left, bottom - top]);
    assert_eq!(report["cutout_box"], bounds);
    let (report, cropped, _, _) = run("crop", &["--classes", name, "--crop"]);
    assert_eq!(report["cutout_box"], bounds);
    let part = image::imageops::crop_imm(
        &cutout,
        left as u32,
        top as u32,
        (right - left) as u32,
        (bottom - top) as u32,
    );
    assert_eq!(cropped, part.to_image());
}

#[test]
fn a_cutout_of_nothing_is_said() {
    let folder = folder_with_head();
    let dot = folder.path().join("dot.png");
    image::RgbImage::from_pixel(1, 1, image::Rgb([90, 120, 50]))
        .save(dot)
        .unwrap();
    let args = ["dot.png", "--json", "--save", "cutout", "--crop"];
    let report = first_json(&segment(folder.path(), &args).expect_code(0));
    let there = report["classes"][0]["name"].as_str().unwrap();
    let other = NAMES.iter().find(|name| **name != there).unwrap();
    let run = segment(
        folder.path(),
        &[&args[..], &["--classes", other, "-o", "none"]].concat(),
    );
    let run = run.expect_code(0);
    assert_eq!(first_json(&run)["cutout_box"], Value::Null);
    run.expect_stderr(&format!(
        "dot.png: nothing of {other} in it, so its cutout is transparent all over and not cropped"
    ));
    let cutout = image::open(folder.path().join("none/dot.segment.cutout.png")).unwrap();
    assert_eq!(cutout.into_rgba8().into_raw(), [0; 4]);
}

#[test]
fn clusters_have_all_files_of_classes() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    small("chelsea.png", &at("in/x/f.png"));
    small("coffee.png", &at("in/y/f.png"));
    let args = [
        "-r",
        "in",
        "--clusters",
        "3",
        "--save",
        "cutout,npy",
        "--coco",
        "run.json",
        "--instances",
        "regions",
        "--coco-polygons",
    ];
    let book = ["--save-codebook", "book.safetensors"];
    clusters(folder.path(), &[&args[..], &book].concat()).expect_code(0);
    let bytes = std::fs::read(at("run.json")).unwrap();
    let run: Value = serde_json::from_slice(&bytes).unwrap();
    let categories: Vec<(u64, &str)> = list(&run["categories"])
        .iter()
        .map(|c| (number(&c["id"]), c["name"].as_str().unwrap()))
        .collect();
    assert_eq!(categories, [(1, "1"), (2, "2"), (3, "3")]);
    let area: u64 = list(&run["annotations"])
        .iter()
        .map(|a| number(&a["area"]))
        .sum();
    assert_eq!(area, 2 * 96 * 72);
    assert_eq!(
        open_picture(at("dino-out/y/f.clusters.cutout.png")).dimensions(),
        (96, 72)
    );
    // Taken up again, with the fit or with the saved clusters.
    for how in [
        &["--clusters", "3"][..],
        &["--codebook", "book.safetensors"],
    ] {
        std::fs::remove_file(at("run.json")).unwrap();
        let args = [&args[..2], how, &args[4..]].concat();
        let again = clusters(folder.path(), &args).expect_code(0);
        assert_eq!(again.lines().last().unwrap(), "run.json");
        // By the saved clusters it is another recipe, though it gives the same.
        assert_eq!(again.lines().len() > 1, how[0] == "--codebook");
        assert!(std::fs::read(at("run.json")).unwrap() == bytes, "{how:?}");
        assert_eq!(
            clusters(folder.path(), &args).expect_code(0).lines(),
            [""; 0]
        );
    }
}

#[test]
fn wishes_that_come_to_nothing_are_refused() {
    let folder = folder_with_head();
    small("chelsea.png", &folder.path().join("a.png"));
    for (args, words) in [
        (&["--crop"][..], "--save cutout"),
        (&["--coco-polygons"], "--coco FILE"),
        (&["--instances", "regions"], "--json"),
        (&["--instances", "objects", "--json"], "regions"),
        (&["--min-region", "5", "--json"], "--instances"),
        (
            &["--min-region", "x%", "--instances", "regions", "--json"],
            "0.1%",
        ),
        (&["--coco", "-", "--json"], "both want stdout"),
        (&["--coco", "."], "is a folder"),
        (
            &["--coco", "a.png", "--force"],
            "is an input and would be replaced",
        ),
        (
            &["--coco", "b.png", "-o", "b.png"],
            "b.png is to be written twice",
        ),
        (
            &["--coco", "head.safetensors", "--force"],
            "is an input and would be replaced",
        ),
    ] {
        segment(folder.path(), &[&["a.png"], args].concat())
            .expect_code(2)
            .expect_stderr(words);
    }
    assert!(!folder.path().join("dino-out").exists());
}
