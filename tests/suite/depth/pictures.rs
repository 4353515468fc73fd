//! Coloured depth maps: range of the colours, overlays and side-by-side pictures, and the scale bar against a golden
//! picture.

use std::path::Path;

use dino::vision::render::{Colormap, Fonts, ScaleBar, ValueRange, colorize, with_scale_bar};

use super::{chunk, depth, folder_with_head};
use crate::program::sample;
use crate::results::{as_text, open_picture, read_npy};

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

/// A ramp with its scale bar is drawn as in the golden picture (`tests/goldens/README.md` says how that was made).
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
