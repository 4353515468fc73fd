//! Outputs through links, to devices and to files beside the main output; targets that cannot be written are found
//! before the network runs.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::Command;

use tempfile::TempDir;

use super::{dino, folder, pca, photo, picture};
use crate::program::{command, finish};

#[test]
fn a_point_cloud_has_a_place_of_its_own() {
    let folder = folder();
    for (output, cloud) in [
        ("x.png", "x.ply"),
        ("out", "out/a.depth.ply"),
        ("-", "y.ply"),
        ("/dev/null", "z.ply"),
    ] {
        let args = ["depth", "--size", "56", "a.png", "-o", output];
        dino(&folder, &[&args[..], &["--pointcloud", cloud]].concat()).expect_code(0);
        let bytes = fs::read(folder.path().join(cloud)).unwrap();
        assert!(bytes.starts_with(b"ply"), "{cloud}");
    }
}

#[test]
fn a_link_stays_and_its_target_is_written() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("store/new")).unwrap();
    fs::write(at("store/old.png"), "old").unwrap();
    fs::set_permissions(at("store/old.png"), fs::Permissions::from_mode(0o604)).unwrap();
    symlink("store/old.png", at("link.png")).unwrap();
    symlink("store/new/basis", at("dangling")).unwrap();
    pca(
        &folder,
        &[
            "a.png",
            "-o",
            "link.png",
            "--force",
            "--save-basis",
            "dangling",
        ],
    )
    .expect_code(0);
    assert_eq!(
        picture(&fs::read(at("store/old.png")).unwrap()).dimensions(),
        (90, 60)
    );
    let mode = fs::metadata(at("store/old.png"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o604);
    assert!(at("store/new/basis").is_file());
    for link in ["link.png", "dangling"] {
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
    }
    // Masks are a folder, and one may be a link.
    fs::create_dir(at("elsewhere")).unwrap();
    fs::create_dir(at("out")).unwrap();
    symlink("../elsewhere", at("out/a.clusters.masks")).unwrap();
    let args = [
        "segment",
        "a.png",
        "--clusters",
        "2",
        "--size",
        "56",
        "--save",
        "masks",
        "-o",
        "out",
        "--force",
    ];
    dino(&folder, &args).expect_code(0);
    assert!(
        fs::symlink_metadata(at("out/a.clusters.masks"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 2);
}

#[test]
fn devices_are_written_into_and_stay() {
    let folder = folder();
    let node = |name: &str, minor: &str| {
        let path = folder.path().join(name);
        let made = Command::new("mknod")
            .arg(&path)
            .args(["c", "1", minor])
            .output();
        let made = made.is_ok_and(|output| output.status.success());
        (made && File::options().write(true).open(&path).is_ok()).then_some(path)
    };
    let (Some(null), Some(full)) = (node("null", "3"), node("full", "7")) else {
        eprintln!("skipped: making devices needs root");
        return;
    };
    pca(&folder, &["a.png", "-o", "null", "--save-basis", "null"]).expect_code(0);
    pca(&folder, &["a.png", "-o", "full"])
        .expect_code(1)
        .expect_stderr("full: no space left on device");
    for path in [null, full] {
        assert!(
            fs::symlink_metadata(path)
                .unwrap()
                .file_type()
                .is_char_device()
        );
    }
}

/// Expects that a run fails with `why`; the store is missing, so the check must come before the model is loaded.
#[track_caller]
fn refused(folder: &TempDir, args: &[&str], why: &str) {
    let run = finish(
        command(args)
            .current_dir(folder.path())
            .env("DINO_HOME", folder.path().join("no store")),
        b"",
    );
    assert!([1, 2].contains(&run.code()), "{args:?}: {}", run.stderr);
    assert!(run.stderr.contains(why), "{args:?}: {}", run.stderr);
}

#[test]
fn what_cannot_be_written_is_found_before_the_network_runs() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for sub in ["images", "depth", "masks", "dir"] {
        fs::create_dir_all(at("data").join(sub)).unwrap();
    }
    fs::create_dir(at("dir")).unwrap();
    for i in 0..12 {
        photo(&at(&format!("data/images/{i}.png")));
        let label = image::GrayImage::new(90, 60);
        label.save(at(&format!("data/depth/{i}.png"))).unwrap();
        label.save(at(&format!("data/masks/{i}.png"))).unwrap();
    }
    fs::write(at("data/classes.json"), r#"["a", "b"]"#).unwrap();
    fs::write(at("file"), "").unwrap();
    fs::write(at("locked"), "").unwrap();
    fs::set_permissions(at("locked"), fs::Permissions::from_mode(0o444)).unwrap();
    symlink("circle", at("circle")).unwrap();
    let long = "n".repeat(250);
    let no_folder = "file: not a directory";
    for (args, why) in [
        ("pca a.png -o file/x", no_folder),
        ("pca a.png --save-basis file/x", no_folder),
        ("pca a.png --save-basis dir", "dir: is a folder"),
        (
            "pca a.png --save-basis locked --force",
            "locked: is read-only",
        ),
        (
            "pca a.png --save-basis circle",
            "circle: its links lead in a circle",
        ),
        ("depth a.png -o file/x.png", no_folder),
        ("depth a.png --pointcloud file/x.ply", no_folder),
        (
            "segment a.png --clusters 2 --save-codebook file/x",
            no_folder,
        ),
        (
            "segment a.png --clusters 2 --save-codebook dir/",
            "dir/: is a folder",
        ),
        ("eval depth data --json file/x", no_folder),
        ("eval depth data --json dir", "dir: is a folder"),
        ("eval depth data -o file", no_folder),
        (
            "eval depth data --json data/depth/3.png",
            "3.png is an input",
        ),
        ("bench --json file/x", no_folder),
        ("train depth data -o file/x.safetensors", no_folder),
        ("train segment data -o file/x.safetensors", no_folder),
        (
            &format!("train depth data -o {}.safetensors", &long[..243]),
            "too long",
        ),
        ("heads export indoor file/x", no_folder),
        ("heads export indoor dir --force", "dir: is a folder"),
    ] {
        refused(&folder, &args.split(' ').collect::<Vec<_>>(), why);
    }
    assert!(fs::metadata(at("locked")).unwrap().len() == 0);
    // A list that is named like a part of the report.
    fs::write(at("data/files.csv"), "images/1.png,depth/1.png\n").unwrap();
    refused(
        &folder,
        &["eval", "depth", "data/files.csv", "-o", "data"],
        "data/files.csv is an input",
    );
    // By another name.
    fs::hard_link(at("a.png"), at("hard.png")).unwrap();
    symlink("a.png", at("soft.png")).unwrap();
    for name in ["hard.png", "soft.png"] {
        refused(
            &folder,
            &["depth", "a.png", "-o", name, "--force"],
            "is an input (a.png) and would be replaced",
        );
    }
    symlink("both.png", at("same")).unwrap();
    refused(
        &folder,
        &["pca", "a.png", "-o", "both.png", "--save-basis", "same"],
        "both.png and same are one and the same",
    );
}
