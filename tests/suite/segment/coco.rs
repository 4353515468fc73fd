//! COCO documents, polygons and connected regions, against the ids that `dino segment` writes itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{NAMES, decode_rle, folder_with_head, ids, list, number, read_json, segment, small};
use crate::program::sample;
use crate::results::{as_text, first_json};

/// Whether the centre of a pixel is within a polygon, by the even-odd rule.
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

/// The area of a polygon, computed from its corners.
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
