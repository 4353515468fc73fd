//! When an existing output is skipped, made again or left alone.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;

use super::{fresh, lines, modified, run};
use crate::program::{
    command, dino_with_model, files_below, finish, folder_of, read, sample, store_with_focus,
};

#[test]
fn what_was_made_in_this_way_is_skipped_and_what_was_not_is_made_again() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    let picture = "dino-out/a.depth.png";
    let usual = ["depth", "a.jpg"];
    run(&folder, &usual).expect_code(0);
    let first = modified(&folder, picture);
    run(&folder, &usual)
        .expect_code(0)
        .expect_stderr("1 already there, skipped");
    // A touched photo is the same photo.
    let photo = fs::File::options()
        .append(true)
        .open(folder.path().join("a.jpg"))
        .unwrap();
    photo.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    run(&folder, &usual).expect_stderr("1 already there, skipped");
    assert_eq!(modified(&folder, picture), first);
    for other in [
        &["--colormap", "viridis"][..],
        &["--tta", "flip"],
        &["--head", "rooms"],
        &["--refine"],
        &["--side-by-side"],
        &["--background", "black"],
        &["--stretch", "minmax"],
    ] {
        let args = [&usual[..], other].concat();
        if other == ["--head", "rooms"] {
            // A head for something else is refused before anything is skipped.
            assert_ne!(run(&folder, &args).code(), 0);
            continue;
        }
        let said = run(&folder, &args).expect_code(0);
        assert_eq!(said.lines(), [picture], "{other:?}: {}", said.stderr);
        said.expect_stderr("a.depth.png was made with other settings");
        assert_eq!(
            read(&folder, picture),
            fresh(&folder, &args, "a.depth.png"),
            "{other:?}"
        );
        run(&folder, &args).expect_stderr("1 already there, skipped");
    }
}

#[test]
fn another_head_labels_again() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    run(&folder, &["segment", "a.jpg", "--head", "street"]).expect_code(0);
    let again = run(&folder, &["segment", "a.jpg", "--head", "rooms"]).expect_code(0);
    again.expect_stderr("another model or head");
    let args = ["segment", "a.jpg", "--head", "rooms"];
    assert_eq!(
        read(&folder, "dino-out/a.segment.png"),
        fresh(&folder, &args, "a.segment.png")
    );
}

#[test]
fn another_photo_of_the_same_name_is_another_photo() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("x/a.jpg", "dogs.jpg")]);
    run(&folder, &["depth", "a.jpg"]).expect_code(0);
    // With one more format: not the picture of one photo and the numbers of the other.
    let args = ["depth", "x/a.jpg", "--save", "npy"];
    let other = run(&folder, &args).expect_code(0);
    assert_eq!(
        other.lines(),
        ["dino-out/a.depth.png", "dino-out/a.depth.npy"]
    );
    other.expect_stderr("was made of another photo, or of this one before it was changed");
    for name in ["a.depth.png", "a.depth.npy"] {
        assert_eq!(
            read(&folder, &format!("dino-out/{name}")),
            fresh(&folder, &args, name)
        );
    }
    // Formats come and go beside a picture that stays.
    let before = modified(&folder, "dino-out/a.depth.png");
    let args = ["depth", "x/a.jpg", "--save", "pfm", "--uncertainty"];
    let more = run(&folder, &args).expect_code(0);
    assert_eq!(more.lines().len(), 3, "{:?}", more.lines());
    assert_eq!(modified(&folder, "dino-out/a.depth.png"), before);
    // An edited photo.
    fs::copy(sample("flower.jpg"), folder.path().join("x/a.jpg")).unwrap();
    let edited = run(&folder, &["depth", "x/a.jpg"]).expect_code(0);
    assert_eq!(edited.lines(), ["dino-out/a.depth.png"]);
    assert_eq!(
        read(&folder, "dino-out/a.depth.png"),
        fresh(&folder, &["depth", "x/a.jpg"], "a.depth.png")
    );
}

#[test]
fn standard_input_is_known_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let depth = |photo: &str| {
        let mut command = command(&["depth", "-", "--size", "56"]);
        command
            .current_dir(&folder)
            .env("DINO_HOME", store_with_focus());
        finish(&mut command, &fs::read(sample(photo)).unwrap()).expect_code(0)
    };
    assert_eq!(depth("room.jpg").lines().len(), 1);
    depth("room.jpg").expect_stderr("1 already there, skipped");
    let other = depth("dogs.jpg");
    assert_eq!(other.lines().len(), 1);
    other.expect_stderr("<stdin>: dino-out/stdin.depth.png was made of another photo");
}

#[test]
fn what_dino_did_not_make_is_left_alone_and_named() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    fs::create_dir(folder.path().join("dino-out")).unwrap();
    fs::write(folder.path().join("dino-out/a.depth.png"), "mine").unwrap();
    let args = ["depth", "a.jpg", "b.jpg", "--save", "npy", "--json"];
    let refused = run(&folder, &args)
        .expect_code(1)
        .expect_stderr("a.depth.png: is there already");
    let lines = lines(&refused);
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["status"], &lines[0]["input"]),
        (&json!("failed"), &json!("a.jpg"))
    );
    assert!(lines[0]["error"].as_str().unwrap().contains("--force"));
    assert_eq!(
        (&lines[1]["status"], &lines[1]["input"]),
        (&json!("done"), &json!("b.jpg"))
    );
    assert_eq!(read(&folder, "dino-out/a.depth.png"), b"mine");
    let made = ["a.depth.png", "b.depth.npy", "b.depth.png"];
    assert_eq!(files_below(&folder.path().join("dino-out")), made);
    run(&folder, &[&args[..], &["--force"]].concat()).expect_code(0);
    assert_ne!(read(&folder, "dino-out/a.depth.png"), b"mine");
    run(&folder, &args)
        .expect_code(0)
        .expect_stderr("2 already there");
}

#[test]
fn a_file_that_is_named_is_never_skipped() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    run(&folder, &["depth", "a.jpg", "-o", "x.png"]).expect_code(0);
    let args = ["depth", "b.jpg", "-o", "x.png"];
    run(&folder, &args)
        .expect_code(2)
        .expect_stderr("x.png is there already; --force replaces it");
    run(&folder, &[&args[..], &["--force"]].concat()).expect_code(0);
    assert!(!folder.path().join("manifest.jsonl").exists());
    // Beside it, too.
    run(&folder, &["pca", "a.jpg", "-o", "y.png"]).expect_code(0);
    fs::remove_file(folder.path().join("y.png")).unwrap();
    fs::write(folder.path().join("y.npy"), "mine").unwrap();
    run(&folder, &["pca", "a.jpg", "-o", "y.png", "--raw"])
        .expect_code(2)
        .expect_stderr("y.npy is there already");
}

#[test]
fn wrong_wishes_are_found_before_anything_is_skipped() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    for args in [
        &["depth", "a.jpg"][..],
        &["segment", "a.jpg"],
        &["pca", "a.jpg"],
        &["attention", "a.jpg"],
        &["similar", "a.jpg", "--at", "9,9"],
    ] {
        run(&folder, args).expect_code(0);
        run(&folder, args).expect_stderr("1 already there, skipped");
        for wrong in [
            &["--model", "nosuch"][..],
            &["--device", "cuda:99"],
            &["--dtype", "f16"],
        ] {
            assert_ne!(
                run(&folder, &[args, wrong].concat()).code(),
                0,
                "{args:?} {wrong:?}"
            );
        }
        if ["pca", "attention", "similar"].contains(&args[0]) {
            run(&folder, &[args, &["--layer", "99"]].concat()).expect_code(2);
        }
    }
    // Other patches, other pictures.
    for args in [
        &["attention", "a.jpg"][..],
        &["similar", "a.jpg", "--at", "9,9"],
    ] {
        let other = run(&folder, &[args, &["--layer", "5"]].concat()).expect_code(0);
        assert_eq!(other.lines().len(), 1);
        other.expect_stderr("was made with other settings");
    }
}

#[test]
fn a_document_of_all_photos_is_kept_only_if_it_is_theirs() {
    let folder = folder_of(&[("in/a.jpg", "room.jpg"), ("in/b.jpg", "dogs.jpg")]);
    let args = ["segment", "in", "--head", "rooms"];
    run(&folder, &args).expect_code(0);
    run(
        &folder,
        &[
            "segment", "in", "--head", "street", "-o", "other", "--coco", "all.json",
        ],
    )
    .expect_code(0);
    let with = [&args[..], &["--coco", "all.json"]].concat();
    run(&folder, &with).expect_code(2).expect_stderr(
        "all.json is there already, and was made of other photos, with other settings",
    );
    run(&folder, &[&with[..], &["--force"]].concat()).expect_code(0);
    run(&folder, &with)
        .expect_code(0)
        .expect_stderr("2 already there");
}

#[test]
fn a_record_that_is_not_understood_is_named() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    run(&folder, &["depth", "a.jpg"]).expect_code(0);
    let record = folder.path().join("dino-out/manifest.jsonl");
    let whole = fs::read(&record).unwrap();
    // Killed in the middle of a line: what is known before it counts.
    fs::write(&record, [&whole[..], &whole[..50]].concat()).unwrap();
    run(&folder, &["depth", "a.jpg"])
        .expect_code(0)
        .expect_stderr("1 already there");
    fs::write(&record, [b"{\"format\":99}\n", &whole[..]].concat()).unwrap();
    run(&folder, &["depth", "a.jpg"])
        .expect_code(1)
        .expect_stderr("manifest.jsonl: line 1 is of format 99");
    // Without it nothing is known of what is there.
    fs::remove_file(&record).unwrap();
    run(&folder, &["depth", "a.jpg"])
        .expect_code(1)
        .expect_stderr("--force replaces it");
    assert!(Path::new(&folder.path().join("dino-out/a.depth.png")).exists());
}

#[test]
fn photos_that_went_away_and_formats_that_are_left_out_are_no_obstacles() {
    let folder = folder_of(&[
        ("in/a.jpg", "room.jpg"),
        ("in/b.jpg", "dogs.jpg"),
        ("in/c.jpg", "flower.jpg"),
    ]);
    run(&folder, &["pca", "in", "--raw"]).expect_code(0);
    fs::remove_file(folder.path().join("in/c.jpg")).unwrap();
    let less = run(&folder, &["pca", "in"]).expect_code(0);
    assert_eq!(less.lines().len(), 2, "{}", less.stderr);
    // The numbers are still those of the former fit, and that is said.
    less.expect_stderr(".pca.npy: was made of another photo, or of this one before it was changed, or with another fit");
    run(&folder, &["pca", "in", "--raw"]).expect_code(0);
    fs::copy(sample("china.jpg"), folder.path().join("in/a.jpg")).unwrap();
    let edited = run(&folder, &["pca", "in"]).expect_code(0);
    edited.expect_stderr(".pca.npy: was made of another photo");
}

#[test]
fn one_name_in_two_folders_is_two_photos() {
    let folder = folder_of(&[]);
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let mut depths = Vec::new();
    for (index, name) in ["x", "y"].into_iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        let photo = image::RgbImage::from_fn(60, 60, |x, y| {
            image::Rgb([(x * 4) as u8, (y * 4) as u8, 100 * index as u8])
        });
        photo.save(path.join("f.ppm")).unwrap();
        fs::File::options()
            .append(true)
            .open(path.join("f.ppm"))
            .unwrap()
            .set_modified(time)
            .unwrap();
        let args = [
            "depth", "f.ppm", "-o", "../out", "--size", "56", "--save", "npy",
        ];
        let made = dino_with_model(&path, &args).expect_code(0);
        assert_eq!(made.lines().len(), 2, "{}", made.stderr);
        depths.push(read(&folder, "out/f.depth.npy"));
    }
    assert_ne!(depths[0], depths[1]);
}

#[test]
fn what_the_constant_network_makes_is_not_taken_for_a_models() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    let null = [
        "pca",
        "a.jpg",
        "--device",
        "null",
        "--save-basis",
        "basis",
        "--json",
    ];
    let null = run(&folder, &null).expect_code(0);
    assert_eq!(lines(&null)[0]["model"], "null");
    run(&folder, &["pca", "b.jpg", "--basis", "basis"])
        .expect_code(1)
        .expect_stderr("was fitted with null");
    let again = run(&folder, &["pca", "a.jpg"]).expect_code(0);
    again.expect_stderr("was made with other settings, or by another model");
}

#[cfg(target_os = "linux")]
#[test]
fn patterns_find_names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder_of(&[("g/a.jpg", "room.jpg")]);
    let odd = std::ffi::OsStr::from_bytes(b"\xff.jpg");
    fs::copy(sample("dogs.jpg"), folder.path().join("g").join(odd)).unwrap();
    for pattern in ["g/*.jpg", "./g/*.jpg", "*/*.jpg", "**/*.jpg"] {
        let found = run(&folder, &["depth", pattern, "--force"]).expect_code(0);
        assert_eq!(found.lines().len(), 2, "{pattern}");
    }
}
