//! What a run writes: pictures, printed paths, JSON, a single file, stdout; and what it skips or never replaces.

use std::ffi::OsString;
use std::fs;

use image::{ImageFormat, RgbImage};

use super::{pca, pca_command, photos, picture};
use crate::program::finish;

#[test]
fn a_photo_becomes_a_picture_of_its_size_and_its_path_is_printed() {
    let folder = photos(&["photo.jpg"]);
    let run = pca(&folder, &["photo.jpg"]).expect_code(0);
    assert_eq!(run.lines(), ["dino-out/photo.pca.png"]);
    let picture = image::open(folder.path().join("dino-out/photo.pca.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (90, 60));
    // The note by which a later run knows its own pictures, once.
    let bytes = fs::read(folder.path().join("dino-out/photo.pca.png")).unwrap();
    let mark = b"tEXtSoftware\0dino ";
    assert_eq!(
        bytes
            .windows(mark.len())
            .filter(|window| window == mark)
            .count(),
        1
    );
}

#[test]
fn existing_outputs_are_skipped_and_counted_unless_forced() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    pca(&folder, &["a.jpg", "b.jpg"]).expect_code(0);
    let kept = folder.path().join("dino-out/a.pca.png");
    let own = fs::read(&kept).unwrap();
    let run = pca(&folder, &["a.jpg", "b.jpg"])
        .expect_code(0)
        .expect_stderr("2 already there, skipped");
    assert!(run.stdout.is_empty());
    assert_eq!(fs::read(&kept).unwrap(), own);

    fs::write(&kept, "mine").unwrap();
    let run = pca(&folder, &["a.jpg", "b.jpg"])
        .expect_code(1)
        .expect_stderr("a.pca.png: is there already, and either dino did not make it or it was changed since; --force");
    assert!(run.stdout.is_empty());
    assert_eq!(fs::read(&kept).unwrap(), b"mine");

    let run = pca(&folder, &["a.jpg", "b.jpg", "--force"]).expect_code(0);
    assert_eq!(run.lines().len(), 2);
    image::open(&kept).unwrap();
}

#[test]
fn one_photo_can_go_to_a_file_or_to_stdout() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    for (name, format) in [
        ("x.png", ImageFormat::Png),
        ("x.jpg", ImageFormat::Jpeg),
        ("sub/x.webp", ImageFormat::WebP),
    ] {
        let run = pca(&folder, &["a.jpg", "-o", name]).expect_code(0);
        assert_eq!(run.lines(), [name]);
        let bytes = fs::read(folder.path().join(name)).unwrap();
        assert_eq!(image::guess_format(&bytes).unwrap(), format);
        assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 90);
    }
    let run = pca(&folder, &["a.jpg", "-o", "-"]).expect_code(0);
    assert_eq!(
        image::load_from_memory_with_format(&run.stdout, ImageFormat::Png)
            .unwrap()
            .width(),
        90
    );
    for target in ["y.png", "-"] {
        pca(&folder, &["a.jpg", "b.jpg", "-o", target])
            .expect_code(2)
            .expect_stderr("there are 2");
    }
    pca(&folder, &["a.jpg", "-o", "y.gif"])
        .expect_code(2)
        .expect_stderr(".png, .jpg, .jpeg or .webp");
    pca(&folder, &["a.jpg", "-o", "-", "--json"])
        .expect_code(2)
        .expect_stderr("both want stdout");
}

#[test]
fn a_photo_can_come_from_stdin() {
    let folder = photos(&["a.jpg"]);
    let bytes = fs::read(folder.path().join("a.jpg")).unwrap();
    let run = finish(&mut pca_command(folder.path(), &["-"]), &bytes).expect_code(0);
    assert_eq!(run.lines(), ["dino-out/stdin.pca.png"]);
    let piped = finish(&mut pca_command(folder.path(), &["-", "-o", "-"]), &bytes).expect_code(0);
    assert_eq!(
        piped.stdout,
        fs::read(folder.path().join("dino-out/stdin.pca.png")).unwrap()
    );
    finish(
        &mut pca_command(folder.path(), &["-", "--force"]),
        b"no image",
    )
    .expect_code(1)
    .expect_stderr("<stdin>: is not an image");
}

#[test]
fn an_input_is_never_replaced() {
    let folder = photos(&["a.jpg", "a.pca.png"]);
    let before = fs::read(folder.path().join("a.pca.png")).unwrap();
    let args = ["a.jpg", "a.pca.png", "-o", ".", "--force"];
    pca(&folder, &args)
        .expect_code(2)
        .expect_stderr("a.pca.png is an input");
    pca(&folder, &["a.jpg", "-o", "./a.jpg", "--force"])
        .expect_code(2)
        .expect_stderr("is an input");
    assert_eq!(fs::read(folder.path().join("a.pca.png")).unwrap(), before);
}

#[test]
fn quiet_is_quiet_and_nothing_is_coloured_in_a_pipe() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    fs::write(folder.path().join("c.jpg"), "").unwrap();
    let args: Vec<OsString> = ["-q", "a.jpg", "b.jpg", "c.jpg"].map(Into::into).into();
    let run = pca(&folder, &args).expect_code(1);
    assert_eq!(
        run.stderr,
        "error: c.jpg: is empty\nerror: 1 of 3 inputs failed\n"
    );
    let run = pca(&folder, &["-v", "a.jpg", "--force"]).expect_code(0);
    assert!(
        run.stderr.contains("decode") && run.stderr.contains("backbone"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains('\x1b'));
}

#[test]
fn json_is_one_object_a_photo() {
    let folder = photos(&["a.jpg", "b.jpg"]);
    let run = pca(&folder, &["a.jpg", "b.jpg", "--json"]).expect_code(0);
    let objects: Vec<serde_json::Value> = run
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    assert!(objects.iter().all(serde_json::Value::is_object));
}

#[test]
fn odd_layouts_give_a_picture_of_their_size() {
    let folder = photos(&[]);
    let save =
        |name: &str, image: image::DynamicImage| image.save(folder.path().join(name)).unwrap();
    let rgb = |width, height| {
        let picture = picture();
        image::DynamicImage::from(RgbImage::from_fn(width, height, |x, y| {
            *picture.get_pixel(x % 90, y % 60)
        }))
    };
    save(
        "grey16.png",
        image::DynamicImage::ImageLuma16(rgb(50, 40).into_luma16()),
    );
    save(
        "alpha.png",
        image::DynamicImage::ImageRgba8(rgb(50, 40).into_rgba8()),
    );
    fs::copy(
        "tests/fixtures/cmyk-adobe.jpg",
        folder.path().join("cmyk.jpg"),
    )
    .unwrap();
    let sizes = [
        ("grey16", (50, 40)),
        ("alpha", (50, 40)),
        ("cmyk", (32, 32)),
    ];
    pca(&folder, &[".", "--size", "28"]).expect_code(0);
    for (name, size) in sizes {
        let picture = image::open(folder.path().join(format!("dino-out/{name}.pca.png"))).unwrap();
        assert_eq!((picture.width(), picture.height()), size, "{name}");
    }
}
