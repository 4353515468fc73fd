//! Tar files as inputs and outputs of the built program.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::inputs_lists::depth_of;
use crate::program::{Run, sample};
use crate::results::names_in_dino_out;

/// Writes a tar with these photos under these names.
pub fn write_tar(path: &Path, members: &[(&str, &str)]) {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, photo) in members {
        let bytes = fs::read(sample(photo)).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    fs::write(path, tar.into_inner().unwrap()).unwrap();
}

fn folder_with_tars() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_tar(
        &path("d-0.tar"),
        &[("000.jpg", "room.jpg"), ("x/001.jpg", "dogs.jpg")],
    );
    write_tar(&path("d-1.tar"), &[("000.jpg", "flower.jpg")]);
    folder
}

fn depth(folder: &TempDir, args: &[&str]) -> Run {
    depth_of(folder.path(), args, b"")
}

#[test]
fn photos_of_tars_are_told_by_tar_and_key_and_known_again() {
    let folder = folder_with_tars();
    let run = depth(&folder, &["d-{0..1}.tar", "--json"]).expect_code(0);
    let lines = run.lines();
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(first["input"], "d-0.tar/000.jpg");
    assert_eq!(first["picture"], "dino-out/d-0/000.depth.png");
    let expected = [
        "d-0/000.depth.png",
        "d-0/x/001.depth.png",
        "d-1/000.depth.png",
    ];
    assert_eq!(names_in_dino_out(&folder), expected);
    let manifest = fs::read_to_string(folder.path().join("dino-out/manifest.jsonl")).unwrap();
    assert!(
        manifest.contains("d-0.tar/x/001.jpg") && manifest.contains("tar_bytes"),
        "{manifest}"
    );
    depth(&folder, &["d-*.tar"])
        .expect_code(0)
        .expect_stderr("3 already there, skipped");
    // The same bytes in another tar are the same photo; another photo of that name is made again.
    write_tar(
        &folder.path().join("d-0.tar"),
        &[("x/001.jpg", "coffee.png"), ("000.jpg", "room.jpg")],
    );
    let again = depth(&folder, &["d-0.tar"]).expect_code(0);
    assert_eq!(again.lines(), ["dino-out/d-0/x/001.depth.png"]);
    again.expect_stderr("001.depth.png was made of another photo");
}

#[test]
fn a_tar_beside_a_folder_of_its_name_has_names_of_its_own() {
    let folder = folder_with_tars();
    fs::create_dir(folder.path().join("d-0")).unwrap();
    fs::copy(sample("room.jpg"), folder.path().join("d-0/000.jpg")).unwrap();
    fs::write(folder.path().join("list"), "d-0/000.jpg\nd-0.tar\n").unwrap();
    depth(&folder, &["--files-from", "list"]).expect_code(0);
    let made = names_in_dino_out(&folder);
    assert_eq!(made.len(), 3, "{made:?}");
    let apart = |name: &String| name.ends_with("d-0.tar/000.jpg.depth.png");
    assert!(made.iter().any(apart), "{made:?}");
}

#[test]
fn a_truncated_tar_is_done_up_to_the_cut_and_fails() {
    let folder = folder_with_tars();
    let path = folder.path().join("d-0.tar");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 4096]).unwrap();
    let run = depth(&folder, &["d-0.tar"]).expect_code(1);
    run.expect_stderr("d-0.tar: is cut off within x/001.jpg");
    assert_eq!(names_in_dino_out(&folder), ["d-0/000.depth.png"]);
}

#[test]
fn a_tar_in_a_folder_or_a_pipe_is_not_read_silently() {
    let folder = folder_with_tars();
    fs::copy(sample("room.jpg"), folder.path().join("a.jpg")).unwrap();
    depth(&folder, &["."])
        .expect_code(0)
        .expect_stderr("2 tar archives");
    assert_eq!(names_in_dino_out(&folder), ["a.depth.png"]);
    let bytes = fs::read(folder.path().join("d-0.tar")).unwrap();
    depth_of(folder.path(), &["-"], &bytes)
        .expect_code(1)
        .expect_stderr("is a tar archive, whose photos are found by their places");
}

#[cfg(unix)]
#[test]
fn a_hundred_tars_need_few_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..100 {
        write_tar(
            &folder.path().join(format!("d-{number:02}.tar")),
            &[("a.jpg", "room.jpg")],
        );
    }
    let script =
        "ulimit -n 64; exec \"$0\" depth --offline --size 28 --device null 'd-{00..99}.tar'";
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_dino")])
        .current_dir(&folder)
        .env("DINO_HOME", crate::program::store_with_focus())
        .env("DINO_CUDA", "0");
    let run = crate::program::finish(&mut command, b"").expect_code(0);
    assert_eq!(run.lines().len(), 100);
}

/// The names and sizes of the members of a tar, in their order.
fn members(path: &Path) -> Vec<(String, u64)> {
    let mut tar = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = tar.entries().unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            (
                entry.path().unwrap().to_string_lossy().into_owned(),
                entry.size(),
            )
        })
        .collect()
}

#[test]
fn outputs_are_packed_with_the_keys_of_their_photos() {
    let folder = folder_with_tars();
    let args = ["d-{0..1}.tar", "--tar", "--save", "npy"];
    let run = depth(&folder, &args).expect_code(0);
    let tars = ["d-0.depth.tar", "d-1.depth.tar"];
    assert_eq!(run.lines(), tars.map(|name| format!("dino-out/{name}")));
    assert_eq!(names_in_dino_out(&folder), tars);
    let at = |name: &str| folder.path().join("dino-out").join(name);
    let names: Vec<String> = members(&at(tars[0]))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "000.depth.npy",
            "000.depth.png",
            "x/001.depth.npy",
            "x/001.depth.png"
        ]
    );
    let first = tars.map(|name| fs::read(at(name)).unwrap());
    depth(&folder, &args)
        .expect_code(0)
        .expect_stderr("3 already there, skipped");
    // The same photos give the same bytes, wherever they are made.
    let other = depth(&folder, &[&args[..], &["-o", "other", "--json"]].concat()).expect_code(0);
    assert_eq!(other.lines().len(), 4, "three photos and a summary");
    let again = tars.map(|name| fs::read(folder.path().join("other").join(name)).unwrap());
    assert!(first == again);
    // Another setting, and another photo.
    depth(&folder, &["d-1.tar", "--tar", "--invert"])
        .expect_code(0)
        .expect_stderr("d-1.depth.tar was made of other photos, in another way");
    assert_eq!(members(&at(tars[1])).len(), 1);
    // What somebody else put there is left alone.
    fs::write(at(tars[0]), "mine").unwrap();
    depth(&folder, &args)
        .expect_code(2)
        .expect_stderr("d-0.depth.tar is there already, and either dino did not make it");
    assert_eq!(fs::read(at(tars[0])).unwrap(), b"mine");
}

#[test]
fn a_tar_with_a_photo_that_failed_is_never_taken_for_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.tar");
    write_tar(&path, &[("0.jpg", "room.jpg"), ("1.jpg", "dogs.jpg")]);
    let mut bytes = fs::read(&path).unwrap();
    let whole = bytes.clone();
    let second = 512
        + fs::read(sample("room.jpg"))
            .unwrap()
            .len()
            .next_multiple_of(512)
        + 512;
    bytes[second..second + 8].copy_from_slice(b"no photo");
    fs::write(&path, &bytes).unwrap();
    let at = |name: &str| folder.path().join("dino-out").join(name);
    for _ in 0..2 {
        depth(&folder, &["d.tar", "--tar"])
            .expect_code(1)
            .expect_stderr("d.tar/1.jpg: is not an image");
        assert_eq!(names_in_dino_out(&folder), ["d.depth.tar", "d/0.depth.png"]);
        assert_eq!(members(&at("d.depth.tar")).len(), 1);
    }
    fs::write(&path, whole).unwrap();
    depth(&folder, &["d.tar", "--tar"]).expect_code(0);
    assert_eq!(names_in_dino_out(&folder), ["d.depth.tar"]);
    assert_eq!(members(&at("d.depth.tar")).len(), 2);
    // Stopped before the files were removed that are packed.
    fs::create_dir(at("d")).unwrap();
    let mut tar = tar::Archive::new(fs::File::open(at("d.depth.tar")).unwrap());
    tar.unpack(at("d")).unwrap();
    fs::write(at("d/note"), "mine").unwrap();
    depth(&folder, &["d.tar", "--tar"])
        .expect_code(0)
        .expect_stderr("2 already there, skipped");
    assert_eq!(names_in_dino_out(&folder), ["d.depth.tar", "d/note"]);
}

#[test]
fn what_cannot_be_packed_is_refused() {
    let folder = folder_with_tars();
    fs::copy(sample("room.jpg"), folder.path().join("a.jpg")).unwrap();
    for (args, why) in [
        (&["d-0.tar", "a.jpg", "--tar"][..], "a.jpg is in no tar"),
        (&["d-0.tar", "--tar", "-o", "x.png"], "name a folder"),
        (
            &["d-0.tar", "--tar", "--range", "global"],
            "fitted to all photos",
        ),
    ] {
        depth(&folder, args).expect_code(2).expect_stderr(why);
    }
}
