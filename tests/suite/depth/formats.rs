//! File formats, readings at points and the JSON report hold the same depths.

use std::io::Cursor;

use serde_json::{Value, json};

use super::{chunk, depth, folder_with_head};
use crate::program::{files_below, sample};
use crate::results::{as_text, first_json, open_picture, read_npy};

#[test]
fn every_format_holds_the_same_numbers() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let args = [
        as_text(&photo),
        "--save",
        "npy,png16,pfm,exr,tiff,npy",
        "--uncertainty",
        "--json",
        "--at",
        "10,20",
        "--at",
        "450,299",
        "--pointcloud",
        "cloud/points.ply",
        "--fov",
        "60",
    ];
    let run = depth(folder.path(), &args).expect_code(0);
    let report = first_json(&run);
    let path = |end: &str| folder.path().join(format!("dino-out/chelsea.depth.{end}"));
    assert_eq!(
        files_below(&folder.path().join("dino-out")).len(),
        12,
        "a picture and five formats, each also of the deviation"
    );
    let (shape, metres) = read_npy(path("npy"));
    assert_eq!(shape, [300, 451]);
    let (low, high) = metres
        .iter()
        .fold((f32::MAX, 0f32), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(high - low > 1.0, "{low} to {high}");

    let millimetres = image::open(path("mm.png")).unwrap().into_luma16();
    assert!(
        millimetres
            .iter()
            .zip(&metres)
            .all(|(&mm, &m)| f64::from(mm) == (1000.0 * f64::from(m)).round().min(65535.0))
    );
    assert_eq!(chunk(path("mm.png"), "dino:unit"), "mm");
    let clipped = metres.iter().filter(|&&m| m > 65.5355).count();
    assert_eq!(report["clipped"], clipped);

    let pfm = std::fs::read(path("pfm")).unwrap();
    let rows = pfm.strip_prefix(b"Pf\n451 300\n-1.0\n").unwrap();
    let upside_down: Vec<u8> = metres
        .chunks(451)
        .rev()
        .flatten()
        .flat_map(|m| m.to_le_bytes())
        .collect();
    assert_eq!(rows, upside_down);

    let tiff = std::fs::read(path("tiff")).unwrap();
    let image = tiff::decoder::Decoder::new(Cursor::new(tiff))
        .unwrap()
        .read_image();
    assert!(matches!(image.unwrap(), tiff::decoder::DecodingResult::F32(found) if found == metres));

    let exr = exr::prelude::read_first_flat_layer_from_file(path("exr")).unwrap();
    for (channel, name) in exr.layer_data.channel_data.list.iter().zip(["Y", "Z"]) {
        assert_eq!(channel.name.to_string(), name);
        assert!(channel.sample_data.values_as_f32().eq(metres.clone()));
    }

    let said = |value: &Value| value.as_f64().unwrap() as f32;
    for (reading, at) in [(0, 20 * 451 + 10), (1, 300 * 451 - 1)] {
        let found = said(&report["at"][reading]["depth"]);
        assert!((found - metres[at]).abs() < 1e-3, "{found}");
    }
    assert!((said(&report["depth"]["min"]) - low).abs() < 1e-3);
    assert!((said(&report["depth"]["max"]) - high).abs() < 1e-3);
    assert_eq!(
        chunk(path("png"), "dino:range"),
        format!("{low:.3} to {high:.3} m")
    );
    assert_eq!(chunk(path("png"), "dino:unit"), "m");

    let ply = std::fs::read(folder.path().join("cloud/points.ply")).unwrap();
    let end = b"end_header\n";
    let start = ply.windows(end.len()).position(|w| w == end).unwrap() + end.len();
    let points = ply[start..].chunks_exact(15);
    assert_eq!(points.len(), 451 * 300);
    let (photo, focal) = (open_picture(&photo), 225.5 / 30f32.to_radians().tan());
    for (i, point) in points.enumerate() {
        let [x, y, z] =
            [0, 4, 8].map(|at| f32::from_le_bytes([0, 1, 2, 3].map(|byte| point[at + byte])));
        let (column, row) = (i % 451, i / 451);
        let close = |a: f32, b: f32| (a - b).abs() < 1e-4 * metres[i];
        assert_eq!(z, metres[i]);
        assert!(close(x, (column as f32 + 0.5 - 225.5) / focal * z));
        assert!(close(y, (row as f32 + 0.5 - 150.0) / focal * z));
        assert_eq!(point[12..], photo.get_pixel(column as u32, row as u32).0);
    }
}

#[test]
fn readings_are_printed_instead_of_paths() {
    let folder = folder_with_head();
    let photo = sample("coffee.png");
    let run = depth(folder.path(), &[as_text(&photo), "--save", "npy"]).expect_code(0);
    assert_eq!(
        run.lines(),
        ["dino-out/coffee.depth.png", "dino-out/coffee.depth.npy"]
    );
    // All files are there, and the photo is measured all the same.
    let run = depth(folder.path(), &[as_text(&photo), "--at", "300,200"]).expect_code(0);
    let metres = read_npy(folder.path().join("dino-out/coffee.depth.npy")).1;
    let expected = format!(
        "{}\t300,200\t{:.3} m",
        as_text(&photo),
        metres[200 * 600 + 300]
    );
    assert_eq!(run.lines(), [expected]);
    assert!(!run.stderr.contains("skipped"), "{}", run.stderr);
    let run = depth(folder.path(), &[as_text(&photo), "--at", "600,200"]).expect_code(1);
    run.expect_stderr("600 x 400");
}

#[test]
fn the_report_says_what_was_done() {
    let folder = folder_with_head();
    let args = [as_text(&sample("coffee.png")), "--json", "--invert"].map(str::to_owned);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let found = first_json(&depth(folder.path(), &args).expect_code(0));
    assert_eq!(found["picture"], "dino-out/coffee.depth.png");
    assert_eq!(found["unit"], "m");
    assert_eq!(found["head"], "made-up");
    assert_eq!(found["model"], "vits14-focus");
    assert_eq!(found["photo_size"], json!([600, 400]));
    assert_eq!(found["input_size"], json!([168, 112]));
    assert_eq!(found["colors"]["inverted"], true);
    assert_eq!(found["camera"], Value::Null);
    assert!(found["std"]["mean"].as_f64().unwrap() > 0.0);
}
