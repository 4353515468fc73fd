//! `dino depth` with made-up heads on real photos with the real backbone.

use std::io::Cursor;
use std::path::Path;

use dino::model::head::global_token::GlobalToken;
use dino::model::head::linear::Dense;
use dino::model::head::{
    Bins, Class, DepthReadout, Head, HeadMeta, HeadNetwork, HeadTask, LinearHead,
    RELATIVE_INVERSE_DEPTH, Spacing, file,
};
use dino::model::weights::Store;
use dino::vision::render::{Colormap, Fonts, ScaleBar, ValueRange, colorize, with_scale_bar};
use image::RgbImage;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::made_up_heads::made_up_meta;
use crate::program::{Run, dino_with_model, files_below, sample, store_with_focus};
use crate::results::{as_text, first_json, open_picture, read_npy};

const BINS: Bins = Bins {
    spacing: Spacing::Log,
    min: 0.5,
    max: 100.0,
    count: 16,
};

/// A text chunk of a PNG.
pub fn chunk(path: impl AsRef<Path>, keyword: &str) -> String {
    let file = std::fs::File::open(path).unwrap();
    let reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .unwrap();
    let mut chunks = reader.info().uncompressed_latin1_text.iter();
    let found = chunks.find(|chunk| chunk.keyword == keyword);
    found.unwrap_or_else(|| panic!("no {keyword}")).text.clone()
}

fn head(task: HeadTask, weight: Vec<f32>, bias: Vec<f32>) -> Head {
    let record = Store::at(store_with_focus())
        .get("vits14-focus")
        .unwrap()
        .unwrap();
    Head {
        meta: HeadMeta {
            globals: vec![GlobalToken::Cls],
            ..made_up_meta(task, &record.name, &record.fingerprint)
        },
        network: HeadNetwork::Linear(LinearHead::new(
            None,
            Dense {
                inputs: 2 * 384,
                weight,
                bias,
            },
        )),
    }
}

/// A head for depth in metres whose weights have this size; with 0 it says the same of every patch.
pub fn depth_head(scale: f32) -> Head {
    // A linear congruential generator is random enough.
    let mut state = 1u32;
    let weight = (0..2 * 384 * BINS.count).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        scale * ((state >> 16) as f32 / 65_536.0 - 0.5)
    });
    let task = HeadTask::Depth {
        readout: DepthReadout::Bins {
            bins: BINS,
            upsample: 4,
        },
        unit: "m".into(),
    };
    let bias = (0..BINS.count).map(|i| i as f32 * 0.3 - 1.0);
    head(task, weight.collect(), bias.collect())
}

/// A head for relative inverse depth, from 0 to a few.
pub fn relative_head() -> Head {
    let mut state = 7u32;
    let weight = (0..2 * 384).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.3 * ((state >> 16) as f32 / 65_536.0 - 0.5)
    });
    let task = HeadTask::Depth {
        readout: DepthReadout::Inverse { farthest: 0.0 },
        unit: RELATIVE_INVERSE_DEPTH.into(),
    };
    head(task, weight.collect(), vec![2.0])
}

pub fn save(head: &Head, path: &Path) {
    std::fs::write(path, file::to_bytes(head).unwrap()).unwrap();
}

/// A folder with `head.safetensors`.
pub fn folder_with_head() -> TempDir {
    let folder = tempdir().unwrap();
    save(&depth_head(0.2), &folder.path().join("head.safetensors"));
    folder
}

/// Runs `dino depth` with the made-up head.
fn depth(folder: &Path, args: &[&str]) -> Run {
    let head = ["depth", "--head", "head.safetensors"];
    dino_with_model(folder, &[&head, args].concat())
}

#[test]
fn a_head_without_weights_gives_the_expectation_of_its_bins() {
    let folder = tempdir().unwrap();
    let head = depth_head(0.0);
    save(&head, &folder.path().join("head.safetensors"));
    // The paper's formula in f64.
    let mut sums = [0f64; 3];
    let HeadNetwork::Linear(LinearHead { output, .. }) = &head.network else {
        panic!("a linear head");
    };
    for (i, &score) in output.bias.iter().enumerate() {
        let centre = 0.5 * 200f64.powf(i as f64 / 15.0);
        let p = f64::from(score).max(0.0) + 0.1;
        let terms = [p, p * centre, p * centre * centre];
        sums.iter_mut().zip(terms).for_each(|(sum, t)| *sum += t);
    }
    let (mean, second) = (sums[1] / sums[0], sums[2] / sums[0]);
    let run = depth(
        folder.path(),
        &[
            as_text(&sample("chelsea.png")),
            "--json",
            "--save",
            "npy",
            "--uncertainty",
        ],
    )
    .expect_code(0);
    for (name, expected) in [("", mean), ("std.", (second - mean * mean).sqrt())] {
        let path = format!("dino-out/chelsea.depth.{name}npy");
        let (shape, values) = read_npy(folder.path().join(path));
        assert_eq!(shape, [300, 451]);
        let worst = values.iter().map(|&v| (f64::from(v) - expected).abs());
        assert!(
            worst.fold(0.0, f64::max) < 1e-3 * expected,
            "{name}{expected}"
        );
    }
    let said = first_json(&run)["depth"]["mean"].as_f64().unwrap();
    assert!((said - mean).abs() < 1e-2, "{said} for {mean}");
}

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
fn clouds_have_the_axes_and_the_points_that_were_asked_for() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let run = |args: &[&str]| {
        let args = [&[as_text(&photo), "--json", "--fov", "60"], args].concat();
        let report = first_json(&depth(folder.path(), &args).expect_code(0));
        report["cloud"].clone()
    };
    // Vertices of 15 bytes, and the header.
    let read = |name: &str| {
        let ply = std::fs::read(folder.path().join(name)).unwrap();
        let end = b"end_header\n";
        let start = ply.windows(end.len()).position(|w| w == end).unwrap() + end.len();
        let header = String::from_utf8(ply[..start].to_vec()).unwrap();
        let points: Vec<Vec<u8>> = ply[start..].chunks_exact(15).map(<[u8]>::to_vec).collect();
        (header, points)
    };
    let float =
        |point: &[u8], at: usize| f32::from_le_bytes([0, 1, 2, 3].map(|byte| point[at + byte]));
    let plain = run(&["--pointcloud", "cv.ply"]);
    assert_eq!(plain["axes"], "opencv");
    assert_eq!(plain["counts"]["points"], 451 * 300);
    let turned = run(&["--pointcloud", "gl.ply", "--axes", "opengl"]);
    assert_eq!(turned["axes"], "opengl");
    let ((cv_header, cv), (gl_header, gl)) = (read("cv.ply"), read("gl.ply"));
    assert!(cv_header.contains("comment axes opencv: x right, y down, z forward\n"));
    assert!(gl_header.contains("comment axes opengl: x right, y up, z backwards\n"));
    for (cv, gl) in cv.iter().zip(&gl) {
        let [x, y, z] = [0, 4, 8].map(|at| float(gl, at));
        assert_eq!([0, 4, 8].map(|at| float(cv, at)), [x, -y, -z]);
        assert_eq!(cv[12..], gl[12..]);
    }

    let few = run(&[
        "--pointcloud",
        "few.ply",
        "--max-points",
        "1000",
        "--drop-edges",
        "0.02",
    ]);
    let counts = &few["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("points"), 1000);
    assert!(count("at_edges") > 0);
    let dropped = count("without_depth") + count("at_edges") + count("beyond_max_points");
    assert_eq!(count("points") + dropped, 451 * 300);
    assert_eq!(few["drop_edges"], 0.02);
    let (header, points) = read("few.ply");
    assert_eq!(points.len(), 1000);
    assert!(header.contains("comment 1000 points of 135300 pixels: "));
    assert!(points.iter().all(|point| cv.contains(point)));
    run(&[
        "--pointcloud",
        "again.ply",
        "--max-points",
        "1000",
        "--drop-edges",
        "0.02",
        "--threads",
        "1",
    ]);
    assert_eq!(read("again.ply"), (header, points));
}

#[test]
fn a_glb_stands_upright() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let args = [
        as_text(&photo),
        "--pointcloud",
        "glb",
        "--fov",
        "60",
        "--save",
        "npy",
    ];
    let run = depth(folder.path(), &args).expect_code(0);
    assert_eq!(run.lines()[2], "dino-out/chelsea.depth.glb");
    let (_, metres) = read_npy(folder.path().join("dino-out/chelsea.depth.npy"));
    let glb = std::fs::read(folder.path().join("dino-out/chelsea.depth.glb")).unwrap();
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| glb[at + byte]));
    assert_eq!((&glb[..4], word(8) as usize), (&b"glTF"[..], glb.len()));
    let json = word(12) as usize;
    let header: Value = serde_json::from_slice(&glb[20..20 + json]).unwrap();
    let accessor = &header["accessors"][0];
    assert_eq!(accessor["count"], 451 * 300);
    let comments = header["asset"]["extras"]["comments"].to_string();
    assert!(
        comments.contains("unit m") && comments.contains("axes opengl"),
        "{comments}"
    );
    let points = &glb[28 + json..];
    let float = |at: usize| f32::from_le_bytes([0, 1, 2, 3].map(|byte| points[at + byte]));
    // The top left corner is at the left, above and in front of a camera that looks along -z.
    assert!(float(0) < 0.0 && float(4) > 0.0);
    for (at, &metres) in metres.iter().enumerate() {
        assert_eq!(float(24 * at + 8), -metres);
    }
    let farthest = metres.iter().copied().fold(0.0, f32::max);
    assert_eq!(accessor["min"][2].as_f64(), Some(-f64::from(farthest)));
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
fn colours_span_the_range_that_was_asked_for() {
    let folder = folder_with_head();
    let (a, b) = (sample("chelsea.png"), sample("coffee.png"));
    let run = |out: &str, more: &[&str]| {
        let args = [as_text(&a), as_text(&b), "-o", out];
        depth(folder.path(), &[&args, more].concat()).expect_code(0);
        ["chelsea", "coffee"].map(|stem| {
            let path = folder.path().join(format!("{out}/{stem}.depth.png"));
            (chunk(&path, "dino:colors"), open_picture(path))
        })
    };
    let spans = |text: &str| -> (f32, f32) {
        let (low, high) = text.trim_end_matches(" m").split_once(" to ").unwrap();
        (low.parse().unwrap(), high.parse().unwrap())
    };
    let auto = run("auto", &["--save", "npy"]);
    for (stem, (said, _)) in ["chelsea", "coffee"].iter().zip(&auto) {
        let mut metres = read_npy(folder.path().join(format!("auto/{stem}.depth.npy"))).1;
        metres.sort_by(f32::total_cmp);
        let at = |q: f32| metres[(q * (metres.len() - 1) as f32) as usize];
        let (low, high) = spans(said);
        assert!((low - at(0.02)).abs() < 0.01 * low, "{said} {}", at(0.02));
        assert!((high - at(0.98)).abs() < 0.01 * high, "{said} {}", at(0.98));
    }
    let global = run("global", &["--range", "global"]);
    assert_eq!(global[0].0, global[1].0, "one range for all");
    let (low, high) = spans(&global[0].0);
    let both = [spans(&auto[0].0), spans(&auto[1].0)];
    assert!(low >= both[0].0.min(both[1].0) - 0.01 && high <= both[0].1.max(both[1].1) + 0.01);
    assert_ne!(auto[0].0, auto[1].0);
    assert_eq!(run("head", &["--range", "head"])[0].0, "0.500 to 100.000 m");
    let fixed = ["--range", "1,4.5", "--no-scale", "--colormap", "gray"];
    let plain = run("fixed", &fixed);
    assert_eq!(plain[0].0, "1.000 to 4.500 m");
    assert_eq!(plain[0].1.dimensions(), (451, 300));
    let inverted = run("inverted", &[&fixed[..], &["--invert"]].concat());
    let sums = plain[0].1.iter().zip(inverted[0].1.iter());
    assert!(
        sums.into_iter()
            .all(|(a, b)| (254..=256).contains(&(u16::from(*a) + u16::from(*b))))
    );
}

#[test]
fn pictures_lie_beside_and_over_the_photo() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let run = |out: &str, more: &[&str]| {
        let args = [as_text(&photo), "-o", out, "--range", "1,4"];
        depth(folder.path(), &[&args, more].concat()).expect_code(0);
        open_picture(folder.path().join(out))
    };
    let plain = run("plain.png", &["--no-scale"]);
    let scaled = run("scaled.png", &[]);
    let both = run("both.png", &["--side-by-side", "--no-scale"]);
    let over = run("over.png", &["--overlay", "0.25", "--no-scale"]);
    let original = open_picture(&photo);
    assert!(scaled.width() > 480 && scaled.height() == 300);
    assert_eq!(both.dimensions(), (902, 300));
    for (x, y) in [(0, 0), (200, 100), (450, 299)] {
        assert_eq!(scaled.get_pixel(x, y), plain.get_pixel(x, y));
        assert_eq!(both.get_pixel(x, y), original.get_pixel(x, y));
        assert_eq!(both.get_pixel(x + 451, y), plain.get_pixel(x, y));
        for channel in 0..3 {
            let [a, b, mix] = [&plain, &original, &over]
                .map(|picture| f32::from(picture.get_pixel(x, y)[channel]));
            assert!((0.25 * a + 0.75 * b - mix).abs() <= 1.0);
        }
    }
    // A second pass decodes the photo again.
    let global = run("global.png", &["--side-by-side", "--range", "global"]);
    assert_eq!(global.get_pixel(200, 100), original.get_pixel(200, 100));
}

#[test]
fn flipping_the_photo_flips_the_map() {
    let folder = folder_with_head();
    let photo = open_picture(sample("chelsea.png"));
    photo.save(folder.path().join("a.png")).unwrap();
    image::imageops::flip_horizontal(&photo)
        .save(folder.path().join("b.png"))
        .unwrap();
    // A size at which the padding is the same on both sides.
    let args = ["a.png", "b.png", "--save", "npy", "--size", "154x110"];
    depth(folder.path(), &[&args[..], &["--tta", "flip"]].concat()).expect_code(0);
    depth(folder.path(), &[&args[..], &["-o", "plain"]].concat()).expect_code(0);
    let worst = |folder: std::path::PathBuf| {
        let [a, b] = ["a", "b"].map(|stem| read_npy(folder.join(format!("{stem}.depth.npy"))).1);
        let rows = a.chunks(451).zip(b.chunks(451));
        let pairs = rows.flat_map(|(a, b)| a.iter().zip(b.iter().rev()));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let (flip, plain) = (
        worst(folder.path().join("dino-out")),
        worst(folder.path().join("plain")),
    );
    assert!(flip < 2e-2 && plain > 10.0 * flip, "{flip} {plain}");
}

#[test]
fn windows_see_more_and_one_window_sees_the_same() {
    let folder = folder_with_head();
    let photo = open_picture(sample("chelsea.png"));
    let small = image::imageops::crop_imm(&photo, 100, 50, 112, 112).to_image();
    small.save(folder.path().join("small.png")).unwrap();
    let run = |out: &str, args: &[&str]| {
        let args = [&["--save", "npy", "-v", "-o", out], args].concat();
        depth(folder.path(), &args).expect_code(0)
    };
    let worst = |a: &str, b: &str| {
        let [a, b] = [a, b].map(|stem| read_npy(folder.path().join(format!("{stem}.depth.npy"))).1);
        let pairs = a.iter().zip(&b);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    run("at-once", &["small.png"]);
    run("windows", &["small.png", "--slide"]).expect_stderr("1 windows");
    assert!(worst("at-once/small", "windows/small") < 1e-3);

    // 451 x 300 pixels are 33 x 22 patches, in windows of 8 that move by 5.
    let chelsea = sample("chelsea.png");
    let args = [as_text(&chelsea), "--slide", "--json"];
    let fine = run("fine", &args).expect_stderr("24 windows");
    assert_eq!(first_json(&fine)["grid"], json!([22, 33]));
    run("batched", &[&args[..], &["--batch-size", "5"]].concat());
    assert!(worst("fine/chelsea", "batched/chelsea") < 1e-2);
    run("flipped", &[&args[..], &["--tta", "flip"]].concat());
    assert!(worst("fine/chelsea", "flipped/chelsea") > 0.1);
    run(
        "coarse",
        &[
            as_text(&chelsea),
            "--slide",
            "--size",
            "168",
            "--stride",
            "1",
        ],
    )
    .expect_stderr("6 windows");
    let args = [as_text(&chelsea), "--stride", "0.5"];
    depth(folder.path(), &args)
        .expect_code(2)
        .expect_stderr("--slide");
}

#[test]
fn a_head_says_how_edges_are_padded() {
    let folder = tempdir().unwrap();
    let mut head = depth_head(0.2);
    head.meta.input.padding = "none".into();
    save(&head, &folder.path().join("head.safetensors"));
    let photo = sample("chelsea.png");
    let run = depth(folder.path(), &[as_text(&photo), "--json"]).expect_code(0);
    // 168 x 112 without padding: 12 x 8 patches.
    assert_eq!(first_json(&run)["input_size"], json!([168, 112]));
    let args = [as_text(&photo), "--json", "--size", "100", "--force"];
    let run = depth(folder.path(), &args).expect_code(0);
    assert_eq!(first_json(&run)["input_size"], json!([154, 98]));
}

#[test]
fn odd_sizes_work() {
    let folder = folder_with_head();
    for (width, height) in [(1, 1), (3000, 40), (40, 3000)] {
        let name = format!("{width}x{height}.png");
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 99]))
            .save(folder.path().join(&name))
            .unwrap();
        let args = [&name, "--size", "56", "--save", "npy", "--pointcloud"];
        let run = depth(folder.path(), &args).expect_code(0);
        let found = open_picture(folder.path().join(&run.lines()[0]));
        assert!(found.width() > width && found.height() >= height);
        assert!(
            run.stderr
                .contains("no focal length is known: it has no EXIF block")
        );
        assert!(run.lines()[2].ends_with(".depth.ply"), "{:?}", run.lines());
    }
}

#[test]
fn a_bad_photo_does_not_stop_the_others() {
    let folder = folder_with_head();
    let photos = folder.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::write(photos.join("bad.jpg"), b"\xff\xd8\xff\xe0 no photo").unwrap();
    std::fs::copy(sample("chelsea.png"), photos.join("good.png")).unwrap();
    for range in ["auto", "global"] {
        let args = ["photos", "--range", range, "-o", range];
        let run = depth(folder.path(), &args).expect_code(1);
        assert_eq!(run.lines(), [format!("{range}/good.depth.png")]);
        run.expect_stderr("bad.jpg")
            .expect_stderr("1 of 2 inputs failed");
    }
    let run = depth(folder.path(), &["photos", "-o", "auto"]).expect_code(1);
    assert!(run.lines().is_empty());
    run.expect_stderr("1 already there, skipped");
}

#[test]
fn wrong_wishes_are_explained() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    for (args, words) in [
        (&["--range", "4,1"][..], "two rising numbers"),
        (&["--range", "wide"], "auto, global, head"),
        (&["--at", "10"], "320,240"),
        (&["--colormap", "jet"], "turbo"),
        (&["--save", "csv"], "png16"),
        (&["--fov", "65"], "--pointcloud"),
        (&["--pointcloud", "x.obj"], ".ply or .glb"),
        (&["--axes", "opengl"], "--pointcloud"),
        (&["--pointcloud", "x.glb", "--axes", "opencv"], "y up"),
        (&["--pointcloud", "--max-points", "0"], "100000"),
        (&["--pointcloud", "--drop-edges", "5"], "0.02 for 2 %"),
        (&["--overlay", "0.5", "--side-by-side"], "--overlay"),
        (&["-o", "-", "--at", "1,1"], "stdout"),
    ] {
        depth(folder.path(), &[&[as_text(&photo)], args].concat())
            .expect_code(2)
            .expect_stderr(words);
    }
    depth(folder.path(), &[as_text(&photo), "--head", "nobodys"])
        .expect_code(1)
        .expect_stderr("nobodys");
    let other = sample("coffee.png");
    let two = [as_text(&photo), as_text(&other), "--pointcloud", "x.ply"];
    depth(folder.path(), &two)
        .expect_code(2)
        .expect_stderr("room for one");
    assert!(!folder.path().join("dino-out").exists());
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let run = |name: &str| {
        let args = ["depth", as_text(&photo), "--head", name];
        dino_with_model(folder.path(), &args)
    };
    let mut other = depth_head(0.2);
    other.meta.fingerprint = "0".repeat(64);
    save(&other, &folder.path().join("other.safetensors"));
    run("other.safetensors")
        .expect_code(1)
        .expect_stderr("`dino models pull vits14-focus`");
    let class = |name: &str| Class {
        name: name.into(),
        color: [0; 3],
    };
    let classes = vec![class("sky"), class("road")];
    let segment = head(
        HeadTask::Segment { classes },
        vec![0.0; 4 * 384],
        vec![0.0; 2],
    );
    save(&segment, &folder.path().join("segment.safetensors"));
    run("segment.safetensors")
        .expect_code(2)
        .expect_stderr("is for `dino segment`");
    std::fs::write(folder.path().join("junk.safetensors"), b"junk").unwrap();
    run("junk.safetensors")
        .expect_code(1)
        .expect_stderr("dino train");
}

/// A ramp with its scale looks as it did when it was looked at (`tests/goldens/README.md` says how it was made).
#[test]
fn the_picture_of_a_ramp_is_the_golden_one() {
    let (width, height) = (160, 120);
    let ramp = (0..width * height).map(|i| 0.7 + 3.6 * (i % width) as f32 / (width - 1) as f32);
    let ramp: Vec<f32> = ramp.collect();
    let (range, colormap) = (ValueRange::new(0.7, 4.3), Colormap::default().reversed());
    let bar = ScaleBar {
        range,
        colormap: &colormap,
        unit: "m",
        prefix: "",
        end_labels: None,
        fonts: &Fonts::built_in(),
    };
    let ramp = colorize(&ramp, width, range, &colormap).unwrap();
    let found = with_scale_bar(&ramp, &bar).unwrap();
    let aside = Path::new(env!("CARGO_TARGET_TMPDIR")).join("depth-ramp.png");
    found.save(&aside).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/depth-ramp.png");
    let golden = open_picture(golden);
    assert_eq!(
        found.dimensions(),
        golden.dimensions(),
        "{}",
        aside.display()
    );
    // Letters may differ by a rounding from machine to machine.
    let worst = found.iter().zip(golden.iter()).map(|(a, b)| a.abs_diff(*b));
    assert!(worst.max() <= Some(2), "see {}", aside.display());
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

#[test]
fn metres_of_rooms_are_doubted_out_of_doors() {
    let folder = tempdir().unwrap();
    for name in ["mountains.jpg", "room.jpg"] {
        std::fs::copy(sample(name), folder.path().join(name)).unwrap();
    }
    let run = |args: &[&str]| {
        let own = [
            "depth",
            "mountains.jpg",
            "room.jpg",
            "--head",
            "indoor",
            "--json",
            "--force",
        ];
        dino_with_model(folder.path(), &[&own, args].concat()).expect_code(0)
    };
    for args in [&[][..], &["--range", "global"]] {
        let told = run(args).expect_stderr("mountains.jpg: seems to be out of doors");
        assert!(!told.stderr.contains("room.jpg: seems"), "{}", told.stderr);
        let room = |line: usize| -> f64 {
            let line: Value = serde_json::from_str(&told.lines()[line]).unwrap();
            line["room"].as_f64().unwrap()
        };
        assert!(room(0) < 0.1 && room(1) > 0.9, "{} {}", room(0), room(1));
    }
}
