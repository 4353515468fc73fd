//! Collection: files, folders and patterns give the right list of photos.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use image::ImageFormat;
use tempfile::TempDir;

use super::{encode, gradient};
use crate::error::Error;
use crate::io::inputs::{CollectedInputs, InputRequest, Source, collect};
use crate::io::output::{PictureFormat, write_picture};

/// A folder with these files; a name that ends in a slash is a folder, one with `.txt` a text, the rest images.
fn tree(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = encode(gradient(2, 2), ImageFormat::Png);
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match name {
            name if name.ends_with('/') => fs::create_dir_all(&path).unwrap(),
            name if name.ends_with(".txt") => fs::write(&path, "words").unwrap(),
            _ => fs::write(&path, &image).unwrap(),
        }
    }
    folder
}

fn run(folder: &TempDir, inputs: &[&str], recursive: bool) -> Result<CollectedInputs, Error> {
    let inputs: Vec<OsString> = inputs
        .iter()
        .map(|name| {
            if *name == "-" {
                (*name).into()
            } else {
                folder.path().join(name).into_os_string()
            }
        })
        .collect();
    collect(&InputRequest {
        inputs: &inputs,
        recursive,
        max_bytes: u64::MAX,
        ..InputRequest::default()
    })
}

fn collect_all(inputs: &[OsString]) -> Result<CollectedInputs, Error> {
    collect(&InputRequest {
        inputs,
        max_bytes: u64::MAX,
        ..InputRequest::default()
    })
}

/// The sources found through a list file with these lines.
fn listed(folder: &TempDir, lines: &[&str]) -> Result<CollectedInputs, Error> {
    let list = folder.path().join("list");
    let lines = lines
        .iter()
        .map(|line| folder.path().join(line).to_string_lossy().into_owned());
    fs::write(&list, lines.collect::<Vec<_>>().join("\n")).unwrap();
    collect(&InputRequest {
        lists: &[list],
        max_bytes: u64::MAX,
        ..InputRequest::default()
    })
}

/// The relative paths that outputs will mirror.
fn relative(collected: &CollectedInputs) -> Vec<String> {
    let name = |source: &Source| source.relative().to_string_lossy().replace('\\', "/");
    collected.sources.iter().map(name).collect()
}

fn found(folder: &TempDir, inputs: &[&str], recursive: bool) -> Vec<String> {
    let collected = run(folder, inputs, recursive).unwrap();
    assert!(collected.failures.is_empty(), "{:?}", collected.failures);
    relative(&collected)
}

#[test]
fn a_folder_gives_its_images_in_natural_order() {
    let folder = tree(&[
        "p/img10.png",
        "p/img2.png",
        "p/notes.txt",
        "p/.hidden.png",
        "p/sub/deep.png",
        "p/noname",
    ]);
    assert_eq!(
        found(&folder, &["p"], false),
        ["img2.png", "img10.png", "noname"]
    );
    assert_eq!(
        found(&folder, &["p"], true),
        ["img2.png", "img10.png", "noname", "sub/deep.png"]
    );
}

#[test]
fn a_named_file_is_taken_as_it_is_and_once() {
    let folder = tree(&["p/a.png", "p/notes.txt"]);
    assert_eq!(
        found(
            &folder,
            &["p/notes.txt", "p/a.png", "p/../p/a.png", "p"],
            false
        ),
        ["notes.txt", "a.png"]
    );
    assert_eq!(
        found(&folder, &["p/a.png", "-", "-"], false),
        ["a.png", "stdin"]
    );
}

#[test]
fn patterns_are_expanded_below_their_fixed_part() {
    let folder = tree(&[
        "p/x/a.png",
        "p/y/b.png",
        "p/y/c.jpg",
        "p/y/notes.txt",
        "p/y/.z.png",
    ]);
    assert_eq!(
        found(&folder, &["p/*/*.png"], false),
        ["x/a.png", "y/b.png"]
    );
    assert_eq!(found(&folder, &["p/y/*"], false), ["b.png", "c.jpg"]);
    assert_eq!(
        found(&folder, &["p/**/?.png"], false),
        ["x/a.png", "y/b.png"]
    );
    assert_eq!(
        found(&folder, &["p/*"], true),
        ["x/a.png", "y/b.png", "y/c.jpg"]
    );
}

#[test]
fn a_file_with_a_wildcard_in_its_name_is_just_a_file() {
    let folder = tree(&["p/a[1].png", "p/a1.png"]);
    assert_eq!(found(&folder, &["p/a[1].png"], false), ["a[1].png"]);
}

#[test]
fn pictures_made_here_are_no_photos_unless_they_are_named() {
    let folder = tree(&["p/a.png"]);
    let mut bytes = Vec::new();
    write_picture(&mut bytes, PictureFormat::Png, &gradient(4, 4), &[]).unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    for name in ["p/a.pca.png", "out/a.pca.png"] {
        fs::write(folder.path().join(name), &bytes).unwrap();
    }
    assert_eq!(found(&folder, &["p"], false), ["a.png"]);
    assert_eq!(found(&folder, &["p/a.pca.png"], false), ["a.pca.png"]);
    assert!(
        run(&folder, &["out"], false)
            .unwrap_err()
            .to_string()
            .contains("dino made itself")
    );
}

#[test]
fn nothing_found_is_an_error_that_names_the_input() {
    let folder = tree(&["empty/", "p/notes.txt", "deep/sub/a.png"]);
    for (input, expected) in [
        ("missing.jpg", "missing.jpg: no such file or folder"),
        ("empty", "empty: no images in this folder"),
        ("p", "p: no images in this folder"),
        ("deep", "-r looks into its subfolders"),
        ("p/*.jpg", "p/*.jpg: this pattern matches no image"),
        ("p/[.jpg", "not a pattern either"),
    ] {
        let error = run(&folder, &[input], false).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{input}");
        assert!(error.to_string().contains(expected), "{input}: {error}");
    }
}

#[test]
fn what_is_missing_does_not_stop_the_rest() {
    let folder = tree(&["p/a.png"]);
    let collected = run(&folder, &["missing.jpg", "p/a.png"], false).unwrap();
    assert_eq!(relative(&collected), ["a.png"]);
    assert_eq!(collected.failures.len(), 1);
    assert!(collected.failures[0].path.ends_with("missing.jpg"));
}

#[test]
fn what_pretends_to_be_an_image_is_not_passed_over() {
    let folder = tree(&["p/a.png"]);
    let write =
        |name: &str, bytes: &[u8]| fs::write(folder.path().join("p").join(name), bytes).unwrap();
    write("b-empty.jpg", b"");
    write("c-text.jpg", b"not a photo");
    write("d.jxl", b"\xff\x0a and nothing");
    write("empty-without-promise", b"");
    // They are kept as sources, and decoding them fails.
    assert_eq!(
        found(&folder, &["p"], false),
        ["a.png", "b-empty.jpg", "c-text.jpg", "d.jxl"]
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_never_round_in_circles() {
    use std::os::unix::fs::symlink;
    let folder = tree(&["p/sub/a.png", "elsewhere/b.png"]);
    let at = |name: &str| folder.path().join(name);
    symlink("..", at("p/sub/loop")).unwrap();
    symlink(at("elsewhere"), at("p/link")).unwrap();
    symlink("nowhere.txt", at("p/dangling")).unwrap();
    assert_eq!(found(&folder, &["p"], true), ["link/b.png", "sub/a.png"]);
    symlink("nowhere.jpg", at("p/dangling.jpg")).unwrap();
    let collected = run(&folder, &["p"], true).unwrap();
    assert_eq!(relative(&collected), ["link/b.png", "sub/a.png"]);
    assert!(collected.failures[0].path.ends_with("dangling.jpg"));
}

#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tree(&["p/a.png"]);
    let name = std::ffi::OsStr::from_bytes(b"b\xff.png");
    fs::copy(
        folder.path().join("p/a.png"),
        folder.path().join("p").join(name),
    )
    .unwrap();
    let collected = run(&folder, &["p"], false).unwrap();
    assert_eq!(collected.sources[1].path().file_name(), Some(name));
    let named = collect_all(&[folder.path().join("p").join(name).into_os_string()]).unwrap();
    assert_eq!(named.sources[0].path().file_name(), Some(name));
    let mut missing = folder.path().join("p").into_os_string();
    missing.push(std::ffi::OsStr::from_bytes(b"/\xfe*.png"));
    assert!(
        collect_all(&[missing])
            .unwrap_err()
            .to_string()
            .contains("valid UTF-8")
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_folder_does_not_block() {
    let folder = tree(&["p/a.png"]);
    let pipe = folder.path().join("p/b.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let collected = run(&folder, &["p"], false).unwrap();
    assert!(relative(&collected).contains(&"a.png".to_owned()));
}

#[test]
fn the_current_folder_can_be_named_in_any_way() {
    // Relative inputs are resolved against the process's folder, which tests must not change: the crate's own.
    let collected =
        collect_all(&["./tests/fixtures/*.jpg".into(), "tests/fixtures".into()]).unwrap();
    assert_eq!(
        relative(&collected),
        ["cmyk-adobe.jpg", "cmyk-plain.jpg", "ycck-adobe.jpg"]
    );
    assert!(
        collected
            .sources
            .iter()
            .all(|source| Path::new(source.path()).exists())
    );
}

#[test]
fn listed_photos_are_named_by_their_whole_paths() {
    let folder = tree(&["x/a.png", "y/a.png", "y/[b].png", "n.txt"]);
    let lines = ["x/a.png", "y/../y/a.png", "y/[b].png", "x/./a.png", "n.txt"];
    let collected = listed(&folder, &lines).unwrap();
    assert!(collected.failures.is_empty(), "{:?}", collected.failures);
    let root = folder.path().to_string_lossy().replace('\\', "/");
    let root = root.trim_start_matches('/');
    let expected = ["x/a.png", "y/a.png", "y/[b].png", "n.txt"];
    let expected: Vec<String> = expected
        .iter()
        .map(|name| format!("{root}/{name}"))
        .collect();
    assert_eq!(relative(&collected), expected);
}

#[test]
fn listed_names_are_no_patterns_and_the_line_of_one_that_is_missing_is_told() {
    let folder = tree(&["x/a.png", "y/b.png", "y/deep/c.png"]);
    let collected = listed(&folder, &[".", "x/*.png", "y", "x/none.png"]).unwrap();
    let whys: Vec<String> = collected
        .failures
        .iter()
        .map(|failure| failure.error.to_string())
        .collect();
    assert!(whys[0].contains("no images in this folder"), "{whys:?}");
    assert!(
        whys[1].contains("x/*.png: no such file or folder (line 2 of "),
        "{whys:?}"
    );
    assert!(whys[2].contains("(line 4 of "), "{whys:?}");
    // The first line is the folder itself, which has no image; y has one.
    assert_eq!(collected.sources.len(), 1);
    assert!(collected.sources[0].path().ends_with("y/b.png"));
}

#[test]
fn a_list_without_names_is_no_input() {
    let folder = tree(&["a.png"]);
    for (bytes, why) in [
        (&b""[..], "without any names"),
        (b"a\0b\0", "-0 reads"),
        (b"\x89PNG\r\n\x1a\n", "is a picture"),
    ] {
        let list = folder.path().join("list");
        fs::write(&list, bytes).unwrap();
        let request = InputRequest {
            lists: &[list],
            max_bytes: u64::MAX,
            ..InputRequest::default()
        };
        let error = collect(&request).unwrap_err().to_string();
        assert!(error.contains("list: ") && error.contains(why), "{error}");
    }
    let missing = InputRequest {
        lists: &[folder.path().join("none")],
        ..InputRequest::default()
    };
    let error = collect(&missing).unwrap_err().to_string();
    assert!(error.contains("no such file"), "{error}");
    let both = InputRequest {
        inputs: &["-".into()],
        lists: &["-".into()],
        ..InputRequest::default()
    };
    assert!(matches!(collect(&both), Err(Error::Usage(_))));
}
