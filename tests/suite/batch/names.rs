//! Names and folders of outputs: the tree of the inputs, collisions, odd and non-Unicode names.

#[cfg(target_os = "linux")]
use std::ffi::OsStr;
use std::fs;

use super::{pca, photos};
use crate::program::files_below;
use crate::results::names_in_dino_out;

#[test]
fn the_output_mirrors_the_input_tree() {
    let folder = photos(&["in/a.jpg", "in/sub/b.png", "in/sub/deeper/c.webp"]);
    fs::write(
        folder.path().join("in/notes.txt"),
        "no image, no word about it",
    )
    .unwrap();
    let run = pca(&folder, &["-r", "in"]).expect_code(0);
    assert_eq!(
        names_in_dino_out(&folder),
        ["a.pca.png", "sub/b.pca.png", "sub/deeper/c.pca.png"]
    );
    assert!(!run.stderr.contains("notes.txt"));
    let flat = pca(&folder, &["in", "-o", "flat"]).expect_code(0);
    assert_eq!(flat.lines(), ["flat/a.pca.png"]);
}

#[test]
fn colliding_names_are_kept_apart() {
    let folder = photos(&["in/a.jpg", "in/a.png", "in/b.jpg", "x/c.jpg", "y/c.jpg"]);
    pca(&folder, &["in", "x/c.jpg", "y/c.jpg"]).expect_code(0);
    assert_eq!(
        names_in_dino_out(&folder),
        [
            "a.jpg.pca.png",
            "a.png.pca.png",
            "b.pca.png",
            "x/c.jpg.pca.png",
            "y/c.jpg.pca.png"
        ]
    );
}

#[test]
fn its_own_pictures_are_not_its_photos() {
    let folder = photos(&["in/a.jpg"]);
    for _ in 0..2 {
        pca(&folder, &["in", "-o", "in"]).expect_code(0);
    }
    assert_eq!(
        files_below(&folder.path().join("in")),
        ["a.jpg", "a.pca.png"]
    );
}

#[test]
fn odd_names_are_just_names() {
    let names = [
        "with space.jpg",
        "it's \"quoted\".jpg",
        "näive 日本.jpg",
        "-dash.jpg",
        "a*b?.jpg",
        "dots.v1.2.jpg",
    ];
    let folder = photos(&names);
    let mut args: Vec<&str> = vec!["--"];
    args.extend(names);
    let run = pca(&folder, &args).expect_code(0);
    let expected: Vec<String> = names
        .iter()
        .map(|name| format!("dino-out/{}", name.replace(".jpg", ".pca.png")))
        .collect();
    assert_eq!(run.lines(), expected);
    expected
        .iter()
        .for_each(|name| assert!(folder.path().join(name).is_file(), "{name}"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_unicode_comes_out_byte_for_byte() {
    use std::os::unix::ffi::OsStrExt;
    let folder = photos(&["a.jpg"]);
    let name = OsStr::from_bytes(b"caf\xe9.jpg");
    fs::rename(folder.path().join("a.jpg"), folder.path().join(name)).unwrap();
    let run = pca(&folder, &[name]).expect_code(0);
    assert_eq!(run.stdout, b"dino-out/caf\xe9.pca.png\n");
    assert!(
        folder
            .path()
            .join(OsStr::from_bytes(b"dino-out/caf\xe9.pca.png"))
            .is_file()
    );
    let whole = pca(&folder, &[".", "--force"]).expect_code(0);
    assert_eq!(whole.stdout, run.stdout);
}
