//! Class names in any script: drawn with the installed fonts, or replaced by ids with a warning.

use std::path::{Path, PathBuf};

use image::RgbImage;
use tempfile::{TempDir, tempdir};

use crate::program::{Run, command, finish, sample, store_with_focus};
use crate::segment::folder_with_classes;

const MANY_SCRIPTS: [&str; 4] = ["天空", "قطة", "बिल्ली", "ท้องฟ้า"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fonts")
}

/// Runs `dino` in `folder` as if the fonts in `fonts` were the only installed ones.
fn dino_with_fonts(folder: &Path, fonts: &Path, args: &[&str]) -> Run {
    let mut command = command(args);
    command
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus())
        .env("DINO_FONTS", fonts);
    finish(&mut command, b"")
}

/// A folder with a head whose classes have these `names`, and an empty folder for fonts.
fn folders(names: [&str; 4]) -> (TempDir, TempDir) {
    (folder_with_classes(names), tempdir().unwrap())
}

/// Runs `dino segment` on a photo and returns its messages and its picture.
fn segment(folder: &Path, fonts: &Path, more: &[&str]) -> (Run, RgbImage) {
    let photo = sample("chelsea.png");
    let args = [
        "segment",
        photo.to_str().unwrap(),
        "--head",
        "head.safetensors",
        "--force",
    ];
    let run = dino_with_fonts(folder, fonts, &[&args, more].concat()).expect_code(0);
    let picture = image::open(folder.join("dino-out/chelsea.segment.png")).unwrap();
    (run, picture.into_rgb8())
}

#[test]
fn names_are_drawn_in_the_fonts_that_are_there() {
    let (folder, no_fonts) = folders(MANY_SCRIPTS);
    let font = fixtures().join("scripts.ttc");
    let (run, from_system) = segment(folder.path(), &fixtures(), &[]);
    assert!(!run.stderr.contains("--font"), "{}", run.stderr);
    let chosen = ["--font", font.to_str().unwrap()];
    let (run, from_file) = segment(folder.path(), no_fonts.path(), &chosen);
    assert!(!run.stderr.contains("--font"), "{}", run.stderr);
    // The file has no figures, so all the rest is in the built-in font either way.
    assert!(from_system == from_file);
    let (run, ids) = segment(folder.path(), no_fonts.path(), &[]);
    assert!(ids != from_file);
    let said = run.stderr.matches("--font").count();
    assert_eq!(said, 1, "{}", run.stderr);
    run.expect_stderr("classes `天空`, `قطة`, `बिल्ली` and 1 more: no font at hand")
        .expect_stderr("\"class 0\"");
    // As if the classes were called so.
    let (plain, _) = folders(["class 0", "class 1", "class 2", "class 3"]);
    let (run, named) = segment(plain.path(), no_fonts.path(), &[]);
    assert!(ids == named);
    assert!(!run.stderr.contains("--font"), "{}", run.stderr);
}

#[test]
fn only_names_that_are_drawn_need_a_font() {
    let (folder, no_fonts) = folders(["sky", "猫", "", " \n"]);
    let silent = [&["--classes", "sky"][..], &["--no-legend", "--no-names"]];
    for more in silent {
        let (run, _) = segment(folder.path(), no_fonts.path(), more);
        assert!(!run.stderr.contains("--font"), "{more:?}: {}", run.stderr);
    }
    let (run, _) = segment(folder.path(), no_fonts.path(), &[]);
    run.expect_stderr("class `猫`: no font at hand has all its letters")
        .expect_stderr("\"class 1\"");
}

#[test]
fn latin_names_need_no_fonts_of_the_system() {
    let (folder, no_fonts) = folders(["Übergang", "ghế tựa", "Ґанок ұ", "e\u{301}toile"]);
    // Were they looked for, this would be an error.
    let nowhere = folder.path().join("nowhere");
    let (_, without) = segment(folder.path(), &nowhere, &[]);
    let (_, with) = segment(folder.path(), &fixtures(), &[]);
    assert!(without == with);
    let (composed, _) = folders(["Übergang", "ghế tựa", "Ґанок ұ", "étoile"]);
    let (_, composed) = segment(composed.path(), no_fonts.path(), &[]);
    assert!(without == composed);
}

#[test]
fn what_is_no_font_is_said_before_any_work() {
    let (folder, _) = folders(["猫", "sky", "sea", "sand"]);
    let photo = sample("chelsea.png");
    std::fs::write(folder.path().join("junk.ttf"), b"no font").unwrap();
    let run = |fonts: &str, font: &[&str]| {
        let args = [
            "segment",
            photo.to_str().unwrap(),
            "--head",
            "head.safetensors",
        ];
        dino_with_fonts(folder.path(), Path::new(fonts), &[&args, font].concat()).expect_code(1)
    };
    run("", &["--font", "junk.ttf"]).expect_stderr("junk.ttf: is no font");
    run("", &["--font", "none.ttf"]).expect_stderr("none.ttf: no such file");
    run("nowhere", &[]).expect_stderr("nowhere: is no folder; DINO_FONTS");
    assert!(!folder.path().join("dino-out").exists());
}

#[test]
fn the_confusion_matrix_has_names_too() {
    let (folder, no_fonts) = folders(MANY_SCRIPTS);
    let at = folder.path();
    std::fs::create_dir_all(at.join("data/images")).unwrap();
    std::fs::create_dir_all(at.join("data/masks")).unwrap();
    let photo = image::open(sample("chelsea.png"))
        .unwrap()
        .thumbnail_exact(112, 84);
    photo.save(at.join("data/images/a.png")).unwrap();
    let mask = image::GrayImage::from_fn(112, 84, |x, _| image::Luma([(x / 28) as u8]));
    mask.save(at.join("data/masks/a.png")).unwrap();
    let font = fixtures().join("scripts.ttc");
    let eval = |fonts: &Path, more: &[&str]| {
        let args = [
            "eval",
            "segment",
            "data",
            "--head",
            "head.safetensors",
            "-o",
            "report",
            "--force",
        ];
        let run = dino_with_fonts(at, fonts, &[&args, more].concat()).expect_code(0);
        (
            run,
            image::open(at.join("report/confusion.png"))
                .unwrap()
                .into_rgb8(),
        )
    };
    let (run, named) = eval(no_fonts.path(), &["--font", font.to_str().unwrap()]);
    assert!(!run.stderr.contains("--font"), "{}", run.stderr);
    let (run, ids) = eval(no_fonts.path(), &[]);
    run.expect_stderr("--font");
    assert!(named != ids);
    // Every row has a label.
    for picture in [named, ids] {
        let cell = 44;
        let left = picture.width() - 8 - 4 * cell;
        for row in 0..4 {
            let top = picture.height() - 8 - (4 - row) * cell;
            let dark = |x: u32, y: u32| picture.get_pixel(x, y).0[0] < 100;
            let ink = (0..left).flat_map(|x| (top..top + cell).map(move |y| (x, y)));
            let ink = ink.filter(|&(x, y)| dark(x, y)).count();
            assert!(ink > 25, "row {row}: {ink}");
        }
    }
    let table = std::fs::read_to_string(at.join("report/confusion.csv")).unwrap();
    assert!(table.contains("बिल्ली"), "names in files stay as they are");
}
